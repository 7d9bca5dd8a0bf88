/* A damaged byte in a timestamp, or a packet without one, would make a trace of a second look like
 * one of a century. What lies too far from the middle of all times is left out. */
#include "cmd/trace/reader.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 1024 };
/* Ten days. */
#define LONGEST_TRACE_NS (INT64_C(864000) * 1000000000)

struct list { /* each element begins with its time */
    char *elements;
    uint32_t *n;
    size_t size;
};

static int64_t time_of(const struct list *l, uint32_t i)
{
    int64_t ns;
    memcpy(&ns, l->elements + i * l->size, sizeof ns);
    return ns;
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The middle one of times from all over the lists; 0: there are none. */
static int64_t middle(const struct list *lists, int nlists)
{
    int64_t times[SAMPLES];
    uint64_t total = 0, at = 0;
    uint32_t n = 0;

    for (int i = 0; i < nlists; i++)
        total += *lists[i].n;
    uint64_t step = total / SAMPLES + 1;
    for (int i = 0; i < nlists; i++) {
        for (; at < *lists[i].n && n < SAMPLES; at += step)
            times[n++] = time_of(&lists[i], (uint32_t)at);
        at -= at < *lists[i].n ? at : *lists[i].n;
    }
    qsort(times, n, sizeof *times, compare_times);
    return n ? times[n / 2] : 0;
}

static uint32_t keep(const struct list *l, int64_t from_ns, int64_t to_ns)
{
    uint32_t kept = 0, n = *l->n;

    for (uint32_t i = 0; i < n; i++) {
        int64_t ns = time_of(l, i);
        if (ns < from_ns || ns > to_ns)
            continue;
        if (kept != i)
            memcpy(l->elements + kept * l->size, l->elements + i * l->size, l->size);
        kept++;
    }
    *l->n = kept;
    return n - kept;
}

void drop_misdated(struct reader *r)
{
    const struct list lists[] = {
        {(char *)r->raws, &r->nraws, sizeof *r->raws},
        {(char *)r->values, &r->nvalues, sizeof *r->values},
        {(char *)r->switches, &r->nswitches, sizeof *r->switches},
        {(char *)r->wakings, &r->nwakings, sizeof *r->wakings},
        {(char *)r->samples, &r->nsamples, sizeof *r->samples},
    };
    const int nlists = sizeof lists / sizeof lists[0];
    int64_t ns = middle(lists, nlists), from = 1, to = INT64_MAX;

    if (ns > LONGEST_TRACE_NS)
        from = ns - LONGEST_TRACE_NS;
    if (ns < INT64_MAX - LONGEST_TRACE_NS)
        to = ns + LONGEST_TRACE_NS;
    for (int i = 0; i < nlists; i++)
        r->misdated += keep(&lists[i], from, to);
}
