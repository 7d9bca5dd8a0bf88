/* The functions of a profile as a table: what `pprof -top` and `-peek` say, without pprof.
 *
 *   bin/top profiles/cpu/cpu.pprof
 *   bin/top -sample_index=alloc_space -n 3 profiles/heap/heap.pprof
 *   bin/top -callers memo_get profiles/cpu/cpu.pprof
 *
 * Counts every function once a stack, then prints the largest. -tsv is for scripts
 * (scripts/record.sh, scripts/quiz.sh): plain numbers, tabs between them. */
#include "cmd/options.h"
#include "cmd/output.h"
#include "cmd/saved.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const char *name;
    double flat, cum; /* of callers and callees: only cum */
    size_t seen;      /* the sample that counted it last, from 1 */
};

struct settings {
    const char *type, *callers, *callees, *hide;
    int64_t n;
    bool tsv, by_cum;
};

static const char *read_settings(struct settings *s, int argc, char **argv)
{
    const struct option_spec specs[] = {
        {"sample_index", OPTION_STRING, &s->type, 0, 0,
         "the values: cpu, alloc_space, inuse_space, delay ..."},
        {"n", OPTION_INT, &s->n, 0, 1000000, "functions to print; 0: all"},
        {"cum", OPTION_BOOL, &s->by_cum, 0, 0, "sorted by cum, not by flat"},
        {"callers", OPTION_STRING, &s->callers, 0, 0, "who calls this function"},
        {"callees", OPTION_STRING, &s->callees, 0, 0, "whom this function calls"},
        {"tsv", OPTION_BOOL, &s->tsv, 0, 0, "plain numbers with tabs between them"},
        {"hide", OPTION_STRING, &s->hide, 0, 0,
         "leave out functions that begin so; their callers get theirs"},
        {0}};
    int first = options_parse_flags(specs, argc, argv);

    if (first == argc)
        option_misuse("no profile; usage: top [-n 10] [-sample_index=cpu] profile.pb.gz; see -h");
    if (first + 1 < argc)
        option_misuse("unexpected argument '%s'; one profile is read, flags stand before it",
                      argv[first + 1]);
    if (s->callers && s->callees)
        option_misuse("-callers and -callees: give one of them");
    return argv[first];
}

/* ---- counting -------------------------------------------------------------------------------- */

static void count_functions(const struct saved *s, int type, struct row *rows)
{
    for (size_t i = 0; i < s->n_samples; i++) {
        const struct saved_sample *sample = &s->samples[i];
        double value = (double)sample->values[type];
        for (size_t j = 0; j < sample->n_frames; j++) {
            struct row *r = &rows[sample->frames[j]];
            r->flat += j == 0 ? value : 0;
            r->cum += r->seen == i + 1 ? 0 : value;
            r->seen = i + 1;
        }
    }
}

/* Neighbours of one function in the stacks: step 1 is its caller, -1 what it calls. */
static void count_neighbours(const struct saved *s, int type, struct row *rows, const char *name,
                             int step)
{
    for (size_t i = 0; i < s->n_samples; i++) {
        const struct saved_sample *sample = &s->samples[i];
        for (size_t j = 0; j < sample->n_frames; j++) {
            size_t other = j + (size_t)step;
            if (other >= sample->n_frames ||
                strcmp(s->functions[sample->frames[j]].name, name) != 0)
                continue;
            struct row *r = &rows[sample->frames[other]];
            r->cum += r->seen == i + 1 ? 0 : (double)sample->values[type];
            r->seen = i + 1;
        }
    }
}

static int larger(double a, double b)
{
    return a > b ? -1 : a < b;
}

static int by_flat(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = larger(x->flat, y->flat);
    order = order ? order : larger(x->cum, y->cum);
    return order ? order : strcmp(x->name, y->name);
}

static int by_cum(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = larger(x->cum, y->cum);
    order = order ? order : larger(x->flat, y->flat);
    return order ? order : strcmp(x->name, y->name);
}

/* ---- printing -------------------------------------------------------------------------------- */

struct sums {
    double total, count;
    size_t depth;
};

/* The values that count what the values of this type measure: they stand before them. */
static int counting_type(const struct saved *s, int type)
{
    return type > 0 && strcmp(s->types[type - 1].unit, "count") == 0 ? type - 1 : type;
}

static struct sums sum_up(const struct saved *s, int type)
{
    struct sums sums = {0};
    int counts = counting_type(s, type);

    for (size_t i = 0; i < s->n_samples; i++) {
        if (s->samples[i].values[type] == 0)
            continue;
        sums.total += (double)s->samples[i].values[type];
        sums.count += (double)s->samples[i].values[counts];
        sums.depth = s->samples[i].n_frames > sums.depth ? s->samples[i].n_frames : sums.depth;
    }
    return sums;
}

