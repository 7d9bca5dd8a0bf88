/* The recorder under duress: rings that are full, a thousand threads, handlers, fork, libraries
 * that go away, no memory. Nothing crashes, nothing blocks, what is lost is counted. */
#include "tests/trace_host.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BURST = 200000 };

static pthread_mutex_t crowded = PTHREAD_MUTEX_INITIALIZER;

static uint64_t counters_in(const struct trace *t)
{
    return t->nvalues;
}

static void burst(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        prof_trace_counter(NULL, "burst", (int64_t)i);
}

/* ---- full rings ------------------------------------------------------------------------------ */

static void test_a_full_ring_drops_the_newest_and_counts(void **state)
{
    (void)state;
    struct prof_trace_options o = {.ring_bytes = 4096, .without = PROF_TRACE_SCHED};
    struct prof_trace_stats stats;
    int fd = trace_file_new();
    trace_begin(fd, &o);
    burst(BURST);
    struct trace *t = trace_end(fd);
    prof_trace_stats(&stats);
    assert_int_equal(counters_in(t) + stats.dropped, BURST);
    assert_int_equal(t->dropped, stats.dropped);
    assert_true(stats.dropped > 0);
    assert_true(t->values[0].value == 0); /* the first were there before the ring was full */
    trace_close(t);
}

static void test_a_full_ring_wraps_and_counts(void **state)
{
    (void)state;
    struct prof_trace_options o = {.ring_bytes = 4096, .wrap = true, .without = PROF_TRACE_SCHED};
    struct prof_trace_stats stats;
    int fd = trace_file_new();
    trace_begin(fd, &o);
    burst(BURST);
    prof_trace_log("cat", "a text that takes several slots, so that the wrap may cut it in two");
    struct trace *t = trace_end(fd);
    prof_trace_stats(&stats);
    assert_true(stats.dropped > 0);
    assert_int_equal(counters_in(t) + 1 + stats.dropped, BURST + 1);
    assert_true(t->values[t->nvalues - 1].value == BURST - 1); /* the last is there */
    for (uint32_t i = 1; i < t->nvalues; i++)
        assert_true(t->values[i].value > t->values[i - 1].value);
    trace_close(t);
}

static void *write_nested(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        PROF_REGION("a");
        prof_trace_log("cat", "in between, long enough for three slots of a ring");
        PROF_REGION("b");
        PROF_REGION("c");
    }
    return arg;
}

static void test_what_is_left_of_wrapped_rings_nests(void **state)
{
    (void)state;
    struct prof_trace_options o = {.ring_bytes = 16384, .wrap = true};
    pthread_t threads[4];
    int fd = trace_file_new();
    trace_begin(fd, &o);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, write_nested, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct trace *t = trace_end(fd);
    trace_assert_nested(t);
    assert_true(trace_count(t, "c") > 100);
    trace_close(t);
}

static void test_the_budget_of_all_rings(void **state)
{
    (void)state;
    struct prof_trace_options o = {.total_bytes = 4096};
    struct prof_trace_stats stats;
    pthread_t thread;
    int fd = trace_file_new();
    trace_begin(fd, &o);
    prof_trace_log("cat", "this thread has the only ring");
    pthread_create(&thread, NULL, write_nested, NULL);
    pthread_join(thread, NULL);
    prof_trace_stats(&stats);
    assert_int_equal(stats.ring_bytes, 4096);
    struct trace *t = trace_end(fd);
    assert_int_equal(trace_count(t, "c"), 0);
    assert_true(t->dropped >= 20000);
    trace_close(t);
}

/* ---- many threads ---------------------------------------------------------------------------- */

enum { CROWD = TRACE_SANITIZED ? 100 : 1000 };
static pthread_barrier_t together;

static void *one_of_many(void *arg)
{
    pthread_barrier_wait(&together);
    burst(2000);
    pthread_barrier_wait(&together);
    return arg;
}

