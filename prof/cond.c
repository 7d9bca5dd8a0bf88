/* Hooks of pthread_cond_*.
 *
 * A wait has three parts that an interposer sees as one call: the mutex is unlocked (what its
 * waiters lost is charged, as by any unlock), the thread waits to be woken, and it waits for the
 * mutex to lock it again. The block profile shows the sum. For the mutex profile the waking calls
 * are hooked, too: who is woken counts from then on among the waiters for the mutex, so that a
 * thread that signals and then goes on holding the mutex is charged. */
#include "prof/wait.h"

PROF_HOOK_FILE(cond);

static int call(const struct prof_cond_request *r)
{
    switch (r->until) {
    case PROF_UNTIL_TIME:
        return prof_real.pthread_cond_timedwait(r->condition, r->mutex, r->deadline);
    case PROF_UNTIL_CLOCK:
        return prof_real.pthread_cond_clockwait(r->condition, r->mutex, r->clock, r->deadline);
    default:
        return prof_real.pthread_cond_wait(r->condition, r->mutex);
    }
}

int prof_cond_wait_at(const struct prof_cond_request *r, struct prof_site site)
{
    if (!PROF_REAL(pthread_cond_wait))
        return 0;
    int64_t delay_ns = 0;
    if (prof_contended(r->mutex))
        delay_ns = prof_contention_charge(r->mutex, prof_mutex_wakes(r->mutex), site);
    if (delay_ns > 0)
        prof_contention_record(delay_ns, site);
    PROF_WAITING(w, PROF_WAIT_COND, r->condition, r->mutex, site);
    int rc = call(r);
    w.woken = rc == 0;
    if (rc != 0 && rc != ETIMEDOUT && rc != EOWNERDEAD)
        prof_wait_discard(&w);
    return rc;
}

PROF_API int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    struct prof_cond_request r = {.condition = c, .mutex = m};
    return prof_cond_wait_at(&r, PROF_SITE);
}

PROF_API int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                    const struct timespec *deadline)
{
    struct prof_cond_request r = {c, m, PROF_UNTIL_TIME, deadline, 0};
    return prof_cond_wait_at(&r, PROF_SITE);
}

PROF_API int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                                    const struct timespec *deadline)
{
    struct prof_cond_request r = {c, m, PROF_UNTIL_CLOCK, deadline, clock};
    return PROF_REAL(pthread_cond_clockwait) ? prof_cond_wait_at(&r, PROF_SITE) : ENOSYS;
}

int prof_cond_wake(pthread_cond_t *c, bool all, struct prof_site site)
{
    if (!PROF_REAL(pthread_cond_signal))
        return 0;
    if (prof_contended(c))
        prof_contention_wake(c, all, site);
    return (all ? prof_real.pthread_cond_broadcast : prof_real.pthread_cond_signal)(c);
}

PROF_API int pthread_cond_signal(pthread_cond_t *c)
{
    return prof_cond_wake(c, false, PROF_SITE);
}

PROF_API int pthread_cond_broadcast(pthread_cond_t *c)
{
    return prof_cond_wake(c, true, PROF_SITE);
}
