/* Links between events of different tracks: flows from who wakes to whom it woke, tasks by their
 * ids; and the flat lists of counters and samples. */
#include "cmd/trace/reader.h"

#include <stdlib.h>
#include <string.h>

/* ---- flows ----------------------------------------------------------------------------------- */

static void link_slice(struct trace *t, const struct trace_flow *f)
{
    if (f->slice == TRACE_NONE)
        return;
    struct trace_slice *s = &t->slices[f->slice];
    if (s->waker == TRACE_NONE && f->instant != TRACE_NONE)
        s->waker = t->tracks[f->from_track].thread;
}

static struct trace_flow join_ends(const struct raw_flow *from, const struct raw_flow *to)
{
    /* The two clocks may differ by a little: a waker comes first all the same. */
    if (from->instant == TRACE_NONE && to->instant != TRACE_NONE) {
        const struct raw_flow *swap = from;
        from = to;
        to = swap;
    }
    return (struct trace_flow){from->ns, to->ns, from->track, to->track, from->instant, to->slice};
}

static int compare_flows(const void *a, const void *b)
{
    int64_t x = ((const struct trace_flow *)a)->to_ns, y = ((const struct trace_flow *)b)->to_ns;
    return (x > y) - (x < y);
}

void build_flows(struct reader *r)
{
    struct trace *t = r->t;
    struct id_map last = {0};
    uint32_t capacity = 0;

    array_sort_by_time(r->flows, r->nflows, sizeof *r->flows);
    for (uint32_t i = 0; i < r->nflows; i++) {
        const struct raw_flow *to = &r->flows[i];
        uint32_t before = id_map_get(&last, to->id);
        id_map_set(&last, to->id, i);
        if (before == TRACE_NONE || (r->flows[before].ends && to->slice != TRACE_NONE))
            continue;
        t->flows = array_grow(t->flows, t->nflows, &capacity, sizeof *t->flows);
        t->flows[t->nflows] = join_ends(&r->flows[before], to);
        link_slice(t, &t->flows[t->nflows++]);
    }
    if (t->nflows)
        qsort(t->flows, t->nflows, sizeof *t->flows, compare_flows);
    id_map_free(&last);
}

/* ---- tasks ----------------------------------------------------------------------------------- */

static int compare_tasks(const void *a, const void *b)
{
    uint64_t x = ((const struct trace_task *)a)->id, y = ((const struct trace_task *)b)->id;
    return (x > y) - (x < y);
}

void build_tasks(struct reader *r)
{
    if (r->t->ntasks)
        qsort(r->t->tasks, r->t->ntasks, sizeof *r->t->tasks, compare_tasks);
}

/* ---- counters -------------------------------------------------------------------------------- */

static uint32_t add_counter(struct trace *t, uint32_t track, uint32_t *capacity)
{
    t->counters = array_grow(t->counters, t->ncounters, capacity, sizeof *t->counters);
    t->counters[t->ncounters] = (struct trace_counter){
        .name = t->tracks[track].name, .unit = t->tracks[track].unit, .track = track};
    return t->ncounters++;
}

void build_counters(struct reader *r)
{
    struct trace *t = r->t;
    struct id_map counter_of = {0};
    uint32_t capacity = 0;

    array_sort_by_time(r->values, r->nvalues, sizeof *r->values);
    for (uint32_t i = 0; i < r->nvalues; i++) {
        uint32_t track = r->values[i].track, c = id_map_get(&counter_of, track);
        if (c == TRACE_NONE) {
            c = add_counter(t, track, &capacity);
            id_map_set(&counter_of, track, c);
        }
        t->counters[c].values.n++;
        r->values[i].track = c;
    }
    for (uint32_t i = 0, first = 0; i < t->ncounters; i++) {
        t->counters[i].values.first = first;
        first += t->counters[i].values.n;
        t->counters[i].values.n = 0;
    }
    t->nvalues = r->nvalues;
    t->values = array_resize(NULL, r->nvalues, sizeof *t->values);
    for (uint32_t i = 0; i < r->nvalues; i++) {
        struct trace_range *range = &t->counters[r->values[i].track].values;
        t->values[range->first + range->n++] =
            (struct trace_value){r->values[i].ns, r->values[i].value};
    }
    id_map_free(&counter_of);
}

/* ---- samples --------------------------------------------------------------------------------- */

void build_samples(struct reader *r)
{
    struct trace *t = r->t;

    array_sort_by_time(r->samples, r->nsamples, sizeof *r->samples);
    t->samples = array_resize(NULL, r->nsamples, sizeof *t->samples);
    t->nsamples = r->nsamples;
    for (uint32_t i = 0; i < r->nsamples; i++)
        t->samples[i] = (struct trace_sample){r->samples[i].ns,
                                              thread_at(r, r->samples[i].tid, r->samples[i].ns),
                                              r->samples[i].stack};
}
