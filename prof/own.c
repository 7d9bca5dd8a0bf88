/* Threads of libprof's own, and the end of a program that has no others left.
 *
 * A process ends when its main thread returns. If the main thread leaves by pthread_exit instead,
 * the last thread ends the process with exit(0), says POSIX; but libc counts all threads, and those
 * of libprof (the endpoints', the trace's) stay: the process would live for ever, deaf to signals.
 * So the last thread of the program's own to leave calls exit itself.
 *
 * Which one that is the registry knows (thread.c), but for threads that have not registered yet and
 * for those on their way out. The kernel lists these. Entered from thread.c's destructor. */
#include "prof/thread.h"
#include "prof/trace_internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- threads of libprof's own ---------------------------------------------------------------- */

enum { OWNS_MAX = 8 };

/* They have no slots: the registry would take them for the program's. */
static struct own {
    atomic_bool taken;
    _Atomic pid_t tid; /* 0: not begun, or over */
    void *(*fn)(void *);
    void *arg;
} owns[OWNS_MAX];

static struct own *take_own(void *(*fn)(void *), void *arg)
{
    for (int i = 0; i < OWNS_MAX; i++)
        if (!atomic_exchange(&owns[i].taken, true)) {
            owns[i].fn = fn;
            owns[i].arg = arg;
            return &owns[i];
        }
    return NULL;
}

static void give_back(struct own *o)
{
    atomic_store(&o->tid, 0);
    atomic_store(&o->taken, false);
}

static void *own_main(void *arg)
{
    struct own *o = arg;
    atomic_store(&o->tid, prof_gettid());
    void *result = o->fn(o->arg);
    give_back(o);
    return result;
}

/* They take none of the program's signals. SIGPROF stays open, or they would be missing in
 * profiles. */
int prof_own_thread(unsigned long *thread, const char *name, void *(*fn)(void *), void *arg)
{
    struct own *o = take_own(fn, arg);
    sigset_t all, old;
    pthread_t made;
    if (!o)
        return -EAGAIN;
    sigfillset(&all);
    sigdelset(&all, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = prof_thread_create_unseen(&made, own_main, o);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err) {
        give_back(o);
        return err == ENOMEM ? -ENOMEM : -EAGAIN;
    }
    pthread_setname_np(made, name);
    *thread = made;
    return 0;
}

void prof_own_join(unsigned long thread)
{
    pthread_join(thread, NULL);
}

void prof_own_mark(void)
{
    struct prof_thread *t = prof_self();
    prof_own_tls = true;
    prof_lock(&prof_threads_lock);
    if (t)
        t->own = true;
    prof_unlock(&prof_threads_lock);
}

/* ---- the program's last thread --------------------------------------------------------------- */

static const int64_t PATIENCE_NS = INT64_C(10000000000);
static const struct timespec moment = {.tv_nsec = 1000000};

static atomic_bool main_left; /* by pthread_exit */
static bool claimed;          /* somebody looks whether it is the last; under prof_threads_lock */

/* A foreign slot may be that of a thread which is about to vanish. */
static bool is_programs(const struct prof_thread *t)
{
    return atomic_load(&t->tid) != 0 && !t->foreign && !t->own;
}

static bool program_has_threads_locked(void)
{
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        if (is_programs(t))
            return true;
    return false;
}

bool prof_own_may_be_last_locked(bool own)
{
    if (!own && prof_gettid() == getpid())
        atomic_store(&main_left, true);
    if (own || !atomic_load(&main_left) || claimed || program_has_threads_locked())
        return false;
    return claimed = true;
}

static bool is_own_locked(pid_t tid)
{
    for (int i = 0; i < OWNS_MAX; i++)
        if (atomic_load(&owns[i].tid) == tid)
            return true;
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        if (t->own && atomic_load(&t->tid) == tid)
            return true;
    return false;
}

static void count_unknown(pid_t tid, void *unknown)
{
    if (tid != getpid() && tid != prof_gettid() && !is_own_locked(tid))
        ++*(int *)unknown;
}

static int unknown_threads_locked(void)
{
    int tasks = prof_tasks_open(), unknown = 0;
    if (tasks < 0)
        return -errno;
    prof_tasks_each(tasks, count_unknown, &unknown);
    close(tasks);
    return unknown;
}

/* 1: the calling thread is the last. 0: it is not. -EAGAIN: there are threads that will tell
 * soon. Twice, for the kernel's list may end early when a thread of it vanishes. */
static int look_locked(void)
{
    if (program_has_threads_locked())
        return 0;
    int unknown = unknown_threads_locked();
    if (unknown == 0)
        unknown = unknown_threads_locked();
    return unknown == 0 ? 1 : unknown > 0 ? -EAGAIN : 0;
}

/* Who is refused the claim while another has it is waited for by that one. */
void prof_own_end_if_last(void)
{
    const int64_t end_ns = prof_now_ns() + PATIENCE_NS;
    int last;
    for (;;) {
        prof_lock(&prof_threads_lock);
        last = look_locked();
        if (last == -EAGAIN && prof_now_ns() > end_ns)
            last = 0; /* a thread that never registers: made by a bare clone(2) */
        claimed = last != 0;
        prof_unlock(&prof_threads_lock);
        if (last != -EAGAIN)
            break;
        syscall(SYS_nanosleep, &moment, NULL);
    }
    if (last) {
        prof_leave(); /* what exit calls is the program's, and profiles are written in it */
        exit(0);
    }
}

void prof_own_fork_child(void)
{
    for (int i = 0; i < OWNS_MAX; i++)
        give_back(&owns[i]);
    atomic_store(&main_left, false);
    claimed = false;
}
