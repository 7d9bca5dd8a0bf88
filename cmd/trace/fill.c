/* What the page's columns hold: the arrays of the model, field by field, in the order that the page
 * searches. Names and meanings are as in model.h; numbers that name something else are as in the
 * page's own order. Entered through page_fill. */
#include "cmd/trace/page.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An array of structs whose fields become columns. */
struct source {
    struct page_columns *c;
    const void *base;
    size_t stride, n;
    const uint32_t *order; /* which element comes where; NULL: as they lie */
    int64_t origin_ns;     /* the trace's start */
    bool failed;
};

static const char *field(const struct source *s, size_t i, size_t offset)
{
    return (const char *)s->base + (s->order ? s->order[i] : i) * s->stride + offset;
}

static void *column(struct source *s, const char *name, enum page_type type)
{
    void *to = page_column(s->c, name, type, s->n);

    s->failed |= !to;
    return to;
}

static void put_u8(struct source *s, const char *name, size_t offset)
{
    uint8_t *to = column(s, name, PAGE_U8);

    for (size_t i = 0; to && i < s->n; i++)
        to[i] = *(const uint8_t *)field(s, i, offset);
}

static void put_u32(struct source *s, const char *name, size_t offset)
{
    uint32_t *to = column(s, name, PAGE_U32);

    for (size_t i = 0; to && i < s->n; i++)
        to[i] = *(const uint32_t *)field(s, i, offset);
}

/* Through a table: what the model numbers, as the page does. */
static void put_mapped(struct source *s, const char *name, size_t offset, const uint32_t *map)
{
    uint32_t *to = column(s, name, PAGE_U32);

    for (size_t i = 0; to && i < s->n; i++) {
        uint32_t index = *(const uint32_t *)field(s, i, offset);
        to[i] = index == TRACE_NONE ? TRACE_NONE : map[index];
    }
}

static void put_time(struct source *s, const char *name, size_t offset)
{
    double *to = column(s, name, PAGE_F64);

    for (size_t i = 0; to && i < s->n; i++)
        to[i] = (double)(*(const int64_t *)field(s, i, offset) - s->origin_ns);
}

/* Addresses of user space have 47 bits or 48, which a double holds. */
static void put_u64(struct source *s, const char *name, size_t offset)
{
    double *to = column(s, name, PAGE_F64);

    for (size_t i = 0; to && i < s->n; i++)
        to[i] = (double)*(const uint64_t *)field(s, i, offset);
}

static void put_f64(struct source *s, const char *name, size_t offset)
{
    double *to = column(s, name, PAGE_F64);

    for (size_t i = 0; to && i < s->n; i++)
        to[i] = *(const double *)field(s, i, offset);
}

/* Where each owner's elements begin, and an end. */
static bool put_firsts(struct page_columns *c, const char *name, const uint32_t *counts, uint32_t n)
{
    uint32_t *to = page_column(c, name, PAGE_U32, n + 1);

    for (uint32_t i = 0; to && i < n; i++)
        to[i + 1] = to[i] + counts[i];
    return to != NULL;
}

/* A column of firsts out of the ranges within an array of structs. */
static void put_ranges(struct source *s, const char *name, size_t offset)
{
    uint32_t *to = page_column(s->c, name, PAGE_U32, s->n + 1);

    s->failed |= !to;
    for (size_t i = 0; to && i < s->n; i++)
        to[i + 1] = to[i] + ((const struct trace_range *)field(s, i, offset))->n;
}

/* ---- strings and stacks ---------------------------------------------------------------------- */

static bool fill_strings(const struct trace *t, struct page_columns *c)
{
    const uint32_t n = t->strings.nstrings;
    uint32_t *offsets = page_column(c, "string_offset", PAGE_U32, n + 1);
    uint32_t total = 0;

    if (!offsets)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        offsets[i] = total;
        total += (uint32_t)strlen(trace_text(t, i));
    }
    offsets[n] = total;
    char *to = page_column(c, "string_byte", PAGE_U8, total);
    for (uint32_t i = 0; to && i < n; i++) {
        const size_t size = strlen(trace_text(t, i));
        memcpy(to, trace_text(t, i), size);
        to += size;
    }
    return to != NULL;
}

