/* Profiles from a trace: where its threads waited for one another (sync), for the kernel (syscall),
 * for a CPU (sched); what went on in regions; and the CPU samples, where there are some. A trace
 * has every wait, so unlike sampled profiles these leave nothing out. */
#include "cmd/trace/samples.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A wait may lie in another (a condition's takes its mutex back): each has the time that is its
 * own. */
static int64_t own_time(const struct trace_view *v, const struct trace_track *track, uint32_t i)
{
    const struct trace_slice *slices = v->t->slices, *s = &slices[i];
    int64_t ns = view_overlap(v, s->start_ns, s->end_ns);
    uint32_t end = track->slices.first + track->slices.n;

    for (uint32_t k = i + 1; k < end && slices[k].depth > s->depth;) {
        const struct trace_slice *inner = &slices[k++];
        if (inner->kind != TRACE_SLICE_BLOCK && inner->kind != TRACE_SLICE_SYSCALL)
            continue;
        ns -= view_overlap(v, inner->start_ns, inner->end_ns);
        while (k < end && slices[k].depth > inner->depth)
            k++;
    }
    return ns > 0 ? ns : 0;
}

static uint32_t root_of(const struct trace *t, uint32_t thread)
{
    if (thread == TRACE_NONE)
        return 0;
    uint32_t start = t->threads[thread].start_function;
    return start ? start : t->threads[thread].name;
}

static const char *thread_name(const struct trace *t, uint32_t thread)
{
    return thread == TRACE_NONE ? NULL : trace_text(t, t->threads[thread].name);
}

/* A wait without a stack still has a name, and a thread that began somewhere. */
static void push_wait(struct samples *s, const struct trace_slice *wait, uint32_t thread)
{
    if (wait->stack) {
        samples_push_stack(s, wait->stack);
        return;
    }
    samples_push_word(s, wait->name);
    samples_push_word(s, root_of(s->t, thread));
}

static void add_waits_of(struct samples *s, const struct trace_view *v,
                         const struct trace_track *track, int kind)
{
    const struct trace *t = v->t;

    for (uint32_t i = track->slices.first; i < track->slices.first + track->slices.n; i++) {
        const struct trace_slice *w = &t->slices[i];
        char lock[24] = "";
        if (w->kind != kind || !view_has(v, w->start_ns, w->end_ns))
            continue;
        if (slice_has_lock(t, w))
            snprintf(lock, sizeof lock, "0x%" PRIx64, w->value);
        push_wait(s, w, track->thread);
        const char *labels[] = {trace_text(t, w->name), lock, thread_name(t, track->thread)};
        samples_add(s, labels, own_time(v, track, i));
    }
}

static void add_waits(struct samples *s, const struct trace_view *v, int kind)
{
    for (uint32_t i = 0; i < v->t->ntracks; i++)
        if (view_track(v, i))
            add_waits_of(s, v, &v->t->tracks[i], kind);
}

static void add_sync(struct samples *s, const struct trace_view *v, const char *name)
{
    (void)name;
    add_waits(s, v, TRACE_SLICE_BLOCK);
}

static void add_syscalls(struct samples *s, const struct trace_view *v, const char *name)
{
    (void)name;
    add_waits(s, v, TRACE_SLICE_SYSCALL);
}

/* Runnable: behind what the thread had waited for, or where it was taken from its CPU, which only
 * the start function tells. */
static void add_latency_of(struct samples *s, const struct trace_view *v, uint32_t thread)
{
    const struct trace *t = v->t;
    const struct trace_range *range = &t->threads[thread].states;

    for (uint32_t i = range->first; i < range->first + range->n; i++) {
        const struct trace_state *now = &t->states[i];
        const struct trace_state *before = i > range->first ? now - 1 : NULL;
        if (now->kind != TRACE_RUNNABLE || !view_overlap(v, now->start_ns, now->end_ns))
            continue;
        const char *state = !before                         ? "created"
                            : before->kind == TRACE_RUNNING ? "preempted"
                                                            : "woken";
        if (before && before->kind == TRACE_BLOCKED && before->slice != TRACE_NONE)
            push_wait(s, &t->slices[before->slice], thread);
        else if (!before && t->threads[thread].creator_stack)
            samples_push_stack(s, t->threads[thread].creator_stack);
        else
            samples_push_word(s, root_of(t, thread));
        const char *labels[] = {state, thread_name(t, thread), NULL};
        samples_add(s, labels, view_overlap(v, now->start_ns, now->end_ns));
    }
}

