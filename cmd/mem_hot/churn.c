/* mem_hot -gc and -alloc: the same buffers with memory from a collector, from malloc, tcmalloc, a
 * pool or an arena, and what each took.
 *
 *   GOGC=50 GODEBUG=gctrace=1 bin/mem_hot -gc -hold=false */
#include "cmd/mem_hot/mem_hot.h"
#include "cmd/options.h"
#include "prof/pprof.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    const struct churn_way *way;
    struct gc_settings settings;
    struct churn_work work;
    int64_t wall_ns, peak_bytes;
    struct gc_stats gc;
} run;

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- settings -------------------------------------------------------------------------------- */

/* A flag is stronger than its variable. */
static const char *flag_or_variable(const char *flag, const char *variable)
{
    return flag ? flag : getenv(variable);
}

static void read_settings(const struct churn_flags *flags)
{
    const char *gogc = flag_or_variable(flags->gogc, "GOGC");
    const char *limit = flag_or_variable(flags->gomemlimit, "GOMEMLIMIT");

    run.settings =
        (struct gc_settings){GC_PERCENT_DEFAULT, GC_LIMIT_NONE, gc_parse_trace(getenv("GODEBUG"))};
    if (gc_parse_percent(gogc, &run.settings.percent))
        option_misuse("%s '%s': expected " GC_PERCENT_TAKES, flags->gogc ? "-gogc" : "GOGC", gogc);
    if (gc_parse_limit(limit, &run.settings.limit_bytes))
        option_misuse("%s '%s': expected " GC_LIMIT_TAKES,
                      flags->gomemlimit ? "-gomemlimit" : "GOMEMLIMIT", limit);
}

static const struct churn_way *find_way(const struct churn_flags *flags)
{
    const char *name = flags->alloc ? flags->alloc : "gc";
    const struct churn_way *way = churn_way_find(name);

    if (!way)
        option_misuse("-alloc '%s': expected gc, malloc, tcmalloc, pool or arena", name);
    if (flags->gc && way != &churn_gc)
        option_misuse("-gc and -alloc %s exclude each other: give one of them", name);
    if (!churn_way_works(way))
        option_misuse("-alloc %s: this program is built without it, as those with a sanitizer are; "
                      "use malloc",
                      name);
    return way;
}

bool churn_wanted(const struct churn_flags *flags)
{
    if (flags->gc || flags->alloc) {
        run.way = find_way(flags);
        if (run.way != &churn_gc && (flags->gogc || flags->gomemlimit || flags->gclog))
            option_misuse("-gogc, -gomemlimit and -gclog are for the collector, not for -alloc %s",
                          run.way->name);
        if (run.way == &churn_gc)
            read_settings(flags);
        return true;
    }
    if (flags->gogc || flags->gomemlimit || flags->gclog)
        option_misuse("-gogc, -gomemlimit and -gclog are for the collector: add -gc");
    if (flags->keep || flags->threads != 1)
        option_misuse("-keep and -threads need -gc or -alloc");
    return false;
}

/* ---- the run --------------------------------------------------------------------------------- */

static void describe(char *out, size_t size)
{
    char limit[32] = "off", percent[16] = "off";

    if (run.settings.percent != GC_PERCENT_OFF)
        snprintf(percent, sizeof percent, "%d", run.settings.percent);
    if (run.settings.limit_bytes != GC_LIMIT_NONE)
        snprintf(limit, sizeof limit, "%.4gMiB", (double)run.settings.limit_bytes / (1 << 20));
    snprintf(out, size, "gogc=%s limit=%s", percent, limit);
}

int churn_measure(const struct churn_flags *flags, size_t bytes, int count, bool hold,
                  uint64_t *sum)
{
    struct prof_memstats memory;
    char title[80];

    run.work = (struct churn_work){.way = run.way,
                                   .bytes = bytes,
                                   .count = count,
                                   .hold = hold,
                                   .keep = (int)flags->keep,
                                   .threads = (int)flags->threads};
    if (run.way == &churn_gc) {
        gc_start(&run.settings);
        history_start(flags->gclog);
    }
    const int64_t start_ns = now_ns();
    int err = churn_run(&run.work, sum);
    run.wall_ns = now_ns() - start_ns;
    prof_memstats(&memory); /* before a profile is written, which takes memory, too */
    run.peak_bytes = (int64_t)memory.peak_resident_bytes;
    if (!err && run.way == &churn_gc) {
        gc_stats_read(&run.gc);
        describe(title, sizeof title);
        history_write(title, &run.gc);
    }
    return err;
}

/* ---- what it took ---------------------------------------------------------------------------- */

static double mib(int64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_collector(void)
{
    const struct gc_stats *s = &run.gc;
    char settings[80];

    describe(settings, sizeof settings);
    printf("collector %s collections=%" PRIu64, settings, s->collections);
    if (run.settings.limit_bytes == GC_LIMIT_NONE && run.settings.percent == 0)
        printf(" predicted=-"); /* as often as half of the time allows */
    else if (run.settings.limit_bytes == GC_LIMIT_NONE)
        printf(" predicted=%" PRId64,
               predict_collections(&(struct prediction){
                   .object_bytes = (double)s->allocated_bytes / (run.work.count + !run.work.count),
                   .count = run.work.count,
                   .keep = run.work.hold ? run.work.count : run.work.keep,
                   .percent = run.settings.percent}));
    else
        printf(" for_the_limit=%" PRIu64, s->limited);
    printf(" pause_total_ms=%.2f pause_max_ms=%.3f share=%.1f%%", (double)s->pause_total_ns / 1e6,
           (double)s->pause_max_ns / 1e6, s->share * 100);
    printf(" live_mib=%.1f heap_peak_mib=%.1f system_peak_mib=%.1f\n", mib(s->live_bytes),
           mib(s->heap_peak_bytes), mib(s->system_peak_bytes));
}

void churn_print(void)
{
    printf("took alloc=%s wall_ms=%.1f peak_mib=%.1f\n", run.way->name, (double)run.wall_ns / 1e6,
           mib(run.peak_bytes));
    if (run.way == &churn_gc)
        print_collector();
}
