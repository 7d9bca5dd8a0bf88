/* What a trace says of a program that is known: its regions, tasks, logs and counters, its threads
 * and collections, and for every wait who held the lock and who ended it. */
#include "prof/thread.h"
#include "prof/trace_internal.h"
#include "tests/trace_host.h"
#include "tests/until_waiting.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static pid_t gettid_(void)
{
    return (pid_t)syscall(SYS_gettid);
}

/* ---- what the program says ------------------------------------------------------------------- */

static void test_regions_nest(void **state)
{
    (void)state;
    int fd = trace_file_new();
    trace_begin(fd, NULL);
    for (int i = 0; i < 100; i++) {
        PROF_REGION("outer");
        for (int k = 0; k < 3; k++) {
            char name[16]; /* a name that does not stay where it was */
            snprintf(name, sizeof name, "inner %d", k);
            prof_region_begin("db", name);
            memset(name, 'x', sizeof name);
            prof_region_end();
        }
    }
    struct trace *t = trace_end(fd);
    trace_assert_nested(t);
    assert_int_equal(trace_count(t, "outer"), 100);
    assert_int_equal(trace_count(t, "inner 2"), 100);
    uint32_t from = 0;
    const struct trace_slice *s = trace_next(t, "inner 1", &from);
    assert_int_equal(s->depth, 1);
    assert_true(trace_is(t, s->category, "db"));
    from = 0;
    assert_true(trace_is(t, trace_next(t, "outer", &from)->category, "region"));
    trace_close(t);
}

static void test_a_region_that_is_deeper_than_there_are_places(void **state)
{
    (void)state;
    int fd = trace_file_new();
    trace_begin(fd, NULL);
    for (int i = 0; i < 100; i++)
        prof_region_begin(NULL, "deep");
    for (int i = 0; i < 100; i++)
        prof_region_end();
    prof_region_end(); /* one too many */
    prof_region_begin(NULL, "after");
    prof_region_end();
    struct trace *t = trace_end(fd);
    assert_int_equal(trace_count(t, "deep"), 64);
    assert_int_equal(trace_only(t, "after")->depth, 0);
    trace_close(t);
}

static void test_what_is_open_at_the_end_is_told(void **state)
{
    (void)state;
    int fd = trace_file_new();
    prof_region_begin(NULL, "before"); /* nothing records yet */
    trace_begin(fd, NULL);
    prof_region_begin(NULL, "open");
    struct trace *t = trace_end(fd);
    prof_region_end();
    prof_region_end();
    assert_int_equal(trace_count(t, "before"), 0);
    assert_true(trace_only(t, "open")->flags & TRACE_NO_END);
    trace_close(t);
}

static uint64_t task_of_other;

static void *work_on_task(void *arg)
{
    uint64_t before = prof_task_switch(*(uint64_t *)arg);
    PROF_REGION("elsewhere");
    prof_trace_log("net", "half way");
    task_of_other = prof_task_switch(before);
    prof_task_end(*(uint64_t *)arg);
    return NULL;
}

static void test_tasks_pass_through_threads(void **state)
{
    (void)state;
    pthread_t thread;
    int fd = trace_file_new();
    assert_int_equal(prof_task_begin("nothing records", 0), 0);
    trace_begin(fd, NULL);
    uint64_t parent = prof_task_begin("request", 0), child = prof_task_begin("query", parent);
    assert_true(parent && child && parent != child);
    pthread_create(&thread, NULL, work_on_task, &child);
    pthread_join(thread, NULL);
    prof_task_end(parent);
    {
        PROF_TASK("scoped");
        PROF_REGION("in scope");
    }
    struct trace *t = trace_end(fd);
    assert_int_equal(task_of_other, child);
    assert_int_equal(t->ntasks, 3);
    assert_int_equal(t->tasks[0].id, parent);
    assert_int_equal(t->tasks[1].id, child);
    assert_int_equal(t->tasks[1].parent, parent);
    assert_true(trace_is(t, t->slices[t->tasks[1].slice].name, "query"));
    assert_int_equal(trace_only(t, "elsewhere")->value, child);
    assert_int_equal(trace_only(t, "in scope")->value, t->tasks[2].id);
    trace_close(t);
}

