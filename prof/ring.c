/* The rings that threads write their events into.
 *
 * A ring has one writer, its thread, and one reader, the drain (drain.c), so it needs no lock: the
 * writer moves the head, the reader the tail. A full ring either refuses what is new, or the writer
 * overwrites what is oldest and the reader finds out afterwards which of the slots that it has
 * copied were no longer whole. A handler that interrupts its own thread within an event finds the
 * ring busy and drops its own.
 *
 * Memory comes straight from the kernel and is touched only as far as it is used. Thousands of
 * threads share one budget: none gets more than 1/256 of what is left. When recording ends the
 * pages are given back, but not the addresses, because a writer that was late may still be at work.
 * A recording has a number, its epoch, which is also the gate that the API looks at; a ring whose
 * epoch is another's is set up anew by its owner. */
#include "prof/thread.h"
#include "prof/trace_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RING_BYTES_MIN = 4 << 10, SHARES = 256 };

static _Atomic(struct prof_ring *) rings;
static atomic_uint serials;

/* Of the recording. */
static _Atomic size_t ring_bytes;
static atomic_bool wraps;
static _Atomic int64_t budget; /* bytes that are left */
static _Atomic uint64_t homeless;

uint32_t prof_trace_gate;

struct prof_ring *prof_rings_first(void)
{
    return atomic_load_explicit(&rings, memory_order_acquire);
}

static size_t power_of_two(size_t n)
{
    size_t p = RING_BYTES_MIN;
    while (p < n)
        p *= 2;
    return p;
}

static size_t bytes_of(const struct prof_ring *r)
{
    return r->nslots * sizeof(struct prof_slot);
}

/* ---- settings -------------------------------------------------------------------------------- */

void prof_ring_configure(const struct prof_trace_options *o)
{
    size_t each = power_of_two(o->ring_bytes ? o->ring_bytes : PROF_TRACE_RING_BYTES);
    size_t total = o->total_bytes ? o->total_bytes : PROF_TRACE_TOTAL_BYTES;
    atomic_store_explicit(&ring_bytes, each, memory_order_relaxed);
    atomic_store_explicit(&budget, (int64_t)total, memory_order_relaxed);
    atomic_store_explicit(&wraps, o->wrap, memory_order_relaxed);
    atomic_store_explicit(&homeless, 0, memory_order_relaxed);
    for (struct prof_ring *r = prof_rings_first(); r; r = r->next) {
        int left = PROF_RING_LEFT; /* of the recording before */
        atomic_compare_exchange_strong(&r->state, &left, PROF_RING_FREE);
    }
}

uint64_t prof_ring_homeless(void)
{
    return atomic_load_explicit(&homeless, memory_order_relaxed);
}

uint64_t prof_ring_bytes(void)
{
    uint64_t sum = 0;
    uint32_t epoch = __atomic_load_n(&prof_trace_gate, __ATOMIC_RELAXED);
    for (struct prof_ring *r = prof_rings_first(); r; r = r->next)
        if (epoch && atomic_load_explicit(&r->epoch, memory_order_acquire) == epoch)
            sum += bytes_of(r);
    return sum;
}

/* The size for one more ring, taken out of the budget; 0: there is none left. */
static size_t take_share(void)
{
    int64_t left = atomic_load_explicit(&budget, memory_order_relaxed), share;
    do {
        size_t most = atomic_load_explicit(&ring_bytes, memory_order_relaxed);
        share = RING_BYTES_MIN;
        while ((size_t)share < most && share * 2 * SHARES <= left)
            share *= 2;
        if (share > left)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&budget, &left, left - share,
                                                    memory_order_relaxed, memory_order_relaxed));
    return (size_t)share;
}

/* ---- a thread's ring ------------------------------------------------------------------------- */

