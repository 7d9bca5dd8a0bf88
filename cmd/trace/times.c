/* What threads did with their time: for each start function, and for each of them. */
#include "cmd/trace/array.h"
#include "cmd/trace/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_THREADS = 50, SHOWN_FUNCTIONS = 30 };
/* In the place of a start function that is not known: there are far fewer strings. */
#define MAIN_THREAD (UINT32_MAX - 1)
#define BY_NAME     (UINT32_C(1) << 31) /* and the thread's name */

struct times {
    int64_t life_ns, state_ns[TRACE_STATES];
    int64_t sync_ns, syscall_ns; /* parts of the blocked time */
    uint64_t runs;
};

/* What threads of a start function did: a state, or a wait of a name. */
struct activity {
    uint32_t group;
    uint32_t what; /* a state, or TRACE_STATES plus the name of a wait, 0 for unknown ones */
    uint8_t slice_kind;
    struct tally tally;
};

struct group {
    uint32_t function, threads;
    struct times times;
};

struct account {
    const struct trace_view *v;
    struct id_map group_of, activity_of;
    struct group *groups;
    uint32_t ngroups, cgroups;
    struct activity *activities;
    uint32_t nactivities, cactivities;
    struct times *threads; /* of each thread of the trace */
};

/* main's thread has no start function that anybody names, and others began before the trace did. */
static uint32_t function_of(const struct trace_thread *thread)
{
    if (thread->start_function)
        return thread->start_function;
    return thread->tid == thread->pid ? MAIN_THREAD : BY_NAME | thread->name;
}

/* In a buffer that is used again. */
static const char *function_text(const struct trace *t, uint32_t function)
{
    static char text[80];

    if (function == MAIN_THREAD)
        return "(main thread)";
    if (!(function & BY_NAME))
        return trace_text(t, function);
    const char *name = trace_text(t, function & ~BY_NAME);
    snprintf(text, sizeof text, "(%s)", *name ? name : "not known");
    return text;
}

static void add_times(struct times *to, const struct times *from)
{
    to->life_ns = add_ns(to->life_ns, from->life_ns);
    for (int i = 0; i < TRACE_STATES; i++)
        to->state_ns[i] = add_ns(to->state_ns[i], from->state_ns[i]);
    to->sync_ns = add_ns(to->sync_ns, from->sync_ns);
    to->syscall_ns = add_ns(to->syscall_ns, from->syscall_ns);
    to->runs += from->runs;
}

static uint32_t group_of(struct account *a, uint32_t function)
{
    uint32_t i = id_map_get(&a->group_of, function);

    if (i == TRACE_NONE) {
        i = a->ngroups++;
        a->groups = array_grow(a->groups, i, &a->cgroups, sizeof *a->groups);
        a->groups[i] = (struct group){.function = function};
        id_map_set(&a->group_of, function, i);
    }
    return i;
}

static void note_activity(struct account *a, uint32_t group, uint32_t what, uint8_t slice_kind,
                          int64_t ns)
{
    uint64_t key = (uint64_t)group << 32 | what;
    uint32_t i = id_map_get(&a->activity_of, key);

    if (i == TRACE_NONE) {
        i = a->nactivities++;
        a->activities = array_grow(a->activities, i, &a->cactivities, sizeof *a->activities);
        a->activities[i] = (struct activity){group, what, slice_kind, {0}};
        id_map_set(&a->activity_of, key, i);
    }
    tally_add(&a->activities[i].tally, ns);
}

static void add_state(struct account *a, struct times *times, uint32_t group,
                      const struct trace_state *s)
{
    int64_t ns = view_overlap(a->v, s->start_ns, s->end_ns);
    uint32_t what = s->kind;
    uint8_t slice_kind = TRACE_SLICE_OTHER;

    if (!ns)
        return;
    times->life_ns += ns;
    times->state_ns[s->kind] += ns;
    times->runs += s->kind == TRACE_RUNNING;
    if (s->kind == TRACE_BLOCKED) {
        const struct trace_slice *w = s->slice == TRACE_NONE ? NULL : &a->v->t->slices[s->slice];
        what = TRACE_STATES + (w ? w->name : 0);
        slice_kind = w ? w->kind : TRACE_SLICE_OTHER;
        times->sync_ns += slice_kind == TRACE_SLICE_BLOCK ? ns : 0;
        times->syscall_ns += slice_kind == TRACE_SLICE_SYSCALL ? ns : 0;
    }
    note_activity(a, group, what, slice_kind, ns);
}

static void add_thread(struct account *a, uint32_t i)
{
    const struct trace *t = a->v->t;
    const struct trace_range *range = &t->threads[i].states;
    uint32_t group = group_of(a, function_of(&t->threads[i]));

    for (uint32_t k = range->first; k < range->first + range->n; k++)
        add_state(a, &a->threads[i], group, &t->states[k]);
    a->groups[group].threads++;
    add_times(&a->groups[group].times, &a->threads[i]);
}

/* ---- printing -------------------------------------------------------------------------------- */

static const char *what_text(const struct trace *t, const struct activity *a)
{
    static const char *const states[TRACE_STATES] = {
        [TRACE_RUNNING] = "running",
        [TRACE_RUNNABLE] = "runnable",
        [TRACE_ACTIVE] = "running or runnable",
        [TRACE_UNKNOWN] = "unknown",
    };
    if (a->what < TRACE_STATES)
        return states[a->what];
    return a->what == TRACE_STATES ? "other wait" : trace_text(t, a->what - TRACE_STATES);
}

static int by_life(const void *a, const void *b)
{
    int64_t x = ((const struct group *)a)->times.life_ns,
            y = ((const struct group *)b)->times.life_ns;
    return (x < y) - (x > y);
}

