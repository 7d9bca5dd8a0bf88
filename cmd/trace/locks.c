/* Locks: who waited for each, who held it meanwhile, how long, how many at once. A trace knows a
 * lock by its address, and of holding only what waiting threads saw. */
#include "cmd/trace/array.h"
#include "cmd/trace/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_LOCKS = 20, SHOWN_THREADS = 4, SHOWN_FRAMES = 4 };

enum role { WAITED, HELD, ENDED };

struct lock {
    uint64_t address;
    uint32_t name; /* of the first wait */
    struct tally waits;
    uint32_t waiting, most_waiting;
    uint32_t longest; /* slice */
};

struct use { /* of a lock by a thread */
    uint32_t lock, thread;
    enum role role;
    struct tally tally;
};

struct change { /* somebody begins or ends to wait */
    int64_t ns;
    uint32_t lock;
    int step;
};

struct locks {
    const struct trace_view *v;
    struct id_map lock_of, use_of;
    struct lock *locks;
    uint32_t nlocks, clocks;
    struct use *uses;
    uint32_t nuses, cuses;
    struct change *changes;
    uint32_t nchanges, cchanges;
};

static uint32_t lock_of(struct locks *l, const struct trace_slice *wait)
{
    uint32_t i = id_map_get(&l->lock_of, wait->value);

    if (i == TRACE_NONE) {
        i = l->nlocks++;
        l->locks = array_grow(l->locks, i, &l->clocks, sizeof *l->locks);
        l->locks[i] = (struct lock){.address = wait->value, .name = wait->name};
        id_map_set(&l->lock_of, wait->value, i);
    }
    return i;
}

static void add_use(struct locks *l, uint32_t lock, enum role role, uint32_t thread, int64_t ns)
{
    uint64_t key = (uint64_t)lock << 34 | (uint64_t)role << 32 | thread;
    uint32_t i = id_map_get(&l->use_of, key);

    if (i == TRACE_NONE) {
        i = l->nuses++;
        l->uses = array_grow(l->uses, i, &l->cuses, sizeof *l->uses);
        l->uses[i] = (struct use){.lock = lock, .thread = thread, .role = role};
        id_map_set(&l->use_of, key, i);
    }
    tally_add(&l->uses[i].tally, ns);
}

static void add_change(struct locks *l, int64_t ns, uint32_t lock, int step)
{
    l->changes = array_grow(l->changes, l->nchanges, &l->cchanges, sizeof *l->changes);
    l->changes[l->nchanges++] = (struct change){ns, lock, step};
}

static void add_wait(struct locks *l, uint32_t slice)
{
    const struct trace_slice *s = &l->v->t->slices[slice];
    int64_t ns = view_overlap(l->v, s->start_ns, s->end_ns);
    uint32_t i = lock_of(l, s);
    struct lock *lock = &l->locks[i];

    if (lock->waits.n == 0 || ns > lock->waits.max_ns)
        lock->longest = slice;
    tally_add(&lock->waits, ns);
    add_use(l, i, WAITED, l->v->t->tracks[s->track].thread, ns);
    if (s->holder != TRACE_NONE)
        add_use(l, i, HELD, s->holder, ns);
    if (s->waker != TRACE_NONE)
        add_use(l, i, ENDED, s->waker, ns);
    add_change(l, s->end_ns, i, -1);
    add_change(l, s->start_ns, i, 1);
}

/* A join waits for a thread, which is no lock. */
static bool is_lock_wait(const struct trace *t, const struct trace_slice *s)
{
    return s->kind == TRACE_SLICE_BLOCK && s->flags & TRACE_HAS_VALUE &&
           strcmp(trace_text(t, s->name), "join") != 0;
}

static void collect(struct locks *l)
{
    const struct trace *t = l->v->t;

    for (uint32_t i = 0; i < t->nslices; i++) {
        const struct trace_slice *s = &t->slices[i];
        if (is_lock_wait(t, s) && view_has(l->v, s->start_ns, s->end_ns) &&
            view_track(l->v, s->track))
            add_wait(l, i);
    }
}

static void count_waiters(struct locks *l)
{
    array_sort_by_time(l->changes, l->nchanges, sizeof *l->changes);
    for (uint32_t i = 0; i < l->nchanges; i++) {
        struct lock *lock = &l->locks[l->changes[i].lock];
        lock->waiting += (uint32_t)l->changes[i].step;
        if ((int32_t)lock->waiting > (int32_t)lock->most_waiting)
            lock->most_waiting = lock->waiting;
    }
}

/* ---- printing -------------------------------------------------------------------------------- */

