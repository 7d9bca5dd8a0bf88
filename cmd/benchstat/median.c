// median.c: how sure a median is.
//
// How many values of a sample fall below the true median is binomially distributed, whatever the
// values' own distribution. The confidence interval is the narrowest pair of order statistics that
// holds the median often enough: summed outwards from the middle for small samples, from the
// normal approximation for large ones. (https://online.stat.psu.edu/stat415/lesson/19/19.2)

#include "cmd/benchstat/benchstat.h"

#include <math.h>

enum {
    EXACT_LIMIT = 30, // samples up to here use the binomial distribution itself
    MOST_SAMPLES_ASKED = 50
};

// The probability that exactly k of n values lie below the median.
static double binomial(int n, int k)
{
    return k < 0 || k > n ? 0 : choose(n, k) * ldexp(1, -k) * ldexp(1, k - n);
}

// Add the likelier neighbour, the left one if equal, until the confidence is reached.
static struct interval exact_interval(int n, double confidence)
{
    int lo = (int)ceil((n + 1) * 0.5) - 1, hi = lo + 1;
    double sum = binomial(n, lo), left = binomial(n, lo - 1), right = binomial(n, hi);
    while (sum < confidence && (left > 0 || right > 0)) {
        if (left >= right) {
            sum += left;
            lo--;
            left = binomial(n, lo - 1);
        } else {
            sum += right;
            hi++;
            right = binomial(n, hi);
        }
    }
    return (struct interval){lo, hi, sum};
}

// The normal curve's weight over the whole numbers lo to hi-1 of the binomial distribution.
static double weight(double mean, double sigma, double lo, double hi)
{
    double width = sigma * M_SQRT2;
    return erfc(-(hi - 0.5 - mean) / width) / 2 - erfc(-(lo - 0.5 - mean) / width) / 2;
}

static struct interval approximate_interval(size_t n, double confidence)
{
    double mean = (double)n * 0.5, sigma = sqrt((double)n * 0.5 * 0.5);
    double left = normal_quantile((1 - confidence) / 2) * sigma + mean, right = 2 * mean - left;
    double lo = floor(floor(left - 0.5) + 0.5) + 1, hi = floor(ceil(right - 0.5) + 0.5) + 1;
    struct interval ci = {(long)lo, (long)hi, weight(mean, sigma, lo, hi)};
    // The interval is symmetric; without its last step it may still suffice.
    double narrower = weight(mean, sigma, lo, hi - 1);
    if (narrower >= confidence && narrower < ci.confidence) {
        ci.confidence = narrower;
        ci.hi--;
    }
    if (ci.lo <= 0 && ci.hi >= (long)n + 1)
        ci.confidence = 1;
    return ci;
}

static struct interval interval_for(size_t n, double confidence)
{
    struct interval ci = {0, (long)n + 1, 1};
    if (!(confidence >= 1))
        ci = n <= EXACT_LIMIT ? exact_interval((int)n, confidence)
                              : approximate_interval(n, confidence);
    ci.lo = ci.lo < 0 ? 0 : ci.lo;
    ci.hi = ci.hi > (long)n + 1 ? (long)n + 1 : ci.hi;
    return ci;
}

// Most samples are of few sizes.
struct interval median_interval(size_t n, double confidence)
{
    static struct known {
        double confidence;
        size_t n;
        struct interval ci;
    } known[2 * EXACT_LIMIT];
    struct known *k = &known[n % (2 * EXACT_LIMIT)];
    if (k->n != n || k->confidence != confidence)
        *k = (struct known){confidence, n, interval_for(n, confidence)};
    return k->ci;
}

const char *median_samples_needed(double confidence, int *n)
{
    for (*n = 2; *n <= MOST_SAMPLES_ASKED; ++*n) {
        struct interval ci = median_interval((size_t)*n, confidence);
        if (ci.lo > 0 && ci.hi <= *n)
            return ">=";
    }
    *n = MOST_SAMPLES_ASKED;
    return ">";
}
