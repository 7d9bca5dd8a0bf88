/* The hooks of mutexes and rwlocks change no result: every kind goes through the same scenes with
 * the hooks and with libc's own functions, and both must answer alike. Profiles record everything
 * meanwhile. */
#include "prof/pprof.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <threads.h>

#include <cmocka.h>

#include "tests/calls.h"

/* ---- mutexes --------------------------------------------------------------------------------- */

struct mutex_calls {
    typeof(pthread_mutex_lock) *lock;
    typeof(pthread_mutex_trylock) *trylock;
    typeof(pthread_mutex_timedlock) *timedlock;
    typeof(pthread_mutex_clocklock) *clocklock;
    typeof(pthread_mutex_unlock) *unlock;
};

static const struct mutex_calls hooked_mutex = {
    pthread_mutex_lock,      pthread_mutex_trylock, pthread_mutex_timedlock,
    pthread_mutex_clocklock, pthread_mutex_unlock,
};

static struct mutex_calls libc_mutex(void)
{
    return (struct mutex_calls){
        libc_call("pthread_mutex_lock"),      libc_call("pthread_mutex_trylock"),
        libc_call("pthread_mutex_timedlock"), libc_call("pthread_mutex_clocklock"),
        libc_call("pthread_mutex_unlock"),
    };
}

struct mutex_kind {
    int type, protocol, robust, shared;
};

static bool make_mutex(pthread_mutex_t *m, const struct mutex_kind *k)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, k->type);
    pthread_mutexattr_setprotocol(&a, k->protocol);
    pthread_mutexattr_setrobust(&a, k->robust);
    pthread_mutexattr_setpshared(&a, k->shared);
    int rc = pthread_mutex_init(m, &a);
    pthread_mutexattr_destroy(&a);
    return rc == 0; /* glibc has no robust mutex that protects priority */
}

struct scene {
    const struct mutex_calls *calls;
    const struct mutex_kind *kind;
    void (*play)(struct scene *);
    pthread_mutex_t mutex;
    struct log *log;
};

static void *other_thread(struct scene *s, void *(*fn)(void *))
{
    pthread_t t;
    void *result;
    assert_int_equal(pthread_create(&t, NULL, fn, s), 0);
    assert_int_equal(pthread_join(t, &result), 0);
    errno = 77;
    return result;
}

static void free_mutex(struct scene *s)
{
    const struct mutex_calls *c = s->calls;
    struct timespec real = in_ms(CLOCK_REALTIME, 1000), monotonic = in_ms(CLOCK_MONOTONIC, 1000);
    note(s->log, c->lock(&s->mutex));
    note(s->log, c->unlock(&s->mutex));
    note(s->log, c->trylock(&s->mutex));
    note(s->log, c->unlock(&s->mutex));
    note(s->log, c->timedlock(&s->mutex, &real));
    note(s->log, c->unlock(&s->mutex));
    note(s->log, c->clocklock(&s->mutex, CLOCK_MONOTONIC, &monotonic));
    note(s->log, c->unlock(&s->mutex));
    note(s->log, c->timedlock(&s->mutex, &past));
    note(s->log, c->unlock(&s->mutex));
    int rc = c->clocklock(&s->mutex, CLOCK_PROCESS_CPUTIME_ID, &past);
    note(s->log, rc);
    if (rc == 0)
        note(s->log, c->unlock(&s->mutex));
}

static void again_by_its_owner(struct scene *s)
{
    const struct mutex_calls *c = s->calls;
    int more = 0, rc;
    note(s->log, c->lock(&s->mutex));
    note(s->log, rc = c->trylock(&s->mutex));
    more += rc == 0;
    note(s->log, rc = c->timedlock(&s->mutex, &past));
    more += rc == 0;
    note(s->log, rc = c->clocklock(&s->mutex, CLOCK_MONOTONIC, &past));
    more += rc == 0;
    if (s->kind->type == PTHREAD_MUTEX_RECURSIVE || s->kind->type == PTHREAD_MUTEX_ERRORCHECK) {
        note(s->log, rc = c->lock(&s->mutex));
        more += rc == 0;
    }
    for (int i = 0; i <= more; i++)
        note(s->log, c->unlock(&s->mutex));
}

