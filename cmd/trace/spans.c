/* Tasks and regions: how many of each name, how long, spread over a histogram, and the slowest.
 * What the trace did not see whole is counted apart: its length is not known. */
#include "cmd/trace/array.h"
#include "cmd/trace/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_NAMES = 30, HISTOGRAMS = 8, SLOWEST = 5, BUCKETS = 64, BAR = 40 };

struct span { /* one instance; array_sort_by_time sorts them by length */
    int64_t ns;
    uint32_t slice;
};

struct name {
    uint32_t string;
    struct tally tally;
    uint32_t partial; /* began before, or did not end within the trace */
    struct span *spans;
    uint32_t capacity;
};

struct names {
    const struct trace_view *v;
    struct id_map name_of;
    struct name *names;
    uint32_t n, capacity;
};

static struct name *name_of(struct names *all, uint32_t string)
{
    uint32_t i = id_map_get(&all->name_of, string);

    if (i == TRACE_NONE) {
        i = all->n++;
        all->names = array_grow(all->names, i, &all->capacity, sizeof *all->names);
        all->names[i] = (struct name){.string = string};
        id_map_set(&all->name_of, string, i);
    }
    return &all->names[i];
}

/* A task belongs to the threads that have regions or logs of it; with -thread all tasks are left
 * out. */
static void collect(struct names *all, int kind)
{
    const struct trace *t = all->v->t;

    for (uint32_t i = 0; i < t->nslices; i++) {
        const struct trace_slice *s = &t->slices[i];
        if (s->kind != kind || !view_has(all->v, s->start_ns, s->end_ns) ||
            !view_track(all->v, s->track))
            continue;
        struct name *n = name_of(all, s->name);
        if (s->flags & (TRACE_NO_BEGIN | TRACE_NO_END)) {
            n->partial++;
            continue;
        }
        n->spans = array_grow(n->spans, (uint32_t)n->tally.n, &n->capacity, sizeof *n->spans);
        n->spans[n->tally.n] = (struct span){s->end_ns - s->start_ns, i};
        tally_add(&n->tally, s->end_ns - s->start_ns);
    }
}

static int by_total(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    if (x->tally.sum_ns != y->tally.sum_ns)
        return x->tally.sum_ns < y->tally.sum_ns ? 1 : -1;
    return (x->string > y->string) - (x->string < y->string);
}

/* The smallest length that at least so many percent do not exceed. */
static int64_t percentile(const struct name *n, unsigned percent)
{
    uint64_t rank = (n->tally.n * percent + 99) / 100;
    return n->tally.n ? n->spans[rank ? rank - 1 : 0].ns : 0;
}

static void print_table(const struct names *all)
{
    struct grid g;

    grid_begin(&g, "<name|count|partial|total|min|avg|p50|p99|max");
    for (uint32_t i = 0; i < all->n && i < SHOWN_NAMES; i++) {
        const struct name *n = &all->names[i];
        grid_cell(&g, "%s", trace_text(all->v->t, n->string));
        grid_cell(&g, "%" PRIu64, n->tally.n);
        if (n->partial)
            grid_cell(&g, "%u", n->partial);
        else
            grid_cell(&g, "-");
        grid_time(&g, n->tally.sum_ns);
        grid_time(&g, n->tally.min_ns);
        grid_time(&g, tally_mean(&n->tally));
        grid_time(&g, percentile(n, 50));
        grid_time(&g, percentile(n, 99));
        grid_time(&g, n->tally.max_ns);
    }
    grid_end(&g);
    if (all->n > SHOWN_NAMES)
        printf("  and %u more\n", all->n - SHOWN_NAMES);
}

/* ---- histograms ------------------------------------------------------------------------------ */

/* Buckets end at 1, 2, 5, 10, 20, 50 ... ns: bucket i holds what is below its end. */
static int64_t bucket_end(int i)
{
    static const int64_t steps[] = {1, 2, 5};
    int64_t end = steps[i % 3];

    for (int k = 0; k < i / 3 && end < INT64_MAX / 10; k++)
        end *= 10;
    return end;
}

static int bucket_of(int64_t ns)
{
    int i = 0;
    while (i < BUCKETS - 1 && ns >= bucket_end(i))
        i++;
    return i;
}

static void print_histogram(const struct name *n)
{
    uint64_t counts[BUCKETS] = {0}, most = 0;
    struct grid g;

    for (uint64_t i = 0; i < n->tally.n; i++) {
        uint64_t count = ++counts[bucket_of(n->spans[i].ns)];
        most = count > most ? count : most;
    }
    grid_begin(&g, "from|below|count|<");
    for (int i = bucket_of(n->tally.min_ns); i <= bucket_of(n->tally.max_ns); i++) {
        grid_cell(&g, "%s", i ? time_text(bucket_end(i - 1)) : "0");
        grid_cell(&g, "%s", time_text(bucket_end(i)));
        grid_cell(&g, "%" PRIu64, counts[i]);
        grid_cell(&g, "%s", bar((int64_t)counts[i], (int64_t)most, BAR));
    }
    grid_end(&g);
}

static void print_slowest(const struct trace_view *v, const struct name *n)
{
    const struct trace *t = v->t;

    fputs("  slowest:", stdout);
    for (uint64_t i = 0; i < n->tally.n && i < SLOWEST; i++) {
        const struct span *span = &n->spans[n->tally.n - 1 - i];
        const struct trace_slice *s = &t->slices[span->slice];
        printf("%s %s at %s", i ? "," : "", time_text(span->ns),
               time_text(s->start_ns - t->start_ns));
        if (s->kind == TRACE_SLICE_TASK)
            printf(" (task %" PRIu64 ")", s->value);
        else
            printf(" (%s)", plain(thread_label(t, t->tracks[s->track].thread)));
    }
    putchar('\n');
}

static void print_kind(const struct trace_view *v, int kind, const char *what)
{
    struct names all = {.v = v};

    collect(&all, kind);
    for (uint32_t i = 0; i < all.n; i++)
        array_sort_by_time(all.names[i].spans, (uint32_t)all.names[i].tally.n,
                           sizeof *all.names[i].spans);
    if (all.n) {
        qsort(all.names, all.n, sizeof *all.names, by_total);
        heading("%s", what);
        print_table(&all);
    }
    for (uint32_t i = 0; i < all.n && i < HISTOGRAMS; i++) {
        const struct name *n = &all.names[i];
        if (n->tally.n < 2)
            continue;
        heading("%s '%s'", kind == TRACE_SLICE_TASK ? "Task" : "Region",
                plain(trace_text(v->t, n->string)));
        print_histogram(n);
        print_slowest(v, n);
    }
    for (uint32_t i = 0; i < all.n; i++)
        free(all.names[i].spans);
    free(all.names);
    id_map_free(&all.name_of);
}

void print_spans(const struct trace_view *v)
{
    print_kind(v, TRACE_SLICE_TASK, "Tasks");
    print_kind(v, TRACE_SLICE_REGION, "Regions");
}
