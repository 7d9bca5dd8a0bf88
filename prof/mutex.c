/* Hooks of pthread_mutex_*.
 *
 * Locking tries first: for the plain kinds a successful trylock is the same as lock, and where it
 * finds the mutex held, the real lock is called and gives its own result (EDEADLK, EAGAIN). The
 * other kinds (robust, priority-inheriting, priority-protecting) and the timed calls, which check
 * their arguments before anything else, are only looked at: free, the real call runs as it is.
 *
 * What is read here of a mutex's inside are fields that glibc publishes in its headers for static
 * initialization and that every NPTL has had. A wrong guess would cost accuracy, never a result.
 * pthread_mutex_trylock never waits and needs no hook. */
#include "prof/wait.h"

enum {
    KIND_TYPE = 0x03, /* of PTHREAD_MUTEX_NORMAL, _RECURSIVE, _ERRORCHECK, _ADAPTIVE_NP */
    KIND_ROBUST = 0x10,
    KIND_INHERIT = 0x20,
    KIND_PROTECT = 0x40,
    KIND_NOT_PLAIN = KIND_ROBUST | KIND_INHERIT | KIND_PROTECT,
    WORD_OWNER = 0x3fffffff,    /* robust and inheriting: the owner's tid, */
    WORD_PROTECTED = 0x0007ffff /* protecting: the state below the ceiling, */
};
static const unsigned WORD_WAITERS = 0x80000000u; /* and whether somebody waits */

/* ---- what a mutex's fields say
 * -------------------------------------------------------------------------- */

static inline unsigned word_of(const pthread_mutex_t *m)
{
    return (unsigned)__atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED);
}

static inline int kind_of(const pthread_mutex_t *m)
{
    return __atomic_load_n(&m->__data.__kind, __ATOMIC_RELAXED);
}

static bool owned_by_caller(const pthread_mutex_t *m)
{
    struct prof_thread *t = prof_self_tls;
    return t && __atomic_load_n(&m->__data.__owner, __ATOMIC_RELAXED) ==
                    atomic_load_explicit(&t->tid, memory_order_relaxed);
}

/* Somebody else holds it, or the caller does and will wait for himself for ever. */
static bool held(const pthread_mutex_t *m)
{
    int kind = kind_of(m);
    unsigned word = word_of(m);
    if (kind & KIND_PROTECT)
        word &= WORD_PROTECTED;
    else if (kind & KIND_NOT_PLAIN)
        word &= WORD_OWNER;
    return word != 0 && ((kind & KIND_TYPE) == PTHREAD_MUTEX_NORMAL || !owned_by_caller(m));
}

/* Unlocking releases it: the caller holds it, once. The kinds without a check are released by
 * anybody. */
static bool releases(const pthread_mutex_t *m)
{
    int kind = kind_of(m), type = kind & KIND_TYPE;
    if (!(kind & KIND_NOT_PLAIN) && type != PTHREAD_MUTEX_RECURSIVE &&
        type != PTHREAD_MUTEX_ERRORCHECK)
        return true;
    return owned_by_caller(m) && (type != PTHREAD_MUTEX_RECURSIVE || m->__data.__count == 1);
}

bool prof_mutex_wakes(const pthread_mutex_t *m)
{
    int kind = kind_of(m);
    unsigned word = word_of(m);
    if (kind & KIND_PROTECT)
        return (word & WORD_PROTECTED) > 1 && releases(m);
    if (kind & KIND_NOT_PLAIN)
        return (word & WORD_WAITERS) && releases(m);
    return word > 1 && releases(m);
}

/* ---- lock
 * ------------------------------------------------------------------------------------------------
 */

struct request {
    pthread_mutex_t *mutex;
    enum prof_until until;
    const struct timespec *deadline;
    clockid_t clock;
};

