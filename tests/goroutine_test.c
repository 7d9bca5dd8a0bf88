/* The goroutine profile: every thread is there with its stack, and none has noticed. */
#include "prof/internal.h"
#include "prof/thread.h"
#include "tests/sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A dump takes its full second there. */
#define ROUNDS(n) (TSAN ? 2 : (n))

/* ---- threads that wait, each in a call of its own -------------------------------------------- */

static int pipe_ends[2];
static int epoll;
static sem_t semaphore;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t cond_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static bool over; /* under cond_mutex */

/* Each returns NULL, or what was wrong with the call's result. None may have a tail call or be
 * inlined: they are looked for on the stacks. */
#define WAITER(name) static __attribute__((noinline)) const char *name(void)
#define DONE(good)   ((good) ? NULL : strerror(errno))

WAITER(in_poll)
{
    struct pollfd p = {.fd = pipe_ends[0], .events = POLLIN};
    return DONE(poll(&p, 1, -1) == 1);
}

WAITER(in_ppoll_with_timeout)
{
    struct pollfd p = {.fd = pipe_ends[0], .events = POLLIN};
    return DONE(ppoll(&p, 1, &(struct timespec){.tv_sec = 100}, NULL) == 1);
}

WAITER(in_epoll_wait)
{
    struct epoll_event e;
    return DONE(epoll_wait(epoll, &e, 1, -1) == 1);
}

WAITER(in_select)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipe_ends[0], &set);
    return DONE(select(pipe_ends[0] + 1, &set, NULL, NULL, NULL) == 1);
}

WAITER(in_mutex)
{
    int rc = pthread_mutex_lock(&mutex);
    if (rc == 0)
        pthread_mutex_unlock(&mutex);
    return rc ? strerror(rc) : NULL;
}

WAITER(in_cond)
{
    pthread_mutex_lock(&cond_mutex);
    while (!over)
        pthread_cond_wait(&cond, &cond_mutex);
    pthread_mutex_unlock(&cond_mutex);
    return NULL;
}

WAITER(in_cond_with_timeout)
{
    struct timespec end;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 100;
    pthread_mutex_lock(&cond_mutex);
    while (!over && rc == 0)
        rc = pthread_cond_timedwait(&cond, &cond_mutex, &end);
    pthread_mutex_unlock(&cond_mutex);
    return rc ? strerror(rc) : NULL;
}

WAITER(in_semaphore)
{
    return DONE(sem_wait(&semaphore) == 0);
}

/* Its timeout is a point in time, but it ends with EINTR. */
WAITER(in_semaphore_with_timeout)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 100;
    return DONE(sem_timedwait(&semaphore, &end) == 0);
}

WAITER(in_sigwaitinfo)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return DONE(sigwaitinfo(&set, NULL) == SIGUSR2);
}

WAITER(in_raw_poll)
{
    struct pollfd p = {.fd = pipe_ends[0], .events = POLLIN};
    return DONE(syscall(SYS_ppoll, &p, 1, NULL, NULL, 0) == 1);
}

WAITER(in_read)
{
    char c;
    ssize_t n = read(pipe_ends[0], &c, 1);
    return DONE(n == 1);
}

WAITER(in_sleep)
{
    return DONE(sleep(2) == 0);
}

static struct waiter {
    const char *name;
    const char *(*wait)(void);
    const char *wrong;
    pthread_t thread;
    _Atomic pid_t tid;
    double seconds; /* that the call took */
} waiters[] = {
    {.name = "in_poll", .wait = in_poll},
    {.name = "in_ppoll_with_timeout", .wait = in_ppoll_with_timeout},
    {.name = "in_epoll_wait", .wait = in_epoll_wait},
    {.name = "in_select", .wait = in_select},
    {.name = "in_mutex", .wait = in_mutex},
    {.name = "in_cond", .wait = in_cond},
    {.name = "in_cond_with_timeout", .wait = in_cond_with_timeout},
    {.name = "in_semaphore", .wait = in_semaphore},
    {.name = "in_semaphore_with_timeout", .wait = in_semaphore_with_timeout},
    {.name = "in_sigwaitinfo", .wait = in_sigwaitinfo},
    {.name = "in_raw_poll", .wait = in_raw_poll},
    {.name = "in_read", .wait = in_read},
    {.name = "in_sleep", .wait = in_sleep},
};
enum { WAITERS = sizeof waiters / sizeof waiters[0] };

static void *run_waiter(void *arg)
{
    struct waiter *w = arg;
    prof_label_push("waiter", w->name);
    w->tid = prof_gettid();
    int64_t start = prof_now_ns();
    w->wrong = w->wait();
    w->seconds = (double)(prof_now_ns() - start) / 1e9;
    return NULL;
}

/* Until the kernel says that the thread sleeps; every waiter soon does. */
static void await_sleep(pid_t tid)
{
    struct prof_task task;
    int tasks = prof_tasks_open();
    for (int i = 0; i < 10000; i++) {
        if (prof_task_read(tasks, tid, &task) && task.state == 'S')
            break;
        usleep(1000);
    }
    close(tasks);
}

