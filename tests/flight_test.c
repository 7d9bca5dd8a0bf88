/* The flight recorder: what it keeps, snapshots while recording, its trigger, and a crash. */
#include "prof/internal.h"
#include "tests/trace_host.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t S = 1000000000;

static void begin(const struct prof_flight_options *o)
{
    int rc = prof_flight_start(o);
    if (rc)
        fail_msg("prof_flight_start: expected 0, got %d", rc);
}

static struct trace *snapshot(size_t *chunks)
{
    int fd = trace_file_new(), rc = prof_flight_snapshot(fd);
    if (rc)
        fail_msg("prof_flight_snapshot: expected 0, got %d", rc);
    return trace_load(fd, chunks);
}

/* A path for a file that does not exist yet. */
static char *new_path(void)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/flight_test.XXXXXX", getenv("TMPDIR") ?: "/tmp");
    int fd = mkstemp(path);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    close(fd);
    unlink(path);
    return path;
}

static struct trace *load_path(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    struct trace *t = trace_load(fd, NULL);
    unlink(path);
    return t;
}

/* ---- the contract ---------------------------------------------------------------------------- */

static void test_errors(void **state)
{
    (void)state;
    struct prof_flight_options small = {.max_bytes = 1}, back = {.min_age_ns = -1},
                               rings = {.rings.ring_bytes = 1};
    assert_int_equal(prof_flight_stop(), -EINVAL);
    assert_int_equal(prof_flight_snapshot(1), -EINVAL);
    assert_int_equal(prof_flight_snapshot_file("/tmp/x", 0), -EINVAL);
    assert_int_equal(prof_flight_start(&small), -EINVAL);
    assert_int_equal(prof_flight_start(&back), -EINVAL);
    assert_int_equal(prof_flight_start(&rings), -EINVAL);
    begin(NULL);
    assert_true(prof_flight_active() && prof_trace_on() && !prof_trace_active());
    assert_int_equal(prof_flight_start(NULL), -EBUSY);
    assert_int_equal(prof_flight_snapshot_file("", 0), -EINVAL);
    assert_int_equal(prof_flight_snapshot_file("/nonexistent/folder/file", 0), -ENOENT);
    int full = open("/dev/full", O_WRONLY);
    assert_int_equal(prof_flight_snapshot(full), -ENOSPC);
    close(full);
    assert_int_equal(prof_flight_stop(), 0);
    assert_false(prof_flight_active() || prof_trace_on());
}

static void test_snapshots_of_what_was(void **state)
{
    (void)state;
    begin(NULL);
    for (int i = 0; i < 10; i++) {
        PROF_REGION("early");
    }
    struct trace *t = snapshot(NULL);
    assert_int_equal(trace_count(t, "early"), 10);
    trace_close(t);
    prof_region_begin(NULL, "late");
    t = snapshot(NULL);
    assert_int_equal(trace_count(t, "early"), 10);
    assert_true(trace_only(t, "late")->flags & TRACE_NO_END);
    trace_close(t);
    prof_region_end();
    assert_int_equal(prof_flight_stop(), 0);
    begin(NULL);
    t = snapshot(NULL);
    assert_int_equal(trace_count(t, "early"), 0);
    trace_close(t);
    prof_flight_stop();
}

static void test_beside_a_trace(void **state)
{
    (void)state;
    int fd = trace_file_new();
    begin(NULL);
    prof_region_begin(NULL, "first");
    prof_region_end();
    trace_begin(fd, NULL);
    prof_region_begin(NULL, "second");
    prof_region_end();
    struct trace *t = snapshot(NULL);
    assert_int_equal(trace_count(t, "first") + trace_count(t, "second"), 2);
    trace_close(t);
    t = trace_end(fd);
    assert_int_equal(trace_count(t, "first"), 0);
    assert_int_equal(trace_count(t, "second"), 1);
    trace_close(t);
    prof_region_begin(NULL, "third");
    prof_region_end();
    t = snapshot(NULL);
    assert_int_equal(trace_count(t, "third"), 1);
    trace_close(t);
    prof_flight_stop();
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void test_never_more_than_its_bytes(void **state)
{
    (void)state;
    struct prof_flight_options o = {.max_bytes = 256 << 10, .rings = {.wrap = true}};
    begin(&o);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 2000; k++)
            prof_trace_log("cat", "a text of some length, to fill it");
        trace_pause_ms(5);
    }
    prof_trace_log("cat", "the last");
    int fd = trace_file_new();
    assert_int_equal(prof_flight_snapshot(fd), 0);
    off_t bytes = lseek(fd, 0, SEEK_END);
    if (bytes > 256 << 10)
        fail_msg("expected at most %d bytes, got %lld", 256 << 10, (long long)bytes);
    struct trace *t = trace_load(fd, NULL);
    bool last = false;
    for (uint32_t i = 0; i < t->ninstants; i++)
        last |= trace_is(t, t->instants[i].name, "the last");
    assert_true(last);
    trace_close(t);
    prof_flight_stop();
}

