/* Switches become runs: which thread was on which CPU, from when to when, and why it left. */
#include "cmd/trace/reader.h"

#include <stdlib.h>
#include <string.h>

struct cpu { /* as the switches are walked */
    uint32_t number;
    uint32_t thread; /* NONE: nobody that the trace speaks of, or not known yet */
    int64_t since_ns;
    bool seen;
};

struct scheduler {
    struct reader *r;
    struct trace *t;
    struct cpu *cpus; /* as they appear */
    uint32_t ncpus, ccpus, cruns;
    struct id_map cpu_of;
};

static uint32_t cpu_index(struct scheduler *s, uint32_t number)
{
    uint32_t i = id_map_get(&s->cpu_of, number);

    if (i == TRACE_NONE) {
        i = s->ncpus++;
        s->cpus = array_grow(s->cpus, i, &s->ccpus, sizeof *s->cpus);
        s->cpus[i] = (struct cpu){.number = number, .thread = TRACE_NONE};
        id_map_set(&s->cpu_of, number, i);
    }
    return i;
}

static void add_run(struct scheduler *s, uint32_t cpu, uint32_t thread, int64_t from, int64_t to,
                    int end)
{
    struct trace *t = s->t;

    if (to < from || thread == TRACE_NONE)
        return;
    t->runs = array_grow(t->runs, t->nruns, &s->cruns, sizeof *t->runs);
    t->runs[t->nruns++] = (struct trace_run){from, to, thread, (uint16_t)cpu, (uint8_t)end};
}

/* Nothing says when the thread left: an ending one leaves without a word, for others a record is
 * missing. */
static void add_unended(struct scheduler *s, uint32_t i, int64_t ns)
{
    const struct cpu *cpu = &s->cpus[i];

    if (cpu->thread == TRACE_NONE)
        return;
    const struct trace_thread *t = &s->t->threads[cpu->thread];
    if (t->exited && t->end_ns >= cpu->since_ns && t->end_ns < ns)
        add_run(s, i, cpu->thread, cpu->since_ns, t->end_ns, TRACE_RUN_BLOCKED);
    else
        add_run(s, i, cpu->thread, cpu->since_ns, ns, TRACE_RUN_UNKNOWN);
}

/* A CPU's first word may be that a thread leaves it: that ran from the beginning, unless what came
 * before was lost. */
static int64_t first_start(const struct scheduler *s, uint32_t thread, int64_t ns)
{
    const struct trace_thread *t = &s->t->threads[thread];

    if (s->r->dropped)
        return ns;
    return t->started && t->start_ns < ns ? t->start_ns : s->t->start_ns;
}

static void leave(struct scheduler *s, uint32_t i, const struct raw_switch *w)
{
    struct cpu *cpu = &s->cpus[i];
    int end = w->preempted ? TRACE_RUN_PREEMPTED : TRACE_RUN_BLOCKED;

    if (w->prev_tid == SWITCH_PREV_RUNNING ||
        (cpu->thread != TRACE_NONE && s->t->threads[cpu->thread].tid == w->prev_tid)) {
        add_run(s, i, cpu->thread, cpu->since_ns, w->ns, end);
    } else {
        add_unended(s, i, w->ns);
        uint32_t thread = thread_at(s->r, w->prev_tid, w->ns);
        if (thread != TRACE_NONE && !cpu->seen)
            add_run(s, i, thread, first_start(s, thread, w->ns), w->ns, end);
    }
    cpu->thread = TRACE_NONE;
}

static void walk(struct scheduler *s, const struct raw_switch *w)
{
    uint32_t i = cpu_index(s, w->cpu);

    if (w->prev_tid || s->cpus[i].thread != TRACE_NONE)
        leave(s, i, w);
    s->cpus[i].thread = thread_at(s->r, w->next_tid, w->ns);
    s->cpus[i].since_ns = w->ns;
    s->cpus[i].seen = true;
}

static int compare_cpus(const void *a, const void *b)
{
    uint32_t x = ((const struct trace_cpu *)a)->number, y = ((const struct trace_cpu *)b)->number;
    return (x > y) - (x < y);
}

/* CPUs in the order of their numbers, and the runs of each together, by time. */
static void group_by_cpu(struct scheduler *s)
{
    struct trace *t = s->t;
    uint32_t *place = array_resize(NULL, s->ncpus, sizeof *place), first = 0;
    struct trace_run *runs = array_resize(NULL, t->nruns, sizeof *runs);

    t->ncpus = s->ncpus;
    t->cpus = array_resize(NULL, t->ncpus, sizeof *t->cpus);
    for (uint32_t i = 0; i < t->ncpus; i++)
        t->cpus[i] = (struct trace_cpu){.number = s->cpus[i].number};
    if (t->ncpus)
        qsort(t->cpus, t->ncpus, sizeof *t->cpus, compare_cpus);
    for (uint32_t i = 0; i < t->ncpus; i++)
        place[id_map_get(&s->cpu_of, t->cpus[i].number)] = i;
    for (uint32_t i = 0; i < t->nruns; i++) {
        t->runs[i].cpu = (uint16_t)place[t->runs[i].cpu];
        t->cpus[t->runs[i].cpu].runs.n++;
    }
    for (uint32_t i = 0; i < t->ncpus; i++) {
        t->cpus[i].runs.first = first;
        first += t->cpus[i].runs.n;
        t->cpus[i].runs.n = 0;
    }
    for (uint32_t i = 0; i < t->nruns; i++) {
        struct trace_range *range = &t->cpus[t->runs[i].cpu].runs;
        runs[range->first + range->n++] = t->runs[i];
    }
    free(t->runs);
    t->runs = runs;
    free(place);
}

void build_runs(struct reader *r)
{
    struct scheduler s = {.r = r, .t = r->t};

    array_sort_by_time(r->switches, r->nswitches, sizeof *r->switches);
    for (uint32_t i = 0; i < r->nswitches; i++)
        if (r->switches[i].cpu < UINT16_MAX)
            walk(&s, &r->switches[i]);
    for (uint32_t i = 0; i < s.ncpus; i++)
        add_unended(&s, i, r->t->end_ns);
    r->t->has_sched = r->t->nruns > 0;
    group_by_cpu(&s);
    free(s.cpus);
    id_map_free(&s.cpu_of);
}
