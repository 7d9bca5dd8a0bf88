/* What the measurements share: a clock, and the median of runs in turns. */
#ifndef BENCH_PERF_MEASURE_H
#define BENCH_PERF_MEASURE_H

#include <stdlib.h>
#include <time.h>

static inline double measure_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static inline int measure_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the n values, n odd. */
static inline double measure_median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, measure_ascending);
    return v[n / 2];
}
#endif
