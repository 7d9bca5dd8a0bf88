/* The registry of threads (thread.c), and whether the calling one is inside libprof. Not visible
 * outside libprof. */
#ifndef PROF_THREAD_H
#define PROF_THREAD_H

#include "prof/internal.h"
#include "prof/waiter.h"

#pragma GCC visibility push(hidden)

enum { PROF_LABEL_DEPTH = 32, PROF_CPU_KEPT = 8 };

/* One thread, or what is left of one: slots are recycled and never freed. The counts go on adding
 * up over the slot's threads, so that the sum over all slots is exact although threads come and go.
 * Written by the owner alone unless said otherwise; read by anybody. */
struct prof_thread {
    struct prof_thread *next; /* all slots; constant once published */
    _Atomic pid_t tid;        /* 0: the slot is free */

    /* hot: malloc and free touch these on every call */
    _Atomic uint64_t mallocs, frees, alloc_bytes;
    _Atomic uint64_t
        sample_at;       /* the alloc_bytes at which to sample next; others may set it to 0 */
    uint32_t heap_epoch; /* of the rate that sample_at was drawn from */
    uint64_t random;

    _Atomic(const struct prof_labels *) labels; /* in force now; the CPU handler reads it */
    const struct prof_labels *label_stack[PROF_LABEL_DEPTH];
    int label_depth;

    /* What the thread waits for now, set around waits that really happen: kind (enum prof_wait) is
     * stored last and cleared first. The times are CLOCK_MONOTONIC's. */
    _Atomic int wait_kind;
    _Atomic(const void *)
        wait_object; /* the mutex, condition variable, ...; NULL where there is no such thing */
    _Atomic int64_t wait_since_ns;
    _Atomic uintptr_t wait_here,
        wait_from;                /* where the hook stands: in itself, and its return address */
    _Atomic uintptr_t wait_frame; /* its frame; 0: unknown */
    _Atomic uint32_t
        own_signals; /* libprof's signals that cut a call short; see prof_wait_interrupted */
    struct prof_waiter waiter;        /* contention.c */
    _Atomic(struct prof_ring *) ring; /* ring.c: its events */

    _Atomic uintptr_t stack_end; /* no frame lies at or above it; 0: unknown */
    struct prof_bucket
        *_Atomic creator; /* who called pthread_create: stack and labels; NULL: unknown */
    _Atomic(void *) start_routine;

    /* guarded by prof_threads_lock */
    bool foreign; /* seen in /proc only; no thread owns it yet */
    bool own;     /* libprof's, not the program's: own.c */
    bool has_timer;
    timer_t timer;
    int64_t cpu_first_ns;      /* the first expiry, on the thread's CPU clock */
    _Atomic int64_t cpu_ticks; /* expiries recorded since; the thread's own handler counts */
    struct prof_bucket
        *cpu_kept[PROF_CPU_KEPT]; /* those of some, drawn at random; NULL: had no room */
    int64_t cpu_end_ns;           /* the end of the profile on that clock; 0: there was no timer */
};

/* Initial-exec: reading them neither allocates nor calls. prof_self_tls is the thread's slot;
 * prof_hook_tls is the same, but NULL while the thread is inside libprof: one load tells a hook
 * whether it may record, and where. */
extern __thread struct prof_thread *prof_self_tls __attribute__((tls_model("initial-exec")));
extern __thread struct prof_thread *prof_hook_tls __attribute__((tls_model("initial-exec")));
extern __thread int prof_busy_tls __attribute__((tls_model("initial-exec")));

/* Between these two the calling thread's allocations and lock waits are libprof's own and go
 * unrecorded. They nest. */
static inline void prof_enter(void)
{
    prof_busy_tls++;
    prof_hook_tls = NULL;
}

static inline void prof_leave(void)
{
    if (--prof_busy_tls == 0)
        prof_hook_tls = prof_self_tls;
}

/* The calling thread's slot, registered on first use. NULL: no memory, or registering just now. Not
 * in handlers. */
struct prof_thread *prof_thread_register(void);
/* The same, but NULL rather than wait for a lock: a hook may run while the host holds one of its
 * own that the lock's holder is waiting for. The next hook tries again. */
struct prof_thread *prof_thread_register_in_hook(void);
static inline struct prof_thread *prof_self(void)
{
    return prof_self_tls ? prof_self_tls : prof_thread_register();
}
/* For hooks: the slot, or NULL when what happens is libprof's own doing, or comes before prof_init
 * (then the process may not be ready for us, and a sanitizer certainly is not). */
extern atomic_bool prof_ready;
#ifndef PROF_HOOKS_REGISTER /* 0: a new thread's first hooks come before its sanitizer's state, so \
                               only thread_main may */
#define PROF_HOOKS_REGISTER 1
#endif
static inline struct prof_thread *prof_hook_self(void)
{
    struct prof_thread *t = prof_hook_tls;
    if (__builtin_expect(t != NULL, 1))
        return t;
    return prof_busy_tls || !PROF_HOOKS_REGISTER ||
                   !atomic_load_explicit(&prof_ready, memory_order_relaxed)
               ? NULL
               : prof_thread_register_in_hook();
}

extern struct prof_lock prof_threads_lock;
struct prof_thread *prof_threads_first(void); /* then ->next; slots with tid 0 are free */
/* Gives every thread of the process a slot, those in /proc/self/task that never passed
 * pthread_create too. */
void prof_threads_discover_locked(void);

/* pthread_create without the hook. */
int prof_thread_create_unseen(pthread_t *thread, void *(*start_routine)(void *), void *arg);

/* ---- own.c: threads that are libprof's, not the program's --------------------------------------
 */

/* The calling thread is, and those will be that it creates. */
extern __thread bool prof_own_tls __attribute__((tls_model("initial-exec")));
void prof_own_mark(void);
/* The calling thread ends, and has given its slot back. True: it seems to be the program's last
 * one, and must call prof_own_end_if_last. */
bool prof_own_may_be_last_locked(bool own);
void prof_own_end_if_last(void);
void prof_own_fork_child(void);

uint64_t prof_random(struct prof_thread *t);
pid_t prof_gettid(void);
/* Idempotent; the constructor calls it, and each hook that another constructor may reach first. */
void prof_init(void);
void prof_label_fork_prepare(void);
void prof_label_fork_done(void);

/* Creation stacks: threadcreate profile. */
extern struct prof_bucket_table prof_thread_creators;

#pragma GCC visibility pop
#endif
