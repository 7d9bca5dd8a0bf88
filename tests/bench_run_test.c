/* The harness as its user sees it. This program is also the benchmark program that it tests: called
 * with -fixture it runs the BENCH()es of bench_fixture.h with the flags that follow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/bench_fixture.h"

#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- running them ---------------------------------------------------------------------------- */

static char self[4096];
static char output[1 << 20];

/* Runs this program's benchmarks; what it printed, errors included, is in output. Returns its
 * status. */
static int run(const char *flags)
{
    char command[8192];

    snprintf(command, sizeof(command), "exec '%s' -fixture %s 2>&1 </dev/null", self, flags);
    FILE *in = popen(command, "r");
    assert_non_null(in);
    size_t len = fread(output, 1, sizeof(output) - 1, in);
    output[len] = '\0';
    int status = pclose(in);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool matches(const char *pattern)
{
    regex_t re;

    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB), 0);
    int found = regexec(&re, output, 0, NULL, 0);
    regfree(&re);
    return found == 0;
}

#define expect_line(pattern)                                                                       \
    do {                                                                                           \
        if (!matches(pattern))                                                                     \
            fail_msg("expected a line like: %s\ngot:\n%s", pattern, output);                       \
    } while (0)
#define expect_no_line(pattern)                                                                    \
    do {                                                                                           \
        if (matches(pattern))                                                                      \
            fail_msg("expected no line like: %s\ngot:\n%s", pattern, output);                      \
    } while (0)
#define expect_run(status, flags)                                                                  \
    do {                                                                                           \
        int got_ = run(flags);                                                                     \
        if (got_ != (status))                                                                      \
            fail_msg("%s: expected status %d, got %d:\n%s", flags, status, got_, output);          \
    } while (0)

static int lines(void)
{
    int n = 0;

    for (const char *p = output; (p = strchr(p, '\n')); p++)
        n++;
    return n;
}

#define NAME(name) "^Benchmark" name "(-[0-9]+)? +\t"
#define N          " *[0-9]+"
#define NS         "\t *[0-9]+(\\.[0-9]+)? ns/op" /* ten digits fill the column: a second an operation */

/* ---- tests ----------------------------------------------------------------------------------- */

static void output_is_gos(void **state)
{
    (void)state;
    expect_run(0, "-bench Busy -benchtime 10ms -benchmem");
    expect_line("^goos: linux$");
    expect_line("^goarch: (amd64|arm64)$");
    expect_line("^pkg: fixture$");
    expect_line(NAME("Busy") N NS "\t +0 B/op\t +0 allocs/op$");
    expect_line("^PASS$");
    expect_line("^ok  \tfixture\t[0-9]+\\.[0-9]{3}s$");
    assert_int_equal(lines(), strstr(output, "\ncpu: ") ? 7 : 6);
}

static void the_loop_runs_n_times(void **state)
{
    (void)state;
    expect_run(0, "-bench Counts$ -benchtime 1x");
    expect_line(NAME("(Parallel)?Counts") " +1\t.* 1\\.000 iterations$");
    expect_run(0, "-bench ^BenchmarkCounts -benchtime=12345x");
    expect_line(NAME("Counts") " +12345\t.* 12345 iterations$");
    expect_run(0, "-bench Elapsed -benchtime 50x");
    expect_run(0, "-bench ^BenchmarkCounts -benchtime 5ms");
    expect_line(NAME("Counts") N NS);
}

static void it_runs_for_benchtime(void **state)
{
    (void)state;
    expect_run(0, "-bench Busy -benchtime 50ms");
    double n = 0, ns = 0;
    char *at = strstr(output, "BenchmarkBusy");
    assert_non_null(at);
    at = strchr(at, '\t');
    assert_int_equal(sscanf(at, " %lf %lf ns/op", &n, &ns), 2);
    if (n * ns < 49.9e6 || n * ns > 5e9) /* four digits are printed */
        fail_msg("%.0f iterations of %.0f ns: expected 50 ms in all or a bit more", n, ns);
}

