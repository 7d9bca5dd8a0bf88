/* Writes a trace of a program that does not exist, as large as one likes: a pool of workers that
 * take requests on four CPUs, share one lock, write to sockets and sleep; a batch thread that hogs
 * the lock, a thread that never comes back, a collector. Every number comes from one seed, so the
 * same arguments make the same file. For the browser tests and for scripts/perf/trace_page.sh:
 *
 *   trace_make EVENTS WORKERS > FILE
 *   trace_make story > FILE            the trace of tests/trace_story.h, whose every figure is
 * known
 *   trace_make none > FILE             a trace without an event
 */
#include "tests/trace_story.h"

#include <stdio.h>

enum { SHOP_PID = 4000, CPUS = 4, WORKERS_MAX = 1000, QUANTUM_US = 4000, COLLECTION_US = 60000 };
enum {
    TRACK_PROCESS = 1,
    TRACK_GC,
    TRACK_QUEUE,
    TRACK_HEAP,
    TRACK_THREADS = 10,
    TRACK_TASKS = 1 << 20
};
enum { STACK_LOCK = 1, STACK_UNLOCK, STACK_WRITE, STACK_RENDER, STACK_START };

#define LOCK 0x55d0c0ffee40

enum op { TASK, BEGIN, END, COMPUTE, TAKE, GIVE, CALL, NOTE, TASK_END, AGAIN };

struct step {
    enum op op;
    const char *name;
    int us;
};

static const struct step request[] = {
    {TASK, "request", 0}, {BEGIN, "handle request", 0},
    {BEGIN, "parse", 0},  {COMPUTE, "", 60},
    {END, "", 0},         {TAKE, "", 0},
    {BEGIN, "cache", 0},  {COMPUTE, "", 25},
    {END, "", 0},         {GIVE, "", 0},
    {BEGIN, "render", 0}, {COMPUTE, "", 150},
    {CALL, "write", 90},  {END, "", 0},
    {NOTE, "", 0},        {END, "", 0},
    {COMPUTE, "", 8},     {TASK_END, "", 0},
    {CALL, "poll", 700},  {AGAIN, "", 0},
};
static const struct step batch[] = {
    {COMPUTE, "", 8}, {CALL, "sleep", 30000}, {BEGIN, "rebuild index", 0},
    {TAKE, "", 0},    {COMPUTE, "", 2500},    {GIVE, "", 0},
    {END, "", 0},     {AGAIN, "", 0},
};
static const struct step lost[] = {
    {COMPUTE, "", 100}, {CALL, "cond wait", 1 << 30}, {AGAIN, "", 0}};

enum state { READY, ON_CPU, SLEEPING, QUEUED };

struct worker {
    const struct step *steps, *at;
    const char *name, *start;
    enum state state;
    uint64_t due_us; /* SLEEPING: when it wakes; READY: since when */
    uint64_t left_us, flow, task;
    int waker;
    bool waits; /* its latest slice is a wait, to be ended when it runs */
};

struct world {
    struct trace_file f;
    struct worker workers[WORKERS_MAX + 2];
    int n, queue[WORKERS_MAX + 2], nqueue; /* of the lock */
    int holder;                            /* worker; -1: free */
    int on[CPUS];                          /* worker; -1: idle */
    uint64_t until_us[CPUS], now_us, next_gc_us, events, flows, tasks, gcs, seed;
};

static uint64_t dice(struct world *w)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return w->seed;
}

/* Around a mean, now and then much longer: latencies have tails. */
static uint64_t about(struct world *w, int us)
{
    uint64_t t = (uint64_t)us / 2 + dice(w) % (uint64_t)(us + 1);

    return dice(w) % 97 == 0 ? t * 20 : t + 1;
}

static int tid_of(int worker)
{
    return SHOP_PID + 1 + worker;
}

static void emit(struct world *w, struct tf_event e)
{
    e.ms = (double)w->now_us / 1000;
    tf_event(&w->f, e);
    w->events++;
}

static uint64_t track_of(int worker)
{
    return TRACK_THREADS + (uint64_t)worker;
}

/* ---- CPUs ------------------------------------------------------------------------------------ */

