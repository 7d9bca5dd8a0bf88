/* Events become slices and instants: each track's are put in order of time, and what has begun and
 * not ended is a stack. A ring that wrapped may have kept only the end of a slice: that began
 * before the trace did. */
#include "cmd/trace/reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct builder {
    struct reader *r;
    struct trace *t;
    uint32_t *open; /* slices of the track that have not ended */
    uint32_t nopen, copen;
    uint32_t cinstants, ctasks;
    struct trace_slice **ends; /* of slices that began before the trace, as they come */
    uint32_t nends, cends;
    uint64_t stray; /* ends without a beginning, of which nothing is known */
};

static uint8_t slice_kind(const struct trace *t, const struct trace_slice *s)
{
    switch (s->category) {
    case KNOWN_BLOCK:
        return TRACE_SLICE_BLOCK;
    case KNOWN_SYSCALL:
        return TRACE_SLICE_SYSCALL;
    case KNOWN_TASK:
        return TRACE_SLICE_TASK;
    case KNOWN_GC:
        return s->name == KNOWN_STOP_THE_WORLD ? TRACE_SLICE_STOP : TRACE_SLICE_GC;
    }
    return t->tracks[s->track].kind == TRACE_TRACK_THREAD ? TRACE_SLICE_REGION : TRACE_SLICE_OTHER;
}

static uint8_t instant_kind(const struct trace_slice *s)
{
    switch (s->category) {
    case KNOWN_WAKE:
        return TRACE_INSTANT_WAKE;
    case KNOWN_LOG:
        return TRACE_INSTANT_LOG;
    case KNOWN_NOTICE:
        return TRACE_INSTANT_NOTICE;
    case KNOWN_THREAD:
        return s->name == KNOWN_START  ? TRACE_INSTANT_START
               : s->name == KNOWN_EXIT ? TRACE_INSTANT_EXIT
                                       : TRACE_INSTANT_OTHER;
    }
    return s->kind; /* event.c has found out */
}

static void add_flows(struct reader *r, const struct trace_slice *event, uint32_t instant,
                      uint32_t slice)
{
    if (!event->end_ns || event->category == KNOWN_TASK)
        return;
    uint32_t i = (uint32_t)event->end_ns - 1;
    do {
        r->flows = array_grow(r->flows, r->nflows, &r->cflows, sizeof *r->flows);
        r->flows[r->nflows++] =
            (struct raw_flow){event->start_ns, r->flow_ids[i].id,
                              event->track,    instant,
                              slice,           (event->flags & RAW_FLOW_ENDS) != 0};
    } while (!r->flow_ids[i++].last);
}

/* ---- instants -------------------------------------------------------------------------------- */

/* The creator's tid is kept until every thread's start is known. */
static void note_thread(struct trace *t, const struct trace_slice *s, int kind)
{
    uint32_t i = t->tracks[s->track].thread;

    if (i == TRACE_NONE)
        return;
    struct trace_thread *thread = &t->threads[i];
    if (kind == TRACE_INSTANT_START) { /* the only one: reuse.c */
        thread->started = true;
        thread->start_ns = s->start_ns;
        thread->start_function = s->holder;
        thread->creator = s->waker;
        thread->creator_stack = s->stack;
    } else if (kind == TRACE_INSTANT_EXIT) {
        thread->exited = true;
        thread->end_ns = s->start_ns;
    }
}

static void add_instant(struct builder *b, const struct trace_slice *s)
{
    struct trace *t = b->t;
    uint8_t kind = instant_kind(s);

    add_flows(b->r, s, t->ninstants, TRACE_NONE);
    if (kind == TRACE_INSTANT_START || kind == TRACE_INSTANT_EXIT)
        note_thread(t, s, kind);
    t->instants = array_grow(t->instants, t->ninstants, &b->cinstants, sizeof *t->instants);
    t->instants[t->ninstants++] = (struct trace_instant){.ns = s->start_ns,
                                                         .value = s->value,
                                                         .track = s->track,
                                                         .name = s->name,
                                                         .category = s->category,
                                                         .stack = s->stack,
                                                         .args = s->args,
                                                         .kind = kind};
}

