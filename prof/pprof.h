/* Profiles of a running C program, as Go's runtime/pprof gives them to Go programs.
 *
 * Linking libprof (or preloading libprof.so) is all that recording takes: allocation sampling,
 * thread registration and lock hooks are in place from start-up. The functions here start and stop
 * CPU profiles, write profiles and set rates. Every profile is written as gzip'd profile.proto
 * (https://github.com/google/pprof/blob/main/proto/profile.proto), functions, files and lines
 * resolved.
 *
 * Unless a comment says otherwise, functions are thread-safe, are not async-signal-safe, keep
 * nothing that they are given, never print, never exit, and return 0 (or a count) or a negative
 * errno. */
#ifndef PROF_PPROF_H
#define PROF_PPROF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PROF_API __attribute__((visibility("default")))

/* ---- CPU ------------------------------------------------------------------------------------- */

enum { PROF_CPU_HZ_DEFAULT = 100, PROF_CPU_HZ_MAX = 10000 };

/* Starts sampling the CPU time of every thread, hz times per second of CPU time (0: the default).
 * One CPU profile runs at a time.
 * -EBUSY: one runs already. -EINVAL: hz is not 0 to PROF_CPU_HZ_MAX. -EAGAIN, -ENOMEM: no timer, no
 * memory. */
PROF_API int prof_cpu_start(int hz);

/* Stops sampling and writes the profile to fd, which stays open. With fd -1 the samples are
 * discarded. -EINVAL: none runs. Else what write(2) said; the profile is stopped all the same. */
PROF_API int prof_cpu_stop(int fd);

/* ---- named profiles -------------------------------------------------------------------------- */

/* The names: "heap", "allocs", "goroutine" ("thread" is the same), "threadcreate", "block",
 * "mutex", and those made with prof_custom_new. */

/* Writes the named profile to fd. debug 0: profile.proto; 1: text, as Go's; 2 ("goroutine"): text
 * by thread. -ENOENT: no such profile. -EINVAL: debug. -ENOMEM. Else what write(2) said. fd stays
 * open. */
PROF_API int prof_write(const char *name, int fd, int debug);

/* Calls fn with the name of every profile there is, each once: the built-in ones, then custom ones,
 * newest first. The names live for ever. fn may call anything here. As Go's pprof.Profiles. */
PROF_API void prof_profiles(void (*fn)(const char *name, void *arg), void *arg);

/* The number of distinct entries in the named profile, or -ENOENT. Cheap: nothing is symbolized. */
PROF_API int64_t prof_count(const char *name);

/* A named profile at one moment: what a delta is made of. */
struct prof_snapshot;

/* Takes the named profile. *out is the caller's, to be given to prof_snapshot_free. -ENOENT,
 * -ENOMEM. */
PROF_API int prof_snapshot_take(const char *name, struct prof_snapshot **out);
/* later -= earlier, entry by entry; entries with nothing left are dropped, and what has shrunk
 * counts as nothing left (viewers refuse negative values). Sets the duration. -EINVAL: they are not
 * of one name. -ENOMEM: later is as it was. earlier stays the caller's, and may be freed at once.
 */
PROF_API int prof_snapshot_subtract(struct prof_snapshot *later,
                                    const struct prof_snapshot *earlier);
/* As prof_write; debug 0 or 1. May be written any number of times, by one thread at a time. */
PROF_API int prof_snapshot_write(const struct prof_snapshot *s, int fd, int debug);
/* NULL does nothing. */
PROF_API void prof_snapshot_free(struct prof_snapshot *s);

/* Calls found for each of the n addresses that lies in a known function, with its innermost
 * function's name, which lives until found returns. What found allocates is not recorded. -ENOMEM:
 * it was not called. */
PROF_API int prof_symbol_names(const uintptr_t *pcs, size_t n,
                               void (*found)(uintptr_t pc, const char *name, void *arg), void *arg);

/* ---- rates ----------------------------------------------------------------------------------- */

enum { PROF_HEAP_RATE_DEFAULT = 512 * 1024 };

/* The mean number of bytes allocated between two heap samples, at most 64 MiB (more is taken as
 * that); 1 records every allocation, 0 none. Set it as early as possible: samples are scaled by the
 * rate they were taken at. Returns the old rate; a negative rate only asks. PROF_HEAP_RATE in the
 * environment sets it before main. After some 4000 different rates the one in force stays. */
PROF_API int64_t prof_set_heap_rate(int64_t bytes);

/* Block profile: one sample per rate_ns spent waiting (1: every wait; 0: off, the default). Returns
 * the old rate; negative only asks. As runtime.SetBlockProfileRate. Waits in pthread mutexes,
 * rwlocks, condition variables, semaphores, barriers and joins count, and in their C11 forms.
 * PROF_BLOCK_RATE_NS in the environment sets it before main. */
PROF_API int64_t prof_set_block_rate_ns(int64_t rate_ns);

