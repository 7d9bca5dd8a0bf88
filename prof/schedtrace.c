/* PROF_SCHEDTRACE=1000: a line on standard error every 1000 ms that says what the process' threads
 * did, as Go's GODEBUG=schedtrace.
 *
 *   SCHED 2001ms: threads=9 running=1.87 runnable=0.53 blocked=6.60 mutex=3 sleep=1 switches=812
 *
 * running, runnable and blocked are how many threads were in that state on average since the line
 * before, from the kernel's sums; mutex, cond and so on how many wait in such a hooked call at this
 * moment. A thread of libprof's of its own does it, at about 3 us for each thread and line. */
#include "prof/sched.h"
#include "prof/thread.h"
#include "prof/trace_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LINE_BYTES = 512, NS_PER_MS = 1000 * 1000 };

static const char *const wait_names[] = {
    [PROF_WAIT_MUTEX] = "mutex",   [PROF_WAIT_RWLOCK] = "rwlock",   [PROF_WAIT_COND] = "cond",
    [PROF_WAIT_SEMAPHORE] = "sem", [PROF_WAIT_BARRIER] = "barrier", [PROF_WAIT_JOIN] = "join",
    [PROF_WAIT_SLEEP] = "sleep",   [PROF_WAIT_POLL] = "poll",       [PROF_WAIT_SIGNAL] = "signal",
    [PROF_WAIT_IPC] = "ipc",
};
enum { WAITS = sizeof wait_names / sizeof wait_names[0] };

struct sums { /* of the living threads, by their ids */
    struct prof_delay *thread;
    size_t n, capacity;
};

static struct {
    int64_t period_ns, begin_ns;
    int tasks;
    struct sums now, before;
    int64_t now_ns, before_ns;
    long switches;
} state;

/* ---- the kernel's sums ----------------------------------------------------------------------- */

static bool grow(struct sums *s)
{
    size_t capacity = s->capacity ? 2 * s->capacity : 256;
    struct prof_delay *bigger = prof_pages_alloc(capacity * sizeof *bigger);

    if (!bigger)
        return false;
    if (s->thread)
        memcpy(bigger, s->thread, s->n * sizeof *bigger);
    prof_pages_free(s->thread, s->capacity * sizeof *s->thread);
    s->thread = bigger;
    s->capacity = capacity;
    return true;
}

static void add_thread(pid_t tid, void *arg)
{
    struct sums *s = arg;

    if (s->n == s->capacity && !grow(s))
        return;
    s->n += prof_delay_read(state.tasks, tid, &s->thread[s->n]);
}

/* /proc lists threads in the order of their ids, but for ids that have wrapped around. */
static const struct prof_delay *find(const struct sums *s, pid_t tid, size_t *hint)
{
    for (size_t i = 0; i < s->n; i++, ++*hint) {
        const struct prof_delay *d = &s->thread[*hint % s->n];
        if (d->tid == tid)
            return d;
    }
    return NULL;
}

struct times {
    int64_t running_ns, runnable_ns;
};

static struct times times_since_before(void)
{
    static const struct prof_delay nothing;
    struct times t = {0};
    size_t hint = 0;

    for (size_t i = 0; i < state.now.n; i++) {
        const struct prof_delay *now = &state.now.thread[i];
        const struct prof_delay *was = find(&state.before, now->tid, &hint);
        was = was && was->cpu_ns <= now->cpu_ns ? was : &nothing; /* else its id was another's */
        t.running_ns += now->cpu_ns - was->cpu_ns;
        t.runnable_ns += now->delay_ns - was->delay_ns;
    }
    return t;
}

static void read_sums(void)
{
    struct sums s = state.before;

    state.before = state.now;
    state.before_ns = state.now_ns;
    state.now = s;
    state.now.n = 0;
    lseek(state.tasks, 0, SEEK_SET);
    prof_tasks_each(state.tasks, add_thread, &state.now);
    state.now_ns = prof_now_ns();
}

/* ---- the line -------------------------------------------------------------------------------- */

/* " NAME=1.87", in integers: a host with a language set has a comma in its decimals. */
static size_t put_mean(char *line, size_t n, const char *name, double value)
{
    long long hundredths = value > 0 ? (long long)(value * 100 + 0.5) : 0;

    return n + (size_t)snprintf(line + n, LINE_BYTES - n, " %s=%lld.%02lld", name, hundredths / 100,
                                hundredths % 100);
}

static size_t put_waits(char *line, size_t n)
{
    int waits[WAITS] = {0};

    for (struct prof_thread *t = prof_threads_first(); t; t = t->next) {
        int kind = atomic_load_explicit(&t->wait_kind, memory_order_relaxed);
        if (atomic_load_explicit(&t->tid, memory_order_relaxed) && kind > 0 && kind < WAITS)
            waits[kind]++;
    }
    for (int i = 0; i < WAITS; i++)
        if (waits[i])
            n += (size_t)snprintf(line + n, LINE_BYTES - n, " %s=%d", wait_names[i], waits[i]);
    return n;
}

static long count_switches(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_nvcsw + u.ru_nivcsw;
}

static void print_line(void)
{
    char line[LINE_BYTES];
    struct times t = times_since_before();
    double passed_ns = (double)(state.now_ns - state.before_ns);
    double running = (double)t.running_ns / passed_ns, runnable = (double)t.runnable_ns / passed_ns;
    long switches = count_switches();

    size_t n =
        (size_t)snprintf(line, sizeof line, "SCHED %lldms: threads=%zu",
                         (long long)((state.now_ns - state.begin_ns) / NS_PER_MS), state.now.n);
    n = put_mean(line, n, "running", running);
    n = put_mean(line, n, "runnable", runnable);
    n = put_mean(line, n, "blocked", (double)state.now.n - running - runnable);
    n = put_waits(line, n);
    n += (size_t)snprintf(line + n, sizeof line - n, " switches=%ld\n", switches - state.switches);
    state.switches = switches;
    prof_write_all(STDERR_FILENO, line, n);
}

static void *print_lines(void *arg)
{
    static _Atomic uint32_t never;
    int64_t due_ns = state.begin_ns;

    prof_enter();
    for (;;) {
        due_ns += state.period_ns;
        for (int64_t left_ns; (left_ns = due_ns - prof_now_ns()) > 0;)
            prof_futex_wait(&never, 0, left_ns);
        read_sums();
        print_line();
    }
    return arg;
}

/* ---- start ----------------------------------------------------------------------------------- */

void prof_schedtrace_start(int64_t period_ms)
{
    unsigned long thread;

    prof_enter();
    state.period_ns = period_ms * NS_PER_MS;
    state.tasks = prof_tasks_open();
    if (state.tasks >= 0) {
        read_sums();
        state.begin_ns = state.now_ns;
        state.switches = count_switches();
        if (prof_own_thread(&thread, "prof schedtrace", print_lines, NULL) != 0)
            close(state.tasks);
    }
    prof_leave();
}
