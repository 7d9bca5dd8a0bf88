// stats.c: sorted samples, the normal distribution and the geometric mean.

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- sorting --------------------------------------------------------------------------------

enum { INSERTION_LIMIT = 32 };

static void sort_few(double *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double v = x[i];
        size_t j = i;
        if (isnan(v))
            for (; j > 0 && !isnan(x[j - 1]); j--)
                x[j] = x[j - 1];
        else
            for (; j > 0 && v < x[j - 1]; j--)
                x[j] = x[j - 1];
        x[j] = v;
    }
}

// Unsigned integers that sort as the doubles do, NaN first.
static uint64_t to_ordered(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return 0;
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static double from_ordered(uint64_t key)
{
    double x;
    uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    memcpy(&x, &bits, sizeof x);
    return key ? x : NAN;
}

// One pass of a radix sort by the byte at shift; false if all are equal there.
static bool radix_pass(const uint64_t *from, uint64_t *to, size_t n, int shift)
{
    size_t count[256] = {0}, at = 0;
    for (size_t i = 0; i < n; i++)
        count[from[i] >> shift & 0xFF]++;
    if (count[from[0] >> shift & 0xFF] == n)
        return false;
    for (int i = 0; i < 256; i++) {
        size_t c = count[i];
        count[i] = at;
        at += c;
    }
    for (size_t i = 0; i < n; i++)
        to[count[from[i] >> shift & 0xFF]++] = from[i];
    return true;
}

// Sort by the bytes from the given bit on, from the lowest; returns where the result is.
static uint64_t *radix_sort(uint64_t *keys, uint64_t *room, size_t n, int first_bit)
{
    for (int shift = first_bit; shift < 64; shift += 8)
        if (radix_pass(keys, room, n, shift)) {
            uint64_t *swap = keys;
            keys = room;
            room = swap;
        }
    return keys;
}

// The upper half of a double tells most values apart, and what it leaves is next to its place;
// unless they are very close together.
static uint64_t *sort_keys(uint64_t *keys, uint64_t *room, size_t n)
{
    uint64_t *half_sorted = radix_sort(keys, room, n, 32);
    size_t alike = 0;
    for (size_t i = 1; i < n; i++)
        alike += (half_sorted[i] ^ half_sorted[i - 1]) >> 32 == 0;
    if (alike <= INSERTION_LIMIT + n / 64)
        return half_sorted;
    return radix_sort(half_sorted, half_sorted == keys ? room : keys, n, 0);
}

void sort_values(double *x, size_t n)
{
    if (n > INSERTION_LIMIT) {
        uint64_t *keys = mem_grow(NULL, 2 * n * sizeof *keys);
        for (size_t i = 0; i < n; i++)
            keys[i] = to_ordered(x[i]);
        const uint64_t *sorted = sort_keys(keys, keys + n, n);
        for (size_t i = 0; i < n; i++)
            x[i] = from_ordered(sorted[i]);
        free(keys);
    }
    sort_few(x, n);
}

// Interpolated as method 8 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996.
double median_of(const double *x, size_t n)
{
    double whole, fraction = modf(1 / 3.0 + 0.5 * ((double)n + 1 / 3.0), &whole);
    size_t k = (size_t)whole;
    if (k == 0)
        return x[0];
    return k >= n ? x[n - 1] : x[k - 1] + fraction * (x[k] - x[k - 1]);
}

// ---- the normal distribution ----------------------------------------------------------------

double normal_cdf(double z)
{
    return erfc(-z / M_SQRT2) / 2;
}

static double polynomial(const double *c, size_t n, double x)
{
    double y = c[0];
    for (size_t i = 1; i < n; i++)
        y = y * x + c[i];
    return y;
}

// P. J. Acklam's rational approximation, with one step of Halley's method.
double normal_quantile(double p)
{
    static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,
                               -2.759285104469687e+02, 1.383577518672690e+02,
                               -3.066479806614716e+01, 2.506628277459239e+00};
    static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02,
                               -1.556989798598866e+02, 6.680131188771972e+01,
                               -1.328068155288572e+01, 1};
    static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01,
                               -2.400758277161838e+00, -2.549732539343734e+00,
                               4.374664141464968e+00,  2.938163982698783e+00};
    static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                               3.754408661907416e+00, 1};
    double x;
    if (p <= 0 || p >= 1)
        return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
    if (p < 0.02425 || p > 1 - 0.02425) {
        double q = sqrt(-2 * go_log(p < 0.5 ? p : 1 - p));
        x = polynomial(c, 6, q) / polynomial(d, 5, q);
        x = p < 0.5 ? x : -x;
    } else {
        double q = p - 0.5, r = q * q;
        x = polynomial(a, 6, r) * q / polynomial(b, 6, r);
    }
    double error = 0.5 * erfc(-x / M_SQRT2) - p;
    double u = error * sqrt(2 * M_PI) * go_exp(x * x / 2);
    return x - u / (1 + x * u / 2);
}

// ---- the geometric mean ---------------------------------------------------------------------

void geomean_add(struct geomean *g, double x)
{
    g->bad |= x <= 0;
    g->n++;
    if (!g->bad)
        g->mean += (go_log(x) - g->mean) / (double)g->n;
}

double geomean_value(const struct geomean *g)
{
    return g->bad || g->n == 0 ? NAN : go_exp(g->mean);
}
