// walk.c: the tables in order, with what changes between them, and -sort.

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A blank line between tables, then each field of the key that differs from the table before. The
// unit is left to the table itself.
void tables_walk(struct builder *b, void *to, header_fn *header,
                 void (*print)(void *to, const struct table *t))
{
    const struct key *before = NULL;
    for (size_t i = 0; i < b->n_tables; i++) {
        const struct table *t = b->tables[i];
        if (i > 0)
            header(to, NULL, NULL);
        for (size_t j = 0; j < b->table->n_flat; j++) {
            const struct field *f = b->table->flat[j];
            const struct word *value = key_get(t->key, f);
            if (f != b->table->unit && (!before || key_get(before, f) != value))
                header(to, f->name, value);
        }
        before = t->key;
        print(to, t);
    }
}

// ---- sorting --------------------------------------------------------------------------------

struct sort_row {
    struct key *key;
    str label;
    double delta; // against the base, in the first column that has one; NaN without
    size_t start, end, position;
};

// An insignificant difference is none.
static double row_delta(const struct table *t, size_t start, size_t end)
{
    for (size_t i = start; i < end; i++) {
        const struct cell *c = t->cells[i];
        if (c->base)
            return c->p > c->alpha ? 0 : c->center / c->base->center - 1;
    }
    return NAN;
}

static int compare_labels(const struct sort_row *x, const struct sort_row *y)
{
    size_t n = x->label.n < y->label.n ? x->label.n : y->label.n;
    int c = memcmp(x->label.s, y->label.s, n);
    return c ? c : (x->label.n > y->label.n) - (x->label.n < y->label.n);
}

static bool by_delta, descending;

// Equal rows stay in their order, and rows without a comparison come last, either way.
static int compare_rows(const void *a, const void *b)
{
    const struct sort_row *x = a, *y = b;
    int c = 0;
    if (!by_delta)
        c = compare_labels(x, y);
    else if (isnan(x->delta) || isnan(y->delta))
        c = (isnan(x->delta) - isnan(y->delta)) * (descending ? -1 : 1);
    else
        c = (x->delta > y->delta) - (x->delta < y->delta);
    if (descending)
        c = -c;
    return c ? c : (x->position > y->position) - (x->position < y->position);
}

static void sort_rows(struct table *t)
{
    struct sort_row *rows = mem_alloc(t->rows.n * sizeof *rows);
    struct cell **cells = mem_grow(NULL, t->n_cells * sizeof *cells);
    for (size_t i = 0; i < t->rows.n; i++) {
        size_t start = t->row_start[i], end = t->row_start[i + 1];
        struct key *k = t->rows.keys[i];
        rows[i] = (struct sort_row){k, key_label(k), row_delta(t, start, end), start, end, i};
    }
    qsort(rows, t->rows.n, sizeof *rows, compare_rows);
    for (size_t i = 0, at = 0; i < t->rows.n; i++) {
        size_t n = rows[i].end - rows[i].start;
        memcpy(cells + at, t->cells + rows[i].start, n * sizeof *cells);
        t->rows.keys[i] = rows[i].key;
        t->row_start[i] = at;
        at += n;
    }
    free(t->cells);
    t->cells = cells;
}

void tables_sort_rows(struct builder *b, const char *order)
{
    if (!order)
        return;
    descending = *order == '-';
    by_delta = strstr(order, "delta") != NULL;
    for (size_t i = 0; i < b->n_tables; i++)
        sort_rows(b->tables[i]);
}
