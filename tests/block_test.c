/* The block and the mutex profile tell the truth: known waits, in known functions, caused by known
 * holders. */
#include "prof/internal.h"
#include "prof/pprof.h"
#include "tests/top.h"
#include "tests/until_waiting.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <threads.h>
#include <time.h>

#include <cmocka.h>

enum { HOLD_MS = 60, ROUNDS = 4 };
static const double TOLERANCE = 0.01;

/* Keeps a call from becoming a jump, and functions that do the same from becoming one. */
#define STAY __asm__ volatile("" : : "i"(__LINE__))

static void rest_ms(double ms)
{
    int64_t end = prof_now_ns() + (int64_t)(ms * 1e6);
    struct timespec until = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

/* How long something took: the machine may keep a thread from its next instruction for as long as
 * it likes, so each end of it is known to lie between two moments. */
struct span {
    double least_ns, most_ns;
};

static void add_span(struct span *sum, int64_t least_ns, int64_t most_ns)
{
    sum->least_ns += (double)least_ns;
    sum->most_ns += (double)most_ns;
}

/* ---- the places where the test's threads wait, each measured from outside -------------------- */

static struct {
    pthread_mutex_t mutex, recursive, cond_mutex;
    pthread_rwlock_t read, write;
    pthread_cond_t cond;
    pthread_barrier_t barrier;
    sem_t sem;
    mtx_t c11;
    pthread_t forever;
    int woken;
} at = {.mutex = PTHREAD_MUTEX_INITIALIZER,
        .recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
        .cond_mutex = PTHREAD_MUTEX_INITIALIZER,
        .read = PTHREAD_RWLOCK_INITIALIZER,
        .write = PTHREAD_RWLOCK_INITIALIZER,
        .cond = PTHREAD_COND_INITIALIZER};

static struct timespec a_minute_on(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 60;
    return t;
}

#define WAITER(name, wait, after)                                                                  \
    static __attribute__((noinline)) int64_t name(void)                                            \
    {                                                                                              \
        struct timespec late = a_minute_on();                                                      \
        int64_t start = prof_now_ns();                                                             \
        wait;                                                                                      \
        int64_t end = prof_now_ns();                                                               \
        after;                                                                                     \
        (void)late;                                                                                \
        return end - start;                                                                        \
    }

WAITER(wait_mutex, pthread_mutex_lock(&at.mutex), pthread_mutex_unlock(&at.mutex))
WAITER(wait_mutex_timed, pthread_mutex_timedlock(&at.mutex, &late), pthread_mutex_unlock(&at.mutex))
WAITER(wait_recursive, pthread_mutex_lock(&at.recursive), pthread_mutex_unlock(&at.recursive))
WAITER(wait_c11, mtx_lock(&at.c11), mtx_unlock(&at.c11))
WAITER(wait_read, pthread_rwlock_rdlock(&at.read), pthread_rwlock_unlock(&at.read))
WAITER(wait_write, pthread_rwlock_wrlock(&at.write), pthread_rwlock_unlock(&at.write))
WAITER(wait_sem, sem_wait(&at.sem), )
WAITER(wait_sem_timed, sem_timedwait(&at.sem, &late), )
WAITER(wait_barrier, pthread_barrier_wait(&at.barrier), )

static __attribute__((noinline)) int64_t wait_cond(void)
{
    pthread_mutex_lock(&at.cond_mutex);
    int64_t start = prof_now_ns();
    while (!at.woken)
        pthread_cond_wait(&at.cond, &at.cond_mutex);
    int64_t end = prof_now_ns();
    at.woken = 0;
    pthread_mutex_unlock(&at.cond_mutex);
    return end - start;
}

/* ---- those who keep them waiting; what they hold a lock for is measured here, too ------------ */

#define HOLDER(name, take, release)                                                                \
    static __attribute__((noinline)) void name##_take(void)                                        \
    {                                                                                              \
        take;                                                                                      \
        STAY;                                                                                      \
    }                                                                                              \
    static __attribute__((noinline)) void name(void)                                               \
    {                                                                                              \
        release;                                                                                   \
        STAY;                                                                                      \
    }

HOLDER(hold_mutex, pthread_mutex_lock(&at.mutex), pthread_mutex_unlock(&at.mutex))
HOLDER(hold_mutex_timed, pthread_mutex_lock(&at.mutex), pthread_mutex_unlock(&at.mutex))
HOLDER(hold_recursive, (pthread_mutex_lock(&at.recursive), pthread_mutex_lock(&at.recursive)),
       (pthread_mutex_unlock(&at.recursive), pthread_mutex_unlock(&at.recursive)))
HOLDER(hold_c11, mtx_lock(&at.c11), mtx_unlock(&at.c11))
HOLDER(hold_read, pthread_rwlock_wrlock(&at.read), pthread_rwlock_unlock(&at.read))
HOLDER(hold_write, pthread_rwlock_rdlock(&at.write), pthread_rwlock_unlock(&at.write))
HOLDER(let_sem, , sem_post(&at.sem))
HOLDER(let_barrier, , pthread_barrier_wait(&at.barrier))

static __attribute__((noinline)) void let_cond_take(void) {}

static __attribute__((noinline)) void let_cond(void)
{
    pthread_mutex_lock(&at.cond_mutex);
    at.woken = 1;
    pthread_cond_signal(&at.cond);
    pthread_mutex_unlock(&at.cond_mutex);
    STAY;
}

static struct scene {
    const char *waiter, *leaf, *holder; /* holder NULL: nobody can be blamed */
    int64_t (*wait)(void);
    void (*take)(void), (*release)(void);
    struct span waited, caused; /* as measured here */
    int64_t began_ns, took_ns;
} scenes[] = {
#define SCENE(wait, leaf, let)     #wait, leaf, #let, wait, let##_take, let, {0, 0 }, {0, 0 }, 0, 0
#define BLAMELESS(wait, leaf, let) #wait, leaf, NULL, wait, let##_take, let, {0, 0 }, {0, 0 }, 0, 0
    {SCENE(wait_mutex, "pthread_mutex_lock", hold_mutex)},
    {SCENE(wait_mutex_timed, "pthread_mutex_timedlock", hold_mutex_timed)},
    {SCENE(wait_recursive, "pthread_mutex_lock", hold_recursive)},
    {SCENE(wait_c11, "mtx_lock", hold_c11)},
    {SCENE(wait_read, "pthread_rwlock_rdlock", hold_read)},
    {SCENE(wait_write, "pthread_rwlock_wrlock", hold_write)},
    {BLAMELESS(wait_sem, "sem_wait", let_sem)},
    {BLAMELESS(wait_sem_timed, "sem_timedwait", let_sem)},
    {BLAMELESS(wait_barrier, "pthread_barrier_wait", let_barrier)},
    {BLAMELESS(wait_cond, "pthread_cond_wait", let_cond)},
};
enum { SCENES = sizeof scenes / sizeof scenes[0] };

static void *play_waiter(void *arg)
{
    struct scene *s = arg;
    s->began_ns = prof_now_ns();
    s->took_ns = s->wait();
    return NULL;
}

static void play(struct scene *s)
{
    pthread_t t;
    s->take();
    assert_int_equal(pthread_create(&t, NULL, play_waiter, s), 0);
    until_waiting(1, PROF_WAIT_NONE);
    int64_t waits_ns = prof_now_ns();
    rest_ms(HOLD_MS);
    int64_t least_ns = prof_now_ns() - waits_ns;
    s->release();
    int64_t released_ns = prof_now_ns();
    assert_int_equal(pthread_join(t, NULL), 0);
    add_span(&s->waited, least_ns, s->took_ns);
    add_span(&s->caused, least_ns, released_ns - s->began_ns);
}

/* ---- reading the profiles -------------------------------------------------------------------- */

static struct top read_profile(const char *name, const char *index, const char *unit)
{
    struct top t;
    char path[64];
    int fd = top_file(path);
    assert_true(fd >= 0);
    assert_int_equal(prof_write(name, fd, 0), 0);
    close(fd);
    assert_true(top_read(&t, path, index, unit));
    return t;
}

static void assert_within(const char *what, double got, struct span s)
{
    if (got < (1 - TOLERANCE) * s.least_ns || got > (1 + TOLERANCE) * s.most_ns)
        fail_msg("%s: expected %.0f to %.0f, got %.0f", what, s.least_ns, s.most_ns, got);
}

/* The change of one function's value over a test. */
static double since(const struct top *before, const struct top *after, const char *function)
{
    return top_of(after, function).cum - top_of(before, function).cum;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void waits_are_where_and_as_long_as_they_were(void **state)
{
    (void)state;
    prof_set_block_rate_ns(1);
    prof_set_mutex_fraction(1);
    mtx_init(&at.c11, mtx_plain);
    sem_init(&at.sem, 0, 0);
    pthread_barrier_init(&at.barrier, NULL, 2);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < SCENES; i++)
            play(&scenes[i]);
    struct top block = read_profile("block", "delay", "ns"),
               mutex = read_profile("mutex", "delay", "ns");
    struct top blocks = read_profile("block", "contentions", "count");
    prof_set_block_rate_ns(0);
    prof_set_mutex_fraction(0);
    for (int i = 0; i < SCENES; i++) {
        const struct scene *s = &scenes[i];
        assert_within(s->waiter, top_of(&block, s->waiter).cum, s->waited);
        assert_int_equal((int)top_of(&blocks, s->waiter).cum, ROUNDS);
        assert_true(top_of(&block, s->leaf).flat >= (1 - TOLERANCE) * s->waited.least_ns);
        if (s->holder)
            assert_within(s->holder, top_of(&mutex, s->holder).cum, s->caused);
        /* Who waited is not charged with what he waited. */
        assert_true(top_of(&mutex, s->waiter).cum < TOLERANCE * s->waited.least_ns);
    }
}

/* Several waiters weigh more than one. */
static void *wait_for_crowd(void *arg)
{
    int64_t began_ns = prof_now_ns();
    atomic_fetch_add((_Atomic int64_t *)arg, began_ns);
    wait_mutex();
    return NULL;
}

static __attribute__((noinline)) void hold_against_many(void)
{
    pthread_mutex_unlock(&at.mutex);
    STAY;
}

static void many_waiters_are_charged_together(void **state)
{
    (void)state;
    enum { MANY = 5 };
    _Atomic int64_t began_ns = 0; /* of all together */
    pthread_t t[MANY];
    prof_set_mutex_fraction(1);
    struct top before = read_profile("mutex", "delay", "ns");
    pthread_mutex_lock(&at.mutex);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_create(&t[i], NULL, wait_for_crowd, &began_ns), 0);
    until_waiting(MANY, PROF_WAIT_MUTEX);
    int64_t wait_ns = prof_now_ns();
    rest_ms(400);
    int64_t least_ns = MANY * (prof_now_ns() - wait_ns);
    hold_against_many();
    struct span caused = {(double)least_ns, (double)(MANY * prof_now_ns() - began_ns)};
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    struct top after = read_profile("mutex", "delay", "ns");
    prof_set_mutex_fraction(0);
    assert_within("five waiters", since(&before, &after, "hold_against_many"), caused);
}

