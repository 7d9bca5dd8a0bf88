/* The ways in which a process ends, so that none of them loses its profiles:
 *
 *   exit, return from main, the last thread's pthread_exit     this library's destructor
 *   quick_exit                                                 at_quick_exit
 *   _exit, _Exit                                               hooked
 *   a signal that nobody handles: HUP INT QUIT PIPE ALRM TERM  a handler of ours, as long as the
 * program leaves the signal at its default; afterwards the signal kills SIGKILL, a crash, exec, a
 * raw system call                  the profiles are lost
 *
 * The program must not see our handlers: it asks for a signal's disposition to learn whether it is
 * ignored (as nohup does it) or its own to take (as Python decides whether Ctrl-C is
 * KeyboardInterrupt). So sigaction and signal are hooked, and a handler of ours reads as SIG_DFL.
 * No table is kept, what the kernel has is the truth.
 *
 * Writing takes malloc, locks and a deep stack, and a handler may have interrupted this very thread
 * in malloc. So it happens in private memory and on a stack of its own, not at all while the thread
 * is inside libprof, and with a time limit: a process that is to end, ends. */
#include "prof/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 20, RETRY_NS = 1000000, RETRIES_MAX = 2000 };

static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM};
static bool taken[NSIG]; /* set before main */

static int (*real_sigaction)(int, const struct sigaction *, struct sigaction *);

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
    real_sigaction(sig, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
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
    if (real_sigaction(sig, &action, NULL) != 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
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
    int saved = errno;
    prof_enter();
    if (prof_private_begin()) {
        prof_with_own_room(write_profiles, NULL);
        prof_private_end();
    }
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
static struct sigaction our_action(void)
{
    static const int open[] = {SIGPROF, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    struct sigaction ours = {.sa_handler = on_end, .sa_flags = SA_RESTART};
    sigfillset(&ours.sa_mask);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        sigdelset(&ours.sa_mask, open[i]);
    return ours;
}

static bool is_taken(int sig)
{
    return sig > 0 && sig < NSIG && taken[sig];
}

/* As the program may call these in handlers and before main, they are looked up once, early. */
enum { SIGNAL, BSD_SIGNAL, SSIGNAL, SYSV_SIGNAL, SYSV_SIGNAL_, SETTERS };
static const char *const setter_names[SETTERS] = {"signal", "bsd_signal", "ssignal", "sysv_signal",
                                                  "__sysv_signal"};
static sighandler_t (*real_setters[SETTERS])(int, sighandler_t);

static void resolve(void)
{
    if (real_sigaction)
        return;
    for (int i = 0; i < SETTERS; i++)
        real_setters[i] = (typeof(real_setters[i]))dlsym(RTLD_NEXT, setter_names[i]);
    real_sigaction = (typeof(real_sigaction))dlsym(RTLD_NEXT, "sigaction");
}

PROF_API int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    resolve();
    if (!is_taken(sig))
        return real_sigaction(sig, act, old);
    struct sigaction ours = our_action(), was;
    int rc = real_sigaction(sig, act && act->sa_handler == SIG_DFL ? &ours : act, &was);
    if (rc == 0 && old)
        *old = was.sa_handler == on_end ? (struct sigaction){.sa_handler = SIG_DFL} : was;
    return rc;
}

static sighandler_t set_handler(int which, int sig, sighandler_t handler)
{
    struct sigaction was;
    resolve();
    if (is_taken(sig) && handler == SIG_DFL)
        return sigaction(sig, &(struct sigaction){.sa_handler = SIG_DFL}, &was) == 0
                   ? was.sa_handler
                   : SIG_ERR;
    sighandler_t old = real_setters[which](sig, handler);
    return old == on_end ? SIG_DFL : old;
}

PROF_API sighandler_t signal(int sig, sighandler_t handler)
{
    return set_handler(SIGNAL, sig, handler);
}
PROF_API sighandler_t bsd_signal(int sig, sighandler_t handler)
{
    return set_handler(BSD_SIGNAL, sig, handler);
}
PROF_API sighandler_t ssignal(int sig, sighandler_t handler)
{
    return set_handler(SSIGNAL, sig, handler);
}
PROF_API sighandler_t sysv_signal(int sig, sighandler_t handler)
{
    return set_handler(SYSV_SIGNAL, sig, handler);
}
/* What `signal` is when a program is compiled for X/Open or strict ISO C. */
sighandler_t __sysv_signal(int sig, sighandler_t handler);
PROF_API sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
    return set_handler(SYSV_SIGNAL_, sig, handler);
}

/* The first process of a container is killed by no signal that it leaves at its default. */
void prof_end_init(void)
{
    struct sigaction now, ours = our_action();
    resolve();
    at_quick_exit(on_exit_);
    for (size_t i = 0; i < sizeof ending / sizeof ending[0] && prof_preload.pid != 1; i++) {
        int sig = ending[i];
        if (real_sigaction(sig, NULL, &now) != 0 || now.sa_handler != SIG_DFL)
            continue;
        taken[sig] = true;
        real_sigaction(sig, &ours, NULL);
    }
}