static int call(const struct request *r)
{
    switch (r->until) {
    case PROF_UNTIL_TIME:
        return prof_real.pthread_mutex_timedlock(r->mutex, r->deadline);
    case PROF_UNTIL_CLOCK:
        return prof_real.pthread_mutex_clocklock(r->mutex, r->clock, r->deadline);
    default:
        return prof_real.pthread_mutex_lock(r->mutex);
    }
}

static int wait_for(const struct request *r, struct prof_site site)
{
    PROF_WAITING(w, PROF_WAIT_MUTEX, r->mutex, NULL, site);
    int rc = call(r);
    if (rc != 0 && rc != EOWNERDEAD && rc != ETIMEDOUT)
        prof_wait_discard(&w);
    return rc;
}

static int lock_until(const struct request *r, struct prof_site site)
{
    return held(r->mutex) ? wait_for(r, site) : call(r);
}

static __attribute__((noinline)) int lock_slowly(pthread_mutex_t *m, struct prof_site site)
{
    struct request r = {.mutex = m};
    if (!PROF_REAL(pthread_mutex_lock)) /* dlsym itself is at work, and alone */
        return 0;
    return lock_until(&r, site);
}

/* The mutex was found held. It may be free again by now, but also held again. */
static __attribute__((noinline)) int lock_contended(pthread_mutex_t *m, struct prof_site site)
{
    struct request r = {.mutex = m};
    return (kind_of(m) & KIND_TYPE) != PTHREAD_MUTEX_NORMAL && owned_by_caller(m)
               ? call(&r)
               : wait_for(&r, site);
}

static inline __attribute__((always_inline)) int lock(pthread_mutex_t *m, struct prof_site site)
{
    typeof(pthread_mutex_trylock) *trylock = prof_real.pthread_mutex_trylock;
    if (__builtin_expect(!trylock || kind_of(m) & KIND_NOT_PLAIN, 0))
        return lock_slowly(m, site);
    return __builtin_expect(trylock(m) == 0, 1) ? 0 : lock_contended(m, site);
}

PROF_API int pthread_mutex_lock(pthread_mutex_t *m)
{
    return lock(m, PROF_SITE);
}

int prof_mutex_lock_at(pthread_mutex_t *m, struct prof_site site)
{
    return lock(m, site);
}

int prof_mutex_timedlock_at(pthread_mutex_t *m, const struct timespec *deadline,
                            struct prof_site site)
{
    struct request r = {.mutex = m, .until = PROF_UNTIL_TIME, .deadline = deadline};
    return PROF_REAL(pthread_mutex_timedlock) ? lock_until(&r, site) : 0;
}

PROF_API int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *deadline)
{
    return prof_mutex_timedlock_at(m, deadline, PROF_SITE);
}

PROF_API int pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock,
                                     const struct timespec *deadline)
{
    struct request r = {m, PROF_UNTIL_CLOCK, deadline, clock};
    return PROF_REAL(pthread_mutex_clocklock) ? lock_until(&r, PROF_SITE) : ENOSYS;
}

/* ---- unlock
 * ---------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) int unlock_slowly(pthread_mutex_t *m, struct prof_site site)
{
    if (!PROF_REAL(pthread_mutex_unlock))
        return 0;
    int64_t delay_ns = prof_contended(m) && prof_mutex_wakes(m) ? prof_contention_charge(m) : 0;
    int rc = prof_real.pthread_mutex_unlock(m);
    if (delay_ns > 0 && rc == 0)
        prof_contention_record(delay_ns, site);
    return rc;
}

static inline __attribute__((always_inline)) int unlock(pthread_mutex_t *m, struct prof_site site)
{
    typeof(pthread_mutex_unlock) *real = prof_real.pthread_mutex_unlock;
    if (__builtin_expect(word_of(m) == 1 && real, 1)) /* held, and nobody waits */
        return real(m);
    return unlock_slowly(m, site);
}

PROF_API int pthread_mutex_unlock(pthread_mutex_t *m)
{
    return unlock(m, PROF_SITE);
}

int prof_mutex_unlock_at(pthread_mutex_t *m, struct prof_site site)
{
    return unlock(m, site);
}
