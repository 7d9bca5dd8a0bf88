// The parts of benchstat, against what can be worked out another way: U's distribution by listing
// every arrangement, confidence intervals by counting, numbers by libc.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 88172645463325252u;

static uint64_t random_bits(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

// ---- the U test --------------------------------------------------------------------------------

static double u_of(const double *x1, int n1, const double *x2, int n2)
{
    double u = 0;
    for (int i = 0; i < n1; i++)
        for (int j = 0; j < n2; j++)
            u += (x1[i] > x2[j]) + 0.5 * (x1[i] == x2[j]);
    return u;
}

// The p-value by trying every way to choose which values are the first sample's.
static double listed_p(const double *x1, int n1, const double *x2, int n2)
{
    double all[16], first[16], second[16];
    int n = n1 + n2;
    long total = 0, extreme = 0;
    memcpy(all, x1, (size_t)n1 * sizeof *all);
    memcpy(all + n1, x2, (size_t)n2 * sizeof *all);
    double u = fmin(u_of(x1, n1, x2, n2), u_of(x2, n2, x1, n1));
    for (unsigned choice = 0; choice < 1u << n; choice++) {
        int f = 0, s = 0;
        if (__builtin_popcount(choice) != n1)
            continue;
        for (int i = 0; i < n; i++)
            if (choice >> i & 1)
                first[f++] = all[i];
            else
                second[s++] = all[i];
        total++;
        extreme += u_of(first, n1, second, n2) <= u;
    }
    return u * 2 == n1 * n2 ? 1 : 2.0 * (double)extreme / (double)total;
}

static void check_list_of(const double *x1, int n1, const double *x2, int n2)
{
    double p;
    const char *error = u_test(x1, (size_t)n1, x2, (size_t)n2, &p);
    if (x1[0] == x1[n1 - 1] && x1[0] == x2[0] && x2[0] == x2[n2 - 1]) {
        assert_string_equal(error, "all samples are equal");
        return;
    }
    assert_null(error);
    assert_true(fabs(p - listed_p(x1, n1, x2, n2)) < 1e-12);
}

static void check_against_list(int n1, int n2, unsigned distinct)
{
    double x1[8], x2[8];
    for (int i = 0; i < n1; i++)
        x1[i] = (double)(random_bits() % distinct);
    for (int i = 0; i < n2; i++)
        x2[i] = (double)(random_bits() % distinct);
    sort_values(x1, (size_t)n1);
    sort_values(x2, (size_t)n2);
    // Under ties U need not be distributed symmetrically, but the test takes the smaller of both U
    // for the first sample's: only in this order is it the exact one.
    if (u_of(x1, n1, x2, n2) * 2 > n1 * n2) {
        check_list_of(x2, n2, x1, n1);
        return;
    }
    check_list_of(x1, n1, x2, n2);
}

static void u_test_is_exact_for_few_values(void **state)
{
    (void)state;
    for (int n1 = 1; n1 <= 7; n1++)
        for (int n2 = 1; n2 <= 6; n2++)
            for (int i = 0; i < 6; i++) {
                check_against_list(n1, n2, 1000000); // hardly any ties
                check_against_list(n1, n2, 2);
                check_against_list(n1, n2, 5);
            }
}

static void u_test_approximates_for_many(void **state)
{
    (void)state;
    // The same data with one value more than is computed exactly, and without it.
    double x1[51], x2[51], exact, approximate;
    for (int i = 0; i < 51; i++) {
        x1[i] = i;
        x2[i] = i + 6.5;
    }
    assert_null(u_test(x1, 50, x2, 50, &exact));
    assert_null(u_test(x1, 51, x2, 51, &approximate));
    assert_true(exact > 0.02 && exact < 0.05);
    assert_true(fabs(exact - approximate) < 0.005);
}

static void u_test_takes_any_values(void **state)
{
    (void)state;
    double p, odd[] = {NAN, 1, 2}, infinite[] = {-INFINITY, 0, INFINITY}, x[] = {1, 2, 3};
    assert_string_equal(u_test(odd, 3, x, 3, &p), "a sample contains NaN");
    assert_string_equal(u_test(x, 3, odd, 3, &p), "a sample contains NaN");
    assert_null(u_test(infinite, 3, x, 3, &p));
    assert_true(fabs(p - listed_p(infinite, 3, x, 3)) < 1e-12);
}

// The interval over all pairs must miss as often as the test rejects.
static void interval_inverts_the_test(void **state)
{
    (void)state;
    assert_int_equal(u_test_interval(10, 10, 0.95), 24); // tables: U = 23 at 5 %
    assert_int_equal(u_test_interval(5, 5, 0.95), 3);    // U = 2
    assert_int_equal(u_test_interval(3, 3, 0.95), 0);    // no outcome of 3+3 is that rare
    assert_in_range(u_test_interval(51, 51, 0.95), 1000, 1010);
}

static void knows_how_many_samples_it_needs(void **state)
{
    (void)state;
    int n;
    assert_string_equal(u_test_samples_needed(0.05, &n), ">=");
    assert_int_equal(n, 4);
    assert_string_equal(u_test_samples_needed(1e-50, &n), ">");
    assert_int_equal(n, 10);
    assert_string_equal(median_samples_needed(0.95, &n), ">=");
    assert_int_equal(n, 6);
    assert_string_equal(median_samples_needed(1, &n), ">");
    assert_int_equal(n, 50);
}

// ---- medians -----------------------------------------------------------------------------------

// The probability that the median lies between the order statistics lo and hi of n values.
static double coverage(int n, long lo, long hi)
{
    double row[32] = {1};
    for (int i = 1; i <= n; i++)
        for (int k = i; k > 0; k--)
            row[k] += row[k - 1];
    double sum = 0;
    for (long k = lo < 0 ? 0 : lo; k < hi && k <= n; k++)
        sum += row[k];
    return sum / exp2(n);
}

static void intervals_cover_no_more_than_they_must(void **state)
{
    (void)state;
    static const double levels[] = {0.5, 0.68, 0.9, 0.95, 0.99};
    for (int n = 1; n <= 30; n++)
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
            struct interval ci = median_interval((size_t)n, levels[i]);
            assert_true(coverage(n, ci.lo, ci.hi) >= levels[i] - 1e-9);
            assert_true(fabs(coverage(n, ci.lo, ci.hi) - ci.confidence) < 1e-9);
            double left = coverage(n, ci.lo + 1, ci.hi), right = coverage(n, ci.lo, ci.hi - 1);
            assert_true(fmin(left, right) < levels[i]);
        }
}

