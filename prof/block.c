/* The block profile: where threads wait, and how long; and what it shares with the mutex profile.
 *
 * As in Go's runtime/mprof.go a wait as long as the rate is always recorded; a shorter one with
 * probability waited / rate, and then stands for rate / waited waits of its kind. */
#include "prof/thread.h"
#include "prof/wait.h"

#include <math.h>
#include <stdlib.h>

enum { COUNT, DELAY_NS }; /* a bucket's values; counts are in fractions of PROF_COUNT_ONE */

static _Atomic int64_t rate_ns;
static atomic_bool with_sleep;
static struct prof_bucket_table buckets;

/* ---- recording ------------------------------------------------------------------------------- */

void prof_delay_add(struct prof_bucket_table *table, struct prof_thread *t, const uintptr_t *pcs,
                    int npcs, double count, int64_t delay_ns)
{
    const struct prof_labels *labels = atomic_load_explicit(&t->labels, memory_order_relaxed);
    struct prof_bucket *b = prof_bucket_get(table, pcs, npcs, labels, 0);
    if (!b) {
        prof_drop(&prof_dropped.lock_samples);
        return;
    }
    atomic_fetch_add_explicit(&b->values[COUNT], llround(count * PROF_COUNT_ONE),
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&b->values[DELAY_NS], delay_ns, memory_order_relaxed);
}

int64_t prof_block_rate_ns(enum prof_wait kind)
{
    if (kind >= PROF_WAIT_SLEEP && !atomic_load_explicit(&with_sleep, memory_order_relaxed))
        return 0;
    return atomic_load_explicit(&rate_ns, memory_order_relaxed);
}

void prof_block_record(const struct prof_waiting *w, int64_t waited_ns)
{
    double count = 1;
    if (waited_ns < 1)
        waited_ns = 1;
    if (waited_ns < w->block_rate_ns) {
        count = (double)w->block_rate_ns / (double)waited_ns;
        waited_ns = w->block_rate_ns;
    }
    prof_delay_add(&buckets, w->t, w->pcs, w->npcs, count, waited_ns);
}

/* ---- rates ----------------------------------------------------------------------------------- */

int64_t prof_set_block_rate_ns(int64_t ns)
{
    return ns < 0 ? atomic_load(&rate_ns) : atomic_exchange(&rate_ns, ns);
}

bool prof_set_block_sleep(bool on)
{
    return atomic_exchange(&with_sleep, on);
}

/* What is no number counts as not set: a profiler must not keep a program from starting. */
int64_t prof_rate_from_environment(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !*text)
        return -1;
    errno = 0;
    long long rate = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' ? rate : -1;
}

void prof_block_init(void)
{
    prof_set_block_rate_ns(prof_rate_from_environment("PROF_BLOCK_RATE_NS"));
    if (prof_rate_from_environment("PROF_BLOCK_SLEEP") > 0)
        prof_set_block_sleep(true);
}

void prof_block_fork_child(void)
{
    prof_bucket_drop(&buckets);
}

/* ---- the profile ----------------------------------------------------------------------------- */

struct filling {
    struct prof_snapshot *s;
    int rc;
};

static void add_bucket(struct prof_bucket *b, void *arg)
{
    struct filling *f = arg;
    struct prof_sample sample = {.pcs = b->pcs, .npcs = b->npcs, .labels = b->labels};
    double count = (double)atomic_load_explicit(&b->values[COUNT], memory_order_relaxed);
    sample.values[0] = llround(count / PROF_COUNT_ONE);
    sample.values[1] = atomic_load_explicit(&b->values[DELAY_NS], memory_order_relaxed);
    if (count > 0 && f->rc == 0)
        f->rc = prof_snapshot_add(f->s, &sample);
}

int prof_delay_fill(struct prof_bucket_table *table, struct prof_snapshot *s)
{
    struct filling f = {.s = s};
    s->period = 1;
    prof_bucket_each(table, add_bucket, &f);
    return f.rc;
}

static int fill(const struct prof_source *self, struct prof_snapshot *s)
{
    (void)self;
    return prof_delay_fill(&buckets, s);
}

static int64_t count(const struct prof_source *self)
{
    (void)self;
    return prof_bucket_count(&buckets);
}

static const struct prof_description description = {
    .name = "block",
    .nvalues = 2,
    .values = {{"contentions", "count"}, {"delay", "nanoseconds"}},
    .period_type = {"contentions", "count"},
    .text = PROF_TEXT_CONTENTION,
};

const struct prof_source prof_source_block = {.about = &description, .fill = fill, .count = count};
