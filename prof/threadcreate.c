/* The threadcreate profile: the stacks that created the threads, with how many each has created
 * since the start.
 *
 * As in Go the count never falls (there, because threads are never given back): who wants those
 * that live looks at the goroutine profile, where debug=2 has each thread's creator. The first
 * thread was created by nobody, and stands at the program's entry. Threads that came past
 * pthread_create have no creator that could be known; those that live are listed without a stack.
 * The pthread_create hook in thread.c records. */
#include "prof/internal.h"
#include "prof/thread.h"

#include <sys/auxv.h>
#include <unistd.h>

static const struct prof_description description = {
    .name = "threadcreate",
    .nvalues = 1,
    .values = {{"threadcreate", "count"}},
    .period_type = {"threadcreate", "count"},
    .text = PROF_TEXT_COUNT,
};

struct filling {
    struct prof_snapshot *s;
    int rc;
};

static void add_creator(struct prof_bucket *b, void *arg)
{
    struct filling *f = arg;
    struct prof_sample sample = {.pcs = b->pcs, .npcs = b->npcs, .labels = b->labels};
    sample.values[0] = atomic_load_explicit(&b->values[0], memory_order_relaxed);
    if (sample.values[0] > 0 && f->rc == 0)
        f->rc = prof_snapshot_add(f->s, &sample);
}

static void add_entry(struct filling *f)
{
    static uintptr_t entry;
    entry = (uintptr_t)getauxval(AT_ENTRY);
    struct prof_sample sample = {.pcs = &entry, .npcs = 1, .values = {1}};
    if (f->rc == 0)
        f->rc = prof_snapshot_add(f->s, &sample);
}

static int64_t count_unknown(void)
{
    int64_t n = 0;
    prof_lock(&prof_threads_lock);
    prof_threads_discover_locked();
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        n += atomic_load(&t->tid) != 0 && atomic_load(&t->tid) != getpid() &&
             !atomic_load(&t->creator);
    prof_unlock(&prof_threads_lock);
    return n;
}

static int fill(const struct prof_source *self, struct prof_snapshot *s)
{
    (void)self;
    static const uintptr_t no_stack;
    struct filling f = {.s = s};
    s->period = 1;
    prof_bucket_each(&prof_thread_creators, add_creator, &f);
    add_entry(&f);
    struct prof_sample unknown = {.pcs = &no_stack, .npcs = 0, .values = {count_unknown()}};
    if (unknown.values[0] > 0 && f.rc == 0)
        f.rc = prof_snapshot_add(s, &unknown);
    return f.rc;
}

static int64_t count(const struct prof_source *self)
{
    (void)self;
    return prof_bucket_count(&prof_thread_creators) + 1;
}

const struct prof_source prof_source_threadcreate = {
    .about = &description, .fill = fill, .count = count};