/* A writer waits for two readers; the second to go lets it in. */
static __attribute__((noinline)) void leave_first(void)
{
    pthread_rwlock_unlock(&at.write);
    STAY;
}

static __attribute__((noinline)) void leave_last(void)
{
    pthread_rwlock_unlock(&at.write);
    STAY;
}

static void the_last_reader_is_charged(void **state)
{
    (void)state;
    pthread_t t;
    struct scene s = {.wait = wait_write};
    prof_set_mutex_fraction(1);
    pthread_rwlock_rdlock(&at.write);
    pthread_rwlock_rdlock(&at.write);
    assert_int_equal(pthread_create(&t, NULL, play_waiter, &s), 0);
    until_waiting(1, PROF_WAIT_RWLOCK);
    int64_t waits_ns = prof_now_ns();
    rest_ms(100);
    leave_first();
    rest_ms(100);
    int64_t least_ns = prof_now_ns() - waits_ns;
    leave_last();
    int64_t left_ns = prof_now_ns();
    assert_int_equal(pthread_join(t, NULL), 0);
    struct span caused = {(double)least_ns, (double)(left_ns - s.began_ns)};
    struct top mutex = read_profile("mutex", "delay", "ns");
    prof_set_mutex_fraction(0);
    assert_within("the last reader", top_of(&mutex, "leave_last").cum, caused);
    assert_true(top_of(&mutex, "leave_first").cum == 0);
}