static void test_logs_and_counters(void **state)
{
    (void)state;
    char text[1200], expected[1001];
    int fd = trace_file_new();
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memset(expected, 'a', 1000);
    expected[1000] = '\0';
    trace_begin(fd, NULL);
    prof_trace_log("cat", "short");
    prof_trace_log(NULL, "");
    prof_trace_log("cat", "eight by");
    prof_trace_logf("cat", "%d of a text in several slots, with ü and \xff", 12);
    prof_trace_log("cat", text);
    prof_trace_counter(NULL, "heap_bytes", 4096);
    prof_trace_counter(NULL, "heap_bytes", -1);
    struct trace *t = trace_end(fd);
    const char *const texts[] = {"short", "", "eight by",
                                 "12 of a text in several slots, with ü and \xef\xbf\xbd",
                                 expected};
    size_t n = 0;
    for (uint32_t i = 0; i < t->ninstants; i++)
        if (t->instants[i].kind == TRACE_INSTANT_LOG) {
            assert_true(n < sizeof texts / sizeof texts[0]);
            assert_string_equal(trace_text(t, t->instants[i].name), texts[n]);
            assert_true(trace_is(t, t->instants[i].category, n == 1 ? "log" : "cat"));
            n++;
        }
    assert_int_equal(n, 5);
    assert_int_equal(t->ncounters, 1);
    assert_true(trace_is(t, t->counters[0].name, "heap_bytes"));
    assert_true(trace_is(t, t->counters[0].unit, "bytes"));
    assert_int_equal(t->counters[0].values.n, 2);
    assert_true(t->values[t->counters[0].values.first + 1].value == -1);
    trace_close(t);
}

static void test_categories_and_kinds_are_switched(void **state)
{
    (void)state;
    int fd = trace_file_new();
    struct prof_trace_options o = {.without = PROF_TRACE_COUNTER};
    assert_int_equal(prof_trace_category("noise", false), 0);
    trace_begin(fd, &o);
    prof_region_begin("noise", "quiet");
    prof_region_begin("signal", "loud");
    prof_region_end();
    prof_region_end();
    prof_trace_log("noise", "nothing");
    prof_trace_counter(NULL, "none", 1);
    assert_int_equal(prof_trace_category("noise", true), 0);
    prof_region_begin("noise", "heard");
    prof_region_end();
    struct trace *t = trace_end(fd);
    assert_int_equal(trace_count(t, "quiet"), 0);
    assert_int_equal(trace_count(t, "loud"), 1);
    assert_int_equal(trace_count(t, "heard"), 1);
    assert_int_equal(t->ncounters, 0);
    for (uint32_t i = 0; i < t->ninstants; i++)
        assert_int_not_equal(t->instants[i].kind, TRACE_INSTANT_LOG);
    trace_close(t);
}

static void test_collections(void **state)
{
    (void)state;
    int fd = trace_file_new();
    trace_begin(fd, NULL);
    prof_trace_gc(PROF_GC_BEGIN, 7, -1, -1);
    prof_trace_gc(PROF_GC_STW_BEGIN, 7, -1, -1);
    prof_trace_gc(PROF_GC_STW_END, 7, -1, -1);
    prof_trace_gc(PROF_GC_END, 7, 1000, 2000);
    struct trace *t = trace_end(fd);
    assert_int_equal(trace_only(t, "GC")->kind, TRACE_SLICE_GC);
    assert_int_equal(trace_only(t, "GC")->value, 7);
    assert_int_equal(trace_only(t, "stop the world")->kind, TRACE_SLICE_STOP);
    trace_assert_nested(t);
    trace_close(t);
}

/* ---- threads --------------------------------------------------------------------------------- */

static pid_t named_tid;

static void *named_thread(void *arg)
{
    named_tid = gettid_();
    pthread_setname_np(pthread_self(), "a name");
    return arg;
}

static void test_threads_lives(void **state)
{
    (void)state;
    pthread_t thread;
    int fd = trace_file_new();
    trace_begin(fd, NULL);
    pthread_create(&thread, NULL, named_thread, NULL);
    pthread_join(thread, NULL);
    struct trace *t = trace_end(fd);
    const struct trace_thread *made = trace_thread_of(t, named_tid);
    assert_true(made->started && made->exited);
    assert_true(trace_is(t, made->name, "a name"));
    assert_true(trace_is(t, made->start_function, "named_thread"));
    assert_int_equal(t->threads[made->creator].tid, gettid_());
    bool found = false;
    const struct trace_stack *creator = &t->stacks[made->creator_stack];
    for (uint32_t i = creator->first; i < creator->first + creator->n; i++)
        found |= trace_is(t, t->frames[t->stack_frames[i]].function, "test_threads_lives");
    assert_true(found);
    trace_close(t);
}