static void *try_while_held(void *arg)
{
    struct scene *s = arg;
    const struct mutex_calls *c = s->calls;
    errno = 77;
    struct timespec real = in_ms(CLOCK_REALTIME, 3), monotonic = in_ms(CLOCK_MONOTONIC, 3);
    note(s->log, c->trylock(&s->mutex));
    note(s->log, c->timedlock(&s->mutex, &past));
    note(s->log, c->timedlock(&s->mutex, &real));
    note(s->log, c->timedlock(&s->mutex, &invalid));
    note(s->log, c->clocklock(&s->mutex, CLOCK_MONOTONIC, &past));
    note(s->log, c->clocklock(&s->mutex, CLOCK_MONOTONIC, &monotonic));
    note(s->log, c->clocklock(&s->mutex, CLOCK_MONOTONIC, &invalid));
    note(s->log, c->clocklock(&s->mutex, CLOCK_PROCESS_CPUTIME_ID, &past));
    if (s->kind->type == PTHREAD_MUTEX_ERRORCHECK || s->kind->type == PTHREAD_MUTEX_RECURSIVE ||
        s->kind->robust)
        note(s->log, c->unlock(&s->mutex));
    return NULL;
}

static void held_by_another(struct scene *s)
{
    note(s->log, s->calls->lock(&s->mutex));
    other_thread(s, try_while_held);
    note(s->log, s->calls->unlock(&s->mutex));
}

static void *wait_for_it(void *arg)
{
    struct scene *s = arg;
    struct timespec real = in_ms(CLOCK_REALTIME, 60000);
    errno = 77;
    int rc = s->calls->lock(&s->mutex);
    rc += s->calls->unlock(&s->mutex) * 1000;
    rc += s->calls->timedlock(&s->mutex, &real) * 1000000;
    rc += s->calls->unlock(&s->mutex) * 1000;
    return (void *)(intptr_t)(errno == 77 ? rc : -1);
}

static void waited_for(struct scene *s)
{
    pthread_t t[3];
    void *result;
    note(s->log, s->calls->lock(&s->mutex));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, wait_for_it, s), 0);
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    errno = 77;
    note(s->log, s->calls->unlock(&s->mutex));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(t[i], &result), 0);
        errno = 77;
        note(s->log, (int)(intptr_t)result);
    }
}

static void not_held(struct scene *s)
{
    if (s->kind->type == PTHREAD_MUTEX_ERRORCHECK || s->kind->type == PTHREAD_MUTEX_RECURSIVE ||
        s->kind->robust)
        note(s->log, s->calls->unlock(&s->mutex));
}

static void *lock_and_die(void *arg)
{
    struct scene *s = arg;
    errno = 77;
    return (void *)(intptr_t)s->calls->lock(&s->mutex);
}

/* In turn by lock, trylock, timedlock; in the end nobody makes it consistent. */
static void owner_died(struct scene *s)
{
    const struct mutex_calls *c = s->calls;
    if (!s->kind->robust)
        return;
    struct timespec real = in_ms(CLOCK_REALTIME, 1000);
    for (int way = 0; way < 4; way++) {
        note(s->log, (int)(intptr_t)other_thread(s, lock_and_die));
        note(s->log, way == 0   ? c->lock(&s->mutex)
                     : way == 1 ? c->trylock(&s->mutex)
                     : way == 2 ? c->timedlock(&s->mutex, &real)
                                : c->lock(&s->mutex));
        if (way < 3)
            note(s->log, pthread_mutex_consistent(&s->mutex));
        note(s->log, c->unlock(&s->mutex));
    }
    note(s->log, c->lock(&s->mutex));
    note(s->log, c->trylock(&s->mutex));
    note(s->log, c->timedlock(&s->mutex, &past));
}

static void recursion_has_an_end(struct scene *s)
{
    if (s->kind->type != PTHREAD_MUTEX_RECURSIVE)
        return;
    note(s->log, s->calls->lock(&s->mutex));
    s->mutex.__data.__count = UINT32_MAX; /* so often was it locked */
    note(s->log, s->calls->lock(&s->mutex));
    note(s->log, s->calls->timedlock(&s->mutex, &past));
    s->mutex.__data.__count = 1;
    note(s->log, s->calls->unlock(&s->mutex));
}

