/* Label sets, interned: a thread's labels are one pointer, which the CPU handler can read and a
 * bucket can keep, because no set is ever freed. What is interned is bounded, so that labels with
 * values without end (a request id) cost a known amount of memory and are then refused and counted.
 */
#include "prof/internal.h"

#include <errno.h>
#include <string.h>

enum { SETS_MAX = 1 << 16, SLOTS = 2 * SETS_MAX, LABELS_MAX = 64 };

static struct {
    struct prof_lock lock;
    struct prof_arena arena;
    const struct prof_labels **slot; /* guarded by lock */
    size_t used;
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

static const char *copy_string(const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *copy = prof_arena_alloc(&sets.arena, bytes);
    return copy ? memcpy(copy, s, bytes) : NULL;
}

static const struct prof_labels *make_set(uint32_t hash, const struct prof_label *labels,
                                          uint32_t n)
{
    struct prof_labels *s = prof_arena_alloc(&sets.arena, sizeof *s + n * sizeof s->labels[0]);
    if (!s)
        return NULL;
    s->hash = hash;
    s->n = n;
    for (uint32_t i = 0; i < n; i++) {
        s->labels[i].key = copy_string(labels[i].key);
        s->labels[i].value = copy_string(labels[i].value);
        if (!s->labels[i].key || !s->labels[i].value)
            return NULL;
    }
    return s;
}

static const struct prof_labels *intern_locked(const struct prof_label *labels, uint32_t n)
{
    if (!sets.slot && !(sets.slot = prof_pages_alloc(SLOTS * sizeof *sets.slot)))
        return NULL;
    uint32_t hash = hash_labels(labels, n);
    uint32_t i = hash & (SLOTS - 1);
    for (; sets.slot[i]; i = (i + 1) & (SLOTS - 1))
        if (equal(sets.slot[i], hash, labels, n))
            return sets.slot[i];
    if (sets.used == SETS_MAX)
        return NULL;
    const struct prof_labels *s = make_set(hash, labels, n);
    if (s) {
        sets.slot[i] = s;
        sets.used++;
    }
    return s;
}

static const struct prof_labels *intern(const struct prof_label *labels, uint32_t n)
{
    prof_lock(&sets.lock);
    const struct prof_labels *s = intern_locked(labels, n);
    prof_unlock(&sets.lock);
    return s;
}

/* old with key=value added, or put in the place of key's earlier value. NULL: no room. */
static const struct prof_labels *with_label(const struct prof_labels *old, const char *key,
                                            const char *value)
{
    struct prof_label labels[LABELS_MAX];
    uint32_t n = 0, old_n = old ? old->n : 0, i = 0;
    if (old_n >= LABELS_MAX)
        return NULL;
    for (; i < old_n && strcmp(old->labels[i].key, key) < 0; i++)
        labels[n++] = old->labels[i];
    labels[n++] = (struct prof_label){key, value};
    if (i < old_n && strcmp(old->labels[i].key, key) == 0)
        i++;
    for (; i < old_n; i++)
        labels[n++] = old->labels[i];
    return intern(labels, n);
}

int prof_label_push(const char *key, const char *value)
{
    if (!key || !value || !*key)
        return -EINVAL;
    struct prof_thread *t = prof_self();
    const struct prof_labels *now = NULL;
    if (t && t->label_depth < PROF_LABEL_DEPTH)
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
