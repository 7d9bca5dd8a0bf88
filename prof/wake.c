/* When in a wait its thread was woken: from then on it was able to run, and only had no CPU.
 *
 * The kernel's switch records do not say. What is known: who ended a wait in a hooked call, and
 * when he was about to (within microseconds of the wake); and the kernel's exact sum of the time
 * that the thread waited for a CPU, from time to time. Preemptions are taken off the sum, then the
 * waits whose end is known; what is left goes to the other waits, most of it to those after which
 * the thread took over a CPU right behind another of ours that had run for long. So the sums are
 * the kernel's, and only their distribution is inferred. The same for the time that it ran: the
 * kernel charges a thread from the decision to switch to it, no longer the one before it, and
 * writes their records 1 to 10 us later.
 *
 * Entered from trace.c and flight.c with a part of a recording. */
#include "prof/sched.h"

#include <errno.h>
#include <string.h>

enum {
    HANDOVER_NS = 30 * 1000,     /* at most so long is a CPU without a thread between two of ours */
    WEIGHT_MIN_NS = 2 * 1000,    /* waking takes that long on an idle CPU */
    EARLY_NS = 20 * 1000,        /* a waker may be about to before the other sleeps */
    LATE_NS = 50 * 1000,         /* so late is a record, as long as that is enough; */
    LATE_MAX_NS = 200 * 1000,    /* 60 us were seen beside another user of perf events */
    END_LATE_MAX_NS = 10 * 1000, /* more than this is time that the host took */
    THREADS_MIN = 256,
    CPUS_MIN = 64,
};

struct start { /* a thread begins to run after a wait, or after a preemption */
    struct prof_switch *in;
    struct prof_switch *out; /* when it had stopped; NULL: before this part, at out_ns */
    int64_t out_ns;
    struct prof_switch
        *before;          /* who left the CPU that it runs on now; NULL: nobody in this part */
    int64_t before_in_ns; /* when he had begun to run */
    int64_t woken_ns;     /* as the waker says; 0: unknown */
    int64_t weight_ns;    /* where it is unknown */
    int64_t delay_ns;     /* the result: able to run, without a CPU */
    int64_t late_ns;      /* the record was, and has been put right */
    int64_t end_late_ns;  /* the same of the run before */
    pid_t waker;
    bool preempted;
    uint32_t older; /* the same thread's, not settled yet; index + 1 */
};

struct prof_wake_thread {
    pid_t tid;                       /* 0: the place is free */
    bool has_base;                   /* the kernel's sums that the next two begin at are known */
    bool is_settled;                 /* once at least, since they are known */
    uint8_t kind;                    /* of the latest record */
    int64_t since_ns;                /* its time */
    struct prof_switch *latest;      /* NULL: it is of an earlier part */
    int64_t sums_ns;                 /* when the kernel's sums were read last */
    int64_t base_delay_ns, delay_ns; /* the second is what has been told since */
    int64_t base_cpu_ns, cpu_ns;
    int64_t cpu_since_ns; /* it runs, and what was before is in cpu_ns */
    int64_t hint_ns;      /* the latest known wake */
    pid_t hint_waker;
    uint32_t starts; /* the latest one that is not settled; index + 1 */
};

struct prof_wake_cpu {
    int64_t in_ns, out_ns;   /* the latest run of one of our threads */
    struct prof_switch *out; /* its end; NULL: in an earlier part */
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

/* One that has a record. The table stays where it is. NULL: there was no memory for it. */
static struct prof_wake_thread *known_thread(const struct prof_wakes *w, pid_t tid)
{
    struct prof_wake_thread *t = place_of(w->thread, w->max_threads, tid);