static int by_wait(const void *a, const void *b)
{
    const struct tally *x = &(*(const struct lock *const *)a)->waits,
                       *y = &(*(const struct lock *const *)b)->waits;
    return (x->sum_ns < y->sum_ns) - (x->sum_ns > y->sum_ns);
}

static int by_use(const void *a, const void *b)
{
    const struct use *x = a, *y = b;

    if (x->lock != y->lock)
        return x->lock < y->lock ? -1 : 1;
    if (x->role != y->role)
        return x->role < y->role ? -1 : 1;
    return (x->tally.sum_ns < y->tally.sum_ns) - (x->tally.sum_ns > y->tally.sum_ns);
}

/* False: there is nobody. */
static bool print_uses(const struct locks *l, uint32_t lock, enum role role)
{
    static const char *const titles[] = {
        [WAITED] = "waited:", [HELD] = "held by:", [ENDED] = "waits ended by:"};
    uint32_t first = 0, n = 0;

    while (first < l->nuses && (l->uses[first].lock != lock || l->uses[first].role != role))
        first++;
    while (first + n < l->nuses && l->uses[first + n].lock == lock &&
           l->uses[first + n].role == role)
        n++;
    if (n == 0)
        return false;
    printf("    %s", titles[role]);
    for (uint32_t i = 0; i < n && i < SHOWN_THREADS; i++) {
        const struct use *u = &l->uses[first + i];
        printf("%s %s (%" PRIu64 " x, %s)", i ? "," : "", thread_label(l->v->t, u->thread),
               u->tally.n, time_text(u->tally.sum_ns));
    }
    if (n > SHOWN_THREADS)
        printf(" and %u more", n - SHOWN_THREADS);
    putchar('\n');
    return true;
}

static void print_place(const struct trace *t, uint32_t slice)
{
    const struct trace_stack *s = &t->stacks[t->slices[slice].stack];

    if (!s->n)
        return;
    fputs("    longest at:", stdout);
    for (uint32_t i = 0; i < s->n && i < SHOWN_FRAMES; i++) {
        const struct trace_frame *f = &t->frames[t->stack_frames[s->first + i]];
        const char *file = strrchr(trace_text(t, f->file), '/');
        file = file ? file + 1 : trace_text(t, f->file);
        printf("%s %s", i ? " <" : "", trace_text(t, f->function));
        if (*file)
            printf(" (%s:%u)", file, f->line);
    }
    puts(s->n > SHOWN_FRAMES ? " < ..." : "");
}

static void print_table(const struct locks *l, struct lock **order, uint32_t n)
{
    struct grid g;

    grid_begin(&g, "<lock|<first wait|waits|total|min|avg|max|most at once");
    for (uint32_t i = 0; i < n; i++) {
        const struct tally *w = &order[i]->waits;
        grid_cell(&g, "0x%" PRIx64, order[i]->address);
        grid_cell(&g, "%s", trace_text(l->v->t, order[i]->name));
        grid_cell(&g, "%" PRIu64, w->n);
        grid_time(&g, w->sum_ns);
        grid_time(&g, w->min_ns);
        grid_time(&g, tally_mean(w));
        grid_time(&g, w->max_ns);
        grid_cell(&g, "%u", order[i]->most_waiting);
    }
    grid_end(&g);
}

static void print_all(struct locks *l)
{
    struct lock **order = array_resize(NULL, l->nlocks, sizeof *order);
    uint32_t n = l->nlocks < SHOWN_LOCKS ? l->nlocks : SHOWN_LOCKS;

    for (uint32_t i = 0; i < l->nlocks; i++)
        order[i] = &l->locks[i];
    qsort(order, l->nlocks, sizeof *order, by_wait);
    qsort(l->uses, l->nuses, sizeof *l->uses, by_use);
    heading(l->nlocks > n ? "The %u locks that were waited for longest, of %u" : "Locks", n,
            l->nlocks);
    puts("  a wait lasts until its thread goes on: the time until it gets a CPU is in it");
    print_table(l, order, n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t lock = (uint32_t)(order[i] - l->locks);
        printf("  0x%" PRIx64 ", %s\n", order[i]->address, trace_text(l->v->t, order[i]->name));
        print_uses(l, lock, WAITED);
        if (!print_uses(l, lock, HELD))
            print_uses(l, lock, ENDED);
        print_place(l->v->t, order[i]->longest);
    }
    free(order);
}

void print_locks(const struct trace_view *v)
{
    struct locks l = {.v = v};

    collect(&l);
    count_waiters(&l);
    if (l.nlocks)
        print_all(&l);
    free(l.locks);
    free(l.uses);
    free(l.changes);
    id_map_free(&l.lock_of);
    id_map_free(&l.use_of);
}