/* ---- slices ---------------------------------------------------------------------------------- */

static void begin_slice(struct builder *b, const struct trace_slice *event)
{
    struct trace *t = b->t;
    uint32_t at = t->nslices++;
    struct trace_slice *s = &t->slices[at];

    *s = *event;
    add_flows(b->r, event, TRACE_NONE, at);
    s->kind = slice_kind(t, s);
    s->depth = (uint8_t)(b->nopen < UINT8_MAX ? b->nopen : UINT8_MAX);
    s->flags = (event->flags & TRACE_HAS_VALUE) | TRACE_NO_END;
    s->name = s->name == KNOWN_EMPTY ? KNOWN_UNNAMED : s->name;
    s->end_ns = INT64_MAX;
    if (s->kind == TRACE_SLICE_TASK) {
        t->tasks = array_grow(t->tasks, t->ntasks, &b->ctasks, sizeof *t->tasks);
        t->tasks[t->ntasks++] = (struct trace_task){s->value, (uint64_t)event->end_ns, at};
    }
    b->open = array_grow(b->open, b->nopen, &b->copen, sizeof *b->open);
    b->open[b->nopen++] = at;
}

static void copy_args(struct reader *r, uint32_t args)
{
    struct trace *t = r->t;
    bool last;

    do {
        t->args = array_grow(t->args, t->nargs, &r->cargs, sizeof *t->args);
        t->args[t->nargs++] = t->args[args];
        last = t->args[args++].last;
    } while (!last);
}

/* Further annotations of the end join those of the beginning. */
static uint32_t join_args(struct reader *r, uint32_t a, uint32_t b)
{
    if (a == TRACE_NONE || b == TRACE_NONE)
        return a == TRACE_NONE ? b : a;
    uint32_t first = r->t->nargs;
    copy_args(r, a);
    r->t->args[r->t->nargs - 1].last = false;
    copy_args(r, b);
    return first;
}

static void end_slice(struct builder *b, const struct trace_slice *event)
{
    uint32_t at = b->open[--b->nopen];
    struct trace_slice *s = &b->t->slices[at];

    add_flows(b->r, event, TRACE_NONE, at);
    s->end_ns = event->start_ns;
    s->flags &= (uint8_t)~TRACE_NO_END;
    if (event->waker)
        s->waker = event->waker;
    if (event->flags & TRACE_HAS_VALUE && !(s->flags & TRACE_HAS_VALUE)) {
        s->value = event->value;
        s->flags |= TRACE_HAS_VALUE;
    }
    s->args = join_args(b->r, s->args, event->args);
}

/* ---- a track --------------------------------------------------------------------------------- */

/* Slices that began before the trace did lie around everything up to their ends, so that they come
 * first; the last to end is the outermost. */
static void begin_earlier(struct builder *b, struct raw *raws, uint32_t n)
{
    uint32_t depth = 0;

    b->nends = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct trace_slice *s = &raws[i].s;
        if (s->depth == RAW_BEGIN) {
            depth++;
        } else if (s->depth == RAW_END && depth) {
            depth--;
        } else if (s->depth == RAW_END && s->name == KNOWN_EMPTY && s->category == KNOWN_EMPTY) {
            s->depth = RAW_NONE;
            b->stray++;
        } else if (s->depth == RAW_END) {
            b->ends = array_grow(b->ends, b->nends, &b->cends, sizeof *b->ends);
            b->ends[b->nends++] = s;
        }
    }
    while (b->nends > 0) {
        struct trace_slice begin = *b->ends[--b->nends];
        begin.start_ns = b->t->start_ns;
        begin.args = TRACE_NONE;
        begin.end_ns = 0;
        begin_slice(b, &begin);
        b->t->slices[b->t->nslices - 1].flags |= TRACE_NO_BEGIN;
    }
}

static void set_track_kind(struct trace *t, struct trace_track *track)
{
    if (track->kind != TRACE_TRACK_OTHER || track->slices.n == 0)
        return;
    uint8_t kind = t->slices[track->slices.first].kind;
    if (kind == TRACE_SLICE_TASK)
        track->kind = TRACE_TRACK_TASK;
    else if (kind == TRACE_SLICE_GC || kind == TRACE_SLICE_STOP)
        track->kind = TRACE_TRACK_GC;
}