/* Waiting for a condition variable releases the mutex; holding on to it after a signal keeps the
 * woken one out. */
static int crowd_goes_on;

static void *wait_to_go_on(void *arg)
{
    pthread_mutex_lock(&at.cond_mutex);
    while (!crowd_goes_on)
        pthread_cond_wait(&at.cond, &at.cond_mutex);
    pthread_mutex_unlock(&at.cond_mutex);
    return arg;
}

static __attribute__((noinline)) struct span signal_and_stay(void)
{
    pthread_mutex_lock(&at.cond_mutex);
    crowd_goes_on = 1;
    int64_t before_ns = prof_now_ns();
    pthread_cond_signal(&at.cond);
    int64_t signalled_ns = prof_now_ns();
    rest_ms(200);
    int64_t least_ns = prof_now_ns() - signalled_ns;
    pthread_mutex_unlock(&at.cond_mutex);
    return (struct span){(double)least_ns, (double)(prof_now_ns() - before_ns)};
}

static void *lock_for_a_moment(void *arg)
{
    int64_t *took_ns = arg, began_ns = prof_now_ns();
    pthread_mutex_lock(&at.cond_mutex);
    *took_ns = prof_now_ns() - began_ns;
    crowd_goes_on = 1;
    pthread_cond_signal(&at.cond);
    pthread_mutex_unlock(&at.cond_mutex);
    return NULL;
}

