/* Tables for terminals and pipes: the same text, but for bold headlines where a person looks on. */
#include "cmd/trace/array.h"
#include "cmd/trace/summary.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS_MAX = 16, CELL_BYTES = 400, NAME_CHARACTERS = 64 };

static bool in_colour(void)
{
    static int answer = -1;

    if (answer < 0) {
        const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
        answer = isatty(STDOUT_FILENO) && !(none && *none) && !(term && !strcmp(term, "dumb"));
    }
    return answer;
}

void heading(const char *format, ...)
{
    va_list args;

    fputs(in_colour() ? "\n\033[1m" : "\n", stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    puts(in_colour() ? "\033[0m" : "");
}

/* Three digits that count: 1.23s, 12.3ms, 123us. */
const char *time_text(int64_t ns)
{
    static char texts[8][24];
    static unsigned next;
    static const char *const units[] = {"ns", "us", "ms", "s"};
    char *text = texts[next++ % 8];
    double value = (double)ns;
    int unit = 0;

    if (ns == 0)
        return "0";
    for (; unit < 3 && (value >= 999.5 || value <= -999.5); unit++)
        value /= 1000;
    int digits = unit == 0 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(text, sizeof texts[0], "%.*f%s", digits, value, units[unit]);
    return text;
}

/* The bytes of a character, 0 if it is a control character: C0, DEL, or C1 in UTF-8. */
static size_t shown_bytes(const unsigned char *text)
{
    if (*text < ' ' || *text == 0x7f || (*text == 0xc2 && text[1] < 0xa0))
        return 0;
    size_t n = 1;
    while ((text[n] & 0xc0) == 0x80)
        n++;
    return n;
}

const char *plain(const char *text)
{
    static char texts[8][4 * (NAME_CHARACTERS + 1)];
    static unsigned next;
    char *out = texts[next++ % 8];
    size_t size = 0;

    for (int i = 0; *text; i++) {
        size_t n = shown_bytes((const unsigned char *)text);
        if (i == NAME_CHARACTERS || size + n > sizeof texts[0] - 4)
            return strcpy(out + size, "...") - size;
        memcpy(out + size, n ? text : "?", n ? n : 1);
        size += n ? n : 1;
        text += n ? n : *text == '\xc2' ? 2 : 1;
    }
    out[size] = '\0';
    return out;
}

const char *bar(int64_t part, int64_t whole, int width)
{
    static char text[81];
    int n = whole > 0 ? (int)((double)part / (double)whole * width + 0.5) : 0;

    n = n > width ? width : n < 1 && part > 0 ? 1 : n;
    n = n > (int)sizeof text - 1 ? (int)sizeof text - 1 : n;
    memset(text, '#', (size_t)n);
    text[n] = '\0';
    return text;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void add_cell(struct grid *g, const char *text, size_t n)
{
    if (g->size + n + 1 > g->capacity) {
        g->capacity = (g->size + n + 1) * 2;
        g->text = array_resize(g->text, g->capacity, 1);
    }
    memcpy(g->text + g->size, text, n);
    g->text[g->size + n] = '\0';
    g->size += n + 1;
    g->ncells++;
}

void grid_begin(struct grid *g, const char *headers)
{
    *g = (struct grid){0};
    for (const char *end; *headers; headers = *end ? end + 1 : end) {
        end = headers + strcspn(headers, "|");
        add_cell(g, headers, (size_t)(end - headers));
        g->ncolumns++;
    }
}

void grid_cell(struct grid *g, const char *format, ...)
{
    char text[CELL_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *cell = plain(text);
    add_cell(g, cell, strlen(cell));
}

void grid_time(struct grid *g, int64_t ns)
{
    grid_cell(g, "%s", ns ? time_text(ns) : "-");
}

void grid_share(struct grid *g, int64_t part, int64_t whole)
{
    if (part && whole > 0)
        grid_cell(g, "%.1f%%", 100.0 * (double)part / (double)whole);
    else
        grid_cell(g, "-");
}

/* Characters, not bytes. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

static const char *skip_mark(const char *cell, bool header)
{
    return header && *cell == '<' ? cell + 1 : cell;
}

/* blanks: those that stand before the cell, if anything does in it or behind it. */
static void print_cell(const char *cell, int width, bool left, int *blanks)
{
    int pad = width - width_of(cell);

    if (!*cell) {
        *blanks += width + 2;
        return;
    }
    printf("%*s%s", *blanks + (left ? 0 : pad), "", cell);
    *blanks = (left ? pad : 0) + 2;
}

struct column {
    int width;
    bool left, used;
};

static void measure(const struct grid *g, struct column *columns)
{
    const char *cell = g->text;
    uint32_t n = (uint32_t)g->ncolumns;

    for (uint32_t i = 0; i < g->ncells; i++, cell += strlen(cell) + 1) {
        struct column *c = &columns[i % n];
        int width = width_of(skip_mark(cell, i < n));
        if (i < n)
            c->left = *cell == '<';
        else
            c->used |= strcmp(cell, "-") != 0;
        if (width > c->width)
            c->width = width;
    }
}

void grid_end(struct grid *g)
{
    struct column columns[COLUMNS_MAX] = {0};
    uint32_t n = (uint32_t)g->ncolumns;
    const char *cell = g->text;
    int blanks = 0;

    measure(g, columns);
    for (uint32_t i = 0; i < g->ncells; i++, cell += strlen(cell) + 1) {
        const struct column *c = &columns[i % n];
        if (i == 0 && in_colour())
            fputs("\033[2m", stdout);
        if (i % n == 0)
            blanks = 2;
        if (c->used)
            print_cell(skip_mark(cell, i < n), c->width, c->left, &blanks);
        if (i % n == n - 1)
            puts(i == n - 1 && in_colour() ? "\033[0m" : "");
    }
    free(g->text);
    *g = (struct grid){0};
}