static void switch_to(struct world *w, int cpu, int state, int next)
{
    int prev = w->on[cpu];

    tf_switch(&w->f, (double)w->now_us / 1000, cpu, prev < 0 ? 0 : tid_of(prev), state,
              next < 0 ? 0 : tid_of(next));
    w->events++;
    w->on[cpu] = next;
}

static void ready(struct world *w, int worker)
{
    w->workers[worker].state = READY;
    w->workers[worker].due_us = w->now_us;
    tf_waking(&w->f, (double)w->now_us / 1000, worker % CPUS, tid_of(worker));
}

static int longest_ready(const struct world *w)
{
    int best = -1;

    for (int i = 0; i < w->n; i++)
        if (w->workers[i].state == READY &&
            (best < 0 || w->workers[i].due_us < w->workers[best].due_us))
            best = i;
    return best;
}

/* ---- steps: false when the worker leaves its CPU --------------------------------------------- */

static void begin(struct world *w, int i, const char *category, const char *name, int stack)
{
    emit(w, (struct tf_event){.track = track_of(i),
                              .type = TF_BEGIN,
                              .category = category,
                              .name = name,
                              .stack = (uint64_t)stack,
                              .task = w->workers[i].task});
}

static void end(struct world *w, int i)
{
    emit(w, (struct tf_event){.track = track_of(i), .type = TF_END});
}

static bool take(struct world *w, int i)
{
    if (w->holder < 0) {
        w->holder = i;
        return true;
    }
    emit(w, (struct tf_event){.track = track_of(i),
                              .type = TF_BEGIN,
                              .category = "block",
                              .name = "mutex lock",
                              .stack = STACK_LOCK,
                              .lock = LOCK,
                              .holder = (uint64_t)tid_of(w->holder)});
    w->workers[i].state = QUEUED;
    w->workers[i].waits = true;
    w->queue[w->nqueue++] = i;
    return false;
}

/* The lock goes to who waited longest. */
static void give(struct world *w, int i)
{
    w->holder = -1;
    if (w->nqueue == 0)
        return;
    int next = w->queue[0];
    memmove(w->queue, w->queue + 1, (size_t)--w->nqueue * sizeof *w->queue);
    w->holder = next;
    w->workers[next].flow = ++w->flows;
    w->workers[next].waker = i;
    emit(w, (struct tf_event){.track = track_of(i),
                              .type = TF_INSTANT,
                              .category = "wake",
                              .name = "unlock",
                              .lock = LOCK,
                              .flow = w->flows,
                              .stack = STACK_UNLOCK});
    ready(w, next);
}

static bool call(struct world *w, int i, const struct step *s)
{
    const bool sleeps = strcmp(s->name, "cond wait") == 0;

    emit(w, (struct tf_event){.track = track_of(i),
                              .type = TF_BEGIN,
                              .category = sleeps ? "block" : "syscall",
                              .name = s->name,
                              .stack = STACK_WRITE,
                              .fd = *s->name == 'w' ? (uint64_t)(5 + i) : 0});
    w->workers[i].state = SLEEPING;
    w->workers[i].due_us = w->now_us + about(w, s->us);
    w->workers[i].waits = true;
    return false;
}

static void task(struct world *w, int i, const char *name)
{
    struct worker *worker = &w->workers[i];

    worker->task = ++w->tasks;
    tf_track(&w->f, TRACK_TASKS + worker->task, name, TRACK_PROCESS);
    emit(w, (struct tf_event){.track = TRACK_TASKS + worker->task,
                              .type = TF_BEGIN,
                              .category = "task",
                              .name = name,
                              .task = worker->task});
    emit(w, (struct tf_event){.track = TRACK_QUEUE, .type = TF_COUNT, .value = w->nqueue});
}

static bool step(struct world *w, int i)
{
    struct worker *worker = &w->workers[i];
    const struct step *s = worker->at++;

    switch (s->op) {
    case TASK:
        task(w, i, s->name);
        return true;
    case TASK_END:
        emit(w, (struct tf_event){.track = TRACK_TASKS + worker->task, .type = TF_END});
        worker->task = 0;
        return true;
    case BEGIN:
        begin(w, i, "region", s->name, 0);
        return true;
    case END:
        end(w, i);
        return true;
    case TAKE:
        return take(w, i);
    case GIVE:
        give(w, i);
        return true;
    case CALL:
        return call(w, i, s);
    case NOTE:
        if (dice(w) % 64 == 0)
            emit(w, (struct tf_event){.track = track_of(i),
                                      .type = TF_INSTANT,
                                      .category = "log",
                                      .name = "cache miss",
                                      .log_category = "cache"});
        return true;
    case COMPUTE:
        worker->left_us = about(w, s->us);
        return true;
    case AGAIN:
        worker->at = worker->steps;
        return true;
    }
    return true;
}

