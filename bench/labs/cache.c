/* BenchmarkCache: 5000 requests an operation, to a cache that starts empty. held-B/op is what it
 * holds then, hit-% how many requests it answered: what a bound saves, and what it costs. */
#include "labs/cache/cache.h"
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

static void run(struct bench *b, void *arg)
{
    const struct cache_impl *impl = arg;
    struct cache_stats stats = {0};
    uint64_t sum = 0;
    int err = 0;

    while (!err && bench_loop(b)) {
        struct cache *c = cache_new();
        err = c ? impl->answer(c, CACHE_COUNT, &sum) : -1;
        bench_sink(sum);
        bench_stop_timer(b);
        if (c) {
            stats = cache_look(c);
            cache_free(c);
        }
        bench_start_timer(b);
    }
    if (err)
        bench_fatal(b, "cache_%s: no memory", impl->name);
    bench_report_metric(b, (double)stats.held_bytes, "held-B/op");
    bench_report_metric(b, 100.0 * (double)stats.hits / (double)(stats.requests + !stats.requests),
                        "hit-%");
}

BENCH(Cache)
{
    char name[64];

    for (const struct cache_impl *i = cache_impls; i->name; i++) {
        snprintf(name, sizeof(name), "impl=%s", i->name);
        bench_run(b, name, run, (void *)i);
    }
}
