/* A tid that was given out again: two threads that never lived at the same time.
 *
 * libprof's tracks are known by their tids, so what several threads did stands on one track. Each
 * start of a thread after the first, or after an end, begins another: its events go to a track and
 * a thread of their own, or the time between the two would look like a wait. Entered before the
 * events become slices. */
#include "cmd/trace/reader.h"

#include <stdlib.h>

/* Somebody's start or end, with the track that its events go to. */
struct life {
    int64_t ns; /* first: array_sort_by_time */
    uint32_t from, to;
    bool ends;
};

struct lives {
    struct life *at;
    uint32_t n, capacity;
};

static void find(struct lives *l, const struct reader *r)
{
    for (uint32_t i = 0; i < r->nraws; i++) {
        const struct trace_slice *s = &r->raws[i].s;
        if (s->depth != RAW_INSTANT || s->category != KNOWN_THREAD ||
            (s->name != KNOWN_START && s->name != KNOWN_EXIT) ||
            r->t->tracks[s->track].thread == TRACE_NONE)
            continue;
        l->at = array_grow(l->at, l->n, &l->capacity, sizeof *l->at);
        l->at[l->n++] = (struct life){s->start_ns, s->track, s->track, s->name == KNOWN_EXIT};
    }
    array_sort_by_time(l->at, l->n, sizeof *l->at);
}

static uint32_t another_track(struct reader *r, uint32_t like)
{
    struct trace *t = r->t;
    uint64_t uuid = t->tracks[like].uuid;

    while (id_map_get(&r->track_of, uuid) != TRACE_NONE)
        uuid += UINT64_C(1) << 48;
    uint32_t track = track_of(r, uuid),
             thread = add_thread(r, t->threads[t->tracks[like].thread].tid);
    const struct trace_thread *first = &t->threads[t->tracks[like].thread];
    t->threads[thread].pid = first->pid;
    t->threads[thread].name = first->name;
    t->threads[thread].track = track;
    t->tracks[track].kind = TRACE_TRACK_THREAD;
    t->tracks[track].name = t->tracks[like].name;
    t->tracks[track].parent = t->tracks[like].parent;
    t->tracks[track].thread = thread;
    return track;
}

/* Gives each later start a track. Whether there is any. */
static bool assign(struct lives *l, struct reader *r)
{
    struct id_map seen = {0}; /* tracks that had a start or an end, and the one in use now */
    bool any = false;

    for (uint32_t i = 0; i < l->n; i++) {
        struct life *life = &l->at[i];
        uint32_t now = id_map_get(&seen, life->from);
        if (now == TRACE_NONE)
            now = life->from;
        else if (!life->ends) {
            now = another_track(r, life->from);
            any = true;
        }
        life->to = now;
        id_map_set(&seen, life->from, now);
    }
    id_map_free(&seen);
    return any;
}

static int by_track(const void *a, const void *b)
{
    const struct life *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->ns != y->ns ? (x->ns > y->ns) - (x->ns < y->ns) : x->ends - y->ends;
}

/* The track of an event: that of the last start which is not after it. */
static uint32_t track_at(const struct lives *l, uint32_t track, int64_t ns)
{
    uint32_t lo = 0, hi = l->n;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const struct life *m = &l->at[mid];
        if (m->from < track || (m->from == track && m->ns <= ns))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo > 0 && l->at[lo - 1].from == track ? l->at[lo - 1].to : track;
}

void split_threads(struct reader *r)
{
    struct lives l = {0};

    find(&l, r);
    if (l.n && assign(&l, r)) {
        qsort(l.at, l.n, sizeof *l.at, by_track);
        for (uint32_t i = 0; i < r->nraws; i++)
            r->raws[i].s.track = track_at(&l, r->raws[i].s.track, r->raws[i].s.start_ns);
    }
    free(l.at);
}