static void count_and_cpu_repeat(void **state)
{
    (void)state;
    expect_run(0, "-bench 'Busy|Procs' -benchtime 2x -count 2 -cpu 1,3");
    expect_line("^BenchmarkBusy +\t +2\t.*\n^BenchmarkBusy +\t.*\n^BenchmarkBusy-3 "
                "+\t.*\n^BenchmarkBusy-3 +\t");
    expect_line("^BenchmarkProcs +\t.*\t +1\\.000 cpus\t +1\\.000 procs$");
    expect_line("^BenchmarkProcs-3 +\t.* cpus\t +3\\.000 procs$");
    expect_run(0, "-bench Busy -benchtime 2x -count 0");
    expect_no_line(NAME("Busy"));
}

static void allocations_are_exact(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        expect_run(0, "-bench Allocs -benchmem -benchtime 777x -cpu 1,4");
        expect_line(NAME("Allocs") " +777\t.*\t +364 B/op\t +3 allocs/op$");
        expect_line(NAME("AllocsTimer") " +777\t.*\t +64 B/op\t +1 allocs/op$");
        expect_line(NAME("AllocsReset") " +777\t.*\t +8 B/op\t +1 allocs/op$");
        expect_line("^BenchmarkParallelAllocs-4 +\t +777\t.*\t +48 B/op\t +1 allocs/op$");
        expect_no_line("forgotten");
    }
    expect_run(0, "-bench Allocs -benchtime 1x");
    expect_line(NAME("Allocs") " +1" NS "$");
    expect_line(NAME("AllocsTimer") " +1" NS "\t +64 B/op\t +1 allocs/op$");
    expect_line(NAME("ParallelAllocs") " +1" NS "\t +48 B/op\t +1 allocs/op$");
}

static void parallel_does_each_iteration_once(void **state)
{
    (void)state;
    expect_run(0, "-bench ParallelCounts -cpu 1,2,5 -benchtime 54321x");
    expect_line("^BenchmarkParallelCounts +\t +54321\t.* 3\\.000 threads$");
    expect_line("^BenchmarkParallelCounts-2 +\t +54321\t.* 6\\.000 threads$");
    expect_line("^BenchmarkParallelCounts-5 +\t +54321\t.* 15\\.00 threads$");
    expect_run(0, "-bench ParallelCounts -benchtime 20ms");
    expect_run(0, "-bench ParallelCounts -benchtime 1x");
}

static void metrics_replace_and_sort(void **state)
{
    (void)state;
    expect_run(0, "-bench 'BenchmarkMetrics|NoTime' -benchtime 10x");
    expect_line(
        NAME("Metrics") " +10\t +1234 ns/op\t *[0-9.]+ MB/s\t +2\\.000 a/op\t +0\\.05000 z/op$");
    expect_line(NAME("NoTime") " +10\t +7\\.00 MB/s\t +3 B/op\t +2 allocs/op$");
}

static void sub_benchmarks_have_paths(void **state)
{
    (void)state;
    expect_run(0, "-bench BenchmarkSub -benchtime 2x");
    expect_line(NAME("Sub/impl=a"));
    expect_line(NAME("Sub/impl=b_c"));
    expect_line(NAME("Sub/impl=a#01"));
    expect_line(NAME("Sub/kind=nested/n=1"));
    expect_line(NAME("Sub/kind=nested/n=2"));
    expect_no_line(NAME("Sub"));
    expect_run(0, "-bench BenchmarkSub/nested/2 -benchtime 2x");
    expect_line(NAME("Sub/kind=nested/n=2"));
    expect_no_line("impl=|n=1");
    expect_run(0, "-bench 'Sub/=a$|Busy' -benchtime 2x");
    expect_line(NAME("Busy"));
    expect_line(NAME("Sub/impl=a"));
    expect_no_line("nested|b_c");
}

static void logs_follow_the_result(void **state)
{
    (void)state;
    expect_run(0, "-bench BenchmarkLog$ -benchtime 1x");
    expect_line(NAME("Log") " +1\t.*\n--- BENCH: BenchmarkLog(-[0-9]+)?\n    "
                            "bench_fixture.h:[0-9]+: one\n        two$");
    expect_run(0, "-bench LogMuch -benchtime 1x");
    expect_line(": line 9\n\t\\.\\.\\. \\[output truncated\\]$");
    expect_no_line(": line 10$");
    expect_run(0, "-bench BenchmarkLog$ -benchtime 1x -v");
    expect_line("^BenchmarkLog\n    bench_fixture.h:[0-9]+: one\n        two\nBenchmarkLog");
}

