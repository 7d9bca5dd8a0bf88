/* The work: each thread makes its share of the buffers, one after the other, fills each with a
 * digest, adds up all of its bytes and lets go of it, or of the one that is `keep` buffers older.
 */
#include "labs/alloc/alloc.h"
#include "labs/churn/churn.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/* What a thread holds for ever: a list, so that nothing large is ever moved. */
enum { HELD_LINKS = 1000, BATCH = 64 /* buffers that a thread goes for at a time */ };
struct held {
    struct held *next;
    int used;
    void *buffer[HELD_LINKS];
};
/* A collector finds them here, and so does a leak checker. */
static struct held *held[CHURN_THREADS_MAX];

struct worker {
    const struct churn_work *work;
    _Atomic int *next; /* the buffer to be made next, by whoever comes first */
    int index;
    int keep;
    int made;
    void **kept; /* a ring */
    struct churn_hand hand;
    pthread_t thread;
    uint64_t sum;
    int err;
};

static void *take_links(const struct churn_way *way, size_t bytes)
{
    return way->take_links ? way->take_links(bytes) : calloc(1, bytes);
}

static void give_links(const struct churn_way *way, void *p)
{
    (way->give_links ? way->give_links : free)(p);
}

/* ---- one buffer ------------------------------------------------------------------------------ */

static int hold(struct worker *w, void *p)
{
    struct held *list = held[w->index];

    if (!list || list->used == HELD_LINKS) {
        struct held *fresh = take_links(w->work->way, sizeof *fresh);
        if (!fresh)
            return -ENOMEM;
        fresh->next = list;
        list = held[w->index] = fresh;
    }
    list->buffer[list->used++] = p;
    return 0;
}

static void keep(struct worker *w, void *p)
{
    void **place = &w->kept[w->made++ % w->keep];

    if (*place)
        w->work->way->give(&w->hand, *place, w->work->bytes);
    *place = p;
}

static int make(struct worker *w, int i)
{
    const struct churn_work *work = w->work;
    unsigned char *p = work->way->take(&w->hand, work->bytes);

    if (!p)
        return -ENOMEM;
    buffer_fill(p, i);
    w->sum += buffer_checksum(p, work->bytes) * (2 * (uint64_t)i + 1);
    if (work->hold)
        return hold(w, p);
    if (w->keep > 0)
        keep(w, p);
    else
        work->way->give(&w->hand, p, work->bytes);
    return 0;
}

/* ---- one thread ------------------------------------------------------------------------------ */

static void let_go(struct worker *w)
{
    for (int i = 0; i < w->keep && w->kept; i++)
        if (w->kept[i])
            w->work->way->give(&w->hand, w->kept[i], w->work->bytes);
    give_links(w->work->way, w->kept);
    w->kept = NULL;
    if (w->work->way->finish)
        w->work->way->finish(&w->hand);
}

static void *run_thread(void *arg)
{
    struct worker *w = arg;

    if (w->keep > 0 && !(w->kept = take_links(w->work->way, (size_t)w->keep * sizeof *w->kept)))
        w->err = -ENOMEM;
    while (!w->err) {
        const int from = atomic_fetch_add_explicit(w->next, BATCH, memory_order_relaxed);
        if (from >= w->work->count)
            break;
        for (int i = from; i < from + BATCH && i < w->work->count && !w->err; i++)
            w->err = make(w, i);
    }
    return NULL;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int start(struct worker *w)
{
    const struct churn_way *way = w->work->way;

    return -(way->thread_start ? way->thread_start(&w->thread, run_thread, w)
                               : pthread_create(&w->thread, NULL, run_thread, w));
}

static void join(struct worker *w)
{
    const struct churn_way *way = w->work->way;

    (way->thread_join ? way->thread_join : pthread_join)(w->thread, NULL);
}

static void prepare(struct worker *w, const struct churn_work *work, _Atomic int *next, int index)
{
    *w = (struct worker){.work = work, .next = next, .index = index};
    if (!work->hold)
        w->keep = work->keep / work->threads + (index < work->keep % work->threads);
}

/* Runs all threads; the caller is the first of them. */
static int run_workers(struct worker *workers, int n)
{
    int started = 1, err = 0;

    while (started < n && !err)
        if (!(err = start(&workers[started])))
            started++;
    run_thread(&workers[0]);
    for (int i = 1; i < started; i++)
        join(&workers[i]);
    return err;
}

int churn_run(const struct churn_work *work, uint64_t *sum)
{
    const int n = work->threads;
    _Atomic int next = 0;

    if (work->bytes < ALLOC_DIGEST_BYTES || work->count < 0 || work->keep < 0 || n < 1 ||
        n > CHURN_THREADS_MAX)
        return -EINVAL;
    /* Not an array of the stack: a sanitizer puts those where no collector looks for pointers. */
    struct worker *workers = take_links(work->way, (size_t)n * sizeof *workers);
    if (!workers)
        return -ENOMEM;
    for (int i = 0; i < n; i++)
        prepare(&workers[i], work, &next, i);
    int err = run_workers(workers, n);
    *sum = 0;
    for (int i = 0; i < n; i++) {
        let_go(&workers[i]); /* not earlier: what is kept, is kept until all is done */
        *sum += workers[i].sum;
        err = err ? err : workers[i].err;
    }
    give_links(work->way, workers);
    return err;
}
