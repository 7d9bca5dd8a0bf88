/* The heap and allocs profiles: which allocations are sampled, and what the samples add up to.
 *
 * Allocation is a stream of bytes in which sample points lie at exponentially distributed distances
 * (a Poisson process, mean: the rate). An allocation of n bytes is sampled when a point falls into
 * it, so with probability 1 - exp(-n/rate), and stands for 1 / (1 - exp(-n/rate)) allocations of
 * its kind; as runtime/pprof's scaleHeapSample does. That weight depends on the size, so buckets
 * are kept per stack, size class and rate, and are scaled one by one before anything is added up.
 */
#include "prof/memory.h"
#include "prof/thread.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { ALLOCS, ALLOC_BYTES, FREES, FREE_BYTES }; /* a bucket's values, unscaled */
/* Distances drawn for the highest rate practically never reach PROF_HEAP_STRIDE, which would cut
 * them off. */
enum { PROF_HEAP_RATE_MAX = PROF_HEAP_STRIDE / 16 };
enum { RATES_MAX = 1 << 12 };

static _Atomic uint32_t epoch = 1; /* which entry of rates is in force */
static struct prof_bucket_table buckets;
static struct prof_lock rate_lock;
static int64_t rates[RATES_MAX] = {[1] = PROF_HEAP_RATE_DEFAULT}; /* by epoch, from 1 on */
static uint32_t epochs_used = 1;                                  /* the last one */

/* ---- sampling -------------------------------------------------------------------------------- */

