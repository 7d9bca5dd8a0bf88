/* What the files of the execution trace know of one another, lowest first. Nothing here is visible
 * outside libprof.
 *
 * An event's way: hook or API (event.c) -> the thread's ring (ring.c) -> a pass of the drain thread
 * into the current generation (drain.c) -> Perfetto packets for the trace's descriptor (trace.c,
 * perfetto.c), and, as it is, into the flight recorder's store (flight.c). Context switches come
 * from sched.c in batches at each pass. */
#ifndef PROF_TRACE_INTERNAL_H
#define PROF_TRACE_INTERNAL_H

#include "prof/internal.h"
#include "prof/sched.h"
#include "prof/thread.h"
#include "prof/trace.h"

#include <string.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#pragma GCC visibility push(hidden)

/* ---- ticks.c: time --------------------------------------------------------------------------- */

/* Events carry ticks: the time stamp counter where it is invariant and the kernel trusts it, else
 * nanoseconds. A thread's ticks all differ, so that what it began first can be told. */
extern atomic_bool prof_ticks_are_tsc;
uint64_t prof_ticks_slowly(void);
#if defined(__aarch64__)
/* cntvct counts every 1 to 42 ns, longer than an event takes: the places below its last are for
 * telling a thread's events apart. */
extern unsigned prof_ticks_shift;
extern __thread uint64_t prof_ticks_last __attribute__((tls_model("initial-exec")));
#endif
static inline uint64_t prof_ticks(void)
{
#if defined(__x86_64__)
    if (__builtin_expect(atomic_load_explicit(&prof_ticks_are_tsc, memory_order_relaxed), 1))
        return __rdtsc();
#elif defined(__aarch64__)
    if (__builtin_expect(atomic_load_explicit(&prof_ticks_are_tsc, memory_order_relaxed), 1)) {
        uint64_t ticks;
        __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
        ticks <<= prof_ticks_shift;
        prof_ticks_last = ticks > prof_ticks_last ? ticks : prof_ticks_last + 1;
        return prof_ticks_last;
    }
#endif
    return prof_ticks_slowly();
}

/* Both clocks were read at a time ever so often; what lies between two readings is interpolated, so
 * times never run backwards and follow CLOCK_MONOTONIC when it is adjusted. Guarded by the drain's
 * lock. Of ticks only the low PROF_EV_TIME_BITS count, which is all that an event has room for. */
void prof_ticks_init(void);
void prof_ticks_sync_reset(void);
void prof_ticks_sync(void);
int64_t prof_ticks_ns(uint64_t ticks);
/* The time nearest to near that has these low PROF_EV_TIME_BITS. */
uint64_t prof_ticks_whole(uint64_t ticks, uint64_t near);
/* Lengths, good to one part in ten thousand. */
int64_t prof_ticks_length_ns(uint64_t ticks);
int64_t prof_ticks_in(int64_t ns); /* a little fewer than there are */

/* ---- names.c: strings that come again and again ---------------------------------------------- */

enum { PROF_NAMES_MAX = 16384, PROF_NAME_BYTES_MAX = 255 };

struct prof_name {
    uint32_t hash, id; /* ids count from 1 */
    uint16_t size;     /* of the text, its end included */
    atomic_bool off;   /* a category that is switched off */
    char text[];
};

/* The string's only entry; NULL is "". Lock-free; NULL: no memory, or too many. */
struct prof_name *prof_name_of(const char *text);
const char *prof_name_text(uint32_t id); /* "" for 0 and for what there is not */

/* ---- ring.c: a thread's events --------------------------------------------------------------- */

/* An event is one slot or several: the first word is its type and its ticks (56 bits, which last
 * for years), the slots that follow have the type PROF_EV_MORE. What each word means stands beside
 * the types. */
struct prof_slot {
    uint64_t word[4];
};

enum prof_event_type {
    PROF_EV_NONE,
    PROF_EV_MORE,
    PROF_EV_REGION,  /* end | begin | name id, category id << 32 | task */
    PROF_EV_LOG,     /* time | category id, bytes << 32 | task | text; more text: 24 bytes a slot */
    PROF_EV_COUNTER, /* time | name id, category id << 32 | value */
    PROF_EV_TASK_BEGIN, /* time | name id | id | parent */
    PROF_EV_TASK_END,   /* time | name id, or 0 | id | begin */
    PROF_EV_GC,         /* time | phase, number << 8 | live bytes | goal bytes */
    PROF_EV_WAIT, /* end | begin | object | stack; wake time | waker's stack | holder, waker << 32 |
                     what, how << 8, fd << 32 */
    PROF_EV_THREAD_START, /* time | start routine | creator's stack | creator */
    PROF_EV_THREAD_EXIT,  /* time | the thread's name, 16 bytes */
    PROF_EV_SAMPLE,       /* time | stack | weight in ticks of the profile */
};

