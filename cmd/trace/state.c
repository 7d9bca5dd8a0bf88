/* What each thread was doing, from the beginning of its life to the end: running where a CPU says
 * so; between two runs runnable, when it was preempted or has been woken, else blocked, in whatever
 * waiting slice lies around that moment. Without switch records: blocked in its waiting slices, and
 * "running or runnable" elsewhere. */
#include "cmd/trace/reader.h"

#include <stdlib.h>
#include <string.h>

struct states {
    struct reader *r;
    struct trace *t;
    struct trace_run *runs; /* of all threads: by thread, then by time */
    uint32_t *first_run;    /* of thread i; of thread i + 1 ends them */
    int64_t *wakings;
    uint32_t *first_waking;
    uint32_t capacity;

    /* Of the thread at hand. */
    const struct trace_thread *thread;
    uint32_t next_slice, end_slice;
    uint32_t *around; /* the waiting slices around the moment that was asked for last */
    uint32_t naround, caround;
    uint32_t next_waking, end_waking;
    int64_t done_ns; /* its states reach so far */
};

static void add_state(struct states *s, int64_t to, struct trace_state state)
{
    struct trace *t = s->t;

    if (to <= s->done_ns)
        return;
    state.start_ns = s->done_ns;
    state.end_ns = s->done_ns = to;
    t->states = array_grow(t->states, t->nstates, &s->capacity, sizeof *t->states);
    t->states[t->nstates++] = state;
}

static bool is_wait(const struct trace_slice *s)
{
    return s->kind == TRACE_SLICE_BLOCK || s->kind == TRACE_SLICE_SYSCALL;
}

/* The innermost waiting slice around a moment. Moments come in order. */
static uint32_t slice_around(struct states *s, int64_t ns)
{
    const struct trace_slice *slices = s->t->slices;

    for (; s->next_slice < s->end_slice && slices[s->next_slice].start_ns <= ns; s->next_slice++)
        if (is_wait(&slices[s->next_slice])) {
            s->around = array_grow(s->around, s->naround, &s->caround, sizeof *s->around);
            s->around[s->naround++] = s->next_slice;
        }
    while (s->naround && slices[s->around[s->naround - 1]].end_ns <= ns)
        s->naround--;
    return s->naround ? s->around[s->naround - 1] : TRACE_NONE;
}

/* The first waking within a gap, or its end. */
static int64_t waking_within(struct states *s, int64_t from, int64_t to)
{
    while (s->next_waking < s->end_waking && s->wakings[s->next_waking] < from)
        s->next_waking++;
    if (s->next_waking < s->end_waking && s->wakings[s->next_waking] < to)
        return s->wakings[s->next_waking];
    return to;
}

/* The thread was not on a CPU up to `to`. The clocks of switches and slices may differ a little, so
 * the middle of the gap decides which slice it waited in. */
static void add_gap(struct states *s, int64_t to, int end)
{
    int64_t from = s->done_ns;

    if (to <= from)
        return;
    if (end == TRACE_RUN_BLOCKED) {
        int64_t woken = waking_within(s, from, to);
        uint32_t slice = slice_around(s, from + (woken - from) / 2);
        add_state(s, woken, (struct trace_state){.kind = TRACE_BLOCKED, .slice = slice});
    } else if (end == TRACE_RUN_UNKNOWN) {
        add_state(s, to, (struct trace_state){.kind = TRACE_UNKNOWN, .slice = TRACE_NONE});
    }
    add_state(s, to, (struct trace_state){.kind = TRACE_RUNNABLE, .slice = TRACE_NONE});
}

/* How a thread's first gap began: a new thread waits for a CPU; of an older one it is known that it
 * was not on a CPU, if nothing was lost. */
static int before_first_run(const struct states *s)
{
    if (s->thread->started)
        return TRACE_RUN_PREEMPTED;
    return s->r->dropped ? TRACE_RUN_UNKNOWN : TRACE_RUN_BLOCKED;
}

static void add_runs(struct states *s, const struct trace_run *runs, uint32_t n, int64_t end_ns)
{
    int end = before_first_run(s);

    for (uint32_t i = 0; i < n; i++) {
        add_gap(s, runs[i].start_ns, end);
        add_state(
            s, runs[i].end_ns,
            (struct trace_state){.kind = TRACE_RUNNING, .cpu = runs[i].cpu, .slice = TRACE_NONE});
        end = runs[i].end;
    }
    add_gap(s, end_ns, end);
}

/* Outermost waiting slices one after the other, something else between them. */
static void add_waits(struct states *s, int64_t end_ns, int between)
{
    for (uint32_t i = s->next_slice; i < s->end_slice; i++) {
        const struct trace_slice *w = &s->t->slices[i];
        if (!is_wait(w) || w->end_ns <= s->done_ns)
            continue;
        add_state(s, w->start_ns,
                  (struct trace_state){.kind = (uint8_t)between, .slice = TRACE_NONE});
        add_state(s, w->end_ns, (struct trace_state){.kind = TRACE_BLOCKED, .slice = i});
    }
    add_state(s, end_ns, (struct trace_state){.kind = (uint8_t)between, .slice = TRACE_NONE});
}