/* Mutex profile: one in `fraction` contentions is recorded (1: all; 0: off, the default). Returns
 * the old fraction; negative only asks. As runtime.SetMutexProfileFraction: the delay of all who
 * waited is charged to the unlock that ended the wait. PROF_MUTEX_FRACTION in the environment sets
 * it before main. */
PROF_API int64_t prof_set_mutex_fraction(int64_t fraction);

/* Block profile: whether time spent sleeping and polling (nanosleep, poll, select, epoll_wait and
 * their kin) is recorded, too. Off at first: threads that wait for work would drown the rest.
 * PROF_BLOCK_SLEEP=1 in the environment sets it before main. Returns what was in force. */
PROF_API bool prof_set_block_sleep(bool on);

/* ---- exact allocation counts ----------------------------------------------------------------- */

struct prof_alloc_counts {
    uint64_t mallocs; /* allocations, all threads, since start; a failed one only if it was below 1
                         GiB */
    uint64_t frees;   /* frees of a non-NULL pointer */
    uint64_t alloc_bytes; /* bytes asked for by those allocations */
};

/* Exact, not sampled, and cheap enough to call around every benchmark run. realloc that moves or
 * resizes counts as one allocation of the new size and one free. libprof's own allocations are not
 * counted. */
PROF_API void prof_alloc_counts(struct prof_alloc_counts *out);

/* ---- labels ---------------------------------------------------------------------------------- */

/* Labels are key=value pairs on the calling thread's samples. A thread starts with those of the
 * thread that created it. Strings are copied, and those of 65536 different sets of labels are kept
 * for ever: a value that never comes again (the number of a request) does not belong here. A key
 * that is there already gets the new value until the pop. -ENOMEM: no room (32 pushes deep, 64
 * labels, 4096 bytes a string, 64 MiB of sets, their number); the labels stay as they were, and it
 * is counted in prof_drops. -EINVAL: NULL, or an empty key. Not async-signal-safe. */
PROF_API int prof_label_push(const char *key, const char *value);
/* Takes back the calling thread's latest push that is still in force. -EINVAL: there is none. */
PROF_API int prof_label_pop(void);

/* Scoped: prof_label_scope("endpoint", "/work/cpu"); holds until the enclosing block ends. */
static inline void prof_label_scope_end(const int *pushed)
{
    if (*pushed == 0)
        prof_label_pop();
}
#define PROF_CONCAT_(a, b) a##b
#define PROF_CONCAT(a, b)  PROF_CONCAT_(a, b)
#define prof_label_scope(key, value)                                                               \
    __attribute__((cleanup(prof_label_scope_end), unused)) const int PROF_CONCAT(                  \
        prof_scope_, __LINE__) = prof_label_push((key), (value))

/* ---- custom profiles ------------------------------------------------------------------------- */

/* What the program itself hands out and takes back (connections, buffers, handles of its own), each
 * with the stack that made it: a leak shows as a stack whose count grows. As Go's pprof.NewProfile.
 * Read like any other, with prof_write(name). Costs a stack and a hash table entry for each. */
struct prof_custom;

/* Makes an empty profile, which stays for ever. name: 1 to 100 printable ASCII characters, no
 * space, none of "%&<>?#\, no / or . in front; the custom is a prefix of one's own, as in
 * "mylib.connections". -EEXIST: a profile or an endpoint has this name. -EINVAL: no such name.
 * -ENOMEM. */
PROF_API int prof_custom_new(const char *name, struct prof_custom **out);

/* Enters the handle (any pointer but NULL; never followed) with the calling thread's stack and
 * labels. skip: how many callers to leave out, 0 begins at the function that calls prof_custom_add.
 * -EEXIST: the handle is in there already. -EINVAL: NULL, or a negative skip. -ENOMEM. */
PROF_API int prof_custom_add(struct prof_custom *p, const void *handle, int skip);

/* Takes the handle out again. -ENOENT: it is not in there. -EINVAL: NULL. */
PROF_API int prof_custom_remove(struct prof_custom *p, const void *handle);

/* The number of handles in it. -EINVAL: NULL. */
PROF_API int64_t prof_custom_count(struct prof_custom *p);

/* ---- memory that malloc does not give -------------------------------------------------------- */

/* Memory of the program's own allocator (a collector's objects, blocks cut from an arena or from
 * mmap) for the heap profile: counted and sampled as malloc's is, with the stack that begins at the
 * caller; costs as much as a hook. true: it was sampled, and prof_heap_freed has to be told when it
 * is gone. May be called for memory that came from malloc, if that is to count twice. p is never
 * followed. NULL does nothing. */
PROF_API bool prof_heap_allocated(const void *p, size_t bytes);

/* p, of which prof_heap_allocated said true, is gone; before its address can be allocated anew. */
PROF_API void prof_heap_freed(const void *p);

/* That many blocks that prof_heap_allocated was told of are gone, the sampled ones among them: for
 * prof_alloc_counts. */
PROF_API void prof_heap_count_frees(uint64_t blocks);

/* ---- garbage collectors ---------------------------------------------------------------------- */

