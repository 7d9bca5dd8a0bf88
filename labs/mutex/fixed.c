/* Lab 3, after: three ways out, and each is the right one somewhere.
 *
 * Narrow: the computation needs no lock, only the addition does. Try this first; often it is all
 * that is needed.
 *
 * Sharded: when the work must happen under a lock, have more locks. Items are spread over 64, so
 * two threads seldom want the same one. Each shard fills a cache line of its own; else the cores
 * would still wait, for the line.
 *
 * Atomic: when what is left under the lock is one addition, the processor has an instruction for
 * it.
 *
 * Hint: make SHARDS 1, 2 and 16, and run the benchmark each time. A thread that loses its core
 * while it holds a lock stops whoever comes for that lock. */
#include "labs/mutex/mutex.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { SHARDS = 64, CACHE_LINE = 64 };

/* ---- narrow ---------------------------------------------------------------------------------- */

struct narrow {
    pthread_mutex_t lock;
    uint64_t sum; /* under lock */
};

static __attribute__((noinline)) void mutex_narrow_worker(void *state,
                                                          const struct mutex_task *task, int worker)
{
    struct narrow *s = state;

    for (int i = 0; i < task->iter; i++) {
        uint64_t x = mutex_compute(mutex_seed(task, worker, i), task->units);
        pthread_mutex_lock(&s->lock);
        s->sum += x;
        pthread_mutex_unlock(&s->lock);
    }
}

__attribute__((noinline)) int mutex_narrow(const struct mutex_task *task, uint64_t *sum)
{
    struct narrow s = {.lock = PTHREAD_MUTEX_INITIALIZER};
    int err = mutex_run_workers(task, &s, mutex_narrow_worker);

    *sum = s.sum;
    return err;
}

/* ---- sharded --------------------------------------------------------------------------------- */

struct shard {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    uint64_t sum; /* under lock */
};

static __attribute__((noinline)) void
mutex_sharded_worker(void *state, const struct mutex_task *task, int worker)
{
    struct shard *shards = state;

    for (int i = 0; i < task->iter; i++) {
        uint64_t seed = mutex_seed(task, worker, i);
        struct shard *s = &shards[mutex_compute(seed, 2) >> 32 & (SHARDS - 1)];
        pthread_mutex_lock(&s->lock);
        s->sum += mutex_compute(seed, task->units);
        pthread_mutex_unlock(&s->lock);
    }
}

__attribute__((noinline)) int mutex_sharded(const struct mutex_task *task, uint64_t *sum)
{
    struct shard shards[SHARDS];

    for (int i = 0; i < SHARDS; i++)
        shards[i] = (struct shard){.lock = PTHREAD_MUTEX_INITIALIZER};
    int err = mutex_run_workers(task, shards, mutex_sharded_worker);
    *sum = 0;
    for (int i = 0; i < SHARDS; i++)
        *sum += shards[i].sum;
    return err;
}

/* ---- atomic ---------------------------------------------------------------------------------- */

static __attribute__((noinline)) void mutex_atomic_worker(void *state,
                                                          const struct mutex_task *task, int worker)
{
    _Atomic uint64_t *sum = state;

    for (int i = 0; i < task->iter; i++) {
        uint64_t x = mutex_compute(mutex_seed(task, worker, i), task->units);
        atomic_fetch_add_explicit(sum, x, memory_order_relaxed);
    }
}

__attribute__((noinline)) int mutex_atomic(const struct mutex_task *task, uint64_t *sum)
{
    _Atomic uint64_t s = 0;
    int err = mutex_run_workers(task, &s, mutex_atomic_worker);

    *sum = atomic_load(&s);
    return err;
}

const struct mutex_impl mutex_impls[] = {
    {"single", mutex_single},
    {"narrow", mutex_narrow},
    {"sharded", mutex_sharded},
    {"atomic", mutex_atomic},
    {NULL, NULL},
};

const struct mutex_impl *mutex_impl_find(const char *name)
{
    for (const struct mutex_impl *i = mutex_impls; i->name; i++)
        if (strcmp(i->name, name) == 0)
            return i;
    return NULL;
}