static bool fill_stacks(const struct trace *t, struct page_columns *c)
{
    struct source frames = {
        .c = c, .base = t->frames, .stride = sizeof *t->frames, .n = t->nframes};
    struct source links = {.c = c, .base = t->stack_frames, .stride = 4};
    uint32_t *first = page_column(c, "stack_first", PAGE_U32, t->nstacks + 1), total = 0;

    for (uint32_t i = 0; first && i < t->nstacks; i++)
        first[i + 1] = total += t->stacks[i].n;
    uint32_t *order = first ? malloc((total + 1) * sizeof *order) : NULL;
    if (!order)
        return false;
    for (uint32_t i = 0; i < t->nstacks; i++)
        for (uint32_t k = 0; k < t->stacks[i].n; k++)
            order[links.n++] = t->stacks[i].first + k;
    links.order = order;
    put_u32(&links, "stack_frame", 0);
    put_u32(&frames, "frame_function", offsetof(struct trace_frame, function));
    put_u32(&frames, "frame_file", offsetof(struct trace_frame, file));
    put_u32(&frames, "frame_line", offsetof(struct trace_frame, line));
    free(order);
    return !links.failed && !frames.failed;
}

/* ---- threads and CPUs ------------------------------------------------------------------------ */

static bool fill_threads(const struct trace *t, struct page_columns *c)
{
    struct source s = {.c = c,
                       .base = t->threads,
                       .stride = sizeof *t->threads,
                       .n = t->nthreads,
                       .origin_ns = t->start_ns};

    put_u32(&s, "thread_tid", offsetof(struct trace_thread, tid));
    put_u32(&s, "thread_name", offsetof(struct trace_thread, name));
    put_u32(&s, "thread_start_function", offsetof(struct trace_thread, start_function));
    put_u32(&s, "thread_creator", offsetof(struct trace_thread, creator));
    put_u32(&s, "thread_stack", offsetof(struct trace_thread, creator_stack));
    put_time(&s, "thread_start", offsetof(struct trace_thread, start_ns));
    put_time(&s, "thread_end", offsetof(struct trace_thread, end_ns));
    put_ranges(&s, "thread_state_first", offsetof(struct trace_thread, states));
    return !s.failed;
}

static bool fill_states(const struct trace *t, struct page_columns *c, const struct page_rows *rows)
{
    struct source s = {.c = c,
                       .base = t->states,
                       .stride = sizeof *t->states,
                       .n = t->nstates,
                       .origin_ns = t->start_ns};

    put_time(&s, "state_start", offsetof(struct trace_state, start_ns));
    put_time(&s, "state_end", offsetof(struct trace_state, end_ns));
    put_u8(&s, "state_kind", offsetof(struct trace_state, kind));
    put_mapped(&s, "state_slice", offsetof(struct trace_state, slice), rows->place);
    return !s.failed;
}

static bool fill_cpus(const struct trace *t, struct page_columns *c)
{
    struct source cpus = {.c = c, .base = t->cpus, .stride = sizeof *t->cpus, .n = t->ncpus};
    struct source runs = {.c = c,
                          .base = t->runs,
                          .stride = sizeof *t->runs,
                          .n = t->nruns,
                          .origin_ns = t->start_ns};

    put_u32(&cpus, "cpu_number", offsetof(struct trace_cpu, number));
    put_ranges(&cpus, "cpu_first", offsetof(struct trace_cpu, runs));
    put_time(&runs, "run_start", offsetof(struct trace_run, start_ns));
    put_time(&runs, "run_end", offsetof(struct trace_run, end_ns));
    put_u32(&runs, "run_thread", offsetof(struct trace_run, thread));
    return !cpus.failed && !runs.failed;
}

/* ---- slices ---------------------------------------------------------------------------------- */

static bool fill_rows(const struct page_rows *r, struct page_columns *c)
{
    struct source s = {.c = c, .base = r->rows, .stride = sizeof *r->rows, .n = r->nrows};
    uint32_t *first;

    put_u8(&s, "row_kind", offsetof(struct page_row, kind));
    put_u32(&s, "row_owner", offsetof(struct page_row, owner));
    put_u32(&s, "row_name", offsetof(struct page_row, name));
    first = page_column(c, "row_first", PAGE_U32, r->nrows + 1);
    if (first)
        memcpy(first, r->first, (r->nrows + 1) * sizeof *first);
    return first && !s.failed;
}

/* What the slice's value means depends on its kind; not every slice has one. */
static void put_has_value(const struct trace *t, struct source *s)
{
    uint8_t *to = column(s, "slice_has_value", PAGE_U8);

    for (size_t i = 0; to && i < s->n; i++)
        to[i] = (t->slices[s->order[i]].flags & TRACE_HAS_VALUE) != 0;
}

