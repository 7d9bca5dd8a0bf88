/* Names of regions, tasks, counters and categories: kept once each, so that an event holds a
 * number.
 *
 * As in bucket.c the table is looked up and added to by all threads at once without a lock: a slot
 * goes from NULL to a name once, names are never freed. It is bounded, as names without end are a
 * mistake of the caller's that must not eat the program's memory. */
#include "prof/trace_internal.h"

#include <errno.h>

enum { SLOTS = 2 * PROF_NAMES_MAX };

typedef _Atomic(struct prof_name *) name_slot;

static name_slot slots[SLOTS];
static name_slot by_id[PROF_NAMES_MAX];
static atomic_uint used;
static struct prof_arena arena;

static uint32_t hash_of(const char *text, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static bool is(const struct prof_name *name, uint32_t hash, const char *text, size_t n)
{
    return name->hash == hash && memcmp(name->text, text, n) == 0 && name->text[n] == '\0';
}

static struct prof_name *make(uint32_t hash, const char *text, size_t n)
{
    uint32_t id = atomic_fetch_add_explicit(&used, 1, memory_order_relaxed) + 1;
    struct prof_name *name = NULL;
    if (id < PROF_NAMES_MAX)
        name = prof_arena_alloc(&arena, sizeof *name + n + 1);
    if (!name) {
        atomic_fetch_sub_explicit(&used, 1, memory_order_relaxed);
        return NULL;
    }
    name->hash = hash;
    name->id = id;
    name->size = (uint16_t)(n + 1);
    memcpy(name->text, text, n);
    atomic_store_explicit(&by_id[id], name, memory_order_release);
    return name;
}

static struct prof_name *find(const char *text, size_t n)
{
    uint32_t hash = hash_of(text, n);
    struct prof_name *fresh = NULL;
    for (uint32_t i = hash;; i++) {
        name_slot *slot = &slots[i % SLOTS];
        struct prof_name *name = atomic_load_explicit(slot, memory_order_acquire);
        if (!name && !fresh && !(fresh = make(hash, text, n)))
            return NULL;
        if (!name && atomic_compare_exchange_strong_explicit(
                         slot, &name, fresh, memory_order_acq_rel, memory_order_acquire))
            return fresh;
        if (is(name, hash, text, n))
            return name;
    }
}

/* A longer one is cut between two characters, and shows it. */
static struct prof_name *find_cut(const char *text)
{
    char cut[PROF_NAME_BYTES_MAX];
    size_t n = sizeof cut - 3;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    memcpy(cut, text, n);
    memcpy(cut + n, "...", 3);
    return find(cut, n + 3);
}

struct prof_name *prof_name_of(const char *text)
{
    size_t n = text ? strnlen(text, PROF_NAME_BYTES_MAX + 1) : 0;
    return n > PROF_NAME_BYTES_MAX ? find_cut(text) : find(text ? text : "", n);
}

const char *prof_name_text(uint32_t id)
{
    struct prof_name *name =
        id < PROF_NAMES_MAX ? atomic_load_explicit(&by_id[id], memory_order_acquire) : NULL;
    return name ? name->text : "";
}

int prof_trace_category(const char *category, bool on)
{
    struct prof_name *name = prof_name_of(category);
    if (!name)
        return -ENOMEM;
    atomic_store_explicit(&name->off, !on, memory_order_relaxed);
    return 0;
}
