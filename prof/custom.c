/* Custom profiles: the host's own resources, each with the stack that made it, as Go's
 * pprof.NewProfile.
 *
 * A handle leads to the bucket of its stack, whose value counts the handles that stand there now.
 * Buckets are kept although their handles go (there are as many as there are places in the
 * program); handles are in a hash table that entries leave by moving later ones back (Knuth, TAOCP
 * 3, 6.4, algorithm R). Profiles are never taken back, for a reader may be looking at one. Entered
 * through prof_custom_*, read through profile.c. */
#include "prof/internal.h"
#include "prof/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 64, NAME_MAX_BYTES = 100 };

struct entry {
    const void *handle; /* NULL: empty */
    struct prof_bucket *bucket;
};

struct prof_custom {
    struct prof_source source; /* first: profile.c gives it back */
    struct prof_description about;
    struct prof_custom *next; /* all profiles; constant once published */
    struct prof_bucket_table buckets;

    struct prof_lock lock; /* guards what follows */
    struct entry *slots;
    size_t nslots, used;

    char name[NAME_MAX_BYTES + 1];
    char unit_name[NAME_MAX_BYTES + 1];
};

static _Atomic(struct prof_custom *) customs;

/* ---- handles --------------------------------------------------------------------------------- */

static size_t home_of(const struct prof_custom *p, const void *handle)
{
    return (size_t)((uint64_t)(uintptr_t)handle * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
           (p->nslots - 1);
}

static struct entry *find_locked(const struct prof_custom *p, const void *handle)
{
    size_t i = home_of(p, handle);
    while (p->slots[i].handle && p->slots[i].handle != handle)
        i = (i + 1) & (p->nslots - 1);
    return &p->slots[i];
}

/* Always leaves room for one more. */
static bool make_room_locked(struct prof_custom *p)
{
    if (p->used < p->nslots / 4 * 3)
        return true;
    struct prof_custom old = {.slots = p->slots, .nslots = p->nslots};
    size_t nslots = p->nslots ? p->nslots * 2 : SLOTS_MIN;
    struct entry *slots = prof_pages_alloc(nslots * sizeof *slots);
    if (!slots)
        return false;
    p->slots = slots;
    p->nslots = nslots;
    for (size_t i = 0; i < old.nslots; i++)
        if (old.slots[i].handle)
            *find_locked(p, old.slots[i].handle) = old.slots[i];
    prof_pages_free(old.slots, old.nslots * sizeof *old.slots);
    return true;
}

static int add_locked(struct prof_custom *p, const void *handle, struct prof_bucket *b)
{
    if (!make_room_locked(p))
        return -ENOMEM;
    struct entry *e = find_locked(p, handle);
    if (e->handle)
        return -EEXIST;
    *e = (struct entry){handle, b};
    p->used++;
    atomic_fetch_add_explicit(&b->values[0], 1, memory_order_relaxed);
    return 0;
}

static int remove_locked(struct prof_custom *p, const void *handle)
{
    struct entry *e = p->nslots ? find_locked(p, handle) : NULL;
    if (!e || !e->handle)
        return -ENOENT;
    atomic_fetch_sub_explicit(&e->bucket->values[0], 1, memory_order_relaxed);
    size_t mask = p->nslots - 1, hole = (size_t)(e - p->slots);
    for (size_t i = (hole + 1) & mask; p->slots[i].handle; i = (i + 1) & mask) {
        size_t home = home_of(p, p->slots[i].handle);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            p->slots[hole] = p->slots[i];
            hole = i;
        }
    }
    p->slots[hole] = (struct entry){0};
    p->used--;
    return 0;
}

/* ---- the stack ------------------------------------------------------------------------------- */

static struct prof_bucket *bucket_of_caller(struct prof_custom *p, int skip, const void *from)
{
    uintptr_t pcs[PROF_MAX_FRAMES];
    int n = prof_stack(pcs, PROF_MAX_FRAMES, from);
    if (skip > n - 1)
        skip = n - 1; /* at least the outermost frame stays */
    struct prof_thread *t = prof_self_tls;
    const struct prof_labels *labels =
        t ? atomic_load_explicit(&t->labels, memory_order_relaxed) : NULL;
    return prof_bucket_get(&p->buckets, pcs + skip, n - skip, labels, 0);
}