struct prof_collector_stats {
    uint64_t collections;
    uint64_t pause_total_ns, pause_max_ns; /* the world stood still */
    uint64_t live_bytes;                   /* that the last collection left */
    uint64_t heap_bytes;                   /* in objects now, garbage among them */
    uint64_t goal_bytes; /* the heap_bytes at which the next collection begins; UINT64_MAX: never */
    uint64_t system_bytes; /* that the collector has from the kernel */
    int64_t last_end_ns;   /* CLOCK_MONOTONIC of the last collection's end; 0: none yet */
};

/* What a program with a collector tells libprof. */
struct prof_collector {
    void (*collect)(void); /* a full collection; done when it returns. From any thread */
    void (*stats)(struct prof_collector_stats
                      *out); /* NULL: there are none. From any thread, several at a time */
};

/* Registers the program's collector: `heap?gc=1` at the endpoint collects first, as in Go. *c is
 * kept, and must live as long as the process; NULL takes it back. -EINVAL: no collect. -EBUSY:
 * another one is registered. */
PROF_API int prof_set_collector(const struct prof_collector *c);

/* Collects, if there is a collector. -ENOENT: there is none. */
PROF_API int prof_collect(void);

/* -ENOENT: there is no collector, or it has no stats. */
PROF_API int prof_collector_stats(struct prof_collector_stats *out);

/* ---- memory statistics ------------------------------------------------------------------------
 */

/* Where the program's memory is, as Go's runtime.MemStats. Bytes, unless a name says otherwise. The
 * figures are read one after the other while the program runs: each is of its own moment, some
 * microseconds apart. */
struct prof_memstats {
    /* Counted in every call of malloc's family and of prof_heap_allocated: exact, as
     * prof_alloc_counts says. */
    uint64_t mallocs, frees; /* allocations and frees since start */
    uint64_t objects; /* mallocs - frees: blocks in use. What was allocated before libprof was ready
                       * (by the loader, mostly) and freed since makes it too small, by some dozens
                       * at most */
    uint64_t total_alloc_bytes; /* asked for, since start; never falls */

    /* From the heap samples: an estimate of the bytes asked for by blocks in use. The truth lies
     * within twice the error in 19 of 20 cases; with few samples (an error of half the estimate or
     * more) that is no more than a hint. The error is 0 when every block was sampled (rate 1). What
     * was allocated while the rate was 0 is not in it. */
    uint64_t sampled_inuse_bytes;
    uint64_t sampled_error_bytes; /* one standard deviation */

    /* From the allocator's own books: exact for it, so sizes are as it rounds them, and what libc
     * and libprof allocate for themselves is in it. All 0 when allocator is "". */
    const char *allocator;        /* "tcmalloc", "glibc", "jemalloc"; "": another one */
    uint64_t heap_alloc_bytes;    /* blocks in the program's hands. glibc counts those in a thread's
                                   * cache (tcache) too,    up to some 200 KiB a thread */
    uint64_t heap_inuse_bytes;    /* pages with such blocks, and with free ones between them; glibc:
                                     heap_alloc_bytes */
    uint64_t heap_idle_bytes;     /* the rest of heap_sys_bytes, released or not */
    uint64_t heap_released_bytes; /* of these, given back to the kernel with the addresses kept;
                                   * glibc does not count it: 0 */
    uint64_t heap_sys_bytes;      /* address space got from the kernel for all of that */

    /* From the kernel (proc(5), status), in pages; its counters lag behind by up to some 100 KiB a
     * CPU. 0: no /proc. */
    uint64_t sys_bytes; /* VmData + VmStk: writable private memory, touched or not: heap, stacks,
                           static data */
    uint64_t resident_bytes;      /* VmRSS: in memory now, code and files included */
    uint64_t peak_resident_bytes; /* VmHWM: the most that ever was */

    uint64_t profiler_bytes; /* libprof's own tables; exact. In sys_bytes, not in heap_sys_bytes */

    /* From the program's collector (prof_set_collector), as exact as it says it is. Its heap is in
     * the kernel's figures, but not in the allocator's; in those that are counted and sampled as
     * far as it tells (prof_heap_allocated). All 0 without one. */
    struct prof_collector_stats collector;
};

/* Takes the time of reading /proc/self/status and walking the heap's buckets: some ten microseconds
 * and more. */
PROF_API void prof_memstats(struct prof_memstats *out);

/* ---- what could not be recorded -------------------------------------------------------------- */

struct prof_drops {
    uint64_t cpu_samples;  /* CPU ticks without a stack: no memory, no room on the signal stack,
                              SIGPROF blocked */
    uint64_t cpu_timers;   /* threads that got no timer */
    uint64_t heap_samples; /* sampled allocations without room in the table */
    uint64_t lock_samples; /* block and mutex events */
    uint64_t labels;       /* label sets refused */
    uint64_t threads;      /* threads whose stack did not arrive in time */
};

/* Since start. Also in every profile's comments when not zero. */
PROF_API void prof_drops(struct prof_drops *out);

#ifdef __cplusplus
}
#endif
#endif