/* Runs a worker that has a CPU up to its next computation. */
static void go_on(struct world *w, int cpu)
{
    int i = w->on[cpu];
    struct worker *worker = &w->workers[i];

    while (worker->left_us == 0)
        if (!step(w, i)) {
            switch_to(w, cpu, 1, -1);
            return;
        }
    w->until_us[cpu] = w->now_us + (worker->left_us < QUANTUM_US ? worker->left_us : QUANTUM_US);
}

static void start_on(struct world *w, int cpu, int i)
{
    struct worker *worker = &w->workers[i];

    switch_to(w, cpu, 0, i);
    worker->state = ON_CPU;
    if (worker->waits) {
        emit(w, (struct tf_event){.track = track_of(i),
                                  .type = TF_END,
                                  .end_flow = worker->flow,
                                  .woken_by = worker->flow ? (uint64_t)tid_of(worker->waker) : 0});
        worker->waits = false;
        worker->flow = 0;
    }
    go_on(w, cpu);
}

/* A computation, or the quantum, is over. */
static void stop_on(struct world *w, int cpu)
{
    int i = w->on[cpu];
    struct worker *worker = &w->workers[i];
    uint64_t ran = worker->left_us < QUANTUM_US ? worker->left_us : QUANTUM_US;

    if (ran > 400)
        tf_sample(&w->f, (double)w->now_us / 1000 - 0.2, tid_of(i), STACK_RENDER);
    worker->left_us -= ran;
    if (worker->left_us == 0) {
        go_on(w, cpu);
    } else if (longest_ready(w) < 0) {
        w->until_us[cpu] =
            w->now_us + (worker->left_us < QUANTUM_US ? worker->left_us : QUANTUM_US);
    } else {
        worker->state = READY;
        worker->due_us = w->now_us;
        switch_to(w, cpu, 0, -1);
    }
}

static void collect(struct world *w)
{
    double ms = (double)w->now_us / 1000;
    struct tf_event e = {.ms = ms,
                         .track = TRACK_GC,
                         .type = TF_BEGIN,
                         .category = "gc",
                         .name = "GC",
                         .number = ++w->gcs};

    tf_event(&w->f, e);
    e.ms = ms + 0.3;
    e.name = "stop the world";
    tf_event(&w->f, e);
    tf_event(&w->f, (struct tf_event){.ms = ms + 1.1, .track = TRACK_GC, .type = TF_END});
    tf_event(&w->f, (struct tf_event){.ms = ms + 1.4, .track = TRACK_GC, .type = TF_END});
    emit(w, (struct tf_event){.track = TRACK_HEAP,
                              .type = TF_COUNT,
                              .value = (int64_t)(20 << 20) + (int64_t)(dice(w) % (8 << 20))});
    w->next_gc_us += COLLECTION_US;
}

/* The next moment at which anything happens. */
static uint64_t next_us(const struct world *w)
{
    uint64_t next = w->next_gc_us;

    for (int c = 0; c < CPUS; c++)
        if (w->on[c] >= 0 && w->until_us[c] < next)
            next = w->until_us[c];
    for (int i = 0; i < w->n; i++)
        if (w->workers[i].state == SLEEPING && w->workers[i].due_us < next)
            next = w->workers[i].due_us;
    return next;
}

static void tick(struct world *w)
{
    w->now_us = next_us(w);
    for (int i = 0; i < w->n; i++)
        if (w->workers[i].state == SLEEPING && w->workers[i].due_us <= w->now_us)
            ready(w, i);
    if (w->next_gc_us <= w->now_us)
        collect(w);
    for (int c = 0; c < CPUS; c++)
        if (w->on[c] >= 0 && w->until_us[c] <= w->now_us)
            stop_on(w, c);
    for (int c = 0, i; c < CPUS; c++)
        while (w->on[c] < 0 && (i = longest_ready(w)) >= 0)
            start_on(w, c, i);
}

