/* Signals and calls that the kernel never restarts: one of the host's ends them with EINTR as it
 * always did, one of libprof's own does not, and they still end in time. */
#include "prof/internal.h"
#include "prof/pprof.h"
#include "tests/sanitized.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <threads.h>
#include <unistd.h>

#include <cmocka.h>

enum { OURS = SIGUSR2, HOSTS = SIGUSR1 };

static _Atomic int ours_came, hosts_came;
static atomic_bool hosts_comes_meanwhile;

/* As every handler of libprof does. */
static void on_ours(int sig, siginfo_t *info, void *ucontext)
{
    (void)info;
    if (atomic_load(&hosts_comes_meanwhile))
        pthread_kill(pthread_self(), HOSTS);
    prof_wait_interrupted(sig, ucontext);
    atomic_fetch_add(&ours_came, 1);
}

static void on_hosts(int sig)
{
    (void)sig;
    atomic_fetch_add(&hosts_came, 1);
}

/* ---- the calls: each waits for `ms` (those without a time: for ever) and gives 0, or its error
 * --- */

static int epfd, queue, semaphores;

static struct timespec span(int ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
}

static struct timespec at(clockid_t clock, int ms)
{
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_sec += ms / 1000 + (t.tv_nsec + ms % 1000 * 1000000L) / 1000000000;
    t.tv_nsec = (t.tv_nsec + ms % 1000 * 1000000L) % 1000000000;
    return t;
}

static int error_of(int rc)
{
    return rc < 0 ? errno : 0;
}

static int by_nanosleep(int ms)
{
    struct timespec t = span(ms);
    return error_of(nanosleep(&t, &t));
}
static int by_clock_nanosleep(int ms)
{
    struct timespec t = span(ms);
    return clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}
static int by_clock_nanosleep_until(int ms)
{
    struct timespec t = at(CLOCK_REALTIME, ms);
    return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL);
}
static int by_usleep(int ms)
{
    return error_of(usleep((useconds_t)ms * 1000));
}
static int by_sleep(int ms)
{
    return sleep((unsigned)(ms + 999) / 1000) ? EINTR : 0;
}
static int by_thrd_sleep(int ms)
{
    struct timespec t = span(ms);
    int rc = thrd_sleep(&t, NULL);
    return rc == -1 ? EINTR : rc;
}
static int by_poll(int ms)
{
    return error_of(poll(NULL, 0, ms));
}
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t fds_bytes);
static int by_poll_chk(int ms) /* poll in a program built with _FORTIFY_SOURCE */
{
    return error_of(__poll_chk(NULL, 0, ms, 0));
}
static int by_ppoll(int ms)
{
    struct timespec t = span(ms);
    return error_of(ppoll(NULL, 0, &t, NULL));
}
static int by_select(int ms)
{
    struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    return error_of(select(0, NULL, NULL, NULL, &t));
}
static int by_pselect(int ms)
{
    struct timespec t = span(ms);
    return error_of(pselect(0, NULL, NULL, NULL, &t, NULL));
}
static int by_epoll_wait(int ms)
{
    struct epoll_event e;
    return error_of(epoll_wait(epfd, &e, 1, ms));
}
static int by_epoll_pwait(int ms)
{
    struct epoll_event e;
    return error_of(epoll_pwait(epfd, &e, 1, ms, NULL));
}
static int by_epoll_pwait2(int ms)
{
    struct epoll_event e;
    struct timespec t = span(ms);
    return error_of(epoll_pwait2(epfd, &e, 1, &t, NULL));
}
static int by_sem_timedwait(int ms)
{
    sem_t s;
    struct timespec t = at(CLOCK_REALTIME, ms);
    sem_init(&s, 0, 0);
    int error = error_of(sem_timedwait(&s, &t));
    return error == ETIMEDOUT ? 0 : error;
}
static int by_sem_clockwait(int ms)
{
    sem_t s;
    struct timespec t = at(CLOCK_MONOTONIC, ms);
    sem_init(&s, 0, 0);
    int error = error_of(sem_clockwait(&s, CLOCK_MONOTONIC, &t));
    return error == ETIMEDOUT ? 0 : error;
}
static int by_sigtimedwait(int ms)
{
    sigset_t set;
    struct timespec t = span(ms);
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    int error = error_of(sigtimedwait(&set, NULL, &t));
    return error == EAGAIN ? 0 : error;
}
static int by_semtimedop(int ms)
{
    struct sembuf take = {.sem_op = -1};
    struct timespec t = span(ms);
    int error = error_of(semtimedop(semaphores, &take, 1, &t));
    return error == EAGAIN ? 0 : error;
}
static int by_semop(int ms)
{
    struct sembuf take = {.sem_op = -1};
    (void)ms;
    return error_of(semop(semaphores, &take, 1));
}
static int by_msgrcv(int ms)
{
    struct {
        long type;
        char text[8];
    } m;
    (void)ms;
    return msgrcv(queue, &m, sizeof m.text, 0, 0) < 0 ? errno : 0;
}
static int by_pause(int ms)
{
    (void)ms;
    return error_of(pause());
}
static int by_sigsuspend(int ms)
{
    sigset_t none;
    (void)ms;
    sigemptyset(&none);
    return error_of(sigsuspend(&none));
}
static int by_sigwaitinfo(int ms)
{
    sigset_t set;
    (void)ms;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    return error_of(sigwaitinfo(&set, NULL));
}

