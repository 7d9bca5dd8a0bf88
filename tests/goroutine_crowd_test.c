/* Dumps of a great many threads, of threads that are born and die meanwhile, beside one another,
 * and around forks. */
#include "prof/internal.h"
#include "tests/sanitized.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A dump takes its full second there. */
#define ROUNDS(n) (TSAN ? 2 : (n))

static atomic_bool stop;

static void *run_briefly(void *arg)
{
    return arg;
}

static void *run_park(void *arg)
{
    sem_wait(arg);
    return NULL;
}

enum { MANY = 2000 };

/* The first that wrote no stack down. */
static const struct prof_dump_thread *first_missing(const struct prof_dump *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->threads[i].missing)
            return &d->threads[i];
    return NULL;
}

/* All are listed. On a busy machine some answer too late, but not every time. */
static void check_many(int64_t others)
{
    struct prof_dump *d = NULL;
    for (int i = 0; i < ROUNDS(10) && (!d || first_missing(d)); i++) {
        prof_dump_free(d);
        d = prof_dump_take();
        assert_int_equal(d->n, MANY + others);
    }
    const struct prof_dump_thread *t = first_missing(d);
    if (t && !TSAN)
        fail_msg("no stack (state %c, call %ld): %s", t->task.state, t->call.nr, t->missing);
    prof_dump_free(d);
}

static void two_thousand_threads(void **state)
{
    (void)state;
    static pthread_t threads[MANY];
    pthread_attr_t attr;
    sem_t park;
    /* A sanitizer has a thread of its own, from the first that is created. */
    assert_int_equal(pthread_create(&threads[0], NULL, run_briefly, NULL), 0);
    pthread_join(threads[0], NULL);
    usleep(100000);
    int64_t others = prof_dump_count();
    sem_init(&park, 0, 0);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 << 10);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(pthread_create(&threads[i], &attr, run_park, &park), 0);
    assert_int_equal(prof_dump_count(), MANY + others);
    check_many(others);
    for (int i = 0; i < MANY; i++)
        sem_post(&park);
    for (int i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
}

static void *create_and_join(void *arg)
{
    (void)arg;
    while (!stop) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run_briefly, NULL) == 0)
            pthread_join(thread, NULL);
    }
    return NULL;
}

static void *dump_again_and_again(void *arg)
{
    for (int i = 0; i < ROUNDS(50); i++) {
        struct prof_dump *d = prof_dump_take();
        if (!d || d->n < 6)
            *(atomic_bool *)arg = true;
        prof_dump_free(d);
    }
    return NULL;
}

/* Two dump, two profile, while threads are born and die. */
static void dumps_beside_one_another_and_a_cpu_profile(void **state)
{
    (void)state;
    pthread_t makers[4], dumpers[2];
    atomic_bool short_dump = false;
    stop = false;
    assert_int_equal(prof_cpu_start(1000), 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&makers[i], NULL, create_and_join, NULL);
    for (int i = 0; i < 2; i++)
        pthread_create(&dumpers[i], NULL, dump_again_and_again, &short_dump);
    for (int i = 0; i < 2; i++)
        pthread_join(dumpers[i], NULL);
    stop = true;
    for (int i = 0; i < 4; i++)
        pthread_join(makers[i], NULL);
    assert_int_equal(prof_cpu_stop(-1), 0);
    assert_false(short_dump);
}

static void *dump_until_stopped(void *arg)
{
    while (!stop)
        prof_dump_free(prof_dump_take());
    return arg;
}

static void forks_during_dumps_are_clean(void **state)
{
    (void)state;
    if (TSAN || ASAN)
        skip();
    pthread_t thread;
    stop = false;
    pthread_create(&thread, NULL, dump_until_stopped, NULL);
    for (int i = 0; i < ROUNDS(30); i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            struct prof_dump *d = prof_dump_take();
            _exit(d && d->n == 1 && d->threads[0].tid == getpid() && !d->threads[0].missing ? 0
                                                                                            : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    stop = true;
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_thousand_threads),
        cmocka_unit_test(dumps_beside_one_another_and_a_cpu_profile),
        cmocka_unit_test(forks_during_dumps_are_clean),
    };
    return cmocka_run_group_tests_name("goroutine_crowd", tests, NULL, NULL);
}
