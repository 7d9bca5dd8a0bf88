/* BenchmarkHotMutex: four threads, 10,000 items each, some 3.5 microseconds of computation an item.
 * Long enough for the scheduler to spread the threads over the cores even when something else runs,
 * and for the CPU profiler, which sees little of threads shorter than a few kernel ticks. */
#include "labs/mutex/mutex.h"
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

static void run(struct bench *b, void *arg)
{
    const struct mutex_impl *impl = arg;
    const struct mutex_task task = {.workers = 4, .iter = 10000, .units = 2500};
    uint64_t sum;
    int err = 0;

    while (!err && bench_loop(b)) {
        err = impl->run(&task, &sum);
        bench_sink(sum);
    }
    if (err)
        bench_fatal(b, "mutex_%s: %s", impl->name, strerror(-err));
}

BENCH(HotMutex)
{
    char name[64];

    for (const struct mutex_impl *i = mutex_impls; i->name; i++) {
        snprintf(name, sizeof(name), "impl=%s", i->name);
        bench_run(b, name, run, (void *)i);
    }
}
