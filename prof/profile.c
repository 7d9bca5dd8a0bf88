/* The named profiles: which source stands behind a name, and snapshots of them.
 *
 * A snapshot is what a source had at one moment: samples with raw PCs, no names yet. Two of them
 * make a delta; encode.c and text.c write one. Entered through prof_write, prof_count,
 * prof_snapshot_*. */
#include "prof/internal.h"
#include "prof/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct prof_source *const builtin[] = {
    &prof_source_heap,  &prof_source_allocs,    &prof_source_block,
    &prof_source_mutex, &prof_source_goroutine, &prof_source_threadcreate,
};

/* Those registered at run time, newest first. */
struct registered {
    struct registered *next;
    const struct prof_source *source;
};
static struct prof_lock registered_lock;
static struct registered *registered;

static const struct prof_source *find_locked(const char *name)
{
    if (strcmp(name, "thread") == 0)
        name = "goroutine";
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++)
        if (strcmp(builtin[i]->about->name, name) == 0)
            return builtin[i];
    for (const struct registered *r = registered; r; r = r->next)
        if (strcmp(r->source->about->name, name) == 0)
            return r->source;
    return NULL;
}

static const struct prof_source *find(const char *name)
{
    prof_lock(&registered_lock);
    const struct prof_source *source = find_locked(name);
    prof_unlock(&registered_lock);
    return source;
}

int prof_source_register(const struct prof_source *source)
{
    prof_enter();
    struct registered *r = malloc(sizeof *r);
    prof_leave();
    if (!r)
        return -ENOMEM;
    prof_lock(&registered_lock);
    bool taken = find_locked(source->about->name) != NULL;
    if (!taken) {
        *r = (struct registered){registered, source};
        registered = r;
    }
    prof_unlock(&registered_lock);
    if (taken) {
        prof_enter();
        free(r);
        prof_leave();
    }
    return taken ? -EEXIST : 0;
}

void prof_profiles(void (*fn)(const char *name, void *arg), void *arg)
{
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++)
        fn(builtin[i]->about->name, arg);
    prof_lock(&registered_lock);
    const struct registered *r = registered; /* entries are only ever put in front */
    prof_unlock(&registered_lock);
    for (; r; r = r->next)
        fn(r->source->about->name, arg);
}

static int64_t realtime_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int prof_snapshot_add(struct prof_snapshot *s, const struct prof_sample *sample)
{
    if (s->nsamples == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 64;
        struct prof_sample *samples = realloc(s->samples, capacity * sizeof *samples);
        if (!samples)
            return -ENOMEM;
        s->samples = samples;
        s->capacity = capacity;
    }
    s->samples[s->nsamples++] = *sample;
    return 0;
}

/* ---- entries: samples by stack, labels and tag ----------------------------------------------- */

static bool same_entry(const struct prof_sample *a, const struct prof_sample *b)
{
    return a->labels == b->labels && a->tag == b->tag && a->npcs == b->npcs &&
           memcmp(a->pcs, b->pcs, a->npcs * sizeof a->pcs[0]) == 0;
}

