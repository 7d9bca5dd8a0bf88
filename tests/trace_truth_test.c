/* Whether the time of each thread is told truly: running, able to run, waiting. Threads with a
 * known schedule (they sleep, hold a lock, wait for it, signal one another, spin on more threads
 * than there are CPUs) are recorded, and their states added up from the switch records and the
 * inferred wakes. The truth is the kernel's of the same run: each thread's CPU clock, its
 * run_delay, its counts of switches. So a loaded machine makes other numbers, on both sides. */
#include "prof/sched.h"
#include "tests/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SWITCHES = 1 << 19, MAX_DELAYS = 1 << 16, MAX_THREADS = 64 };
enum { RUNNING, RUNNABLE, BLOCKED, STATES };
static const char *const state_names[STATES] = {"running", "runnable", "blocked"};

static struct prof_switch switches[MAX_SWITCHES];
static struct prof_delay delays[MAX_DELAYS];
static struct prof_wakeup wakes[MAX_SWITCHES];
static size_t nswitches, ndelays, nwakes;

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

static struct kernel ask_once(int tasks)
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
    int tasks = prof_tasks_open();
    struct kernel before, k = ask_once(tasks);
    do {
        before = k;
        k = ask_once(tasks);
    } while (k.preemptions != before.preemptions || k.waits != before.waits);
    close(tasks);
    return before;
}

/* Time that a CPU spent for somebody else while a thread had it: the host took it away, or an
 * interrupt. The thread's CPU clock leaves it out, the switch records do not know it. */
static int64_t stolen_ns(void)
{
    long long v[8] = {0};
    FILE *f = fopen("/proc/stat", "r");
    assert_non_null(f);
    int n = fscanf(f, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &v[0], &v[1], &v[2], &v[3],
                   &v[4], &v[5], &v[6], &v[7]);
    fclose(f);
    assert_int_equal(n, 8);
    return (v[5] + v[6] + v[7]) * (1000000000 / sysconf(_SC_CLK_TCK));
}

/* ---- the threads ------------------------------------------------------------------------------
 */

struct worker {
    const char *name;
    void (*work)(struct worker *w);
    pthread_t thread;
    pid_t tid;
    struct kernel begin, end;
};

static pthread_barrier_t start_line;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static int turn;

static void rest_us(long us)
{
    struct timespec t = {.tv_nsec = us * 1000};
    nanosleep(&t, NULL);
}

static void sleeps(struct worker *w)
{
    (void)w;
    for (int i = 0; i < 150; i++) {
        rest_us(2000);
        burn(0.0002);
    }
}

static void spins(struct worker *w)
{
    (void)w;
    burn(0.25);
}

static void holds(struct worker *w)
{
    (void)w;
    for (int i = 0; i < 40; i++) {
        pthread_mutex_lock(&lock);
        burn(0.001);
        rest_us(2000);
        pthread_mutex_unlock(&lock);
        burn(0.0005);
    }
}

static void take_turns(int me)
{
    for (int i = 0; i < 400; i++) {
        pthread_mutex_lock(&turn_lock);
        while (turn != me)
            pthread_cond_wait(&turn_changed, &turn_lock);
        turn = !me;
        pthread_cond_signal(&turn_changed);
        pthread_mutex_unlock(&turn_lock);
        burn(0.00005);
    }
}

static void plays_first(struct worker *w)
{
    (void)w;
    take_turns(0);
}

static void plays_second(struct worker *w)
{
    (void)w;
    take_turns(1);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    w->tid = prof_gettid();
    pthread_barrier_wait(&start_line);
    prof_sched_note_self(); /* as a long wait does: what was before it belongs to nobody here */
    w->begin = ask_kernel();
    w->work(w);
    w->end = ask_kernel();
    return NULL;
}

/* ---- the recording ----------------------------------------------------------------------------
 */

static struct prof_wakes wakes_state;
static size_t told_switches, told_delays; /* so many have been in a part */
static int64_t part_begin_ns;

static void read_records(void)
{
    struct prof_sched_batch b = {
        .switches = switches + nswitches,
        .max_switches = MAX_SWITCHES - nswitches,
        .delays = delays + ndelays,
        .max_delays = MAX_DELAYS - ndelays,
    };
    assert_true(prof_sched_read(&b));
    nswitches += b.nswitches;
    ndelays += b.ndelays;
}

/* As the recorder does it, part by part. */
static void end_part(void)
{
    struct prof_wake_input in = {
        .switches = switches + told_switches,
        .nswitches = nswitches - told_switches,
        .delays = delays + told_delays,
        .ndelays = ndelays - told_delays,
        .begin_ns = part_begin_ns,
    };
    ssize_t n = prof_wake_infer(&wakes_state, &in, wakes + nwakes);
    assert_true(n >= 0);
    nwakes += (size_t)n;
    told_switches = nswitches;
    told_delays = ndelays;
    part_begin_ns = prof_now_ns();
}

static atomic_bool all_done;

static void *read_on(void *arg)
{
    for (int i = 1; !atomic_load(&all_done); i++) {
        rest_us(20000);
        read_records();
        if (i % 50 == 0) /* about a second */
            end_part();
    }
    return arg;
}