static void intervals_of_large_samples(void **state)
{
    (void)state;
    // n/2 - 1.96 * sqrt(n)/2 and its mirror image, rounded outwards
    struct interval ci = median_interval(100, 0.95);
    assert_int_equal(ci.lo, 40);
    assert_int_equal(ci.hi, 60);
    assert_true(ci.confidence >= 0.95 && ci.confidence < 0.97);
    ci = median_interval(1000, 1);
    assert_int_equal(ci.lo, 0);
    assert_int_equal(ci.hi, 1001);
}

static void median_interpolates(void **state)
{
    (void)state;
    const double x[] = {1, 2, 4, 8};
    assert_true(median_of(x, 1) == 1);
    assert_true(fabs(median_of(x, 2) - 1.5) < 1e-15);
    assert_true(fabs(median_of(x, 3) - 2) < 1e-15);
    assert_true(fabs(median_of(x, 4) - 3) < 1e-15);
}

static void check_sorted(size_t n, uint64_t mask, uint64_t bits)
{
    double *x = calloc(n, sizeof *x), sum = 0, after = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t r = (random_bits() & mask) | bits;
        memcpy(&x[i], &r, sizeof r);
        sum += isfinite(x[i]) ? ldexp(x[i], -1023) : 0;
    }
    sort_values(x, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || isnan(x[i - 1]) || x[i - 1] <= x[i]);
        after += isfinite(x[i]) ? ldexp(x[i], -1023) : 0;
    }
    assert_true(fabs(sum - after) < 1e-9);
    free(x);
}

static void sorts_any_values(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 31, 32, 33, 1000, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_sorted(sizes[i], ~UINT64_C(0), 0);                      // anything, NaN too
        check_sorted(sizes[i], 0xFFFF, UINT64_C(0x4330000000000000)); // differing at the very end
        check_sorted(sizes[i], 1, UINT64_C(0x3FF0000000000000));      // few different ones
    }
}

// What is selected is what sorting would put there.
static void check_selected(size_t n, size_t from, size_t to, uint64_t mask, uint64_t bits)
{
    double *x = calloc(n, sizeof *x), *sorted = calloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++) {
        uint64_t r = (random_bits() & mask) | bits;
        memcpy(&x[i], &r, sizeof r);
    }
    memcpy(sorted, x, n * sizeof *x);
    sort_values(sorted, n);
    select_values(x, n, from, to);
    for (size_t i = from; i <= to; i++)
        assert_true(x[i] == sorted[i] || (isnan(x[i]) && isnan(sorted[i])));
    free(x);
    free(sorted);
}

