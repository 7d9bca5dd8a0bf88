// text.c: tables for people: aligned columns and footnotes.

#include "cmd/benchstat/benchstat.h"

#include <string.h>

// A column is shown as center, range and footnotes; all but the first add delta, comparison and
// footnotes of these.
enum { LABEL_COLS = 1, CENTER_COLS = 3, DELTA_COLS = 3 };

static const char bar[] = " │ ", last_bar[] = " │";

static size_t first_col(size_t column)
{
    if (column == 0)
        return LABEL_COLS;
    return LABEL_COLS + CENTER_COLS + (column - 1) * (CENTER_COLS + DELTA_COLS);
}

static str str_of(const struct word *w)
{
    return (str){w->s, w->n};
}

// ---- footnotes ------------------------------------------------------------------------------

struct notes {
    const struct word **list;
    size_t n;
    struct map number;
};

// Write the number in superscript digits; returns the length.
static size_t superscript(char *out, size_t number)
{
    static const char *const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    size_t n = number < 10 ? 0 : superscript(out, number / 10);
    return (size_t)(stpcpy(out + n, digits[number % 10]) - out);
}

static size_t note(struct notes *notes, const struct word *text)
{
    void **number = map_at(&notes->number, text, NULL);
    if (!*number) {
        if ((notes->n & (notes->n - 1)) == 0) {
            const struct word **grown = mem_alloc((notes->n * 2 + 1) * sizeof *grown);
            if (notes->n)
                memcpy(grown, notes->list, notes->n * sizeof *grown);
            notes->list = grown;
        }
        notes->list[notes->n++] = text;
        *number = (void *)(uintptr_t)notes->n;
    }
    return (size_t)(uintptr_t)*number;
}

// A cell with the references to up to three warnings; NULL ones are skipped.
static void references(struct grid *g, struct notes *notes, const struct word *const *warnings,
                       size_t n)
{
    char out[256];
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (!warnings[i])
            continue;
        if (length > 0)
            out[length++] = ' ';
        length += superscript(out + length, note(notes, warnings[i]));
    }
    grid_cell(g, (str){out, length}, ALIGN_LEFT);
}

// ---- rows -----------------------------------------------------------------------------------

static void right_edge(struct grid *g, const struct table *t)
{
    g->col = first_col(t->n_cols + 1);
    grid_span(g, 1, STR(""), ALIGN_LEFT, last_bar);
}

static bool same_prefix(const struct key *a, const struct key *b, size_t level)
{
    for (size_t i = 0; i <= level; i++)
        if (key_get(a, a->projection->flat[i]) != key_get(b, b->projection->flat[i]))
            return false;
    return true;
}

// A row for each field of the column keys; neighbours that agree so far share a cell.
static void header(struct grid *g, const struct table *t)
{
    const struct projection *p = t->cols[0].key->projection;
    for (size_t level = 0; level < p->n_flat; level++) {
        grid_row(g);
        for (size_t i = 0, end; i < t->n_cols; i = end) {
            const struct key *k = t->cols[i].key;
            for (end = i + 1; end < t->n_cols && same_prefix(k, t->cols[end].key, level);)
                end++;
            g->col = first_col(i);
            grid_span(g, first_col(end) - first_col(i), str_of(key_get(k, p->flat[level])),
                      ALIGN_CENTER, bar);
        }
        right_edge(g, t);
    }
}

static void unit_row(struct grid *g, const struct table *t)
{
    grid_row(g);
    for (size_t i = 0; i < t->n_cols; i++) {
        g->col = first_col(i);
        grid_span(g, CENTER_COLS, str_of(t->unit), ALIGN_CENTER, bar);
        if (i > 0)
            grid_span(g, DELTA_COLS, STR("vs base"), ALIGN_LEFT, "  ");
        for (size_t col = first_col(i) + 1; col < g->col; col++)
            grid_shrink(g, col);
    }
    right_edge(g, t);
}

static void body_cell(struct grid *g, const struct cell *c, struct scale scale, struct notes *notes)
{
    char text[NUMBER_MAX];
    g->col = first_col(c->col_index);
    grid_cell(g, (str){text, scale_format(text, scale, c->center)}, ALIGN_RIGHT);
    grid_span(g, 1, (str){text, cell_range(text, c)}, ALIGN_RIGHT, " ± ");
    references(g, notes, (const struct word *[]){c->vary_warning, c->summary_warning}, 2);
    if (!c->base)
        return;
    grid_cell(g, (str){text, cell_delta(text, c)}, ALIGN_RIGHT);
    size_t n = 0;
    text[n++] = '(';
    n += cell_comparison(text + n, c);
    text[n++] = ')';
    grid_cell(g, (str){text, n}, ALIGN_LEFT);
    references(g, notes, &c->compare_warning, 1);
}

static void body_row(struct grid *g, const struct table *t, size_t row, bool binary,
                     double *centers, struct notes *notes)
{
    size_t first = t->row_start[row], end = t->row_start[row + 1];
    for (size_t i = first; i < end; i++)
        centers[i - first] = t->cells[i]->center;
    struct scale scale = scale_for(centers, end - first, binary);
    grid_row(g);
    grid_cell(g, key_label(t->rows.keys[row]), ALIGN_LEFT);
    for (size_t i = first; i < end; i++)
        body_cell(g, t->cells[i], scale, notes);
}

static void summary_row(struct grid *g, const struct table *t, bool binary, struct notes *notes)
{
    char text[NUMBER_MAX];
    grid_row(g);
    grid_cell(g, STR("geomean"), ALIGN_LEFT);
    for (size_t i = 0; i < t->n_cols; i++) {
        const struct column *c = &t->cols[i];
        if (c->has_summary) {
            g->col = first_col(i);
            struct scale scale = scale_for(&c->summary, 1, binary);
            grid_cell(g, (str){text, scale_format(text, scale, c->summary)}, ALIGN_RIGHT);
        }
        if (i > 0) {
            g->col = first_col(i) + CENTER_COLS;
            grid_cell(g, (str){text, column_delta(text, c)},
                      c->has_ratio ? ALIGN_RIGHT : ALIGN_LEFT);
        }
        g->col = first_col(i + 1) - 1;
        references(g, notes, c->warnings, c->n_warnings);
    }
}

static void print_table(void *to, const struct table *t)
{
    static struct grid g;
    struct notes notes = {0};
    char number[64];
    grid_reset(&g);
    bool binary = unit_is_binary(t->unit);
    double *centers = mem_alloc(t->n_cols * sizeof *centers);
    header(&g, t);
    unit_row(&g, t);
    for (size_t row = 0; row < t->rows.n; row++)
        body_row(&g, t, row, binary, centers, &notes);
    if (t->rows.n > 1)
        summary_row(&g, t, binary, &notes);
    grid_print(&g, to);
    for (size_t i = 0; i < notes.n; i++) {
        fwrite(number, 1, superscript(number, i + 1), to);
        putc(' ', to);
        fwrite(notes.list[i]->s, 1, notes.list[i]->n, to);
        putc('\n', to);
    }
}

static void print_header(void *to, const struct word *name, const struct word *value)
{
    if (name) {
        fwrite(name->s, 1, name->n, to);
        fputs(": ", to);
        fwrite(value->s, 1, value->n, to);
    }
    putc('\n', to);
}

void print_text(struct builder *b, FILE *to)
{
    tables_walk(b, to, print_header, print_table);
}
