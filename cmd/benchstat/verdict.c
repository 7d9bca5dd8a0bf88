// verdict.c: one sentence per comparison: what is proven, or why nothing is and what to do.
//
// The ratio of the medians gets a confidence interval that assumes as little as the U test does:
// all ratios of a base value to another are sorted, and the interval runs from the k-th smallest
// to the k-th largest, with k from the distribution of U. This is the test turned around: the
// interval holds the ratios that it would not reject.
//   L. Moses, in Walker and Lev, "Statistical Inference", 1953; D. Bauer, "Constructing Confidence
//   Sets Using Rank Statistics", JASA 67, 1972 (for a shift; a ratio is a shift of logarithms).

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MANY_PAIRS = 4096 };

struct ratio {
    double center, lo, hi;
    bool bounded;
};

// How many ratios of a value of a to one of b are at most x, or NaN. Both are sorted and positive.
static size_t count_up_to(const struct cell *a, const struct cell *b, double x)
{
    size_t count = 0, j = 0; // the greater a value, the fewer
    for (size_t i = 0; i < a->n; i++) {
        while (j < b->n && a->values[i] / b->values[j] > x)
            j++;
        count += b->n - j;
    }
    return count;
}

// The k-th smallest of more ratios than there is memory for: the smallest double that k of them do
// not exceed. The bits of positive doubles are in the order of the doubles.
static double search_ratio(const struct cell *a, const struct cell *b, size_t k)
{
    double x = INFINITY;
    uint64_t least = 0, most;
    memcpy(&most, &x, sizeof most);
    if (count_up_to(a, b, -1) >= k)
        return NAN; // infinity over infinity
    while (least < most) {
        uint64_t middle = least + (most - least) / 2;
        memcpy(&x, &middle, sizeof x);
        if (count_up_to(a, b, x) >= k)
            most = middle;
        else
            least = middle + 1;
    }
    memcpy(&x, &least, sizeof x);
    return x;
}

// The k-th smallest and the k-th largest ratio. Few are sorted, which is faster.
static void bound_ratio(struct ratio *r, const struct cell *a, const struct cell *b, size_t k)
{
    size_t pairs = a->n * b->n;
    if (pairs > MANY_PAIRS) {
        r->lo = search_ratio(a, b, k);
        r->hi = search_ratio(a, b, pairs - k + 1);
        return;
    }
    double *ratios = mem_grow(NULL, pairs * sizeof *ratios);
    for (size_t i = 0; i < a->n; i++)
        for (size_t j = 0; j < b->n; j++)
            ratios[i * b->n + j] = a->values[i] / b->values[j];
    sort_values(ratios, pairs);
    r->lo = ratios[k - 1];
    r->hi = ratios[pairs - k];
    free(ratios);
}

// How many times the base's value a is of b. An interval needs positive values.
static struct ratio ratio_of(const struct cell *a, const struct cell *b, double confidence)
{
    struct ratio r = {.center = a->center / b->center};
    size_t k = u_test_interval(a->n, b->n, confidence);
    if (k == 0 || !(a->values[0] > 0) || !(b->values[0] > 0))
        return r;
    bound_ratio(&r, a, b, k);
    // The ratio of the medians may, rarely, lie outside of what its pairs say.
    r.lo = fmin(r.center, r.lo);
    r.hi = fmax(r.center, r.hi);
    r.bounded = true;
    return r;
}

