/* The work: the four labs behind routes, slow and fixed, and the release of what they hold. Every
 * range is set so that the longest request is a matter of seconds. */
#include "cmd/server/server.h"

#include "labs/alloc/alloc.h"
#include "labs/fib/fib.h"
#include "labs/leak/leak.h"
#include "labs/mutex/mutex.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t ns_per_s = 1000000000;

static void failed(struct reply *reply, int err)
{
    reply_set(reply, MHD_HTTP_SERVICE_UNAVAILABLE, "the work could not be done: %s",
              strerrordesc_np(-err));
}

/* A range that two parameters share. False: the reply says so. */
static bool within(int64_t total, int64_t most, const char *what, struct reply *reply)
{
    if (total <= most)
        return true;
    reply_set(reply, MHD_HTTP_BAD_REQUEST, "%s is %" PRId64 "; expected at most %" PRId64, what,
              total, most);
    return false;
}

/* ---- cpu ------------------------------------------------------------------------------------- */

enum { CPU_N, CPU_WORKERS, CPU_IMPL, MAX_NUMBERS = 1000 };

static const char *const fib_names[] = {"recursive", "memo", "iterative", NULL};
static const struct param cpu_params[] = {
    [CPU_N] = {"n", PARAM_INT, 1, MAX_NUMBERS, 50, NULL},
    [CPU_WORKERS] = {"workers", PARAM_INT, 1, 64, 4, NULL},
    [CPU_IMPL] = {"impl", PARAM_CHOICE, 0, 0, 0, fib_names},
    {0},
};

static void run_cpu(const int64_t *v, struct reply *reply)
{
    enum { RECURSIVE_NS = 15000000, OTHER_NS = 20000 }; /* for one number, about */
    const int64_t numbers = v[CPU_N] * v[CPU_WORKERS];
    const struct cost cost = {.threads = v[CPU_WORKERS],
                              .cpu_ns = numbers * (v[CPU_IMPL] ? OTHER_NS : RECURSIVE_NS)};
    uint64_t total = 0;

    if (!within(numbers, MAX_NUMBERS, "n times workers", reply) || !limit_admit(&cost, reply))
        return;
    int err = lab_burn_cpu((int)v[CPU_N], (int)v[CPU_WORKERS],
                           fib_impl_find(fib_names[v[CPU_IMPL]]), &total);
    limit_done(&cost, false);
    if (err)
        failed(reply, err);
    else
        reply_set(reply, MHD_HTTP_OK, "cpu ok total=%" PRIu64 " (impl=%s)", total,
                  fib_names[v[CPU_IMPL]]);
}

/* ---- mem ------------------------------------------------------------------------------------- */

enum { MEM_BYTES, MEM_COUNT, MEM_HOLD, MEM_IMPL, MAX_REQUEST_BYTES = 512 << 20 };

static const char *const alloc_names[] = {"plain", "pool", "arena", NULL};
static const struct param mem_params[] = {
    [MEM_BYTES] = {"bytes", PARAM_INT, ALLOC_DIGEST_BYTES, 16 << 20, 2048, NULL},
    [MEM_COUNT] = {"count", PARAM_INT, 1, 1000000, 50000, NULL},
    [MEM_HOLD] = {"hold", PARAM_BOOL, 0, 1, 1, NULL},
    [MEM_IMPL] = {"impl", PARAM_CHOICE, 0, 0, 0, alloc_names},
    {0},
};

/* The pool keeps what it was lent; what it may have by now is bounded like the rest. */
static void bound_pool(int64_t bytes)
{
    static _Atomic int64_t pooled;

    if (atomic_fetch_add(&pooled, bytes) + bytes > options.hold_bytes) {
        pooled = 0;
        pool_drain();
    }
}

