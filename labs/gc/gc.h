/* A garbage collector for C that is driven as Go's is: GOGC, GOMEMLIMIT, GODEBUG=gctrace=1.
 *
 * Boehm's libgc finds and frees the garbage; when to do that is decided here, because its own
 * decision is not Go's. libgc's names are written GC_, those of this folder gc_.
 *
 *   settings.c   GOGC, GOMEMLIMIT and GODEBUG, read as Go reads them
 *   pacer.c      when the next collection is due: arithmetic alone, no collector
 *   heap.c       allocation, and the count of bytes that the pacer looks at
 *   collect.c    one collection: its phases, their times, what it left
 *   trace.c      the line that GODEBUG=gctrace=1 prints
 *   thread.c     threads whose stacks are searched
 *   sample.c     objects in the heap profile, until they are collected
 *   report.c     what else libprof is told
 *
 * Where it differs from Go's collector, and so do its figures: marking is done by one thread and
 * stops the world, so a pause is the whole of it; the collector is conservative, so a number that
 * looks like an address keeps an object; pointers are found in objects of gc_alloc, in the stacks
 * and registers of threads started with gc_thread_start, and in static data, but not in memory from
 * malloc; inside of objects only pointers to an object's start count. */
#ifndef LABS_GC_H
#define LABS_GC_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- settings -------------------------------------------------------------------------------- */

enum { GC_PERCENT_OFF = -1, GC_PERCENT_DEFAULT = 100, GC_PERCENT_MAX = 1000000 };
#define GC_LIMIT_NONE INT64_MAX

struct gc_settings {
    int percent;         /* how much the heap may grow over what is live; or GC_PERCENT_OFF */
    int64_t limit_bytes; /* for all that the collector has from the kernel; or GC_LIMIT_NONE */
    bool trace;          /* a line to standard error for each collection */
};

/* What the parsers take, for messages. */
#define GC_PERCENT_TAKES "off, or a percentage from 0 to 1000000"
#define GC_LIMIT_TAKES                                                                             \
    "off, or a whole number of bytes with B, KiB, MiB, GiB or TiB behind it, or nothing"

/* GOGC: "off" or a number. GOMEMLIMIT: "off", or bytes as in "64MiB". NULL and "" leave *out as it
 * is. -EINVAL: neither. */
int gc_parse_percent(const char *text, int *out);
int gc_parse_limit(const char *text, int64_t *out);
/* GODEBUG: whether its gctrace is neither absent nor 0. */
bool gc_parse_trace(const char *godebug);

/* ---- the pacer ------------------------------------------------------------------------------- */

enum { GC_HEAP_MINIMUM_BYTES = 4 << 20 };

/* Time is the processors' here, not the clock's: what other programs take from this one is nobody's
 * fault. */
struct gc_pacer {
    struct gc_settings settings;
    int64_t live_bytes;     /* that the last collection left */
    int64_t overhead_bytes; /* that the collector has beyond objects, when its heap is full */
    int64_t worked_ns;      /* the program had worked so long when the last collection ended, */
    int64_t debt_ns;        /* and collecting was ahead of it by this */
};

/* The size of the heap at which GOGC starts a collection: live * (1 + percent / 100), and never
 * less than 4 MB * percent / 100. INT64_MAX: none. */
int64_t gc_pacer_percent_goal(const struct gc_pacer *p);
/* The same for GOMEMLIMIT. */
int64_t gc_pacer_limit_goal(const struct gc_pacer *p);
/* The lesser of both. */
int64_t gc_pacer_goal(const struct gc_pacer *p);

/* A collection has cost the program cost_ns; the program itself has worked for worked_ns so far. */
void gc_pacer_collected(struct gc_pacer *p, int64_t cost_ns, int64_t worked_ns);

/* Whether to collect now, with pending_bytes about to be added. For the limit's sake alone, or with
 * GOGC=0, this is false while collecting is ahead of the program by more than a twentieth of all
 * its time, or 100 ms: so half of the time at most goes into it, and a heap that does not fit grows
 * over the limit instead of standing still. */
bool gc_pacer_due(const struct gc_pacer *p, int64_t heap_bytes, int64_t pending_bytes,
                  int64_t worked_ns);

/* ---- the collector --------------------------------------------------------------------------- */

/* Once, on the main thread, before all else here; NULL: the defaults. 0, -EALREADY. */
int gc_start(const struct gc_settings *settings);

/* Other settings from now on; as Go's debug.SetGCPercent and SetMemoryLimit. */
void gc_set(const struct gc_settings *settings);

/* A zeroed object, which may hold pointers to others; or one that holds none and is not searched
 * for them, which is much cheaper to collect. NULL: no memory. */
void *gc_alloc(size_t bytes);
void *gc_alloc_leaf(size_t bytes);

/* A full collection, now; from any thread, also from one that the collector does not know. */
void gc_collect(void);

/* pthread_create and pthread_join, for threads that use objects. 0 or a positive errno, as those.
 */
int gc_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg);
int gc_thread_join(pthread_t thread, void **result);

/* ---- what it has done ------------------------------------------------------------------------ */

/* One collection. Times are nanoseconds of CLOCK_MONOTONIC. */
struct gc_cycle {
    uint64_t number;   /* from 1 on */
    int64_t begin_ns;  /* old marks are cleared while the program still runs */
    int64_t stop_ns;   /* the threads are told to stop */
    int64_t mark_ns;   /* they stand: marking begins */
    int64_t marked_ns; /* it is done: the threads are told to go on */
    int64_t resume_ns; /* they run: what is wholly free is taken back, what is live is counted */
    int64_t end_ns;
    int64_t mark_cpu_ns; /* of the thread that marks */
    int64_t heap_bytes;  /* in objects when the world stopped */
    int64_t live_bytes;  /* in those that were reachable */
    int64_t heap_objects, live_objects;
    int64_t system_bytes; /* that the collector has from the kernel */
    int64_t goal_bytes;   /* that started it */
    int64_t next_goal_bytes;
    bool forced;  /* gc_collect was called */
    bool limited; /* for the limit's sake: GOGC alone would have waited */
};

struct gc_stats {
    uint64_t collections, limited, forced;
    int64_t pause_total_ns, pause_max_ns; /* stop_ns to resume_ns */
    int64_t work_total_ns;                /* begin_ns to end_ns */
    int64_t live_bytes;                   /* that the last collection left */
    int64_t heap_bytes;                   /* in objects now, the garbage among them, too */
    int64_t goal_bytes;                   /* the next collection's; INT64_MAX: there will be none */
    int64_t heap_peak_bytes;              /* the most it was at a collection, or is now */
    int64_t system_bytes, system_peak_bytes;
    int64_t allocated_bytes; /* in all */
    int64_t last_end_ns;     /* 0: no collection yet */
    double share;            /* of the processors' time since gc_start */
};

void gc_stats_read(struct gc_stats *out);

/* Calls fn after each collection, on the thread that made it; it may allocate, but not collect. One
 * at a time; NULL: none. */
void gc_on_cycle(void (*fn)(const struct gc_cycle *cycle, void *arg), void *arg);

/* "gc 1 @0.014s 5%: 0.77+1.2+0.17 ms clock, ...", as Go's, without a newline. share: of the
 * processors' time since start_ns. Returns what snprintf would. */
int gc_trace_line(char *out, size_t size, const struct gc_cycle *cycle, int64_t start_ns,
                  double share, int processors);

#endif