PROF_API int prof_custom_add(struct prof_custom *p, const void *handle, int skip)
{
    if (!p || !handle || skip < 0)
        return -EINVAL;
    prof_self();
    prof_enter();
    int saved = errno, rc = -ENOMEM;
    struct prof_bucket *b = bucket_of_caller(p, skip, __builtin_return_address(0));
    if (b) {
        prof_lock(&p->lock);
        rc = add_locked(p, handle, b);
        prof_unlock(&p->lock);
    }
    errno = saved;
    prof_leave();
    return rc;
}

PROF_API int prof_custom_remove(struct prof_custom *p, const void *handle)
{
    if (!p || !handle)
        return -EINVAL;
    prof_lock(&p->lock);
    int rc = remove_locked(p, handle);
    prof_unlock(&p->lock);
    return rc;
}

PROF_API int64_t prof_custom_count(struct prof_custom *p)
{
    if (!p)
        return -EINVAL;
    prof_lock(&p->lock);
    int64_t n = (int64_t)p->used;
    prof_unlock(&p->lock);
    return n;
}

/* ---- as a source ----------------------------------------------------------------------------- */

struct filling {
    struct prof_snapshot *s;
    int rc;
};

static void add_sample(struct prof_bucket *b, void *arg)
{
    struct filling *f = arg;
    struct prof_sample sample = {.pcs = b->pcs, .npcs = b->npcs, .labels = b->labels};
    sample.values[0] = atomic_load_explicit(&b->values[0], memory_order_relaxed);
    if (sample.values[0] > 0 && f->rc == 0)
        f->rc = prof_snapshot_add(f->s, &sample);
}

static int fill(const struct prof_source *self, struct prof_snapshot *s)
{
    struct filling f = {.s = s};
    s->period = 1;
    prof_bucket_each(&((struct prof_custom *)self)->buckets, add_sample, &f);
    return f.rc;
}

static int64_t count(const struct prof_source *self)
{
    return prof_custom_count((struct prof_custom *)self);
}

/* ---- new profiles ---------------------------------------------------------------------------- */

/* Names end up in addresses, in file names and in the first line of a text. */
static bool is_name(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    if (n == 0 || n > NAME_MAX_BYTES || name[0] == '/' || name[0] == '.')
        return false;
    for (; *name; name++)
        if (*name <= ' ' || *name > '~' || strchr("\"%&<>?#\\", *name))
            return false;
    return true;
}

/* Taken by endpoints that are not named profiles. */
static bool is_reserved(const char *name)
{
    static const char *const reserved[] = {"profile", "cmdline", "symbol", "trace", "index"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (strcmp(name, reserved[i]) == 0)
            return true;
    return false;
}

static void describe(struct prof_custom *p, const char *name)
{
    strcpy(p->name, name);
    for (int i = 0; name[i]; i++) /* scrapers refuse types with a minus */
        p->unit_name[i] = name[i] == '-' ? '_' : name[i];
    p->about = (struct prof_description){.name = p->name, .nvalues = 1, .text = PROF_TEXT_COUNT};
    p->about.values[0] = p->about.period_type = (struct prof_value_type){p->unit_name, "count"};
    p->source = (struct prof_source){.about = &p->about, .fill = fill, .count = count};
}

PROF_API int prof_custom_new(const char *name, struct prof_custom **out)
{
    if (!out || !is_name(name))
        return -EINVAL;
    *out = NULL;
    if (is_reserved(name))
        return -EEXIST;
    prof_enter();
    struct prof_custom *p = calloc(1, sizeof *p);
    int rc = -ENOMEM;
    if (p) {
        describe(p, name);
        rc = prof_source_register(&p->source);
    }
    if (rc == 0) {
        p->next = atomic_load(&customs);
        while (!atomic_compare_exchange_weak(&customs, &p->next, p))
            ;
        *out = p;
    } else {
        free(p);
    }
    prof_leave();
    return rc;
}

/* ---- fork ------------------------------------------------------------------------------------ */

static struct prof_custom *held; /* by the fork; later ones are not */

void prof_custom_fork_prepare(void)
{
    held = atomic_load(&customs);
    for (struct prof_custom *p = held; p; p = p->next)
        prof_lock(&p->lock);
}

void prof_custom_fork_done(void)
{
    for (struct prof_custom *p = held; p; p = p->next)
        prof_unlock(&p->lock);
}
