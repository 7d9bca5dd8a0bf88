/* Scenarios: what a host program does while it is profiled. Each runs in a process of its own: the
 * test's program, started again with the scenario's name. It ends with 0, or says on standard error
 * what was wrong. */
#ifndef TESTS_HOST_H
#define TESTS_HOST_H

#include "prof/internal.h"
#include "tests/sanitized.h"
#include "tests/top.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_INT(got, expected)                                                                   \
    do {                                                                                           \
        long long got_ = (got), expected_ = (expected);                                            \
        CHECK(got_ == expected_, "expected %lld, got %lld", expected_, got_);                      \
    } while (0)

static atomic_bool stop;

static inline double seconds(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static __attribute__((noinline, unused)) void burn(double of_seconds)
{
    double end = seconds(CLOCK_THREAD_CPUTIME_ID) + of_seconds;
    volatile unsigned sink = 0;
    while (seconds(CLOCK_THREAD_CPUTIME_ID) < end)
        for (int i = 0; i < 10000; i++)
            sink = sink * 31 + (unsigned)i;
}

static inline void *burn_until_stopped(void *arg)
{
    while (!stop)
        burn(0.001);
    return arg;
}

static inline int devnull(void)
{
    return open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static inline void write_every_profile(int fd)
{
    static const char *const names[] = {"heap",         "allocs", "goroutine",
                                        "threadcreate", "block",  "mutex"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        CHECK_INT(prof_write(names[i], fd, (int)(i & 1)), 0);
}

static inline void check_exit(pid_t child)
{
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(status == 0, "the child ended with status 0x%x", status);
}

/* Ends the CPU profile, which must not be empty. */
static inline void stop_with_samples(void)
{
    static struct top t;
    char path[64];
    int fd = top_file(path);
    CHECK_INT(prof_cpu_stop(fd), 0);
    close(fd);
    CHECK(top_read(&t, path, "cpu", "ns"), "pprof");
    CHECK(t.total > 0, "no samples");
}

static inline void no_signals_may_wait(void)
{
    CHECK_INT(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){0, 0}), 0);
}

struct scenario {
    const char *name;
    void (*run)(void);
    bool tsan, asan; /* runs under them, too */
};

static inline void host_run_scenario(void **state)
{
    const struct scenario *s = *state;
    int status;
    if ((TSAN && !s->tsan) || (ASAN && !s->asan))
        skip();
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        execl("/proc/self/exe", "host_test", s->name, NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        fail_msg("%s: killed by signal %d (%s)", s->name, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    if (status)
        fail_msg("%s: exit status %d", s->name, WEXITSTATUS(status));
}

/* What main is: runs the scenario that argv names, or all of them as tests. */
static inline int host_main(const char *group, const struct scenario *scenarios, int n, char **argv)
{
    struct CMUnitTest tests[64];
    for (int i = 0; i < n; i++) {
        if (argv[1] && strcmp(argv[1], scenarios[i].name) == 0) {
            scenarios[i].run();
            return 0;
        }
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
                                       .test_func = host_run_scenario,
                                       .initial_state = (void *)(uintptr_t)&scenarios[i]};
    }
    return _cmocka_run_group_tests(group, tests, (size_t)n, NULL, NULL);
}
#endif