static void test_what_is_too_old_goes(void **state)
{
    (void)state;
    struct prof_flight_options o = {.min_age_ns = S / 10};
    begin(&o);
    prof_region_begin(NULL, "old");
    prof_region_end();
    trace_pause_ms(2600);
    prof_region_begin(NULL, "new");
    prof_region_end();
    struct trace *t = snapshot(NULL);
    assert_int_equal(trace_count(t, "old"), 0);
    assert_int_equal(trace_count(t, "new"), 1);
    trace_close(t);
    prof_flight_stop();
}

/* ---- while recording ------------------------------------------------------------------------- */

static atomic_bool enough;

static void *work(void *arg)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    while (!atomic_load(&enough)) {
        PROF_REGION("outer");
        pthread_mutex_lock(&mutex);
        {
            PROF_REGION("inner");
            for (volatile int k = 0; k < 3000; k++)
                ;
        }
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

static void test_a_hundred_snapshots_in_a_row(void **state)
{
    (void)state;
    enum { SNAPSHOTS = TRACE_SANITIZED ? 20 : 100 };
    struct prof_flight_options o = {.max_bytes = 128 << 10,
                                    .rings = {.ring_bytes = 16384, .wrap = true}};
    pthread_t threads[3];
    begin(&o);
    atomic_store(&enough, false);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    size_t slices = 0;
    for (int i = 0; i < SNAPSHOTS; i++) {
        struct trace *t = snapshot(NULL);
        trace_assert_nested(t);
        slices += t->nslices;
        trace_close(t);
    }
    atomic_store(&enough, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_true(slices > SNAPSHOTS);
    assert_int_equal(prof_flight_stop(), 0);
}

static int slow_pipe[2];

static void *snapshot_to_pipe(void *arg)
{
    *(int *)arg = prof_flight_snapshot(slow_pipe[1]);
    close(slow_pipe[1]);
    return NULL;
}

static void *stop(void *arg)
{
    *(int *)arg = prof_flight_stop();
    return NULL;
}

/* A pipe that is full keeps a snapshot; no other may begin, and a stop waits. */
static void test_one_snapshot_at_a_time(void **state)
{
    (void)state;
    char buffer[65536];
    int rc = 1, stop_rc = 1;
    pthread_t writer, stopper;
    size_t total = 0;
    assert_int_equal(pipe(slow_pipe), 0);
    begin(NULL);
    for (int k = 0; k < 20000; k++)
        prof_trace_log("cat", "a text of some length, so that a pipe cannot hold it");
    pthread_create(&writer, NULL, snapshot_to_pipe, &rc);
    struct pollfd ready = {.fd = slow_pipe[0], .events = POLLIN};
    while (poll(&ready, 1, 1000) != 1)
        ;
    int fd = trace_file_new();
    assert_int_equal(prof_flight_snapshot(fd), -EBUSY);
    pthread_create(&stopper, NULL, stop, &stop_rc);
    trace_pause_ms(50);
    assert_true(prof_flight_active());
    for (ssize_t n; (n = read(slow_pipe[0], buffer, sizeof buffer)) > 0;)
        total += (size_t)n;
    pthread_join(writer, NULL);
    pthread_join(stopper, NULL);
    assert_int_equal(rc, 0);
    assert_int_equal(stop_rc, 0);
    assert_true(total > sizeof buffer);
    assert_false(prof_flight_active());
    close(slow_pipe[0]);
    close(fd);
}

/* ---- files, tails ---------------------------------------------------------------------------- */

static void *later(void *arg)
{
    trace_pause_ms(100);
    prof_region_begin(NULL, "after the call");
    prof_region_end();
    return arg;
}

static void test_a_tail(void **state)
{
    (void)state;
    pthread_t thread;
    const char *path = new_path();
    begin(NULL);
    prof_region_begin(NULL, "before the call");
    prof_region_end();
    pthread_create(&thread, NULL, later, NULL);
    assert_int_equal(prof_flight_snapshot_file(path, S), 0);
    pthread_join(thread, NULL);
    struct trace *t = load_path(path);
    assert_int_equal(trace_count(t, "before the call"), 1);
    assert_int_equal(trace_count(t, "after the call"), 1);
    trace_close(t);
    prof_flight_stop();
}

/* Once the main thread sleeps, which after a moment is in its wait for the tail. */
static void *stop_soon(void *arg)
{
    struct prof_task task;
    int tasks = prof_tasks_open();
    do
        trace_pause_ms(100);
    while (prof_task_read(tasks, getpid(), &task) && task.state != 'S');
    close(tasks);
    prof_flight_stop();
    return arg;
}

static void test_a_stop_ends_the_wait_for_a_tail(void **state)
{
    (void)state;
    pthread_t thread;
    const char *path = new_path();
    begin(NULL);
    pthread_create(&thread, NULL, stop_soon, NULL);
    assert_int_equal(prof_flight_snapshot_file(path, 3600 * S), -ECANCELED);
    pthread_join(thread, NULL);
    assert_int_equal(access(path, F_OK), -1);
}

/* ---- the trigger ----------------------------------------------------------------------------- */

static struct {
    _Atomic int calls;
    char name[64];
    int64_t took_ns;
} slow;

static void note_slow(const struct prof_slow *what, void *arg)
{
    snprintf(slow.name, sizeof slow.name, "%s", what->name);
    slow.took_ns = what->took_ns;
    atomic_fetch_add((_Atomic int *)arg, 1);
}

static void expect_calls(int n)
{
    for (int i = 0; i < 2000 && atomic_load(&slow.calls) < n; i++)
        trace_pause_ms(5);
    assert_int_equal(atomic_load(&slow.calls), n);
}

static void region_of_ms(const char *name, int ms)
{
    prof_region_begin(NULL, name);
    trace_pause_ms(ms);
    prof_region_end();
}

static void test_the_trigger(void **state)
{
    (void)state;
    struct prof_flight_trigger bad = {.threshold_ns = 0, .fn = note_slow};
    struct prof_flight_trigger t = {.name = "answer",
                                    .threshold_ns = S / 50,
                                    .at_most_every_ns = 1,
                                    .fn = note_slow,
                                    .arg = &slow.calls};
    assert_int_equal(prof_flight_set_trigger(&bad), -EINVAL);
    begin(NULL);
    assert_int_equal(prof_flight_set_trigger(&t), 0);
    region_of_ms("question", 60);
    prof_trace_took("question", S);
    prof_trace_took("answer", S / 100);
    assert_int_equal(atomic_load(&slow.calls), 0);
    region_of_ms("answer", 60);
    expect_calls(1);
    assert_string_equal(slow.name, "answer");
    assert_true(slow.took_ns >= 60000000);
    /* It goes unnoticed until the thread is ready for the next. */
    for (int i = 0; i < 2000 && atomic_load(&slow.calls) < 2; i++) {
        prof_trace_took("answer", 5 * S);
        trace_pause_ms(5);
    }
    t.name = NULL; /* anything, but once a minute */
    t.at_most_every_ns = 0;
    assert_int_equal(prof_flight_set_trigger(&t), 0); /* the thread has ended, another begun */
    assert_true(slow.took_ns == 5 * S);
    const int calls = atomic_load(&slow.calls);
    prof_trace_took("whatever", S);
    expect_calls(calls + 1);
    trace_pause_ms(20);
    prof_trace_took("whatever", S);
    assert_int_equal(prof_flight_set_trigger(NULL), 0);
    prof_trace_took("whatever", S);
    assert_int_equal(atomic_load(&slow.calls), calls + 1);
    prof_flight_stop();
}

/* ---- fork, crash ----------------------------------------------------------------------------- */

static void test_fork(void **state)
{
    (void)state;
    trace_skip_if_no_fork_beside_threads();
    int status;
    begin(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int rc = prof_flight_active() || prof_flight_stop() != -EINVAL ? 1
                 : prof_flight_start(NULL) != 0                        ? 2
                 : prof_flight_stop() != 0                             ? 3
                                                                       : 0;
        _exit(rc);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(prof_flight_stop(), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void *hold_on(void *arg)
{
    prof_region_begin(NULL, "beside it");
    trace_pause_ms(60000);
    prof_region_end();
    return arg;
}

static __attribute__((noinline)) int overflow(int depth)
{
    volatile char frame[4096];
    frame[0] = (char)depth;
    return depth == INT_MAX ? 0 : overflow(depth + 1) + frame[0];
}

static void *overflow_thread(void *arg)
{
    PROF_REGION("the fatal one");
    return overflow(0) ? arg : NULL;
}

/* In place of a signal's number. SIGSEGV, with no stack left, in a thread that begins after
 * prof_flight_on_crash, or before; and in several threads at once. */
enum { OVERFLOW = 1000, OVERFLOW_OLDER, CROWD };

static atomic_int crashing;

static void *overflow_later(void *arg)
{
    while (!atomic_load(&crashing))
        trace_pause_ms(1);
    return overflow_thread(arg);
}

static __attribute__((no_sanitize("undefined"))) void *crash_with_others(void *arg)
{
    static int *volatile nowhere;
    while (!atomic_load(&crashing))
        ;
    *nowhere = 1;
    return arg;
}

static void crash_in_a_crowd(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, crash_with_others, NULL);
    trace_pause_ms(10);
    PROF_REGION("the fatal one");
    atomic_store(&crashing, 1);
    pthread_join(threads[0], NULL);
}

/* The fault is meant: no sanitizer shall report it in its place. */
static __attribute__((noinline, no_sanitize("undefined"))) void crash_here(int sig)
{
    pthread_t thread;
    if (sig == OVERFLOW && pthread_create(&thread, NULL, overflow_thread, NULL) == 0)
        pthread_join(thread, NULL);
    if (sig == OVERFLOW_OLDER) {
        atomic_store(&crashing, 1);
        trace_pause_ms(60000);
    }
    if (sig == CROWD)
        crash_in_a_crowd();
    PROF_REGION("the fatal one");
    if (sig == SIGABRT)
        abort();
    static int *volatile nowhere;
    *nowhere = 1;
}

/* In a child, which is to die of the signal as if nothing had been there. */
static _Noreturn void crash(const char *path, int sig)
{
    pthread_t thread;
    signal(SIGSEGV, SIG_DFL); /* a sanitizer's */
    signal(SIGABRT, SIG_DFL);
    if (sig == OVERFLOW_OLDER) {
        pthread_create(&thread, NULL, overflow_later, NULL);
        prof_flight_on_crash(path);
    }
    begin(NULL);
    if (prof_flight_on_crash(path) != 0)
        _exit(1);
    pthread_create(&thread, NULL, hold_on, NULL);
    for (int i = 0; i < 10; i++) {
        PROF_REGION("before it");
        trace_pause_ms(1);
    }
    crash_here(sig);
    _exit(2);
}

static void test_a_crash_leaves_a_snapshot(void **state)
{
    (void)state;
    static const int signals[] = {SIGSEGV, SIGABRT, OVERFLOW, OVERFLOW_OLDER, CROWD};
    if (TRACE_SANITIZED) {
        print_message("[  NOTE    ] a crash is the sanitizer's to report\n");
        skip();
    }
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        int status;
        const char *path = new_path();
        pid_t pid = fork();
        if (pid == 0)
            crash(path, signals[i]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i] >= OVERFLOW ? SIGSEGV : signals[i]);
        struct trace *t = load_path(path);
        assert_int_equal(t->pid, pid);
        assert_int_equal(trace_count(t, "before it"), 10);
        assert_true(trace_only(t, "the fatal one")->flags & TRACE_NO_END);
        assert_true(trace_only(t, "beside it")->flags & TRACE_NO_END);
        bool named = false;
        for (uint32_t k = 0; k < t->nframes; k++)
            named |= trace_is(t, t->frames[k].function, "crash");
        assert_true(named); /* it was symbolized: from the sleeps of this function */
        trace_close(t);
    }
}

static void on_own_segv(int sig)
{
    (void)sig;
    _exit(42);
}

static void test_a_crash_goes_on_to_the_programs_handler(void **state)
{
    (void)state;
    int status;
    trace_skip_if_no_fork();
    const char *path = new_path();
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, on_own_segv);
        begin(NULL);
        prof_flight_on_crash(path);
        raise(SIGSEGV);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    trace_close(load_path(path));
}

static void test_the_crash_handlers_can_be_taken_back(void **state)
{
    (void)state;
    struct sigaction was, now;
    sigaction(SIGSEGV, NULL, &was);
    assert_int_equal(prof_flight_on_crash(""), -EINVAL);
    assert_int_equal(prof_flight_on_crash("/tmp/never"), 0);
    sigaction(SIGSEGV, NULL, &now);
    assert_true(now.sa_sigaction != was.sa_sigaction);
    assert_int_equal(prof_flight_on_crash(NULL), 0);
    sigaction(SIGSEGV, NULL, &now);
    assert_true(now.sa_sigaction == was.sa_sigaction);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_errors),
        TEST(test_snapshots_of_what_was),
        TEST(test_beside_a_trace),
        TEST(test_never_more_than_its_bytes),
        TEST(test_what_is_too_old_goes),
        TEST(test_a_hundred_snapshots_in_a_row),
        TEST(test_one_snapshot_at_a_time),
        TEST(test_a_tail),
        TEST(test_a_stop_ends_the_wait_for_a_tail),
        TEST(test_the_trigger),
        TEST(test_fork),
        TEST(test_a_crash_leaves_a_snapshot),
        TEST(test_a_crash_goes_on_to_the_programs_handler),
        TEST(test_the_crash_handlers_can_be_taken_back),
    };
    return cmocka_run_group_tests_name("flight", tests, NULL, NULL);
}
