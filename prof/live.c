/* The sampled allocations that are still live: pointer -> bucket and size.
 *
 * free() has to know whether a pointer was sampled, and almost never was. So a table of small
 * counters, which fits the first-level cache, answers "certainly not" with one load; only a
 * non-zero counter leads to the hash table, one of SHARDS, each with its own lock. Entries leave by
 * moving later ones back (Knuth, TAOCP 3, 6.4, algorithm R), so that a table never fills with
 * tombstones. */
#include "prof/internal.h"

enum { SHARDS = 64, SLOTS_MIN = 64 };

_Atomic uint8_t prof_live_filter[PROF_LIVE_FILTER];

static struct shard {
    struct prof_lock lock;
    size_t used, slots;
    struct prof_live *slot; /* key 0: empty */
} shards[SHARDS] __attribute__((aligned(64)));

/* The shard takes hash bits that the filter's index contains, so a filter counter has one writer at
 * a time. */
static struct shard *shard_of(uint64_t hash)
{
    return &shards[prof_live_filter_index(hash) & (SHARDS - 1)];
}
static size_t home_of(const struct shard *s, uintptr_t p)
{
    return (prof_live_hash(p) >> 40) & (s->slots - 1);
}

static size_t find_slot(const struct shard *s, uintptr_t p)
{
    size_t i = home_of(s, p);
    while (s->slot[i].p && s->slot[i].p != p)
        i = (i + 1) & (s->slots - 1);
    return i;
}

static bool grow_locked(struct shard *s)
{
    struct shard bigger = {.slots = s->slots ? s->slots * 2 : SLOTS_MIN};
    bigger.slot = prof_pages_alloc(bigger.slots * sizeof *bigger.slot);
    if (!bigger.slot)
        return false;
    for (size_t i = 0; i < s->slots; i++)
        if (s->slot[i].p)
            bigger.slot[find_slot(&bigger, s->slot[i].p)] = s->slot[i];
    prof_pages_free(s->slot, s->slots * sizeof *s->slot);
    s->slot = bigger.slot;
    s->slots = bigger.slots;
    return true;
}

/* A counter that has reached its top stays there: then it says "perhaps" for ever, which is only
 * slower. */
static void filter_add(uint64_t hash, int change)
{
    _Atomic uint8_t *c = &prof_live_filter[prof_live_filter_index(hash)];
    uint8_t n = atomic_load_explicit(c, memory_order_relaxed);
    if (n != UINT8_MAX)
        atomic_store_explicit(c, (uint8_t)(n + change), memory_order_relaxed);
}

void prof_live_filter_saturate(uintptr_t p)
{
    prof_live_filter[prof_live_filter_index(prof_live_hash(p))] = UINT8_MAX;
}

bool prof_live_add(const struct prof_live *entry)
{
    uint64_t hash = prof_live_hash(entry->p);
    struct shard *s = shard_of(hash);
    prof_lock(&s->lock);
    bool room = s->used < s->slots / 4 * 3 || grow_locked(s);
    if (room) {
        size_t i = find_slot(s, entry->p);
        if (s->slot[i].p == 0) {
            s->used++;
            filter_add(hash, 1);
        }
        s->slot[i] = *entry;
    }
    prof_unlock(&s->lock);
    return room;
}

static void remove_locked(struct shard *s, size_t hole)
{
    size_t mask = s->slots - 1;
    for (size_t i = (hole + 1) & mask; s->slot[i].p; i = (i + 1) & mask) {
        size_t home = home_of(s, s->slot[i].p);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            s->slot[hole] = s->slot[i];
            hole = i;
        }
    }
    s->slot[hole] = (struct prof_live){0};
    s->used--;
}

bool prof_live_take(uintptr_t p, struct prof_live *out)
{
    uint64_t hash = prof_live_hash(p);
    struct shard *s = shard_of(hash);
    bool found = false;
    prof_lock(&s->lock);
    if (s->used) {
        size_t i = find_slot(s, p);
        found = s->slot[i].p == p;
        if (found) {
            *out = s->slot[i];
            remove_locked(s, i);
            filter_add(hash, -1);
        }
    }
    prof_unlock(&s->lock);
    return found;
}

void prof_live_fork_prepare(void)
{
    for (int i = 0; i < SHARDS; i++)
        prof_lock(&shards[i].lock);
}

void prof_live_fork_done(void)
{
    for (int i = 0; i < SHARDS; i++)
        prof_unlock(&shards[i].lock);
}
