/* Locks: who waited for each, who held it meanwhile, how long, how many at once. A trace knows a
 * lock by its address, and of holding only what waiting threads saw. Conditions, semaphores and
 * barriers come after them: threads that have nothing to do wait there. */
#include "cmd/trace/array.h"
#include "cmd/trace/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 20, DETAILED = 20, DETAILED_OTHERS = 5, SHOWN_THREADS = 4, SHOWN_FRAMES = 4 };

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

static void collect(struct locks *l)
{
    const struct trace *t = l->v->t;

    for (uint32_t i = 0; i < t->nslices; i++) {
        const struct trace_slice *s = &t->slices[i];
        if (slice_has_lock(t, s) && view_has(l->v, s->start_ns, s->end_ns) &&
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
        printf("%s %s (%" PRIu64 " x, %s)", i ? "," : "", plain(thread_label(l->v->t, u->thread)),
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
        printf("%s %s", i ? " <" : "", plain(trace_text(t, f->function)));
        if (*file)
            printf(" (%s:%u)", plain(file), f->line);
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

static void print_details(const struct locks *l, const struct lock *lock)
{
    uint32_t i = (uint32_t)(lock - l->locks);

    printf("  0x%" PRIx64 ", %s\n", lock->address, plain(trace_text(l->v->t, lock->name)));
    print_uses(l, i, WAITED);
    if (!print_uses(l, i, HELD))
        print_uses(l, i, ENDED);
    print_place(l->v->t, lock->longest);
}

/* Held by somebody, not signalled: by the name of the call. */
static bool is_lock(const struct locks *l, const struct lock *lock)
{
    static const char *const calls[] = {"mutex", "rwlock", "spin", "lock", "futex"};
    const char *name = trace_text(l->v->t, lock->name);

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strncmp(name, calls[i], strlen(calls[i])) == 0)
            return true;
    return false;
}

/* Those that are locks, or those that are not, by time. */
static uint32_t choose(const struct locks *l, bool locks, struct lock **order)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->nlocks; i++)
        if (is_lock(l, &l->locks[i]) == locks)
            order[n++] = &l->locks[i];
    qsort(order, n, sizeof *order, by_wait);
    return n;
}

static void print_kind(const struct locks *l, bool locks, const char *all, const char *some,
                       uint32_t detailed)
{
    struct lock **order = array_resize(NULL, l->nlocks, sizeof *order);
    uint32_t n = choose(l, locks, order), shown = n < SHOWN ? n : SHOWN;

    if (n > shown)
        heading(some, shown, n);
    else if (n)
        heading("%s", all);
    if (n && locks)
        puts("  a wait lasts until its thread goes on: the time until it gets a CPU is in it");
    else if (n)
        puts("  a thread with nothing to do waits in one of these: long waits may be no trouble");
    if (n)
        print_table(l, order, shown);
    for (uint32_t i = 0; i < shown && i < detailed; i++)
        print_details(l, order[i]);
    free(order);
}

void print_locks(const struct trace_view *v)
{
    struct locks l = {.v = v};

    collect(&l);
    count_waiters(&l);
    if (l.nuses)
        qsort(l.uses, l.nuses, sizeof *l.uses, by_use);
    print_kind(&l, true, "Locks", "The %u locks that were waited for longest, of %u", DETAILED);
    print_kind(&l, false, "Conditions, semaphores, barriers",
               "The %u conditions, semaphores, barriers that were waited at longest, of %u",
               DETAILED_OTHERS);
    free(l.locks);
    free(l.uses);
    free(l.changes);
    id_map_free(&l.lock_of);
    id_map_free(&l.use_of);
}