enum { PROF_EV_TIME_BITS = 56, PROF_EV_SLOTS_MAX = 48, PROF_LOG_BYTES_MAX = 1000 };

static inline uint64_t prof_event_word(enum prof_event_type type, uint64_t ticks)
{
    return (uint64_t)type << PROF_EV_TIME_BITS | (ticks & ((UINT64_C(1) << PROF_EV_TIME_BITS) - 1));
}
static inline enum prof_event_type prof_event_type_of(const struct prof_slot *s)
{
    return (enum prof_event_type)(s->word[0] >> PROF_EV_TIME_BITS);
}
static inline uint64_t prof_event_ticks(const struct prof_slot *s)
{
    return s->word[0] & ((UINT64_C(1) << PROF_EV_TIME_BITS) - 1);
}

enum { PROF_REGION_DEPTH = 64, PROF_NAME_CACHE = 16 };

struct prof_open_region {
    _Atomic uint64_t begin, names,
        task; /* names: as in PROF_EV_REGION; UINT64_MAX: not to be recorded */
};

enum prof_ring_state { PROF_RING_FREE, PROF_RING_OWNED, PROF_RING_LEFT };

/* Rings are never freed: a thread's ring serves another thread when it has ended and the ring has
 * been emptied. Only the owner writes events, also from its signal handlers, which find it busy and
 * then drop theirs. */
struct prof_ring {
    struct prof_ring *next; /* all rings; constant once published */
    _Atomic int state;      /* enum prof_ring_state */
    _Atomic uint32_t epoch; /* the recording that its contents belong to */
    _Atomic pid_t tid;
    _Atomic uint32_t serial; /* tells threads apart that had the same tid */

    /* the owner's */
    _Atomic int busy;
    atomic_bool moving; /* whoever sets it may change, or give away, the memory */
    bool wrap;
    _Atomic(uint64_t) (*words)[4]; /* the slots */
    uint64_t nslots;               /* a power of two */
    uint64_t tail_seen;
    _Atomic uint64_t head;
    _Atomic uint64_t written, dropped; /* events */
    struct {
        const char *at;
        struct prof_name *name;
    } names[PROF_NAME_CACHE];
    _Atomic uint32_t depth;  /* of open regions; may be larger than there are places */
    _Atomic uint32_t opened; /* changes with every change of them */
    struct prof_open_region open[PROF_REGION_DEPTH];
    /* The wait it is in: since is stored last and cleared first; 0: none. */
    _Atomic uint64_t wait_since, wait_object, wait_stack, wait_holder;
    _Atomic int wait_what, wait_fd;

    /* the drain's, on a cache line of its own */
    char apart[64];
    _Atomic uint64_t tail;
    uint64_t taken, lost_told; /* events; those it has reported as lost */
};

/* What prof_ring_enter's caller asked for may not be recorded, and is counted. */
struct prof_ring *prof_ring_enter_slowly(void);

/* The calling thread's ring, and this thread is in it until prof_ring_leave. NULL: not to be
 * recorded. */
static inline struct prof_ring *prof_ring_enter(void)
{
    struct prof_thread *t = prof_hook_tls;
    struct prof_ring *r = t ? atomic_load_explicit(&t->ring, memory_order_relaxed) : NULL;
    if (__builtin_expect(!r ||
                             atomic_load_explicit(&r->epoch, memory_order_relaxed) !=
                                 __atomic_load_n(&prof_trace_gate, __ATOMIC_RELAXED) ||
                             atomic_load_explicit(&r->busy, memory_order_relaxed),
                         0))
        return prof_ring_enter_slowly();
    atomic_store_explicit(&r->busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return r;
}

static inline void prof_ring_leave(struct prof_ring *r)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&r->busy, 0, memory_order_relaxed);
}

/* Room for an event of n slots: the index of its first. false: full, and counted. */
bool prof_ring_room_slowly(struct prof_ring *r, unsigned n);
static inline bool prof_ring_room(struct prof_ring *r, unsigned n, uint64_t *head)
{
    *head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (__builtin_expect(*head + n - r->tail_seen > r->nslots, 0) && !prof_ring_room_slowly(r, n))
        return false;
#if !defined(__SANITIZE_THREAD__) && !defined(__x86_64__)
    /* The slots that are overwritten next must not be seen to change before the head that says so.
     */
    atomic_thread_fence(memory_order_release);
#endif
    return true;
}