static void selects_what_sorting_finds(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 100, 4095, 4096, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t part = 0; part < 8; part++) {
            size_t n = sizes[i], from = (n - 1) * part / 8, to = from + (n - 1 - from) * part / 7;
            check_selected(n, from, to, ~UINT64_C(0), 0);
            check_selected(n, from, to, 0xFFFFFFFFFF, UINT64_C(0x3FF0000000000000));
            check_selected(n, from, to, 0xFF, UINT64_C(0x3FF0000000000000));
            check_selected(n, from, to, 0, UINT64_C(0x3FF0000000000000)); // all equal
        }
}

// ---- elementary functions
// ------------------------------------------------------------------------

static void log_and_exp_are_close_to_exact(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double x =
            ldexp(1 + (double)(random_bits() >> 12) * 0x1p-52, (int)(random_bits() % 200) - 100);
        assert_true(fabs(go_log(x) - log(x)) <= 1e-15 * fabs(log(x)) + 1e-300);
        double y = ((double)(random_bits() >> 12) * 0x1p-52 - 0.5) * 600;
        assert_true(fabs(go_exp(y) / exp(y) - 1) <= 1e-15);
    }
    assert_true(go_log(0) == -INFINITY && isnan(go_log(-1)) && go_log(1) == 0);
    assert_true(go_exp(0) == 1 && go_exp(-INFINITY) == 0 && isinf(go_exp(710)) &&
                isnan(go_exp(NAN)));
}

static void binomial_coefficients(void **state)
{
    (void)state;
    double row[51] = {1};
    for (int n = 1; n <= 50; n++) {
        for (int k = n; k > 0; k--)
            row[k] += row[k - 1];
        for (int k = 0; k <= n; k++)
            assert_true(fabs(choose(n, k) / row[k] - 1) < (n <= 20 ? 1e-300 : 1e-12));
    }
    assert_true(choose(5, 6) == 0 && choose(5, -1) == 0);
}

// ---- numbers
// -------------------------------------------------------------------------------------

static double random_double(void)
{
    uint64_t bits = random_bits();
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void fixed_point_agrees_with_libc(void **state)
{
    (void)state;
    char ours[NUMBER_MAX], libc[NUMBER_MAX];
    static const double exact[] = {0,     -0.0,  0.5,  1.5,         2.5,
                                   0.125, 0.375, 1e22, 123456789.5, -0.0625};
    for (int i = 0; i < 40000; i++) {
        double x = i < 10 ? exact[i] : i % 2 ? random_double() : ldexp(random_double(), -900) * 1e3;
        if (i >= 10 && i % 5 == 0)
            x = (double)(int64_t)(random_bits() % 2000001 - 1000000) / 16;
        if (!isfinite(x))
            continue;
        for (int digits = 0; digits <= 10; digits++) {
            snprintf(libc, sizeof libc, "%.*f", digits, x);
            assert_int_equal(number_fixed(ours, x, digits, false), strlen(libc));
            assert_string_equal(ours, libc);
        }
    }
}

static void check_shortest(double x, const char *expected)
{
    char text[NUMBER_MAX];
    number_shortest(text, x);
    assert_string_equal(text, expected);
}

static void shortest_form_reads_back(void **state)
{
    (void)state;
    char text[NUMBER_MAX], shorter[NUMBER_MAX];
    for (int i = 0; i < 20000; i++) {
        double x = i % 2 ? random_double() : ldexp(1, (int)(random_bits() % 2000) - 1000);
        if (!isfinite(x) || x == 0)
            continue;
        number_shortest(text, x);
        assert_true(strtod(text, NULL) == x);
        int digits = 0;
        for (const char *c = text; *c && *c != 'e'; c++)
            digits += *c >= '0' && *c <= '9' && (digits || *c != '0');
        if (digits > 1 && !strchr(text, '.'))
            continue; // trailing zeros of a whole number are no digits of it
        snprintf(shorter, sizeof shorter, "%.*e", digits > 2 ? digits - 2 : 0, x);
        assert_true(digits == 1 || strtod(shorter, NULL) != x);
    }
    check_shortest(100000, "100000");
    check_shortest(1e6, "1e+06");
    check_shortest(-1234567, "-1.234567e+06");
    check_shortest(0.0001, "0.0001");
    check_shortest(0.00001234, "1.234e-05");
    check_shortest(5e-324, "5e-324");
    check_shortest(0x1p-44, "5.684341886080802e-14");
    check_shortest(-0.0, "-0");
    check_shortest(NAN, "NaN");
    check_shortest(INFINITY, "+Inf");
}

static void check_number(const char *text, double expected, const char *error)
{
    double value = 0;
    const char *got = number_parse((str){text, strlen(text)}, &value);
    if (error || got)
        assert_string_equal(got ? got : "no error", error ? error : "no error");
    else
        assert_true(value == expected || (isnan(value) && isnan(expected)));
}

static void reads_numbers_as_go_does(void **state)
{
    (void)state;
    char text[NUMBER_MAX];
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof text, "%.*g", (int)(random_bits() % 20) + 1, random_double());
        if (!strpbrk(text, "if") && isfinite(strtod(text, NULL)))
            check_number(text, strtod(text, NULL), NULL);
    }
    check_number("123.456", 123.456, NULL);
    check_number("9007199254740993", 9007199254740992, NULL);
    check_number("5.", 5, NULL);
    check_number(".5", .5, NULL);
    check_number("1_000.5e1_0", 1000.5e10, NULL);
    check_number("0x1.8p4", 24, NULL);
    check_number("-inf", -INFINITY, NULL);
    check_number("NaN", NAN, NULL);
    static const char *const none[] = {"",   ".",     "+",   "1e", "1__0", "_1",      "1_", "0x1",
                                       "0x", "1.2.3", "1,5", "e5", "+nan", "infinit", "1 ", "0b1"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        check_number(none[i], 0, number_syntax);
    check_number("1e400", 0, number_range);
    assert_null(number_parse_count(STR("9223372036854775807")));
    assert_ptr_equal(number_parse_count(STR("9223372036854775808")), number_range);
    assert_null(number_parse_count(STR("-9223372036854775808")));
    assert_ptr_equal(number_parse_count(STR("-")), number_syntax);
    assert_ptr_equal(number_parse_count(STR("1_0")), number_syntax);
}

