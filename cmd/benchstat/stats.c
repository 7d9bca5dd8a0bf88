// stats.c: sorted samples, the normal distribution and the geometric mean.

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- sorting --------------------------------------------------------------------------------

enum { INSERTION_LIMIT = 32, MANY = 4096, MOST_DIGIT_BITS = 11 };

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

struct keys {
    uint64_t *key, *room; // minus the least of them
    size_t n;
};

static void radix_pass(struct keys *k, int shift, int digit_bits)
{
    size_t start[1 << MOST_DIGIT_BITS], at = 0, mask = ((size_t)1 << digit_bits) - 1;
    memset(start, 0, (mask + 1) * sizeof *start);
    for (size_t i = 0; i < k->n; i++)
        start[k->key[i] >> shift & mask]++;
    for (size_t i = 0; i <= mask; i++) {
        size_t count = start[i];
        start[i] = at;
        at += count;
    }
    for (size_t i = 0; i < k->n; i++)
        k->room[start[k->key[i] >> shift & mask]++] = k->key[i];
    uint64_t *swap = k->key;
    k->key = k->room;
    k->room = swap;
}

static void radix_sort(struct keys *k, int from_bit, int to_bit, int digit_bits)
{
    for (int shift = from_bit; shift < to_bit; shift += digit_bits)
        radix_pass(k, shift, digit_bits);
}

// Whether an insertion sort has little left to do where keys are sorted but for their lower bits.
static bool nearly_sorted(const struct keys *k, int lower_bits)
{
    size_t moves = 0, run = 0; // of keys whose upper bits are equal
    uint64_t most = k->key[0];
    for (size_t i = 1; i < k->n && moves <= k->n; i++) {
        run = (k->key[i] ^ k->key[i - 1]) >> lower_bits == 0 ? run + 1 : 0;
        moves += k->key[i] < most ? run : 0;
        most = k->key[i] > most ? k->key[i] : most;
    }
    return moves <= k->n;
}

// Two digits of the bits that differ tell most values apart, and what they leave is next to its
// place; unless the values are very close together.
static void sort_keys(struct keys *k, uint64_t most)
{
    int digit_bits = k->n < MANY ? 8 : MOST_DIGIT_BITS;
    int bits = 64 - (most ? __builtin_clzll(most) : 64);
    int lower = bits > 2 * digit_bits ? bits - 2 * digit_bits : 0;
    radix_sort(k, lower, bits, digit_bits);
    if (lower > 0 && !nearly_sorted(k, lower))
        radix_sort(k, 0, bits, digit_bits);
}

static void sort_many(double *x, size_t n)
{
    struct keys k = {.key = mem_grow(NULL, 2 * n * sizeof *k.key), .n = n};
    uint64_t *both = k.key, least = UINT64_MAX, most = 0;
    k.room = both + n;
    for (size_t i = 0; i < n; i++) {
        uint64_t key = k.key[i] = to_ordered(x[i]);
        least = key < least ? key : least;
        most = key > most ? key : most;
    }
    for (size_t i = 0; i < n; i++)
        k.key[i] -= least;
    sort_keys(&k, most - least);
    for (size_t i = 0; i < n; i++)
        x[i] = from_ordered(k.key[i] + least);
    free(both);
}

void sort_values(double *x, size_t n)
{
    if (n > INSERTION_LIMIT)
        sort_many(x, n);
    sort_few(x, n);
}

// Buckets of values by the upper bits of what tells them apart.
struct buckets {
    uint64_t least;
    int shift;
    size_t count[1 << MOST_DIGIT_BITS];
};

static size_t bucket_of(const struct buckets *b, double x)
{
    return (to_ordered(x) - b->least) >> b->shift;
}

static void count_buckets(struct buckets *b, const double *x, size_t n)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t key = to_ordered(x[i]);
        least = key < least ? key : least;
        most = key > most ? key : most;
    }
    int bits = most > least ? 64 - __builtin_clzll(most - least) : 0;
    b->least = least;
    b->shift = bits > MOST_DIGIT_BITS ? bits - MOST_DIGIT_BITS : 0;
    for (size_t i = 0; i < n; i++)
        b->count[bucket_of(b, x[i])]++;
}

// Only the buckets that hold wanted values are kept and sorted: of a large sample, a few.
void select_values(double *x, size_t n, size_t from, size_t to)
{
    if (n < MANY) {
        sort_values(x, n);
        return;
    }
    struct buckets b = {0};
    count_buckets(&b, x, n);
    size_t first = 0, last, before = 0, kept = 0;
    for (; before + b.count[first] <= from; first++)
        before += b.count[first];
    last = first;
    for (size_t up_to = before + b.count[first]; up_to <= to; up_to += b.count[last])
        last++;
    for (size_t i = 0; i < n; i++) {
        size_t bucket = bucket_of(&b, x[i]);
        x[kept] = x[i]; // to be overwritten by the next unless it is one of them
        kept += bucket >= first && bucket <= last;
    }
    memmove(x + before, x, kept * sizeof *x);
    sort_many(x + before, kept);
    sort_few(x + before, kept);
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