static void run_mem(const int64_t *v, struct reply *reply)
{
    const struct cost cost = {.bytes = v[MEM_BYTES] * v[MEM_COUNT]};
    const bool hold = v[MEM_HOLD];
    uint64_t sum = 0;

    if (!within(cost.bytes, MAX_REQUEST_BYTES, "bytes times count", reply) ||
        !limit_admit(&cost, reply))
        return;
    int err =
        alloc_impls[v[MEM_IMPL]].allocate((size_t)v[MEM_BYTES], (int)v[MEM_COUNT], hold, &sum);
    limit_done(&cost, hold && !err);
    if (!strcmp(alloc_names[v[MEM_IMPL]], "pool") && !hold)
        bound_pool(cost.bytes);
    if (err)
        failed(reply, err);
    else
        reply_set(reply, MHD_HTTP_OK,
                  "mem ok allocated=%" PRId64 " (hold=%s, impl=%s, held now: %" PRId64 " MiB)",
                  v[MEM_COUNT], hold ? "true" : "false", alloc_names[v[MEM_IMPL]],
                  limit_bytes() >> 20);
}

static void run_release(const int64_t *v, struct reply *reply)
{
    const int64_t bytes = (int64_t)lab_alloc_release();

    (void)v;
    limit_free(bytes);
    reply_set(reply, MHD_HTTP_OK, "release ok freed=%" PRId64, bytes);
}

/* ---- contention ------------------------------------------------------------------------------ */

enum { LOCK_ITER, LOCK_HOLD_NS, LOCK_WORKERS, LOCK_IMPL, LOCK_NS = 500, MAX_LOCK_S = 20 };

static const char *const mutex_names[] = {"single", "narrow", "sharded", "atomic", NULL};
static const struct param contention_params[] = {
    [LOCK_ITER] = {"iter", PARAM_INT, 1, 10000000, 10000, NULL},
    [LOCK_HOLD_NS] = {"holdNs", PARAM_INT, 0, 1000000000, 5000, NULL},
    [LOCK_WORKERS] = {"workers", PARAM_INT, 1, 64, 1, NULL},
    [LOCK_IMPL] = {"impl", PARAM_CHOICE, 0, 0, 0, mutex_names},
    {0},
};

static void run_contention(const int64_t *v, struct reply *reply)
{
    const int64_t items = v[LOCK_ITER] * v[LOCK_WORKERS];
    const struct cost cost = {.threads = v[LOCK_WORKERS],
                              .cpu_ns = items * (v[LOCK_HOLD_NS] + LOCK_NS)};
    const struct mutex_task task = {.workers = (int)v[LOCK_WORKERS],
                                    .iter = (int)v[LOCK_ITER],
                                    .units = lab_mutex_units(v[LOCK_HOLD_NS])};
    uint64_t sum = 0;

    if (!within(cost.cpu_ns, MAX_LOCK_S * ns_per_s, "iter times workers times (holdNs + 500)",
                reply) ||
        !limit_admit(&cost, reply))
        return;
    int err = mutex_impls[v[LOCK_IMPL]].run(&task, &sum);
    limit_done(&cost, false);
    if (err)
        failed(reply, err);
    else
        reply_set(reply, MHD_HTTP_OK, "contention ok data=%" PRId64 " (workers=%d, impl=%s)", items,
                  task.workers, mutex_names[v[LOCK_IMPL]]);
}

/* ---- leak ------------------------------------------------------------------------------------ */

enum { LEAK_COUNT, LEAK_IMPL, MAX_LEAKED = 2000 };

static const char *const leak_names[] = {"leaky", "joined", NULL};
static const struct param leak_params[] = {
    [LEAK_COUNT] = {"workers", PARAM_INT, 1, LEAK_WORKERS_MAX, 100, NULL},
    [LEAK_IMPL] = {"impl", PARAM_CHOICE, 0, 0, 0, leak_names},
    {0},
};