static void skips_are_quiet_but_for_v(void **state)
{
    (void)state;
    expect_run(0, "-bench Skip");
    expect_no_line("Skip");
    expect_line("^PASS$");
    expect_run(0, "-bench Skip -v");
    expect_line("^BenchmarkSkip\n    bench_fixture.h:[0-9]+: not today\n--- SKIP: BenchmarkSkip$");
}

static void failures_are_told_and_change_the_status(void **state)
{
    (void)state;
    expect_run(1, "-bench 'FailError|Busy' -benchtime 1x");
    expect_line("^--- FAIL: BenchmarkFailError\n    bench_fixture.h:[0-9]+: first\n"
                "    bench_fixture.h:[0-9]+: second 2$");
    expect_line(NAME("Busy"));
    expect_line("^FAIL\nexit status 1\nFAIL\tfixture\t[0-9.]+s$");
    expect_no_line("PASS");
    expect_run(1, "-bench FailLater -benchtime 5x");
    expect_line(
        "^BenchmarkFailLater(-[0-9]+)? +\t--- FAIL: BenchmarkFailLater(-[0-9]+)?\n.*: at 5$");
    expect_run(1, "-bench FailNoLoop");
    expect_line("BenchmarkFailNoLoop never called bench_loop");
    expect_run(1, "-bench FailBreak -benchtime 10x");
    expect_line("BenchmarkFailBreak left its bench_loop");
    expect_run(1, "-bench FailSub -benchtime 2x");
    expect_line("^--- FAIL: BenchmarkFailSub/x=1\n.*: BenchmarkFailSub/x=1 gave up$");
    expect_line(NAME("FailSub/x=2"));
    expect_line("^--- FAIL: BenchmarkFailSub$");
    expect_no_line("did not say");
    expect_run(1, "-bench FailParallel -benchtime 2x");
    expect_line("the body returned before bench_pb_next was false");
    expect_run(1, "-bench FailThread -benchtime 2x -cpu 3");
    expect_line(": from a thread\n.*: from a thread\n.*: from a thread$");
    expect_run(1, "-bench FailMetric -benchtime 2x");
    expect_line("white space");
}

static void a_failure_in_any_repetition_counts(void **state)
{
    (void)state;
    expect_run(1, "-bench FailLater -benchtime 5x -count 2");
    expect_run(1, "-bench 'FailError/none|FailError' -benchtime 5x -count 2");
}

static void a_time_limit_names_the_culprit(void **state)
{
    (void)state;
    expect_run(1, "-bench Hang -timeout 100ms");
    expect_line("timed out after 100ms \\(-timeout\\): BenchmarkHang was running$");
    expect_line("^FAIL\tfixture\t");
    expect_run(0, "-bench Busy -benchtime 1x -timeout 1h");
}

static void a_child_ends_alone(void **state)
{
    (void)state;
    expect_run(0, "-bench Fork -benchtime 20x");
    expect_line(NAME("Fork") " +20\t");
}

static void list_names_and_runs_nothing(void **state)
{
    (void)state;
    expect_run(0, "-list '^BenchmarkS' -bench Busy");
    assert_non_null(strstr(output, "BenchmarkSub\nBenchmarkSkip\nok  \tfixture\t"));
    assert_int_equal(lines(), 3);
    expect_run(0, "-list .");
    char *first = strstr(output, "BenchmarkBusy"), *later = strstr(output, "BenchmarkHang");
    assert_true(first && later && first < later);
}