static size_t hash_entry(const struct prof_sample *e)
{
    uint64_t h = (uint64_t)(uintptr_t)e->labels ^ (uint64_t)e->tag << 20 ^ e->npcs;
    for (uint32_t i = 0; i < e->npcs; i++)
        h = (h ^ e->pcs[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h ^ h >> 32);
}

/* A hash table of the entries of a snapshot: slots hold an index plus one. */
struct entries {
    const struct prof_snapshot *of;
    uint32_t *slots;
    size_t mask;
};

static uint32_t *entries_slot(const struct entries *t, const struct prof_sample *e)
{
    size_t i = hash_entry(e) & t->mask;
    while (t->slots[i] && !same_entry(&t->of->samples[t->slots[i] - 1], e))
        i = (i + 1) & t->mask;
    return &t->slots[i];
}

/* Empty, with room for n entries of s. */
static int entries_make(struct entries *t, const struct prof_snapshot *s, size_t n)
{
    size_t size = 64;
    while (size < n * 2)
        size *= 2;
    *t = (struct entries){s, calloc(size, sizeof *t->slots), size - 1};
    return t->slots ? 0 : -ENOMEM;
}

/* Sums samples of equal entries into one, so that a source may add one a thread or one an event. */
static int coalesce(struct prof_snapshot *s)
{
    struct entries t;
    int err = entries_make(&t, s, s->nsamples);
    if (err)
        return err;
    size_t kept = 0;
    for (size_t i = 0; i < s->nsamples; i++) {
        uint32_t *slot = entries_slot(&t, &s->samples[i]);
        if (!*slot) {
            s->samples[kept++] = s->samples[i];
            *slot = (uint32_t)kept;
            continue;
        }
        for (int v = 0; v < PROF_MAX_VALUES; v++)
            s->samples[*slot - 1].values[v] += s->samples[i].values[v];
    }
    s->nsamples = kept;
    free(t.slots);
    return 0;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static int take(const struct prof_source *source, struct prof_snapshot **out)
{
    struct prof_snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->about = source->about;
    s->time_ns = realtime_ns();
    s->taken_ns = prof_now_ns();
    int err = source->fill(source, s);
    if (!err)
        err = coalesce(s);
    if (err) {
        prof_snapshot_free(s);
        return err;
    }
    *out = s;
    return 0;
}

int prof_snapshot_take(const char *name, struct prof_snapshot **out)
{
    prof_enter();
    const struct prof_source *source = find(name);
    int err = source ? take(source, out) : -ENOENT;
    prof_leave();
    return err;
}

void prof_snapshot_free(struct prof_snapshot *s)
{
    if (!s)
        return;
    prof_enter();
    free(s->samples);
    free(s->memory);
    free(s);
    prof_leave();
}

int prof_snapshot_write(const struct prof_snapshot *s, int fd, int debug)
{
    prof_enter();
    int err = debug == 0   ? prof_encode_proto(s, fd)
              : debug == 1 ? prof_encode_text(s, fd)
                           : -EINVAL;
    prof_leave();
    return err;
}

static int write_source(const struct prof_source *source, int fd, int debug)
{
    if (debug == 2 && source->write_detail)
        return source->write_detail(fd);
    if (debug != 0 && debug != 1)
        return -EINVAL;
    struct prof_snapshot *s;
    int err = take(source, &s);
    if (err)
        return err;
    err = prof_snapshot_write(s, fd, debug);
    prof_snapshot_free(s);
    return err;
}

int prof_write(const char *name, int fd, int debug)
{
    prof_enter();
    const struct prof_source *source = find(name);
    int err = source ? write_source(source, fd, debug) : -ENOENT;
    prof_leave();
    return err;
}

int64_t prof_count(const char *name)
{
    prof_enter();
    const struct prof_source *source = find(name);
    int64_t n = source ? source->count(source) : -ENOENT;
    prof_leave();
    return n;
}

/* ---- deltas -------------------------------------------------------------------------------------
 */

/* What has shrunk (memory in use) counts as nothing: scrapers refuse negative values. */
static bool subtract_entry(struct prof_sample *later, const struct prof_sample *earlier)
{
    bool left = false;
    for (int i = 0; i < PROF_MAX_VALUES; i++) {
        int64_t v = later->values[i] - (earlier ? earlier->values[i] : 0);
        later->values[i] = v > 0 ? v : 0;
        left = left || v > 0;
    }
    return left;
}

static int subtract(struct prof_snapshot *later, const struct prof_snapshot *earlier)
{
    if (later->about != earlier->about)
        return -EINVAL;
    struct entries before;
    int err = entries_make(&before, earlier, earlier->nsamples);
    if (err)
        return err;
    for (size_t i = 0; i < earlier->nsamples; i++)
        *entries_slot(&before, &earlier->samples[i]) = (uint32_t)i + 1;
    size_t kept = 0;
    for (size_t i = 0; i < later->nsamples; i++) {
        struct prof_sample *e = &later->samples[i];
        uint32_t at = *entries_slot(&before, e);
        if (subtract_entry(e, at ? &earlier->samples[at - 1] : NULL))
            later->samples[kept++] = *e;
    }
    later->nsamples = kept;
    later->duration_ns = later->taken_ns - earlier->taken_ns;
    free(before.slots);
    return 0;
}

int prof_snapshot_subtract(struct prof_snapshot *later, const struct prof_snapshot *earlier)
{
    prof_enter();
    int err = subtract(later, earlier);
    prof_leave();
    return err;
}

/* Every PC of the samples that will be written. */
int prof_snapshot_symbolize(const struct prof_snapshot *s, struct prof_symbols *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s->nsamples; i++)
        n += s->samples[i].npcs;
    uintptr_t *pcs = malloc((n ? n : 1) * sizeof *pcs);
    if (!pcs)
        return -ENOMEM;
    n = 0;
    for (size_t i = 0; i < s->nsamples; i++) {
        memcpy(pcs + n, s->samples[i].pcs, s->samples[i].npcs * sizeof *pcs);
        n += s->samples[i].npcs;
    }
    int err = prof_symbolize(pcs, n, out);
    free(pcs);
    return err;
}
