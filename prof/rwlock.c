/* Hooks of pthread_rwlock_*: as mutex.c, with two ways to hold the lock.
 *
 * What readers cause is charged to the last of them: only its unlock lets a writer in. */
#include "prof/wait.h"

enum { WRITE_PHASE = 1, WRITER = 2, READERS_SHIFT = 3 }; /* in glibc's __readers */

static inline unsigned state_of(const pthread_rwlock_t *l)
{
    return __atomic_load_n(&l->__data.__readers, __ATOMIC_RELAXED);
}

static bool written_by_caller(const pthread_rwlock_t *l)
{
    struct prof_thread *t = prof_self_tls;
    return t && __atomic_load_n(&l->__data.__cur_writer, __ATOMIC_RELAXED) ==
                    atomic_load_explicit(&t->tid, memory_order_relaxed);
}

static bool held_for(const pthread_rwlock_t *l, bool write)
{
    unsigned s = state_of(l);
    if (written_by_caller(l))
        return false; /* EDEADLK */
    if (write)
        return (s & WRITER) || s >> READERS_SHIFT;
    return (s & WRITER) && ((s & WRITE_PHASE) || l->__data.__flags != 0); /* preference */
}

/* ---- lock
 * ------------------------------------------------------------------------------------------------
 */

struct request {
    pthread_rwlock_t *lock;
    bool write;
    enum prof_until until;
    const struct timespec *deadline;
    clockid_t clock;
};

static int call(const struct request *r)
{
    const struct prof_real *real = &prof_real;
    switch (r->until) {
    case PROF_UNTIL_TIME:
        return (r->write ? real->pthread_rwlock_timedwrlock
                         : real->pthread_rwlock_timedrdlock)(r->lock, r->deadline);
    case PROF_UNTIL_CLOCK:
        return (r->write ? real->pthread_rwlock_clockwrlock
                         : real->pthread_rwlock_clockrdlock)(r->lock, r->clock, r->deadline);
    default:
        return (r->write ? real->pthread_rwlock_wrlock : real->pthread_rwlock_rdlock)(r->lock);
    }
}

static int wait_for(const struct request *r, struct prof_site site)
{
    PROF_WAITING(w, PROF_WAIT_RWLOCK, r->lock, NULL, site);
    int rc = call(r);
    if (rc != 0 && rc != ETIMEDOUT)
        prof_wait_discard(&w);
    return rc;
}

PROF_API int pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
    struct request r = {.lock = l, .write = false};
    if (!PROF_REAL(pthread_rwlock_tryrdlock))
        return 0;
    return prof_real.pthread_rwlock_tryrdlock(l) == 0 ? 0 : wait_for(&r, PROF_SITE);
}

PROF_API int pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
    struct request r = {.lock = l, .write = true};
    if (!PROF_REAL(pthread_rwlock_trywrlock))
        return 0;
    return prof_real.pthread_rwlock_trywrlock(l) == 0 ? 0 : wait_for(&r, PROF_SITE);
}

static int lock_until(const struct request *r, struct prof_site site)
{
    return held_for(r->lock, r->write) ? wait_for(r, site) : call(r);
}

PROF_API int pthread_rwlock_timedrdlock(pthread_rwlock_t *l, const struct timespec *deadline)
{
    struct request r = {l, false, PROF_UNTIL_TIME, deadline, 0};
    return PROF_REAL(pthread_rwlock_timedrdlock) ? lock_until(&r, PROF_SITE) : 0;
}

PROF_API int pthread_rwlock_timedwrlock(pthread_rwlock_t *l, const struct timespec *deadline)
{
    struct request r = {l, true, PROF_UNTIL_TIME, deadline, 0};
    return PROF_REAL(pthread_rwlock_timedwrlock) ? lock_until(&r, PROF_SITE) : 0;
}

PROF_API int pthread_rwlock_clockrdlock(pthread_rwlock_t *l, clockid_t clock,
                                        const struct timespec *deadline)
{
    struct request r = {l, false, PROF_UNTIL_CLOCK, deadline, clock};
    return PROF_REAL(pthread_rwlock_clockrdlock) ? lock_until(&r, PROF_SITE) : ENOSYS;
}

PROF_API int pthread_rwlock_clockwrlock(pthread_rwlock_t *l, clockid_t clock,
                                        const struct timespec *deadline)
{
    struct request r = {l, true, PROF_UNTIL_CLOCK, deadline, clock};
    return PROF_REAL(pthread_rwlock_clockwrlock) ? lock_until(&r, PROF_SITE) : ENOSYS;
}

/* ---- unlock
 * ---------------------------------------------------------------------------------------------- */

/* The writer, or the last reader. While a writer holds the lock, the readers counted are waiting.
 */
static bool releases(const pthread_rwlock_t *l)
{
    return written_by_caller(l) || state_of(l) >> READERS_SHIFT <= 1;
}

PROF_API int pthread_rwlock_unlock(pthread_rwlock_t *l)
{
    if (!PROF_REAL(pthread_rwlock_unlock))
        return 0;
    int64_t delay_ns = prof_contended(l) && releases(l) ? prof_contention_charge(l) : 0;
    int rc = prof_real.pthread_rwlock_unlock(l);
    if (delay_ns > 0 && rc == 0)
        prof_contention_record(delay_ns, PROF_SITE);
    return rc;
}
