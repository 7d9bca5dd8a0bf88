/* Hooks of the calls that sleep: nanosleep, clock_nanosleep, usleep, sleep.
 *
 * The kernel ends them at any signal handler, SA_RESTART or not. Where the handler was libprof's
 * the sleep goes on for what is left of it. */
#include "prof/wait.h"

PROF_HOOK_FILE(sleep);

int prof_nanosleep_at(const struct timespec *time, struct timespec *left, struct prof_site site)
{
    struct timespec rest;
    typeof(nanosleep) *real = PROF_REAL(nanosleep);
    PROF_WAITING(w, PROF_WAIT_SLEEP, NULL, NULL, site);
    int rc = real(time, &rest);
    while (rc != 0 && prof_wait_cut_short(&w, errno))
        rc = real(&rest, &rest);
    if (rc != 0 && errno == EINTR && left)
        *left = rest;
    return rc;
}

PROF_API int nanosleep(const struct timespec *time, struct timespec *left)
{
    return prof_nanosleep_at(time, left, PROF_SITE);
}

PROF_API int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                             struct timespec *left)
{
    struct timespec rest = {0};
    typeof(clock_nanosleep) *real = PROF_REAL(clock_nanosleep);
    bool absolute = flags & TIMER_ABSTIME;
    PROF_WAITING(w, PROF_WAIT_SLEEP, NULL, NULL, PROF_SITE);
    int rc = real(clock, flags, time, &rest);
    while (prof_wait_cut_short(&w, rc))
        rc = real(clock, flags, absolute ? time : &rest, &rest);
    if (rc == EINTR && left && !absolute)
        *left = rest;
    return rc;
}

PROF_API int usleep(useconds_t us)
{
    struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L};
    return prof_nanosleep_at(&time, NULL, PROF_SITE);
}

/* The whole seconds that are left when a signal comes. errno is kept otherwise. */
PROF_API unsigned sleep(unsigned seconds)
{
    struct timespec time = {.tv_sec = seconds}, left = time;
    int saved = errno;
    if (prof_nanosleep_at(&time, &left, PROF_SITE) != 0)
        return (unsigned)left.tv_sec;
    errno = saved;
    return 0;
}