/* The thread that ends leaked threads when their time is over. It sleeps while there are none. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;    /* under lock */
    int starting; /* under lock: threads of crews that are being started */
    pthread_t thread;
} reaper = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *reap(void *arg)
{
    pthread_mutex_lock(&reaper.lock);
    while (!reaper.stop) {
        struct timespec next;
        clock_gettime(CLOCK_MONOTONIC, &next);
        next.tv_sec++;
        if (lab_leak_count())
            pthread_cond_timedwait(&reaper.changed, &reaper.lock, &next);
        else
            pthread_cond_wait(&reaper.changed, &reaper.lock);
        pthread_mutex_unlock(&reaper.lock);
        lab_leak_stop(options.leak_seconds * ns_per_s);
        pthread_mutex_lock(&reaper.lock);
    }
    pthread_mutex_unlock(&reaper.lock);
    return arg;
}

/* Two at once must not both find the last room. */
static bool reserve_threads(int workers, struct reply *reply)
{
    pthread_mutex_lock(&reaper.lock);
    int there = lab_leak_count() + reaper.starting;
    if (there + workers > MAX_LEAKED)
        reply_set(reply, MHD_HTTP_SERVICE_UNAVAILABLE,
                  "full: %d leaked threads are there, of at most %d; they end about %" PRId64
                  " s after their start",
                  there, MAX_LEAKED, options.leak_seconds);
    else
        reaper.starting += workers;
    pthread_mutex_unlock(&reaper.lock);
    return there + workers <= MAX_LEAKED;
}

static void started_threads(int workers)
{
    pthread_mutex_lock(&reaper.lock);
    reaper.starting -= workers;
    pthread_cond_signal(&reaper.changed);
    pthread_mutex_unlock(&reaper.lock);
}

static void run_leak(const int64_t *v, struct reply *reply)
{
    const int workers = (int)v[LEAK_COUNT];
    uint64_t sum = 0;

    if (!reserve_threads(workers, reply))
        return;
    int err = leak_impls[v[LEAK_IMPL]].run(workers, &sum);
    started_threads(workers);
    if (err)
        failed(reply, err);
    else if (v[LEAK_IMPL])
        reply_set(reply, MHD_HTTP_OK, "leak avoided (%d threads started and joined)", workers);
    else
        reply_set(reply, MHD_HTTP_OK, "leak started (auto stop after ~%" PRId64 "s)",
                  options.leak_seconds);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void run_healthz(const int64_t *v, struct reply *reply)
{
    (void)v;
    reply_set(reply, MHD_HTTP_OK, "ok");
}

const struct route routes[] = {
    {"/work/cpu",
     "Fibonacci numbers on several threads",
     {"?n=50&workers=4", "?n=50&workers=4&impl=memo"},
     cpu_params,
     "n times workers: at most 1000.",
     CPU_IMPL,
     run_cpu},
    {"/work/mem",
     "many small buffers, held or given back",
     {"?bytes=2048&count=50000&hold=true", "?bytes=2048&count=50000&hold=false&impl=pool"},
     mem_params,
     "bytes times count: at most 512 MiB. What is held stays until /work/release.",
     MEM_IMPL,
     run_mem},
    {"/work/contention",
     "threads that share one lock",
     {"?iter=10000&holdNs=5000&workers=8", "?iter=10000&holdNs=5000&workers=8&impl=sharded"},
     contention_params,
     "iter times workers times holdNs: about 20 s at most.",
     LOCK_IMPL,
     run_contention},
    {"/work/leak",
     "threads that nobody joins",
     {"", "?impl=joined"},
     leak_params,
     "They end by themselves, after about 30 s unless the server was told otherwise.",
     LEAK_IMPL,
     run_leak},
    {"/work/release", "frees what /work/mem holds", {""}, NULL, NULL, -1, run_release},
    {"/healthz", "says ok while the server serves", {""}, NULL, NULL, -1, run_healthz},
    {0},
};

int work_start(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&reaper.changed, &attr);
    pthread_condattr_destroy(&attr);
    return -pthread_create(&reaper.thread, NULL, reap, NULL);
}

void work_stop(void)
{
    pthread_mutex_lock(&reaper.lock);
    reaper.stop = true;
    pthread_cond_signal(&reaper.changed);
    pthread_mutex_unlock(&reaper.lock);
    pthread_join(reaper.thread, NULL);
    lab_leak_stop(0);
    lab_alloc_release();
}
