/* BenchmarkSlice: 500 messages of 16 KiB an operation, of which an index keeps the ids. held-B/op
 * is what the index then keeps from being freed; letting go of it is not measured. */
#include "labs/slice/slice.h"
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

static void run(struct bench *b, void *arg)
{
    const struct slice_impl *impl = arg;
    size_t held = 0;
    int err = 0;

    while (!err && bench_loop(b)) {
        struct slice_index *index = slice_index_new();
        err = index ? impl->keep(index, SLICE_COUNT) : -1;
        bench_stop_timer(b);
        if (index) {
            held = slice_index_held(index);
            bench_sink(slice_index_checksum(index));
            slice_index_free(index);
        }
        bench_start_timer(b);
    }
    if (err)
        bench_fatal(b, "slice_%s: no memory", impl->name);
    bench_report_metric(b, (double)held, "held-B/op");
}

BENCH(Slice)
{
    char name[64];

    for (const struct slice_impl *i = slice_impls; i->name; i++) {
        snprintf(name, sizeof(name), "impl=%s", i->name);
        bench_run(b, name, run, (void *)i);
    }
}
