/* Execution traces of a running C program, as Go's runtime/trace gives them to Go programs: who
 * ran, who waited for whom, and what the program says it was doing.
 *
 * A trace is written as Perfetto's protobuf
 * (https://perfetto.dev/docs/reference/trace-packet-proto), symbols resolved: bin/trace and
 * ui.perfetto.dev open it. Threads' life, waits in pthread calls and blocking system calls, and the
 * kernel's context switches are recorded by themselves; tasks, regions, logs and counters are the
 * program's to add. Each thread writes into a ring of its own, without locks; a thread of libprof's
 * ("prof trace") empties the rings while recording.
 *
 * Unless a comment says otherwise, functions are thread-safe, keep nothing that they are given
 * (strings are copied), never print, never exit, keep errno, and return 0 (or a count) or a
 * negative errno. Times are nanoseconds of CLOCK_MONOTONIC. In a child after fork nothing is
 * recorded until it starts a trace of its own. */
#ifndef PROF_TRACE_H
#define PROF_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prof/pprof.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the trace ------------------------------------------------------------------------------- */

/* Kinds of events, for prof_trace_options.without. */
enum {
    PROF_TRACE_SCHED = 1 << 0, /* context switches */
    PROF_TRACE_BLOCK =
        1 << 1, /* waits in mutexes, rwlocks, condition variables, semaphores, barriers, joins */
    PROF_TRACE_SYSCALL =
        1 << 2, /* sleep, poll, select, epoll_wait, read, write, accept, connect, send, recv, ... */
    PROF_TRACE_THREAD = 1 << 3, /* threads' start and end */
    PROF_TRACE_REGION = 1 << 4, /* regions and tasks */
    PROF_TRACE_LOG = 1 << 5,
    PROF_TRACE_COUNTER = 1 << 6,
    PROF_TRACE_GC = 1 << 7,
    PROF_TRACE_CPU = 1 << 8,    /* the samples of a CPU profile that runs at the same time */
    PROF_TRACE_STACKS = 1 << 9, /* the stacks of waits; without them a wait costs less */
};

enum { PROF_TRACE_RING_BYTES = 1 << 20, PROF_TRACE_TOTAL_BYTES = 256 << 20 };

/* Zeroed, everything is as is best for most. */
struct prof_trace_options {
    size_t ring_bytes; /* of one thread's ring; 0: PROF_TRACE_RING_BYTES; 4 KiB to 1 GiB, rounded up
                          to a power of two */
    size_t total_bytes; /* of all rings; 0: PROF_TRACE_TOTAL_BYTES. Where threads are many their
                           rings get smaller */
    bool wrap; /* a full ring loses its oldest events, not its newest; both are counted in the file
                */
    uint32_t without; /* PROF_TRACE_*: what is not to be recorded */
};

/* Starts a trace that is written to fd while it goes on, so that its length is bounded by what fd
 * takes, not by memory. fd stays the caller's, must stay open until prof_trace_stop and is not
 * closed. A descriptor that blocks (a pipe nobody reads) makes the rings fill up, which drops
 * events and never blocks the program. options: NULL is all zeros; while a flight recorder runs,
 * the rings stay as it made them, and a thread of the trace's own ("prof writer") writes. Where
 * the kernel refuses context switch records the trace goes without and says so in the file.
 * -EBUSY: one runs already. -EBADF: fd. -EINVAL: options. -ENOMEM, -EAGAIN: no memory, no thread.
 */
PROF_API int prof_trace_start(int fd, const struct prof_trace_options *options);

/* Ends it, writes what is left and returns when all is written.
 * -EINVAL: none runs. Else the first thing that write(2) said since the start; the trace is stopped
 * all the same. */
PROF_API int prof_trace_stop(void);

/* Whether a trace that prof_trace_start began runs. Async-signal-safe. */
PROF_API bool prof_trace_active(void);

struct prof_trace_stats {
    uint64_t events;     /* taken out of the rings */
    uint64_t dropped;    /* lost: a ring was full, or none was left, or the descriptor was slow */
    uint64_t switches;   /* context switches recorded */
    uint64_t bytes;      /* written to the trace's descriptor */
    uint64_t ring_bytes; /* of all rings now */
};

/* Since recording began: of the trace that runs, or ran last, and of the flight recorder beside it.
 */
PROF_API void prof_trace_stats(struct prof_trace_stats *out);

/* ---- what the program says ------------------------------------------------------------------- */

