/* What a benchmark's body may ask of its measurement: the timer, the loop's two ends, and what goes
 * into the result. Allocations are counted over the same span as time; the count is read outside of
 * the time. */
#include "bench/internal.h"

#include <ctype.h>
#include <string.h>

void bench_start_timer(struct bench *b)
{
    struct bench_state *s = bench_state(b);

    if (s->timer_on)
        return;
    prof_alloc_counts(&s->start_counts);
    s->timer_on = true;
    s->start_ns = bench_now_ns();
}

void bench_stop_timer(struct bench *b)
{
    struct bench_state *s = bench_state(b);
    struct prof_alloc_counts now;

    if (!s->timer_on)
        return;
    s->duration_ns += bench_now_ns() - s->start_ns;
    s->timer_on = false;
    prof_alloc_counts(&now);
    s->allocs += now.mallocs - s->start_counts.mallocs;
    s->alloc_bytes += now.alloc_bytes - s->start_counts.alloc_bytes;
}

static void restart_timer(struct bench_state *s)
{
    s->duration_ns = 0;
    s->allocs = s->alloc_bytes = 0;
    if (s->timer_on) {
        prof_alloc_counts(&s->start_counts);
        s->start_ns = bench_now_ns();
    }
}

void bench_reset_timer(struct bench *b)
{
    struct bench_state *s = bench_state(b);

    s->nmetrics = 0;
    restart_timer(s);
}

int64_t bench_elapsed_ns(const struct bench *b)
{
    struct bench_state *s = bench_state(b);

    return s->duration_ns + (s->timer_on ? bench_now_ns() - s->start_ns : 0);
}

/* iterations_left is 0 before the loop, counts from n to 1 while it runs, and is 0 again after it.
 */
bool bench_loop_edge(struct bench *b)
{
    struct bench_state *s = bench_state(b);

    if (b->iterations_left == 0 && !s->looped) {
        s->looped = s->loop_open = true;
        b->iterations_left = (uint64_t)s->n;
        restart_timer(s);
        return true;
    }
    if (s->loop_open)
        bench_stop_timer(b);
    s->loop_open = false;
    b->iterations_left = 0;
    return false;
}

int64_t bench_n(const struct bench *b)
{
    bench_state(b)->looped = true;
    return bench_state(b)->n;
}

int bench_procs(const struct bench *b)
{
    return bench_state(b)->context->procs;
}

void bench_set_bytes(struct bench *b, int64_t bytes)
{
    bench_state(b)->bytes = bytes;
}

void bench_report_allocs(struct bench *b)
{
    bench_state(b)->report_allocs = true;
}

static const char *metric_fault(const struct bench_state *s, const char *unit, int place)
{
    size_t len = strlen(unit);

    if (!len)
        return "the unit is empty";
    for (const char *p = unit; *p; p++)
        if (isspace((unsigned char)*p))
            return "the unit has white space in it";
    if (len >= sizeof(s->metrics[0].unit))
        return "the unit is longer than 63 bytes";
    return place == BENCH_METRICS_MAX ? "there are 32 metrics already" : NULL;
}

void bench_report_metric(struct bench *b, double value, const char *unit)
{
    struct bench_state *s = bench_state(b);
    int i = 0;

    while (i < s->nmetrics && strcmp(s->metrics[i].unit, unit) != 0)
        i++;
    const char *fault = metric_fault(s, unit, i);
    if (fault) {
        bench_harness_error(s, "bench_report_metric(\"%s\"): %s", unit, fault);
        return;
    }
    strcpy(s->metrics[i].unit, unit);
    s->metrics[i].value = value;
    s->nmetrics += i == s->nmetrics;
}
