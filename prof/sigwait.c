/* Hooks of the calls that wait for signals: pause, sigsuspend, sigwait, sigwaitinfo, sigtimedwait.
 *
 * They wait for the host's signals; those of libprof neither end them nor are handed out by them. A
 * program often has a thread that waits for every signal there is. */
#include "prof/wait.h"

PROF_HOOK_FILE(sigwait);

PROF_API int pause(void)
{
    typeof(pause) *real = PROF_REAL(pause);
    PROF_WAITING(w, PROF_WAIT_SIGNAL, NULL, NULL, PROF_SITE);
    int rc;
    do
        rc = real();
    while (prof_wait_cut_short(&w, errno));
    return rc;
}

PROF_API int sigsuspend(const sigset_t *mask)
{
    typeof(sigsuspend) *real = PROF_REAL(sigsuspend);
    PROF_WAITING(w, PROF_WAIT_SIGNAL, NULL, NULL, PROF_SITE);
    int rc;
    do
        rc = real(mask);
    while (prof_wait_cut_short(&w, errno));
    return rc;
}

/* Whether a wait for signals goes on after this result. */
static bool goes_on(struct prof_waiting *w, int rc, const siginfo_t *info)
{
    return rc < 0 ? prof_wait_cut_short(w, errno) : w->t && prof_signal_is_ours(info);
}

PROF_API int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    siginfo_t here;
    typeof(sigtimedwait) *real = PROF_REAL(sigtimedwait);
    PROF_WAITING(w, PROF_WAIT_SIGNAL, NULL, NULL, PROF_SITE);
    int rc = real(set, &here, timeout);
    while (goes_on(&w, rc, &here)) {
        struct timespec left;
        if (timeout)
            left = prof_wait_left(&w, prof_timespec_ns(timeout));
        rc = real(set, &here, timeout ? &left : NULL);
    }
    if (rc >= 0 && info)
        *info = here;
    return rc;
}

PROF_API int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
    siginfo_t here;
    typeof(sigwaitinfo) *real = PROF_REAL(sigwaitinfo);
    PROF_WAITING(w, PROF_WAIT_SIGNAL, NULL, NULL, PROF_SITE);
    int rc;
    do
        rc = real(set, &here);
    while (goes_on(&w, rc, &here));
    if (rc >= 0 && info)
        *info = here;
    return rc;
}

/* The result is the error; EINTR is none of them. */
PROF_API int sigwait(const sigset_t *restrict set, int *restrict sig)
{
    siginfo_t here;
    typeof(sigwaitinfo) *real = PROF_REAL(sigwaitinfo);
    PROF_WAITING(w, PROF_WAIT_SIGNAL, NULL, NULL, PROF_SITE);
    int rc;
    do
        rc = real(set, &here);
    while ((rc < 0 && errno == EINTR) || (rc >= 0 && goes_on(&w, rc, &here)));
    if (rc < 0)
        return errno;
    *sig = here.si_signo;
    return 0;
}