static void print_head(const struct settings *o, const struct saved *s, int type,
                       const struct sums *sums)
{
    const struct saved_type *t = &s->types[type];
    const char *counted = s->types[counting_type(s, type)].type;
    char text[64];

    if (o->tsv) {
        printf("#type\t%s\n#unit\t%s\n#total\t%.0f\n#counted\t%s\n#count\t%.0f\n#depth\t%zu\n#"
               "text\t%s\n#"
               "time\t%" PRId64 "\n#duration\t%" PRId64 "\n",
               t->type, t->unit, sums->total, counted, sums->count, sums->depth,
               saved_format(text, sizeof text, sums->total, t->unit), s->time_ns / 1000000000,
               s->duration_ns);
        return;
    }
    printf("%s: %s in all", t->type, saved_format(text, sizeof text, sums->total, t->unit));
    if (counted != t->type)
        printf(", %s: %s", counted, saved_format(text, sizeof text, sums->count, "count"));
    if (s->duration_ns > 0)
        printf(", over %s", saved_format(text, sizeof text, (double)s->duration_ns, "nanoseconds"));
    puts("");
}

/* Columns, not bytes: µs takes two bytes for one of them. */
static void print_value(double value, double total, const char *unit)
{
    char text[64];
    saved_format(text, sizeof text, value, unit);
    int width = 10 + (strstr(text, "µ") != NULL);
    printf("%*s %6.1f%%  ", width, text, total > 0 ? 100 * value / total : 0);
}

/* flat, cum and the function; then the same as people read it, for tables that scripts make. */
static void print_plain_row(const struct row *r, double total, const char *unit)
{
    char flat[64], cum[64];
    double percent = total > 0 ? 100 / total : 0;

    printf("%.0f\t%.0f\t%s\t%s\t%.1f%%\t%s\t%.1f%%\n", r->flat, r->cum, r->name,
           saved_format(flat, sizeof flat, r->flat, unit), percent * r->flat,
           saved_format(cum, sizeof cum, r->cum, unit), percent * r->cum);
}

static void print_row(const struct settings *o, const struct row *r, double total, const char *unit)
{
    if (o->tsv) {
        print_plain_row(r, total, unit);
        return;
    }
    if (!o->callers && !o->callees)
        print_value(r->flat, total, unit);
    print_value(r->cum, total, unit);
    puts(r->name);
}

static void print_rows(const struct settings *o, const struct row *rows, size_t n, double total,
                       const char *unit)
{
    bool neighbours = o->callers || o->callees;

    if (!o->tsv && neighbours)
        printf("%10s %7s  %s\n", "value", "share", o->callers ? "caller" : "callee");
    else if (!o->tsv)
        printf("%10s %7s  %10s %7s  %s\n", "flat", "flat%", "cum", "cum%", "function");
    for (size_t i = 0, printed = 0; i < n && (o->n == 0 || printed < (size_t)o->n); i++) {
        if (rows[i].cum == 0 && rows[i].flat == 0)
            continue;
        print_row(o, &rows[i], total, unit);
        printed++;
    }
}

static void require_function(const struct saved *s, const char *name, const char *path)
{
    for (size_t i = 0; i < s->n_functions; i++)
        if (strcmp(s->functions[i].name, name) == 0)
            return;
    fprintf(stderr, "top: %s has no function '%s'; -n 0 lists them all\n", path, name);
    exit(1);
}

int main(int argc, char **argv)
{
    struct settings o = {.n = 10};
    struct saved s;
    const char *path = read_settings(&o, argc, argv), *of = o.callers ? o.callers : o.callees;
    int type = saved_open(&s, path, o.type);
    struct row *rows = calloc(s.n_functions + 1, sizeof *rows);

    if (o.hide)
        saved_hide(&s, o.hide);
    if (!rows)
        option_misuse("out of memory");
    for (size_t i = 0; i < s.n_functions; i++)
        rows[i].name = s.functions[i].name;
    if (of) {
        require_function(&s, of, path);
        count_neighbours(&s, type, rows, of, o.callers ? 1 : -1);
    } else {
        count_functions(&s, type, rows);
    }
    qsort(rows, s.n_functions, sizeof *rows, of || o.by_cum ? by_cum : by_flat);
    struct sums sums = sum_up(&s, type);
    print_head(&o, &s, type, &sums);
    print_rows(&o, rows, s.n_functions, sums.total, s.types[type].unit);
    free(rows);
    saved_free(&s);
    return output_finish(0);
}