/* ---- the file -------------------------------------------------------------------------------- */

static void describe(struct world *w)
{
    static const char *const stacks[][6] = {
        [STACK_LOCK] = {"start_thread", "serve", "handle_request", "cache_get",
                        "pthread_mutex_lock", NULL},
        [STACK_UNLOCK] = {"start_thread", "serve", "handle_request", "cache_put", NULL},
        [STACK_WRITE] = {"start_thread", "serve", "send_all", "write", NULL},
        [STACK_RENDER] = {"start_thread", "serve", "handle_request", "render_template", NULL},
        [STACK_START] = {"main", "start_pool", "pthread_create", NULL},
    };

    tf_chunk(&w->f, 1, false);
    tf_process(&w->f, TRACK_PROCESS, SHOP_PID, "shop");
    tf_track(&w->f, TRACK_GC, "GC", TRACK_PROCESS);
    tf_counter(&w->f, TRACK_QUEUE, "waiting for the cache", 2);
    tf_counter(&w->f, TRACK_HEAP, "heap in use", 3);
    for (int i = 0; i < w->n; i++)
        tf_thread(&w->f, track_of(i), SHOP_PID, tid_of(i), w->workers[i].name);
    for (uint64_t i = 1; i < sizeof stacks / sizeof *stacks; i++)
        tf_stack(&w->f, i, stacks[i]);
    for (int i = 0; i < w->n; i++)
        emit(w, (struct tf_event){.track = track_of(i),
                                  .type = TF_INSTANT,
                                  .category = "thread",
                                  .name = "start",
                                  .start_function = w->workers[i].start,
                                  .creator = SHOP_PID,
                                  .stack = STACK_START});
    emit(w, (struct tf_event){
                .track = TRACK_PROCESS,
                .type = TF_INSTANT,
                .category = "notice",
                .name = "wakeups are inferred: a thread counts as runnable from the unlock or "
                        "signal that ended its wait"});
}

static void populate(struct world *w, int workers)
{
    static char names[WORKERS_MAX][16];

    for (int i = 0; i < workers; i++) {
        snprintf(names[i], sizeof names[i], "worker %d", i + 1);
        w->workers[i] = (struct worker){
            request, request, names[i], "serve", SLEEPING, 5 + 40 * (uint64_t)i, 0, 0, 0, 0, false};
    }
    w->workers[workers] =
        (struct worker){batch, batch, "batch", "rebuild", READY, 0, 0, 0, 0, 0, false};
    /* A name as an attacker would choose it: the page has to show it as it is. */
    w->workers[workers + 1] =
        (struct worker){lost, lost, "<img src=x>&amp;", "leak", READY, 0, 0, 0, 0, 0, false};
    w->n = workers + 2;
}

static int write_out(const struct trace_file *f)
{
    if (fwrite(f->data, 1, f->size, stdout) == f->size && fflush(stdout) == 0)
        return 0;
    perror("trace_make");
    return 1;
}

static int write_story(void)
{
    struct trace_file f;

    story_write(&f);
    int status = write_out(&f);
    free(f.data);
    return status;
}

/* What a trace has that was stopped as soon as it was started. */
static int write_none(void)
{
    struct trace_file f = {0};

    tf_chunk(&f, 1, false);
    tf_process(&f, 1, SHOP_PID, "shop");
    tf_thread(&f, 2, SHOP_PID, SHOP_PID, "shop");
    return fwrite(f.data, f.size, 1, stdout) == 1 && fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct world w = {.holder = -1, .next_gc_us = COLLECTION_US, .seed = 88172645463325252u};
    const long events = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    const long workers = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

    if (argc == 2 && strcmp(argv[1], "story") == 0)
        return write_story();
    if (argc == 2 && strcmp(argv[1], "none") == 0)
        return write_none();
    if (events < 1 || workers < 1 || workers > WORKERS_MAX) {
        fprintf(stderr, "usage: trace_make EVENTS WORKERS | story, > FILE; at most %d workers\n",
                WORKERS_MAX);
        return 2;
    }
    for (int c = 0; c < CPUS; c++)
        w.on[c] = -1;
    populate(&w, (int)workers);
    describe(&w);
    while (w.events < (uint64_t)events)
        tick(&w);
    int status = write_out(&w.f);
    free(w.f.data);
    return status;
}