/* Strings may live anywhere and are copied; names and categories are kept for the life of the
 * process, once each, 16384 of them and 255 bytes a name at most (then "..."). So what never comes
 * again (the number of a request) belongs in a log. With nothing recording each of these costs one
 * predictable branch; they are async-signal-safe then. While recording, they are async-signal-safe,
 * too, but for the first use of a name and the first event of a thread, which may be dropped in a
 * handler. Events that a ring has no room for are dropped and counted; nothing here ever blocks or
 * fails. */

/* Not 0 while something records. Read it through prof_trace_on. */
PROF_API extern uint32_t prof_trace_gate;

static inline bool prof_trace_on(void)
{
    return __builtin_expect(__atomic_load_n(&prof_trace_gate, __ATOMIC_RELAXED) != 0, 0);
}

PROF_API void prof_region_begin_(const char *category, const char *name);
PROF_API void prof_region_end_(void);
PROF_API uint64_t prof_task_begin_(const char *name, uint64_t parent);
PROF_API void prof_task_end_(uint64_t task);
PROF_API void prof_trace_log_(const char *category, const char *text);
PROF_API void prof_trace_counter_(const char *category, const char *name, int64_t value);

/* A region is a time span on the calling thread, and belongs to the thread's current task. Regions
 * nest, and end on the thread that they began on, latest first; at most 64 deep, deeper ones are
 * not recorded. category: NULL is "region". A region is recorded when it ends; one that is still
 * open is written as open. */
static inline void prof_region_begin(const char *category, const char *name)
{
    if (prof_trace_on())
        prof_region_begin_(category, name);
}

static inline void prof_region_end(void)
{
    if (prof_trace_on())
        prof_region_end_();
}

/* Scoped: PROF_REGION("parse"); holds until the enclosing block ends. */
static inline void prof_region_scope_end(const int *unused)
{
    (void)unused;
    prof_region_end();
}
#define PROF_REGION_IN(category, name)                                                             \
    __attribute__((cleanup(prof_region_scope_end), unused)) const int PROF_CONCAT(                 \
        prof_region_, __LINE__) = (prof_region_begin((category), (name)), 0)
#define PROF_REGION(name) PROF_REGION_IN(NULL, name)

/* A task is a piece of work that may pass through several threads, such as a request. parent:
 * another task, or 0. Returns its id, 0 when nothing records; every function here takes 0 and does
 * nothing. It has to be ended once, on any thread. */
static inline uint64_t prof_task_begin(const char *name, uint64_t parent)
{
    return prof_trace_on() ? prof_task_begin_(name, parent) : 0;
}

static inline void prof_task_end(uint64_t task)
{
    if (task)
        prof_task_end_(task);
}

/* Makes the task (0: none) the calling thread's current one, which its regions and logs then belong
 * to. Returns the one before, to be set again afterwards. Async-signal-safe. */
PROF_API uint64_t prof_task_switch(uint64_t task);

/* Scoped: PROF_TASK("request"); begins a child of the current task, makes it the current one, and
 * ends it with the enclosing block. */
struct prof_task_scope {
    uint64_t task, before;
};
static inline struct prof_task_scope prof_task_scope_begin(const char *name)
{
    struct prof_task_scope s = {0, 0};
    if (prof_trace_on()) {
        uint64_t now = prof_task_switch(0);
        s.task = prof_task_begin(name, now);
        s.before = now;
        prof_task_switch(s.task);
    }
    return s;
}
static inline void prof_task_scope_end(const struct prof_task_scope *s)
{
    if (s->task) {
        prof_task_switch(s->before);
        prof_task_end(s->task);
    }
}
#define PROF_TASK(name)                                                                            \
    __attribute__((cleanup(prof_task_scope_end), unused)) const struct prof_task_scope             \
    PROF_CONCAT(prof_task_, __LINE__) = prof_task_scope_begin(name)

/* A line of text at this moment, at most 1000 bytes, in the current task. category: NULL is none.
 */
static inline void prof_trace_log(const char *category, const char *text)
{
    if (prof_trace_on())
        prof_trace_log_(category, text);
}