static void add_latency(struct samples *s, const struct trace_view *v, const char *name)
{
    (void)name;
    for (uint32_t i = 0; i < v->t->nthreads; i++)
        if (view_thread(v, i))
            add_latency_of(s, v, i);
}

static void add_cpu(struct samples *s, const struct trace_view *v, const char *name)
{
    const struct trace *t = v->t;

    (void)name;
    for (uint32_t i = 0; i < t->nsamples; i++) {
        const struct trace_sample *sample = &t->samples[i];
        if (!view_has(v, sample->ns, sample->ns) || !view_thread(v, sample->thread))
            continue;
        samples_push_stack(s, sample->stack);
        if (!sample->stack)
            samples_push_word(s, root_of(t, sample->thread));
        const char *labels[] = {thread_name(t, sample->thread), NULL, NULL};
        samples_add(s, labels, 0);
    }
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static const struct kind {
    const char *keys[SAMPLE_LABELS];
    struct prof_description about;
    void (*add)(struct samples *s, const struct trace_view *v, const char *name);
} kinds[] = {
    {{"kind", "lock", "thread"},
     {.name = "sync",
      .nvalues = 2,
      .values = {{"contentions", "count"}, {"delay", "nanoseconds"}},
      .default_sample_type = "delay"},
     add_sync},
    {{"kind", NULL, "thread"},
     {.name = "syscall",
      .nvalues = 2,
      .values = {{"calls", "count"}, {"delay", "nanoseconds"}},
      .default_sample_type = "delay"},
     add_syscalls},
    {{"state", "thread", NULL},
     {.name = "sched",
      .nvalues = 2,
      .values = {{"waits", "count"}, {"delay", "nanoseconds"}},
      .default_sample_type = "delay"},
     add_latency},
    {{"region", "state", "thread"},
     {.name = "region",
      .nvalues = 2,
      .values = {{"parts", "count"}, {"time", "nanoseconds"}},
      .default_sample_type = "time"},
     add_regions},
    {{"thread", NULL, NULL},
     {.name = "cpu",
      .nvalues = 1,
      .values = {{"samples", "count"}},
      .default_sample_type = "samples"},
     add_cpu},
};

/* "region:NAME" is the kind region, and a name. */
static const struct kind *find_kind(const char *text, const char **name)
{
    size_t n = strcspn(text, ":");

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *known = kinds[i].about.name;
        if (strlen(known) != n || strncmp(known, text, n) != 0)
            continue;
        *name = text[n] ? text + n + 1 : NULL;
        return *name && kinds[i].add != add_regions ? NULL : &kinds[i];
    }
    return NULL;
}

bool trace_pprof_kind(const char *kind)
{
    const char *name;
    return find_kind(kind, &name) != NULL;
}

const char *trace_pprof_missing(const struct trace *t, const char *kind)
{
    const char *name = NULL;
    const struct kind *k = find_kind(kind, &name);

    if (k && k->add == add_latency && !t->has_sched)
        return "there are no switch records in it, so it is not known when threads waited for a "
               "CPU";
    if (k && k->add == add_cpu)
        return "there are no CPU samples in this part of it; they are recorded while a CPU profile "
               "runs";
    if (k && k->add == add_regions && name)
        return "there is no region of that name in this part of it; -summary lists them";
    return "there is nothing of that kind in this part of it; -summary says what there is";
}

int trace_write_pprof(const struct trace_view *v, const char *kind, int fd)
{
    const char *name = NULL;
    const struct kind *k = find_kind(kind, &name);
    struct samples s;

    if (!k)
        return -EINVAL;
    samples_begin(&s, v->t, k->keys);
    k->add(&s, v, name);
    int err = s.n ? samples_write(&s, v, &k->about, fd) : -ENODATA;
    samples_free(&s);
    return err;
}
