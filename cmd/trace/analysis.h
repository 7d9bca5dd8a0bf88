/* What can be worked out from a trace: view.c says which part of it is asked for, the others
 * answer. Nothing here prints but summary.c; the page and the profiles use the same answers. */
#ifndef CMD_TRACE_ANALYSIS_H
#define CMD_TRACE_ANALYSIS_H

#include "cmd/trace/model.h"

#include <string.h>

/* ---- view.c: a part of a trace --------------------------------------------------------------- */

struct trace_view {
    const struct trace *t;
    int64_t from_ns, to_ns; /* CLOCK_MONOTONIC */
    const char *thread; /* a tid, or a part of a thread's or a start function's name; NULL: all */
};

struct trace_view trace_view_all(const struct trace *t);
/* The part of an interval that lies within the view; 0: none. */
int64_t view_overlap(const struct trace_view *v, int64_t start_ns, int64_t end_ns);
/* An instant, or an interval: at least a part of it is in the view. */
bool view_has(const struct trace_view *v, int64_t start_ns, int64_t end_ns);
bool view_thread(const struct trace_view *v, uint32_t thread);
/* The thread that a slice or an instant of this track is of is in the view. Tracks of no thread
 * are, unless threads were chosen. */
bool view_track(const struct trace_view *v, uint32_t track);
/* "worker 1234", or "thread 1234"; in a buffer that is used again four calls later. */
const char *thread_label(const struct trace *t, uint32_t thread);

/* The slice's value is the address of a lock, a condition, a semaphore or a barrier. A join waits
 * for a thread, which is none of them. */
static inline bool slice_has_lock(const struct trace *t, const struct trace_slice *s)
{
    return s->kind == TRACE_SLICE_BLOCK && s->flags & TRACE_HAS_VALUE &&
           strcmp(trace_text(t, s->name), "join") != 0;
}

/* A sum that stays at its end: a damaged trace may hold more time than there is. */
static inline int64_t add_ns(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* ---- pprof.c: profiles ----------------------------------------------------------------------- */

/* Writes a gzip'd profile.proto. kind: sync, syscall, sched, cpu, region or region:NAME. 0;
 * -EINVAL: no such kind; -ENODATA: the view has nothing of that kind; -ENOMEM; what write(2) said.
 */
int trace_write_pprof(const struct trace_view *v, const char *kind, int fd);
bool trace_pprof_kind(const char *kind);
/* Why there is nothing of that kind, for people. */
const char *trace_pprof_missing(const struct trace *t, const char *kind);

/* ---- json.c: Chrome's Trace Event format ------------------------------------------------------
 */

/* 0, -ENOMEM, or what write(2) said. */
int trace_write_json(const struct trace_view *v, int fd);

#endif