static __attribute__((noinline)) struct span hold_then_wait(void)
{
    pthread_t t;
    int64_t most_ns = 0;
    crowd_goes_on = 0;
    pthread_mutex_lock(&at.cond_mutex);
    assert_int_equal(pthread_create(&t, NULL, lock_for_a_moment, &most_ns), 0);
    until_waiting(1, PROF_WAIT_MUTEX);
    int64_t waits_ns = prof_now_ns();
    rest_ms(200);
    int64_t least_ns = prof_now_ns() - waits_ns;
    while (!crowd_goes_on)
        pthread_cond_wait(&at.cond, &at.cond_mutex);
    pthread_mutex_unlock(&at.cond_mutex);
    pthread_join(t, NULL);
    return (struct span){(double)least_ns, (double)most_ns};
}

static void condition_variables_release_and_take_back(void **state)
{
    (void)state;
    pthread_t t;
    prof_set_mutex_fraction(1);
    assert_int_equal(pthread_create(&t, NULL, wait_to_go_on, NULL), 0);
    until_waiting(1, PROF_WAIT_COND);
    struct span stayed = signal_and_stay();
    assert_int_equal(pthread_join(t, NULL), 0);
    struct span held = hold_then_wait();
    struct top mutex = read_profile("mutex", "delay", "ns");
    prof_set_mutex_fraction(0);
    assert_within("held on after a signal", top_of(&mutex, "signal_and_stay").cum, stayed);
    assert_within("released by waiting", top_of(&mutex, "hold_then_wait").cum, held);
}

/* What is recorded at a rate stands for all there was. */
static __attribute__((noinline)) int64_t wait_briefly(void)
{
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 200000;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_nsec -= 1000000000;
        soon.tv_sec++;
    }
    int64_t start = prof_now_ns();
    sem_timedwait(&at.sem, &soon);
    return prof_now_ns() - start;
}

static void a_sample_stands_for_many(void **state)
{
    (void)state;
    enum { WAITS = 1500 };
    double waited = 0;
    sem_init(&at.sem, 0, 0);
    prof_set_block_rate_ns(4000000);
    for (int i = 0; i < WAITS; i++)
        waited += (double)wait_briefly();
    struct top delay = read_profile("block", "delay", "ns"),
               count = read_profile("block", "contentions", "count");
    prof_set_block_rate_ns(0);
    /* About one wait in ten is recorded: the sums are right to about 1/sqrt(100). Six deviations.
     */
    double ns = top_of(&delay, "wait_briefly").cum, n = top_of(&count, "wait_briefly").cum;
    if (fabs(ns - waited) > 0.6 * waited || fabs(n - WAITS) > 0.6 * WAITS)
        fail_msg("expected %.0f ns in %d waits, got %.0f in %.0f", waited, WAITS, ns, n);
}

static __attribute__((noinline)) void contend(void)
{
    pthread_mutex_unlock(&at.mutex);
    STAY;
}

static void *lock_once(void *arg)
{
    pthread_mutex_lock(&at.mutex);
    pthread_mutex_unlock(&at.mutex);
    return arg;
}

static void a_fraction_stands_for_all(void **state)
{
    (void)state;
    enum { TIMES = 400, FRACTION = 4 };
    prof_set_mutex_fraction(FRACTION);
    assert_int_equal(prof_set_mutex_fraction(-1), FRACTION);
    for (int i = 0; i < TIMES; i++) {
        pthread_t t;
        pthread_mutex_lock(&at.mutex);
        assert_int_equal(pthread_create(&t, NULL, lock_once, NULL), 0);
        until_waiting(1, PROF_WAIT_MUTEX);
        contend();
        assert_int_equal(pthread_join(t, NULL), 0);
    }
    struct top count = read_profile("mutex", "contentions", "count");
    prof_set_mutex_fraction(0);
    double n = top_of(&count, "contend").cum;
    assert_true(n > TIMES * 0.4 && n < TIMES * 1.6);
    assert_int_equal((int64_t)n % FRACTION, 0);
}