/* What is open at the end ends with its thread, or with the trace. */
static void end_open(struct builder *b, const struct trace_track *track)
{
    struct trace *t = b->t;
    int64_t end = t->end_ns;

    if (track->thread != TRACE_NONE && t->threads[track->thread].exited)
        end = t->threads[track->thread].end_ns;
    while (b->nopen > 0) {
        struct trace_slice *s = &t->slices[b->open[--b->nopen]];
        s->end_ns = end > s->start_ns ? end : s->start_ns;
    }
}

static void build_track(struct builder *b, struct trace_track *track, struct raw *raws, uint32_t n)
{
    struct trace *t = b->t;

    array_sort_by_time(raws, n, sizeof *raws);
    track->slices.first = t->nslices;
    track->instants.first = t->ninstants;
    begin_earlier(b, raws, n);
    for (uint32_t i = 0; i < n; i++) {
        if (raws[i].s.depth == RAW_BEGIN)
            begin_slice(b, &raws[i].s);
        else if (raws[i].s.depth == RAW_END)
            end_slice(b, &raws[i].s);
        else if (raws[i].s.depth == RAW_INSTANT)
            add_instant(b, &raws[i].s);
    }
    track->slices.n = t->nslices - track->slices.first;
    track->instants.n = t->ninstants - track->instants.first;
    set_track_kind(t, track);
    end_open(b, track);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Puts the raw events of each track together; first[i] is where track i begins. */
static void group_by_track(struct reader *r, uint32_t *first)
{
    uint32_t ntracks = r->t->ntracks, sum = 0;
    struct raw *grouped = array_resize(NULL, r->nraws, sizeof *grouped);

    memset(first, 0, (ntracks + 1) * sizeof *first);
    for (uint32_t i = 0; i < r->nraws; i++)
        first[r->raws[i].s.track]++;
    for (uint32_t i = 0; i <= ntracks; i++) {
        uint32_t n = i < ntracks ? first[i] : 0;
        first[i] = sum;
        sum += n;
    }
    for (uint32_t i = 0; i < r->nraws; i++)
        grouped[first[r->raws[i].s.track]++] = r->raws[i];
    memmove(first + 1, first, ntracks * sizeof *first);
    first[0] = 0;
    free(r->raws);
    r->raws = grouped;
}

/* Tids become threads, now that it is known when those began. */
static void settle_threads(struct reader *r)
{
    struct trace *t = r->t;

    for (uint32_t i = 0; i < t->nslices; i++) {
        struct trace_slice *s = &t->slices[i];
        s->holder = thread_at(r, (int32_t)s->holder, s->start_ns);
        s->waker = thread_at(r, (int32_t)s->waker, s->end_ns);
    }
    for (uint32_t i = 0, n = t->nthreads; i < n; i++)
        if (t->threads[i].started) {
            uint32_t creator = thread_at(r, (int32_t)t->threads[i].creator, t->threads[i].start_ns);
            t->threads[i].creator = creator;
        }
}

void build_slices(struct reader *r)
{
    struct trace *t = r->t;
    struct builder b = {.r = r, .t = t};
    uint32_t *first = array_resize(NULL, t->ntracks + 1, sizeof *first), ends = 0;

    group_by_track(r, first);
    for (uint32_t i = 0; i < r->nraws; i++)
        ends += r->raws[i].s.depth == RAW_BEGIN || r->raws[i].s.depth == RAW_END;
    t->slices = array_resize(NULL, ends, sizeof *t->slices);
    for (uint32_t i = 0; i < t->ntracks; i++)
        build_track(&b, &t->tracks[i], r->raws + first[i], first[i + 1] - first[i]);
    free(r->raws);
    r->raws = NULL;
    t->slices = array_resize(t->slices, t->nslices, sizeof *t->slices);
    settle_threads(r);
    if (b.stray)
        reader_notice(r, "%" PRIu64 " ends of slices have no beginning in this trace", b.stray);
    free(first);
    free(b.open);
    free(b.ends);
}
