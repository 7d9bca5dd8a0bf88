/* The host's own signals, the calls that it waits in and its stacks are left as they are by a
 * profile, and what cannot be profiled is counted. */
#include "tests/host.h"

#include <poll.h>
#include <sys/time.h>

/* ---- signals ------------------------------------------------------------------------------- */

static int pipe_ends[2], quiet_ends[2]; /* nobody writes to the latter */

static void *wait_in_calls(void *arg)
{
    char c;
    struct pollfd p = {.fd = quiet_ends[0], .events = POLLIN};
    (void)arg;
    for (int i = 0; i < 5; i++) {
        double start = seconds(CLOCK_MONOTONIC);
        struct timespec left = {0};
        int rc = poll(&p, 1, 100);
        CHECK(rc == 0, "poll: %d: %s", rc, strerror(errno));
        rc = nanosleep(&(struct timespec){.tv_nsec = 100000000}, &left);
        CHECK(rc == 0, "nanosleep: %s", strerror(errno));
        rc = usleep(100000);
        CHECK(rc == 0, "usleep: %s", strerror(errno));
        rc = select(0, NULL, NULL, NULL, &(struct timeval){.tv_usec = 100000});
        CHECK(rc == 0, "select: %s", strerror(errno));
        double took = seconds(CLOCK_MONOTONIC) - start;
        CHECK(took > 0.399 && took < 4, "400 ms of waiting took %.3f s", took);
    }
    CHECK_INT(read(pipe_ends[0], &c, 1), 1);
    return NULL;
}

/* Ticks rain on threads that work, and dumps ask those that wait. */
static void blocked_calls(void)
{
    pthread_t waiters[3], burner;
    CHECK_INT(pipe(pipe_ends), 0);
    CHECK_INT(pipe(quiet_ends), 0);
    CHECK_INT(prof_cpu_start(1000), 0);
    pthread_create(&burner, NULL, burn_until_stopped, NULL);
    for (int i = 0; i < 3; i++)
        pthread_create(&waiters[i], NULL, wait_in_calls, NULL);
    for (int i = 0; i < 40; i++) {
        prof_dump_free(prof_dump_take());
        usleep(50000);
    }
    CHECK_INT(write(pipe_ends[1], "xxx", 3), 3);
    for (int i = 0; i < 3; i++)
        pthread_join(waiters[i], NULL);
    stop = true;
    pthread_join(burner, NULL);
    CHECK_INT(prof_cpu_stop(-1), 0);
}

static void blocked_calls_without_timers(void)
{
    no_signals_may_wait();
    blocked_calls();
}

/* timer_create fails with EAGAIN: the profile is taken all the same, and says so. */
static void no_timers(void)
{
    static struct top t;
    pthread_t thread;
    char path[64], line[512], text[4096] = "";
    struct prof_drops d;
    int fd = top_file(path);
    no_signals_may_wait();
    CHECK_INT(prof_cpu_start(100), 0);
    pthread_create(&thread, NULL, burn_until_stopped, NULL);
    burn(1);
    stop = true;
    pthread_join(thread, NULL);
    CHECK_INT(prof_cpu_stop(fd), 0);
    close(fd);
    prof_drops(&d);
    CHECK(d.cpu_timers > 0, "no drop counted");
    snprintf(line, sizeof line, "go tool pprof -symbolize=none -comments %s 2>&1", path);
    FILE *f = popen(line, "r");
    CHECK(f && fread(text, 1, sizeof text - 1, f) > 0, "pprof -comments");
    pclose(f);
    CHECK(strstr(text, "CPU timers"), "the comments say nothing of timers: %s", text);
    CHECK(top_read(&t, path, "cpu", "ns"), "pprof");
    double share = top_of(&t, "burn").cum / t.total;
    CHECK(share > 0.9 && t.total > 0.8e9, "burn has %.2f of %.1f s", share, t.total / 1e9);
}

static atomic_int host_ticks;

static void on_host_tick(int sig)
{
    (void)sig;
    host_ticks++;
}

static void expect_host_ticks(const char *when)
{
    int before = host_ticks;
    struct prof_drops d;
    raise(SIGPROF);
    CHECK(host_ticks == before + 1, "%s: a signal of the host's own did not arrive", when);
    prof_drops(&d);
}

/* The host's handler gets the host's signals, and none of libprof's. */
static void own_handler_before(void)
{
    signal(SIGPROF, on_host_tick);
    CHECK_INT(prof_cpu_start(1000), 0);
    burn(0.2);
    prof_dump_free(prof_dump_take());
    CHECK_INT(host_ticks, 0);
    expect_host_ticks("during a profile");
    struct itimerval every_ms = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_PROF, &every_ms, NULL); /* a profiler of the host's own */
    burn(0.2);
    setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
    CHECK(host_ticks > 10, "%d ticks", host_ticks);
    stop_with_samples();
    expect_host_ticks("after a profile");
}

static void (*replaced)(int, siginfo_t *, void *);

/* Polite handlers call the one that they replaced. */
static void on_host_tick_and_replaced(int sig, siginfo_t *info, void *ucontext)
{
    host_ticks++;
    replaced(sig, info, ucontext);
}

static void own_handler_after(void)
{
    CHECK_INT(prof_cpu_start(1000), 0);
    struct sigaction host = {.sa_sigaction = on_host_tick_and_replaced,
                             .sa_flags = SA_SIGINFO | SA_RESTART},
                     old;
    sigaction(SIGPROF, &host, &old);
    replaced = old.sa_sigaction;
    expect_host_ticks("during a profile");
    burn(0.2);
    stop_with_samples();
    for (int i = 0; i < 3; i++) {
        struct prof_dump *d = prof_dump_take();
        CHECK_INT(d->n, 1);
        prof_dump_free(d);
        expect_host_ticks("after a dump");
        CHECK_INT(prof_cpu_start(1000), 0);
        burn(0.05);
        CHECK_INT(prof_cpu_stop(-1), 0);
        expect_host_ticks("after another profile");
    }
}

