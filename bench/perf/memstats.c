/* What one look at the program's memory costs: prof_memstats with two allocated blocks in three
 * still in use, and a thousand stacks among the heap's samples. */
#include "bench/perf/measure.h"
#include "prof/pprof.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 101, DEPTH = 10, BLOCKS = 200 };

static void *keep[1 << DEPTH][BLOCKS];

/* Every path through the calls is a stack of its own: two to the power of DEPTH. */
static __attribute__((noinline)) void allocate(unsigned path, int depth)
{
    if (depth == 0) {
        for (int i = 0; i < BLOCKS; i++)
            keep[path][i] = malloc(1000);
        for (int i = 0; i < BLOCKS; i += 3)
            free(keep[path][i]);
        return;
    }
    allocate(path * 2, depth - 1);
    __asm__ volatile("" : : : "memory"); /* a call, not a jump: it leaves a frame */
    allocate(path * 2 + 1, depth - 1);
    __asm__ volatile("" : : : "memory");
}

int main(void)
{
    static double took[ROUNDS];
    struct prof_memstats m;

    prof_set_heap_rate(16384);
    allocate(0, DEPTH);
    for (int i = 0; i < ROUNDS; i++) {
        double start = measure_ns(CLOCK_MONOTONIC);
        prof_memstats(&m);
        took[i] = (measure_ns(CLOCK_MONOTONIC) - start) / 1000;
    }
    double us = measure_median(took, ROUNDS);
    printf("prof_memstats with %d stacks  %.0f us  < 200 us  %s\n", (int)prof_count("heap"), us,
           us < 200 ? "ok" : "MISSED");
    return us < 200 ? 0 : 1;
}
