/* The parts of the harness, each by itself: numbers, durations, patterns, names, the growth of
 * iterations, columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void durations_are_read_as_go_reads_them(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"0", 0},
        {"1ns", 1},
        {"1s", 1000000000},
        {"1.5s", 1500000000},
        {".5s", 500000000},
        {"1.s", 1000000000},
        {"300ms", 300000000},
        {"1m30s", 90000000000},
        {"2h", 7200000000000},
        {"100us", 100000},
        {"100µs", 100000},
        {"1h1m1s1ms1us1ns", 3661001001001},
        {"0s", 0},
    };
    static const char *const bad[] = {"",     "1",   "s",    ".s",           "1 s", " 1s",  "1s ",
                                      "-1s",  "+1s", "1e3s", "0x1s",         "1sm", "1m30", "1d",
                                      "infs", "1S",  ".",    "99999999999h", "1,5s"};
    int64_t ns;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ns = -1;
        assert_true(bench_parse_duration(good[i].text, &ns));
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (bench_parse_duration(bad[i], &ns))
            fail_msg("\"%s\" was taken for a duration of %ld ns", bad[i], (long)ns);
}

static void numbers_are_read_strictly(void **state)
{
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "1x", "0x10", "1e3", "9223372036854775808"};
    int64_t v;

    (void)state;
    assert_true(bench_parse_int("9223372036854775807", 0, &v));
    assert_int_equal(v, INT64_MAX);
    assert_true(bench_parse_int("0", 0, &v));
    assert_false(bench_parse_int("0", 1, &v));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(bench_parse_int(bad[i], 0, &v));
}

/* ---- patterns -------------------------------------------------------------------------------- */

enum { NO, YES, PARTLY };

static void patterns_match_element_by_element(void **state)
{
    static const struct {
        const char *pattern, *name;
        int expected;
    } cases[] = {
        {".", "BenchmarkFib", YES},
        {"", "BenchmarkFib", YES},
        {"Fib", "BenchmarkFib", YES},
        {"^Fib", "BenchmarkFib", NO},
        {"^BenchmarkFib$", "BenchmarkFib", YES},
        {"^BenchmarkFib$", "BenchmarkFibMemo", NO},
        {"^BenchmarkFib$", "BenchmarkFib/impl=memo", YES},
        {"Fib/memo", "BenchmarkFib", PARTLY},
        {"Fib/memo", "BenchmarkFib/impl=memo", YES},
        {"Fib/memo", "BenchmarkFib/impl=memo/n=3", YES},
        {"Fib/memo", "BenchmarkFib/impl=recursive", NO},
        {"Fib//n=3", "BenchmarkFib/impl=memo", PARTLY},
        {"Fib//n=3", "BenchmarkFib/impl=memo/n=3", YES},
        {"Fib//n=3", "BenchmarkFib/impl=memo/n=4", NO},
        {"Alloc|Fib/memo", "BenchmarkFib/impl=memo", YES},
        {"Alloc|Fib/memo", "BenchmarkAllocate/impl=pool", YES},
        {"Alloc|Fib/memo", "BenchmarkFib/impl=pool", NO},
        {"(Alloc|Fib)/memo", "BenchmarkFib/impl=memo", YES},
        {"(Alloc|Fib)/memo", "BenchmarkAllocate/impl=pool", NO},
        {"(Alloc/x|Fib)", "BenchmarkFib", YES},
        {"F[/|]b|Fib", "BenchmarkFib", YES},
        {"Sub/sl[/]ash", "BenchmarkSub/sl", NO},
        {"Sub/a b", "BenchmarkSub/a_b", YES},
        {"Sub/a\\.b", "BenchmarkSub/axb", NO},
        {"F\\/b/x", "BenchmarkFib", NO},
        {"a]b", "xa]b", YES},
    };
    char error[128];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench_matcher *m = bench_matcher_new(cases[i].pattern, true, error, sizeof(error));
        bool partial = false;
        assert_non_null(m);
        int got = bench_matcher_matches(m, cases[i].name, &partial) ? YES + partial : NO;
        if (got != cases[i].expected)
            fail_msg("-bench '%s' on %s: expected %d, got %d", cases[i].pattern, cases[i].name,
                     cases[i].expected, got);
        bench_matcher_free(m);
    }
}