static bool fill_slices(const struct trace *t, struct page_columns *c, const struct page_rows *r)
{
    struct source s = {.c = c,
                       .base = t->slices,
                       .stride = sizeof *t->slices,
                       .n = r->nplaced,
                       .order = r->order,
                       .origin_ns = t->start_ns};

    put_time(&s, "slice_start", offsetof(struct trace_slice, start_ns));
    put_time(&s, "slice_end", offsetof(struct trace_slice, end_ns));
    put_u64(&s, "slice_value", offsetof(struct trace_slice, value));
    put_u32(&s, "slice_name", offsetof(struct trace_slice, name));
    put_u32(&s, "slice_stack", offsetof(struct trace_slice, stack));
    put_u32(&s, "slice_args", offsetof(struct trace_slice, args));
    put_u32(&s, "slice_holder", offsetof(struct trace_slice, holder));
    put_u32(&s, "slice_waker", offsetof(struct trace_slice, waker));
    put_u8(&s, "slice_kind", offsetof(struct trace_slice, kind));
    put_u8(&s, "slice_flags", offsetof(struct trace_slice, flags));
    put_has_value(t, &s);
    return !s.failed;
}

/* Where the arrow to each slice comes from: when its waker woke it, and in which stack. */
static bool fill_wakes(const struct trace *t, struct page_columns *c, const struct page_rows *r)
{
    uint32_t *stacks = page_column(c, "slice_wake_stack", PAGE_U32, r->nplaced);

    for (uint32_t i = 0; stacks && i < t->nflows; i++) {
        const struct trace_flow *f = &t->flows[i];
        if (f->slice != TRACE_NONE && f->instant != TRACE_NONE && r->place[f->slice] != TRACE_NONE)
            stacks[r->place[f->slice]] = t->instants[f->instant].stack;
    }
    double *times = stacks ? page_column(c, "slice_wake", PAGE_F64, r->nplaced) : NULL;
    for (uint32_t i = 0; times && i < r->nplaced; i++)
        times[i] = (double)(t->slices[r->order[i]].end_ns - t->start_ns);
    for (uint32_t i = 0; times && i < t->nflows; i++) {
        const struct trace_flow *f = &t->flows[i];
        if (f->slice != TRACE_NONE && r->place[f->slice] != TRACE_NONE)
            times[r->place[f->slice]] = (double)(f->from_ns - t->start_ns);
    }
    return times != NULL;
}

static double arg_number(const struct trace_arg *a)
{
    switch (a->type) {
    case TRACE_ARG_UINT:
        return (double)a->uint;
    case TRACE_ARG_INT:
        return (double)a->sint;
    case TRACE_ARG_TEXT:
        return a->text;
    default:
        return a->real;
    }
}

static bool fill_args(const struct trace *t, struct page_columns *c)
{
    struct source s = {.c = c, .base = t->args, .stride = sizeof *t->args, .n = t->nargs};
    double *values;
    uint8_t *texts;

    put_u32(&s, "arg_name", offsetof(struct trace_arg, name));
    put_u8(&s, "arg_last", offsetof(struct trace_arg, last));
    values = column(&s, "arg_value", PAGE_F64);
    for (uint32_t i = 0; values && i < t->nargs; i++)
        values[i] = arg_number(&t->args[i]);
    texts = column(&s, "arg_is_text", PAGE_U8);
    for (uint32_t i = 0; texts && i < t->nargs; i++)
        texts[i] = t->args[i].type == TRACE_ARG_TEXT;
    return !s.failed;
}

static bool fill_tasks(const struct trace *t, struct page_columns *c, const struct page_rows *r)
{
    struct source s = {.c = c, .base = t->tasks, .stride = sizeof *t->tasks, .n = t->ntasks};

    put_u64(&s, "task_id", offsetof(struct trace_task, id));
    put_u64(&s, "task_parent", offsetof(struct trace_task, parent));
    put_mapped(&s, "task_slice", offsetof(struct trace_task, slice), r->place);
    return !s.failed;
}

/* ---- moments --------------------------------------------------------------------------------- */

/* The thread that the page shows an instant on; wakes are the arrows, notices are said on top. */
static uint32_t mark_thread(const struct trace *t, const struct trace_instant *i)
{
    const bool shown = i->kind != TRACE_INSTANT_WAKE && i->kind != TRACE_INSTANT_NOTICE;

    return shown ? t->tracks[i->track].thread : TRACE_NONE;
}