static void a_wrong_command_line_is_one_line(void **state)
{
    static const struct {
        const char *flags, *says;
    } cases[] = {
        {"-nonsense", "unknown flag -nonsense"},
        {"-bench", "-bench needs a value"},
        {"-bench '('", "invalid regular expression for -bench"},
        {"-bench . -run '['", "invalid regular expression for -run"},
        {"-list '*'", "invalid regular expression for -list"},
        {"-bench Nothing", "no benchmark matches -bench Nothing"},
        {"-bench Sub/nothing", "no benchmark matches -bench Sub/nothing: -list . names all, "
                               "without what stands behind a slash"},
        {"-bench . -benchtime 1", "-benchtime: expected a duration"},
        {"-bench . -benchtime 0s", "-benchtime: expected a duration"},
        {"-bench . -benchtime -1s", "-benchtime: expected a duration"},
        {"-bench . -benchtime 0x", "-benchtime: expected a duration"},
        {"-bench . -benchtime ''", "-benchtime: expected a duration"},
        {"-bench . -benchtime 99999999999999999999x", "-benchtime: expected a duration"},
        {"-bench . -count -1", "-count: expected a number"},
        {"-bench . -cpu 0", "-cpu: expected numbers of threads"},
        {"-bench . -cpu 1,x", "-cpu: expected numbers of threads"},
        {"-bench . -cpu 99999", "-cpu: expected numbers of threads"},
        {"-bench . -timeout soon", "-timeout: expected a duration"},
        {"-bench . -benchmem=perhaps", "-benchmem: expected true or false"},
        {"-bench . -memprofilerate all", "-memprofilerate: expected a number of bytes"},
        {"Busy", "unexpected argument \"Busy\""},
        {"-bench . -cpuprofile /no/such/folder/f",
         "-cpuprofile /no/such/folder/f: No such file or directory"},
        {"-bench . -blockprofilerate x", "-blockprofilerate: expected a number of nanoseconds"},
        {"-bench . -mutexprofilefraction -1", "-mutexprofilefraction: expected a number"},
        {"-bench . -blockprofile /no/such/folder/f", "-blockprofile /no/such/folder/f: No such"},
        {"-bench . -mutexprofile /", "-mutexprofile /: Is a directory"},
        {"-bench . -memprofile /", "-memprofile /: Is a directory"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_run(2, cases[i].flags);
        if (!strstr(output, cases[i].says) || lines() != 1)
            fail_msg("%s: expected one line with: %s\ngot: %s", cases[i].flags, cases[i].says,
                     output);
    }
}

static void flags_have_gos_forms(void **state)
{
    (void)state;
    expect_run(0, "--bench=Busy -benchtime=3x --benchmem=true -v=false -run '^$' -count=1");
    expect_line(NAME("Busy") " +3" NS "\t +0 B/op\t +0 allocs/op$");
    expect_run(0, "-benchmem=0 -bench Busy -benchtime 3x");
    expect_line(NAME("Busy") " +3" NS "$");
    expect_run(0, "-benchmem=T -v=False -bench Busy -benchtime 3x");
    expect_line(NAME("Busy") " +3" NS "\t +0 B/op\t +0 allocs/op$");
    expect_run(0, "-help");
    expect_line("^  -cpuprofile FILE +write a CPU profile$");
    expect_run(0, "");
    expect_line("nothing to run: choose benchmarks with -bench");
    expect_line("^PASS$");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_gos),
        cmocka_unit_test(the_loop_runs_n_times),
        cmocka_unit_test(it_runs_for_benchtime),
        cmocka_unit_test(count_and_cpu_repeat),
        cmocka_unit_test(allocations_are_exact),
        cmocka_unit_test(parallel_does_each_iteration_once),
        cmocka_unit_test(metrics_replace_and_sort),
        cmocka_unit_test(sub_benchmarks_have_paths),
        cmocka_unit_test(logs_follow_the_result),
        cmocka_unit_test(skips_are_quiet_but_for_v),
        cmocka_unit_test(failures_are_told_and_change_the_status),
        cmocka_unit_test(a_failure_in_any_repetition_counts),
        cmocka_unit_test(a_time_limit_names_the_culprit),
        cmocka_unit_test(a_child_ends_alone),
        cmocka_unit_test(list_names_and_runs_nothing),
        cmocka_unit_test(a_wrong_command_line_is_one_line),
        cmocka_unit_test(flags_have_gos_forms),
    };

    if (argc > 1 && strcmp(argv[1], "-fixture") == 0) {
        argv[1] = argv[0];
        return bench_main(argc - 1, argv + 1);
    }
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[len > 0 ? len : 0] = '\0';
    return cmocka_run_group_tests(tests, NULL, NULL);
}