enum { PREFETCH_SLOTS = 8 }; /* a ring is larger than the caches near the processor */
static inline void prof_ring_store(struct prof_ring *r, uint64_t at, uint64_t a, uint64_t b,
                                   uint64_t c, uint64_t d)
{
    _Atomic(uint64_t) *w = r->words[at & (r->nslots - 1)];
    atomic_store_explicit(&w[0], a, memory_order_relaxed);
    atomic_store_explicit(&w[1], b, memory_order_relaxed);
    atomic_store_explicit(&w[2], c, memory_order_relaxed);
    atomic_store_explicit(&w[3], d, memory_order_relaxed);
    __builtin_prefetch(&r->words[(at + PREFETCH_SLOTS) & (r->nslots - 1)], 1);
}

void prof_drain_wake(void);
/* Publishes n slots from head on. */
static inline void prof_ring_commit(struct prof_ring *r, uint64_t head, unsigned n)
{
    atomic_store_explicit(&r->head, head + n, memory_order_release);
    /* After the head: an event that is counted can be taken. */
    atomic_store_explicit(&r->written, atomic_load_explicit(&r->written, memory_order_relaxed) + 1,
                          memory_order_release);
    if (__builtin_expect((head ^ (head + n)) & (r->nslots >> 1), 0))
        prof_drain_wake();
}

static inline void prof_ring_put(struct prof_ring *r, uint64_t a, uint64_t b, uint64_t c,
                                 uint64_t d)
{
    uint64_t head;
    if (prof_ring_room(r, 1, &head)) {
        prof_ring_store(r, head, a, b, c, d);
        prof_ring_commit(r, head, 1);
    }
}

/* The settings of the recording that is about to begin. */
void prof_ring_configure(const struct prof_trace_options *o);
struct prof_ring *prof_rings_first(void);
/* The calling thread ends. */
void prof_ring_abandon(struct prof_thread *t);
uint64_t prof_ring_bytes(void);
uint64_t
prof_ring_homeless(void); /* events dropped for want of a ring, since prof_ring_configure */
/* Gives the memory back to the kernel; late writers do no harm. */
void prof_rings_release(void);
void prof_ring_fork_child(void);

/* Copies what is new in the ring to out, which has room for nslots slots; *n: how many. The number
 * of events that were lost before them. The drain's. */
uint64_t prof_ring_take(struct prof_ring *r, struct prof_slot *out, size_t *n);

/* ---- event.c --------------------------------------------------------------------------------- */

/* What a thread waits for: the names of slices. */
enum prof_what {
    PROF_WHAT_OTHER,
    PROF_WHAT_MUTEX,
    PROF_WHAT_RDLOCK,
    PROF_WHAT_WRLOCK,
    PROF_WHAT_COND,
    PROF_WHAT_SEMAPHORE,
    PROF_WHAT_BARRIER,
    PROF_WHAT_JOIN, /* the last of category "block" */
    PROF_WHAT_SLEEP,
    PROF_WHAT_POLL,
    PROF_WHAT_SELECT,
    PROF_WHAT_EPOLL,
    PROF_WHAT_SIGNAL,
    PROF_WHAT_MSGRCV,
    PROF_WHAT_MSGSND,
    PROF_WHAT_SEMOP,
    PROF_WHAT_READ,
    PROF_WHAT_WRITE,
    PROF_WHAT_ACCEPT,
    PROF_WHAT_CONNECT,
    PROF_WHAT_SEND,
    PROF_WHAT_RECV,
    PROF_WHAT_WAITPID,
    PROF_WHATS
};
extern const char *const prof_what_names[PROF_WHATS];

struct prof_wait_event {
    uint64_t begin, end; /* ticks */
    const void *object;
    struct prof_bucket *stack, *waker_stack;
    uint64_t wake;
    pid_t holder, waker;
    int what, how, fd; /* fd: -1 none */
};

/* Kinds of events that are not recorded: PROF_TRACE_*. */
extern _Atomic uint32_t prof_trace_without;
static inline bool prof_trace_wants(uint32_t kind)
{
    return prof_trace_on() &&
           !(atomic_load_explicit(&prof_trace_without, memory_order_relaxed) & kind);
}

/* The usual name of a wait of this kind (enum prof_wait); wait.c's. */
int prof_wait_what(int kind);

/* When recording began. */
extern _Atomic uint64_t prof_trace_began;

/* A wait begins: it is told as open should the trace end first; and ends, with all that is known of
 * it by then. */
void prof_event_wait_begin(const struct prof_wait_event *e);
void prof_event_wait(const struct prof_wait_event *e);
void prof_event_wait_cancel(void); /* it was none */
void prof_event_thread_start(const void *start_routine, struct prof_bucket *creator,
                             pid_t creator_tid);
void prof_event_thread_exit(struct prof_thread *t);
/* Async-signal-safe. */
void prof_event_sample(const uintptr_t *pcs, int n, int64_t ticks);