// ---- units, quoting, names
// -------------------------------------------------------------------------

static void check_scaled(double x, bool bytes, const char *expected)
{
    char text[NUMBER_MAX];
    scale_format(text, scale_for(&x, 1, bytes), x);
    assert_string_equal(text, expected);
}

static void scales_to_three_digits(void **state)
{
    (void)state;
    check_scaled(1.2345e-7, false, "123.5n");
    check_scaled(99.994, false, "99.99");
    check_scaled(99.995, false, "100.0");
    check_scaled(999.96, false, "1.000k");
    check_scaled(1.5e13, false, "15.00T");
    check_scaled(1.5e-11, false, "0.01500n");
    check_scaled(1e-30, false, "0.0000000000n");
    check_scaled(1023, true, "1023.0");
    check_scaled(1024, true, "1.000Ki");
    check_scaled(0, true, "0.000");
    check_scaled(-2048, true, "-2.000Ki");
}

static void check_tidied(const char *raw, const char *name, double factor, bool bytes)
{
    const struct raw_unit *u = unit_of((str){raw, strlen(raw)});
    assert_string_equal(u->tidied.name->s, name);
    assert_true(u->factor == factor);
    assert_int_equal(unit_is_binary(u->tidied.name), bytes);
}

static void brings_units_to_base_units(void **state)
{
    (void)state;
    check_tidied("ns/op", "sec/op", 1e-9, false);
    check_tidied("MB/s", "B/s", 1e6, true);
    check_tidied("p50-ns", "p50-sec", 1e-9, false);
    check_tidied("x/ns", "x/ns", 1, false);
    check_tidied("ns*MB", "sec*B", 1e-9 * 1e6, true);
    check_tidied("bytes", "bytes", 1, true);
    check_tidied("nsx", "nsx", 1, false);
}

