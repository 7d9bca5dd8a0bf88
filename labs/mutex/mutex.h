/* Lab 3: a hot lock. `workers` threads do `iter` items each; an item is a computation of `units`
 * steps whose result is added to one shared sum.
 *
 *   slow.c    mutex_single    computes and adds inside one lock: the threads take turns
 *   fixed.c   mutex_narrow    computes outside, takes the lock only to add
 *             mutex_sharded   computes inside, but there are 64 locks, each on its own cache line
 *             mutex_atomic    computes outside, adds with one atomic instruction (the bonus)
 *   work.c                    the computation and the threads, the same for all four
 *
 * Look first: compare real and user time of `time bin/bench -bench HotMutex/impl=single`: there are
 * several cores, and one of them works. A CPU profile looks much the same before and after: it
 * shows who works, not who waits. The mutex profile (who makes others wait) and the block profile
 * (who waits) show the lock.
 *
 * Hint: what in the locked section needs the lock? */
#ifndef LABS_MUTEX_H
#define LABS_MUTEX_H

#include <stdint.h>

struct mutex_task {
    int workers;   /* threads, 1 to MUTEX_WORKERS_MAX */
    int iter;      /* items for each of them */
    int64_t units; /* steps for each item; see lab_mutex_units */
};

enum { MUTEX_WORKERS_MAX = 1024 };

/* *sum becomes the sum over all items, the same for all four and for any order of the threads. From
 * any thread, several at once included. 0, -EINVAL for numbers out of range, or why a thread could
 * not be started. */
int mutex_single(const struct mutex_task *task, uint64_t *sum);
int mutex_narrow(const struct mutex_task *task, uint64_t *sum);
int mutex_sharded(const struct mutex_task *task, uint64_t *sum);
int mutex_atomic(const struct mutex_task *task, uint64_t *sum);

struct mutex_impl {
    const char *name;
    int (*run)(const struct mutex_task *task, uint64_t *sum);
};
extern const struct mutex_impl mutex_impls[]; /* slowest first; ends with a NULL name */
/* NULL: there is no such implementation. */
const struct mutex_impl *mutex_impl_find(const char *name);

/* How many units keep a core of this machine busy for about hold_ns. Measured once, at the first
 * call (2 ms). */
int64_t lab_mutex_units(int64_t hold_ns);

/* ---- shared by the variants ------------------------------------------------------------------ */

/* The computation: `units` dependent steps from a seed. Nothing in it can be left out or done
 * ahead. */
uint64_t mutex_compute(uint64_t seed, int64_t units);
/* Runs worker(state, task, i) on task->workers threads, i from 0, and waits for all of them. */
int mutex_run_workers(const struct mutex_task *task, void *state,
                      void (*worker)(void *state, const struct mutex_task *task, int i));
/* The seed of one item: no two items of a run have the same. */
static inline uint64_t mutex_seed(const struct mutex_task *task, int worker, int i)
{
    return (uint64_t)worker * (uint64_t)task->iter + (uint64_t)i + 1;
}

#endif
