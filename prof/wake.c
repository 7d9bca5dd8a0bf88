/* When in a wait its thread was woken: from then on it was able to run, and only had no CPU.
 *
 * The kernel's switch records do not say. What is known: who ended a wait in a hooked call, and
 * when he was about to (within microseconds of the wake); and the kernel's exact sum of the time
 * that the thread waited for a CPU, from time to time. Preemptions are taken off the sum, then the
 * waits whose end is known; what is left goes to the other waits, most of it to those after which
 * the thread took over a CPU right behind another of ours that had run for long. So the sums are
 * the kernel's, and only their distribution is inferred.
 *
 * Entered from trace.c and flight.c with a part of a recording. */
#include "prof/sched.h"

#include <errno.h>
#include <string.h>

enum {
    HANDOVER_NS = 30 * 1000,  /* at most so long is a CPU without a thread between two of ours */
    WEIGHT_MIN_NS = 2 * 1000, /* waking takes that long on an idle CPU */
    EARLY_NS = 20 * 1000,     /* a waker may be about to before the other sleeps */
    THREADS_MIN = 256,
    CPUS_MIN = 64,
};

struct wait { /* one that has ended */
    int64_t begin_ns, end_ns;
    int64_t delay_ns;  /* of it, able to run: the estimate, then the result */
    int64_t weight_ns; /* 0: the wake is known */
    pid_t tid, waker;
    uint32_t older; /* the same thread's, not settled yet; index + 1 */
};

struct prof_wake_thread {
    pid_t tid;     /* 0: the place is free */
    bool has_base; /* base_ns is known */
    uint8_t kind;  /* of the latest record */
    int64_t since_ns;
    int64_t base_ns; /* the kernel's sum where sum_ns began */
    int64_t sum_ns;  /* what has been given out since, preemptions included */
    int64_t hint_ns; /* the latest known wake */
    pid_t hint_waker;
    uint32_t waits; /* the latest wait that is not settled; index + 1 */
};

struct prof_wake_cpu {
    int64_t in_ns, out_ns; /* the latest run of one of our threads */
};

/* ---- tables ---------------------------------------------------------------------------------- */

static struct prof_wake_thread *place_of(struct prof_wake_thread *table, size_t size, pid_t tid)
{
    size_t i = (size_t)tid * UINT64_C(0x9e3779b97f4a7c15) >> 20;

    while (table[i & (size - 1)].tid && table[i & (size - 1)].tid != tid)
        i++;
    return &table[i & (size - 1)];
}

static bool more_threads(struct prof_wakes *w)
{
    size_t size = w->max_threads ? 2 * w->max_threads : THREADS_MIN;
    struct prof_wake_thread *bigger = prof_pages_alloc(size * sizeof *bigger);

    if (!bigger)
        return false;
    for (size_t i = 0; i < w->max_threads; i++)
        if (w->thread[i].tid)
            *place_of(bigger, size, w->thread[i].tid) = w->thread[i];
    prof_pages_free(w->thread, w->max_threads * sizeof *w->thread);
    w->thread = bigger;
    w->max_threads = size;
    return true;
}

static struct prof_wake_thread *thread_of(struct prof_wakes *w, pid_t tid)
{
    struct prof_wake_thread *t;

    if (2 * w->nthreads >= w->max_threads && !more_threads(w))
        return NULL;
    t = place_of(w->thread, w->max_threads, tid);
    if (!t->tid) {
        *t = (struct prof_wake_thread){.tid = tid, .kind = PROF_SWITCH_OUT};
        t->has_base = !w->window; /* the sum of a thread that begins is 0 */
        w->nthreads++;
    }
    return t;
}

static struct prof_wake_cpu *cpu_of(struct prof_wakes *w, unsigned cpu)
{
    if (cpu >= w->max_cpus) {
        size_t size = cpu < CPUS_MIN ? CPUS_MIN : 2 * (size_t)cpu;
        struct prof_wake_cpu *bigger = prof_pages_alloc(size * sizeof *bigger);
        if (!bigger)
            return NULL;
        if (w->cpu)
            memcpy(bigger, w->cpu, w->max_cpus * sizeof *bigger);
        prof_pages_free(w->cpu, w->max_cpus * sizeof *w->cpu);
        w->cpu = bigger;
        w->max_cpus = size;
    }
    return &w->cpu[cpu];
}

