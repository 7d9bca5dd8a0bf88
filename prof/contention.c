/* The mutex profile: what waiting a lock's holders caused.
 *
 * Who has to wait for a lock enters himself in a list, found by the lock's address. The holder's
 * unlock takes the time that all waiters have waited since the last time, and when the lock is
 * released, records it at its own stack. So each moment of waiting is charged once, to the thread
 * that then held the lock, and many waiters weigh more than one; as in Go's runtime/sema.go. The
 * time from the unlock until the waiter runs is nobody's.
 *
 * A list's lock is held for a few instructions and only by threads that are marked as being inside
 * libprof, so no hook of a signal handler can meet it. */
#include "prof/thread.h"
#include "prof/wait.h"

#include <string.h>

static struct {
    struct prof_lock lock;
    struct prof_waiter *oldest, *newest;
} lists[PROF_CONTENTION_LISTS];

_Atomic uint32_t prof_contention_waiters[PROF_CONTENTION_LISTS]; /* each changed by who holds the
                                                                    list's lock */

static _Atomic int64_t fraction, charged_from_ns; /* since when it has not been 0 */
static struct prof_bucket_table buckets;

/* ---- lists of waiters ------------------------------------------------------------------------ */

static void count_locked(unsigned i, uint32_t more)
{
    uint32_t n = atomic_load_explicit(&prof_contention_waiters[i], memory_order_relaxed);
    atomic_store_explicit(&prof_contention_waiters[i], n + more, memory_order_relaxed);
}

static void append_locked(unsigned i, struct prof_waiter *w, const void *object)
{
    w->next = NULL;
    w->previous = lists[i].newest;
    *(w->previous ? &w->previous->next : &lists[i].oldest) = w;
    lists[i].newest = w;
    atomic_store_explicit(&w->object, object, memory_order_relaxed);
    count_locked(i, 1);
}

static void remove_locked(unsigned i, struct prof_waiter *w)
{
    *(w->next ? &w->next->previous : &lists[i].newest) = w->previous;
    *(w->previous ? &w->previous->next : &lists[i].oldest) = w->next;
    atomic_store_explicit(&w->object, NULL, memory_order_relaxed);
    count_locked(i, -1u);
}

/* Both lists, in an order that all agree on. */
static void lock_two(unsigned a, unsigned b)
{
    prof_lock(&lists[a < b ? a : b].lock);
    if (a != b)
        prof_lock(&lists[a < b ? b : a].lock);
}

static void unlock_two(unsigned a, unsigned b)
{
    prof_unlock(&lists[a].lock);
    if (a != b)
        prof_unlock(&lists[b].lock);
}

bool prof_contention_enter(struct prof_waiter *w, const void *object, const void *mutex,
                           int64_t now_ns, bool traced)
{
    if (!traced && atomic_load_explicit(&fraction, memory_order_relaxed) <= 0)
        return false;
    /* Still in a list when a signal handler waits, or has left the wait by longjmp. */
    prof_contention_leave(w, false);
    w->mutex = mutex;
    w->condition = mutex ? object : NULL;
    w->charged_ns = now_ns;
    w->stamp = (struct prof_stamp){0};
    unsigned i = prof_contention_list(object);
    prof_lock(&lists[i].lock);
    append_locked(i, w, object);
    prof_unlock(&lists[i].lock);
    return true;
}

/* The time, when waiting is charged to anybody at all; else 0. */
static int64_t charging_ns(void)
{
    return atomic_load_explicit(&fraction, memory_order_relaxed) > 0 ? prof_now_ns() : 0;
}

/* ---- stamps ---------------------------------------------------------------------------------- */

/* Who ends a wait, for the trace. */
static struct prof_stamp stamp_of(enum prof_wake how, struct prof_site site)
{
    if (!prof_trace_wants(PROF_TRACE_BLOCK))
        return (struct prof_stamp){.how = PROF_WAKE_NONE};
    return (struct prof_stamp){
        .ticks = prof_ticks(),
        .here = site.here,
        .from = site.from,
        .tid = atomic_load_explicit(&prof_self_tls->tid, memory_order_relaxed),
        .how = how,
    };
}

void prof_contention_stamp(const void *object, enum prof_wake how, bool all, struct prof_site site)
{
    if (!prof_hook_self())
        return;
    prof_enter();
    struct prof_stamp stamp = stamp_of(how, site);
    unsigned i = prof_contention_list(object);
    prof_lock(&lists[i].lock);
    for (struct prof_waiter *w = lists[i].oldest; w && stamp.how; w = w->next)
        if (atomic_load_explicit(&w->object, memory_order_relaxed) == object &&
            (all || w->stamp.how == PROF_WAKE_NONE)) {
            w->stamp = stamp;
            if (!all)
                break;
        }
    prof_unlock(&lists[i].lock);
    prof_leave();
}