/* ---- waits ----------------------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static bool ready;
static pid_t waiter_tid;

static void *fight(void *arg)
{
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&mutex);
        for (volatile int k = 0; k < 2000; k++)
            ;
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

/* Whoever held the lock or ended a wait is a thread of the program's. */
static void test_every_lock_wait_has_its_holder(void **state)
{
    (void)state;
    pthread_t threads[4];
    int fd = trace_file_new();
    trace_begin(fd, NULL);
    pthread_mutex_lock(&mutex); /* so that there is a wait on any machine */
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, fight, NULL);
    until_waiting(4, PROF_WAIT_MUTEX);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct trace *t = trace_end(fd);
    size_t waits = 0, held = 0, woken = 0;
    for (uint32_t i = 0; i < t->nslices; i++) {
        const struct trace_slice *s = &t->slices[i];
        if (!trace_is(t, s->name, "mutex lock"))
            continue;
        waits++;
        held += s->holder != TRACE_NONE && t->threads[s->holder].tid != 0;
        woken += s->waker != TRACE_NONE;
        assert_int_equal(s->kind, TRACE_SLICE_BLOCK);
        assert_true(s->value == (uintptr_t)&mutex);
        assert_true(t->stacks[s->stack].n > 0);
    }
    if (waits < 4 || held != waits || woken < 4)
        fail_msg("expected a holder for each wait, got %zu of %zu, %zu woken", held, waits, woken);
    trace_assert_nested(t);
    trace_close(t);
}

static void *wait_for_lock(void *arg)
{
    waiter_tid = gettid_();
    if (arg) {
        pthread_rwlock_wrlock(&rwlock);
    } else {
        pthread_rwlock_rdlock(&rwlock);
    }
    pthread_rwlock_unlock(&rwlock);
    return NULL;
}

static void assert_woken_by_main(const struct trace *t, const char *name, bool has_holder)
{
    const struct trace_slice *s = trace_only(t, name);
    assert_int_not_equal(s->waker, TRACE_NONE);
    assert_int_equal(t->threads[s->waker].tid, gettid_());
    if (has_holder) {
        assert_int_not_equal(s->holder, TRACE_NONE);
        assert_int_equal(t->threads[s->holder].tid, gettid_());
    }
    bool flow = false;
    for (uint32_t i = 0; i < t->nflows; i++)
        flow |= t->flows[i].slice == (uint32_t)(s - t->slices) && t->flows[i].instant != TRACE_NONE;
    assert_true(flow);
}

static void test_rwlocks(void **state)
{
    (void)state;
    pthread_t thread;
    for (int write = 0; write < 2; write++)
        for (int held_by_writer = 0; held_by_writer < 2; held_by_writer++) {
            if (!write && !held_by_writer)
                continue;
            int fd = trace_file_new();
            trace_begin(fd, NULL);
            (held_by_writer ? pthread_rwlock_wrlock : pthread_rwlock_rdlock)(&rwlock);
            pthread_create(&thread, NULL, wait_for_lock, write ? &rwlock : NULL);
            until_waiting(1, PROF_WAIT_RWLOCK);
            pthread_rwlock_unlock(&rwlock);
            pthread_join(thread, NULL);
            struct trace *t = trace_end(fd);
            assert_woken_by_main(t, write ? "rwlock wrlock" : "rwlock rdlock", true);
            trace_close(t);
        }
}

static void *wait_for_signal(void *arg)
{
    pthread_mutex_lock(&mutex);
    while (!ready)
        pthread_cond_wait(&condition, &mutex);
    pthread_mutex_unlock(&mutex);
    return arg;
}

static void test_condition_variables(void **state)
{
    (void)state;
    pthread_t thread;
    for (int all = 0; all < 2; all++) {
        int fd = trace_file_new();
        ready = false;
        trace_begin(fd, NULL);
        pthread_create(&thread, NULL, wait_for_signal, NULL);
        until_waiting(1, PROF_WAIT_COND);
        pthread_mutex_lock(&mutex);
        ready = true;
        (all ? pthread_cond_broadcast : pthread_cond_signal)(&condition);
        pthread_mutex_unlock(&mutex);
        pthread_join(thread, NULL);
        struct trace *t = trace_end(fd);
        assert_woken_by_main(t, "cond wait", false);
        size_t wakes = 0;
        for (uint32_t i = 0; i < t->ninstants; i++)
            wakes += trace_is(t, t->instants[i].name, all ? "broadcast" : "signal");
        assert_int_equal(wakes, 1);
        trace_close(t);
    }
}

