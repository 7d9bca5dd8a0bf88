/* A wait, from a hook's view: the thread's state while it lasts, and what it adds to the profiles.
 *
 * prof_wait_begin says in the thread's slot what it waits for, where the goroutine profile finds
 * it, and puts the thread among the lock's waiters, where the holder's unlock finds it;
 * prof_wait_end takes both back and records the wait. No lock of libprof's is held in between: the
 * real call may be cancelled, or interrupted by a handler that waits itself. */
#include "prof/wait.h"

#include "prof/sched.h"
#include "prof/thread.h"

#include <ucontext.h>

/* In place of a beginning: the wait began before the trace. */
static const uint64_t NOT_YET = 1;

static const char *const names[] = {
    [PROF_WAIT_NONE] = "",
    [PROF_WAIT_MUTEX] = "mutex",
    [PROF_WAIT_RWLOCK] = "rwlock",
    [PROF_WAIT_COND] = "condition variable",
    [PROF_WAIT_SEMAPHORE] = "semaphore",
    [PROF_WAIT_BARRIER] = "barrier",
    [PROF_WAIT_JOIN] = "join",
    [PROF_WAIT_SLEEP] = "sleep",
    [PROF_WAIT_POLL] = "poll",
    [PROF_WAIT_SIGNAL] = "signal",
    [PROF_WAIT_IPC] = "System V IPC",
};