static void start_waiters(void)
{
    assert_int_equal(pipe(pipe_ends), 0);
    epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, pipe_ends[0], &(struct epoll_event){.events = EPOLLIN});
    sem_init(&semaphore, 0, 0);
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < WAITERS; i++) {
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, run_waiter, &waiters[i]), 0);
        while (!waiters[i].tid)
            usleep(1000);
        await_sleep(waiters[i].tid);
    }
}

static void join_waiters(void)
{
    pthread_mutex_unlock(&mutex);
    pthread_mutex_lock(&cond_mutex);
    over = true;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&cond_mutex);
    sem_post(&semaphore);
    sem_post(&semaphore);
    assert_int_equal(write(pipe_ends[1], "xx", 2),
                     2); /* one for the reader; the other keeps the polls */
    for (int i = 0; i < WAITERS; i++)
        if (waiters[i].wait == in_sigwaitinfo)
            pthread_kill(waiters[i].thread, SIGUSR2);
    for (int i = 0; i < WAITERS; i++)
        pthread_join(waiters[i].thread, NULL);
}

/* ---- reading a dump -------------------------------------------------------------------------- */

static const struct prof_dump_thread *thread_of(const struct prof_dump *d, pid_t tid)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->threads[i].tid == tid)
            return &d->threads[i];
    fail_msg("thread %d is not in the dump", (int)tid);
    return NULL;
}

static bool stands_in(const struct prof_dump_thread *t, const char *function)
{
    struct prof_symbols symbols;
    bool found = false;
    assert_int_equal(prof_symbolize(t->pcs, (size_t)t->npcs, &symbols), 0);
    for (size_t i = 0; i < symbols.nlocations; i++)
        for (int k = 0; k < symbols.locations[i].nlines; k++)
            found |= strcmp(symbols.locations[i].lines[k].function, function) == 0;
    prof_symbols_free(&symbols);
    return found;
}

static void check_waiter(const struct prof_dump *d, const struct waiter *w)
{
    const struct prof_dump_thread *t = thread_of(d, w->tid);
    if (t->missing)
        fail_msg("%s: no stack: %s", w->name, t->missing);
    if (!stands_in(t, w->name))
        fail_msg("%s: the function is not on its stack of %d frames", w->name, t->npcs);
    assert_non_null(t->labels);
    assert_string_equal(t->labels->labels[0].value, w->name);
    assert_non_null(t->creator);
    assert_int_equal(t->task.state, 'S');
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void waiting_threads_are_seen_and_do_not_notice(void **state)
{
    (void)state;
    if (TSAN)
        skip();
    start_waiters();
    struct prof_dump *first = prof_dump_take();
    for (int round = 0; round < 100; round++)
        prof_dump_free(prof_dump_take());
    join_waiters();
    assert_int_equal(first->n, WAITERS + 1);
    for (int i = 0; i < WAITERS; i++)
        check_waiter(first, &waiters[i]);
    prof_dump_free(first);
    for (int i = 0; i < WAITERS; i++)
        if (waiters[i].wrong)
            fail_msg("%s: the call ended with: %s", waiters[i].name, waiters[i].wrong);
    double slept = waiters[WAITERS - 1].seconds;
    if (slept < 1.99 || slept > 4)
        fail_msg("sleep(2) took %.3f s", slept);
}

static atomic_bool stop;

static __attribute__((noinline)) void spin(void)
{
    while (!stop)
        __asm__ volatile("" ::: "memory");
}

static void *run_spin(void *arg)
{
    *(_Atomic pid_t *)arg = prof_gettid();
    pthread_setname_np(pthread_self(), "a (spinner) R");
    spin();
    return NULL;
}

static void running_threads_are_seen_by_name(void **state)
{
    (void)state;
    pthread_t thread;
    _Atomic pid_t tid = 0;
    stop = false;
    pthread_create(&thread, NULL, run_spin, &tid);
    while (!tid)
        usleep(1000);
    usleep(10000);
    struct prof_dump *d = prof_dump_take();
    stop = true;
    pthread_join(thread, NULL);
    const struct prof_dump_thread *t = thread_of(d, tid);
    assert_string_equal(t->task.name, "a (spinner) R");
    if (!TSAN)
        assert_true(stands_in(t, "spin"));
    t = thread_of(d, getpid());
    assert_null(t->missing);
    assert_true(stands_in(t, "running_threads_are_seen_by_name"));
    prof_dump_free(d);
}

/* A call with a timeout in a register cannot be begun again: the thread is left alone. */
static void *run_timed_wait(void *arg)
{
    *(_Atomic pid_t *)arg = prof_gettid();
    int64_t start = prof_now_ns();
    long rc = syscall(SYS_epoll_pwait, epoll, &(struct epoll_event){0}, 1, 1500, NULL, 8);
    return (void *)(intptr_t)(rc == 0 ? (prof_now_ns() - start) / 1000000 : -1);
}

static void timed_raw_calls_are_left_alone(void **state)
{
    (void)state;
    pthread_t thread;
    _Atomic pid_t tid = 0;
    void *took_ms;
    epoll = epoll_create1(0);
    pthread_create(&thread, NULL, run_timed_wait, &tid);
    while (!tid)
        usleep(1000);
    await_sleep(tid);
    struct prof_dump *d = prof_dump_take();
    const struct prof_dump_thread *t = thread_of(d, tid);
    assert_non_null(t->missing);
    assert_true(stands_in(t, "run_timed_wait"));
    prof_dump_free(d);
    for (int i = 0; i < ROUNDS(20); i++)
        prof_dump_free(prof_dump_take());
    pthread_join(thread, &took_ms);
    assert_in_range((intptr_t)took_ms, 1499, 4000);
    close(epoll);
}

/* The thread waits for all signals there are, and must not find one of ours. */
static __attribute__((noinline)) int wait_for_any_signal(void)
{
    sigset_t all;
    int sig = 0;
    sigfillset(&all);
    sigwait(&all, &sig);
    return sig;
}

static void *run_sigwait(void *arg)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    *(_Atomic pid_t *)arg = prof_gettid();
    return (void *)(intptr_t)wait_for_any_signal();
}