static __attribute__((noinline)) void sleep_and_poll(void)
{
    struct timespec t = {.tv_nsec = 30000000};
    nanosleep(&t, NULL);
    poll(NULL, 0, 30);
    STAY;
}

static void sleeping_counts_when_asked_for(void **state)
{
    (void)state;
    prof_set_block_rate_ns(1);
    sleep_and_poll();
    struct top without = read_profile("block", "delay", "ns");
    assert_false(prof_set_block_sleep(true));
    int64_t start = prof_now_ns();
    sleep_and_poll();
    struct span slept = {60e6, (double)(prof_now_ns() - start)};
    assert_true(prof_set_block_sleep(false));
    struct top with = read_profile("block", "delay", "ns");
    prof_set_block_rate_ns(0);
    assert_true(top_of(&without, "sleep_and_poll").cum == 0);
    assert_within("sleep and poll", top_of(&with, "sleep_and_poll").cum, slept);
    assert_true(top_of(&with, "nanosleep").flat >= 29e6);
    assert_true(top_of(&with, "poll").flat >= 29e6);
}

static void off_means_nothing(void **state)
{
    (void)state;
    int64_t blocks = prof_count("block"), mutexes = prof_count("mutex");
    assert_int_equal(prof_set_block_rate_ns(-1), 0);
    assert_int_equal(prof_set_mutex_fraction(-1), 0);
    struct scene s = {.wait = wait_mutex, .take = hold_mutex_take, .release = hold_mutex};
    play(&s);
    assert_int_equal(prof_count("block"), blocks);
    assert_int_equal(prof_count("mutex"), mutexes);
}

static void labels_are_on_both(void **state)
{
    (void)state;
    char path[64], line[128];
    struct top t;
    prof_set_block_rate_ns(1);
    prof_set_mutex_fraction(1);
    assert_int_equal(prof_label_push("part", "labelled"), 0); /* the waiter inherits it */
    struct scene s = {.wait = wait_mutex, .take = hold_mutex_take, .release = hold_mutex};
    play(&s);
    assert_int_equal(prof_label_pop(), 0);
    prof_set_block_rate_ns(0);
    prof_set_mutex_fraction(0);
    for (int i = 0; i < 2; i++) {
        int fd = top_file(path);
        assert_int_equal(prof_write(i ? "mutex" : "block", fd, 0), 0);
        close(fd);
        snprintf(line, sizeof line, "delay -tagfocus=part=labelled");
        assert_true(top_read(&t, path, line, "ns"));
        assert_within("labelled", top_of(&t, i ? "hold_mutex" : "wait_mutex").cum,
                      i ? s.caused : s.waited);
    }
}

/* In a process of its own, whose environment says so. */
static int rates_are_those_of_the_environment(void)
{
    return prof_set_block_rate_ns(-1) == 12345 && prof_set_mutex_fraction(-1) == 7 &&
                   prof_set_block_sleep(false)
               ? 0
               : 1;
}

static void the_environment_sets_rates(void **state)
{
    (void)state;
    int status = system("PROF_BLOCK_RATE_NS=12345 PROF_MUTEX_FRACTION=7 PROF_BLOCK_SLEEP=1 "
                        "/proc/$PPID/exe rates");
    assert_int_equal(status, 0);
    assert_int_not_equal(system("PROF_BLOCK_RATE_NS=all PROF_MUTEX_FRACTION=7 PROF_BLOCK_SLEEP=1 "
                                "/proc/$PPID/exe rates"),
                         0);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return rates_are_those_of_the_environment();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_are_where_and_as_long_as_they_were),
        cmocka_unit_test(many_waiters_are_charged_together),
        cmocka_unit_test(condition_variables_release_and_take_back),
        cmocka_unit_test(a_sample_stands_for_many),
        cmocka_unit_test(a_fraction_stands_for_all),
        cmocka_unit_test(sleeping_counts_when_asked_for),
        cmocka_unit_test(off_means_nothing),
        cmocka_unit_test(labels_are_on_both),
        cmocka_unit_test(the_last_reader_is_charged),
        cmocka_unit_test(the_environment_sets_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
