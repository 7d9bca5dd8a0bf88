// table.c: the numbers of the tables: sorted, summarized and compared.
//
// Each cell becomes a median with its confidence interval, and a comparison with the first cell of
// its row; each column ends in a geometric mean. Units that the input declares `assume=exact` are
// taken at their word: no interval, no test. Entered by tables_finish, once all input is read.

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- layout ---------------------------------------------------------------------------------

static int by_position(const void *a, const void *b)
{
    const struct cell *x = *(struct cell *const *)a, *y = *(struct cell *const *)b;
    if (x->row->rank != y->row->rank)
        return x->row->rank < y->row->rank ? -1 : 1;
    return x->col->rank < y->col->rank ? -1 : x->col->rank > y->col->rank;
}

static void list_once(const struct table *t, struct key_list *list, struct key *k)
{
    if (k->listed != t)
        key_list_add(list, k);
    k->listed = t;
}

static void lay_out(struct table *t)
{
    for (size_t i = 0; i < t->n_cells; i++) {
        list_once(t, &t->rows, t->cells[i]->row);
        list_once(t, &t->col_keys, t->cells[i]->col);
    }
    keys_sort(t->rows.keys, t->rows.n);
    keys_sort(t->col_keys.keys, t->col_keys.n);
    t->n_cols = t->col_keys.n;
    t->cols = mem_alloc(t->n_cols * sizeof *t->cols);
    for (size_t i = 0; i < t->n_cols; i++)
        t->cols[i].key = t->col_keys.keys[i];
    for (size_t i = 1; i < t->n_cells; i++)
        if (by_position(&t->cells[i - 1], &t->cells[i]) > 0) {
            qsort(t->cells, t->n_cells, sizeof *t->cells, by_position);
            break;
        }
    t->row_start = mem_alloc((t->rows.n + 1) * sizeof *t->row_start);
    for (size_t i = 0; i < t->n_cells; i++) {
        struct cell *c = t->cells[i], *first = t->cells[t->row_start[c->row->rank]];
        t->row_start[c->row->rank + 1] = i + 1;
        c->col_index = c->col->rank;
        if (c->col_index > 0 && first->col->rank == 0) {
            c->base = first;
            first->is_base = true;
        }
    }
}

// ---- cells ----------------------------------------------------------------------------------

static void summarize_exact(struct cell *c)
{
    const double *x = c->values;
    size_t count = 1, most = 1;
    c->center = x[0];
    for (size_t i = 1; i < c->n; i++) {
        count = x[i] == x[i - 1] ? count + 1 : 1;
        if (count > most) {
            most = count;
            c->center = x[i];
        }
    }
    c->lo = x[0];
    c->hi = x[c->n - 1];
    c->confidence = 1;
    if (most != c->n)
        c->summary_warning =
            word_z(mem_format("exact distribution expected, but values range from %s to %s",
                              number_v(c->lo), number_v(c->hi)));
}

static const struct word *need_samples(const char *relation, int n, const char *why, double level)
{
    return word_z(mem_format("need %s %d samples %s level %s", relation, n, why, number_v(level)));
}

static const struct word *unbounded_warning(double confidence)
{
    static const struct word *warning; // there is one confidence
    if (!warning) {
        int need;
        const char *relation = median_samples_needed(confidence, &need);
        warning = need_samples(relation, need, "for confidence interval at", confidence);
    }
    return warning;
}

// The test asks for all values in order, the median and its interval for those around the middle.
static void put_in_order(struct cell *c, bool exact, double confidence)
{
    if (exact || c->base || c->is_base || c->n < 4) {
        sort_values(c->values, c->n);
        return;
    }
    struct interval ci = median_interval(c->n, confidence);
    size_t from = c->n / 2 - 1, to = c->n / 2 + 1;
    if (ci.lo >= 1 && (size_t)ci.lo - 1 < from)
        from = (size_t)ci.lo - 1;
    if (ci.hi <= (long)c->n && (size_t)ci.hi - 1 > to)
        to = (size_t)ci.hi - 1;
    select_values(c->values, c->n, from, to);
}

