// elementary.c: logarithm, exponential and binomial coefficients, reproducible to the last bit.
//
// A geometric mean is printed with all its digits in CSV, and a p-value may lie exactly on a
// threshold, so "about equal" is not enough: these follow the very steps that Go's runtime takes on
// x86-64, on any machine. The makefile switches contraction of a*b+c off for this folder; where a
// fused operation belongs, it is written fma.
//
// log: fdlibm's e_log.c and lgamma: its e_lgamma_r.c: Copyright (C) 1993 by Sun Microsystems, Inc.
// Developed at SunPro, a Sun Microsystems, Inc. business. Permission to use, copy, modify, and
// distribute this software is freely granted, provided that this notice is preserved.
// exp: N. Shibata, "Efficient evaluation methods of elementary functions suitable for SIMD
// computation", 2010; his SLEEF of that time is in the public domain.

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <string.h>

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// x = 2^k * (1 + f) with sqrt(2)/2 <= 1+f < sqrt(2); log(1+f) from a polynomial in f/(2+f).
// The exponent is read off without regard to subnormal numbers, as Go reads it.
double go_log(double x)
{
    static const double L[] = {6.666666666666735130e-01, 3.999999999940941908e-01,
                               2.857142874366239149e-01, 2.222219843214978396e-01,
                               1.818357216161805012e-01, 1.531383769920937332e-01,
                               1.479819860510658591e-01};
    if (x == 0)
        return -INFINITY;
    if (x < 0)
        return NAN;
    if (!isfinite(x))
        return x;
    uint64_t bits = bits_of(x);
    double k = (double)((int)(bits >> 52 & 0x7FF) - 0x3FE);
    double f = of_bits((bits & UINT64_C(0xFFFFFFFFFFFFF)) | UINT64_C(0x3FE0000000000000));
    if (f <= M_SQRT1_2) {
        k -= 1;
        f *= 2;
    }
    f -= 1;
    double s = f / (2 + f), s2 = s * s, s4 = s2 * s2;
    double odd = s2 * (L[0] + s4 * (L[2] + s4 * (L[4] + s4 * L[6])));
    double even = s4 * (L[1] + s4 * (L[3] + s4 * L[5]));
    double half_square = 0.5 * f * f;
    double low = s * (half_square + (odd + even)) + k * 1.90821492927058770002e-10;
    return k * 6.93147180369123816490e-01 - ((half_square - low) - f);
}

// x = k*ln 2 + 16r; e^r - 1 from its Taylor series, then squared four times: with e = e^y - 1,
// e^2y - 1 = e*(e + 2).
double go_exp(double x)
{
    static const double taylor[] = {2.4801587301587301587e-5,
                                    1.9841269841269841270e-4,
                                    1.3888888888888888889e-3,
                                    8.3333333333333333333e-3,
                                    4.1666666666666666667e-2,
                                    1.6666666666666666667e-1,
                                    0.5,
                                    1};
    if (!isfinite(x))
        return x < 0 ? 0 : x;
    if (x > 7.09782712893384e+02)
        return INFINITY;
    if (x < -800)
        return 0;
    double k = nearbyint(x * M_LOG2E);
    double r = fma(-k, 0.69314718055966295651160180568695068359375, x);
    r = fma(-k, 0.28235290563031577122588448175013436025525412068e-12, r) * 0.0625;
    double e = taylor[0];
    for (size_t i = 1; i < sizeof taylor / sizeof *taylor; i++)
        e = fma(e, r, taylor[i]);
    e *= r;
    for (int i = 0; i < 3; i++)
        e *= e + 2;
    e = fma(e, e + 2, 1);
    return k > 1023 ? INFINITY : ldexp(e, (int)k); // a little early, as there
}

// log((n-1)!), that is lgamma(n), for n >= 1.
static double log_gamma(int n)
{
    static const double W[] = {4.18938533204672725052e-01,  8.33333333333329678849e-02,
                               -2.77777777728775536470e-03, 7.93650558643019558500e-04,
                               -5.95187557450339963135e-04, 8.36339918996282139126e-04,
                               -1.63092934096575273989e-03};
    static const double factorial[] = {1, 1, 2, 6, 24, 120, 720};
    if (n < 8)
        return n < 3 ? 0 : go_log(factorial[n - 1]);
    double t = go_log(n), z = 1.0 / n, y = z * z;
    double w = W[0] + z * (W[1] + y * (W[2] + y * (W[3] + y * (W[4] + y * (W[5] + y * W[6])))));
    return (n - 0.5) * (t - 1) + w;
}

// Exact up to n = 20; for more, from logarithms.
double choose(int n, int k)
{
    if (k == 0 || k == n)
        return 1;
    if (k < 0 || n < k)
        return 0;
    if (n > 20)
        return go_exp(log_gamma(n + 1) - log_gamma(k + 1) - log_gamma(n - k + 1));
    int64_t numerator = 1, denominator = 1;
    for (int i = 1; i <= k; i++) {
        numerator *= n - k + i;
        denominator *= i;
    }
    return (double)(numerator / denominator);
}
