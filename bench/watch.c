/* What ends a run from outside: the time limit and signals. A thread sleeps until one of them
 * comes; the signal handler only wakes it, through a pipe. At the time limit the profiles are still
 * written, for a benchmark that hangs is what one would profile; on a signal nothing is written and
 * nothing half-written stays. */
#include "bench/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

static int wake[2] = {-1, -1};
static pthread_t thread;
static bool started;
static atomic_flag ending = ATOMIC_FLAG_INIT; /* taken by whoever brings the run to its end */
static const struct bench_options *options;
static int64_t run_start_ns;
static _Atomic int64_t deadline_ns; /* 0: none */
static volatile sig_atomic_t signalled;
static pid_t process;

static void wake_up(unsigned char byte)
{
    ssize_t n = write(wake[1], &byte, 1);

    (void)n; /* a full pipe has woken the thread already */
}

/* The second signal does not rely on the thread: it may be stuck in writing to whoever does not
 * read. And a child that a benchmark forked has no such thread. */
static void on_signal(int number)
{
    int keep = errno;

    if (signalled || getpid() != process) {
        signal(number, SIG_DFL);
        raise(number); /* takes effect when this handler returns */
    } else {
        signalled = 1;
        wake_up((unsigned char)number);
    }
    errno = keep;
}

static bool any_profile(const struct bench_options *o)
{
    for (int kind = 0; kind < BENCH_PROFILES; kind++)
        if (o->profile[kind])
            return true;
    return false;
}

static void end_by_signal(int number)
{
    char name[256];

    bench_running(name, sizeof(name));
    bench_profiles_abort();
    if (number != SIGPIPE)
        bench_complain(0, "%s while %s ran%s", strsignal(number), *name ? name : "nothing",
                       any_profile(options) ? ": no profile was written" : "");
    signal(number, SIG_DFL);
    raise(number);
}

static void end_by_timeout(void)
{
    char name[256];

    bench_running(name, sizeof(name));
    bool can_print = ftrylockfile(stdout) == 0; /* else the benchmark hangs in printing */
    if (can_print)
        putchar('\n');
    bench_complain(1, "timed out after %s (-timeout): %s was running", options->timeout_text,
                   *name ? name : "no benchmark");
    bench_profiles_write(options);
    if (can_print) {
        bench_print_end(false, run_start_ns);
        fflush(stdout);
    }
    _exit(1);
}

/* Milliseconds left, rounded up; -1: no limit. */
static int time_left_ms(void)
{
    int64_t deadline = atomic_load(&deadline_ns), left = deadline - bench_now_ns();

    if (!deadline)
        return -1;
    return left <= 0 ? 0 : left > INT64_C(1000000000000) ? 1000000000 : (int)(left / 1000000) + 1;
}

static sem_t watching; /* posted when the thread runs */

static void *watch(void *arg)
{
    sem_post(&watching);
    struct pollfd p = {.fd = wake[0], .events = POLLIN};
    unsigned char number = 0;

    for (;;) {
        int ready = poll(&p, 1, time_left_ms());
        if (ready > 0 && read(wake[0], &number, 1) == 1)
            break;
        if (ready == 0 && time_left_ms() == 0)
            break;
    }
    if (atomic_flag_test_and_set(&ending))
        return arg;
    if (number)
        end_by_signal(number);
    else
        end_by_timeout();
    return arg;
}

static void set_handlers(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;

    for (int i = 0; i < SIGNALS; i++) {
        sigaction(signals[i], NULL, &old);
        if (old.sa_handler != SIG_IGN) /* nohup stays nohup */
            sigaction(signals[i], &action, NULL);
    }
}

int bench_watch_start(const struct bench_options *o, int64_t start_ns)
{
    int64_t deadline = 0;

    options = o;
    run_start_ns = start_ns;
    process = getpid();
    if (o->timeout_ns && __builtin_add_overflow(start_ns, o->timeout_ns, &deadline))
        deadline = INT64_MAX;
    atomic_store(&deadline_ns, deadline);
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) < 0)
        return bench_complain(1, "cannot watch for signals: %s", strerror(errno));
    sem_init(&watching, 0, 0);
    int err = pthread_create(&thread, NULL, watch, NULL);
    if (err)
        return bench_complain(1, "cannot watch for signals: %s", strerror(err));
    /* What a thread's start allocates (a sanitizer does) is not to be counted as a benchmark's. */
    while (sem_wait(&watching) != 0 && errno == EINTR)
        ;
    started = true;
    set_handlers(on_signal);
    return 0;
}

void bench_watch_lift_limit(void)
{
    atomic_store(&deadline_ns, 0);
}

void bench_watch_stop(void)
{
    if (!started)
        return;
    while (atomic_flag_test_and_set(&ending)) /* the other end has begun, and ends the process */
        pause();
    set_handlers(SIG_DFL);
    wake_up(0);
    pthread_join(thread, NULL);
    close(wake[0]);
    close(wake[1]);
    started = false;
}
