/* SIGPROF, the one signal that libprof uses: its handler, and who gets the signals that are not
 * libprof's.
 *
 * Two kinds are libprof's: ticks of the CPU profile's timers, and requests of dump.c for a thread's
 * stack. A thread holds one pending SIGPROF at most from either source, so one may swallow the
 * other: whatever brought the handler, an open request is answered. A handler that the host had
 * installed, or installs later, goes on getting its own signals. */
#include "prof/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* Negative, as one thread may send to another only such codes; none that the kernel or libc use. */
enum { CODE_REQUEST = -0x50 };

static char cookie;

/* The host's own disposition of SIGPROF. Handlers read it at any time, so a change takes the next
 * place; nobody changes it that often while one is being read. */
enum { PLACES = 16 };
static struct sigaction places[PLACES];
static atomic_uint place; /* in force */
static atomic_bool installed;

union sigval prof_signal_cookie(void)
{
    return (union sigval){.sival_ptr = &cookie};
}

static bool is_request(const siginfo_t *info)
{
    return info->si_code == CODE_REQUEST && info->si_value.sival_ptr == &cookie;
}

/* At its limit of pending signals (RLIMIT_SIGPENDING) the kernel delivers a request without what it
 * carried. */
static bool has_lost_all(const siginfo_t *info)
{
    return info->si_code == SI_USER && info->si_pid == 0;
}

static bool is_tick(const siginfo_t *info)
{
    if (info->si_code == SI_TIMER)
        return info->si_value.sival_ptr == &cookie;
    return info->si_code == SI_KERNEL && atomic_load(&prof_cpu_process_wide);
}

/* The host's handler may in turn call the one that it replaced, which is ours. */
static void pass_on(int sig, siginfo_t *info, void *ucontext)
{
    static __thread bool passing __attribute__((tls_model("initial-exec")));
    if (passing)
        return;
    passing = true;
    const struct sigaction *host = &places[atomic_load(&place) % PLACES];
    if (host->sa_flags & SA_SIGINFO)
        host->sa_sigaction(sig, info, ucontext);
    else if (host->sa_handler != SIG_IGN && host->sa_handler != SIG_DFL)
        host->sa_handler(sig);
    passing = false;
}

bool prof_signal_is_ours(const siginfo_t *info)
{
    return info->si_signo == SIGPROF && (is_request(info) || is_tick(info));
}

/* On a small alternate stack, with the host's handler below, a walk would run over its end.
 * Measured: 4.4 KiB from here on. */
static bool has_room(const ucontext_t *uc)
{
    enum { ROOM_BYTES = 6 << 10 };
    uintptr_t above = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)uc->uc_stack.ss_sp;
    bool on_alternate = !(uc->uc_stack.ss_flags & SS_DISABLE) && above < uc->uc_stack.ss_size;
    return !on_alternate || above >= ROOM_BYTES;
}

static void on_sigprof(int sig, siginfo_t *info, void *ucontext)
{
    int saved = errno;
    bool room = has_room(ucontext), answered = prof_dump_answer(ucontext, room);
    if (prof_signal_is_ours(info) || (answered && has_lost_all(info))) {
        prof_wait_interrupted(sig, ucontext);
        if (is_tick(info))
            prof_cpu_tick(info, ucontext, room);
    } else {
        pass_on(sig, info, ucontext);
    }
    errno = saved;
}

static void set_host(const struct sigaction *act)
{
    unsigned next = atomic_load(&place) + 1;
    places[next % PLACES] = *act;
    atomic_store(&place, next);
}

/* Stays installed for ever: a signal still on its way when a profile stops would kill the process
 * under SIG_DFL. */
int prof_signal_install(void)
{
    struct sigaction ours = {.sa_sigaction = on_sigprof,
                             .sa_flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK};
    struct sigaction now;
    if (sigaction(SIGPROF, NULL, &now) != 0)
        return -errno;
    if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_sigprof)
        return 0;
    set_host(&now); /* before ours is in force: it may run at once */
    sigfillset(&ours.sa_mask);
    /* A crash inside the handler must still reach the host's own crash handler. */
    sigdelset(&ours.sa_mask, SIGSEGV);
    sigdelset(&ours.sa_mask, SIGBUS);
    if (sigaction(SIGPROF, &ours, NULL) != 0)
        return -errno;
    atomic_store(&installed, true);
    return 0;
}

bool prof_signal_host_action(const struct sigaction *act, struct sigaction *old)
{
    if (!atomic_load(&installed))
        return false;
    struct sigaction was = places[atomic_load(&place) % PLACES];
    if (act)
        set_host(act);
    if (old)
        *old = was;
    return true;
}

bool prof_signal_host_handles(void)
{
    sighandler_t handler = places[atomic_load(&place) % PLACES].sa_handler;
    return handler != SIG_DFL && handler != SIG_IGN;
}

int prof_signal_send(pid_t tid)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = SIGPROF;
    info.si_code = CODE_REQUEST;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value = prof_signal_cookie();
    int saved = errno;
    int rc = syscall(SYS_rt_tgsigqueueinfo, info.si_pid, tid, SIGPROF, &info) != 0 ? -errno : 0;
    errno = saved;
    return rc;
}