/* ---- condition variables --------------------------------------------------------------------- */

static bool waits_locked(const struct prof_waiter *w, const void *object, const void *condition)
{
    return atomic_load_explicit(&w->object, memory_order_relaxed) == object &&
           w->condition == condition;
}

static struct prof_waiter *first_locked(unsigned i, const void *object, const void *condition)
{
    struct prof_waiter *w = lists[i].oldest;
    while (w && !waits_locked(w, object, condition))
        w = w->next;
    return w;
}

/* The oldest that waits for the condition variable itself, and has been chosen to be woken, or has
 * not. */
static struct prof_waiter *sleeper_locked(unsigned i, const void *condition, bool chosen)
{
    struct prof_waiter *w = lists[i].oldest;
    while (w &&
           (!waits_locked(w, condition, condition) || (w->stamp.how != PROF_WAKE_NONE) != chosen))
        w = w->next;
    return w;
}

/* One list's lock is held, the other's is wanted as well. false: there was no way but to let go in
 * between. */
static bool lock_other(unsigned held, unsigned other)
{
    if (other == held || prof_trylock(&lists[other].lock))
        return true;
    prof_unlock(&lists[held].lock);
    lock_two(held, other);
    return false;
}

/* The oldest waiter for the condition variable waits for its mutex from now on. false: there is
 * none. */
static bool move_one(const void *condition, int64_t now_ns, const struct prof_stamp *stamp)
{
    unsigned from = prof_contention_list(condition);
    prof_lock(&lists[from].lock);
    struct prof_waiter *w = sleeper_locked(from, condition, false);
    const void *mutex = w ? w->mutex : NULL;
    unsigned to = mutex ? prof_contention_list(mutex) : from;
    if (!lock_other(from, to))
        w = sleeper_locked(from, condition, false);
    bool found = w && mutex && w->mutex == mutex;
    if (found) {
        remove_locked(from, w);
        w->charged_ns = now_ns;
        w->stamp = *stamp;
        append_locked(to, w, mutex);
    }
    unlock_two(from, to);
    return found;
}

/* Where nobody is charged, the waiters stay where they are: their mutex' unlocks are not to find
 * them. */
static void stamp_sleepers(const void *condition, bool all, const struct prof_stamp *stamp)
{
    unsigned i = prof_contention_list(condition);
    bool goes_on = true;
    prof_lock(&lists[i].lock);
    for (struct prof_waiter *w = lists[i].oldest; w && goes_on; w = w->next)
        if (waits_locked(w, condition, condition) && w->stamp.how == PROF_WAKE_NONE) {
            w->stamp = *stamp;
            goes_on = all;
        }
    prof_unlock(&lists[i].lock);
}

void prof_contention_wake(const void *condition, bool all, struct prof_site site)
{
    if (!prof_hook_self())
        return;
    prof_enter();
    int64_t now_ns = charging_ns();
    struct prof_stamp stamp = stamp_of(all ? PROF_WAKE_BROADCAST : PROF_WAKE_SIGNAL, site);
    if (now_ns)
        while (move_one(condition, now_ns, &stamp) && all)
            ;
    else if (stamp.how)
        stamp_sleepers(condition, all, &stamp);
    prof_leave();
}

/* Which waiter a signal wakes is the kernel's choice, mostly the oldest. This one came back without
 * having been chosen here: then the one that was chosen in its place waits on. */
static void give_turn_back_locked(unsigned from, struct prof_waiter *w)
{
    unsigned to = prof_contention_list(w->mutex);
    struct prof_waiter *moved = NULL, *other = sleeper_locked(from, w->condition, true);
    if (!other)
        other = moved = first_locked(to, w->mutex, w->condition);
    if (!other)
        return;
    w->stamp = other->stamp;
    other->stamp = (struct prof_stamp){0};
    if (moved) {
        remove_locked(to, moved);
        append_locked(from, moved, w->condition);
    }
}

/* The same for a semaphore: this waiter took what was meant for that one. */
static void take_post_locked(unsigned i, const void *object, struct prof_waiter *w)
{
    for (struct prof_waiter *o = lists[i].oldest; o; o = o->next)
        if (o->stamp.how == PROF_WAKE_POST &&
            atomic_load_explicit(&o->object, memory_order_relaxed) == object) {
            w->stamp = o->stamp;
            o->stamp = (struct prof_stamp){0};
            return;
        }
}