    return t->tid ? t : NULL;
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

/* ---- settling: a thread's sums are known, and shared out ---------------------------------------
 */

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* a * part / whole, without overflow. */
static int64_t part_of(int64_t a, int64_t part, int64_t whole)
{
    return whole > 0 ? (int64_t)((double)a * (double)part / (double)whole) : 0;
}

#define EACH_START(i, starts, t) (uint32_t i = (t)->starts; i; i = (starts)[i - 1].older)

static int64_t stopped_ns(const struct start *s)
{
    return s->out ? s->out->time_ns : s->out_ns;
}

/* Longer than this, a wait cannot have been spent able to run: nobody is woken before he sleeps. */
static int64_t longest_ns(const struct start *s)
{
    return s->in->time_ns - stopped_ns(s) - 1;
}

/* The run before it on that CPU gives way where its own thread's time has not been put right yet.
 */
static bool gives_way(const struct prof_wakes *w, const struct start *s)
{
    const struct prof_wake_thread *t = known_thread(w, s->before->tid);

    return t && t->sums_ns < s->before->time_ns;
}

/* How much earlier it may have begun: behind its wait, and behind the run before it on that CPU, or
 * behind that one's beginning. */
static int64_t room_before(const struct prof_wakes *w, const struct start *s, bool into_run_before)
{
    int64_t first_ns = stopped_ns(s) + 1, free_ns = first_ns, room_ns;

    if (s->before)
        free_ns = into_run_before && gives_way(w, s) ? s->before_in_ns + 1 : s->before->time_ns;
    if (free_ns > first_ns)
        first_ns = free_ns;
    room_ns =
        at_most(s->in->time_ns - first_ns, (into_run_before ? LATE_MAX_NS : LATE_NS) - s->late_ns);
    return room_ns > 0 ? room_ns : 0;
}

/* Who ran before it stopped no later than it began. */
static void move_end_of_run_before(struct prof_wakes *w, struct start *s)
{
    int64_t ns = s->before ? s->before->time_ns - s->in->time_ns : 0;
    struct prof_wake_thread *t = ns > 0 ? known_thread(w, s->before->tid) : NULL;

    if (ns <= 0)
        return;
    s->before->time_ns = s->in->time_ns;
    if (t)
        t->cpu_ns -= ns;
}

/* Moves each that has room back by ns. How many there are that have some left. */
static int64_t move_back(struct prof_wakes *w, struct start *starts, struct prof_wake_thread *t,
                         int64_t ns, bool into_run_before)
{
    int64_t n = 0;

    for
        EACH_START(i, starts, t)
        {
            struct start *s = &starts[i - 1];
            int64_t moved_ns = at_most(ns, room_before(w, s, into_run_before));
            s->in->time_ns -= moved_ns;
            s->late_ns += moved_ns;
            move_end_of_run_before(w, s);
            t->cpu_ns += moved_ns;
            n += room_before(w, s, into_run_before) > 0;
        }
    return n;
}

/* How much earlier the run before it may have ended. */
static int64_t room_of_end(const struct start *starts, const struct start *s)
{
    if (!s->out || !s->older)
        return 0;
    return at_most(s->out->time_ns - starts[s->older - 1].in->time_ns - 1,
                   END_LATE_MAX_NS - s->end_late_ns);
}

/* The same for the ends of its runs. */
static int64_t move_ends_back(struct start *starts, struct prof_wake_thread *t, int64_t ns)
{
    int64_t n = 0;

    for
        EACH_START(i, starts, t)
        {
            struct start *s = &starts[i - 1];
            int64_t moved_ns = at_most(ns, room_of_end(starts, s));
            if (moved_ns > 0) {
                s->out->time_ns -= moved_ns;
                s->end_late_ns += moved_ns;
                t->cpu_ns -= moved_ns;
            }
            n += room_of_end(starts, s) > 0;
        }
    return n;
}

enum { ROUNDS = 8 }; /* what one record has no room for is the others' */

/* The thread has used more time than its records say: each of them is late where it begins to run.
 */
static void put_beginnings_right(struct prof_wakes *w, struct start *starts,
                                 struct prof_wake_thread *t, int64_t true_ns)
{
    for (int into_run_before = 0; into_run_before < 2; into_run_before++) {
        int64_t n = move_back(w, starts, t, 0, into_run_before);
        for (int round = 0; round < ROUNDS && n > 0 && true_ns - t->cpu_ns >= n; round++)
            n = move_back(w, starts, t, (true_ns - t->cpu_ns) / n, into_run_before);
    }
}

/* It has used less: they are late where it ends. */
static void put_ends_right(struct start *starts, struct prof_wake_thread *t, int64_t true_ns)
{
    int64_t n = move_ends_back(starts, t, 0);

    for (int round = 0; round < ROUNDS && n > 0 && t->cpu_ns - true_ns >= n; round++)
        n = move_ends_back(starts, t, (t->cpu_ns - true_ns) / n);
}

static void put_right(struct prof_wakes *w, struct start *starts, struct prof_wake_thread *t,
                      int64_t cpu_ns)
{
    put_beginnings_right(w, starts, t, cpu_ns - t->base_cpu_ns);
    put_ends_right(starts, t, cpu_ns - t->base_cpu_ns);
}

struct share {
    int64_t known_ns, weight_ns; /* of all that are to be settled */
};

/* First what is known: preemptions, and waits whose end is. */
static struct share take_known(struct start *starts, const struct prof_wake_thread *t)
{
    struct share sum = {0};

