/* bench_parallel: the iterations of one run, spread over threads. They take them in portions of
 * about 100 µs, so that the shared counter costs nothing and no thread is left with much more to do
 * than the others. */
#include "bench/internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct bench_crew {
    _Atomic uint64_t handed_out; /* iterations; beyond n when there are none left */
    uint64_t n, portion;
    bench_pb_fn *fn;
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int ready; /* threads at the gate; under lock, as the next */
    bool open;
};

void bench_set_parallelism(struct bench *b, int p)
{
    if (p >= 1)
        bench_state(b)->parallelism = p;
}

bool bench_pb_refill(struct bench_pb *pb)
{
    struct bench_crew *c = pb->crew;
    uint64_t from = atomic_fetch_add_explicit(&c->handed_out, c->portion, memory_order_relaxed);

    if (from >= c->n)
        return false;
    pb->iterations_left = (c->n - from < c->portion ? c->n - from : c->portion) - 1;
    return true;
}

/* Waits at the gate: the threads are to start together, when the timer runs. */
static void *work(void *arg)
{
    struct bench_crew *c = arg;
    struct bench_pb pb = {.crew = c};

    pthread_mutex_lock(&c->lock);
    c->ready++;
    pthread_cond_broadcast(&c->changed);
    while (!c->open)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
    c->fn(&pb, c->arg);
    return NULL;
}

static void await_ready(struct bench_crew *c, int threads)
{
    pthread_mutex_lock(&c->lock);
    while (c->ready < threads)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

static void open_gate(struct bench_crew *c)
{
    pthread_mutex_lock(&c->lock);
    c->open = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* Go's rule: what took 100 µs in the run before, from 1 to 10,000 iterations. */
static uint64_t portion_of(const struct bench_state *s)
{
    int64_t portion = 0;

    if (s->previous_n > 0 && s->previous_ns > 0)
        portion = (int64_t)((__int128)100000 * s->previous_n / s->previous_ns);
    return (uint64_t)(portion < 1 ? 1 : portion > 10000 ? 10000 : portion);
}

/* Returns 0, or the error that kept a thread from starting; then none has done anything. */
static int run_crew(struct bench_state *s, struct bench_crew *c, pthread_t *thread, int threads)
{
    bool timed = s->timer_on;
    int started = 0, err = 0;

    bench_stop_timer(&s->public);
    for (; started < threads && !err; started += !err)
        err = pthread_create(&thread[started], NULL, work, c);
    await_ready(c, started);
    if (err)
        c->n = 0;
    if (timed)
        bench_start_timer(&s->public);
    open_gate(c);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    return err;
}

void bench_parallel(struct bench *b, bench_pb_fn *fn, void *arg)
{
    struct bench_state *s = bench_state(b);
    struct bench_crew c = {.n = (uint64_t)s->n, .portion = portion_of(s), .fn = fn, .arg = arg};
    int threads = s->parallelism > BENCH_THREADS_MAX / s->context->procs
                      ? BENCH_THREADS_MAX
                      : s->parallelism * s->context->procs;
    bool timed = s->timer_on;

    s->looped = true;
    bench_stop_timer(b);
    pthread_t *thread = calloc((size_t)threads, sizeof(*thread));
    if (timed)
        bench_start_timer(b);
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.changed, NULL);
    int err = thread ? run_crew(s, &c, thread, threads) : ENOMEM;
    free(thread);
    pthread_cond_destroy(&c.changed);
    pthread_mutex_destroy(&c.lock);
    if (err)
        bench_fatal(b, "bench_parallel: cannot start %d threads: %s", threads, strerror(err));
    if (atomic_load(&c.handed_out) <= c.n && !bench_failed(b))
        bench_fatal(b, "bench_parallel: the body returned before bench_pb_next was false");
}
