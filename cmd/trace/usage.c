/* How busy the CPUs were, and how many threads ran, or would have run, at once. */
#include "cmd/trace/array.h"
#include "cmd/trace/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS = 256, SHOWN_LEVELS = 17, BAR = 40 };

static void print_cpus(const struct trace_view *v)
{
    const struct trace *t = v->t;
    struct grid g;

    grid_begin(&g, "CPU|busy|share|runs|longest run|<");
    for (uint32_t i = 0; i < t->ncpus; i++) {
        const struct trace_range *range = &t->cpus[i].runs;
        struct tally runs = {0};
        for (uint32_t k = range->first; k < range->first + range->n; k++) {
            const struct trace_run *r = &t->runs[k];
            int64_t ns = view_overlap(v, r->start_ns, r->end_ns);
            if (ns && view_thread(v, r->thread))
                tally_add(&runs, ns);
        }
        grid_cell(&g, "%u", t->cpus[i].number);
        grid_time(&g, runs.sum_ns);
        grid_share(&g, runs.sum_ns, v->to_ns - v->from_ns);
        grid_cell(&g, "%" PRIu64, runs.n);
        grid_time(&g, runs.max_ns);
        grid_cell(&g, "%s", bar(runs.sum_ns, v->to_ns - v->from_ns, BAR));
    }
    grid_end(&g);
}

/* ---- parallelism ----------------------------------------------------------------------------- */

struct step { /* one thread more or less is in a state */
    int64_t ns;
    int8_t running, runnable;
};

struct levels {
    int64_t running_ns[LEVELS]; /* how long so many ran; the last: so many or more */
    int64_t running_sum, runnable_sum, waiting_ns;
};

static uint32_t collect_steps(const struct trace_view *v, struct step **steps)
{
    const struct trace *t = v->t;
    uint32_t n = 0, capacity = 0;

    for (uint32_t i = 0; i < t->nthreads; i++) {
        const struct trace_range *range = &t->threads[i].states;
        if (!view_thread(v, i))
            continue;
        for (uint32_t k = range->first; k < range->first + range->n; k++) {
            const struct trace_state *s = &t->states[k];
            int8_t running = s->kind == TRACE_RUNNING, runnable = s->kind == TRACE_RUNNABLE;
            if (!(running || runnable) || !view_overlap(v, s->start_ns, s->end_ns))
                continue;
            int64_t from = s->start_ns > v->from_ns ? s->start_ns : v->from_ns;
            int64_t to = s->end_ns < v->to_ns ? s->end_ns : v->to_ns;
            *steps = array_grow(*steps, n, &capacity, sizeof **steps);
            (*steps)[n++] = (struct step){from, running, runnable};
            *steps = array_grow(*steps, n, &capacity, sizeof **steps);
            (*steps)[n++] = (struct step){to, (int8_t)-running, (int8_t)-runnable};
        }
    }
    array_sort_by_time(*steps, n, sizeof **steps);
    return n;
}

static void add_up(const struct trace_view *v, const struct step *steps, uint32_t n,
                   struct levels *l)
{
    int64_t now = v->from_ns;
    int running = 0, runnable = 0;

    for (uint32_t i = 0; i <= n; i++) {
        int64_t next = i < n ? steps[i].ns : v->to_ns, ns = next - now;
        l->running_ns[running < 0 ? 0 : running < LEVELS ? running : LEVELS - 1] += ns;
        l->running_sum += ns * running;
        l->runnable_sum += ns * runnable;
        l->waiting_ns += runnable > 0 ? ns : 0;
        now = next;
        if (i < n) {
            running += steps[i].running;
            runnable += steps[i].runnable;
        }
    }
}

static void print_levels(const struct trace_view *v, const struct levels *l)
{
    int64_t whole = v->to_ns - v->from_ns;
    double length = whole ? (double)whole : 1;
    int last = LEVELS - 1;
    struct grid g;

    heading("Parallelism");
    printf("  on average %.2f threads ran, and %.2f were ready and had no CPU (at least one in "
           "%.1f%% of the time)\n",
           (double)l->running_sum / length, (double)l->runnable_sum / length,
           100 * (double)l->waiting_ns / length);
    while (last > 0 && l->running_ns[last] == 0)
        last--;
    grid_begin(&g, "threads running|time|share|<");
    for (int i = 0; i <= last; i++) {
        if (i >= SHOWN_LEVELS && l->running_ns[i] == 0)
            continue;
        grid_cell(&g, "%d%s", i, i == LEVELS - 1 ? " or more" : "");
        grid_time(&g, l->running_ns[i]);
        grid_share(&g, l->running_ns[i], whole);
        grid_cell(&g, "%s", bar(l->running_ns[i], whole, BAR));
    }
    grid_end(&g);
}

void print_usage(const struct trace_view *v)
{
    struct step *steps = NULL;
    struct levels l = {0};

    if (!v->t->has_sched)
        return;
    heading("CPUs");
    print_cpus(v);
    uint32_t n = collect_steps(v, &steps);
    add_up(v, steps, n, &l);
    print_levels(v, &l);
    free(steps);
}
