/* What earlier profiles have found out, by build id and address.
 *
 * A scraper comes every ten seconds and mostly brings PCs that were there before; opening the C
 * library's debug information alone takes 50 ms, because Debian compresses it. So what debug
 * information said is kept, up to a number of PCs; beyond it the cache starts anew, which costs one
 * slow profile. Only PCs of modules with a build id are kept: without one, the same address of the
 * same path may be another function tomorrow. Whoever finds the cache in use goes without it: a
 * lock could be left held by a fork. */
#include "prof/symbols.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRIES = 32768, FIRST_SLOTS = 1024 };

struct entry {
    uint32_t build_id;         /* its number in the pool; 0: the slot is empty */
    struct prof_target target; /* pc is not used */
};

static atomic_bool busy;
static struct prof_pool pool;
static struct entry *slots; /* a hash table, at most half full */
static size_t nslots, nentries;

static void drop_locked(void)
{
    prof_pool_free(&pool);
    free(slots);
    slots = NULL;
    nslots = nentries = 0;
}

static struct entry *slot_of(uint32_t build_id, uint64_t address)
{
    uint64_t h = (address ^ (uint64_t)build_id << 48) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = (h >> 32) % nslots;; i = (i + 1) % nslots) {
        struct entry *e = &slots[i];
        if (!e->build_id || (e->build_id == build_id && e->target.address == address))
            return e;
    }
}

/* Room for n more. False: no memory, and the table is as it was. */
static bool make_room(size_t n)
{
    struct entry *old = slots;
    size_t old_slots = nslots, wanted = nslots ? nslots : FIRST_SLOTS;
    while (wanted < 2 * (nentries + n))
        wanted *= 2;
    if (wanted == nslots)
        return true;
    struct entry *made = calloc(wanted, sizeof *made);
    if (!made)
        return false;
    slots = made;
    nslots = wanted;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].build_id)
            *slot_of(old[i].build_id, old[i].target.address) = old[i];
    free(old);
    return true;
}

static void copy_frame(struct prof_pool *to, struct prof_frame *out, const struct prof_frame *from)
{
    *out = *from;
    out->function = prof_pool_string(to, from->function);
    out->linkage_name = prof_pool_string(to, from->linkage_name);
    out->call_file = prof_pool_string(to, from->call_file);
    out->start_file = prof_pool_string(to, from->start_file);
}

/* Everything that was found, with strings and frames in `to`. */
static void copy_found(struct prof_pool *to, struct prof_target *out,
                       const struct prof_target *from)
{
    int n = 0;
    for (const struct prof_frame *f = from->frame; f; f = f->parent)
        n++;
    struct prof_frame *frames = n ? prof_pool_alloc(to, (size_t)n * sizeof *frames) : NULL;
    uintptr_t pc = out->pc;
    *out = *from;
    out->pc = pc;
    out->frame = frames;
    out->file = prof_pool_string(to, from->file);
    out->entry_file = prof_pool_string(to, from->entry_file);
    out->symbol = from->symbol ? prof_pool_string(to, from->symbol) : NULL;
    out->shown_symbol = prof_pool_string(to, from->shown_symbol);
    for (const struct prof_frame *f = from->frame; frames && f; f = f->parent, frames++) {
        copy_frame(to, frames, f);
        frames->parent = f->parent ? frames + 1 : NULL;
    }
}

size_t prof_cache_get(const char *build_id, struct prof_target *targets, size_t n,
                      struct prof_pool *to)
{
    size_t found = 0;
    if (!build_id[0] || atomic_exchange(&busy, true))
        return 0;
    uint32_t id = slots ? prof_pool_intern(&pool, build_id, strlen(build_id)) : 0;
    for (size_t i = 0; id && i < n; i++) {
        const struct entry *e = slot_of(id, targets[i].address);
        if (!e->build_id)
            continue;
        struct prof_target hit = targets[i];
        copy_found(to, &hit, &e->target);
        targets[i] = targets[found];
        targets[found++] = hit;
    }
    atomic_store(&busy, false);
    return found;
}

void prof_cache_put(const char *build_id, const struct prof_target *targets, size_t n)
{
    if (!build_id[0] || n > MAX_ENTRIES || atomic_exchange(&busy, true))
        return;
    if (nentries + n > MAX_ENTRIES)
        drop_locked();
    uint32_t id = make_room(n) ? prof_pool_intern(&pool, build_id, strlen(build_id)) : 0;
    for (size_t i = 0; id && i < n; i++) {
        struct entry *e = slot_of(id, targets[i].address);
        if (e->build_id)
            continue;
        copy_found(&pool, &e->target, &targets[i]);
        e->build_id = id;
        nentries++;
    }
    if (pool.failed) /* something in it may be missing */
        drop_locked();
    atomic_store(&busy, false);
}

void prof_cache_drop(void)
{
    if (!atomic_exchange(&busy, true)) {
        drop_locked();
        atomic_store(&busy, false);
    }
}