/* Its life, as far as the trace knows: a thread's last switch comes after its own last word. */
static void set_life(struct states *s, struct trace_thread *thread, const struct trace_run *runs,
                     uint32_t n)
{
    const struct trace *t = s->t;

    if (!thread->started)
        thread->start_ns = t->start_ns;
    else if (n && runs[0].start_ns < thread->start_ns)
        thread->start_ns = runs[0].start_ns;
    if (!thread->exited)
        thread->end_ns = t->end_ns;
    else if (n && runs[n - 1].end_ns > thread->end_ns)
        thread->end_ns = runs[n - 1].end_ns;
    if (thread->end_ns < thread->start_ns)
        thread->end_ns = thread->start_ns;
}

/* A thread without a run in a trace that has them did not run, unless it says itself that it did.
 */
static bool never_ran(const struct states *s)
{
    const struct trace *t = s->t;
    const struct trace_thread *thread = s->thread;

    if (!t->has_sched || thread->started || thread->exited)
        return false;
    if (thread->track == TRACE_NONE)
        return true;
    const struct trace_track *track = &t->tracks[thread->track];
    return track->slices.n <= 1 && track->instants.n == 0;
}

static void build_thread(struct states *s, uint32_t i)
{
    struct trace *t = s->t;
    struct trace_thread *thread = &t->threads[i];
    const struct trace_run *runs = s->runs + s->first_run[i];
    uint32_t nruns = s->first_run[i + 1] - s->first_run[i];

    set_life(s, thread, runs, nruns);
    s->thread = thread;
    s->done_ns = thread->start_ns;
    s->next_slice = s->end_slice = s->naround = 0;
    if (thread->track != TRACE_NONE) {
        s->next_slice = t->tracks[thread->track].slices.first;
        s->end_slice = s->next_slice + t->tracks[thread->track].slices.n;
    }
    s->next_waking = s->first_waking[i];
    s->end_waking = s->first_waking[i + 1];
    thread->states.first = t->nstates;
    if (nruns)
        add_runs(s, runs, nruns, thread->end_ns);
    else
        add_waits(s, thread->end_ns, never_ran(s) ? TRACE_BLOCKED : TRACE_ACTIVE);
    thread->states.n = t->nstates - thread->states.first;
}

/* ---- by thread ------------------------------------------------------------------------------- */

/* counts[i] elements of thread i become the index of its first; counts has room for one more. */
static void sum_up(uint32_t *counts, uint32_t n)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i <= n; i++) {
        uint32_t count = i < n ? counts[i] : 0;
        counts[i] = sum;
        sum += count;
    }
}

/* Undoes what filling has done to the firsts: each has become the next one's. */
static void step_back(uint32_t *firsts, uint32_t n)
{
    memmove(firsts + 1, firsts, n * sizeof *firsts);
    firsts[0] = 0;
}

static uint32_t *zeroed(uint32_t n)
{
    return memset(array_resize(NULL, n, sizeof(uint32_t)), 0, n * sizeof(uint32_t));
}

static void group_runs(struct states *s)
{
    const struct trace *t = s->t;

    s->first_run = zeroed(t->nthreads + 1);
    s->runs = array_resize(NULL, t->nruns, sizeof *s->runs);
    for (uint32_t i = 0; i < t->nruns; i++)
        s->first_run[t->runs[i].thread]++;
    sum_up(s->first_run, t->nthreads);
    for (uint32_t i = 0; i < t->nruns; i++)
        s->runs[s->first_run[t->runs[i].thread]++] = t->runs[i];
    step_back(s->first_run, t->nthreads);
    for (uint32_t i = 0; i < t->nthreads; i++)
        array_sort_by_time(s->runs + s->first_run[i], s->first_run[i + 1] - s->first_run[i],
                           sizeof *s->runs);
}

static void group_wakings(struct states *s)
{
    struct reader *r = s->r;
    uint32_t *threads = array_resize(NULL, r->nwakings, sizeof *threads);

    array_sort_by_time(r->wakings, r->nwakings, sizeof *r->wakings);
    for (uint32_t i = 0; i < r->nwakings; i++)
        threads[i] = thread_at(r, r->wakings[i].tid, r->wakings[i].ns);
    s->first_waking = zeroed(s->t->nthreads + 1);
    s->wakings = array_resize(NULL, r->nwakings, sizeof *s->wakings);
    for (uint32_t i = 0; i < r->nwakings; i++)
        s->first_waking[threads[i]]++;
    sum_up(s->first_waking, s->t->nthreads);
    for (uint32_t i = 0; i < r->nwakings; i++)
        s->wakings[s->first_waking[threads[i]]++] = r->wakings[i].ns;
    step_back(s->first_waking, s->t->nthreads);
    free(threads);
}

void build_states(struct reader *r)
{
    struct states s = {.r = r, .t = r->t};

    group_wakings(&s);
    group_runs(&s);
    for (uint32_t i = 0; i < r->t->nthreads; i++)
        build_thread(&s, i);
    free(s.runs);
    free(s.first_run);
    free(s.wakings);
    free(s.first_waking);
    free(s.around);
}