static void *play_scene(void *arg)
{
    struct scene *s = arg;
    errno = 77;
    s->play(s);
    return NULL;
}

/* On a thread of its own: where the caller may not set priorities, a mutex that protects them
 * leaves traces of its failure in the thread. */
static void play(struct log *log, const struct mutex_calls *calls, const struct mutex_kind *kind,
                 void (*scene)(struct scene *))
{
    struct scene s = {.calls = calls, .kind = kind, .play = scene, .log = log};
    assert_true(make_mutex(&s.mutex, kind));
    other_thread(&s, play_scene);
}

static void mutexes_answer_as_without_hooks(void **state)
{
    (void)state;
    static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
                                PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ADAPTIVE_NP};
    static const int protocols[] = {PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT, PTHREAD_PRIO_PROTECT};
    static void (*const scenes[])(struct scene *) = {
        free_mutex, again_by_its_owner, held_by_another,     waited_for,
        not_held,   owner_died,         recursion_has_an_end};
    if (TSAN)
        skip(); /* it does not see what libc is called for past it */
    struct mutex_calls plain = libc_mutex();
    int kinds = 0;
    for (int i = 0; i < 4 * 3 * 2 * 2; i++) {
        struct mutex_kind k = {types[i % 4], protocols[i / 4 % 3], i / 12 % 2, i / 24};
        pthread_mutex_t probe;
        if (!make_mutex(&probe, &k))
            continue;
        kinds++;
        for (size_t scene = 0; scene < sizeof scenes / sizeof scenes[0]; scene++) {
            char what[96];
            struct log expected = {0}, got = {0};
            snprintf(what, sizeof what, "type %d protocol %d robust %d shared %d, scene %zu",
                     k.type, k.protocol, k.robust, k.shared, scene);
            play(&expected, &plain, &k, scenes[scene]);
            play(&got, &hooked_mutex, &k, scenes[scene]);
            assert_same(what, &expected, &got);
        }
    }
    assert_true(kinds >= 32);
}

/* ---- rwlocks --------------------------------------------------------------------------------- */

struct rwlock_calls {
    typeof(pthread_rwlock_rdlock) *rdlock, *wrlock, *tryrdlock, *trywrlock, *unlock;
    typeof(pthread_rwlock_timedrdlock) *timedrdlock, *timedwrlock;
    typeof(pthread_rwlock_clockrdlock) *clockrdlock, *clockwrlock;
};

static const struct rwlock_calls hooked_rwlock = {
    pthread_rwlock_rdlock,      pthread_rwlock_wrlock,      pthread_rwlock_tryrdlock,
    pthread_rwlock_trywrlock,   pthread_rwlock_unlock,      pthread_rwlock_timedrdlock,
    pthread_rwlock_timedwrlock, pthread_rwlock_clockrdlock, pthread_rwlock_clockwrlock,
};

static struct rwlock_calls libc_rwlock(void)
{
    return (struct rwlock_calls){
        libc_call("pthread_rwlock_rdlock"),      libc_call("pthread_rwlock_wrlock"),
        libc_call("pthread_rwlock_tryrdlock"),   libc_call("pthread_rwlock_trywrlock"),
        libc_call("pthread_rwlock_unlock"),      libc_call("pthread_rwlock_timedrdlock"),
        libc_call("pthread_rwlock_timedwrlock"), libc_call("pthread_rwlock_clockrdlock"),
        libc_call("pthread_rwlock_clockwrlock"),
    };
}

struct rw_scene {
    const struct rwlock_calls *calls;
    pthread_rwlock_t lock;
    struct log *log;
};

static void note_and_release(struct rw_scene *s, int rc)
{
    note(s->log, rc);
    if (rc == 0)
        note(s->log, s->calls->unlock(&s->lock));
}