static const struct way {
    const char *name;
    int (*wait)(int ms);
    bool endless;
} ways[] = {
    {"nanosleep", by_nanosleep, false},
    {"clock_nanosleep", by_clock_nanosleep, false},
    {"clock_nanosleep, absolute", by_clock_nanosleep_until, false},
    {"usleep", by_usleep, false},
    {"sleep", by_sleep, false},
    {"thrd_sleep", by_thrd_sleep, false},
    {"poll", by_poll, false},
    {"__poll_chk", by_poll_chk, false},
    {"ppoll", by_ppoll, false},
    {"select", by_select, false},
    {"pselect", by_pselect, false},
    {"epoll_wait", by_epoll_wait, false},
    {"epoll_pwait", by_epoll_pwait, false},
    {"epoll_pwait2", by_epoll_pwait2, false},
    {"sem_timedwait", by_sem_timedwait, false},
    {"sem_clockwait", by_sem_clockwait, false},
    {"sigtimedwait", by_sigtimedwait, false},
    {"semtimedop", by_semtimedop, false},
    {"semop", by_semop, true},
    {"msgrcv", by_msgrcv, true},
    {"pause", by_pause, true},
    {"sigsuspend", by_sigsuspend, true},
    {"sigwaitinfo", by_sigwaitinfo, true},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

/* ---- a thread that waits --------------------------------------------------------------------- */

struct waiter {
    const struct way *way;
    pthread_t thread;
    _Atomic pid_t tid;
    int ms, error;
    double took_ms;
    atomic_bool done;
};

static double now_ms(void)
{
    return (double)prof_now_ns() / 1e6;
}

static void *wait_in_call(void *arg)
{
    struct waiter *w = arg;
    double start = now_ms();
    atomic_store(&w->tid, gettid());
    w->error = w->way->wait(w->ms);
    w->took_ms = now_ms() - start;
    atomic_store(&w->done, true);
    return NULL;
}

/* Whether the thread is blocked in the kernel: state S, third word of its stat. */
static bool sleeps(pid_t tid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    FILE *f = fopen(path, "r");
    bool is =
        f && fgets(line, sizeof line, f) && strrchr(line, ')') && strrchr(line, ')')[2] == 'S';
    if (f)
        fclose(f);
    return is;
}

static void rest_ms(int ms)
{
    struct timespec t = span(ms);
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

static void start_all(struct waiter *w, int ms)
{
    for (int i = 0; i < WAYS; i++) {
        w[i] = (struct waiter){.way = &ways[i], .ms = ms};
        assert_int_equal(pthread_create(&w[i].thread, NULL, wait_in_call, &w[i]), 0);
    }
    for (int i = 0; i < WAYS; i++)
        while (!atomic_load(&w[i].tid) || !sleeps(atomic_load(&w[i].tid)))
            rest_ms(1);
}

static void signal_all(struct waiter *w, int sig, _Atomic int *came)
{
    int before = atomic_load(came);
    for (int i = 0; i < WAYS; i++)
        assert_int_equal(pthread_kill(w[i].thread, sig), 0);
    double end = now_ms() + 5000;
    while (atomic_load(came) < before + WAYS && now_ms() < end)
        rest_ms(1);
    for (int i = 0; i < WAYS && atomic_load(came) < before + WAYS; i++)
        if (atomic_load(&w[i].done))
            fail_msg("%s: ended early, with %d after %.0f ms", w[i].way->name, w[i].error,
                     w[i].took_ms);
    assert_int_equal(atomic_load(came), before + WAYS);
}

static void join_all(struct waiter *w)
{
    for (int i = 0; i < WAYS; i++)
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void the_hosts_signal_ends_every_call(void **state)
{
    (void)state;
    struct waiter w[WAYS];
    start_all(w, 120000);
    signal_all(w, HOSTS, &hosts_came);
    join_all(w);
    for (int i = 0; i < WAYS; i++)
        if (w[i].error != EINTR)
            fail_msg("%s: expected EINTR, got %d", w[i].way->name, w[i].error);
}

static void our_signal_ends_none(void **state)
{
    (void)state;
    struct waiter w[WAYS];
    enum { MS = 900, SIGNALS = 5 };
    if (TSAN)
        skip();
    start_all(w, MS);
    double started = now_ms();
    for (int i = 0; i < SIGNALS; i++) {
        signal_all(w, OURS, &ours_came);
        rest_ms(20);
    }
    /* Those without a time still wait, and can still be ended. */
    while (now_ms() < started + MS + 150)
        rest_ms(10);
    for (int i = 0; i < WAYS; i++)
        if (w[i].way->endless)
            assert_int_equal(pthread_kill(w[i].thread, HOSTS), 0);
    join_all(w);
    for (int i = 0; i < WAYS; i++) {
        int expected = w[i].way->endless ? EINTR : 0;
        if (w[i].error != expected)
            fail_msg("%s: expected %d, got %d after %.0f ms", w[i].way->name, expected, w[i].error,
                     w[i].took_ms);
        if (w[i].took_ms < MS - 1)
            fail_msg("%s: took %.1f ms instead of %d", w[i].way->name, w[i].took_ms, MS);
        /* It ended of itself, not when the last signal's time had passed once more. */
        if (!w[i].way->endless && strcmp(w[i].way->name, "sleep") != 0 && w[i].took_ms > MS + 600)
            fail_msg("%s: took %.1f ms instead of %d", w[i].way->name, w[i].took_ms, MS);
    }
}

static int suspend_with_both_pending(int hosts)
{
    sigset_t both, none;
    sigemptyset(&both);
    sigaddset(&both, OURS);
    sigaddset(&both, hosts);
    sigemptyset(&none);
    pthread_sigmask(SIG_BLOCK, &both, NULL);
    pthread_kill(pthread_self(), OURS);
    pthread_kill(pthread_self(), hosts);
    struct timespec t = span(5000);
    int error = error_of(ppoll(NULL, 0, &t, &none));
    pthread_sigmask(SIG_UNBLOCK, &both, NULL);
    return error;
}

/* Both at once: the host's counts. The kernel hands out low numbers first, and runs the last
 * handler first. */
static void ours_does_not_hide_the_hosts(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        int before = atomic_load(&hosts_came);
        assert_int_equal(suspend_with_both_pending(i % 2 ? HOSTS : SIGRTMIN), EINTR);
        assert_int_equal(atomic_load(&hosts_came), before + 1);
    }
}

/* The host's signal comes while libprof's handler runs, where all are blocked. */
static void the_hosts_is_not_lost_behind_ours(void **state)
{
    (void)state;
    struct waiter w[WAYS];
    if (TSAN)
        skip();
    start_all(w, 120000);
    atomic_store(&hosts_comes_meanwhile, true);
    signal_all(w, OURS, &hosts_came);
    atomic_store(&hosts_comes_meanwhile, false);
    join_all(w);
    for (int i = 0; i < WAYS; i++)
        if (w[i].error != EINTR)
            fail_msg("%s: expected EINTR, got %d", w[i].way->name, w[i].error);
}

static void what_is_left_is_told(void **state)
{
    (void)state;
    struct waiter w = {.way = &ways[0]};
    assert_int_equal(w.way->wait(1), 0);
    /* A timer's signal after 50 ms of 10 s. */
    timer_t timer;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = HOSTS};
    struct itimerspec in = {.it_value = span(50)};
    struct timespec t = span(10000), left = {0};
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &e, &timer), 0);
    timer_settime(timer, 0, &in, NULL);
    assert_int_equal(nanosleep(&t, &left), -1);
    assert_int_equal(errno, EINTR);
    assert_true(left.tv_sec >= 5 && left.tv_sec <= 9);
    timer_settime(timer, 0, &in, NULL);
    left = (struct timespec){0};
    assert_int_equal(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &left), EINTR);
    assert_true(left.tv_sec >= 5 && left.tv_sec <= 9);
    timer_settime(timer, 0, &in, NULL);
    unsigned seconds = sleep(10);
    assert_true(seconds >= 5 && seconds <= 9);
    timer_delete(timer);
}