const char *prof_wait_name(int kind)
{
    return kind < 0 || kind >= (int)(sizeof names / sizeof names[0]) ? "" : names[kind];
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void set_state(struct prof_thread *t, int kind, const void *object, int64_t since_ns)
{
    atomic_store_explicit(&t->wait_kind, PROF_WAIT_NONE, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&t->wait_object, object, memory_order_relaxed);
    atomic_store_explicit(&t->wait_since_ns, since_ns, memory_order_relaxed);
    atomic_store_explicit(&t->wait_kind, kind, memory_order_release);
}

/* The frame of the function that `from` is the return address of: one of ours, which all keep frame
 * pointers, among the next few. What looks like a frame pointer is followed upwards only, and not
 * far, so that it leads to the stack whatever it is. */
static uintptr_t hook_frame(uintptr_t frame, const void *from)
{
    enum { FRAMES = 4, FRAME_BYTES_MAX = 8 << 10 };
    for (int i = 0; i < FRAMES; i++) {
        const uintptr_t *words = (const uintptr_t *)frame; /* NOLINT: an address */
        if (words[1] == (uintptr_t)from)
            return frame;
        if (words[0] <= frame || words[0] - frame > FRAME_BYTES_MAX || words[0] % sizeof frame)
            break;
        frame = words[0];
    }
    return 0;
}

/* From the hook's frame on, so that our own frames between it and here need no walk. */
int prof_site_stack(struct prof_site site, uintptr_t *pcs, int max)
{
    uintptr_t frame = hook_frame((uintptr_t)__builtin_frame_address(0), site.from);
    pcs[0] = (uintptr_t)site.here;
    return 1 + (frame ? prof_stack_of((const uintptr_t *)frame, pcs + 1, max - 1) /* NOLINT */
                      : prof_stack(pcs + 1, max - 1, site.from));
}

static void set_place(struct prof_thread *t, struct prof_site site)
{
    uintptr_t frame = hook_frame((uintptr_t)__builtin_frame_address(0), site.from);
    atomic_store_explicit(&t->wait_here, (uintptr_t)site.here, memory_order_relaxed);
    atomic_store_explicit(&t->wait_from, (uintptr_t)site.from, memory_order_relaxed);
    atomic_store_explicit(&t->wait_frame, frame, memory_order_relaxed);
}

/* A wait shorter than the rate is recorded with the probability waited / rate, so as soon as it
 * reaches a random part of the rate; as in Go's runtime/mprof.go, blocksampled. */
static void draw_sample(struct prof_waiting *w, enum prof_wait kind)
{
    w->npcs = 0;
    w->record_from_ns = INT64_MAX;
    w->block_rate_ns = prof_block_rate_ns(kind);
    if (w->block_rate_ns > 0)
        w->record_from_ns = (int64_t)(prof_random(w->t) % (uint64_t)w->block_rate_ns);
}

/* Taking the stack costs about as much as a futex wait at its shortest. Before the wait this time
 * is lost to nobody; after it, the thread holds the lock that others wait for. But where only
 * longer waits are recorded, most waits need no stack at all. */
enum { STACK_FIRST_BELOW_NS = 20000 };

int prof_wait_what(int kind)
{
    static const unsigned char whats[] = {
        [PROF_WAIT_NONE] = PROF_WHAT_OTHER,          [PROF_WAIT_MUTEX] = PROF_WHAT_MUTEX,
        [PROF_WAIT_RWLOCK] = PROF_WHAT_WRLOCK,       [PROF_WAIT_COND] = PROF_WHAT_COND,
        [PROF_WAIT_SEMAPHORE] = PROF_WHAT_SEMAPHORE, [PROF_WAIT_BARRIER] = PROF_WHAT_BARRIER,
        [PROF_WAIT_JOIN] = PROF_WHAT_JOIN,           [PROF_WAIT_SLEEP] = PROF_WHAT_SLEEP,
        [PROF_WAIT_POLL] = PROF_WHAT_POLL,           [PROF_WAIT_SIGNAL] = PROF_WHAT_SIGNAL,
        [PROF_WAIT_IPC] = PROF_WHAT_SEMOP,
    };
    return kind < 0 || kind >= (int)(sizeof whats / sizeof whats[0]) ? PROF_WHAT_OTHER
                                                                     : whats[kind];
}

static uint32_t wanted_kind(enum prof_wait kind)
{
    return kind <= PROF_WAIT_JOIN ? PROF_TRACE_BLOCK : PROF_TRACE_SYSCALL;
}

/* For the trace; false: it does not want this wait. */
static bool begin_event(struct prof_waiting *w, enum prof_wait kind, const void *object)
{
    bool wanted = prof_trace_wants(wanted_kind(kind));
    w->kind = kind;
    w->event = (struct prof_wait_event){.object = object, .what = prof_wait_what(kind), .fd = -1};
    w->event.begin = wanted ? prof_ticks() : NOT_YET;
    return wanted;
}

void prof_wait_begin(struct prof_waiting *w, enum prof_wait kind, const void *object,
                     const void *mutex, struct prof_site site)
{
    struct prof_thread *t = w->t = prof_hook_self();
    if (!t)
        return;
    int saved = errno;
    prof_enter();
    w->site = site;
    w->since_ns = prof_now_ns();
    w->own_signals = w->outer_own_signals =
        atomic_load_explicit(&t->own_signals, memory_order_relaxed);
    set_place(t, site);
    set_state(t, kind, object, w->since_ns);
    w->woken = w->timed_out = false;
    bool traced = begin_event(w, kind, object);
    w->listed = kind <= PROF_WAIT_JOIN && (kind <= PROF_WAIT_COND || traced) &&
                prof_contention_enter(&t->waiter, object, mutex, w->since_ns, traced);
    draw_sample(w, kind);
    bool with_stack = traced && prof_trace_wants(PROF_TRACE_STACKS);
    if (w->record_from_ns < STACK_FIRST_BELOW_NS || with_stack)
        w->npcs = prof_site_stack(site, w->pcs, PROF_MAX_FRAMES);
    if (with_stack)
        w->event.stack = prof_trace_stack(w->pcs, w->npcs);
    prof_leave();
    if (traced)
        prof_event_wait_begin(&w->event);
    errno = saved;
}

/* The wait of a signal handler leaves "none" behind, not the wait that the signal came in: that may
 * have been left by longjmp, and nothing would ever end it. */
static void leave(struct prof_waiting *w, struct prof_thread *t)
{
    if (w->listed)
        prof_contention_leave(&t->waiter, w->woken);
    set_state(t, PROF_WAIT_NONE, NULL, 0);
    /* A signal that cut this call short says nothing about the one that it interrupted. */
    atomic_store_explicit(&t->own_signals, w->outer_own_signals, memory_order_relaxed);
}

/* A lock that turned out to be free when it was asked for again: the thread went on at once. What
 * is shorter than going to sleep and being woken was no wait, if nobody can be named who held it.
 */
enum { WAIT_NS_MIN = 20000 };

/* A thread is mostly woken from one place. */
static struct prof_bucket *stamp_stack(const struct prof_stamp *s)
{
    static __thread struct {
        const void *here, *from;
        struct prof_bucket *stack;
    } last __attribute__((tls_model("initial-exec")));
    const uintptr_t pcs[] = {(uintptr_t)s->here, (uintptr_t)s->from - 1};
    if (!s->from || (last.from == s->from && last.here == s->here))
        return s->from ? last.stack : NULL;
    struct prof_bucket *stack = prof_trace_stack(pcs, 2);
    last.here = s->here;
    last.from = s->from;
    last.stack = stack;
    return stack;
}

/* false: it is not to be told. */
static bool end_event(struct prof_waiting *w)
{
    struct prof_wait_event *e = &w->event;
    const struct prof_stamp *s = &w->t->waiter.stamp;
    bool lock = w->kind == PROF_WAIT_MUTEX || w->kind == PROF_WAIT_RWLOCK;
    if (w->listed && s->how && lock && !e->holder)
        e->holder = s->tid;
    if (w->listed && s->how && !w->timed_out) {
        e->waker = s->tid;
        e->wake = s->ticks;
        e->waker_stack = stamp_stack(s);
        e->how = s->how;
    }
    if (e->begin == NOT_YET)
        e->begin = atomic_load_explicit(&prof_trace_began, memory_order_relaxed);
    return e->end > e->begin &&
           (!lock || e->holder || prof_ticks_length_ns(e->end - e->begin) >= WAIT_NS_MIN);
}

/* Ticks cost half of what the clock does. */
static int64_t waited(const struct prof_waiting *w, bool sampled, bool traced)
{
    if (!sampled && !atomic_load_explicit(&prof_sched_active, memory_order_relaxed))
        return 0;
    return !sampled && traced && w->event.begin > NOT_YET
               ? prof_ticks_length_ns(w->event.end - w->event.begin)
               : prof_now_ns() - w->since_ns;
}

void prof_wait_end(struct prof_waiting *w)
{
    struct prof_thread *t = w->t;
    if (!t)
        return;
    int saved = errno;
    prof_enter();
    bool sampled = w->record_from_ns != INT64_MAX;
    bool traced = w->event.begin && prof_trace_wants(wanted_kind(w->kind));
    if (traced)
        w->event.end = prof_ticks();
    int64_t waited_ns = waited(w, sampled, traced);
    leave(w, t);
    prof_sched_waited(waited_ns);
    traced = traced && end_event(w);
    if (sampled && waited_ns >= w->record_from_ns) {
        if (w->npcs == 0)
            w->npcs = prof_site_stack(w->site, w->pcs, PROF_MAX_FRAMES);
        prof_block_record(w, waited_ns);
    }
    prof_leave();
    if (traced)
        prof_event_wait(&w->event);
    else
        prof_event_wait_cancel();
    errno = saved;
}

/* ---- calls that libprof's own signals cut short ---------------------------------------------- */

/* The kernel ended a call and has put its result where the call returns it. */
static bool returns_eintr(const ucontext_t *uc)
{
#if defined(__x86_64__)
    return uc->uc_mcontext.gregs[REG_RAX] == -EINTR;
#elif defined(__aarch64__)
    return (int64_t)uc->uc_mcontext.regs[0] == -EINTR;
#endif
}

static _Atomic uint64_t own; /* the signals of libprof's handlers, bit by bit */

/* Everything is blocked while a handler of libprof's runs, so a signal for the host that has come
 * as well is pending. Its handler runs next, and the host expects its EINTR. */
static bool host_signal_pending(const ucontext_t *uc)
{
    sigset_t pending;
    uint64_t ours = atomic_load_explicit(&own, memory_order_relaxed);
    if (sigpending(&pending) != 0)
        return true;
    for (int sig = 1; sig <= 64; sig++)
        if (sigismember(&pending, sig) == 1 && sigismember(&uc->uc_sigmask, sig) == 0 &&
            !(ours >> (sig - 1) & 1))
            return true;
    return false;
}

void prof_wait_interrupted(int sig, const void *ucontext)
{
    struct prof_thread *t = prof_self_tls;
    atomic_fetch_or_explicit(&own, UINT64_C(1) << (sig - 1), memory_order_relaxed);
    if (t && returns_eintr(ucontext) && !host_signal_pending(ucontext))
        atomic_fetch_add_explicit(&t->own_signals, 1, memory_order_relaxed);
}

bool prof_wait_cut_short(struct prof_waiting *w, int error)
{
    if (error != EINTR || !w->t)
        return false;
    uint32_t now = atomic_load_explicit(&w->t->own_signals, memory_order_relaxed);
    bool ours = now != w->own_signals;
    w->own_signals = now;
    return ours;
}

int64_t prof_timespec_ns(const struct timespec *t)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)t->tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)t->tv_nsec, &ns))
        return INT64_MAX;
    return ns;
}

struct timespec prof_wait_left(const struct prof_waiting *w, int64_t total_ns)
{
    int64_t left = total_ns - (prof_now_ns() - w->since_ns);
    if (left < 0)
        left = 0;
    return (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
}

void prof_lock_init(void)
{
    prof_real_find();
    prof_block_init();
    prof_contention_init();
}

/* The child waits for nothing, and what its parent's threads waited for is the parent's. */
void prof_lock_fork_child(void)
{
    prof_contention_fork_child();
    prof_block_fork_child();
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next) {
        t->waiter = (struct prof_waiter){0};
        if (t != prof_self_tls)
            set_state(t, PROF_WAIT_NONE, NULL, 0);
    }
}