/* Bytes up to the next sample point; 0: every allocation is one. */
static uint64_t draw_distance(struct prof_thread *t, int64_t rate)
{
    if (rate <= 0)
        return PROF_HEAP_STRIDE;
    if (rate == 1)
        return 0;
    double u = ((double)(prof_random(t) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    double distance = -log(u) * (double)rate;
    return distance < 1 ? 1 : (uint64_t)distance;
}

/* The rate may change meanwhile: whoever changes it stores the new epoch and then 0 into every
 * sample_at. So either that 0 comes after our store, and the thread's next allocation draws anew,
 * or we see the new epoch. */
static void draw_next(struct prof_thread *t, uint64_t from_bytes)
{
    uint32_t e;
    do {
        e = atomic_load(&epoch);
        t->heap_epoch = e;
        atomic_store(&t->sample_at, from_bytes + draw_distance(t, rates[e]));
    } while (e != atomic_load(&epoch));
}

/* Eight classes to an octave: sizes within a class differ by at most an eighth, so one weight fits
 * them all. */
static int64_t size_class(size_t n)
{
    if (n < 16)
        return (int64_t)n;
    int shift = 60 - __builtin_clzl(n);
    return (int64_t)((n >> shift) << shift);
}

static int64_t tag_of(uint32_t e, size_t n)
{
    return (int64_t)e << 48 | (size_class(n) & INT64_C(0xffffffffffff));
}

static bool record(struct prof_thread *t, uintptr_t p, size_t n, const void *caller)
{
    uintptr_t pcs[PROF_MAX_FRAMES];
    int npcs = prof_stack(pcs, PROF_MAX_FRAMES, caller);
    const struct prof_labels *labels = atomic_load_explicit(&t->labels, memory_order_relaxed);
    struct prof_bucket *b = prof_bucket_get(&buckets, pcs, npcs, labels, tag_of(t->heap_epoch, n));
    if (!b || !prof_live_add(&(struct prof_live){.p = p, .bytes = n, .bucket = b})) {
        prof_drop(&prof_dropped.heap_samples);
        return false;
    }
    atomic_fetch_add_explicit(&b->values[ALLOC_BYTES], (int64_t)n, memory_order_relaxed);
    atomic_fetch_add_explicit(&b->values[ALLOCS], 1, memory_order_relaxed);
    return true;
}

/* The slow path of every allocation hook: alloc_bytes, which contains n already, has reached
 * sample_at. */
bool prof_heap_sample(struct prof_thread *t, void *p, size_t n, const void *caller)
{
    int saved = errno;
    bool sampled = false;
    prof_enter();
    uint64_t bytes = atomic_load_explicit(&t->alloc_bytes, memory_order_relaxed);
    if (t->heap_epoch !=
        atomic_load(&epoch)) /* the point that was reached is of another rate, or of none yet */
        draw_next(t, bytes - n);
    if (bytes >= atomic_load(&t->sample_at)) {
        if (rates[t->heap_epoch] > 0)
            sampled = record(t, (uintptr_t)p, n, caller);
        draw_next(t, bytes);
    }
    prof_leave();
    errno = saved;
    return sampled;
}

/* The slow path of free: the filter says that p may have been sampled. */
bool prof_heap_forget(void *p, struct prof_live *out)
{
    if (!prof_live_take((uintptr_t)p, out))
        return false;
    atomic_fetch_add_explicit(&out->bucket->values[FREES], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&out->bucket->values[FREE_BYTES], (int64_t)out->bytes,
                              memory_order_relaxed);
    return true;
}

/* realloc failed: the old block lives on. */
void prof_heap_restore(const struct prof_live *entry)
{
    if (!prof_live_add(entry)) {
        prof_drop(&prof_dropped.heap_samples);
        return;
    }
    atomic_fetch_sub_explicit(&entry->bucket->values[FREES], 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&entry->bucket->values[FREE_BYTES], (int64_t)entry->bytes,
                              memory_order_relaxed);
}

/* ---- the rate -------------------------------------------------------------------------------- */

/* A rate that was in force before gets its epoch back, and so its buckets. false: too many
 * different rates. */
static bool change_rate_locked(int64_t bytes)
{
    uint32_t e = 1;
    if (bytes > PROF_HEAP_RATE_MAX)
        bytes = PROF_HEAP_RATE_MAX;
    while (e <= epochs_used && rates[e] != bytes)
        e++;
    if (e == RATES_MAX)
        return false;
    rates[e] = bytes;
    if (e > epochs_used)
        epochs_used = e;
    atomic_store(&epoch, e);
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        atomic_store(&t->sample_at, 0);
    return true;
}

int64_t prof_set_heap_rate(int64_t bytes)
{
    prof_lock(&rate_lock);
    int64_t old = rates[atomic_load(&epoch)];
    if (bytes >= 0 && bytes != old)
        change_rate_locked(bytes);
    prof_unlock(&rate_lock);
    return old;
}

void prof_heap_init(void)
{
    const char *rate = getenv("PROF_HEAP_RATE");
    char *end;
    if (!rate || !*rate)
        return;
    errno = 0;
    long long bytes = strtoll(rate, &end, 10);
    if (errno == 0 && *end == '\0' && bytes >= 0)
        prof_set_heap_rate(bytes);
}

/* ---- the profiles ---------------------------------------------------------------------------- */

/* How many allocations one sample of this mean size stands for. */
static double weight_of(double mean_bytes, int64_t rate)
{
    if (rate <= 1)
        return 1;
    return -1 / expm1(-mean_bytes / (double)rate);
}

struct filling {
    struct prof_snapshot *s;
    int rc;
};

static void add_bucket(struct prof_bucket *b, void *arg)
{
    struct filling *f = arg;
    /* Frees first: a free that comes between the reads must not make what is in use negative. */
    double frees = (double)atomic_load_explicit(&b->values[FREES], memory_order_acquire);
    double free_bytes = (double)atomic_load_explicit(&b->values[FREE_BYTES], memory_order_acquire);
    double allocs = (double)atomic_load_explicit(&b->values[ALLOCS], memory_order_acquire);
    double alloc_bytes =
        (double)atomic_load_explicit(&b->values[ALLOC_BYTES], memory_order_acquire);
    if (allocs <= 0 || f->rc < 0)
        return;
    double w = weight_of(alloc_bytes / allocs, rates[b->tag >> 48]);
    struct prof_sample sample = {
        .pcs = b->pcs, .npcs = b->npcs, .labels = b->labels, .tag = b->tag};
    sample.bytes = (int64_t)(alloc_bytes / allocs);
    sample.values[0] = llround(allocs * w);
    sample.values[1] = llround(alloc_bytes * w);
    sample.values[2] = llround(fmax(0, allocs - frees) * w);
    sample.values[3] = llround(fmax(0, alloc_bytes - free_bytes) * w);
    f->rc = prof_snapshot_add(f->s, &sample);
}

static int fill(const struct prof_source *self, struct prof_snapshot *s)
{
    (void)self;
    struct filling f = {.s = s};
    s->period = prof_set_heap_rate(-1);
    prof_bucket_each(&buckets, add_bucket, &f);
    return f.rc;
}

/* A block of n bytes was sampled with probability p and then stands for n / p bytes: the variance
 * of the sum is that of its parts, n^2 (1 - p) / p for each block in use, of which the sampled
 * ones, again, are one in 1 / p. */
static void estimate_bucket(struct prof_bucket *b, void *arg)
{
    struct prof_heap_estimate *sum = arg;
    double frees = (double)atomic_load_explicit(&b->values[FREES], memory_order_acquire);
    double free_bytes = (double)atomic_load_explicit(&b->values[FREE_BYTES], memory_order_acquire);
    double allocs = (double)atomic_load_explicit(&b->values[ALLOCS], memory_order_acquire);
    double bytes = (double)atomic_load_explicit(&b->values[ALLOC_BYTES], memory_order_acquire);
    if (allocs <= frees || bytes <= free_bytes)
        return;
    double size = bytes / allocs, weight = weight_of(size, rates[b->tag >> 48]);
    sum->bytes += (bytes - free_bytes) * weight;
    sum->variance += (allocs - frees) * size * size * (weight - 1) * weight;
}

struct prof_heap_estimate prof_heap_estimate(void)
{
    struct prof_heap_estimate sum = {0};
    prof_bucket_each(&buckets, estimate_bucket, &sum);
    return sum;
}

static int64_t count(const struct prof_source *self)
{
    (void)self;
    return prof_bucket_count(&buckets);
}

#define HEAP_VALUES                                                                                \
    .nvalues = 4, .text = PROF_TEXT_HEAP, .period_type = {"space", "bytes"},                       \
    .values = {                                                                                    \
        {"alloc_objects", "count"},                                                                \
        {"alloc_space", "bytes"},                                                                  \
        {"inuse_objects", "count"},                                                                \
        {"inuse_space", "bytes"},                                                                  \
    }

static const struct prof_description heap_description = {.name = "heap", HEAP_VALUES};
static const struct prof_description allocs_description = {
    .name = "allocs", .default_sample_type = "alloc_space", HEAP_VALUES};

const struct prof_source prof_source_heap = {
    .about = &heap_description, .fill = fill, .count = count};
const struct prof_source prof_source_allocs = {
    .about = &allocs_description, .fill = fill, .count = count};