static void summarize_median(struct cell *c, double confidence)
{
    struct interval ci = median_interval(c->n, confidence);
    c->center = median_of(c->values, c->n);
    c->lo = ci.lo < 1 ? -INFINITY : c->values[ci.lo - 1];
    c->hi = ci.hi > (long)c->n ? INFINITY : c->values[ci.hi - 1];
    c->confidence = ci.confidence;
    if (isinf(c->lo) || isinf(c->hi))
        c->summary_warning = unbounded_warning(confidence);
}

// Could n samples have shown a difference at all? NULL: they could.
static const struct word *undetectable_warning(size_t n, double alpha)
{
    static const struct word *warning; // there is one alpha
    int need;
    const char *relation = u_test_samples_needed(alpha, &need);
    if (n >= (size_t)need)
        return NULL;
    if (!warning)
        warning = need_samples(relation, need, "to detect a difference at alpha", alpha);
    return warning;
}

static void compare(struct cell *c, double alpha)
{
    c->alpha = alpha;
    const char *error = u_test(c->base->values, c->base->n, c->values, c->n, &c->p);
    if (error) {
        c->p = 1;
        c->compare_warning = word_z(error);
    } else if (c->p > alpha) {
        c->compare_warning = undetectable_warning(c->n > c->base->n ? c->n : c->base->n, alpha);
    }
}

// Results that differ in something that no projection shows should not have met here.
static const struct word *vary_warning(const struct cell *c, const struct projection *residue)
{
    str message = STR("benchmarks vary in "), separator = STR("");
    if (!c->rests)
        return NULL;
    for (size_t i = 0; i < residue->n_flat; i++) {
        const struct field *f = residue->flat[i];
        size_t j = 1;
        while (j < c->rests->list.n && key_get(c->rests->list.keys[j], f) == key_get(c->rest, f))
            j++;
        if (j == c->rests->list.n)
            continue;
        message = mem_join((str[]){message, separator, {f->name->s, f->name->n}}, 3);
        separator = STR(", ");
    }
    return word_of(message);
}

// ---- columns --------------------------------------------------------------------------------

static void warn(struct column *c, const char *message)
{
    c->warnings[c->n_warnings++] = word_z(message);
}

struct tally {
    struct geomean centers, ratios;
    size_t n_ratios;
    bool no_ratio; // a division by zero
};

static void tally_cell(struct tally *t, const struct cell *c)
{
    geomean_add(&t->centers, c->center);
    if (!c->base)
        return;
    t->n_ratios++;
    if (c->center == c->base->center)
        geomean_add(&t->ratios, 1); // 0/0 too
    else if (c->base->center == 0)
        t->no_ratio = true;
    else
        geomean_add(&t->ratios, c->center / c->base->center);
}

static void summarize_column(struct column *c, const struct tally *t, bool is_base, size_t n_base)
{
    // Of different sets of benchmarks, the means cannot be compared.
    if (!is_base && t->n_ratios != n_base)
        warn(c, "benchmark set differs from baseline; geomeans may not be comparable");
    c->summary = geomean_value(&t->centers);
    c->has_summary = !isnan(c->summary);
    if (!c->has_summary)
        warn(c, "summaries must be >0 to compute geomean");
    if (is_base || t->no_ratio)
        return;
    c->ratio = geomean_value(&t->ratios);
    c->has_ratio = !isnan(c->ratio);
    if (!c->has_ratio)
        warn(c, "ratios must be >0 to compute geomean");
}