static void *wait_for_post(void *arg)
{
    sem_wait(&semaphore);
    return arg;
}

static void *wait_at_barrier(void *arg)
{
    pthread_barrier_wait(&barrier);
    return arg;
}

static void *last(void *arg)
{
    until_waiting(1, PROF_WAIT_JOIN);
    return arg;
}

static void test_semaphores_barriers_and_joins(void **state)
{
    (void)state;
    pthread_t poster, arriver, ender;
    int fd = trace_file_new();
    sem_init(&semaphore, 0, 0);
    pthread_barrier_init(&barrier, NULL, 2);
    trace_begin(fd, NULL);
    pthread_create(&poster, NULL, wait_for_post, NULL);
    pthread_create(&arriver, NULL, wait_at_barrier, NULL);
    until_waiting(1, PROF_WAIT_SEMAPHORE);
    until_waiting(1, PROF_WAIT_BARRIER);
    sem_post(&semaphore);
    pthread_barrier_wait(&barrier);
    pthread_join(poster, NULL);
    pthread_join(arriver, NULL);
    pthread_create(&ender, NULL, last, NULL);
    pthread_join(ender, NULL);
    struct trace *t = trace_end(fd);
    assert_woken_by_main(t, "sem wait", false);
    assert_woken_by_main(t, "barrier wait", false);
    size_t joins = 0;
    const struct trace_slice *s;
    for (uint32_t from = 0; (s = trace_next(t, "join", &from));)
        joins += s->waker != TRACE_NONE && trace_is(t, t->threads[s->waker].start_function, "last");
    assert_int_equal(joins, 1);
    pthread_barrier_destroy(&barrier);
    sem_destroy(&semaphore);
    trace_close(t);
}

/* ---- system calls ---------------------------------------------------------------------------- */

static int pipe_fds[2];

/* Until the main thread sleeps in its read, however long it was kept from that; for 20 s at most.
 */
static void until_reading(void)
{
    int64_t end_ns = prof_now_ns() + INT64_C(20000000000);
    struct prof_call call = {.nr = PROF_CALL_NONE};
    prof_enter();
    int tasks = prof_tasks_open();
    while ((call.nr != SYS_read || (int)call.args[0] != pipe_fds[0]) && prof_now_ns() < end_ns) {
        sched_yield();
        prof_call_read(tasks, getpid(), &call);
    }
    close(tasks);
    prof_leave();
}

static void *write_late(void *arg)
{
    until_reading();
    trace_pause_ms(30);
    return write(pipe_fds[1], "x", 1) == 1 ? arg : NULL;
}

static void test_system_calls(void **state)
{
    (void)state;
    pthread_t thread;
    char c;
    int fd = trace_file_new();
    assert_int_equal(pipe(pipe_fds), 0);
    trace_begin(fd, NULL);
    pthread_create(&thread, NULL, write_late, NULL);
    assert_int_equal(read(pipe_fds[0], &c, 1), 1);
    pthread_join(thread, NULL);
    struct trace *t = trace_end(fd);
    const struct trace_slice *s = trace_only(t, "read");
    assert_int_equal(s->kind, TRACE_SLICE_SYSCALL);
    assert_int_equal(s->value, pipe_fds[0]);
    assert_true(s->end_ns - s->start_ns >= 20000000);
    assert_int_equal(trace_only(t, "sleep")->kind, TRACE_SLICE_SYSCALL);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    trace_close(t);
}

/* ---- waits across the ends ------------------------------------------------------------------- */

