/* BenchmarkFib: F(35), three ways. */
#include "labs/fib/fib.h"
#include "bench/bench.h"

#include <stdio.h>

BENCH_PACKAGE("c-prof-labs/bench")

static void run(struct bench *b, void *arg)
{
    const struct fib_impl *impl = arg;

    while (bench_loop(b))
        bench_sink(impl->fib(35));
}

BENCH(Fib)
{
    char name[64];

    for (const struct fib_impl *i = fib_impls; i->name; i++) {
        snprintf(name, sizeof(name), "impl=%s", i->name);
        bench_run(b, name, run, (void *)i);
    }
}