static void summarize_columns(struct table *t)
{
    struct tally *tallies = mem_alloc(t->n_cols * sizeof *tallies);
    size_t n_base = 0;
    for (size_t i = 0; i < t->n_cells; i++) {
        tally_cell(&tallies[t->cells[i]->col_index], t->cells[i]);
        n_base += t->cells[i]->col_index == 0;
    }
    for (size_t i = 0; i < t->n_cols; i++)
        summarize_column(&t->cols[i], &tallies[i], i == 0, n_base);
}

static void finish(struct table *t, const struct options *o, const struct projection *residue)
{
    const struct word *assume = unit_metadata(t->unit, word_of(STR("assume")));
    t->exact = assume && strcmp(assume->s, "exact") == 0;
    lay_out(t);
    for (size_t i = 0; i < t->n_cells; i++)
        put_in_order(t->cells[i], t->exact, o->confidence);
    for (size_t i = 0; i < t->n_cells; i++) {
        struct cell *c = t->cells[i];
        if (t->exact)
            summarize_exact(c);
        else
            summarize_median(c, o->confidence);
        if (c->base && !t->exact)
            compare(c, o->alpha);
        c->vary_warning = vary_warning(c, residue);
    }
    summarize_columns(t);
}

static int by_key(const void *a, const void *b)
{
    const struct table *x = *(struct table *const *)a, *y = *(struct table *const *)b;
    return key_less(x->key, y->key) ? -1 : key_less(y->key, x->key);
}

void tables_finish(struct builder *b, const struct options *o)
{
    projection_flatten(b->table);
    projection_flatten(b->row);
    projection_flatten(b->col);
    projection_flatten(b->residue);
    if (b->n_tables)
        qsort(b->tables, b->n_tables, sizeof *b->tables, by_key);
    for (size_t i = 0; i < b->n_tables; i++)
        finish(b->tables[i], o, b->residue);
}

// ---- in words -------------------------------------------------------------------------------

static double sign(double x)
{
    return isnan(x) ? x : (x > 0) - (x < 0);
}

size_t cell_range(char *out, const struct cell *c)
{
    const char *word = NULL;
    if (isinf(c->lo) || isinf(c->hi))
        word = "∞";
    else if (sign(c->center) != sign(c->lo) || sign(c->center) != sign(c->hi) || isnan(c->center))
        word = "?";
    else if (c->center == 0)
        word = "0%";
    if (word)
        return (size_t)(stpcpy(out, word) - out);
    double above = c->hi / c->center - 1, below = 1 - c->lo / c->center;
    // The greater of both; NaN if either is.
    double widest = isnan(above) || isnan(below) ? NAN : above > below ? above : below;
    size_t n = number_fixed(out, 100 * widest, 0, false);
    return (size_t)(stpcpy(out + n, "%") - out);
}

size_t cell_delta(char *out, const struct cell *c)
{
    double old = c->base->center, new = c->center;
    const char *word = NULL;
    if (c->p > c->alpha)
        word = "~";
    else if (old == new)
        word = "0.00%";
    else if (old == 0)
        word = "?";
    if (word)
        return (size_t)(stpcpy(out, word) - out);
    size_t n = number_fixed(out, (new / old - 1) * 100, 2, true);
    return (size_t)(stpcpy(out + n, "%") - out);
}

size_t cell_comparison(char *out, const struct cell *c)
{
    size_t n = 0;
    if (c->p != 0) {
        n += (size_t)sprintf(out, "p=");
        n += number_fixed(out + n, c->p, 3, false);
        out[n++] = ' ';
    }
    if (c->base->n == c->n)
        return n + (size_t)sprintf(out + n, "n=%zu", c->n);
    return n + (size_t)sprintf(out + n, "n=%zu+%zu", c->base->n, c->n);
}

size_t column_delta(char *out, const struct column *c)
{
    if (!c->has_ratio)
        return (size_t)(stpcpy(out, "?") - out);
    size_t n = number_fixed(out, (c->ratio - 1) * 100, 2, true);
    return (size_t)(stpcpy(out + n, "%") - out);
}