static void threads_that_block_the_signal_are_listed(void **state)
{
    (void)state;
    pthread_t thread;
    _Atomic pid_t tid = 0;
    void *sig;
    pthread_create(&thread, NULL, run_sigwait, &tid);
    while (!tid)
        usleep(1000);
    await_sleep(tid);
    for (int i = 0; i < ROUNDS(20); i++) {
        struct prof_dump *d = prof_dump_take();
        const struct prof_dump_thread *t = thread_of(d, tid);
        assert_non_null(t->missing);
        assert_true(stands_in(t, "run_sigwait"));
#if defined(__x86_64__) && !TSAN && !ASAN
        assert_true(t->whole); /* read from outside */
        assert_true(stands_in(t, "wait_for_any_signal"));
#endif
        prof_dump_free(d);
    }
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, &sig);
    assert_int_equal((intptr_t)sig, SIGUSR1);
}

/* A tracer holds the thread back at the very moment at which the signal arrives. */
static void hold_back(pid_t tid, int ready)
{
    int status, held = 0;
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0)
        _exit(1);
    if (write(ready, "x", 1) != 1)
        _exit(2);
    while (waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status)) {
        int sig = WSTOPSIG(status);
        if (sig == SIGPROF && !held++)
            sleep(2);
        ptrace(PTRACE_CONT, tid, NULL, (void *)(intptr_t)sig);
    }
    _exit(0);
}

static void late_threads_are_listed_and_counted(void **state)
{
    (void)state;
    if (TSAN)
        skip();
    struct waiter *w = &waiters[0]; /* in poll, without end */
    int ready[2];
    char c;
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(pipe(ready), 0);
    w->tid = 0;
    pthread_create(&w->thread, NULL, run_waiter, w);
    while (!w->tid)
        usleep(1000);
    await_sleep(w->tid);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    pid_t tracer = fork();
    if (tracer == 0)
        hold_back(w->tid, ready[1]);
    close(ready[1]);
    bool traced = read(ready[0], &c, 1) == 1;
    uint64_t before = prof_dropped.threads;
    struct prof_dump *d = traced ? prof_dump_take() : NULL;
    uint64_t dropped = prof_dropped.threads - before;
    sleep(traced ? 2 : 0); /* until the signal has come through */
    assert_int_equal(write(pipe_ends[1], "x", 1), 1);
    pthread_join(w->thread, NULL);
    waitpid(tracer, NULL, 0);
    if (!traced)
        skip();
    assert_int_equal(dropped, 1);
    const struct prof_dump_thread *t = thread_of(d, w->tid);
    assert_string_equal(t->missing, "it did not answer in time");
    assert_int_equal(t->npcs, 2);
    prof_dump_free(d);
    if (w->wrong)
        fail_msg("the poll ended with: %s", w->wrong);
}

static void profiles_list_threads(void **state)
{
    (void)state;
    struct prof_snapshot *s;
    int64_t total = 0;
    assert_int_equal(prof_snapshot_take("thread", &s), 0);
    assert_string_equal(s->about->name, "goroutine");
    for (size_t i = 0; i < s->nsamples; i++)
        total += s->samples[i].values[0];
    assert_int_equal(total, 1);
    assert_int_equal(prof_count("goroutine"), 1);
    prof_snapshot_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_list_threads),
        cmocka_unit_test(waiting_threads_are_seen_and_do_not_notice),
        cmocka_unit_test(running_threads_are_seen_by_name),
        cmocka_unit_test(timed_raw_calls_are_left_alone),
        cmocka_unit_test(threads_that_block_the_signal_are_listed),
        cmocka_unit_test(late_threads_are_listed_and_counted),
    };
    return cmocka_run_group_tests_name("goroutine", tests, NULL, NULL);
}
