/* What CPU profiling costs the program that is profiled: the same recursion without, at 100 Hz and
 * at 1000 Hz, in turns, in CPU time of the process, so that other programs on the machine hardly
 * matter. */
#include "bench/perf/measure.h"
#include "labs/fib/fib.h"
#include "prof/pprof.h"

#include <stdio.h>

enum { ROUNDS = 61, N = 32 };

static double work_ns(int hz)
{
    if (hz)
        prof_cpu_start(hz);
    double start = measure_ns(CLOCK_PROCESS_CPUTIME_ID);
    volatile uint64_t sink = fib_recursive(N);
    (void)sink;
    double took = measure_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
    if (hz)
        prof_cpu_stop(-1);
    return took;
}

int main(void)
{
    static double off[ROUNDS], again[ROUNDS], at_100[ROUNDS], at_1000[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        off[i] = work_ns(0);
        at_100[i] = work_ns(100);
        again[i] = work_ns(0);
        at_1000[i] = work_ns(1000);
    }
    double base = (measure_median(off, ROUNDS) + measure_median(again, ROUNDS)) / 2;
    double noise = 100 * (measure_median(again, ROUNDS) / measure_median(off, ROUNDS) - 1);
    double slow = 100 * (measure_median(at_100, ROUNDS) / base - 1),
           fast = 100 * (measure_median(at_1000, ROUNDS) / base - 1);
    printf("CPU profile at 100 Hz  %+.2f %% (noise %+.2f %%)  < 1 %%  %s\n", slow, noise,
           slow < 1 ? "ok" : "MISSED");
    printf("CPU profile at 1000 Hz  %+.2f %%  < 4 %%  %s\n", fast, fast < 4 ? "ok" : "MISSED");
    return slow < 1 && fast < 4 ? 0 : 1;
}
