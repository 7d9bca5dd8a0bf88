/* Hooks of pthread_rwlock_*: as mutex.c, with two ways to hold the lock.
 *
 * What readers cause is charged to the last of them: only its unlock lets a writer in. */
#include "prof/thread.h"
#include "prof/wait.h"

PROF_HOOK_FILE(rwlock);

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

/* ---- lock ------------------------------------------------------------------------------------ */

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
    pid_t writer =
        prof_trace_on() ? __atomic_load_n(&r->lock->__data.__cur_writer, __ATOMIC_RELAXED) : 0;
    PROF_WAITING(w, PROF_WAIT_RWLOCK, r->lock, NULL, site);
    w.event.holder = writer; /* readers leave no names: the one that lets the writer in will do */
    prof_wait_is(&w, r->write ? PROF_WHAT_WRLOCK : PROF_WHAT_RDLOCK, -1);
    int rc = call(r);
    w.timed_out = rc == ETIMEDOUT;
    if (rc != 0 && rc != ETIMEDOUT)
        prof_wait_discard(&w);
    return rc;
}

static __attribute__((noinline)) int lock_slowly(pthread_rwlock_t *l, bool write,
                                                 struct prof_site site)
{
    struct request r = {.lock = l, .write = write};
    return written_by_caller(l) ? call(&r) : wait_for(&r, site);
}

PROF_API int pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
    typeof(pthread_rwlock_tryrdlock) *try = PROF_REAL(pthread_rwlock_tryrdlock);
    if (__builtin_expect(!try || try(l) == 0, 1))
        return 0;
    return lock_slowly(l, false, PROF_SITE);
}

PROF_API int pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
    typeof(pthread_rwlock_trywrlock) *try = PROF_REAL(pthread_rwlock_trywrlock);
    if (__builtin_expect(!try || try(l) == 0, 1))
        return 0;
    return lock_slowly(l, true, PROF_SITE);
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

/* ---- unlock ---------------------------------------------------------------------------------- */

/* The writer, or the last reader. While a writer holds the lock, the readers counted are waiting.
 */
static bool releases(const pthread_rwlock_t *l)
{
    return written_by_caller(l) || state_of(l) >> READERS_SHIFT <= 1;
}

static __attribute__((noinline)) int unlock_slowly(pthread_rwlock_t *l, struct prof_site site)
{
    int64_t delay_ns = releases(l) ? prof_contention_charge(l, true, site) : 0;
    int rc = prof_real.pthread_rwlock_unlock(l);
    if (delay_ns > 0 && rc == 0)
        prof_contention_record(delay_ns, site);
    return rc;
}

PROF_API int pthread_rwlock_unlock(pthread_rwlock_t *l)
{
    typeof(pthread_rwlock_unlock) *real = PROF_REAL(pthread_rwlock_unlock);
    if (__builtin_expect(!real, 0))
        return 0;
    return prof_contended(l) ? unlock_slowly(l, PROF_SITE) : real(l);
}
