/* A snapshot of the flight recorder at a crash.
 *
 * The process may be in any state: inside malloc, holding the loader's lock, with a smashed heap.
 * So the handler does almost nothing. It gives the drain a moment to empty the rings, then forks
 * with the bare system call. The child has a copy of everything, is alone in it, and may take its
 * time: it allocates from memory of its own (private.c), on a stack of its own, and takes locks
 * over that its parent's threads held. It writes the snapshot twice: first with module and offset
 * for each frame, which needs next to nothing, then with names; an alarm ends it if a lock of
 * libc's keeps it. The parent waits for it and then lets happen what would have happened. */
#include "prof/thread.h"
#include "prof/trace_internal.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIGNALS = 5, CHILD_SECONDS = 10, STACK_BYTES = 64 << 10 };
static const int signals[SIGNALS] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static const int64_t DRAIN_NS = 200000000, PARENT_NS = (CHILD_SECONDS + 2) * INT64_C(1000000000);

static struct prof_lock set_lock;
static struct sigaction before[SIGNALS];
static bool installed[SIGNALS];
static char file[4001];
static atomic_bool armed;   /* the handlers are installed */
static _Atomic pid_t taker; /* the first thread that crashes */
static atomic_bool taken;   /* its snapshot is written, or as much as there will be */

static void on_crash(int sig, siginfo_t *info, void *ucontext);

/* ---- the child ------------------------------------------------------------------------------- */

static int write_both(void *arg)
{
    (void)arg;
    int rc = prof_flight_write_file(file, true);
    return rc == 0 ? prof_flight_write_file(file, false) : rc;
}

static _Noreturn void child(void)
{
    struct sigaction fall = {.sa_handler = SIG_DFL};
    sigset_t all;
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &fall, NULL);
    sigaction(SIGALRM, &fall, NULL);
    sigemptyset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    alarm(CHILD_SECONDS);
    prof_enter();
    prof_drain_crash_child();
    int rc = prof_private_begin() ? prof_with_own_room(write_both, NULL) : -ENOMEM;
    _exit(rc == 0 ? 0 : 1);
}

/* ---- the parent ------------------------------------------------------------------------------ */

/* Without a signal at its end, so that no handler or wait of the host's learns of it. */
static pid_t fork_quietly(void)
{
    return (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
}

static void wait_for_child(pid_t pid)
{
    static const struct timespec moment = {.tv_nsec = 2000000};
    int64_t end_ns = prof_now_ns() + PARENT_NS;
    for (long rc = 0; rc == 0 || (rc < 0 && errno == EINTR);) {
        rc = syscall(SYS_wait4, pid, NULL, WNOHANG | __WALL, NULL);
        if (rc == 0 && prof_now_ns() > end_ns)
            syscall(SYS_kill, pid, SIGKILL);
        if (rc == 0)
            syscall(SYS_nanosleep, &moment, NULL);
    }
}

static void snapshot(void)
{
    prof_drain_hurry(DRAIN_NS);
    pid_t pid = fork_quietly();
    if (pid == 0)
        child();
    if (pid > 0)
        wait_for_child(pid);
}

/* What would have happened without us. */
static void pass_on(int i, int sig, siginfo_t *info, void *ucontext)
{
    if (before[i].sa_flags & SA_SIGINFO) {
        before[i].sa_sigaction(sig, info, ucontext);
    } else if (before[i].sa_handler != SIG_DFL && before[i].sa_handler != SIG_IGN) {
        before[i].sa_handler(sig);
    } else {
        sigaction(sig, &before[i],
                  NULL);        /* the instruction that failed fails again when we return */
        if (info->si_code <= 0) /* but somebody sent it */
            syscall(SYS_tgkill, getpid(), prof_gettid(), sig);
    }
}

/* What one thread has broken the next may stumble over at once: its signal would end the process
 * before the first one's child is made. */
static void wait_for_taker(void)
{
    static const struct timespec moment = {.tv_nsec = 2000000};
    int64_t end_ns = prof_now_ns() + DRAIN_NS + PARENT_NS;
    while (!atomic_load(&taken) && prof_now_ns() < end_ns)
        syscall(SYS_nanosleep, &moment, NULL);
}

static void take_snapshot_once(void)
{
    pid_t me = prof_gettid(), nobody = 0;
    if (atomic_compare_exchange_strong(&taker, &nobody, me)) {
        snapshot();
        atomic_store(&taken, true);
    } else if (nobody != me) { /* else it is the snapshot that crashed */
        wait_for_taker();
    }
}

static void on_crash(int sig, siginfo_t *info, void *ucontext)
{
    int saved = errno;
    if (prof_flight_active())
        take_snapshot_once();
    errno = saved;
    for (int i = 0; i < SIGNALS; i++)
        if (signals[i] == sig)
            pass_on(i, sig, info, ucontext);
}

/* ---- installing ------------------------------------------------------------------------------ */

/* A stack overflow leaves no room for a handler, so threads get a stack for it: the one that
 * installs the handlers, those that begin later, and older ones with the first event that they
 * have in a recording that is started later. */
static __thread void *stack_tls __attribute__((tls_model("initial-exec")));

void prof_crash_thread_start(void)
{
    stack_t now;
    if (!atomic_load_explicit(&armed, memory_order_relaxed) || sigaltstack(NULL, &now) != 0 ||
        !(now.ss_flags & SS_DISABLE))
        return;
    stack_tls = prof_pages_alloc(STACK_BYTES);
    if (stack_tls)
        sigaltstack(&(stack_t){.ss_sp = stack_tls, .ss_size = STACK_BYTES}, NULL);
}

/* If it is not ours any more, the thread set another. */
void prof_crash_thread_exit(void)
{
    stack_t now;
    if (!stack_tls || sigaltstack(NULL, &now) != 0)
        return;
    if (now.ss_sp == stack_tls)
        sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    prof_pages_free(stack_tls, STACK_BYTES);
    stack_tls = NULL;
}

static void install_locked(int i)
{
    struct sigaction ours = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction now;
    if (sigaction(signals[i], NULL, &now) != 0 || now.sa_sigaction == on_crash ||
        now.sa_handler == SIG_IGN)
        return;
    before[i] = now;
    sigemptyset(&ours.sa_mask);
    installed[i] = sigaction(signals[i], &ours, NULL) == 0;
}

static void take_back_locked(int i)
{
    struct sigaction now;
    if (installed[i] && sigaction(signals[i], NULL, &now) == 0 && now.sa_sigaction == on_crash)
        sigaction(signals[i], &before[i], NULL);
    installed[i] = false;
}

int prof_flight_on_crash(const char *path)
{
    if (path && (!*path || strlen(path) >= sizeof file))
        return -EINVAL;
    int saved = errno;
    prof_init();
    prof_enter();
    prof_lock(&set_lock);
    if (path)
        memcpy(file, path, strlen(path) + 1);
    for (int i = 0; i < SIGNALS; i++)
        (path ? install_locked : take_back_locked)(i);
    atomic_store(&armed, path != NULL);
    prof_crash_thread_start();
    prof_unlock(&set_lock);
    prof_leave();
    errno = saved;
    return 0;
}
