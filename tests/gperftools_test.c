/* An independent witness: gperftools' profiler and ours see the same program the same way. */
#include "prof/pprof.h"
#include "tests/top.h"

#include <gperftools/profiler.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

static double thread_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#define BURNER(name)                                                                               \
    static __attribute__((noinline)) void name(double seconds)                                     \
    {                                                                                              \
        double end = thread_seconds() + seconds;                                                   \
        volatile unsigned sink = 0;                                                                \
        while (thread_seconds() < end)                                                             \
            for (int i = 0; i < 100000; i++)                                                       \
                sink = sink * 31 + (unsigned)i;                                                    \
    }
BURNER(witness_half)
BURNER(witness_third)
BURNER(witness_sixth)

/* One thread: gperftools' process-wide timer favours some threads over others, which is not what is
 * asked here. */
static void work(void)
{
    for (int i = 0; i < 10; i++) {
        witness_half(0.150);
        witness_third(0.100);
        witness_sixth(0.050);
    }
}

/* Each profiler in a process of its own: gperftools wants SIGPROF for itself. */
static void profile_in_child(const char *path, bool ours)
{
    pid_t child = fork();
    if (child == 0) {
        int fd = open(path, O_WRONLY | O_TRUNC);
        int rc = ours ? prof_cpu_start(100) : !ProfilerStart(path);
        work();
        if (ours)
            rc |= prof_cpu_stop(fd);
        else
            ProfilerStop();
        _exit(rc != 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static double share(const struct top *t, const char *function)
{
    static const char *const all[] = {"witness_half", "witness_third", "witness_sixth"};
    double sum = 0;
    for (int i = 0; i < 3; i++)
        sum += top_of(t, all[i]).cum;
    assert_true(sum > 0);
    return 100 * top_of(t, function).cum / sum;
}

static void agrees_with_gperftools(void **state)
{
    static struct top ours, theirs;
    char path[64], arguments[512], self[256];
    (void)state;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    close(top_file(path));
    profile_in_child(path, true);
    assert_true(top_read(&ours, path, "cpu", "ns"));
    close(top_file(path));
    profile_in_child(path, false);
    snprintf(arguments, sizeof arguments, "-unit=ns %s %s", self, path);
    assert_true(top_of_pprof(&theirs, arguments));
    unlink(path);
    static const char *const names[] = {"witness_half", "witness_third", "witness_sixth"};
    for (int i = 0; i < 3; i++) {
        double a = share(&ours, names[i]), b = share(&theirs, names[i]);
        if (a - b > 3 || b - a > 3)
            fail_msg(
                "%s: %.1f %% here, %.1f %% in gperftools' profile; expected at most 3 points apart",
                names[i], a, b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_gperftools)};
    return cmocka_run_group_tests_name("gperftools", tests, NULL, NULL);
}
