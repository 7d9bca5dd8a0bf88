/* Stack buckets: what one (stack, labels, tag) adds up to.
 *
 * Hooks on any thread and signal handlers look buckets up and add to them at the same time, so the
 * table takes no lock: slots are pointers that go from NULL to a bucket once. It grows by a
 * further, larger segment. Two threads that meet exactly while a segment is being added may each
 * make a bucket for one stack; both count, and a viewer adds them up. */
#include "prof/internal.h"
#include "prof/thread.h"

#include <string.h>

enum { SEGMENT_SLOTS_MIN = 1 << 10, SEGMENT_SLOTS_MAX = 1 << 18, PROBES_MAX = 64 };

struct prof_bucket_segment {
    size_t slots;
    _Atomic size_t used;
    _Atomic(struct prof_bucket_segment *) next;
    _Atomic(struct prof_bucket *) slot[];
};

struct key {
    const uintptr_t *pcs;
    uint32_t npcs;
    const struct prof_labels *labels;
    int64_t tag;
    uint32_t hash;
};

/* FNV-1a over words, finished by a multiply-shift: stacks differ in few bits of few words. */
static uint32_t hash_key(const struct key *k)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < k->npcs; i++)
        h = (h ^ k->pcs[i]) * UINT64_C(0x100000001b3);
    h = (h ^ (uintptr_t)k->labels) * UINT64_C(0x100000001b3);
    h = (h ^ (uint64_t)k->tag) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32);
}

static bool matches(const struct prof_bucket *b, const struct key *k)
{
    return b->hash == k->hash && b->npcs == k->npcs && b->labels == k->labels && b->tag == k->tag &&
           memcmp(b->pcs, k->pcs, k->npcs * sizeof *k->pcs) == 0;
}

static struct prof_bucket *make_bucket(struct prof_bucket_table *t, const struct key *k)
{
    struct prof_bucket *b = prof_arena_alloc(&t->arena, sizeof *b + k->npcs * sizeof *k->pcs);
    if (!b)
        return NULL;
    b->labels = k->labels;
    b->tag = k->tag;
    b->hash = k->hash;
    b->npcs = k->npcs;
    memcpy(b->pcs, k->pcs, k->npcs * sizeof *k->pcs);
    return b;
}

/* The segment behind *link, made if there is none yet. */
static struct prof_bucket_segment *
segment_at(struct prof_bucket_table *t, _Atomic(struct prof_bucket_segment *) *link, size_t slots)
{
    struct prof_bucket_segment *s = atomic_load_explicit(link, memory_order_acquire);
    if (s)
        return s;
    struct prof_bucket_segment *fresh =
        prof_arena_alloc(&t->arena, sizeof *s + slots * sizeof s->slot[0]);
    if (!fresh)
        return NULL;
    fresh->slots = slots;
    if (atomic_compare_exchange_strong_explicit(link, &s, fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return fresh;
    return s;
}

/* Looks k up in one segment; *free_slot is where it could be put, or NULL when the segment is
 * crowded. */
static struct prof_bucket *probe(struct prof_bucket_segment *s, const struct key *k,
                                 _Atomic(struct prof_bucket *) **free_slot)
{
    *free_slot = NULL;
    for (size_t i = 0; i < PROBES_MAX; i++) {
        _Atomic(struct prof_bucket *) *slot = &s->slot[(k->hash + i) & (s->slots - 1)];
        struct prof_bucket *b = atomic_load_explicit(slot, memory_order_acquire);
        if (!b) {
            if (atomic_load_explicit(&s->used, memory_order_relaxed) < s->slots / 4 * 3)
                *free_slot = slot;
            return NULL;
        }
        if (matches(b, k))
            return b;
    }
    return NULL;
}

/* Puts fresh into the slot; if another thread was first there, look again from the segment's start.
 */
static bool publish(struct prof_bucket_segment *s, _Atomic(struct prof_bucket *) *slot,
                    struct prof_bucket *fresh)
{
    struct prof_bucket *expected = NULL;
    if (!atomic_compare_exchange_strong_explicit(slot, &expected, fresh, memory_order_acq_rel,
                                                 memory_order_acquire))
        return false;
    atomic_fetch_add_explicit(&s->used, 1, memory_order_relaxed);
    return true;
}

struct prof_bucket *prof_bucket_get(struct prof_bucket_table *t, const uintptr_t *pcs, int npcs,
                                    const struct prof_labels *labels, int64_t tag)
{
    struct key k = {.pcs = pcs, .npcs = (uint32_t)npcs, .labels = labels, .tag = tag};
    k.hash = hash_key(&k);
    struct prof_bucket *fresh = NULL;
    _Atomic(struct prof_bucket_segment *) *link = &t->first;
    size_t slots = SEGMENT_SLOTS_MIN;
    for (;;) {
        struct prof_bucket_segment *s = segment_at(t, link, slots);
        if (!s)
            return NULL;
        _Atomic(struct prof_bucket *) *slot;
        struct prof_bucket *b = probe(s, &k, &slot);
        if (b)
            return b;
        if (slot) {
            if (!fresh && !(fresh = make_bucket(t, &k)))
                return NULL;
            if (publish(s, slot, fresh))
                return fresh;
            continue;
        }
        link = &s->next;
        slots = s->slots < SEGMENT_SLOTS_MAX ? s->slots * 4 : s->slots;
    }
}

void prof_bucket_each(struct prof_bucket_table *t, void (*fn)(struct prof_bucket *b, void *arg),
                      void *arg)
{
    struct prof_bucket_segment *s = atomic_load_explicit(&t->first, memory_order_acquire);
    for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire))
        for (size_t i = 0; i < s->slots; i++) {
            struct prof_bucket *b = atomic_load_explicit(&s->slot[i], memory_order_acquire);
            if (b)
                fn(b, arg);
        }
}

int64_t prof_bucket_count(struct prof_bucket_table *t)
{
    int64_t n = 0;
    struct prof_bucket_segment *s = atomic_load_explicit(&t->first, memory_order_acquire);
    for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire))
        n += (int64_t)atomic_load_explicit(&s->used, memory_order_relaxed);
    return n;
}

void prof_bucket_drop(struct prof_bucket_table *t)
{
    atomic_store(&t->first, NULL);
    prof_arena_drop(&t->arena);
}
