/* What the variants of lab 3 share: the computation and the threads. Whatever they differ in is in
 * slow.c and fixed.c, and is only where the lock stands. */
#include "labs/mutex/mutex.h"
#include "prof/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

__attribute__((noinline)) uint64_t mutex_compute(uint64_t seed, int64_t units)
{
    uint64_t x = seed;

    for (int64_t i = 0; i < units; i++) {
        x ^= x >> 29;
        x *= UINT64_C(0x9e3779b97f4a7c15);
    }
    return x;
}

struct worker {
    pthread_t thread;
    const struct mutex_task *task;
    void *state;
    void (*run)(void *state, const struct mutex_task *task, int i);
    int index;
};

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    PROF_REGION("worker"); /* an item is too short for a slice of its own */
    w->run(w->state, w->task, w->index);
    return NULL;
}

int mutex_run_workers(const struct mutex_task *task, void *state,
                      void (*run)(void *state, const struct mutex_task *task, int i))
{
    if (task->workers < 1 || task->workers > MUTEX_WORKERS_MAX || task->iter < 0 || task->units < 0)
        return -EINVAL;
    struct worker *w = calloc((size_t)task->workers, sizeof(*w));
    if (!w)
        return -ENOMEM;

    int started = 0, err = 0;
    for (; started < task->workers && !err; started += !err) {
        w[started] = (struct worker){.task = task, .state = state, .run = run, .index = started};
        err = pthread_create(&w[started].thread, NULL, worker_main, &w[started]);
    }
    for (int i = 0; i < started; i++)
        pthread_join(w[i].thread, NULL);
    free(w);
    return -err;
}

/* ---- units for nanoseconds ------------------------------------------------------------------- */

static double units_per_ns;

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* The best of several runs, in CPU time: a busy machine must not make the unit look long. */
static void calibrate(void)
{
    enum { RUNS = 10, UNITS = 100000 };

    for (int i = 0; i < RUNS; i++) {
        int64_t start = cpu_ns();
        volatile uint64_t keep = mutex_compute((uint64_t)start, UNITS);
        (void)keep;
        int64_t took = cpu_ns() - start;
        if (took > 0 && (double)UNITS / (double)took > units_per_ns)
            units_per_ns = (double)UNITS / (double)took;
    }
}

int64_t lab_mutex_units(int64_t hold_ns)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, calibrate);
    return (int64_t)((double)hold_ns * units_per_ns + 0.5);
}