static void test_a_thousand_threads(void **state)
{
    (void)state;
    static pthread_t threads[CROWD];
    struct prof_trace_options o = {.ring_bytes = 1 << 20, .total_bytes = 64 << 20};
    struct prof_trace_stats stats;
    pthread_attr_t attr;
    int fd = trace_file_new();
    pthread_barrier_init(&together, NULL, CROWD + 1);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 << 10);
    trace_begin(fd, &o);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], &attr, one_of_many, NULL), 0);
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    prof_trace_stats(&stats);
    assert_true(stats.ring_bytes > 0 && stats.ring_bytes <= 64 << 20);
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    struct trace *t = trace_end(fd);
    prof_trace_stats(&stats);
    size_t started = 0;
    for (uint32_t i = 0; i < t->nthreads; i++)
        started += t->threads[i].started;
    assert_true(counters_in(t) + stats.dropped >= UINT64_C(2000) * CROWD);
    if (stats.dropped == 0)
        assert_int_equal(started, CROWD);
    pthread_attr_destroy(&attr);
    pthread_barrier_destroy(&together);
    trace_close(t);
}

static void *short_life(void *arg)
{
    prof_trace_log("cat", "I was here");
    return arg;
}

/* Rings go from thread to thread, and what was in them stays with who wrote it. */
static void test_threads_that_come_and_go(void **state)
{
    (void)state;
    enum { LIVES = 500 };
    struct prof_trace_stats stats;
    pthread_t thread;
    int fd = trace_file_new();
    trace_begin(fd, NULL);
    for (int i = 0; i < LIVES; i++) {
        assert_int_equal(pthread_create(&thread, NULL, short_life, NULL), 0);
        pthread_join(thread, NULL);
    }
    struct trace *t = trace_end(fd);
    prof_trace_stats(&stats);
    size_t logs = 0;
    for (uint32_t i = 0; i < t->ninstants; i++)
        logs += t->instants[i].kind == TRACE_INSTANT_LOG;
    assert_int_equal(logs, LIVES);
    assert_int_equal(stats.dropped, 0);
    trace_close(t);
}

/* ---- signal handlers ------------------------------------------------------------------------- */

static volatile sig_atomic_t handled;

static void record_in_handler(int sig)
{
    (void)sig;
    prof_region_begin("handler", "in a handler");
    prof_trace_counter(NULL, "handler", ++handled);
    prof_region_end();
}

static void test_events_of_signal_handlers(void **state)
{
    (void)state;
    struct sigaction act = {.sa_handler = record_in_handler, .sa_flags = SA_RESTART}, old;
    struct prof_trace_stats stats;
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    int fd = trace_file_new();
    trace_begin(fd, NULL);
    record_in_handler(0); /* names are known from here on */
    sigaction(SIGALRM, &act, &old);
    setitimer(ITIMER_REAL, &often, NULL);
    int regions = 0;
    while (handled < 200) {
        PROF_REGION("interrupted");
        regions++;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    struct trace *t = trace_end(fd);
    prof_trace_stats(&stats);
    assert_true(trace_count(t, "interrupted") + stats.dropped >= (size_t)regions);
    assert_true(trace_count(t, "in a handler") > 0);
    trace_close(t);
}

/* ---- fork ------------------------------------------------------------------------------------ */

static int child_of_a_recorded_process(void)
{
    int fd = trace_file_new();
    if (prof_trace_on() || prof_trace_active())
        return 1;
    prof_trace_log("cat", "nothing records here");
    if (prof_trace_start(fd, NULL) != 0)
        return 2;
    prof_region_begin(NULL, "the child's");
    prof_region_end();
    if (prof_trace_stop() != 0)
        return 3;
    struct trace *t = trace_load(fd, NULL);
    bool good = trace_count(t, "the child's") == 1 && trace_count(t, "the parent's") == 0 &&
                t->pid == getpid();
    trace_close(t);
    return good ? 0 : 4;
}

static void test_fork(void **state)
{
    (void)state;
    trace_skip_if_no_fork_beside_threads();
    int status, fd = trace_file_new();
    trace_begin(fd, NULL);
    prof_region_begin(NULL, "the parent's");
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_of_a_recorded_process());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    prof_region_end();
    struct trace *t = trace_end(fd);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(trace_count(t, "the parent's"), 1);
    assert_int_equal(trace_count(t, "the child's"), 0);
    trace_close(t);
}

/* ---- no memory ------------------------------------------------------------------------------- */

