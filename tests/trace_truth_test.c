/* Whether a trace tells the truth about time: running, able to run, waiting. Threads with a known
 * schedule (they sleep, hold a lock, wait for it, signal one another, spin on more threads than
 * there are CPUs) are recorded, the file is read again as bin/trace reads it, and each thread's
 * states are added up. The truth is the kernel's of the same run: each thread's CPU clock, its
 * run_delay, its counts of switches. So a loaded machine makes other numbers, on both sides. */
#include "cmd/trace/model.h"
#include "prof/sched.h"
#include "prof/thread.h"
#include "prof/trace.h"
#include "tests/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_THREADS = 64, STATES = TRACE_BLOCKED + 1 };
static const char *const state_names[STATES] = {"running", "runnable", "blocked"};

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- what the kernel says -------------------------------------------------------------------- */

struct kernel { /* of the calling thread, at one moment */
    int64_t time_ns, cpu_ns, delay_ns;
    long waits, preemptions;
};

static int tasks; /* of prof_tasks_open */

static struct kernel ask_once(void)
{
    struct kernel k = {0};
    struct prof_delay d = {0};
    struct rusage u;
    prof_delay_read(tasks, prof_gettid(), &d);
    getrusage(RUSAGE_THREAD, &u);
    k.time_ns = d.time_ns;
    k.cpu_ns = d.cpu_ns;
    k.delay_ns = d.delay_ns;
    k.waits = u.ru_nvcsw;
    k.preemptions = u.ru_nivcsw;
    return k;
}

/* One moment: nothing has stopped the thread while it asked. */
static struct kernel ask_kernel(void)
{
    struct kernel before, k = ask_once();
    do {
        before = k;
        k = ask_once();
    } while (k.preemptions != before.preemptions || k.waits != before.waits);
    return before;
}

/* ---- the threads ------------------------------------------------------------------------------
 */

struct worker {
    const char *name;
    void (*work)(struct worker *w);
    pthread_t thread;
    pid_t tid;
    struct kernel begin, end;
    int64_t taken_ns; /* see work_for */
};

static pthread_barrier_t start_line;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static int turn;

/* The host may take a CPU away, and so does an interrupt: the thread keeps it, and its CPU clock
 * stands still. The switch records know nothing of that. While a thread does not wait, it is what
 * neither clock nor delay accounts for. */
static void work_for(struct worker *w, double seconds)
{
    struct kernel begin = ask_once(), end;
    burn(seconds);
    end = ask_once();
    w->taken_ns +=
        end.time_ns - begin.time_ns - (end.cpu_ns - begin.cpu_ns) - (end.delay_ns - begin.delay_ns);
}

static void rest_us(long us)
{
    struct timespec t = {.tv_nsec = us * 1000};
    nanosleep(&t, NULL);
}

static void sleeps(struct worker *w)
{
    for (int i = 0; i < 150; i++) {
        rest_us(2000);
        work_for(w, 0.0002);
    }
}

static void spins(struct worker *w)
{
    work_for(w, 0.25);
}

static void holds(struct worker *w)
{
    for (int i = 0; i < 40; i++) {
        pthread_mutex_lock(&lock);
        work_for(w, 0.001);
        rest_us(2000);
        pthread_mutex_unlock(&lock);
        work_for(w, 0.0005);
    }
}

static void take_turns(struct worker *w, int me)
{
    for (int i = 0; i < 400; i++) {
        pthread_mutex_lock(&turn_lock);
        while (turn != me)
            pthread_cond_wait(&turn_changed, &turn_lock);
        turn = !me;
        pthread_cond_signal(&turn_changed);
        pthread_mutex_unlock(&turn_lock);
        work_for(w, 0.00005);
    }
}

static void plays_first(struct worker *w)
{
    take_turns(w, 0);
}