static void bad_patterns_are_named(void **state)
{
    char error[128];

    (void)state;
    assert_null(bench_matcher_new("Fib/(", true, error, sizeof(error)));
    assert_non_null(strstr(error, "element 1 (\"(\")"));
    assert_null(bench_matcher_new("ok|*", true, error, sizeof(error)));
    assert_non_null(strstr(error, "element 0 (\"*\")"));
    struct bench_matcher *none = bench_matcher_new(NULL, true, error, sizeof(error));
    bool partial;
    assert_false(bench_matcher_matches(none, "BenchmarkFib", &partial));
    bench_matcher_free(none);
}

static void sub_names_are_clean_and_unique(void **state)
{
    static const struct {
        const char *sub, *expected;
    } cases[] = {
        {"a", "B/a"},    {"a b", "B/a_b"},    {"a_b", "B/a_b#01"},      {"a\tb", "B/a_b#02"},
        {"", "B/#00"},   {"", "B/#01"},       {"x#01", "B/x#01"},       {"x", "B/x"},
        {"x", "B/x#02"}, {"\x01", "B/\\x01"}, {"größe=1", "B/größe=1"},
    };
    struct bench_names *names = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *name = bench_names_add(&names, "B", cases[i].sub);
        assert_string_equal(name, cases[i].expected);
        free(name);
    }
    bench_names_free(&names);
}

/* ---- growth ---------------------------------------------------------------------------------- */

static void iterations_grow_as_in_go(void **state)
{
    static const struct {
        int64_t goal_ns, n, ns, last, expected;
    } cases[] = {
        {1000000000, 1, 100, 1, 100},                  /* at most a hundred times as many */
        {1000000000, 100, 10000, 100, 10000},          /* again */
        {1000000000, 10000, 100000000, 10000, 120000}, /* a fifth more than needed */
        {1000000000, 1, 0, 1, 100},                    /* too fast for the clock */
        {1000000000, 1, 900000000, 1, 2},              /* at least one more */
        {1000000000, 100000000, 50000000, 100000000, 1000000000}, /* never more than 1e9 */
        {INT64_C(3600000000000), 1000000, 1000000, 1000000,
         100000000}, /* an hour does not overflow */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(bench_predict(cases[i].goal_ns, cases[i].n, cases[i].ns, cases[i].last),
                         cases[i].expected);
}

/* ---- columns --------------------------------------------------------------------------------- */

static void values_stand_in_gos_columns(void **state)
{
    static const struct {
        double value;
        const char *expected;
    } cases[] = {
        {0, "         0 u"},
        {47623057, "  47623057 u"},
        {999.96, "      1000 u"},
        {999.94, "       999.9 u"},
        {99.996, "       100.0 u"},
        {99.99, "        99.99 u"},
        {9.9996, "        10.00 u"},
        {9.999, "         9.999 u"},
        {0.5, "         0.5000 u"},
        {0.05, "         0.05000 u"},
        {0.005, "         0.005000 u"},
        {0.0005, "         0.0005000 u"},
        {0.00000001, "         0.0000000 u"},
        {-1.5, "        -1.500 u"},
        {1e15, "1000000000000000 u"},
        {INFINITY, "      +Inf u"},
        {-INFINITY, "      -Inf u"},
        {NAN, "               NaN u"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);
        bench_print_value(out, cases[i].value, "u");
        fclose(out);
        assert_string_equal(text, cases[i].expected);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_as_go_reads_them),
        cmocka_unit_test(numbers_are_read_strictly),
        cmocka_unit_test(patterns_match_element_by_element),
        cmocka_unit_test(bad_patterns_are_named),
        cmocka_unit_test(sub_names_are_clean_and_unique),
        cmocka_unit_test(iterations_grow_as_in_go),
        cmocka_unit_test(values_stand_in_gos_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
