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
#include "prof/thread.h"
#include "prof/wait.h"

#include <sys/single_threaded.h>

PROF_HOOK_FILE(mutex);

#define likely(x) __builtin_expect(!!(x), 1)

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

/* ---- what a mutex's fields say --------------------------------------------------------------- */

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

/* ---- lock ------------------------------------------------------------------------------------ */

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

/* 0: nobody, or somebody who is just taking or releasing it and has not written his name yet, or
 * has wiped it out. */
static pid_t holder_of(const pthread_mutex_t *m)
{
    enum { LOOKS = 64 };
    pid_t owner = 0;
    for (int i = 0; i < LOOKS && !owner && word_of(m); i++)
        owner = __atomic_load_n(&m->__data.__owner, __ATOMIC_RELAXED);
    return owner & (pid_t)WORD_OWNER;
}

/* For the trace, which says of each wait who held the lock. It may have been released since it was
 * found held: taken now, there is nothing to wait for. */
static bool take_or_name(const struct request *r, pid_t *holder)
{
    enum { LOOKS = 4 };
    bool plain = !(kind_of(r->mutex) & KIND_NOT_PLAIN) && r->until == PROF_UNTIL_DONE;
    for (int i = 0; i < LOOKS && !*holder; i++) {
        if (plain && prof_real.pthread_mutex_trylock(r->mutex) == 0)
            return true;
        *holder = holder_of(r->mutex);
    }
    return false;
}

static int wait_for(const struct request *r, struct prof_site site)
{
    bool traced = prof_trace_on();
    pid_t holder = traced ? holder_of(r->mutex) : 0;
    PROF_WAITING(w, PROF_WAIT_MUTEX, r->mutex, NULL, site);
    bool taken = traced && take_or_name(r, &holder);
    w.event.holder = holder;
    int rc = taken ? 0 : call(r);
    w.timed_out = rc == ETIMEDOUT;
    if (taken)
        prof_wait_untold(&w);
    else if (rc != 0 && rc != EOWNERDEAD && rc != ETIMEDOUT)
        prof_wait_discard(&w);
    return rc;
}

static int lock_until(const struct request *r, struct prof_site site)
{
    return held(r->mutex) ? wait_for(r, site) : call(r);
}

/* Found held where it is of a plain kind: by now it may be free again, but also held again. */
static __attribute__((noinline)) int lock_slowly(pthread_mutex_t *m, struct prof_site site)
{
    struct request r = {.mutex = m};
    int kind = kind_of(m);
    if (kind & KIND_NOT_PLAIN)
        return lock_until(&r, site);
    return (kind & KIND_TYPE) != PTHREAD_MUTEX_NORMAL && owned_by_caller(m) ? call(&r)
                                                                            : wait_for(&r, site);
}

/* With one thread, lock needs no atomic instruction, but trylock takes one. */
PROF_API int pthread_mutex_lock(pthread_mutex_t *m)
{
    if (__libc_single_threaded) {
        if (likely(word_of(m) == 0))
            return prof_real.pthread_mutex_lock(m);
    } else if (likely(!(kind_of(m) & KIND_NOT_PLAIN)) &&
               likely(prof_real.pthread_mutex_trylock(m) == 0)) {
        return 0;
    }
    return lock_slowly(m, PROF_SITE);
}

int prof_mutex_lock_at(pthread_mutex_t *m, struct prof_site site)
{
    bool plain = !(kind_of(m) & KIND_NOT_PLAIN);
    return plain && prof_real.pthread_mutex_trylock(m) == 0 ? 0 : lock_slowly(m, site);
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

/* ---- unlock ---------------------------------------------------------------------------------- */

static __attribute__((noinline)) int unlock_slowly(pthread_mutex_t *m, struct prof_site site)
{
    int64_t delay_ns = releases(m) ? prof_contention_charge(m, prof_mutex_wakes(m), site) : 0;
    int rc = prof_real.pthread_mutex_unlock(m);
    if (delay_ns > 0 && rc == 0)
        prof_contention_record(delay_ns, site);
    return rc;
}

/* Asks the list, not the mutex: a load of what an atomic instruction has just written costs more
 * than the rest of this. */
PROF_API int pthread_mutex_unlock(pthread_mutex_t *m)
{
    return likely(!prof_contended(m)) ? prof_real.pthread_mutex_unlock(m)
                                      : unlock_slowly(m, PROF_SITE);
}

int prof_mutex_unlock_at(pthread_mutex_t *m, struct prof_site site)
{
    return unlock_slowly(m, site);
}
