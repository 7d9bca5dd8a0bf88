/* Hooks of sem_wait and its timed forms, and of sem_post: it has no holder to be charged, but a
 * trace tells who ended a wait. */
#include "prof/wait.h"

PROF_HOOK_FILE(semaphore);

static bool is_free(sem_t *s)
{
    int value = 0;
    return sem_getvalue(s, &value) != 0 || value > 0;
}

/* sem_wait is a cancellation point also when it need not wait; sem_trywait is none. */
static bool take(sem_t *s)
{
    int saved = errno;
    pthread_testcancel();
    bool taken = prof_real.sem_trywait(s) == 0;
    errno = saved;
    return taken;
}

PROF_API int sem_wait(sem_t *s)
{
    if (!PROF_REAL(sem_trywait) || take(s))
        return 0;
    PROF_WAITING(w, PROF_WAIT_SEMAPHORE, s, NULL, PROF_SITE);
    int rc;
    do
        rc = prof_real.sem_wait(s);
    while (rc != 0 && prof_wait_cut_short(&w, errno));
    return rc;
}

/* The deadline is a point in time, so what a signal cut short goes on with the same arguments. */
PROF_API int sem_timedwait(sem_t *s, const struct timespec *deadline)
{
    if (!PROF_REAL(sem_timedwait))
        return 0;
    if (is_free(s))
        return prof_real.sem_timedwait(s, deadline);
    PROF_WAITING(w, PROF_WAIT_SEMAPHORE, s, NULL, PROF_SITE);
    int rc;
    do
        rc = prof_real.sem_timedwait(s, deadline);
    while (rc != 0 && prof_wait_cut_short(&w, errno));
    return rc;
}

PROF_API int sem_clockwait(sem_t *s, clockid_t clock, const struct timespec *deadline)
{
    if (!PROF_REAL(sem_clockwait)) {
        errno = ENOSYS;
        return -1;
    }
    if (is_free(s))
        return prof_real.sem_clockwait(s, clock, deadline);
    PROF_WAITING(w, PROF_WAIT_SEMAPHORE, s, NULL, PROF_SITE);
    int rc;
    do
        rc = prof_real.sem_clockwait(s, clock, deadline);
    while (rc != 0 && prof_wait_cut_short(&w, errno));
    return rc;
}

/* Also in signal handlers: what is done here is safe there. */
PROF_API int sem_post(sem_t *s)
{
    typeof(sem_post) *real = PROF_REAL(sem_post);
    if (__builtin_expect(!real, 0))
        return 0;
    if (prof_contended(s)) {
        int saved = errno;
        prof_contention_stamp(s, PROF_WAKE_POST, false, PROF_SITE);
        errno = saved;
    }
    return real(s);
}