static void begin_or_skip(void)
{
    int err = prof_sched_start();
    nswitches = ndelays = nwakes = told_switches = told_delays = 0;
    prof_wakes_drop(&wakes_state);
    part_begin_ns = prof_now_ns();
    if (err) {
        print_message("%s\n", prof_sched_missing());
        skip();
    }
}

/* The threads wait at the start line when the recording begins: half of them before, half after. */
static int64_t record(struct worker *w, size_t n)
{
    pthread_t reader;
    int64_t stolen;
    turn = 0;
    pthread_barrier_init(&start_line, NULL, (unsigned)n);
    for (size_t i = 0; i < n / 2; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, run, &w[i]), 0);
    begin_or_skip();
    stolen = stolen_ns();
    atomic_store(&all_done, false);
    assert_int_equal(pthread_create(&reader, NULL, read_on, NULL), 0);
    for (size_t i = n / 2; i < n; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, run, &w[i]), 0);
    for (size_t i = 0; i < n; i++)
        pthread_join(w[i].thread, NULL);
    stolen = stolen_ns() - stolen;
    atomic_store(&all_done, true);
    pthread_join(reader, NULL);
    read_records();
    end_part();
    prof_sched_stop();
    pthread_barrier_destroy(&start_line);
    assert_int_equal(prof_sched_lost(), 0);
    return stolen;
}

/* ---- states -----------------------------------------------------------------------------------
 */

struct told {
    int64_t ns[STATES];
    long waits, preemptions;
};

static void add_time(struct told *t, const struct worker *w, int state, int64_t from, int64_t to)
{
    int64_t ns = min(to, w->end.time_ns) - max(from, w->begin.time_ns);
    t->ns[state] += ns > 0 ? ns : 0;
}

/* A wake may lie in an earlier part than the wait's end that it was inferred from, so only those of
 * one thread are in order. */
static const struct prof_wakeup *next_wake(const struct worker *w, size_t i)
{
    while (i < nwakes && wakes[i].tid != w->tid)
        i++;
    return i < nwakes ? &wakes[i] : NULL;
}

/* From the thread's records and wakes. */
static struct told add_up(const struct worker *w)
{
    struct told t = {0};
    int state = BLOCKED;
    int64_t since = 0;
    size_t wake = 0;
    const struct prof_wakeup *k;
    for (size_t i = 0; i < nswitches; i++) {
        const struct prof_switch *s = &switches[i];
        if (s->tid != w->tid)
            continue;
        while ((k = next_wake(w, wake)) && k->time_ns <= s->time_ns) {
            wake = (size_t)(k - wakes) + 1;
            if (state != BLOCKED || k->time_ns < since)
                continue;
            add_time(&t, w, BLOCKED, since, k->time_ns);
            state = RUNNABLE;
            since = k->time_ns;
        }
        add_time(&t, w, state, since, s->time_ns);
        state = s->kind == PROF_SWITCH_IN    ? RUNNING
                : s->kind == PROF_SWITCH_OUT ? BLOCKED
                                             : RUNNABLE;
        since = s->time_ns;
        if (since >= w->begin.time_ns && since <= w->end.time_ns) {
            t.waits += s->kind == PROF_SWITCH_OUT;
            t.preemptions += s->kind == PROF_SWITCH_PREEMPTED;
        }
    }
    add_time(&t, w, state, since, w->end.time_ns);
    return t;
}

/* 3 % or 1 ms, and what the machine took away. */
static bool near(int64_t told_ns, int64_t truth_ns, int64_t slack_ns)
{
    int64_t off = llabs(told_ns - truth_ns), allowed = max(truth_ns / 100 * 3, 1000000);
    return off <= allowed + slack_ns;
}

static void check_worker(const struct worker *w, int64_t stolen)
{
    struct told t = add_up(w);
    int64_t all = w->end.time_ns - w->begin.time_ns, truth[STATES];
    truth[RUNNING] = w->end.cpu_ns - w->begin.cpu_ns;
    truth[RUNNABLE] = w->end.delay_ns - w->begin.delay_ns;
    truth[BLOCKED] = all - truth[RUNNING] - truth[RUNNABLE];
    for (int i = 0; i < STATES; i++) {
        print_message("# %-14s %-9s %9.3f ms, kernel %9.3f ms\n", w->name, state_names[i],
                      (double)t.ns[i] / 1e6, (double)truth[i] / 1e6);
        if (!near(t.ns[i], truth[i], stolen))
            fail_msg("%s: %s %.3f ms, expected %.3f ms as the kernel says (stolen: %.0f ms)",
                     w->name, state_names[i], (double)t.ns[i] / 1e6, (double)truth[i] / 1e6,
                     (double)stolen / 1e6);
    }
    long waits = w->end.waits - w->begin.waits;
    long preemptions = w->end.preemptions - w->begin.preemptions;
    if (labs(t.waits - waits) > max(2, waits / 100) ||
        labs(t.preemptions - preemptions) > max(2, preemptions / 100))
        fail_msg("%s: %ld waits and %ld preemptions, expected %ld and %ld as the kernel says",
                 w->name, t.waits, t.preemptions, waits, preemptions);
}

static void check(struct worker *w, size_t n)
{
    int64_t stolen = record(w, n);
    for (size_t i = 0; i < n; i++)
        check_worker(&w[i], stolen);
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
