// csv.c: tables for spreadsheets. Warnings go elsewhere, each with the cell that it belongs to.

#include "cmd/benchstat/benchstat.h"

#include <string.h>

enum { LABEL_COLS = 1, CENTER_COLS = 2, DELTA_COLS = 2 };

struct csv {
    FILE *to, *warnings;
    size_t row, col; // both from 0; the row counts from the first line of the output
};

static size_t first_col(size_t column)
{
    if (column == 0)
        return LABEL_COLS;
    return LABEL_COLS + CENTER_COLS + (column - 1) * (CENTER_COLS + DELTA_COLS);
}

static bool needs_quotes(str s)
{
    size_t width;
    if (s.n == 0)
        return false;
    if (str_equal(s, STR("\\.")) || rune_is_space(rune_decode(s, &width)))
        return true;
    for (size_t i = 0; i < s.n; i++)
        if (strchr(",\"\r\n", s.s[i]) && s.s[i])
            return true;
    return false;
}

static void field(struct csv *csv, str s)
{
    bool quotes = needs_quotes(s);
    if (csv->col++ > 0)
        putc(',', csv->to);
    if (quotes)
        putc('"', csv->to);
    for (size_t i = 0; i < s.n; i++) {
        if (quotes && s.s[i] == '"')
            putc('"', csv->to);
        putc(s.s[i], csv->to);
    }
    if (quotes)
        putc('"', csv->to);
}

static void word_field(struct csv *csv, const struct word *w)
{
    field(csv, (str){w->s, w->n});
}

static void skip_to(struct csv *csv, size_t col)
{
    while (csv->col < col)
        field(csv, STR(""));
}

static void end_row(struct csv *csv)
{
    putc('\n', csv->to);
    csv->row++;
    csv->col = 0;
}

// Columns are lettered as base-26 numbers with A for 0: Z is followed by BA.
static void warn(struct csv *csv, const struct word *warning)
{
    char letters[20], *at = letters + sizeof letters - 1;
    if (!warning)
        return;
    *at = '\0';
    size_t col = csv->col;
    do {
        *--at = (char)('A' + col % 26);
        col /= 26;
    } while (col > 0);
    fprintf(csv->warnings, "%s%zu: ", at, csv->row + 1);
    fwrite(warning->s, 1, warning->n, csv->warnings);
    putc('\n', csv->warnings);
}

static void headers(struct csv *csv, const struct table *t)
{
    const struct projection *p = t->cols[0].key->projection;
    for (size_t level = 0; level < p->n_flat; level++) {
        for (size_t i = 0; i < t->n_cols; i++) {
            skip_to(csv, first_col(i));
            word_field(csv, key_get(t->cols[i].key, p->flat[level]));
        }
        skip_to(csv, first_col(t->n_cols));
        end_row(csv);
    }
    for (size_t i = 0; i < t->n_cols; i++) {
        skip_to(csv, first_col(i));
        word_field(csv, t->unit);
        field(csv, STR("CI"));
        if (i > 0) {
            field(csv, STR("vs base"));
            field(csv, STR("P"));
        }
    }
    end_row(csv);
}

static void body_cell(struct csv *csv, const struct cell *c)
{
    char text[NUMBER_MAX];
    skip_to(csv, first_col(c->col_index));
    warn(csv, c->vary_warning);
    warn(csv, c->summary_warning);
    field(csv, (str){text, number_shortest(text, c->center)});
    field(csv, (str){text, cell_range(text, c)});
    if (!c->base)
        return;
    warn(csv, c->compare_warning);
    field(csv, (str){text, cell_delta(text, c)});
    field(csv, (str){text, cell_comparison(text, c)});
}

static void summary_row(struct csv *csv, const struct table *t)
{
    char text[NUMBER_MAX];
    field(csv, STR("geomean"));
    for (size_t i = 0; i < t->n_cols; i++) {
        const struct column *c = &t->cols[i];
        skip_to(csv, first_col(i));
        for (size_t j = 0; j < c->n_warnings; j++)
            warn(csv, c->warnings[j]);
        if (c->has_summary)
            field(csv, (str){text, number_shortest(text, c->summary)});
        if (i > 0) {
            skip_to(csv, first_col(i) + CENTER_COLS);
            field(csv, (str){text, column_delta(text, c)});
        }
    }
    skip_to(csv, first_col(t->n_cols));
    end_row(csv);
}

static void print_table(void *to, const struct table *t)
{
    struct csv *csv = to;
    headers(csv, t);
    for (size_t row = 0; row < t->rows.n; row++) {
        field(csv, key_label(t->rows.keys[row]));
        for (size_t i = t->row_start[row]; i < t->row_start[row + 1]; i++)
            body_cell(csv, t->cells[i]);
        end_row(csv);
    }
    summary_row(csv, t);
}

static void print_header(void *to, const struct word *name, const struct word *value)
{
    struct csv *csv = to;
    if (name) {
        field(csv, mem_join((str[]){{name->s, name->n}, STR(": "), {value->s, value->n}}, 3));
    }
    end_row(csv);
}

void print_csv(struct builder *b, FILE *to, FILE *warnings)
{
    struct csv csv = {.to = to, .warnings = warnings};
    tables_walk(b, &csv, print_header, print_table);
}
