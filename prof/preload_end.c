/* The ways in which a process ends, so that none of them loses its profiles:
 *
 *   exit, return from main, pthread_exit of the last thread: this library's destructor
 *   quick_exit: at_quick_exit
 *   _exit, _Exit: hooked
 *   HUP INT QUIT PIPE ALRM TERM, left at their default: a handler; then the signal kills
 *   SIGKILL, a crash, exec, a raw system call: the profiles are lost
 *
 * Writing takes malloc, locks and a deep stack, and a handler may have interrupted this very thread
 * in malloc. So it happens in private memory and on a stack of its own, not at all while the thread
 * is inside libprof, and with a time limit: a process that is to end, ends. */
#include "prof/preload.h"
#include "prof/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 20, RETRY_NS = 1000000, RETRIES_MAX = 2000 };

static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM};

/* ---- the end --------------------------------------------------------------------------------- */

static struct {
    int signal; /* 0: exit */
    int status;
} end;

static _Noreturn void exit_now(int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}

/* Returns only where the kernel lets nothing kill the process (the first one of a container). */
static void die_by(int sig)
{
    sigset_t only;
    prof_signal_really(sig, &(struct sigaction){.sa_handler = SIG_DFL});
    sigemptyset(&only);
    sigaddset(&only, sig);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    syscall(SYS_tgkill, getpid(), prof_gettid(), sig);
}

static char limit_cookie; /* marks the signal that ends the waiting */

static void on_limit(int sig, siginfo_t *info, void *ucontext)
{
    (void)sig, (void)ucontext;
    if (info->si_code != SI_TIMER || info->si_value.sival_ptr != &limit_cookie)
        return;
    if (end.signal)
        die_by(end.signal);
    else
        exit_now(end.status);
}

/* Uses a signal that the process, about to end, no longer needs. */
static void limit_time(void)
{
    int sig = SIGRTMAX;
    struct sigaction action = {.sa_sigaction = on_limit, .sa_flags = SA_SIGINFO};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = sig};
    sigset_t only;
    timer_t timer;
    event.sigev_value.sival_ptr = &limit_cookie;
    event._sigev_un._tid = prof_gettid();
    if (prof_signal_really(sig, &action) != 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return;
    sigemptyset(&only);
    sigaddset(&only, sig);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    timer_settime(timer, 0, &(struct itimerspec){.it_value.tv_sec = LIMIT_SECONDS}, NULL);
}

static int write_profiles(void *arg)
{
    (void)arg;
    prof_out_write();
    return 0;
}

static void write_in_private(void)
{
    int saved = errno, err = -ENOMEM;
    prof_enter();
    if (prof_private_begin()) {
        err = prof_with_own_room(write_profiles, NULL);
        prof_private_end();
    }
    if (err && prof_preload.first)
        prof_complain("no memory to write what was recorded");
    prof_leave();
    errno = saved;
}

/* ---- exit, quick_exit, _exit ----------------------------------------------------------------- */

__attribute__((destructor(102))) static void on_exit_(void)
{
    if (prof_out_wanted() && !prof_busy_tls)
        write_in_private();
}

static _Noreturn void end_by_exit(int status)
{
    if (prof_out_wanted() && !prof_busy_tls) {
        end.status = status;
        limit_time();
        write_in_private();
    }
    exit_now(status);
}

PROF_API _Noreturn void _exit(int status)
{
    end_by_exit(status);
}

PROF_API _Noreturn void _Exit(int status)
{
    end_by_exit(status);
}

/* ---- signals --------------------------------------------------------------------------------- */

/* The thread is inside libprof, for microseconds as a rule: the signal comes again. */
static bool come_again(int sig)
{
    static timer_t timer;
    static int times;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig};
    if (times == 0 && timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return false;
    return times++ < RETRIES_MAX &&
           timer_settime(timer, 0, &(struct itimerspec){.it_value.tv_nsec = RETRY_NS}, NULL) == 0;
}

static void on_end(int sig)
{
    int saved = errno;
    bool ours = prof_out_wanted();
    if (ours && prof_out_in_progress())
        return; /* it ends as soon as its profiles are written */
    if (ours && !prof_out_done() && prof_busy_tls && come_again(sig))
        return;
    if (ours && !prof_out_done() && !prof_busy_tls) {
        end.signal = sig;
        limit_time();
        write_in_private();
    }
    die_by(sig);
    errno = saved;
}

/* Crashes must reach the program's own handlers, and SIGPROF serves the goroutine profile. */
void prof_end_init(void)
{
    static const int open[] = {SIGPROF, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    struct sigaction ours = {.sa_handler = on_end, .sa_flags = SA_RESTART};
    sigfillset(&ours.sa_mask);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        sigdelset(&ours.sa_mask, open[i]);
    at_quick_exit(on_exit_);
    /* The first process of a container is killed by no signal that it leaves at its default. */
    for (size_t i = 0; i < sizeof ending / sizeof ending[0] && prof_preload.pid != 1; i++)
        prof_signal_take(ending[i], &ours);
}