// Three significant digits, thousands set off: "13,900x", "1.23x".
static void format_times(char *out, double x)
{
    char digits[NUMBER_MAX];
    int decimals = x < 9.995 ? 2 : x < 99.95 ? 1 : 0;
    if (x >= 999.5) {
        double unit = pow(10, floor(log10(x)) - 2);
        x = round(x / unit) * unit;
    }
    size_t n = number_fixed(digits, x, decimals, false), whole = strcspn(digits, ".");
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && i < whole && (whole - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    strcpy(out, "x");
}

static void format_percent(char *out, double ratio)
{
    size_t n = number_fixed(out, (ratio - 1) * 100, 1, false);
    strcpy(out + n, "%");
}

// What is said about smaller and greater values of a unit.
struct terms {
    const char *smaller, *greater, *of;
    bool greater_is_better;
};

static struct terms terms_of(const struct table *t)
{
    const struct word *better = unit_metadata(t->unit, word_of(STR("better")));
    bool higher = better ? strcmp(better->s, "higher") == 0
                         : strcmp(t->unit->s, "B/s") == 0 || strcmp(t->unit->s, "MB/s") == 0;
    if (strcmp(t->unit->s, "sec/op") == 0 || strcmp(t->unit->s, "ns/op") == 0)
        return (struct terms){"faster", "slower", "", false};
    return (struct terms){"less", "more", t->unit->s, higher};
}

// ---- sentences ------------------------------------------------------------------------------

struct comparison {
    const struct options *o;
    const struct table *t;
    const struct cell *c;
    const char *base, *other; // the columns' labels
    const char *numbers;      // "p=0.000; n=10+10; noise floor 0.9%"
};

static void set_numbers(struct comparison *v)
{
    char p[NUMBER_MAX];
    number_fixed(p, v->c->p, 3, false);
    v->numbers = mem_format("p=%s; n=%zu+%zu", p, v->c->base->n, v->c->n);
    if (v->o->has_noise)
        v->numbers = mem_format("%s; noise floor %s%%", v->numbers, number_v(v->o->noise_percent));
}

static void say_too_few(const struct comparison *v, FILE *to)
{
    int need;
    u_test_samples_needed(v->o->alpha, &need);
    fprintf(to,
            "inconclusive: too few runs to tell %s from %s (%s): run each at least %d times, "
            "better 10 (-count 10)\n",
            v->other, v->base, v->numbers, need);
}

static void say_no_difference(const struct comparison *v, FILE *to)
{
    fprintf(to,
            "inconclusive: no difference in %s between %s and %s could be proven (%s): more runs "
            "(-count %zu) on a quieter machine would show a smaller one\n",
            v->t->unit->s, v->other, v->base, v->numbers, 2 * (v->c->n > 10 ? v->c->n : 10));
}

static void say_noise(const struct comparison *v, FILE *to)
{
    char percent[NUMBER_MAX];
    size_t n = number_fixed(percent, fabs(v->c->center / v->c->base->center - 1) * 100, 1, false);
    strcpy(percent + n, "%");
    fprintf(to,
            "inconclusive: %s and %s differ by %s, less than two runs of the same program do "
            "(%s): make the machine quieter, or the work longer (-benchtime)\n",
            v->other, v->base, percent, v->numbers);
}

static void say_undefined(const struct comparison *v, FILE *to)
{
    fprintf(to,
            "inconclusive: no ratio of %s to %s, since a median is not above 0 (%s): compare the "
            "numbers in the table\n",
            v->other, v->base, v->numbers);
}

static void say_equal(const struct comparison *v, FILE *to)
{
    fprintf(to, "%s and %s have the same %s in every run (n=%zu+%zu)\n", v->other, v->base,
            v->t->unit->s, v->c->base->n, v->c->n);
}

// One of the two is 0, where a ratio says nothing.
static void say_numbers(const struct comparison *v, FILE *to)
{
    char old[NUMBER_MAX], new[NUMBER_MAX];
    double centers[] = {v->c->base->center, v->c->center};
    struct scale scale = scale_for(centers, 2, unit_is_binary(v->t->unit));
    scale_format(old, scale, centers[0]);
    scale_format(new, scale, centers[1]);
    fprintf(to, "%s has %s %s, %s has %s (%s)\n", v->other, centers[1] == 0 ? "no" : new,
            v->t->unit->s, v->base, centers[0] == 0 ? "none" : old, v->numbers);
}

static void say_proven(const struct comparison *v, FILE *to)
{
    const struct cell *old = v->c->base, *new = v->c;
    struct terms terms = terms_of(v->t);
    bool smaller = new->center < old->center;
    struct ratio r =
        smaller ? ratio_of(old, new, v->o->confidence) : ratio_of(new, old, v->o->confidence);
    char center[NUMBER_MAX], lo[NUMBER_MAX], hi[NUMBER_MAX];
    void (*format)(char *, double) = r.center < 1.1 ? format_percent : format_times;
    format(center, r.center);
    fprintf(to, "%s %s %s %s%s%s than %s (", v->other, *terms.of ? "has" : "is", center,
            smaller ? terms.smaller : terms.greater, *terms.of ? " " : "", terms.of, v->base);
    if (r.bounded) {
        format(lo, r.lo);
        format(hi, r.hi);
        fprintf(to, "%s%% CI %s–%s; ", number_v(v->o->confidence * 100), lo, hi);
    }
    fprintf(to, "%s)\n", v->numbers);
}

static bool is_too_few(const struct word *warning)
{
    return warning && str_prefix((str){warning->s, warning->n}, STR("need"));
}

// Print the sentence; true if the comparison proves the other column better.
static bool say(struct comparison *v, FILE *to)
{
    double old = v->c->base->center, new = v->c->center, percent = fabs(new / old - 1) * 100;
    bool equal = v->c->p > v->c->alpha || old == new;
    set_numbers(v);
    if (v->t->rows.n > 1)
        fprintf(to, "%.*s: ", (int)key_label(v->c->row).n, key_label(v->c->row).s);
    if (v->c->compare_warning == word_of(STR("all samples are equal")))
        say_equal(v, to);
    else if (is_too_few(v->c->compare_warning))
        say_too_few(v, to);
    else if (equal)
        say_no_difference(v, to);
    else if (!(old >= 0) || !(new >= 0) || isinf(old) || isinf(new))
        say_undefined(v, to);
    else if (v->o->has_noise && percent < v->o->noise_percent)
        say_noise(v, to);
    else {
        if (old == 0 || new == 0)
            say_numbers(v, to);
        else
            say_proven(v, to);
        return (new < old) != terms_of(v->t).greater_is_better;
    }
    return false;
}

// All rows of a column; adds to *n how many comparisons there were.
static bool say_column(const struct options *o, const struct table *t, size_t col, FILE *to,
                       size_t *n)
{
    bool all = true;
    struct comparison v = {.o = o, .t = t};
    v.base = mem_format("%.*s", (int)key_label(t->cols[0].key).n, key_label(t->cols[0].key).s);
    v.other = mem_format("%.*s", (int)key_label(t->cols[col].key).n, key_label(t->cols[col].key).s);
    for (size_t i = 0; i < t->n_cells; i++) {
        v.c = t->cells[i];
        if (v.c->col_index != col || !v.c->base)
            continue;
        all &= say(&v, to);
        ++*n;
    }
    return all;
}

static bool is_time(const struct table *t)
{
    return strcmp(t->unit->s, "sec/op") == 0;
}

// Times come last and the second column comes last of all: the last line is what the exit status
// says.
bool print_verdict(struct builder *b, const struct options *o, FILE *to)
{
    size_t ignored = 0, decisive = 0;
    bool proven = true;
    putc('\n', to);
    for (size_t i = 0; i < b->n_tables; i++)
        for (size_t col = b->tables[i]->n_cols; !is_time(b->tables[i]) && col-- > 1;)
            say_column(o, b->tables[i], col, to, &ignored);
    for (size_t i = 0; i < b->n_tables; i++)
        for (size_t col = b->tables[i]->n_cols; is_time(b->tables[i]) && col-- > 2;)
            say_column(o, b->tables[i], col, to, &ignored);
    for (size_t i = 0; i < b->n_tables; i++)
        if (is_time(b->tables[i]) && b->tables[i]->n_cols > 1)
            proven &= say_column(o, b->tables[i], 1, to, &decisive);
    if (decisive == 0)
        fputs("inconclusive: no times to compare: there must be ns/op in two columns of one row "
              "(two files, or one and -col /impl)\n",
              to);
    return proven && decisive > 0;
}