/* The stack's only copy, kept for the life of the process. NULL: no memory, or too many.
 * Async-signal-safe. */
struct prof_bucket *prof_trace_stack(const uintptr_t *pcs, int n);

/* ---- drain.c: generations -------------------------------------------------------------------- */

struct prof_block { /* what one pass found in one ring */
    struct prof_block *next;
    pid_t tid;
    uint32_t serial;
    size_t nslots;
    struct prof_slot slots[];
};

struct prof_switches { /* what one reading of the kernel's records brought */
    struct prof_switches *next;
    size_t nswitches, ndelays;
    const struct prof_delay *delays; /* behind the switches */
    struct prof_switch switches[];
};

/* The events of some time, at most about a second: what a chunk of the file is made of. */
struct prof_generation {
    struct prof_generation *newer; /* in the flight recorder's store */
    struct prof_arena memory;      /* of all that is in it, and of itself */
    _Atomic int users;
    int64_t begin_ns, end_ns;
    size_t bytes; /* in memory */
    uint64_t events, dropped, switches_lost;
    struct prof_block *blocks, *last_block;
    struct prof_switches *switches, *last_switches;
    size_t nswitches, ndelays;   /* sums */
    struct prof_switch *running; /* who ran when it began: the latest records */
    size_t nrunning;
};

void prof_generation_release(struct prof_generation *g);

/* Begins or goes on with recording for one more user; -errno. options: as in prof_trace_start. */
int prof_drain_begin(const struct prof_trace_options *options);
/* One user less; the last one ends it. */
void prof_drain_end(void);
/* Empties the rings and closes the generation: all that was recorded so far has been handed over
 * when this returns. Calls then_locked (NULL: nothing) before anything else can be handed over. */
void prof_drain_flush(void (*then_locked)(void));
void prof_drain_stats(struct prof_trace_stats *out);
void prof_drain_limit_locked(size_t store_bytes); /* SIZE_MAX: as large as they like */
pid_t prof_drain_pid(void);                       /* of the process that records */
void prof_drain_fork_child(void);

/* The two that generations are handed to, each with a use of its own; called with the drain's lock
 * held. */
void prof_trace_take(struct prof_generation *g);
void prof_flight_take(struct prof_generation *g);
/* -EINVAL: a number is out of its range. */
int prof_trace_check(const struct prof_trace_options *o);
/* The drain thread's part: writes what prof_trace_take put aside, if no thread of the trace's does.
 */
void prof_trace_write_out(void);

extern struct prof_lock prof_drain_lock;
/* A thread of libprof's own: no event tells of it, its creation is nobody's, only SIGPROF
 * interrupts it. -EAGAIN. */
int prof_own_thread(unsigned long *thread, const char *name, void *(*fn)(void *), void *arg);
void prof_own_join(unsigned long thread);

/* ---- perfetto.c ------------------------------------------------------------------------------ */

/* One generation, as packets that stand alone. */
struct prof_chunk {
    const struct prof_generation *generation;
    uint32_t sequence; /* trusted_packet_sequence_id, a chunk's own */
    bool first;        /* of the file: what is told once is told here */
    bool last;         /* of the file: what is still open is told here */
    bool without_symbols;
    struct prof_wakes
        *wakes; /* what the chunks of a file hand on, in order; NULL: wakeups are not told */
    int64_t file_begin_ns; /* tasks that began before are begun here */
};

/* Appends the chunk's packets to w. */
void prof_perfetto_chunk(struct prof_wire *w, const struct prof_chunk *c);

/* ---- flight.c, crash.c ----------------------------------------------------------------------- */

/* The snapshot to a file, which appears whole. Nobody else may be writing one. */
int prof_flight_write_file(const char *path, bool without_symbols);
/* Asks the drain for a pass and waits for its end, at most this long. Async-signal-safe. */
void prof_drain_hurry(int64_t ns);
/* In a child that has the memory of a crashed process: what its threads had locked is free. */
void prof_drain_crash_child(void);
/* A thread begins, and ends. */
void prof_crash_thread_start(void);
void prof_crash_thread_exit(void);
void prof_flight_fork_child(void);
void prof_trace_fork_child(void);
/* A region has ended. */
extern _Atomic int64_t prof_flight_threshold_ticks; /* INT64_MAX: nobody asks */
void prof_flight_slow(const char *name, uint64_t took_ticks);
void prof_trigger_fork_child(void);

/* ---- environment.c, schedtrace.c ------------------------------------------------------------- */

/* Starts what the environment asks for. */
void prof_environment(void);
/* A line about the threads on standard error, every period_ms for the life of the process. */
void prof_schedtrace_start(int64_t period_ms);

#pragma GCC visibility pop
#endif