static void quotes_and_unquotes(void **state)
{
    (void)state;
    static const char text[] = "a \"b\" \\ \t\x01\x7f é\xff 日";
    char *quoted = quote((str){text, sizeof text - 1});
    assert_string_equal(quoted, "\"a \\\"b\\\" \\\\ \\t\\x01\\x7f é\\xff 日\"");
    str back;
    assert_true(unquote((str){quoted, strlen(quoted)}, &back));
    assert_int_equal(back.n, sizeof text - 1);
    assert_memory_equal(back.s, text, back.n);
    assert_true(unquote(STR("\"\\u00e9\\101\\U0001F600\""), &back));
    assert_memory_equal(back.s, "éA😀", back.n);
    static const char *const bad[] = {"\"\\q\"", "\"\\u12\"", "\"\\400\"", "\"\\'\"",
                                      "\"\\ud800\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(unquote((str){bad[i], strlen(bad[i])}, &back));
}

static void takes_names_apart(void **state)
{
    (void)state;
    str base, *parts;
    assert_int_equal(name_parts(STR("Copy/size=4k/x-16"), &base, &parts), 3);
    assert_true(str_equal(base, STR("Copy")) && str_equal(parts[0], STR("/size=4k")) &&
                str_equal(parts[1], STR("/x")) && str_equal(parts[2], STR("-16")));
    assert_int_equal(name_parts(STR("A-"), &base, &parts), 0);
    assert_true(str_equal(name_base(STR("A-8")), STR("A")));
    assert_true(str_equal(name_base(STR("A-8/b")), STR("A-8")));
    assert_true(str_equal(name_base(STR("")), STR("")));
}

// ---- patterns
// ------------------------------------------------------------------------------------

static void check_pattern(const char *expr, const char *subject, bool matches)
{
    char *error;
    struct pattern *p = pattern_compile((str){expr, strlen(expr)}, &error);
    assert_non_null(p);
    assert_int_equal(pattern_match(p, (str){subject, strlen(subject)}), matches);
}

static void check_bad_pattern(const char *expr, const char *why)
{
    char *error;
    assert_null(pattern_compile((str){expr, strlen(expr)}, &error));
    assert_string_equal(error, mem_format("error parsing regexp: %s", why));
}

static void patterns_mean_what_they_mean_in_go(void **state)
{
    (void)state;
    check_pattern("^(?:Fib|Copy)/", "Copy/a", true);
    check_pattern("(?i)fOO", "xFooy", true);
    check_pattern("(?i:f)oo", "FOO", false);
    check_pattern("a$", "a\n", false);
    check_pattern("\\s", "\v", false);
    check_pattern("[[:space:]]", "\v", true);
    check_pattern("[^\\S]", "a", false);
    check_pattern("x{2}{", "xx{", true);
    check_pattern("(a|ab)(c|bcd)$", "abcd", true);
    check_pattern("\\pL\\p{Greek}", "aα", true);
    check_pattern("[^\\d\\p{Lu}]", "A1", false);
    check_pattern("\\Qa.b*\\E*", "a.b", true);
    check_pattern(".\xEF\xBF\xBD", "a\xff", true); // a byte that is no UTF-8 counts as U+FFFD
    check_pattern("(x*)*y", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false);
    check_bad_pattern("a**", "invalid nested repetition operator: `**`");
    check_bad_pattern("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
    check_bad_pattern("\\1", "invalid escape sequence: `\\1`");
    check_bad_pattern("[b-a]", "invalid character class range: `b-a`");
    check_bad_pattern("(x{2}){501}", "invalid repeat count: `{501}`");
    check_bad_pattern("a)", "unexpected ): `a)`");
    check_bad_pattern("(?P<>a)", "invalid named capture: `(?P<>`");
    check_bad_pattern("*", "missing argument to repetition operator: `*`");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u_test_is_exact_for_few_values),
        cmocka_unit_test(u_test_approximates_for_many),
        cmocka_unit_test(u_test_takes_any_values),
        cmocka_unit_test(interval_inverts_the_test),
        cmocka_unit_test(knows_how_many_samples_it_needs),
        cmocka_unit_test(intervals_cover_no_more_than_they_must),
        cmocka_unit_test(intervals_of_large_samples),
        cmocka_unit_test(median_interpolates),
        cmocka_unit_test(sorts_any_values),
        cmocka_unit_test(selects_what_sorting_finds),
        cmocka_unit_test(log_and_exp_are_close_to_exact),
        cmocka_unit_test(binomial_coefficients),
        cmocka_unit_test(fixed_point_agrees_with_libc),
        cmocka_unit_test(shortest_form_reads_back),
        cmocka_unit_test(reads_numbers_as_go_does),
        cmocka_unit_test(scales_to_three_digits),
        cmocka_unit_test(brings_units_to_base_units),
        cmocka_unit_test(quotes_and_unquotes),
        cmocka_unit_test(takes_names_apart),
        cmocka_unit_test(patterns_mean_what_they_mean_in_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
