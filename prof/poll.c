/* Hooks of the calls that wait for descriptors: poll, select, epoll_wait and their kin.
 *
 * As in sleep.c, a signal of libprof's own does not end them; they go on with the time that is
 * left. Calls that only look (a timeout of zero) go straight through. */
#include "prof/wait.h"

PROF_HOOK_FILE(poll);

static int64_t ms_in_ns(int ms)
{
    return (int64_t)ms * 1000000;
}

/* Rounded up: a call that returned before its time would be called again at once. */
static int ns_in_ms(struct timespec t)
{
    return (int)(t.tv_sec * 1000 + (t.tv_nsec + 999999) / 1000000);
}

static bool is_zero(const struct timespec *t)
{
    return t && t->tv_sec == 0 && t->tv_nsec == 0;
}

/* ---- poll ------------------------------------------------------------------------------------ */

static int poll_at(struct pollfd *fds, nfds_t n, int timeout_ms, struct prof_site site)
{
    typeof(poll) *real = PROF_REAL(poll);
    if (timeout_ms == 0)
        return real(fds, n, 0);
    PROF_WAITING(w, PROF_WAIT_POLL, NULL, NULL, site);
    int rc = real(fds, n, timeout_ms);
    while (rc < 0 && prof_wait_cut_short(&w, errno)) {
        struct timespec left = prof_wait_left(&w, ms_in_ns(timeout_ms));
        rc = prof_real.ppoll(fds, n, timeout_ms < 0 ? NULL : &left, NULL);
    }
    return rc;
}

static int ppoll_at(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                    const sigset_t *mask, struct prof_site site)
{
    typeof(ppoll) *real = PROF_REAL(ppoll);
    if (is_zero(timeout))
        return real(fds, n, timeout, mask);
    PROF_WAITING(w, PROF_WAIT_POLL, NULL, NULL, site);
    int rc = real(fds, n, timeout, mask);
    while (rc < 0 && prof_wait_cut_short(&w, errno)) {
        struct timespec left;
        if (timeout)
            left = prof_wait_left(&w, prof_timespec_ns(timeout));
        rc = real(fds, n, timeout ? &left : NULL, mask);
    }
    return rc;
}

PROF_API int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    return poll_at(fds, n, timeout_ms, PROF_SITE);
}

PROF_API int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                   const sigset_t *mask)
{
    return ppoll_at(fds, n, timeout, mask, PROF_SITE);
}

/* What poll and ppoll become in programs built with _FORTIFY_SOURCE, as a distribution's are. The
 * real ones end the program when the array is too short. */
PROF_API int __poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t fds_bytes)
{
    if (fds_bytes / sizeof *fds < n)
        return PROF_REAL(__poll_chk)(fds, n, timeout_ms, fds_bytes);
    return poll_at(fds, n, timeout_ms, PROF_SITE);
}

PROF_API int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
                         const sigset_t *mask, size_t fds_bytes)
{
    if (fds_bytes / sizeof *fds < n)
        return PROF_REAL(__ppoll_chk)(fds, n, timeout, mask, fds_bytes);
    return ppoll_at(fds, n, timeout, mask, PROF_SITE);
}

/* ---- select ---------------------------------------------------------------------------------- */

/* Linux leaves the sets as they are when a signal comes, and keeps the time that is left in
 * timeout. */
PROF_API int select(int n, fd_set *r, fd_set *w, fd_set *x, struct timeval *timeout)
{
    typeof(select) *real = PROF_REAL(select);
    if (timeout && timeout->tv_sec == 0 && timeout->tv_usec == 0)
        return real(n, r, w, x, timeout);
    PROF_WAITING(waiting, PROF_WAIT_POLL, NULL, NULL, PROF_SITE);
    prof_wait_is(&waiting, PROF_WHAT_SELECT, -1);
    int rc = real(n, r, w, x, timeout);
    while (rc < 0 && prof_wait_cut_short(&waiting, errno))
        rc = real(n, r, w, x, timeout);
    return rc;
}

PROF_API int pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *timeout,
                     const sigset_t *mask)
{
    typeof(pselect) *real = PROF_REAL(pselect);
    if (is_zero(timeout))
        return real(n, r, w, x, timeout, mask);
    PROF_WAITING(waiting, PROF_WAIT_POLL, NULL, NULL, PROF_SITE);
    prof_wait_is(&waiting, PROF_WHAT_SELECT, -1);
    int rc = real(n, r, w, x, timeout, mask);
    while (rc < 0 && prof_wait_cut_short(&waiting, errno)) {
        struct timespec left;
        if (timeout)
            left = prof_wait_left(&waiting, prof_timespec_ns(timeout));
        rc = real(n, r, w, x, timeout ? &left : NULL, mask);
    }
    return rc;
}

/* ---- epoll ----------------------------------------------------------------------------------- */

static int left_ms(const struct prof_waiting *w, int timeout_ms)
{
    return timeout_ms < 0 ? timeout_ms : ns_in_ms(prof_wait_left(w, ms_in_ns(timeout_ms)));
}

PROF_API int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
    typeof(epoll_wait) *real = PROF_REAL(epoll_wait);
    if (timeout_ms == 0)
        return real(epfd, events, max, 0);
    PROF_WAITING(w, PROF_WAIT_POLL, NULL, NULL, PROF_SITE);
    prof_wait_is(&w, PROF_WHAT_EPOLL, epfd);
    int rc = real(epfd, events, max, timeout_ms);
    while (rc < 0 && prof_wait_cut_short(&w, errno))
        rc = real(epfd, events, max, left_ms(&w, timeout_ms));
    return rc;
}

PROF_API int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout_ms,
                         const sigset_t *mask)
{
    typeof(epoll_pwait) *real = PROF_REAL(epoll_pwait);
    if (timeout_ms == 0)
        return real(epfd, events, max, 0, mask);
    PROF_WAITING(w, PROF_WAIT_POLL, NULL, NULL, PROF_SITE);
    prof_wait_is(&w, PROF_WHAT_EPOLL, epfd);
    int rc = real(epfd, events, max, timeout_ms, mask);
    while (rc < 0 && prof_wait_cut_short(&w, errno))
        rc = real(epfd, events, max, left_ms(&w, timeout_ms), mask);
    return rc;
}

PROF_API int epoll_pwait2(int epfd, struct epoll_event *events, int max,
                          const struct timespec *timeout, const sigset_t *mask)
{
    typeof(epoll_pwait2) *real = PROF_REAL(epoll_pwait2);
    if (!real) {
        errno = ENOSYS;
        return -1;
    }
    if (is_zero(timeout))
        return real(epfd, events, max, timeout, mask);
    PROF_WAITING(w, PROF_WAIT_POLL, NULL, NULL, PROF_SITE);
    prof_wait_is(&w, PROF_WHAT_EPOLL, epfd);
    int rc = real(epfd, events, max, timeout, mask);
    while (rc < 0 && prof_wait_cut_short(&w, errno)) {
        struct timespec left;
        if (timeout)
            left = prof_wait_left(&w, prof_timespec_ns(timeout));
        rc = real(epfd, events, max, timeout ? &left : NULL, mask);
    }
    return rc;
}
