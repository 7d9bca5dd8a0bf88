/* BenchmarkLoop: what the harness itself costs, an iteration that does nothing. The bar is 1 ns. */
#include "bench/bench.h"

BENCH(Loop)
{
    while (bench_loop(b))
        __asm__ volatile(
            ""
            :
            :
            : "memory"); /* else the compiler sees through the loop and leaves it out */
}
