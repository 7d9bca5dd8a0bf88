/* Hooks of C11's mtx_*, cnd_*, thrd_join and thrd_sleep.
 *
 * glibc's are the same mutexes and condition variables as pthread's under other names and with
 * other results, and do not pass through pthread's. Here they do. */
#include "prof/wait.h"

#include <threads.h>

PROF_HOOK_FILE(c11);

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "mtx_t is a pthread_mutex_t");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "cnd_t is a pthread_cond_t");

static int result_of(int rc)
{
    switch (rc) {
    case 0:
        return thrd_success;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    case EBUSY:
        return thrd_busy;
    default:
        return thrd_error;
    }
}

PROF_API int mtx_lock(mtx_t *m)
{
    return result_of(prof_mutex_lock_at((pthread_mutex_t *)m, PROF_SITE));
}

PROF_API int mtx_timedlock(mtx_t *restrict m, const struct timespec *restrict deadline)
{
    return result_of(prof_mutex_timedlock_at((pthread_mutex_t *)m, deadline, PROF_SITE));
}

PROF_API int mtx_unlock(mtx_t *m)
{
    return result_of(prof_mutex_unlock_at((pthread_mutex_t *)m, PROF_SITE));
}

PROF_API int cnd_wait(cnd_t *c, mtx_t *m)
{
    struct prof_cond_request r = {.condition = (pthread_cond_t *)c, .mutex = (pthread_mutex_t *)m};
    return result_of(prof_cond_wait_at(&r, PROF_SITE));
}

PROF_API int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m,
                           const struct timespec *restrict deadline)
{
    struct prof_cond_request r = {
        .condition = (pthread_cond_t *)c,
        .mutex = (pthread_mutex_t *)m,
        .until = PROF_UNTIL_TIME,
        .deadline = deadline,
    };
    return result_of(prof_cond_wait_at(&r, PROF_SITE));
}

PROF_API int cnd_signal(cnd_t *c)
{
    return result_of(prof_cond_wake((pthread_cond_t *)c, false, PROF_SITE));
}

PROF_API int cnd_broadcast(cnd_t *c)
{
    return result_of(prof_cond_wake((pthread_cond_t *)c, true, PROF_SITE));
}

PROF_API int thrd_join(thrd_t thread, int *result)
{
    void *value = NULL;
    int rc = prof_join_at(thread, &value, PROF_SITE);
    if (rc == 0 && result)
        *result = (int)(intptr_t)value;
    return result_of(rc);
}

/* -1: a signal came; another negative number: anything else. */
PROF_API int thrd_sleep(const struct timespec *time, struct timespec *left)
{
    int saved = errno;
    int rc = prof_nanosleep_at(time, left, PROF_SITE);
    int error = errno;
    errno = saved;
    return rc == 0 ? 0 : error == EINTR ? -1 : -2;
}
