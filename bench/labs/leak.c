/* BenchmarkLeak: a crew of four threads an operation. What is left of them is the result, more than
 * the time. So that the leaky one does not run out of threads, what it left is ended now and then
 * while the timer stands. */
#include "labs/leak/leak.h"
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

enum { LEFT_MAX = 200 };

static void run(struct bench *b, void *arg)
{
    const struct leak_impl *impl = arg;
    int64_t left = 0;
    uint64_t sum;
    int err = 0;

    while (!err && bench_loop(b)) {
        err = impl->run(LEAK_WORKERS, &sum);
        bench_sink(sum);
        if (lab_leak_count() >= LEFT_MAX) {
            bench_stop_timer(b);
            left += lab_leak_stop(0);
            bench_start_timer(b);
        }
    }
    left += lab_leak_stop(0);
    if (err)
        bench_fatal(b, "leak_%s: %s", impl->name, strerror(-err));
    bench_report_metric(b, (double)left / (double)bench_n(b), "threads-left/op");
}

BENCH(Leak)
{
    char name[64];

    for (const struct leak_impl *i = leak_impls; i->name; i++) {
        snprintf(name, sizeof(name), "impl=%s", i->name);
        bench_run(b, name, run, (void *)i);
    }
}