/* With the lock free, held by this thread, or by another. */
static void every_way_in(struct rw_scene *s, bool may_block)
{
    const struct rwlock_calls *c = s->calls;
    struct timespec real = in_ms(CLOCK_REALTIME, 2), monotonic = in_ms(CLOCK_MONOTONIC, 2);
    note_and_release(s, c->tryrdlock(&s->lock));
    note_and_release(s, c->trywrlock(&s->lock));
    note_and_release(s, c->timedrdlock(&s->lock, &past));
    note_and_release(s, c->timedwrlock(&s->lock, &past));
    note_and_release(s, c->timedrdlock(&s->lock, &invalid));
    note_and_release(s, c->timedwrlock(&s->lock, &invalid));
    note_and_release(s, c->timedrdlock(&s->lock, &real));
    note_and_release(s, c->timedwrlock(&s->lock, &real));
    note_and_release(s, c->clockrdlock(&s->lock, CLOCK_MONOTONIC, &monotonic));
    note_and_release(s, c->clockwrlock(&s->lock, CLOCK_MONOTONIC, &monotonic));
    note_and_release(s, c->clockrdlock(&s->lock, CLOCK_PROCESS_CPUTIME_ID, &past));
    note_and_release(s, c->clockwrlock(&s->lock, CLOCK_PROCESS_CPUTIME_ID, &past));
    if (may_block) {
        note_and_release(s, c->rdlock(&s->lock));
        note_and_release(s, c->wrlock(&s->lock));
    }
}

static void *ways_in_from_outside(void *arg)
{
    errno = 77;
    every_way_in(arg, false);
    return NULL;
}

static void *wait_for_rwlock(void *arg)
{
    struct rw_scene *s = arg;
    errno = 77;
    int rc = s->calls->rdlock(&s->lock) + s->calls->unlock(&s->lock) + s->calls->wrlock(&s->lock) +
             s->calls->unlock(&s->lock);
    return (void *)(intptr_t)(errno == 77 ? rc : -1);
}

static void from_outside(struct rw_scene *s)
{
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, ways_in_from_outside, s), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    errno = 77;
}

static void play_rwlock(struct log *log, const struct rwlock_calls *c, int kind)
{
    struct rw_scene s = {.calls = c, .log = log};
    pthread_rwlockattr_t a;
    pthread_t t;
    void *result;
    pthread_rwlockattr_init(&a);
    pthread_rwlockattr_setkind_np(&a, kind);
    pthread_rwlock_init(&s.lock, &a);
    errno = 77;
    every_way_in(&s, true);
    note(log, c->rdlock(&s.lock));
    from_outside(&s);
    note(log, c->tryrdlock(&s.lock));
    note(log, c->unlock(&s.lock));
    note(log, c->unlock(&s.lock));
    note(log, c->wrlock(&s.lock));
    note(log, c->wrlock(&s.lock)); /* EDEADLK: it is the caller's already */
    note(log, c->rdlock(&s.lock));
    note(log, c->timedwrlock(&s.lock, &past));
    assert_int_equal(pthread_create(&t, NULL, wait_for_rwlock, &s), 0);
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    errno = 77;
    note(log, c->unlock(&s.lock));
    pthread_join(t, &result);
    errno = 77;
    note(log, (int)(intptr_t)result);
}

static void rwlocks_answer_as_without_hooks(void **state)
{
    (void)state;
    static const int kinds[] = {PTHREAD_RWLOCK_PREFER_READER_NP, PTHREAD_RWLOCK_PREFER_WRITER_NP,
                                PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP};
    if (TSAN)
        skip();
    struct rwlock_calls plain = libc_rwlock();
    for (int i = 0; i < 3; i++) {
        char what[32];
        struct log expected = {0}, got = {0};
        sprintf(what, "rwlock kind %d", kinds[i]);
        play_rwlock(&expected, &plain, kinds[i]);
        play_rwlock(&got, &hooked_rwlock, kinds[i]);
        assert_same(what, &expected, &got);
    }
}

/* ---- C11 ------------------------------------------------------------------------------------- */

struct c11_calls {
    typeof(mtx_lock) *lock, *trylock, *unlock;
    typeof(mtx_timedlock) *timedlock;
    typeof(cnd_timedwait) *timedwait;
};

static int try_and_wait(void *arg)
{
    mtx_t *m = arg;
    struct timespec soon = in_ms(CLOCK_REALTIME, 3), late = in_ms(CLOCK_REALTIME, 60000);
    int rc = mtx_timedlock(m, &soon);
    return rc * 10 + mtx_timedlock(m, &late) + mtx_unlock(m);
}

