/* Label sets, interned: a thread's labels are one pointer, which the CPU handler can read and a
 * bucket can keep, because no set is ever freed. What is interned is bounded, so that labels with
 * values without end (a request id) cost a known amount of memory and are then refused and counted.
 */
#include "prof/internal.h"
#include "prof/thread.h"

#include <errno.h>
#include <string.h>

enum { SETS_MAX = 1 << 16, SLOTS = 2 * SETS_MAX, LABELS_MAX = 64 };
enum { STRING_BYTES_MAX = 4096, ALL_BYTES_MAX = 64 << 20 };

typedef _Atomic(const struct prof_labels *) label_slot;

/* Looked up without the lock: a slot goes from NULL to a set once. The lock is for who adds one. */
static struct {
    _Atomic(label_slot *) slots;
    struct prof_lock lock;
    struct prof_arena arena;
    size_t used, bytes;
} sets;

static uint32_t hash_string(uint32_t h, const char *s)
{
    do
        h = (h ^ (unsigned char)*s) * 16777619u;
    while (*s++);
    return h;
}

static uint32_t hash_labels(const struct prof_label *labels, uint32_t n)
{
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < n; i++)
        h = hash_string(hash_string(h, labels[i].key), labels[i].value);
    return h;
}

static bool equal(const struct prof_labels *s, uint32_t hash, const struct prof_label *labels,
                  uint32_t n)
{
    if (s->hash != hash || s->n != n)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(s->labels[i].key, labels[i].key) != 0 ||
            strcmp(s->labels[i].value, labels[i].value) != 0)
            return false;
    return true;
}

static size_t bytes_of(const struct prof_label *labels, uint32_t n)
{
    size_t bytes = sizeof(struct prof_labels) + n * sizeof labels[0];
    for (uint32_t i = 0; i < n; i++)
        bytes += strlen(labels[i].key) + strlen(labels[i].value) + 2;
    return bytes;
}

/* In one piece: the strings stand behind the labels. */
static const struct prof_labels *make_set(uint32_t hash, const struct prof_label *labels,
                                          uint32_t n, size_t bytes)
{
    struct prof_labels *s = prof_arena_alloc(&sets.arena, bytes);
    if (!s)
        return NULL;
    char *text = (char *)&s->labels[n];
    s->hash = hash;
    s->n = n;
    for (uint32_t i = 0; i < n; i++) {
        s->labels[i].key = text;
        text = stpcpy(text, labels[i].key) + 1;
        s->labels[i].value = text;
        text = stpcpy(text, labels[i].value) + 1;
    }
    return s;
}

/* The set's slot, or the one where it belongs; the table never fills up. */
static label_slot *find_slot(label_slot *slots, uint32_t hash, const struct prof_label *labels,
                             uint32_t n)
{
    uint32_t i = hash & (SLOTS - 1);
    const struct prof_labels *s;
    while ((s = atomic_load_explicit(&slots[i], memory_order_acquire)) &&
           !equal(s, hash, labels, n))
        i = (i + 1) & (SLOTS - 1);
    return &slots[i];
}

static const struct prof_labels *add_locked(uint32_t hash, const struct prof_label *labels,
                                            uint32_t n)
{
    label_slot *slots = atomic_load_explicit(&sets.slots, memory_order_relaxed);
    if (!slots && !(slots = prof_pages_alloc(SLOTS * sizeof *slots)))
        return NULL;
    atomic_store_explicit(&sets.slots, slots, memory_order_release);
    label_slot *slot = find_slot(slots, hash, labels, n);
    const struct prof_labels *s = atomic_load_explicit(slot, memory_order_relaxed);
    size_t bytes = bytes_of(labels, n);
    if (s || sets.used == SETS_MAX || bytes > ALL_BYTES_MAX - sets.bytes)
        return s;
    s = make_set(hash, labels, n, bytes);
    if (s) {
        atomic_store_explicit(slot, s, memory_order_release);
        sets.used++;
        sets.bytes += bytes;
    }
    return s;
}

static const struct prof_labels *intern(const struct prof_label *labels, uint32_t n)
{
    uint32_t hash = hash_labels(labels, n);
    label_slot *slots = atomic_load_explicit(&sets.slots, memory_order_acquire);
    const struct prof_labels *s = NULL;
    if (slots)
        s = atomic_load_explicit(find_slot(slots, hash, labels, n), memory_order_acquire);
    if (s)
        return s;
    prof_lock(&sets.lock);
    s = add_locked(hash, labels, n);
    prof_unlock(&sets.lock);
    return s;
}

/* old with key=value added, or put in the place of key's earlier value. NULL: no room. */
static const struct prof_labels *with_label(const struct prof_labels *old, const char *key,
                                            const char *value)
{
    struct prof_label labels[LABELS_MAX + 1];
    uint32_t n = 0, old_n = old ? old->n : 0, i = 0;
    for (; i < old_n && strcmp(old->labels[i].key, key) < 0; i++)
        labels[n++] = old->labels[i];
    labels[n++] = (struct prof_label){key, value};
    if (i < old_n && strcmp(old->labels[i].key, key) == 0)
        i++;
    for (; i < old_n; i++)
        labels[n++] = old->labels[i];
    return n <= LABELS_MAX ? intern(labels, n) : NULL;
}

static bool fits(const char *text)
{
    return strnlen(text, STRING_BYTES_MAX + 1) <= STRING_BYTES_MAX;
}

int prof_label_push(const char *key, const char *value)
{
    if (!key || !value || !*key)
        return -EINVAL;
    struct prof_thread *t = prof_self();
    const struct prof_labels *now = NULL;
    if (t && t->label_depth < PROF_LABEL_DEPTH && fits(key) && fits(value))
        now = with_label(atomic_load_explicit(&t->labels, memory_order_relaxed), key, value);
    if (!now) {
        prof_drop(&prof_dropped.labels);
        return -ENOMEM;
    }
    t->label_stack[t->label_depth++] = atomic_load_explicit(&t->labels, memory_order_relaxed);
    atomic_store_explicit(&t->labels, now, memory_order_release);
    return 0;
}

int prof_label_pop(void)
{
    struct prof_thread *t = prof_self();
    if (!t || t->label_depth == 0)
        return -EINVAL;
    atomic_store_explicit(&t->labels, t->label_stack[--t->label_depth], memory_order_release);
    return 0;
}

void prof_label_fork_prepare(void)
{
    prof_lock(&sets.lock);
}
void prof_label_fork_done(void)
{
    prof_unlock(&sets.lock);
}
