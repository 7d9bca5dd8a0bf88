/* BenchmarkAllocate: 1000 buffers of 1 KiB an operation. The first operation of the pool fills it,
 * before the loop. */
#include "labs/alloc/alloc.h"
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

static void run(struct bench *b, void *arg)
{
    const struct alloc_impl *impl = arg;
    uint64_t sum;
    int err = impl->allocate(ALLOC_BYTES, ALLOC_COUNT, false, &sum);

    while (!err && bench_loop(b)) {
        err = impl->allocate(ALLOC_BYTES, ALLOC_COUNT, false, &sum);
        bench_sink(sum);
    }
    lab_alloc_release();
    if (err)
        bench_fatal(b, "alloc_%s: %s", impl->name, strerror(-err));
}

BENCH(Allocate)
{
    char name[64];

    for (const struct alloc_impl *i = alloc_impls; i->name; i++) {
        snprintf(name, sizeof(name), "impl=%s", i->name);
        bench_run(b, name, run, (void *)i);
    }
}