static struct prof_ring *claim_free(void)
{
    for (struct prof_ring *r = prof_rings_first(); r; r = r->next) {
        int want = PROF_RING_FREE;
        if (atomic_load_explicit(&r->state, memory_order_relaxed) == PROF_RING_FREE &&
            atomic_compare_exchange_strong_explicit(&r->state, &want, PROF_RING_OWNED,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return r;
    }
    return NULL;
}

static struct prof_ring *make(void)
{
    static struct prof_arena arena;
    struct prof_ring *r = prof_arena_alloc(&arena, sizeof *r);
    if (!r)
        return NULL;
    atomic_init(&r->state, PROF_RING_OWNED);
    r->next = prof_rings_first();
    while (!atomic_compare_exchange_weak_explicit(&rings, &r->next, r, memory_order_acq_rel,
                                                  memory_order_acquire))
        ;
    return r;
}

static void give_back(struct prof_ring *r)
{
    prof_pages_free(r->words, bytes_of(r));
    r->words = NULL;
    r->nslots = 0;
}

/* Room of the size that this recording grants. The drain does not look at a ring of another epoch.
 */
static bool fit(struct prof_ring *r)
{
    size_t bytes = take_share();
    if (r->words && bytes_of(r) == bytes)
        return true;
    give_back(r);
    if (bytes == 0 || !(r->words = prof_pages_alloc(bytes)))
        return false;
    r->nslots = bytes / sizeof(struct prof_slot);
    return true;
}

/* A ring that belongs to the recording already keeps what it holds: its last thread's events are
 * the drain's by now. */
static bool set_up(struct prof_ring *r, uint32_t epoch)
{
    if (atomic_load_explicit(&r->epoch, memory_order_relaxed) == epoch)
        return true;
    if (atomic_exchange_explicit(&r->moving, true, memory_order_acquire))
        return false; /* prof_rings_release is at it: no recording goes on any more */
    bool fits = fit(r);
    atomic_store_explicit(&r->moving, false, memory_order_release);
    if (!fits)
        return false;
    r->wrap = atomic_load_explicit(&wraps, memory_order_relaxed);
    r->tail_seen = 0;
    r->taken = r->lost_told = 0;
    atomic_store_explicit(&r->head, 0, memory_order_relaxed);
    atomic_store_explicit(&r->tail, 0, memory_order_relaxed);
    atomic_store_explicit(&r->written, 0, memory_order_relaxed);
    atomic_store_explicit(&r->dropped, 0, memory_order_relaxed);
    atomic_store_explicit(&r->depth, 0, memory_order_relaxed);
    atomic_store_explicit(&r->wait_since, 0, memory_order_relaxed);
    atomic_store_explicit(&r->epoch, epoch, memory_order_release);
    prof_crash_thread_start();
    return true;
}

static struct prof_ring *ring_for(struct prof_thread *t)
{
    uint32_t epoch = __atomic_load_n(&prof_trace_gate, __ATOMIC_ACQUIRE);
    struct prof_ring *r = t->ring;
    if (epoch == 0)
        return NULL;
    if (!r) {
        if (!(r = claim_free()) && !(r = make()))
            return NULL;
        atomic_store_explicit(&r->depth, 0, memory_order_relaxed);
        atomic_store_explicit(&r->wait_since, 0, memory_order_relaxed);
        atomic_store_explicit(&r->tid, atomic_load_explicit(&t->tid, memory_order_relaxed),
                              memory_order_relaxed);
        atomic_store_explicit(&r->serial, atomic_fetch_add(&serials, 1) + 1, memory_order_relaxed);
        t->ring = r;
    }
    return set_up(r, epoch) ? r : NULL;
}

struct prof_ring *prof_ring_enter_slowly(void)
{
    struct prof_thread *t = prof_hook_self();
    struct prof_ring *r = NULL;
    if (!prof_trace_on())
        return NULL;
    if (t) {
        prof_enter(); /* a handler that comes now finds no thread, and drops its event */
        r = ring_for(t);
        prof_leave();
    }
    if (!r || atomic_load_explicit(&r->busy, memory_order_relaxed)) {
        atomic_fetch_add_explicit(r ? &r->dropped : &homeless, 1, memory_order_relaxed);
        return NULL;
    }
    atomic_store_explicit(&r->busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return r;
}

void prof_ring_abandon(struct prof_thread *t)
{
    struct prof_ring *r = t->ring;
    t->ring = NULL;
    if (!r)
        return;
    bool current = prof_trace_on() && atomic_load_explicit(&r->epoch, memory_order_relaxed) ==
                                          __atomic_load_n(&prof_trace_gate, __ATOMIC_RELAXED);
    atomic_store_explicit(&r->state, current ? PROF_RING_LEFT : PROF_RING_FREE,
                          memory_order_release);
}

/* ---- full ------------------------------------------------------------------------------------ */

bool prof_ring_room_slowly(struct prof_ring *r, unsigned n)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (head + n - r->tail_seen <= r->nslots)
        return true;
    if (r->wrap) { /* not to be asked again for one round */
        r->tail_seen = head;
        return true;
    }
    atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
    return false;
}

/* ---- the reader ------------------------------------------------------------------------------ */

static void copy(const struct prof_ring *r, uint64_t from, uint64_t to, struct prof_slot *out)
{
    for (; from < to; from++, out++)
        for (int i = 0; i < 4; i++)
            out->word[i] =
                atomic_load_explicit(&r->words[from & (r->nslots - 1)][i], memory_order_relaxed);
}

/* How many of the copied slots, from `from` on, may have been overwritten meanwhile. */
static uint64_t overwritten(const struct prof_ring *r, uint64_t from, uint64_t to)
{
#if !defined(__SANITIZE_THREAD__) && !defined(__x86_64__)
    atomic_thread_fence(memory_order_acquire);
#endif
    uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire) + PROF_EV_SLOTS_MAX;
    uint64_t whole = head > r->nslots ? head - r->nslots : 0;
    return whole <= from ? 0 : whole >= to ? to - from : whole - from;
}

static size_t count_events(const struct prof_slot *s, size_t n)
{
    size_t events = 0;
    for (size_t i = 0; i < n; i++)
        events += prof_event_type_of(&s[i]) != PROF_EV_MORE;
    return events;
}

uint64_t prof_ring_take(struct prof_ring *r, struct prof_slot *out, size_t *n)
{
    uint64_t written = atomic_load_explicit(&r->written, memory_order_acquire);
    uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint64_t from = r->wrap && head - tail > r->nslots ? head - r->nslots : tail;
    copy(r, from, head, out);
    size_t gone = r->wrap && from < head ? overwritten(r, from, head) : 0;
    *n = head - from;
    if (gone || from > tail) /* the first event that is whole */
        while (gone < *n && prof_event_type_of(&out[gone]) == PROF_EV_MORE)
            gone++;
    *n -= gone;
    if (gone)
        memmove(out, out + gone, *n * sizeof *out);
    atomic_store_explicit(&r->tail, head, memory_order_release);
    r->taken += count_events(out, *n);
    uint64_t lost = atomic_load_explicit(&r->dropped, memory_order_relaxed) +
                    (written > r->taken ? written - r->taken : 0);
    uint64_t fresh = lost > r->lost_told ? lost - r->lost_told : 0;
    r->lost_told += fresh;
    return fresh;
}

/* ---- the end, and fork ----------------------------------------------------------------------- */

void prof_rings_release(void)
{
    for (struct prof_ring *r = prof_rings_first(); r; r = r->next) {
        if (atomic_exchange_explicit(&r->moving, true, memory_order_acquire))
            continue;
        if (r->words)
            madvise(r->words, bytes_of(r), MADV_DONTNEED);
        atomic_store_explicit(&r->moving, false, memory_order_release);
    }
}

/* The parent's threads are gone, and what they recorded is the parent's. */
void prof_ring_fork_child(void)
{
    __atomic_store_n(&prof_trace_gate, 0, __ATOMIC_RELAXED);
    for (struct prof_ring *r = prof_rings_first(); r; r = r->next) {
        bool own = prof_self_tls && prof_self_tls->ring == r;
        atomic_store_explicit(&r->busy, 0, memory_order_relaxed);
        atomic_store_explicit(&r->moving, false, memory_order_relaxed);
        atomic_store_explicit(&r->state, own ? PROF_RING_OWNED : PROF_RING_FREE,
                              memory_order_relaxed);
        if (own)
            atomic_store_explicit(&r->tid, prof_gettid(), memory_order_relaxed);
    }
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        if (t != prof_self_tls)
            t->ring = NULL;
}