void prof_wakes_drop(struct prof_wakes *w)
{
    prof_pages_free(w->thread, w->max_threads * sizeof *w->thread);
    prof_pages_free(w->cpu, w->max_cpus * sizeof *w->cpu);
    *w = (struct prof_wakes){.window = w->window};
}

/* ---- settling: a thread's sum is known, and shared out ----------------------------------------
 */

struct share {
    int64_t known_ns, weight_ns; /* of all waits that are to be settled */
};

static struct share add_up(const struct wait *waits, const struct prof_wake_thread *t)
{
    struct share s = {0};

    for (uint32_t i = t->waits; i; i = waits[i - 1].older) {
        s.known_ns += waits[i - 1].delay_ns;
        s.weight_ns += waits[i - 1].weight_ns;
    }
    return s;
}

/* a * part / whole, without overflow. */
static int64_t part_of(int64_t a, int64_t part, int64_t whole)
{
    return whole > 0 ? (int64_t)((double)a * (double)part / (double)whole) : 0;
}

static int64_t length_ns(const struct wait *w)
{
    return w->end_ns > w->begin_ns ? w->end_ns - w->begin_ns : 0;
}

/* Adds to a wait's delay, as far as the wait is that long. What was added. */
static int64_t give(struct wait *w, int64_t ns)
{
    int64_t room = length_ns(w) - w->delay_ns;

    ns = ns < room ? ns : room;
    w->delay_ns += ns > 0 ? ns : 0;
    return ns > 0 ? ns : 0;
}

/* By weight first, then wherever there is room. */
static void spread(struct wait *waits, const struct prof_wake_thread *t, int64_t rest_ns,
                   int64_t weight_ns)
{
    int64_t left_ns = rest_ns;

    for (uint32_t i = t->waits; i; i = waits[i - 1].older)
        left_ns -= give(&waits[i - 1], part_of(rest_ns, waits[i - 1].weight_ns, weight_ns));
    for (uint32_t i = t->waits; i && left_ns > 0; i = waits[i - 1].older)
        if (waits[i - 1].weight_ns)
            left_ns -= give(&waits[i - 1], left_ns);
    for (uint32_t i = t->waits; i && left_ns > 0; i = waits[i - 1].older)
        left_ns -= give(&waits[i - 1], left_ns);
}

/* sum_ns: what is left of the kernel's sum for the waits; < 0: it is not known. */
static void settle(struct wait *waits, struct prof_wake_thread *t, int64_t sum_ns)
{
    struct share s = add_up(waits, t);

    if (sum_ns >= s.known_ns)
        spread(waits, t, sum_ns - s.known_ns, s.weight_ns);
    else if (sum_ns >= 0)
        for (uint32_t i = t->waits; i; i = waits[i - 1].older)
            waits[i - 1].delay_ns = part_of(waits[i - 1].delay_ns, sum_ns, s.known_ns);
    t->sum_ns += add_up(waits, t).known_ns;
    t->waits = 0;
}

static void on_delay(struct prof_wakes *w, struct wait *waits, const struct prof_delay *d)
{
    struct prof_wake_thread *t = thread_of(w, d->tid);

    if (!t)
        return;
    if (t->has_base && !d->before) {
        int64_t left_ns = d->delay_ns - t->base_ns - t->sum_ns;
        settle(waits, t, left_ns > 0 ? left_ns : 0);
        return;
    }
    settle(waits, t, -1);
    t->has_base = true;
    t->base_ns = d->delay_ns;
    t->sum_ns = 0;
}

/* ---- records --------------------------------------------------------------------------------- */

static void on_known(struct prof_wakes *w, const struct prof_wakeup *k)
{
    struct prof_wake_thread *t = thread_of(w, k->tid);

    if (!t)
        return;
    t->hint_ns = k->time_ns;
    t->hint_waker = k->waker;
}

static int64_t weight_of(const struct prof_wake_cpu *c, int64_t now_ns)
{
    int64_t ran_ns = c->out_ns - c->in_ns;

    return now_ns - c->out_ns < HANDOVER_NS && ran_ns > WEIGHT_MIN_NS ? ran_ns : WEIGHT_MIN_NS;
}