/* Sorts elements to their threads, which keeps the order of time within each. thread_of gives an
 * element's thread. */
static bool by_thread(const struct trace *t, struct source *s, const char *firsts,
                      uint32_t (*thread_of)(const struct trace *t, const void *element),
                      uint32_t **order)
{
    uint32_t *counts = calloc(t->nthreads + 1, sizeof *counts), placed = 0;
    const size_t n = s->n;
    bool ok = (*order = malloc((n + 1) * sizeof **order)) && counts;

    for (size_t i = 0; ok && i < n; i++) {
        uint32_t thread = thread_of(t, field(s, i, 0));
        if (thread != TRACE_NONE)
            counts[thread]++;
    }
    ok = ok && put_firsts(s->c, firsts, counts, t->nthreads);
    for (uint32_t i = 0; ok && i < t->nthreads; i++) {
        const uint32_t count = counts[i];
        counts[i] = placed;
        placed += count;
    }
    for (size_t i = 0; ok && i < n; i++) {
        uint32_t thread = thread_of(t, field(s, i, 0));
        if (thread != TRACE_NONE)
            (*order)[counts[thread]++] = (uint32_t)i;
    }
    free(counts);
    s->order = *order;
    s->n = placed;
    return ok;
}

static uint32_t thread_of_instant(const struct trace *t, const void *element)
{
    return mark_thread(t, element);
}

static uint32_t thread_of_sample(const struct trace *t, const void *element)
{
    (void)t;
    return ((const struct trace_sample *)element)->thread;
}

static bool fill_marks(const struct trace *t, struct page_columns *c)
{
    struct source s = {.c = c,
                       .base = t->instants,
                       .stride = sizeof *t->instants,
                       .n = t->ninstants,
                       .origin_ns = t->start_ns};
    uint32_t *order = NULL;
    bool ok = by_thread(t, &s, "thread_mark_first", thread_of_instant, &order);

    if (ok) {
        put_time(&s, "mark_time", offsetof(struct trace_instant, ns));
        put_u32(&s, "mark_name", offsetof(struct trace_instant, name));
        put_u32(&s, "mark_category", offsetof(struct trace_instant, category));
        put_u32(&s, "mark_stack", offsetof(struct trace_instant, stack));
        put_u8(&s, "mark_kind", offsetof(struct trace_instant, kind));
    }
    free(order);
    return ok && !s.failed;
}

static bool fill_samples(const struct trace *t, struct page_columns *c)
{
    struct source s = {.c = c,
                       .base = t->samples,
                       .stride = sizeof *t->samples,
                       .n = t->nsamples,
                       .origin_ns = t->start_ns};
    uint32_t *order = NULL;
    bool ok = by_thread(t, &s, "thread_sample_first", thread_of_sample, &order);

    if (ok) {
        put_time(&s, "sample_time", offsetof(struct trace_sample, ns));
        put_u32(&s, "sample_stack", offsetof(struct trace_sample, stack));
    }
    free(order);
    return ok && !s.failed;
}

static bool fill_counters(const struct trace *t, struct page_columns *c)
{
    struct source s = {
        .c = c, .base = t->counters, .stride = sizeof *t->counters, .n = t->ncounters};
    struct source values = {.c = c,
                            .base = t->values,
                            .stride = sizeof *t->values,
                            .n = t->nvalues,
                            .origin_ns = t->start_ns};

    put_u32(&s, "counter_name", offsetof(struct trace_counter, name));
    put_u32(&s, "counter_unit", offsetof(struct trace_counter, unit));
    put_ranges(&s, "counter_first", offsetof(struct trace_counter, values));
    put_time(&values, "value_time", offsetof(struct trace_value, ns));
    put_f64(&values, "value", offsetof(struct trace_value, value));
    return !s.failed && !values.failed;
}

int page_fill(const struct trace *t, struct page_columns *c)
{
    struct page_rows rows;
    bool ok = page_rows_make(t, &rows) == 0;

    ok = ok && fill_strings(t, c) && fill_stacks(t, c) && fill_threads(t, c) &&
         fill_states(t, c, &rows) && fill_cpus(t, c) && fill_rows(&rows, c) &&
         fill_slices(t, c, &rows) && fill_wakes(t, c, &rows) && fill_args(t, c) &&
         fill_tasks(t, c, &rows) && fill_marks(t, c) && fill_samples(t, c) && fill_counters(t, c);
    page_rows_free(&rows);
    return ok ? 0 : -ENOMEM;
}
