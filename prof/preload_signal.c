/* What a program under prof run sees of its signals: nothing of libprof's.
 *
 * It asks for a signal's disposition to learn whether it is ignored (as nohup does it) or its own
 * to take (as Python decides whether Ctrl-C is KeyboardInterrupt). So sigaction and signal are
 * hooked, and a handler that preload_end.c has installed reads as SIG_DFL; no table is kept, what
 * the kernel has is the truth. A handler for SIGPROF is kept for pass_on (signal.c), and ours stays
 * in force: the timers would bring the program signals that it knows nothing of.
 *
 * Threads that block every signal they can (workers, as a rule) would be missing in the profiles of
 * CPU time and threads. So SIGPROF stays open when they do, and reads as blocked, unless the
 * program handles SIGPROF itself. */
#include "prof/preload.h"
#include "prof/thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>

/* As the program may call these in handlers and before main, they are looked up once, early. */
enum { SIGNAL, BSD_SIGNAL, SSIGNAL, SYSV_SIGNAL, SYSV_SIGNAL_, SETTERS };
static const char *const setter_names[SETTERS] = {"signal", "bsd_signal", "ssignal", "sysv_signal",
                                                  "__sysv_signal"};
static struct {
    sighandler_t (*set[SETTERS])(int, sighandler_t);
    int (*sigaction)(int, const struct sigaction *, struct sigaction *);
    int (*sigprocmask)(int, const sigset_t *, sigset_t *);
    int (*pthread_sigmask)(int, const sigset_t *, sigset_t *);
} real;

static void resolve(void)
{
    if (real.sigaction)
        return;
    for (int i = 0; i < SETTERS; i++)
        real.set[i] = (typeof(real.set[i]))dlsym(RTLD_NEXT, setter_names[i]);
    real.sigprocmask = (typeof(real.sigprocmask))dlsym(RTLD_NEXT, "sigprocmask");
    real.pthread_sigmask = (typeof(real.pthread_sigmask))dlsym(RTLD_NEXT, "pthread_sigmask");
    real.sigaction = (typeof(real.sigaction))dlsym(RTLD_NEXT, "sigaction");
}

/* ---- dispositions ---------------------------------------------------------------------------- */

static bool taken[NSIG];          /* set before main */
static struct sigaction in_place; /* of a default */

void prof_signal_take(int sig, const struct sigaction *action)
{
    struct sigaction now;
    resolve();
    if (real.sigaction(sig, NULL, &now) != 0 || now.sa_handler != SIG_DFL)
        return;
    in_place = *action;
    taken[sig] = real.sigaction(sig, action, NULL) == 0;
}

int prof_signal_really(int sig, const struct sigaction *action)
{
    resolve();
    return real.sigaction(sig, action, NULL);
}

static bool is_taken(int sig)
{
    return sig > 0 && sig < NSIG && taken[sig];
}

PROF_API int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    resolve();
    if (sig == SIGPROF && !prof_busy_tls && prof_signal_host_action(act, old))
        return 0;
    if (!is_taken(sig))
        return real.sigaction(sig, act, old);
    struct sigaction was;
    int rc = real.sigaction(sig, act && act->sa_handler == SIG_DFL ? &in_place : act, &was);
    if (rc == 0 && old)
        *old =
            was.sa_handler == in_place.sa_handler ? (struct sigaction){.sa_handler = SIG_DFL} : was;
    return rc;
}

static sighandler_t set_by_action(int sig, sighandler_t handler)
{
    struct sigaction now = {.sa_handler = handler, .sa_flags = SA_RESTART}, was;
    return sigaction(sig, &now, &was) == 0 ? was.sa_handler : SIG_ERR;
}

static sighandler_t set_handler(int which, int sig, sighandler_t handler)
{
    resolve();
    if (sig == SIGPROF || (is_taken(sig) && handler == SIG_DFL))
        return set_by_action(sig, handler);
    sighandler_t old = real.set[which](sig, handler);
    return is_taken(sig) && old == in_place.sa_handler ? SIG_DFL : old;
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

/* ---- masks ----------------------------------------------------------------------------------- */

/* The thread has blocked SIGPROF, it believes. */
static __thread bool blocked_tls __attribute__((tls_model("initial-exec")));

/* The set without SIGPROF, if that is to stay open. */
static const sigset_t *opened(int how, const sigset_t *set, sigset_t *without)
{
    if (!set || how == SIG_UNBLOCK || !*prof_preload.name || !sigismember(set, SIGPROF) ||
        prof_signal_host_handles())
        return set;
    *without = *set;
    sigdelset(without, SIGPROF);
    return without;
}

static int change_mask(int (*change)(int, const sigset_t *, sigset_t *), int how,
                       const sigset_t *set, sigset_t *old)
{
    sigset_t asked, without;
    if (set)
        asked = *set; /* old may be the same object */
    int rc = change(how, opened(how, set, &without), old);
    if (rc != 0)
        return rc;
    if (old && blocked_tls)
        sigaddset(old, SIGPROF);
    if (set && (how == SIG_SETMASK || sigismember(&asked, SIGPROF)))
        blocked_tls = how != SIG_UNBLOCK && sigismember(&asked, SIGPROF);
    return 0;
}

PROF_API int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    resolve();
    return change_mask(real.sigprocmask, how, set, old);
}

PROF_API int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    resolve();
    return change_mask(real.pthread_sigmask, how, set, old);
}