/* In a child that may not map any more: rings, names and stacks find no room. */
static int record_without_memory(void)
{
    struct prof_trace_stats stats;
    char name[32];
    struct rlimit none = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
    int fd = trace_file_new();
    if (prof_trace_start(fd, NULL) != 0)
        return 1;
    setrlimit(RLIMIT_AS, &none);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "name %d", i);
        prof_region_begin("cat", name);
        prof_region_end();
        pthread_mutex_lock(&crowded);
        pthread_mutex_unlock(&crowded);
    }
    none.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_AS, &none);
    prof_trace_log("cat", "there is memory again");
    int rc = prof_trace_stop();
    prof_trace_stats(&stats);
    return (rc == 0 || rc == -ENOMEM) && stats.dropped > 0 ? 0 : 2;
}

static void test_a_process_without_memory(void **state)
{
    (void)state;
    int status;
    if (TRACE_SANITIZED) {
        print_message("[  NOTE    ] a sanitizer does not live without memory\n");
        skip();
    }
    pid_t pid = fork();
    if (pid == 0)
        _exit(record_without_memory());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- again and again ------------------------------------------------------------------------- */

static atomic_bool enough;

static void *record_on_and_on(void *arg)
{
    while (!atomic_load(&enough)) {
        PROF_TASK("task");
        PROF_REGION("region");
        prof_trace_log("cat", "text");
    }
    return arg;
}

static void test_starting_and_stopping_while_threads_record(void **state)
{
    (void)state;
    pthread_t threads[2];
    atomic_store(&enough, false);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, record_on_and_on, NULL);
    for (int i = 0; i < 20; i++) {
        struct prof_trace_options o = {.ring_bytes = (size_t)4096 << i % 4, .wrap = i % 2};
        int fd = trace_file_new();
        trace_begin(fd, &o);
        trace_pause_ms(5);
        struct trace *t = trace_end(fd);
        trace_assert_nested(t);
        trace_close(t);
    }
    atomic_store(&enough, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* A pipe that nobody reads keeps the drain, and nobody else. */
static void test_a_descriptor_that_blocks(void **state)
{
    (void)state;
    int fds[2];
    char buffer[4096];
    struct prof_trace_options o = {.ring_bytes = 64 << 10};
    assert_int_equal(pipe(fds), 0);
    trace_begin(fds[1], &o);
    for (int i = 0; i < 12; i++) {
        burst(20000);
        trace_pause_ms(100);
    }
    pid_t reader = fork();
    if (reader == 0) {
        close(fds[1]);
        while (read(fds[0], buffer, sizeof buffer) > 0)
            ;
        _exit(0);
    }
    close(fds[0]);
    assert_int_equal(prof_trace_stop(), 0);
    close(fds[1]);
    waitpid(reader, NULL, 0);
}

/* More names than there is room for are dropped, and say so. */
static void test_names_without_end(void **state)
{
    (void)state;
    char name[300];
    int fd = trace_file_new();
    trace_begin(fd, NULL);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    prof_region_begin(NULL, name);
    prof_region_end();
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "name %d", i);
        prof_region_begin(NULL, name);
        prof_region_end();
    }
    struct trace *t = trace_end(fd);
    assert_int_equal(trace_count(t, "name 1"), 1);
    assert_int_equal(trace_count(t, "name 19999"), 0);
    size_t cut = 0;
    for (uint32_t i = 0; i < t->nslices; i++)
        cut += strlen(trace_text(t, t->slices[i].name)) == 255;
    assert_int_equal(cut, 1);
    trace_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_full_ring_drops_the_newest_and_counts),
        TEST(test_a_full_ring_wraps_and_counts),
        TEST(test_what_is_left_of_wrapped_rings_nests),
        TEST(test_the_budget_of_all_rings),
        TEST(test_a_thousand_threads),
        TEST(test_threads_that_come_and_go),
        TEST(test_events_of_signal_handlers),
        TEST(test_fork),
        TEST(test_a_process_without_memory),
        TEST(test_starting_and_stopping_while_threads_record),
        TEST(test_a_descriptor_that_blocks),
        TEST(test_names_without_end),
    };
    return cmocka_run_group_tests_name("trace_stress", tests, NULL, NULL);
}
