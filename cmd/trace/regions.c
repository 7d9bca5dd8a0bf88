/* Time in regions. A thread's regions nest; at every moment the innermost one counts, and what lies
 * around it are its callers in the profile. Where the thread waited meanwhile, the stack of its
 * wait is called by the region. */
#include "cmd/trace/samples.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    struct samples *s;
    const struct trace_view *v;
    const char *name; /* count only what lies in a region of this name */
    uint32_t thread;
    uint32_t *open; /* regions around the moment, outermost first */
    uint32_t nopen, copen;
    uint32_t state, end_state; /* the thread's, from the first that has not passed */
    int64_t now_ns;
};

static bool wanted(const struct walk *w)
{
    if (!w->name)
        return w->nopen > 0;
    for (uint32_t i = 0; i < w->nopen; i++)
        if (strcmp(trace_text(w->v->t, w->v->t->slices[w->open[i]].name), w->name) == 0)
            return true;
    return false;
}

static const char *state_name(const struct trace *t, const struct trace_state *s)
{
    static const char *const names[TRACE_STATES] = {
        [TRACE_RUNNING] = "running",    [TRACE_RUNNABLE] = "runnable",
        [TRACE_BLOCKED] = "other wait", [TRACE_ACTIVE] = "running or runnable",
        [TRACE_UNKNOWN] = "unknown",
    };
    return s->kind == TRACE_BLOCKED && s->slice != TRACE_NONE
               ? trace_text(t, t->slices[s->slice].name)
               : names[s->kind];
}

static void add_part(struct walk *w, const struct trace_state *state, int64_t ns)
{
    const struct trace *t = w->v->t;
    const struct trace_slice *innermost = &t->slices[w->open[w->nopen - 1]];

    if (state->kind == TRACE_BLOCKED && state->slice != TRACE_NONE) {
        const struct trace_slice *wait = &t->slices[state->slice];
        samples_push_stack(w->s, wait->stack);
        if (!wait->stack)
            samples_push_word(w->s, wait->name);
    }
    for (uint32_t i = w->nopen; i-- > 0;)
        samples_push_word(w->s, t->slices[w->open[i]].name);
    const struct trace_thread *thread = &t->threads[w->thread];
    samples_push_word(w->s, thread->start_function ? thread->start_function : thread->name);
    const char *labels[] = {trace_text(t, innermost->name), state_name(t, state),
                            trace_text(t, thread->name)};
    samples_add(w->s, labels, ns);
}

/* Up to a moment nothing begins or ends. */
static void pass(struct walk *w, int64_t to_ns)
{
    const struct trace *t = w->v->t;

    while (w->state < w->end_state && t->states[w->state].start_ns < to_ns) {
        const struct trace_state *s = &t->states[w->state];
        int64_t from = s->start_ns > w->now_ns ? s->start_ns : w->now_ns;
        int64_t to = s->end_ns < to_ns ? s->end_ns : to_ns;
        int64_t ns = view_overlap(w->v, from, to);
        if (ns && wanted(w))
            add_part(w, s, ns);
        if (s->end_ns > to_ns)
            break;
        w->state++;
    }
    w->now_ns = to_ns;
}

static void close_until(struct walk *w, int64_t ns)
{
    const struct trace_slice *slices = w->v->t->slices;

    while (w->nopen && slices[w->open[w->nopen - 1]].end_ns <= ns) {
        pass(w, slices[w->open[w->nopen - 1]].end_ns);
        w->nopen--;
    }
}

static void walk_thread(struct walk *w)
{
    const struct trace *t = w->v->t;
    const struct trace_thread *thread = &t->threads[w->thread];
    const struct trace_range *range = &t->tracks[thread->track].slices;

    w->state = thread->states.first;
    w->end_state = w->state + thread->states.n;
    w->nopen = 0;
    w->now_ns = thread->start_ns;
    for (uint32_t i = range->first; i < range->first + range->n; i++) {
        if (t->slices[i].kind != TRACE_SLICE_REGION)
            continue;
        close_until(w, t->slices[i].start_ns);
        pass(w, t->slices[i].start_ns);
        w->open = array_grow(w->open, w->nopen, &w->copen, sizeof *w->open);
        w->open[w->nopen++] = i;
    }
    close_until(w, INT64_MAX);
}

void add_regions(struct samples *s, const struct trace_view *v, const char *name)
{
    struct walk w = {.s = s, .v = v, .name = name};

    for (w.thread = 0; w.thread < v->t->nthreads; w.thread++)
        if (v->t->threads[w.thread].track != TRACE_NONE && view_thread(v, w.thread))
            walk_thread(&w);
    free(w.open);
}