static void *burn_with_signals_blocked(void *arg)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    burn(0.5);
    atomic_store((atomic_bool *)arg, true);
    while (!stop)
        usleep(1000);
    return NULL;
}

/* Its stacks are missing, its time is not, and the loss is counted. */
static void thread_that_blocks_signals(void)
{
    static struct top t;
    struct prof_drops d;
    pthread_t thread;
    char path[64];
    int fd = top_file(path);
    atomic_bool burnt = false;
    CHECK_INT(prof_cpu_start(1000), 0);
    pthread_create(&thread, NULL, burn_with_signals_blocked, &burnt);
    while (!burnt)
        usleep(1000);
    CHECK_INT(prof_cpu_stop(fd), 0);
    close(fd);
    stop = true;
    pthread_join(thread, NULL);
    prof_drops(&d);
    CHECK(d.cpu_samples > 400 && d.cpu_samples < 600, "%llu samples dropped",
          (unsigned long long)d.cpu_samples);
    CHECK(top_read(&t, path, "cpu", "ns"), "pprof");
    double charged = top_of(&t, "burn_with_signals_blocked").cum;
    CHECK(charged > 0.45e9 && charged < 0.6e9, "%.3f s charged", charged / 1e9);
}

/* ---- stacks -------------------------------------------------------------------------------- */

static __attribute__((noinline)) void burn_on_other_stack(int sig)
{
    (void)sig;
    burn(0.3);
    __asm__ volatile(""); /* no tail call: this frame stays */
}

static void run_on_alternate_stack(size_t size)
{
    char *memory = malloc(size + 4096);
    memset(memory, 0x5a, 4096);
    stack_t alternate = {.ss_sp = memory + 4096, .ss_size = size};
    if (sigaltstack(&alternate, NULL) != 0 && errno == ENOMEM)
        return; /* the kernel asks for more */
    struct sigaction action = {.sa_handler = burn_on_other_stack, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    for (int i = 0; i < 4096; i++)
        CHECK(memory[i] == 0x5a, "%d bytes below the stack of %zu were written to", 4096 - i, size);
    alternate.ss_flags = SS_DISABLE;
    sigaltstack(&alternate, NULL);
    free(memory);
}

static void alternate_stack(void)
{
    static struct top t;
    char path[64];
    int fd = top_file(path);
    CHECK_INT(prof_cpu_start(1000), 0);
    run_on_alternate_stack(64 << 10);
    CHECK_INT(prof_cpu_stop(fd), 0);
    close(fd);
    CHECK(top_read(&t, path, "cpu", "ns"), "pprof");
    double charged = top_of(&t, "burn_on_other_stack").cum;
    CHECK(charged > 0.2e9, "%.3f s charged", charged / 1e9);
}

static char big_stack[64 << 10];
static size_t frame_bytes;

static void measure_frame(int sig)
{
    (void)sig;
    frame_bytes = (size_t)(big_stack + sizeof big_stack - (char *)__builtin_frame_address(0));
}

/* Room for the host's handler and another signal, but not, or hardly, for a walk. */
static void tight_alternate_stack(void)
{
    stack_t big = {.ss_sp = big_stack, .ss_size = sizeof big_stack};
    CHECK_INT(sigaltstack(&big, NULL), 0);
    struct sigaction action = {.sa_handler = measure_frame, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    big.ss_flags = SS_DISABLE;
    sigaltstack(&big, NULL);
    CHECK_INT(prof_cpu_start(1000), 0);
    for (size_t room = 1024; room <= 8192; room += 1024)
        run_on_alternate_stack(2 * frame_bytes + room);
    CHECK_INT(prof_cpu_stop(-1), 0);
    struct prof_drops d;
    prof_drops(&d);
    CHECK(d.cpu_samples > 100, "%llu ticks were dropped", (unsigned long long)d.cpu_samples);
}

static __attribute__((noinline)) int recurse(int depth)
{
    volatile char frame[64];
    frame[0] = (char)depth;
    if (depth == 0)
        burn(0.2);
    else
        recurse(depth - 1);
    return frame[0];
}

static void deep_recursion(void)
{
    static struct top t;
    char path[64];
    int fd = top_file(path);
    prof_set_heap_rate(1);
    CHECK_INT(prof_cpu_start(1000), 0);
    recurse(10000);
    CHECK_INT(prof_cpu_stop(fd), 0);
    close(fd);
    CHECK(top_read(&t, path, "cpu", "ns"), "pprof");
    CHECK(top_of(&t, "recurse").cum > 0.15e9, "recurse is not in the profile");
    CHECK(top_of(&t, "burn").flat > 0.1e9, "burn is not in the profile");
}

/* ---- the scenarios --------------------------------------------------------------------------- */

static const struct scenario scenarios[] = {
    {"blocked_calls", blocked_calls, false, true},
    {"blocked_calls_without_timers", blocked_calls_without_timers, false, true},
    {"no_timers", no_timers, false, true},
    {"own_handler_before", own_handler_before, false, true},
    {"own_handler_after", own_handler_after, false, true},
    {"thread_that_blocks_signals", thread_that_blocks_signals, false, true},
    {"alternate_stack", alternate_stack, false, true},
    {"tight_alternate_stack", tight_alternate_stack, false, false},
    {"deep_recursion", deep_recursion, false, true},
};

int main(int argc, char **argv)
{
    (void)argc;
    return host_main("host_signal", scenarios, sizeof scenarios / sizeof scenarios[0], argv);
}