static void test_waits_that_began_before_or_end_after(void **state)
{
    (void)state;
    pthread_t early, late;
    int fd = trace_file_new();
    sem_init(&semaphore, 0, 0);
    pthread_create(&early, NULL, wait_for_post, NULL);
    until_waiting(1, PROF_WAIT_SEMAPHORE);
    trace_begin(fd, NULL);
    trace_pause_ms(10);
    sem_post(&semaphore);
    pthread_join(early, NULL);
    pthread_create(&late, NULL, wait_for_post, NULL);
    until_waiting(1, PROF_WAIT_SEMAPHORE);
    struct trace *t = trace_end(fd);
    sem_post(&semaphore);
    pthread_join(late, NULL);
    size_t whole = 0, open = 0;
    const struct trace_slice *s;
    for (uint32_t from = 0; (s = trace_next(t, "sem wait", &from));)
        *(s->flags & TRACE_NO_END ? &open : &whole) += 1;
    assert_int_equal(whole, 1);
    assert_int_equal(open, 1);
    trace_assert_nested(t);
    sem_destroy(&semaphore);
    trace_close(t);
}

/* ---- CPU samples ----------------------------------------------------------------------------- */

static void test_cpu_samples(void **state)
{
    (void)state;
    int fd = trace_file_new();
    trace_begin(fd, NULL);
    assert_int_equal(prof_cpu_start(1000), 0);
    for (clock_t end = clock() + CLOCKS_PER_SEC * 3 / 10; clock() < end;)
        ;
    assert_int_equal(prof_cpu_stop(-1), 0);
    struct trace *t = trace_end(fd);
    if (!TRACE_SANITIZED)
        assert_true(t->nsamples > 10);
    for (uint32_t i = 0; i < t->nsamples; i++)
        assert_true(t->stacks[t->samples[i].stack].n > 0);
    trace_close(t);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void test_errors(void **state)
{
    (void)state;
    struct prof_trace_options small = {.ring_bytes = 100};
    int fd = trace_file_new(), readable = open("/dev/null", O_RDONLY);
    assert_int_equal(prof_trace_stop(), -EINVAL);
    assert_int_equal(prof_trace_start(-1, NULL), -EBADF);
    assert_int_equal(prof_trace_start(readable, NULL), -EBADF);
    assert_int_equal(prof_trace_start(fd, &small), -EINVAL);
    assert_false(prof_trace_active() || prof_trace_on());
    trace_begin(fd, NULL);
    assert_true(prof_trace_active() && prof_trace_on());
    assert_int_equal(prof_trace_start(fd, NULL), -EBUSY);
    assert_int_equal(prof_trace_stop(), 0);
    assert_int_equal(prof_trace_stop(), -EINVAL);
    assert_false(prof_trace_active() || prof_trace_on());
    int full = open("/dev/full", O_WRONLY);
    trace_begin(full, NULL);
    assert_int_equal(prof_trace_stop(), -ENOSPC);
    close(full);
    close(readable);
    close(fd);
}

/* A fast counter needs 57 bits after nine months; what an event has room for leads back to it. */
static void test_a_machine_that_has_been_up_for_years(void **state)
{
    (void)state;
    const uint64_t edge = UINT64_C(1) << PROF_EV_TIME_BITS, low = edge - 1;
    const uint64_t latest[] = {100, edge - 5, edge, edge + 5, 7 * edge - 1, 7 * edge + 1};
    for (size_t i = 0; i < sizeof latest / sizeof *latest; i++)
        for (int64_t off = -50; off <= 50; off++) {
            uint64_t ticks = latest[i] + (uint64_t)off;
            assert_int_equal(prof_ticks_whole(ticks, latest[i]), ticks);
            assert_int_equal(prof_ticks_whole(ticks & low, latest[i]), ticks);
        }
    int64_t now = prof_now_ns(), told = prof_ticks_ns(prof_ticks() & low);
    assert_true(told > now - 1000000000 && told < now + 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_regions_nest),
        TEST(test_a_region_that_is_deeper_than_there_are_places),
        TEST(test_what_is_open_at_the_end_is_told),
        TEST(test_tasks_pass_through_threads),
        TEST(test_logs_and_counters),
        TEST(test_categories_and_kinds_are_switched),
        TEST(test_collections),
        TEST(test_threads_lives),
        TEST(test_every_lock_wait_has_its_holder),
        TEST(test_rwlocks),
        TEST(test_condition_variables),
        TEST(test_semaphores_barriers_and_joins),
        TEST(test_system_calls),
        TEST(test_waits_that_began_before_or_end_after),
        TEST(test_cpu_samples),
        TEST(test_errors),
        TEST(test_a_machine_that_has_been_up_for_years),
    };
    return cmocka_run_group_tests_name("trace_record", tests, NULL, NULL);
}