static void plays_second(struct worker *w)
{
    take_turns(w, 1);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    w->tid = prof_gettid();
    pthread_barrier_wait(&start_line);
    prof_sched_note_wait(); /* as a long wait does, so that it is told apart from what follows */
    w->begin = ask_kernel();
    w->work(w);
    w->end = ask_kernel();
    prof_sched_note_end();
    return NULL;
}

/* ---- the recording ----------------------------------------------------------------------------
 */

static char path[] = "/tmp/trace_truth.XXXXXX";

/* The threads wait at the start line when the recording begins: half of them before, half after. */
static struct trace *record(struct worker *w, size_t n)
{
    char error[TRACE_ERROR_BYTES];
    strcpy(path + sizeof path - 7, "XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    turn = 0;
    tasks = prof_tasks_open();
    pthread_barrier_init(&start_line, NULL, (unsigned)n);
    for (size_t i = 0; i < n / 2; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, run, &w[i]), 0);
    assert_int_equal(prof_trace_start(fd, NULL), 0);
    for (size_t i = n / 2; i < n; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, run, &w[i]), 0);
    for (size_t i = 0; i < n; i++)
        pthread_join(w[i].thread, NULL);
    assert_int_equal(prof_trace_stop(), 0);
    pthread_barrier_destroy(&start_line);
    close(tasks);
    close(fd);
    struct trace *t = trace_open(path, false, error);
    unlink(path);
    if (!t)
        fail_msg("%s", error);
    if (!t->has_sched) {
        print_message("%s\n", prof_sched_missing());
        skip();
    }
    assert_int_equal(t->dropped, 0);
    return t;
}

/* ---- states -----------------------------------------------------------------------------------
 */

struct told {
    int64_t ns[TRACE_STATES];
    long waits, preemptions;
};

static uint32_t thread_of(const struct trace *t, const struct worker *w)
{
    for (uint32_t i = 0; i < t->nthreads; i++)
        if (t->threads[i].tid == w->tid)
            return i;
    fail_msg("thread %d is not in the trace", (int)w->tid);
    return 0;
}

static struct told add_up(const struct trace *t, const struct worker *w)
{
    struct told told = {0};
    uint32_t thread = thread_of(t, w);
    struct trace_range states = t->threads[thread].states;
    for (uint32_t i = states.first; i < states.first + states.n; i++) {
        const struct trace_state *s = &t->states[i];
        int64_t ns = min(s->end_ns, w->end.time_ns) - max(s->start_ns, w->begin.time_ns);
        told.ns[s->kind] += ns > 0 ? ns : 0;
    }
    for (uint32_t i = 0; i < t->nruns; i++) {
        const struct trace_run *r = &t->runs[i];
        if (r->thread != thread || r->end_ns < w->begin.time_ns || r->end_ns > w->end.time_ns)
            continue;
        told.waits += r->end == TRACE_RUN_BLOCKED;
        told.preemptions += r->end == TRACE_RUN_PREEMPTED;
    }
    return told;
}

/* 3 % or 1 ms. What was taken from a thread may be told as running or not: the records and the
 * thread's CPU clock differ in that. */
static bool near(int64_t told_ns, int64_t truth_ns, int64_t taken_ns)
{
    int64_t off_ns = told_ns - truth_ns, allowed_ns = max(truth_ns / 100 * 3, 1000000);
    return off_ns >= -allowed_ns - max(-taken_ns, 0) && off_ns <= allowed_ns + max(taken_ns, 0);
}

