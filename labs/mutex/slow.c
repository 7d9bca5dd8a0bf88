/* Lab 3, before: everything inside the lock. It is correct, it uses all threads, and it is no
 * faster than one of them: while one computes, the others stand at the lock. */
#include "labs/mutex/mutex.h"

#include <pthread.h>

struct single {
    pthread_mutex_t lock;
    uint64_t sum; /* under lock */
};

static __attribute__((noinline)) void mutex_single_worker(void *state,
                                                          const struct mutex_task *task, int worker)
{
    struct single *s = state;

    for (int i = 0; i < task->iter; i++) {
        pthread_mutex_lock(&s->lock);
        s->sum += mutex_compute(mutex_seed(task, worker, i), task->units);
        pthread_mutex_unlock(&s->lock);
    }
}

__attribute__((noinline)) int mutex_single(const struct mutex_task *task, uint64_t *sum)
{
    struct single s = {.lock = PTHREAD_MUTEX_INITIALIZER};
    int err = mutex_run_workers(task, &s, mutex_single_worker);

    *sum = s.sum;
    return err;
}