/* Columns without a figure are not printed (grid_end). */
static void put_times(struct grid *g, const struct times *x)
{
    grid_time(g, x->life_ns);
    grid_time(g, x->state_ns[TRACE_RUNNING]);
    grid_time(g, x->state_ns[TRACE_RUNNABLE]);
    grid_time(g, x->state_ns[TRACE_ACTIVE]);
    grid_time(g, x->sync_ns);
    grid_time(g, x->syscall_ns);
    grid_time(g, x->state_ns[TRACE_BLOCKED] - x->sync_ns - x->syscall_ns);
    grid_time(g, x->state_ns[TRACE_UNKNOWN]);
}

#define TIMES_HEADERS "life|running|runnable|active|sync|syscall|other wait|unknown"

static void print_groups(const struct account *a)
{
    const struct trace *t = a->v->t;
    struct grid g;

    heading("Threads by start function");
    grid_begin(&g, "<start function|threads|" TIMES_HEADERS);
    for (uint32_t i = 0; i < a->ngroups && i < SHOWN_FUNCTIONS; i++) {
        grid_cell(&g, "%s", function_text(t, a->groups[i].function));
        grid_cell(&g, "%u", a->groups[i].threads);
        put_times(&g, &a->groups[i].times);
    }
    grid_end(&g);
    if (a->ngroups > SHOWN_FUNCTIONS)
        printf("  and %u more\n", a->ngroups - SHOWN_FUNCTIONS);
}

static int by_group(const void *a, const void *b)
{
    const struct activity *x = a, *y = b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->tally.sum_ns < y->tally.sum_ns) - (x->tally.sum_ns > y->tally.sum_ns);
}

static void print_activities(const struct account *a)
{
    const struct trace *t = a->v->t;
    struct grid g;

    if (a->nactivities == 0)
        return;
    heading("What they did");
    grid_begin(&g, "<start function|<state|total|share|count|min|avg|max");
    for (uint32_t i = 0; i < a->nactivities; i++) {
        const struct activity *x = &a->activities[i];
        bool first = i == 0 || a->activities[i - 1].group != x->group;
        if (x->group >= SHOWN_FUNCTIONS)
            break;
        grid_cell(&g, "%s", first ? function_text(t, a->groups[x->group].function) : "");
        grid_cell(&g, "%s", what_text(t, x));
        grid_time(&g, x->tally.sum_ns);
        grid_share(&g, x->tally.sum_ns, a->groups[x->group].times.life_ns);
        grid_cell(&g, "%" PRIu64, x->tally.n);
        grid_time(&g, x->tally.min_ns);
        grid_time(&g, tally_mean(&x->tally));
        grid_time(&g, x->tally.max_ns);
    }
    grid_end(&g);
}

struct order {
    uint32_t thread;
    int64_t key;
};

static int by_key(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    return x->key != y->key ? (x->key < y->key) - (x->key > y->key)
                            : (x->thread > y->thread) - (x->thread < y->thread);
}

/* Those that ran most come first. */
static uint32_t order_threads(const struct account *a, struct order *order)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a->v->t->nthreads; i++)
        if (view_thread(a->v, i))
            order[n++] = (struct order){i, a->threads[i].state_ns[TRACE_RUNNING] +
                                               a->threads[i].state_ns[TRACE_ACTIVE]};
    qsort(order, n, sizeof *order, by_key);
    return n;
}

static void print_each(const struct account *a)
{
    const struct trace *t = a->v->t;
    struct order *order = array_resize(NULL, t->nthreads, sizeof *order);
    uint32_t n = order_threads(a, order);
    struct grid g;

    heading(n > SHOWN_THREADS ? "The %u threads that ran most, of %u" : "Threads", SHOWN_THREADS,
            n);
    grid_begin(&g, "<thread|<start function|runs|" TIMES_HEADERS);
    for (uint32_t i = 0; i < n && i < SHOWN_THREADS; i++) {
        uint32_t k = order[i].thread;
        grid_cell(&g, "%s", thread_label(t, k));
        grid_cell(&g, "%s", function_text(t, function_of(&t->threads[k])));
        grid_cell(&g, "%" PRIu64, a->threads[k].runs);
        put_times(&g, &a->threads[k]);
    }
    grid_end(&g);
    if (n > SHOWN_THREADS)
        puts("  -thread TEXT shows others");
    free(order);
}

static void sort_groups(struct account *a)
{
    for (uint32_t i = 0; i < a->nactivities; i++) /* the function outlives the sorting */
        a->activities[i].group = a->groups[a->activities[i].group].function;
    qsort(a->groups, a->ngroups, sizeof *a->groups, by_life);
    id_map_clear(&a->group_of);
    for (uint32_t i = 0; i < a->ngroups; i++)
        id_map_set(&a->group_of, a->groups[i].function, i);
    for (uint32_t i = 0; i < a->nactivities; i++)
        a->activities[i].group = id_map_get(&a->group_of, a->activities[i].group);
    if (a->nactivities)
        qsort(a->activities, a->nactivities, sizeof *a->activities, by_group);
}

void print_threads(const struct trace_view *v)
{
    struct account a = {.v = v};

    if (v->t->nthreads == 0)
        return;
    a.threads = array_resize(NULL, v->t->nthreads, sizeof *a.threads);
    memset(a.threads, 0, v->t->nthreads * sizeof *a.threads);
    for (uint32_t i = 0; i < v->t->nthreads; i++)
        if (view_thread(v, i))
            add_thread(&a, i);
    sort_groups(&a);
    print_groups(&a);
    print_activities(&a);
    print_each(&a);
    free(a.threads);
    free(a.groups);
    free(a.activities);
    id_map_free(&a.group_of);
    id_map_free(&a.activity_of);
}