static bool times_are_true(const struct trace *trace, const struct worker *w)
{
    struct told t = add_up(trace, w);
    int64_t all = w->end.time_ns - w->begin.time_ns, truth[STATES], taken = max(w->taken_ns, 0);
    truth[TRACE_RUNNING] = w->end.cpu_ns - w->begin.cpu_ns;
    truth[TRACE_RUNNABLE] = w->end.delay_ns - w->begin.delay_ns;
    truth[TRACE_BLOCKED] = all - truth[TRACE_RUNNING] - truth[TRACE_RUNNABLE];
    const int64_t slack[STATES] = {[TRACE_RUNNING] = taken, [TRACE_BLOCKED] = -taken};
    bool good = true;
    for (int i = 0; i < STATES; i++) {
        print_message("# %-14s %-9s %9.3f ms, kernel %9.3f ms\n", w->name, state_names[i],
                      (double)t.ns[i] / 1e6, (double)truth[i] / 1e6);
        good &= near(t.ns[i], truth[i], slack[i]);
    }
    if (!good)
        print_message("# %s: the times above are not the kernel's (%.3f ms were taken from it)\n",
                      w->name, (double)w->taken_ns / 1e6);
    return good;
}

static void check_switches(const struct trace *trace, const struct worker *w)
{
    struct told t = add_up(trace, w);
    long waits = w->end.waits - w->begin.waits;
    long preemptions = w->end.preemptions - w->begin.preemptions;
    if (labs(t.waits - waits) > max(2, waits / 100) ||
        labs(t.preemptions - preemptions) > max(2, preemptions / 100))
        fail_msg("%s: %ld waits and %ld preemptions, expected %ld and %ld as the kernel says",
                 w->name, t.waits, t.preemptions, waits, preemptions);
}

/* Each wait for a lock says who held it when it began. */
static void check_holders(const struct trace *t)
{
    uint32_t waits = 0, known = 0;
    for (uint32_t i = 0; i < t->nslices; i++) {
        const struct trace_slice *s = &t->slices[i];
        if (s->kind != TRACE_SLICE_BLOCK || strcmp(trace_text(t, s->name), "mutex lock") != 0)
            continue;
        waits++;
        known += s->holder != TRACE_NONE;
    }
    print_message("# %u waits for mutexes, %u with their holder\n", waits, known);
    assert_true(waits > 0);
    assert_int_equal(known, waits);
}

static bool recorded_well(struct worker *w, size_t n)
{
    struct trace *t = record(w, n);
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        good &= times_are_true(t, &w[i]);
        check_switches(t, &w[i]);
        w[i].taken_ns = 0;
    }
    check_holders(t);
    trace_close(t);
    return good;
}

/* Everything is checked each time, but for the times, which have to be true in one recording of
 * three: where the host takes a CPU away for 20 ms between a thread's last instruction and the
 * kernel's record of its stop, the kernel's own sums do not know of it. */
static void check(struct worker *w, size_t n)
{
    enum { RECORDINGS = 3 };
    for (int i = 0; i < RECORDINGS; i++)
        if (recorded_well(w, n))
            return;
    fail_msg("%d recordings, and in none do all threads' times add up", RECORDINGS);
}

#define WORKER(n, f)                                                                               \
    {                                                                                              \
        .name = (n), .work = (f)                                                                   \
    }

/* ---- schedules ---------------------------------------------------------------------------------
 */

static void sleeping_and_holding(void **state)
{
    (void)state;
    struct worker w[] = {WORKER("sleeps", sleeps),     WORKER("holds 1", holds),
                         WORKER("holds 2", holds),     WORKER("holds 3", holds),
                         WORKER("first", plays_first), WORKER("second", plays_second)};
    check(w, sizeof w / sizeof w[0]);
}

/* All of it, with twice as many spinning threads as there are CPUs: most time is spent runnable. */
static void more_threads_than_cpus(void **state)
{
    (void)state;
    struct worker w[MAX_THREADS] = {WORKER("sleeps", sleeps), WORKER("holds 1", holds),
                                    WORKER("first", plays_first), WORKER("holds 2", holds),
                                    WORKER("second", plays_second)};
    long spinners = 2 * sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = 5;
    for (; spinners-- > 0 && n < MAX_THREADS; n++)
        w[n] = (struct worker)WORKER("spins", spins);
    check(w, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeping_and_holding),
        cmocka_unit_test(more_threads_than_cpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
