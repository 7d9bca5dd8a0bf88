/* The work: each thread makes its share of the buffers, one after the other, fills each with a
 * digest, adds up all of its bytes and lets go of it, or of the one that is `keep` buffers older.
 */
#include "labs/alloc/alloc.h"
#include "labs/churn/churn.h"

#include <errno.h>
#include <stdlib.h>

/* What a thread holds for ever: a list, so that nothing large is ever moved. */
enum { HELD_LINKS = 1000 };
struct held {
    struct held *next;
    int used;
    void *buffer[HELD_LINKS];
};
static struct held
    *held[CHURN_THREADS_MAX]; /* a collector finds them here, and so does a leak checker */

struct worker {
    const struct churn_work *work;
    int index;
    int from, to; /* buffers, of all */
    int keep;
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

static void keep(struct worker *w, int i, void *p)
{
    void **place = &w->kept[i % w->keep];

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
        keep(w, i, p);
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
    for (int i = w->from; i < w->to && !w->err; i++)
        w->err = make(w, i);
    let_go(w);
    return NULL;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int share(int total, int threads, int index)
{
    return (int)((int64_t)total * index / threads);
}

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

int churn_run(const struct churn_work *work, uint64_t *sum)
{
    struct worker workers[CHURN_THREADS_MAX] = {{0}};
    const int n = work->threads;
    int started = 0, err = 0;

    if (work->bytes < ALLOC_DIGEST_BYTES || work->count < 0 || work->keep < 0 || n < 1 ||
        n > CHURN_THREADS_MAX)
        return -EINVAL;
    for (; started < n && !err; started++) {
        struct worker *w = &workers[started];
        *w = (struct worker){.work = work,
                             .index = started,
                             .from = share(work->count, n, started),
                             .to = share(work->count, n, started + 1),
                             .keep = work->hold ? 0
                                                : share(work->keep, n, started + 1) -
                                                      share(work->keep, n, started)};
        err = start(w);
    }
    started -= err != 0;
    *sum = 0;
    for (int i = 0; i < started; i++) {
        join(&workers[i]);
        *sum += workers[i].sum;
        err = err ? err : workers[i].err;
    }
    return err;
}