static void end_wait(struct prof_wake_thread *t, const struct prof_wake_cpu *c,
                     const struct prof_switch *s, struct wait *wait)
{
    *wait = (struct wait){.begin_ns = t->since_ns, .end_ns = s->time_ns, .tid = t->tid};
    wait->older = t->waits;
    if (t->hint_ns > 0 && t->hint_ns >= t->since_ns - EARLY_NS && t->hint_ns <= s->time_ns) {
        int64_t woken_ns = t->hint_ns > t->since_ns ? t->hint_ns : t->since_ns;
        wait->delay_ns = s->time_ns - woken_ns;
        wait->waker = t->hint_waker;
    } else {
        wait->weight_ns = weight_of(c, s->time_ns);
    }
}

/* True: a wait has ended, and is in *wait. */
static bool on_switch(struct prof_wakes *w, const struct prof_wake_input *in,
                      const struct prof_switch *s, struct wait *wait)
{
    struct prof_wake_thread *t = thread_of(w, s->tid);
    struct prof_wake_cpu *c = cpu_of(w, s->cpu);
    bool ended = false;

    if (!t || !c)
        return false;
    if (!t->since_ns)
        t->since_ns = in->begin_ns;
    if (s->kind == PROF_SWITCH_IN) {
        ended = t->kind == PROF_SWITCH_OUT;
        if (ended)
            end_wait(t, c, s, wait);
        else if (t->kind == PROF_SWITCH_PREEMPTED)
            t->sum_ns += s->time_ns - t->since_ns;
        c->in_ns = s->time_ns;
    } else {
        c->out_ns = s->time_ns;
    }
    t->kind = s->kind;
    t->since_ns = s->time_ns;
    return ended;
}

/* ---- a part ---------------------------------------------------------------------------------- */

/* Until the switch: what comes before it in time. */
static void take_until(struct prof_wakes *w, const struct prof_wake_input *in, struct wait *waits,
                       size_t *known, size_t *delay, int64_t time_ns)
{
    while (*known < in->nknown && in->known[*known].time_ns <= time_ns)
        on_known(w, &in->known[(*known)++]);
    while (*delay < in->ndelays && in->delays[*delay].time_ns < time_ns)
        on_delay(w, waits, &in->delays[(*delay)++]);
}

static size_t find_waits(struct prof_wakes *w, const struct prof_wake_input *in, struct wait *waits)
{
    size_t n = 0, known = 0, delay = 0;

    for (size_t i = 0; i < in->nswitches; i++) {
        take_until(w, in, waits, &known, &delay, in->switches[i].time_ns);
        if (on_switch(w, in, &in->switches[i], &waits[n])) {
            n++; /* waits are numbered from 1 */
            thread_of(w, waits[n - 1].tid)->waits = (uint32_t)n;
        }
    }
    take_until(w, in, waits, &known, &delay, INT64_MAX);
    for (size_t i = 0; i < w->max_threads; i++)
        if (w->thread[i].waits)
            settle(waits, &w->thread[i], -1);
    return n;
}

static void sift_down(struct prof_wakeup *a, size_t n, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && a[child + 1].time_ns > a[child].time_ns)
            child++;
        if (a[i].time_ns >= a[child].time_ns)
            return;
        struct prof_wakeup t = a[i];
        a[i] = a[child];
        a[child] = t;
    }
}

/* Heap sort: libc's may call malloc. */
static void sort_wakes(struct prof_wakeup *a, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift_down(a, n, i);
    for (size_t last = n; last-- > 1;) {
        struct prof_wakeup t = a[0];
        a[0] = a[last];
        a[last] = t;
        sift_down(a, last, 0);
    }
}

ssize_t prof_wake_infer(struct prof_wakes *w, const struct prof_wake_input *in,
                        struct prof_wakeup *out)
{
    const size_t bytes = (in->nswitches + 1) * sizeof(struct wait);
    struct wait *waits = prof_pages_alloc(bytes);
    size_t n;

    if (!waits)
        return -ENOMEM;
    n = find_waits(w, in, waits);
    for (size_t i = 0; i < n; i++)
        out[i] = (struct prof_wakeup){
            .time_ns = waits[i].end_ns - waits[i].delay_ns,
            .tid = waits[i].tid,
            .waker = waits[i].waker,
        };
    sort_wakes(out, n);
    prof_pages_free(waits, bytes);
    return (ssize_t)n;
}
