/* Threads that began in the trace and never run again: their last wait goes on to its end, and has
 * lasted longer than any thread of the same start function lived that ended. That is what a leaked
 * thread looks like; so does one that waits for work, of which there should be few. The page says
 * the same (page/findings.js). */
#include "cmd/trace/array.h"
#include "cmd/trace/summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 10 };

struct kind {                 /* of threads: by start function, or by name */
    uint32_t string, example; /* example: slice of the last wait that was found */
    int64_t longest_life_ns;  /* of those that ended */
    struct tally waits;
};

struct kinds {
    struct id_map kind_of;
    struct kind *kinds;
    uint32_t n, capacity;
};

static struct kind *kind_of(struct kinds *all, const struct trace_thread *thread)
{
    uint32_t string = thread->start_function ? thread->start_function : thread->name;
    uint32_t i = id_map_get(&all->kind_of, string);

    if (i == TRACE_NONE) {
        i = all->n++;
        all->kinds = array_grow(all->kinds, i, &all->capacity, sizeof *all->kinds);
        all->kinds[i] = (struct kind){.string = string};
        id_map_set(&all->kind_of, string, i);
    }
    return &all->kinds[i];
}

/* Its last state, if that is a wait for somebody that goes on to the trace's end. */
static const struct trace_state *last_wait(const struct trace *t, const struct trace_thread *thread)
{
    if (!thread->started || !thread->states.n)
        return NULL;
    const struct trace_state *last = &t->states[thread->states.first + thread->states.n - 1];
    if (last->kind != TRACE_BLOCKED || last->end_ns < t->end_ns)
        return NULL;
    bool calls = last->slice != TRACE_NONE && t->slices[last->slice].kind == TRACE_SLICE_SYSCALL;
    return calls ? NULL : last;
}

static void note_ended(struct kinds *all, const struct trace_view *v)
{
    for (uint32_t i = 0; i < v->t->nthreads; i++) {
        const struct trace_thread *thread = &v->t->threads[i];
        int64_t life_ns = thread->end_ns - thread->start_ns;
        struct kind *k = kind_of(all, thread);
        if (thread->end_ns < v->t->end_ns && life_ns > k->longest_life_ns)
            k->longest_life_ns = life_ns;
    }
}

static void note_lost(struct kinds *all, const struct trace_view *v)
{
    for (uint32_t i = 0; i < v->t->nthreads; i++) {
        const struct trace_thread *thread = &v->t->threads[i];
        const struct trace_state *wait = last_wait(v->t, thread);
        struct kind *k = kind_of(all, thread);
        int64_t wait_ns = wait ? wait->end_ns - wait->start_ns : 0;
        if (!view_thread(v, i) || wait_ns <= k->longest_life_ns ||
            wait_ns <= (thread->end_ns - thread->start_ns) / 2)
            continue;
        tally_add(&k->waits, wait_ns);
        k->example = wait->slice;
    }
}

static int by_number(const void *a, const void *b)
{
    const struct kind *x = a, *y = b;
    return x->waits.n != y->waits.n ? (x->waits.n < y->waits.n) - (x->waits.n > y->waits.n)
                                    : (x->string > y->string) - (x->string < y->string);
}

static const char *wait_text(const struct trace *t, uint32_t slice)
{
    return slice == TRACE_NONE ? "other wait" : trace_text(t, t->slices[slice].name);
}

static void print(const struct kinds *all, const struct trace *t)
{
    struct grid g;

    heading("Threads that began, then waited and never ran again");
    grid_begin(&g, "<start function|threads|<wait in|at least|at most");
    for (uint32_t i = 0; i < all->n && i < SHOWN && all->kinds[i].waits.n; i++) {
        const struct kind *k = &all->kinds[i];
        grid_cell(&g, "%s", trace_text(t, k->string));
        grid_cell(&g, "%llu", (unsigned long long)k->waits.n);
        grid_cell(&g, "%s", wait_text(t, k->example));
        grid_time(&g, k->waits.min_ns);
        grid_time(&g, k->waits.max_ns);
    }
    grid_end(&g);
}

void print_lost(const struct trace_view *v)
{
    struct kinds all = {0};

    note_ended(&all, v);
    note_lost(&all, v);
    if (all.n)
        qsort(all.kinds, all.n, sizeof *all.kinds, by_number);
    if (all.n && all.kinds[0].waits.n)
        print(&all, v->t);
    free(all.kinds);
    id_map_free(&all.kind_of);
}
