/* Every thread's stack at one moment: each thread is sent a signal, and its handler writes the
 * stack down.
 *
 * All the signals go out first, then the answers are waited for together, for a second at most: who
 * is too late, or cannot be asked, is listed all the same, with what /proc tells. Asked is only a
 * thread that the signal does not disturb (call.c). A thread too late still has the signal coming,
 * and may need its call redone then, so the dump stays reachable for the handler until everyone
 * asked has answered or is gone.
 *
 * Entered through prof_dump_take from goroutine.c, and through prof_dump_answer from the handler.
 */
#include "prof/internal.h"
#include "prof/thread.h"
#include "prof/twin.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NOT_ASKED, ASKED, ANSWERING, ANSWERED, TOO_LATE, GONE };

#define TIME_LIMIT_NS  INT64_C(1000000000)
#define LOOK_AROUND_NS INT64_C(20000000)
#define BRIEFLY_NS     INT64_C(2000000)

static const char blocks[] = "it blocks SIGPROF";

struct request {
    _Atomic int state;
    bool redo; /* its call is to begin anew; a hook may do that better, for what is left of the time
                */
    struct prof_dump_thread thread; /* the handler writes to it while ANSWERING */
};

struct round { /* what is asked of everybody, once */
    _Atomic(struct round *) next;
    struct round *retired;
    size_t n, bytes;
    _Atomic uint32_t left;     /* answers still to come */
    struct request requests[]; /* by tid */
};

static _Atomic(struct round *) rounds; /* the newest first; changed under the lock */
static atomic_int answering;           /* handlers that may be using any of them */

static struct {
    struct prof_lock lock;
    struct round *retired; /* no longer in rounds, but a handler may still have seen them there */
} dumping;

/* ---- the handler's part ---------------------------------------------------------------------- */

