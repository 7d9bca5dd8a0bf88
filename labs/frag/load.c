/* The threads of the load. Each has random numbers, a table and a mailbox of its own, so that what
 * it does depends on nothing but the task; only the order in which mailboxes are emptied is left to
 * chance, and sums do not mind. */
#include "labs/frag/frag.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE = 4096, MAIL_MAX = 64, MAIL_ONE_IN = 8, STAY_ONE_IN = 50, BUDGET_BYTES = 24 << 20 };

struct block {
    uint64_t *p; /* NULL: empty */
    size_t bytes;
    uint64_t stamp; /* what was written to its first and last word */
};

struct mailbox { /* blocks that another thread is to free */
    pthread_mutex_t lock;
    int n;                     /* under lock */
    struct block of[MAIL_MAX]; /* under lock */
};

struct worker {
    pthread_t thread;
    struct load *load;
    uint64_t random, sum;
    int64_t ops, failed, now_bytes, most_bytes, kept_bytes;
    struct block *slots;
    struct mailbox mail;
};

struct load {
    const struct frag_task *task;
    pthread_barrier_t done;     /* the workers have run all phases */
    pthread_barrier_t together; /* the same, and the caller */
    pthread_mutex_t gate;       /* held while threads are started */
    bool cancelled;             /* under gate */
    struct worker workers[];
};

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static uint64_t next_random(struct worker *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Uses the memory as a program does that fills it, but without the time: a word on every page. */
static void block_fill(struct block *b)
{
    for (size_t at = 0; at < b->bytes / 8; at += PAGE / 8)
        b->p[at] = b->stamp;
    b->p[b->bytes / 8 - 1] = b->stamp;
}

static void block_free(struct worker *w, struct block *b)
{
    w->sum += b->p[0] * 3 + b->p[b->bytes / 8 - 1] + b->bytes;
    free(b->p);
    b->p = NULL;
}

static void mail_empty(struct worker *w)
{
    pthread_mutex_lock(&w->mail.lock);
    while (w->mail.n > 0)
        block_free(w, &w->mail.of[--w->mail.n]);
    pthread_mutex_unlock(&w->mail.lock);
}

/* Leaves the block to the next thread. false: its mailbox is full. */
static bool mail_send(struct worker *w, const struct block *b)
{
    const long next = (w - w->load->workers + 1) % w->load->task->threads;
    struct mailbox *to = &w->load->workers[next].mail;

    pthread_mutex_lock(&to->lock);
    bool room = to->n < MAIL_MAX;
    if (room)
        to->of[to->n++] = *b;
    pthread_mutex_unlock(&to->lock);
    return room;
}

static void slot_clear(struct worker *w, struct block *b, bool may_send)
{
    if (!b->p)
        return;
    w->now_bytes -= (int64_t)b->bytes;
    if (may_send && b->stamp % MAIL_ONE_IN == 0 && mail_send(w, b))
        b->p = NULL;
    else
        block_free(w, b);
}

static void slot_fill(struct worker *w, struct block *b, size_t bytes)
{
    *b = (struct block){malloc(bytes), bytes, next_random(w)};
    if (!b->p) {
        w->failed++;
        return;
    }
    block_fill(b);
    w->ops++;
    w->now_bytes += (int64_t)bytes;
    if (w->now_bytes > w->most_bytes)
        w->most_bytes = w->now_bytes;
}

/* ---- phases ---------------------------------------------------------------------------------- */

static struct block *any_slot(struct worker *w)
{
    return &w->slots[next_random(w) % (uint64_t)w->load->task->slots];
}

static void run_phase(struct worker *w, int phase)
{
    for (int64_t i = 0; i < w->load->task->ops; i++) {
        struct block *b = any_slot(w);
        slot_clear(w, b, true);
        slot_fill(w, b, frag_size(phase, next_random(w)));
        while (w->now_bytes > BUDGET_BYTES)
            slot_clear(w, any_slot(w), true);
        if (i % MAIL_MAX == 0)
            mail_empty(w);
    }
    mail_empty(w);
}

/* Most blocks go; those that stay keep their pages from being given back. */
static void thin_out(struct worker *w)
{
    for (int i = 0; i < w->load->task->slots; i++)
        if (i % STAY_ONE_IN)
            slot_clear(w, &w->slots[i], false);
}

static void count_kept(struct worker *w)
{
    for (int i = 0; i < w->load->task->slots; i++)
        w->kept_bytes += w->slots[i].p ? (int64_t)w->slots[i].bytes : 0;
}

/* A load that misses a thread would wait for it for ever, so nobody begins before all are there. */
static bool pass_gate(struct load *load)
{
    pthread_mutex_lock(&load->gate);
    bool go = !load->cancelled;
    pthread_mutex_unlock(&load->gate);
    return go;
}

static void *frag_worker(void *arg)
{
    struct worker *w = arg;

    if (!pass_gate(w->load))
        return NULL;
    for (int phase = 0; phase < FRAG_PHASES; phase++) {
        run_phase(w, phase);
        thin_out(w);
    }
    pthread_barrier_wait(&w->load->done); /* from here on nobody sends */
    mail_empty(w);
    count_kept(w);
    pthread_barrier_wait(&w->load->together);
    pthread_barrier_wait(&w->load->together);
    for (int i = 0; i < w->load->task->slots; i++)
        slot_clear(w, &w->slots[i], false);
    return NULL;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void load_free(struct load *load)
{
    for (int i = 0; i < load->task->threads; i++) {
        free(load->workers[i].slots);
        pthread_mutex_destroy(&load->workers[i].mail.lock);
    }
    pthread_barrier_destroy(&load->done);
    pthread_barrier_destroy(&load->together);
    pthread_mutex_destroy(&load->gate);
    free(load);
}

static struct load *load_new(const struct frag_task *task)
{
    struct load *load = calloc(1, sizeof(*load) + (size_t)task->threads * sizeof(load->workers[0]));
    bool failed = false;

    if (!load)
        return NULL;
    load->task = task;
    pthread_barrier_init(&load->done, NULL, (unsigned)task->threads);
    pthread_barrier_init(&load->together, NULL, (unsigned)task->threads + 1);
    pthread_mutex_init(&load->gate, NULL);
    for (int i = 0; i < task->threads; i++) {
        struct worker *w = &load->workers[i];
        w->load = load;
        w->random = (task->seed + (uint64_t)i * 1000003 + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        pthread_mutex_init(&w->mail.lock, NULL);
        w->slots = calloc((size_t)task->slots, sizeof(*w->slots));
        failed |= !w->slots;
    }
    if (failed) {
        load_free(load);
        return NULL;
    }
    return load;
}

/* All of them, or none. */
static int start_threads(struct load *load)
{
    const int threads = load->task->threads;
    int n = 0, err = 0;

    pthread_mutex_lock(&load->gate);
    for (; n < threads && !err; n += !err)
        err = pthread_create(&load->workers[n].thread, NULL, frag_worker, &load->workers[n]);
    load->cancelled = err != 0;
    pthread_mutex_unlock(&load->gate);
    for (int i = 0; err && i < n; i++)
        pthread_join(load->workers[i].thread, NULL);
    return -err;
}

/* Once the threads have ended, but for their sums of what was kept. */
static void add_up(const struct load *load, struct frag_result *out)
{
    for (int i = 0; i < load->task->threads; i++) {
        const struct worker *w = &load->workers[i];
        out->sum += w->sum;
        out->ops += w->ops;
        out->failed += w->failed;
        out->live_bytes += w->most_bytes;
        out->kept_bytes += w->kept_bytes;
    }
}

int frag_run(const struct frag_task *task, struct frag_result *out, void (*at_end)(void *arg),
             void *arg)
{
    if (task->threads < 1 || task->threads > FRAG_THREADS_MAX || task->slots < 1 || task->ops < 0)
        return -EINVAL;
    struct load *load = load_new(task);
    if (!load)
        return -ENOMEM;

    *out = (struct frag_result){.elapsed_ns = -now_ns(CLOCK_MONOTONIC),
                                .cpu_ns = -now_ns(CLOCK_PROCESS_CPUTIME_ID)};
    int err = start_threads(load);
    if (!err) {
        pthread_barrier_wait(&load->together);
        out->elapsed_ns += now_ns(CLOCK_MONOTONIC);
        out->cpu_ns += now_ns(CLOCK_PROCESS_CPUTIME_ID);
        if (at_end)
            at_end(arg);
        pthread_barrier_wait(&load->together);
        for (int i = 0; i < task->threads; i++)
            pthread_join(load->workers[i].thread, NULL);
        add_up(load, out);
    }
    load_free(load);
    return err;
}