/* Nearly all of its CPU time goes by at a sleep's beginning or end, and so come the profile's
 * signals. */
static void *sleep_often(void *arg)
{
    int *interrupted = arg;
    struct pollfd none = {.fd = -1};
    double end = now_ms() + 600;
    for (int i = 0; now_ms() < end; i++) {
        struct timespec t = {.tv_nsec = 1000};
        int rc = i % 4 == 0   ? nanosleep(&t, NULL)
                 : i % 4 == 1 ? clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL)
                 : i % 4 == 2 ? usleep(1)
                              : ppoll(&none, 1, &t, NULL);
        if (rc != 0)
            ++*interrupted;
    }
    return NULL;
}

static void a_cpu_profile_interrupts_nothing(void **state)
{
    (void)state;
    pthread_t t[4];
    int interrupted[4] = {0};
    assert_int_equal(prof_cpu_start(1000), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, sleep_often, &interrupted[i]), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(prof_cpu_stop(-1), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(interrupted[i], 0);
}

/* A thread that takes every signal gets none of the profile's. */
static void *take_signals(void *arg)
{
    sigset_t all;
    siginfo_t info;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    double end = now_ms() + 300;
    volatile unsigned sink = 0;
    while (now_ms() < end) /* makes the profile's timer expire, with its signal blocked */
        sink = sink * 31 + 1;
    struct timespec t = span(20);
    int sig = sigtimedwait(&all, &info, &t);
    *(int *)arg = sig < 0 ? -errno : sig;
    return NULL;
}

static void our_signals_are_not_handed_out(void **state)
{
    (void)state;
    pthread_t t;
    int sig = 0;
    assert_int_equal(prof_cpu_start(1000), 0);
    assert_int_equal(pthread_create(&t, NULL, take_signals, &sig), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(prof_cpu_stop(-1), 0);
    assert_int_equal(sig, -EAGAIN);
}

static int set_up(void **state)
{
    (void)state;
    struct sigaction ours = {.sa_sigaction = on_ours, .sa_flags = SA_RESTART | SA_SIGINFO};
    struct sigaction hosts = {.sa_handler = on_hosts, .sa_flags = SA_RESTART};
    sigfillset(&ours.sa_mask);
    epfd = epoll_create1(EPOLL_CLOEXEC);
    queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    semaphores = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
    return epfd < 0 || queue < 0 || semaphores < 0 || sigaction(OURS, &ours, NULL) ||
           sigaction(HOSTS, &hosts, NULL) || sigaction(SIGRTMIN, &hosts, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    close(epfd);
    msgctl(queue, IPC_RMID, NULL);
    semctl(semaphores, 0, IPC_RMID);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hosts_signal_ends_every_call),
        cmocka_unit_test(our_signal_ends_none),
        cmocka_unit_test(ours_does_not_hide_the_hosts),
        cmocka_unit_test(the_hosts_is_not_lost_behind_ours),
        cmocka_unit_test(what_is_left_is_told),
        cmocka_unit_test(a_cpu_profile_interrupts_nothing),
        cmocka_unit_test(our_signals_are_not_handed_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
