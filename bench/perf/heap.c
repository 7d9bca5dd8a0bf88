/* What the malloc hooks cost: malloc+free through them, sampled at 512 KiB, and straight to the
 * allocator that they stand before, in turns, in one process. */
#include "bench/perf/measure.h"
#include "prof/pprof.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 41, PAIRS = 500000 };

/* One loop for both: the functions come as pointers, so neither call is cheaper to make than the
 * other. */
static __attribute__((noinline)) double pair_ns(void *(*alloc)(size_t), void (*release)(void *),
                                                size_t bytes)
{
    double start = measure_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < PAIRS; i++) {
        void *p = alloc(bytes);
        __asm__ volatile("" : "+r"(p) : : "memory");
        release(p);
    }
    return (measure_ns(CLOCK_MONOTONIC) - start) / PAIRS;
}

struct cost {
    double plain, hooked;
};

static struct cost measure(size_t bytes)
{
    static double plain[ROUNDS], hooked[ROUNDS];
    void *(*next_malloc)(size_t) = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    void (*next_free)(void *) = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    for (int i = 0; i < ROUNDS; i++) {
        plain[i] = pair_ns(next_malloc, next_free, bytes);
        hooked[i] = pair_ns(malloc, free, bytes);
    }
    return (struct cost){measure_median(plain, ROUNDS), measure_median(hooked, ROUNDS)};
}

int main(void)
{
    prof_set_heap_rate(PROF_HEAP_RATE_DEFAULT);
    struct cost small = measure(64), large = measure(4096);
    bool ok = small.hooked - small.plain <= 2;
    printf("malloc+free of 64 bytes  %.2f ns (plain %.2f ns)  <= 2 ns more  %s\n", small.hooked,
           small.plain, ok ? "ok" : "MISSED");
    /* What is left when the hooks' own cost is taken off comes once every 128 pairs. */
    double sample =
        (large.hooked - large.plain - (small.hooked - small.plain)) * PROF_HEAP_RATE_DEFAULT / 4096;
    printf("one heap sample  %.0f ns  < 3000 ns  %s\n", sample, sample < 3000 ? "ok" : "MISSED");
    return ok && sample < 3000 ? 0 : 1;
}
