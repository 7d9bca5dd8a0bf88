/* What ends a run from outside: the time limit and signals. A thread sleeps until one of them
 * comes; the signal handler only wakes it, through a pipe. At the time limit the profiles are still
 * written, for a benchmark that hangs is what one would profile; on a signal nothing is written and
 * nothing half-written stays. */
#include "bench/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

static void on_signal(int number)
{
    int keep = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t n = write(wake[1], &byte, 1);

    (void)n; /* a full pipe has woken the thread already */
    errno = keep;
}

static void end_by_signal(int number)
{
    char name[256];

    bench_running(name, sizeof(name));
    bench_profiles_abort();
    if (number != SIGPIPE)
        bench_complain(0, "%s while %s ran: no profile was written", strsignal(number),
                       *name ? name : "nothing");
    signal(number, SIG_DFL);
    raise(number);
}

static void end_by_timeout(void)
{
    char name[256];

    bench_running(name, sizeof(name));
    putchar('\n');
    bench_complain(1, "timed out after %s (-timeout): %s was running", options->timeout_text, name);
    bench_profiles_write(options);
    bench_print_end(false, run_start_ns);
    fflush(stdout);
    _exit(1);
}

/* Milliseconds left, rounded up; -1: no limit. */
static int time_left_ms(void)
{
    if (!options->timeout_ns)
        return -1;
    int64_t left = run_start_ns + options->timeout_ns - bench_now_ns();
    return left <= 0 ? 0 : left > INT64_C(1000000000000) ? 1000000000 : (int)(left / 1000000) + 1;
}

static void *watch(void *arg)
{
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
    options = o;
    run_start_ns = start_ns;
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) < 0)
        return bench_complain(1, "cannot watch for signals: %s", strerror(errno));
    int err = pthread_create(&thread, NULL, watch, NULL);
    if (err)
        return bench_complain(1, "cannot watch for signals: %s", strerror(err));
    started = true;
    set_handlers(on_signal);
    return 0;
}

void bench_watch_stop(void)
{
    if (!started)
        return;
    while (atomic_flag_test_and_set(&ending)) /* the other end has begun, and ends the process */
        pause();
    set_handlers(SIG_DFL);
    on_signal(0);
    pthread_join(thread, NULL);
    close(wake[0]);
    close(wake[1]);
    started = false;
}