static struct request *find_request(struct round *round, pid_t tid)
{
    size_t low = 0, high = round->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (round->requests[mid].thread.tid < tid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < round->n && round->requests[low].thread.tid == tid ? &round->requests[low] : NULL;
}

/* A thread that waits in a hook stands, to its readers, in pthread_cond_wait, not three calls
 * deeper. */
static void start_at_hook(struct prof_dump_thread *t, const struct prof_thread *self)
{
    if (atomic_load_explicit(&self->wait_kind, memory_order_relaxed) == PROF_WAIT_NONE)
        return;
    for (int i = 1; i < t->npcs; i++)
        if (t->pcs[i] == self->wait_from - 1) {
            t->npcs -= i - 1;
            memmove(t->pcs, t->pcs + i - 1, (size_t)t->npcs * sizeof t->pcs[0]);
            t->pcs[0] = self->wait_here;
            t->npcs = 1 + prof_twin_skip(t->pcs + 1, t->npcs - 1);
            return;
        }
}

static void write_down(struct prof_dump_thread *t, const void *ucontext, bool room)
{
    struct prof_thread *self = prof_self_tls;
    if (room)
        t->npcs = prof_stack_signal(t->pcs, PROF_MAX_FRAMES, ucontext);
    else
        t->missing = "its alternate signal stack is too small";
    if (self && atomic_load_explicit(&self->tid, memory_order_relaxed) == t->tid) {
        t->labels = atomic_load_explicit(&self->labels, memory_order_acquire);
        start_at_hook(t, self);
    }
}

static bool answer(struct round *round, struct request *r, void *ucontext, bool room)
{
    int state = ASKED;
    if (atomic_compare_exchange_strong(&r->state, &state, ANSWERING)) {
        write_down(&r->thread, ucontext, room);
        if (r->redo)
            prof_call_redo(&r->thread.call, ucontext);
        atomic_store(&r->state, ANSWERED);
        if (atomic_fetch_sub(&round->left, 1) == 1)
            prof_futex_wake(&round->left);
        return true;
    }
    if (state == TOO_LATE) {
        if (r->redo)
            prof_call_redo(&r->thread.call, ucontext);
        atomic_store(&r->state, ANSWERED);
    }
    return state == TOO_LATE;
}

bool prof_dump_answer(void *ucontext, bool room)
{
    if (!atomic_load_explicit(&rounds, memory_order_relaxed))
        return false;
    bool answered = false;
    pid_t tid = prof_gettid();
    atomic_fetch_add(&answering, 1);
    for (struct round *round = atomic_load(&rounds); round; round = atomic_load(&round->next)) {
        struct request *r = find_request(round, tid);
        if (r && answer(round, r, ucontext, room))
            answered = true;
    }
    atomic_fetch_sub(&answering, 1);
    return answered;
}

/* ---- whom to ask ----------------------------------------------------------------------------- */

static int by_tid(const void *a, const void *b)
{
    const struct request *x = a, *y = b;
    return (x->thread.tid > y->thread.tid) - (x->thread.tid < y->thread.tid);
}

static void describe(struct prof_dump_thread *out, const struct prof_thread *t)
{
    out->slot = t;
    out->tid = atomic_load(&t->tid);
    out->stack_end = t->stack_end;
    out->labels = atomic_load_explicit(&t->labels, memory_order_acquire);
    out->creator = atomic_load_explicit(&t->creator, memory_order_acquire);
    out->start = (uintptr_t)atomic_load_explicit(&t->start_routine, memory_order_relaxed);
    if (out->tid == getpid())
        out->start = (uintptr_t)getauxval(AT_ENTRY);
}

static struct round *list_threads_locked(void)
{
    size_t n = 0;
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        n += atomic_load(&t->tid) != 0;
    struct round *round = prof_pages_alloc(sizeof *round + n * sizeof round->requests[0]);
    if (!round)
        return NULL;
    round->bytes = sizeof *round + n * sizeof round->requests[0];
    for (struct prof_thread *t = prof_threads_first(); t && round->n < n; t = t->next)
        if (atomic_load(&t->tid) != 0)
            describe(&round->requests[round->n++].thread, t);
    return round;
}

static struct round *list_threads(void)
{
    prof_lock(&prof_threads_lock);
    prof_threads_discover_locked();
    struct round *round = list_threads_locked();
    prof_unlock(&prof_threads_lock);
    if (round)
        qsort(round->requests, round->n, sizeof round->requests[0], by_tid);
    return round;
}

static bool is_gone(pid_t tid)
{
    int saved = errno;
    bool gone = syscall(SYS_tgkill, getpid(), tid, 0) != 0 && errno == ESRCH;
    errno = saved;
    return gone;
}

/* The kind is stored last and cleared first, so between two equal ones the rest belongs to it. */
static void read_wait(struct prof_dump_thread *out)
{
    const struct prof_thread *t = out->slot;
    int kind = atomic_load_explicit(&t->wait_kind, memory_order_acquire);
    out->wait_object = atomic_load_explicit(&t->wait_object, memory_order_acquire);
    out->wait_since_ns = atomic_load_explicit(&t->wait_since_ns, memory_order_acquire);
    out->wait_here = atomic_load_explicit(&t->wait_here, memory_order_acquire);
    out->wait_frame = atomic_load_explicit(&t->wait_frame, memory_order_acquire);
    bool same = atomic_load_explicit(&t->wait_kind, memory_order_acquire) == kind &&
                atomic_load_explicit(&t->tid, memory_order_acquire) == out->tid;
    out->wait_kind = same ? kind : PROF_WAIT_NONE;
}

/* Only the first thread stays visible after its end, until the others have ended. */
static bool has_died(const struct prof_dump_thread *t)
{
    return (t->task.state == 'Z' || t->task.state == 'X') && t->tid != getpid();
}

/* Why this thread must not be asked; NULL: it may be. */
static const char *reason_against(const struct prof_dump_thread *t)
{
    enum prof_interruption how = prof_call_interruption(&t->call);
    if (t->task.kernel)
        return "it works for the kernel";
    if (t->task.state == 'Z' || t->task.state == 'X')
        return "it has exited";
    if (t->task.state == 'T' || t->task.state == 't')
        return "it is stopped";
    if (t->task.blocks_sigprof)
        return blocks;
    if (how == PROF_CALL_SWALLOWS)
        return "it waits for signals, SIGPROF among them";
    if (t->wait_kind != PROF_WAIT_NONE)
        return NULL; /* a hook takes the call up again */
    if (t->call.nr == PROF_CALL_UNKNOWN && t->task.state != 'R')
        return "/proc does not tell what it does, so a signal might disturb it";
    return t->call.nr != PROF_CALL_UNKNOWN && how == PROF_CALL_BREAKS
               ? "it is in a system call that a signal would interrupt"
               : NULL;
}

/* Without an answer: the call that it is in, and where it began. */
static void take_what_is_known(struct prof_dump_thread *t)
{
    t->npcs = 0;
    if (t->call.pc)
        t->pcs[t->npcs++] = t->call.pc - 1; /* within the call's instruction */
    if (t->start)
        t->pcs[t->npcs++] = t->start;
}

/* Of a thread that sleeps and is not asked: also what its stack shows, if it has slept on
 * meanwhile. */
static void look_from_outside(struct prof_dump_thread *t, int tasks)
{
    struct prof_outside o = {.pc = t->call.pc - 1, .sp = t->call.sp, .stack_end = t->stack_end};
    struct prof_call later;
    if (t->wait_kind != PROF_WAIT_NONE && t->wait_frame) {
        o.hook_frame = t->wait_frame;
        o.pc = t->wait_here;
    }
    t->npcs = prof_stack_outside(&o, t->pcs, PROF_MAX_FRAMES - 1, &t->whole);
    if (t->npcs == 0)
        return;
    if (o.hook_frame)
        t->npcs = 1 + prof_twin_skip(t->pcs + 1, t->npcs - 1);
    prof_call_read(tasks, t->tid, &later);
    if (later.nr != t->call.nr || later.sp != t->call.sp || later.pc != t->call.pc)
        t->npcs = t->whole = 0;
    else if (!t->whole && t->start)
        t->pcs[t->npcs++] = t->start;
}

static void send_request(struct round *round, struct request *r)
{
    atomic_fetch_add(&round->left, 1);
    atomic_store(&r->state, ASKED);
    int rc = prof_signal_send(r->thread.tid), state = ASKED;
    if (rc < 0 &&
        atomic_compare_exchange_strong(&r->state, &state, rc == -ESRCH ? GONE : NOT_ASKED)) {
        atomic_fetch_sub(&round->left, 1);
        r->thread.missing = "the kernel refused to send it a signal";
    }
}

static void ask(struct round *round, struct request *r, int tasks)
{
    struct prof_dump_thread *t = &r->thread;
    if ((!prof_task_read(tasks, t->tid, &t->task) && is_gone(t->tid)) || has_died(t)) {
        atomic_store(&r->state, GONE);
        return;
    }
    prof_call_read(tasks, t->tid, &t->call);
    read_wait(t);
    t->missing = reason_against(t);
    r->redo = prof_call_interruption(&t->call) == PROF_CALL_REDO;
    if (!t->missing)
        send_request(round, r);
    else if (t->call.nr >= 0)
        look_from_outside(t, tasks);
}

static void take_own(struct request *r, int tasks, const void *from)
{
    struct prof_dump_thread *t = &r->thread;
    prof_task_read(tasks, t->tid, &t->task);
    t->call.nr = PROF_CALL_NONE;
    t->npcs = prof_stack(t->pcs, PROF_MAX_FRAMES, from);
    atomic_store(&r->state, ANSWERED);
}

static void ask_all(struct round *round, int tasks, const void *from)
{
    pid_t self = prof_gettid();
    for (size_t i = 0; i < round->n; i++) {
        struct request *r = &round->requests[i];
        if (i > 0 && r->thread.tid == r[-1].thread.tid) /* seen twice while it was being born */
            atomic_store(&r->state, GONE);
        else if (r->thread.tid == self)
            take_own(r, tasks, from);
        else
            ask(round, r, tasks);
    }
}

/* libc blocks all signals for moments, such as around the birth of a thread. */
static void ask_blockers_again(struct round *round, int tasks)
{
    bool waited = false;
    for (size_t i = 0; i < round->n; i++) {
        if (round->requests[i].thread.missing != blocks)
            continue;
        if (!waited)
            prof_futex_wait(&round->left, atomic_load(&round->left), BRIEFLY_NS);
        waited = true;
        ask(round, &round->requests[i], tasks);
    }
}

/* ---- the answers ----------------------------------------------------------------------------- */

static void forget_the_dead(struct round *round)
{
    for (size_t i = 0; i < round->n; i++) {
        struct request *r = &round->requests[i];
        int state = atomic_load(&r->state);
        if ((state != ASKED && state != TOO_LATE) || !is_gone(r->thread.tid))
            continue;
        if (atomic_compare_exchange_strong(&r->state, &state, GONE) && state == ASKED)
            atomic_fetch_sub(&round->left, 1);
    }
}

static void wait_for_answers(struct round *round, int64_t deadline_ns)
{
    uint32_t left;
    while ((left = atomic_load(&round->left)) > 0) {
        int64_t rest_ns = deadline_ns - prof_now_ns();
        if (rest_ns <= 0)
            return;
        prof_futex_wait(&round->left, left, rest_ns < LOOK_AROUND_NS ? rest_ns : LOOK_AROUND_NS);
        if (atomic_load(&round->left) == left)
            forget_the_dead(round);
    }
}

/* Copies what r has come to. A handler that is writing to it just now is too late, too, and writes
 * on alone. */
static void conclude(struct request *r, struct prof_dump_thread *out)
{
    int state = ASKED;
    atomic_compare_exchange_strong(&r->state, &state, TOO_LATE);
    if ((state == ANSWERED || state == NOT_ASKED) && r->thread.npcs > 0) {
        *out = r->thread;
        return;
    }
    memcpy(out, &r->thread, offsetof(struct prof_dump_thread, npcs));
    take_what_is_known(out);
    if (state == ASKED || state == ANSWERING) {
        prof_drop(&prof_dropped.threads);
        out->missing = "it did not answer in time";
        out->whole = false;
    }
}

static struct prof_dump *conclude_all(struct round *round)
{
    struct prof_dump *d = malloc(sizeof *d + round->n * sizeof d->threads[0]);
    if (!d)
        return NULL;
    d->n = 0;
    d->taken_ns = prof_now_ns();
    for (size_t i = 0; i < round->n; i++)
        if (atomic_load(&round->requests[i].state) != GONE)
            conclude(&round->requests[i], &d->threads[d->n++]);
    return d;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static void open_round_locked(struct round *round)
{
    atomic_store(&round->next, atomic_load(&rounds));
    atomic_store(&rounds, round);
}

/* A signal may still be on its way to one of its threads. */
static bool is_open(const struct round *round)
{
    for (size_t i = 0; i < round->n; i++) {
        int state = atomic_load(&round->requests[i].state);
        if (state == ASKED || state == ANSWERING || state == TOO_LATE)
            return true;
    }
    return false;
}

/* Frees the rounds whose signals have all arrived, once no handler can be looking at them. */
static void retire_locked(void)
{
    _Atomic(struct round *) *link = &rounds;
    for (struct round *round; (round = atomic_load(link));) {
        forget_the_dead(round);
        if (is_open(round)) {
            link = &round->next;
            continue;
        }
        atomic_store(link, atomic_load(&round->next));
        round->retired = dumping.retired;
        dumping.retired = round;
    }
    for (int i = 0; atomic_load(&answering) > 0 && i < 1000; i++)
        sched_yield(); /* a handler takes microseconds */
    while (atomic_load(&answering) == 0 && dumping.retired) {
        struct round *round = dumping.retired;
        dumping.retired = round->retired;
        prof_pages_free(round, round->bytes);
    }
}

static struct prof_dump *take_locked(int64_t deadline_ns, const void *from)
{
    struct round *round = list_threads();
    if (!round)
        return NULL;
    int tasks = prof_tasks_open();
    open_round_locked(round);
    ask_all(round, tasks, from);
    ask_blockers_again(round, tasks);
    if (tasks >= 0)
        close(tasks);
    wait_for_answers(round, deadline_ns);
    struct prof_dump *d = conclude_all(round);
    retire_locked();
    return d;
}

struct prof_dump *prof_dump_take(void)
{
    struct prof_dump *d = NULL;
    prof_init();
    prof_self();
    prof_enter();
    prof_lock(&dumping.lock);
    if (prof_signal_install() == 0)
        d = take_locked(prof_now_ns() + TIME_LIMIT_NS, __builtin_return_address(0));
    prof_unlock(&dumping.lock);
    prof_leave();
    return d;
}

void prof_dump_free(struct prof_dump *d)
{
    prof_enter();
    free(d);
    prof_leave();
}

/* No signal follows a thread into the child; a dump that another thread was taking is simply lost
 * there. */
void prof_dump_fork_child(void)
{
    atomic_store(&rounds, NULL);
    atomic_store(&answering, 0);
    memset(&dumping, 0, sizeof dumping);
}

/* The kernel's own count: every thread is a link of the folder, which has two more. */
int64_t prof_dump_count(void)
{
    struct stat st;
    return stat("/proc/self/task", &st) == 0 && st.st_nlink > 2 ? (int64_t)st.st_nlink - 2 : 1;
}
