/* BenchmarkReturn, BenchmarkArray and BenchmarkCallback: where a result, an array and what a
 * callback captures live. 1000 of them an operation; allocs/op says where from. */
#include "labs/escape/escape.h"
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

static void run(struct bench *b, void *arg)
{
    const struct escape_impl *impl = arg;
    uint64_t sum = 0;
    int err = 0;

    bench_report_allocs(b);
    while (!err && bench_loop(b)) {
        err = impl->run(ESCAPE_COUNT, &sum);
        bench_sink(sum);
    }
    if (err)
        bench_fatal(b, "%s: %s", impl->name, strerror(-err));
}

static void run_table(struct bench *b, const struct escape_impl *table)
{
    char name[64];

    for (const struct escape_impl *i = table; i->name; i++) {
        snprintf(name, sizeof(name), "impl=%s", i->name);
        bench_run(b, name, run, (void *)i);
    }
}

BENCH(Return)
{
    run_table(b, return_impls);
}

BENCH(Array)
{
    run_table(b, array_impls);
}

BENCH(Callback)
{
    run_table(b, callback_impls);
}