/* The same, written as printf does it, and only while something records. Not async-signal-safe. */
PROF_API void prof_trace_logf(const char *category, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The value of a counter from now on. A name that ends in _bytes or _ns tells the viewer its unit.
 * category: NULL is "counter". */
static inline void prof_trace_counter(const char *category, const char *name, int64_t value)
{
    if (prof_trace_on())
        prof_trace_counter_(category, name, value);
}

/* Whether regions, logs and counters of this category are recorded; all are at first. -ENOMEM. */
PROF_API int prof_trace_category(const char *category, bool on);

/* ---- collections ----------------------------------------------------------------------------- */

enum prof_gc_phase { PROF_GC_BEGIN, PROF_GC_STW_BEGIN, PROF_GC_STW_END, PROF_GC_END };

/* A phase of a garbage collection begins now; number tells collections apart. live_bytes and
 * goal_bytes: the heap that is reachable, and the size at which the next collection starts; told at
 * PROF_GC_END, -1 where unknown. May be called while the world is stopped: takes no lock and
 * allocates nothing with malloc. Async-signal-safe. */
PROF_API void prof_trace_gc(enum prof_gc_phase phase, uint64_t number, int64_t live_bytes,
                            int64_t goal_bytes);

/* ---- the flight recorder --------------------------------------------------------------------- */

/* The last seconds, always at hand; as Go's trace.FlightRecorder. One at a time, beside a trace if
 * need be. */
struct prof_flight_options {
    int64_t min_age_ns; /* keeps at least the events of this time; 0: 10 s */
    size_t max_bytes; /* and never more than this, neither in memory nor in a snapshot; wins. 0: 10
                         MiB; at least 64 KiB */
    struct prof_trace_options
        rings; /* as in prof_trace_start; while a trace runs, the rings stay as it made them */
};

/* options: NULL is all zeros. -EBUSY: it runs already. -EINVAL: options. -ENOMEM, -EAGAIN: no
 * memory, no thread. */
PROF_API int prof_flight_start(const struct prof_flight_options *options);

/* Waits for a snapshot that is being written, then ends the recording and frees what it kept.
 * -EINVAL: it does not run. */
PROF_API int prof_flight_stop(void);

/* Async-signal-safe. */
PROF_API bool prof_flight_active(void);

/* Writes what is kept, as a whole trace, to fd, which stays open; the recording goes on meanwhile.
 * -EINVAL: it does not run. -EBUSY: another snapshot is being written. -ENOMEM. Else what write(2)
 * said. */
PROF_API int prof_flight_snapshot(int fd);

/* The same for a file, which appears whole or not at all: written beside it and renamed, mode 0644.
 * What a link leads to is replaced, not the link; a device or a pipe is written to as it is.
 * With tail_ns the snapshot is taken that much later, so that it shows what came after the moment
 * of the call, too; the call lasts as long (sooner if the recorder is stopped: then -ECANCELED).
 * -EINVAL: path, a negative tail. Else as above, or what open(2) said.
 */
PROF_API int prof_flight_snapshot_file(const char *path, int64_t tail_ns);

/* What was too slow. */
struct prof_slow {
    const char *name; /* of the region, or as given to prof_trace_took; valid during the call */
    int64_t took_ns;
    int64_t end_ns; /* CLOCK_MONOTONIC */
    int32_t tid;
};

/* Calls fn when a region of this name (NULL: any) has taken longer than threshold_ns, or
 * prof_trace_took says so of a name. fn runs on a thread of libprof's ("prof trigger"), where it
 * may take its time, with a snapshot for example; while it runs, and until at_most_every_ns after
 * it was called (0: a minute), what else is slow calls nobody. */
struct prof_flight_trigger {
    const char *name;         /* NULL: any region and whatever prof_trace_took is given */
    int64_t threshold_ns;     /* at least 1 */
    int64_t at_most_every_ns; /* 0: 60 s */
    void (*fn)(const struct prof_slow *what,
               void *arg); /* must not be NULL, nor set another trigger */
    void *arg;
};

/* Sets the trigger, in place of the one before; NULL: none, and waits until fn has returned. It is
 * heeded while the flight recorder runs. -EINVAL: threshold, fn. -ENOMEM, -EAGAIN. */
PROF_API int prof_flight_set_trigger(const struct prof_flight_trigger *trigger);

/* Something that is no region took this long and ended now: an endpoint's answer, for example.
 * Costs a branch when no recorder runs. Not async-signal-safe. */
PROF_API void prof_trace_took_(const char *name, int64_t took_ns);
static inline void prof_trace_took(const char *name, int64_t took_ns)
{
    if (prof_trace_on())
        prof_trace_took_(name, took_ns);
}

/* At a crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) a snapshot is written to path, by a forked
 * child, so that the program's memory stays as it was; then the handler that was there before runs,
 * or the signal's default action. Frames are symbolized where the child manages to within 10 s;
 * else their module and offset are what is shown. Other threads that crash meanwhile wait for it.
 * The handler runs on an alternate stack where the thread has one; the calling thread gets one, and
 * those that begin later do. Older ones get theirs with their first event after the recorder's
 * start, so best call this before prof_flight_start. path: copied, at most 4000 bytes; NULL takes
 * the handlers back, where they are still ours. -EINVAL: path. */
PROF_API int prof_flight_on_crash(const char *path);

#ifdef __cplusplus
}
#endif
#endif