void prof_contention_leave(struct prof_waiter *w, bool woken)
{
    const void *object;
    while ((object = atomic_load_explicit(&w->object, memory_order_relaxed))) {
        unsigned i = prof_contention_list(object);
        unsigned j = w->mutex ? prof_contention_list(w->mutex) : i;
        lock_two(i, j);
        /* It may just have been woken and moved. */
        bool there = atomic_load_explicit(&w->object, memory_order_relaxed) == object;
        if (there) {
            remove_locked(i, w);
            if (woken && w->condition == object && w->stamp.how == PROF_WAKE_NONE)
                give_turn_back_locked(i, w);
            else if (w->stamp.how == PROF_WAKE_NONE)
                take_post_locked(i, object, w);
        }
        unlock_two(i, j);
        if (there)
            return;
    }
}

/* ---- charging -------------------------------------------------------------------------------- */

/* Who waited for a condition variable goes on owing its wake to whoever signalled it. */
static void stamp_locked(struct prof_waiter *w, const struct prof_stamp *stamp)
{
    if (stamp->how && !(w->condition && w->stamp.how))
        w->stamp = *stamp;
}

/* What it has waited since it was charged last, as far as the profile was on. */
static int64_t charge_locked(struct prof_waiter *w, int64_t now_ns)
{
    int64_t from_ns = atomic_load_explicit(&charged_from_ns, memory_order_relaxed);
    if (from_ns < w->charged_ns)
        from_ns = w->charged_ns;
    if (now_ns <= from_ns)
        return 0;
    w->charged_ns = now_ns;
    return now_ns - from_ns;
}

int64_t prof_contention_charge(const void *lock, bool wakes, struct prof_site site)
{
    int64_t delay_ns = 0;
    if (!prof_hook_self())
        return 0;
    prof_enter();
    unsigned i = prof_contention_list(lock);
    int64_t now_ns = charging_ns();
    struct prof_stamp stamp = stamp_of(PROF_WAKE_UNLOCK, site);
    prof_lock(&lists[i].lock);
    for (struct prof_waiter *w = lists[i].oldest; w; w = w->next) {
        if (atomic_load_explicit(&w->object, memory_order_relaxed) != lock)
            continue;
        stamp_locked(w, &stamp);
        if (wakes)
            delay_ns += charge_locked(w, now_ns);
    }
    prof_unlock(&lists[i].lock);
    prof_leave();
    return delay_ns;
}

void prof_contention_record(int64_t delay_ns, struct prof_site site)
{
    struct prof_thread *t = prof_hook_self();
    int64_t one_in = atomic_load_explicit(&fraction, memory_order_relaxed);
    if (!t || one_in <= 0 || prof_random(t) % (uint64_t)one_in != 0)
        return;
    int saved = errno;
    uintptr_t pcs[PROF_MAX_FRAMES];
    prof_enter();
    int npcs = prof_site_stack(site, pcs, PROF_MAX_FRAMES);
    prof_delay_add(&buckets, t, pcs, npcs, (double)one_in, delay_ns * one_in);
    prof_leave();
    errno = saved;
}

/* ---- the fraction ---------------------------------------------------------------------------- */

int64_t prof_set_mutex_fraction(int64_t one_in)
{
    if (one_in < 0)
        return atomic_load(&fraction);
    if (one_in > 0 && atomic_load(&fraction) == 0)
        atomic_store(&charged_from_ns, prof_now_ns());
    return atomic_exchange(&fraction, one_in);
}

void prof_contention_init(void)
{
    prof_set_mutex_fraction(prof_rate_from_environment("PROF_MUTEX_FRACTION"));
}

void prof_contention_fork_child(void)
{
    memset(lists, 0, sizeof lists);
    for (int i = 0; i < PROF_CONTENTION_LISTS; i++)
        atomic_store_explicit(&prof_contention_waiters[i], 0, memory_order_relaxed);
    prof_bucket_drop(&buckets);
}

/* ---- the profile ----------------------------------------------------------------------------- */

static int fill(const struct prof_source *self, struct prof_snapshot *s)
{
    (void)self;
    s->sampling = atomic_load_explicit(&fraction, memory_order_relaxed);
    return prof_delay_fill(&buckets, s);
}

static int64_t count(const struct prof_source *self)
{
    (void)self;
    return prof_bucket_count(&buckets);
}

static const struct prof_description description = {
    .name = "mutex",
    .nvalues = 2,
    .values = {{"contentions", "count"}, {"delay", "nanoseconds"}},
    .period_type = {"contentions", "count"},
    .text = PROF_TEXT_CONTENTION,
};

const struct prof_source prof_source_mutex = {.about = &description, .fill = fill, .count = count};
