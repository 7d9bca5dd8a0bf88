/* Collections: how often and how long the world stood still, and the minimum mutator utilisation:
 * of any window of a length, at least this share belonged to the program (Cheng and Blelloch,
 * 2001). */
#include "cmd/trace/array.h"
#include "cmd/trace/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pause { /* by start, apart from one another */
    int64_t start_ns, end_ns;
    int64_t before_ns; /* how long the world stood still before it */
};

struct pauses {
    const struct trace_view *v;
    struct pause *pauses;
    uint32_t n, capacity;
    struct tally tally, collections;
};

/* Within another, or beside it, a pause counts once. */
static void join(struct pauses *p)
{
    uint32_t kept = 0;
    int64_t before = 0;

    array_sort_by_time(p->pauses, p->n, sizeof *p->pauses);
    for (uint32_t i = 0; i < p->n; i++) {
        if (kept && p->pauses[i].start_ns <= p->pauses[kept - 1].end_ns) {
            if (p->pauses[i].end_ns > p->pauses[kept - 1].end_ns)
                p->pauses[kept - 1].end_ns = p->pauses[i].end_ns;
        } else {
            p->pauses[kept++] = p->pauses[i];
        }
    }
    p->n = kept;
    for (uint32_t i = 0; i < p->n; i++) {
        p->pauses[i].before_ns = before;
        before += p->pauses[i].end_ns - p->pauses[i].start_ns;
    }
}

static void collect(struct pauses *p)
{
    const struct trace_view *v = p->v;

    for (uint32_t i = 0; i < v->t->nslices; i++) {
        const struct trace_slice *s = &v->t->slices[i];
        int64_t ns = view_overlap(v, s->start_ns, s->end_ns);
        if (s->kind == TRACE_SLICE_GC && ns)
            tally_add(&p->collections, ns);
        if (s->kind != TRACE_SLICE_STOP || !ns)
            continue;
        tally_add(&p->tally, ns);
        p->pauses = array_grow(p->pauses, p->n, &p->capacity, sizeof *p->pauses);
        p->pauses[p->n++] = (struct pause){s->start_ns > v->from_ns ? s->start_ns : v->from_ns,
                                           s->end_ns < v->to_ns ? s->end_ns : v->to_ns, 0};
    }
    join(p);
}

/* How long the world had stood still until a moment. */
static int64_t stopped_until(const struct pauses *p, int64_t ns)
{
    uint32_t low = 0, high = p->n;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (p->pauses[middle].start_ns < ns)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return 0;
    const struct pause *last = &p->pauses[low - 1];
    return last->before_ns + (ns < last->end_ns ? ns : last->end_ns) - last->start_ns;
}

static double utilisation(const struct pauses *p, int64_t start, int64_t window)
{
    if (start < p->v->from_ns)
        start = p->v->from_ns;
    if (start > p->v->to_ns - window)
        start = p->v->to_ns - window;
    int64_t stopped = stopped_until(p, start + window) - stopped_until(p, start);
    return 1 - (double)stopped / (double)window;
}

/* A worst window begins where a pause begins, or ends where one ends. */
static double minimum_utilisation(const struct pauses *p, int64_t window)
{
    double least = 1;

    for (uint32_t i = 0; i < p->n; i++) {
        double a = utilisation(p, p->pauses[i].start_ns, window);
        double b = utilisation(p, p->pauses[i].end_ns - window, window);
        least = a < least ? a : least;
        least = b < least ? b : least;
    }
    return least;
}

static void print_utilisation(const struct pauses *p)
{
    static const int64_t windows[] = {1000000,    2000000,    5000000,    10000000,  20000000,
                                      50000000,   100000000,  200000000,  500000000, 1000000000,
                                      2000000000, 5000000000, 10000000000};
    struct grid g;

    heading("Minimum mutator utilisation");
    puts("  of every window of this length, the program had at least this share");
    grid_begin(&g, "window|share|<");
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        if (windows[i] > p->v->to_ns - p->v->from_ns)
            break;
        double least = minimum_utilisation(p, windows[i]);
        grid_cell(&g, "%s", time_text(windows[i]));
        grid_cell(&g, "%.1f%%", 100 * least);
        grid_cell(&g, "%s", bar((int64_t)(least * 1000), 1000, 40));
    }
    grid_end(&g);
}

static void put_tally(struct grid *g, const char *what, const struct tally *t, int64_t whole)
{
    grid_cell(g, "%s", what);
    grid_cell(g, "%" PRIu64, t->n);
    grid_time(g, t->sum_ns);
    grid_share(g, t->sum_ns, whole);
    grid_time(g, t->min_ns);
    grid_time(g, tally_mean(t));
    grid_time(g, t->max_ns);
}

void print_pauses(const struct trace_view *v)
{
    struct pauses p = {.v = v};
    struct grid g;

    collect(&p);
    if (p.collections.n || p.tally.n) {
        heading("Collections");
        grid_begin(&g, "<what|count|total|share|min|avg|max");
        put_tally(&g, "collection", &p.collections, v->to_ns - v->from_ns);
        put_tally(&g, "world stopped", &p.tally, v->to_ns - v->from_ns);
        grid_end(&g);
        if (p.n)
            print_utilisation(&p);
    }
    free(p.pauses);
}
