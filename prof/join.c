/* Hooks of pthread_join, its timed forms and pthread_barrier_wait: waits for other threads to get
 * somewhere. */
#include "prof/wait.h"

PROF_HOOK_FILE(join);

PROF_API int pthread_barrier_wait(pthread_barrier_t *b)
{
    if (!PROF_REAL(pthread_barrier_wait))
        return 0;
    if (prof_contended(b)) /* the last to arrive is the last to leave its stamp */
        prof_contention_stamp(b, PROF_WAKE_ARRIVAL, true, PROF_SITE);
    PROF_WAITING(w, PROF_WAIT_BARRIER, b, NULL, PROF_SITE);
    int rc = prof_real.pthread_barrier_wait(b);
    if (rc == PTHREAD_BARRIER_SERIAL_THREAD) /* the last to arrive: it waited for nobody */
        prof_wait_discard(&w);
    return rc;
}

/* A thread that is being waited for is named by its pthread_t. */
static const void *object_of(pthread_t thread)
{
    return (const void *)(uintptr_t)thread;
}

#ifdef __SANITIZE_THREAD__ /* gives up where a thread tries to join itself, or one that is         \
                              detached */
enum { MAY_TRY = 0 };
#else
enum { MAY_TRY = 1 };
#endif

static bool ended(pthread_t thread, void **result, int *rc)
{
    if (!MAY_TRY)
        return false;
    *rc = PROF_REAL(pthread_tryjoin_np)(thread, result);
    return *rc != EBUSY;
}

int prof_join_at(pthread_t thread, void **result, struct prof_site site)
{
    int rc;
    if (ended(thread, result, &rc))
        return rc;
    PROF_WAITING(w, PROF_WAIT_JOIN, object_of(thread), NULL, site);
    rc = PROF_REAL(pthread_join)(thread, result);
    if (rc != 0)
        prof_wait_discard(&w);
    return rc;
}

PROF_API int pthread_join(pthread_t thread, void **result)
{
    return prof_join_at(thread, result, PROF_SITE);
}

PROF_API int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *deadline)
{
    typeof(pthread_timedjoin_np) *real = PROF_REAL(pthread_timedjoin_np);
    PROF_WAITING(w, PROF_WAIT_JOIN, object_of(thread), NULL, PROF_SITE);
    int rc = real(thread, result, deadline);
    if (rc != 0 && rc != ETIMEDOUT)
        prof_wait_discard(&w);
    return rc;
}

PROF_API int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock,
                                  const struct timespec *deadline)
{
    typeof(pthread_clockjoin_np) *real = PROF_REAL(pthread_clockjoin_np);
    if (!real)
        return ENOSYS;
    PROF_WAITING(w, PROF_WAIT_JOIN, object_of(thread), NULL, PROF_SITE);
    int rc = real(thread, result, clock, deadline);
    if (rc != 0 && rc != ETIMEDOUT)
        prof_wait_discard(&w);
    return rc;
}