    for
        EACH_START(i, starts, t)
        {
            struct start *s = &starts[i - 1];
            int64_t out_ns = stopped_ns(s);
            int64_t woken_ns = s->woken_ns > out_ns ? s->woken_ns : out_ns + 1;
            if (s->preempted)
                s->delay_ns = s->in->time_ns - out_ns;
            else if (s->woken_ns && s->in->time_ns > woken_ns)
                s->delay_ns = s->in->time_ns - woken_ns;
            sum.known_ns += s->delay_ns;
            sum.weight_ns += s->weight_ns;
        }
    return sum;
}

/* Adds to a wait, as far as there is room. What was added. */
static int64_t give(struct start *s, int64_t ns)
{
    ns = at_most(ns, longest_ns(s) - s->delay_ns);
    if (s->preempted || ns <= 0)
        return 0;
    s->delay_ns += ns;
    return ns;
}

/* What is left over: by weight first, then wherever there is room. */
static void spread(struct start *starts, const struct prof_wake_thread *t, int64_t rest_ns,
                   int64_t weight_ns)
{
    int64_t left_ns = rest_ns;

    for
        EACH_START(i, starts, t)
    left_ns -= give(&starts[i - 1], part_of(rest_ns, starts[i - 1].weight_ns, weight_ns));
    for
        EACH_START(i, starts, t)
    if (starts[i - 1].weight_ns)
        left_ns -= give(&starts[i - 1], left_ns);
    for
        EACH_START(i, starts, t)
    left_ns -= give(&starts[i - 1], left_ns);
}

/* The kernel knows of less: the wakers were about to, but not yet. */
static void shrink(struct start *starts, const struct prof_wake_thread *t, int64_t excess_ns)
{
    int64_t waits_ns = 0;

    for
        EACH_START(i, starts, t)
    waits_ns += starts[i - 1].preempted ? 0 : starts[i - 1].delay_ns;
    excess_ns = at_most(excess_ns, waits_ns);
    for
        EACH_START(i, starts, t)
    if (!starts[i - 1].preempted)
        starts[i - 1].delay_ns -= part_of(excess_ns, starts[i - 1].delay_ns, waits_ns);
}

/* delay_ns: what they have to add up to; < 0: unknown, and a guess must do. */
static void settle(struct start *starts, struct prof_wake_thread *t, int64_t delay_ns)
{
    struct share sum = take_known(starts, t);

    if (delay_ns < 0)
        for
            EACH_START(i, starts, t)
    give(&starts[i - 1], starts[i - 1].weight_ns);
    else if (delay_ns > sum.known_ns) spread(starts, t, delay_ns - sum.known_ns, sum.weight_ns);
    else shrink(starts, t, sum.known_ns - delay_ns);
    for
        EACH_START(i, starts, t)
    t->delay_ns += starts[i - 1].delay_ns;
    t->starts = 0;
}

static void count_run(struct prof_wake_thread *t, int64_t until_ns)
{
    if (t->kind != PROF_SWITCH_IN)
        return;
    if (until_ns > t->cpu_since_ns)
        t->cpu_ns += until_ns - t->cpu_since_ns;
    t->cpu_since_ns = until_ns;
}

/* What has been told so far is the kernel's sum. What the records had no room for, or too much of,
 * is not the next waits' business: it was before the recording, or the host had taken the CPU away.
 * But a thread that does not run may be queued, with a part of its delay in the sum already, as it
 * has been moved to another CPU. */
static void begin_anew(struct prof_wake_thread *t, const struct prof_delay *d)
{
    int64_t rest_ns = d->delay_ns - t->base_delay_ns - t->delay_ns;

    if (t->kind == PROF_SWITCH_IN || !t->is_settled || rest_ns < 0)
        rest_ns = 0;
    t->base_delay_ns = d->delay_ns - at_most(rest_ns, d->time_ns - t->since_ns);
    t->base_cpu_ns = d->cpu_ns;
    t->delay_ns = t->cpu_ns = 0;
    t->is_settled = t->has_base;
    t->has_base = true;
}

static void on_sums(struct prof_wakes *w, struct start *starts, const struct prof_delay *d)
{
    struct prof_wake_thread *t = thread_of(w, d->tid);
    int64_t left_ns;

    if (!t || d->time_ns <= t->sums_ns)
        return;
    t->sums_ns = d->time_ns;
    count_run(t, d->time_ns);
    t->has_base &= !d->before;
    if (t->has_base) {
        put_right(w, starts, t, d->cpu_ns);
        left_ns = d->delay_ns - t->base_delay_ns - t->delay_ns;
        settle(starts, t, left_ns > 0 ? left_ns : 0);
    } else {
        settle(starts, t, -1);
    }
    begin_anew(t, d);
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

static struct start begin_to_run(const struct prof_wake_thread *t, const struct prof_wake_cpu *c,
                                 struct prof_switch *in)
{
    struct start s = {.in = in,
                      .out = t->latest,
                      .out_ns = t->since_ns,
                      .before = c->out,
                      .before_in_ns = c->in_ns,
                      .older = t->starts};

    s.preempted = t->kind == PROF_SWITCH_PREEMPTED;
    if (s.preempted)
        return s;
    if (t->hint_ns > 0 && t->hint_ns >= t->since_ns - EARLY_NS && t->hint_ns <= in->time_ns) {
        s.woken_ns = t->hint_ns;
        s.waker = t->hint_waker;
    } else {
        s.weight_ns = weight_of(c, in->time_ns);
    }
    return s;
}

/* True: *start is filled. */
static bool on_switch(struct prof_wakes *w, int64_t begin_ns, struct prof_switch *s,
                      struct start *start)
{
    struct prof_wake_thread *t = thread_of(w, s->tid);
    struct prof_wake_cpu *c = cpu_of(w, s->cpu);
    bool begins = s->kind == PROF_SWITCH_IN;

    if (!t || !c)
        return false;
    if (!t->since_ns)
        t->since_ns = begin_ns;
    if (begins && t->kind == PROF_SWITCH_IN)
        begins = false; /* records are missing in between */
    else if (begins)
        *start = begin_to_run(t, c, s);
    count_run(t, s->time_ns);
    if (s->kind == PROF_SWITCH_IN) {
        c->in_ns = t->cpu_since_ns = s->time_ns;
    } else {
        c->out_ns = s->time_ns;
        c->out = s;
    }
    t->latest = s;
    t->kind = s->kind;
    t->since_ns = s->time_ns;
    return begins;
}

/* ---- a part ---------------------------------------------------------------------------------- */

struct cursor {
    size_t known, delay;
};

/* What comes before the switch in time. */
static void take_until(struct prof_wakes *w, const struct prof_wake_input *in, struct start *starts,
                       struct cursor *at, int64_t time_ns)
{
    while (at->known < in->nknown && in->known[at->known].time_ns <= time_ns)
        on_known(w, &in->known[at->known++]);
    while (at->delay < in->ndelays && in->delays[at->delay].time_ns < time_ns)
        on_sums(w, starts, &in->delays[at->delay++]);
}

/* The records of the part before are no longer there. */
static void forget_records(struct prof_wakes *w)
{
    for (size_t i = 0; i < w->max_threads; i++)
        w->thread[i].latest = NULL;
    for (size_t i = 0; i < w->max_cpus; i++)
        w->cpu[i].out = NULL;
}

static size_t find_starts(struct prof_wakes *w, const struct prof_wake_input *in,
                          struct start *starts)
{
    struct cursor at = {0};
    size_t n = 0;
    /* The kernel's records begin a little before the part that they are in. */
    int64_t begin_ns = in->nswitches ? at_most(in->begin_ns, in->switches[0].time_ns) : 0;

    forget_records(w);
    for (size_t i = 0; i < in->nswitches; i++) {
        take_until(w, in, starts, &at, in->switches[i].time_ns);
        if (on_switch(w, begin_ns, &in->switches[i], &starts[n])) {
            n++; /* they are numbered from 1 */
            thread_of(w, in->switches[i].tid)->starts = (uint32_t)n;
        }
    }
    take_until(w, in, starts, &at, INT64_MAX);
    for (size_t i = 0; i < w->max_threads; i++)
        if (w->thread[i].starts)
            settle(starts, &w->thread[i], -1);
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
    const size_t bytes = (in->nswitches + 1) * sizeof(struct start);
    struct start *starts = prof_pages_alloc(bytes);
    size_t n, wakes = 0;

    if (!starts)
        return -ENOMEM;
    n = find_starts(w, in, starts);
    for (size_t i = 0; i < n; i++)
        if (!starts[i].preempted)
            out[wakes++] = (struct prof_wakeup){
                .time_ns = starts[i].in->time_ns - starts[i].delay_ns,
                .tid = starts[i].in->tid,
                .waker = starts[i].waker,
            };
    sort_wakes(out, wakes);
    prof_pages_free(starts, bytes);
    return (ssize_t)wakes;
}