static void play_c11(struct log *log, const struct c11_calls *c)
{
    mtx_t m, recursive;
    cnd_t cond;
    errno = 77;
    mtx_init(&m, mtx_timed);
    mtx_init(&recursive, mtx_timed | mtx_recursive);
    cnd_init(&cond);
    note(log, c->lock(&m));
    note(log, c->trylock(&m));
    note(log, c->timedlock(&m, &past));
    note(log, c->timedlock(&m, &invalid));
    note(log, c->timedwait(&cond, &m, &past));
    note(log, c->timedwait(&cond, &m, &invalid));
    note(log, c->unlock(&m));
    note(log, c->lock(&recursive));
    note(log, c->lock(&recursive));
    note(log, c->timedlock(&recursive, &past));
    note(log, c->unlock(&recursive));
    note(log, c->unlock(&recursive));
    note(log, c->unlock(&recursive));
    note(log, c->unlock(&recursive)); /* once too often */
}

static void c11_answers_as_without_hooks(void **state)
{
    (void)state;
    static const struct c11_calls hooked = {mtx_lock, mtx_trylock, mtx_unlock, mtx_timedlock,
                                            cnd_timedwait};
    if (TSAN)
        skip();
    struct c11_calls plain = {libc_call("mtx_lock"), libc_call("mtx_trylock"),
                              libc_call("mtx_unlock"), libc_call("mtx_timedlock"),
                              libc_call("cnd_timedwait")};
    struct log expected = {0}, got = {0};
    play_c11(&expected, &plain);
    play_c11(&got, &hooked);
    assert_same("C11", &expected, &got);
}

static void c11_threads_wait_for_one_another(void **state)
{
    (void)state;
    mtx_t m;
    thrd_t t;
    int result = -1;
    if (TSAN)
        skip(); /* it knows nothing of thrd_create's threads */
    mtx_init(&m, mtx_timed);
    assert_int_equal(mtx_lock(&m), thrd_success);
    assert_int_equal(thrd_create(&t, try_and_wait, &m), thrd_success);
    assert_int_equal(thrd_sleep(&(struct timespec){.tv_nsec = 20000000}, NULL), 0);
    assert_int_equal(mtx_unlock(&m), thrd_success);
    assert_int_equal(thrd_join(t, &result), thrd_success);
    assert_true(result == thrd_timedout * 10 || result == 0); /* 0: it came late */
}

/* ---- exclusion ------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 20000 };

static struct {
    pthread_mutex_t mutex;
    pthread_rwlock_t rwlock;
    long by_mutex, by_rwlock, torn;
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER, .rwlock = PTHREAD_RWLOCK_INITIALIZER};

static void *count_under_locks(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&shared.mutex);
        shared.by_mutex++;
        pthread_mutex_unlock(&shared.mutex);
        if (i % 4 == 0) {
            pthread_rwlock_wrlock(&shared.rwlock);
            shared.by_rwlock++;
            pthread_rwlock_unlock(&shared.rwlock);
        } else {
            pthread_rwlock_rdlock(&shared.rwlock);
            long a = shared.by_rwlock;
            __asm__ volatile("" : : : "memory");
            if (a != shared.by_rwlock)
                __atomic_fetch_add(&shared.torn, 1, __ATOMIC_RELAXED);
            pthread_rwlock_unlock(&shared.rwlock);
        }
    }
    return arg;
}

static void locks_exclude(void **state)
{
    (void)state;
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, count_under_locks, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(shared.by_mutex, THREADS * ROUNDS);
    assert_int_equal(shared.by_rwlock, THREADS * ROUNDS / 4);
    assert_int_equal(shared.torn, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutexes_answer_as_without_hooks),
        cmocka_unit_test(rwlocks_answer_as_without_hooks),
        cmocka_unit_test(c11_answers_as_without_hooks),
        cmocka_unit_test(c11_threads_wait_for_one_another),
        cmocka_unit_test(locks_exclude),
    };
    prof_set_block_rate_ns(1);
    prof_set_mutex_fraction(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
