/* The CPU profile: one timer per thread on that thread's own CPU clock, each expiry a SIGPROF to
 * that thread.
 *
 * The kernel merges expiries that it could not deliver in time and says how many (si_overrun), so a
 * sample weighs 1 + overrun and the sum is right even above the kernel's tick rate. The first
 * expiry comes at a random point of the first period, so that threads shorter than a period are
 * counted fairly, too. What a thread still owes when it ends is cpu_owed.c's business. Where the
 * kernel refuses a timer (its pending-signal limit), the process-wide ITIMER_PROF serves. */
#include "prof/cpu.h"
#include "prof/thread.h"
#include "prof/trace_internal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static const struct prof_description cpu_description = {
    .name = "profile",
    .nvalues = 2,
    .values = {{"samples", "count"}, {"cpu", "nanoseconds"}},
    .period_type = {"cpu", "nanoseconds"},
    .text = PROF_TEXT_COUNT,
};

/* Two, so that one can be filled while the other is written. */
static struct prof_bucket_table tables[2];
static atomic_int current;  /* the one that is filled */
static atomic_bool running; /* read by handlers */
static atomic_int handlers; /* handlers that may be using the buckets */

atomic_bool prof_cpu_process_wide; /* ITIMER_PROF runs; written under prof_threads_lock */

/* guarded by prof_threads_lock */
static int period_ns;
static bool armed; /* threads that start get a timer */
static bool taken; /* by a profile that somebody asked for, from its start until it is written */
static int64_t started_ns;
static pid_t armed_by; /* the process that the process-wide timer belongs to */

/* The profile of the whole run, which goes on under the others: their samples are its samples, too.
 * Guarded by prof_threads_lock. */
static struct {
    int hz; /* 0: there is none */
    int64_t started_ns;
    struct prof_bucket_table buckets; /* what the tables held before, in nanoseconds */
} whole;

/* ---- a tick ---------------------------------------------------------------------------------- */

struct prof_bucket *prof_cpu_record(const uintptr_t *pcs, int n, struct prof_thread *t, int value,
                                    int64_t ticks)
{
    const struct prof_labels *labels =
        t ? atomic_load_explicit(&t->labels, memory_order_acquire) : NULL;
    int64_t start = t ? (int64_t)(intptr_t)atomic_load(&t->start_routine) : 0;
    struct prof_bucket_table *table = &tables[atomic_load_explicit(&current, memory_order_relaxed)];
    struct prof_bucket *b = prof_bucket_get(table, pcs, n, labels, start);
    if (b)
        atomic_fetch_add_explicit(&b->values[value], ticks, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&prof_dropped.cpu_samples, (uint64_t)ticks, memory_order_relaxed);
    return b;
}

static __attribute__((noinline)) void record_interrupted(const void *ucontext, int64_t ticks)
{
    uintptr_t pcs[PROF_MAX_FRAMES];
    int n = prof_stack_signal(pcs, PROF_MAX_FRAMES, ucontext);
    struct prof_bucket *b = prof_cpu_record(pcs, n, prof_self_tls, PROF_CPU_SEEN, ticks);
    if (prof_self_tls)
        prof_owed_keep(prof_self_tls, b, ticks);
    if (prof_trace_wants(PROF_TRACE_CPU))
        prof_event_sample(pcs, n, ticks);
}

void prof_cpu_tick(const siginfo_t *info, const void *ucontext, bool room)
{
    int64_t ticks = 1 + (info->si_code == SI_TIMER ? info->si_overrun : 0);
    atomic_fetch_add(&handlers, 1);
    if (atomic_load(&running)) {
        if (prof_self_tls)
            prof_self_tls->cpu_ticks += ticks;
        if (room)
            record_interrupted(ucontext, ticks);
        else
            atomic_fetch_add(&prof_dropped.cpu_samples, (uint64_t)ticks);
    }
    atomic_fetch_sub(&handlers, 1);
}

/* ---- timers ---------------------------------------------------------------------------------- */

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* MAKE_THREAD_CPUCLOCK of linux/posix-timers.h, what pthread_getcpuclockid computes. */
clockid_t prof_thread_cpu_clock(pid_t tid)
{
    return (clockid_t)((~(unsigned)tid << 3) | 6);
}

void prof_cpu_disarm_locked(struct prof_thread *t)
{
    if (t->has_timer)
        timer_delete(t->timer);
    t->has_timer = false;
    t->cpu_end_ns = 0;
}

static int64_t cpu_time_ns(clockid_t clock)
{
    struct timespec ts = {0};
    clock_gettime(clock, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int arm_locked(struct prof_thread *t)
{
    pid_t tid = atomic_load(&t->tid);
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
    ev.sigev_value = prof_signal_cookie();
    ev.sigev_notify_thread_id = tid;
    if (t->has_timer || tid == 0)
        return 0;
    if (timer_create(prof_thread_cpu_clock(tid), &ev, &t->timer) != 0)
        return -errno;
    struct itimerspec when = {.it_interval = timespec_of(period_ns)};
    /* The other thread's numbers are its own to draw: it samples allocations meanwhile. */
    struct prof_thread *drawer = prof_self_tls ? prof_self_tls : t;
    int64_t first_ns = 1 + (int64_t)(prof_random(drawer) % (uint64_t)period_ns);
    when.it_value = timespec_of(first_ns);
    t->cpu_first_ns = cpu_time_ns(prof_thread_cpu_clock(tid)) + first_ns;
    t->cpu_ticks = 0;
    memset(t->cpu_kept, 0, sizeof t->cpu_kept);
    t->has_timer = true;
    timer_settime(t->timer, 0, &when, NULL);
    return 0;
}

/* The calling thread ends. */
void prof_cpu_thread_exit_locked(struct prof_thread *t)
{
    if (!t->has_timer)
        return;
    prof_cpu_disarm_locked(t);
    if (atomic_load(&running))
        prof_owed_charge(t, cpu_time_ns(CLOCK_THREAD_CPUTIME_ID), period_ns, false);
}

/* The profile ends, and threads live on. */
static void settle_all_locked(void)
{
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next) {
        if (t->cpu_end_ns)
            prof_owed_charge(t, t->cpu_end_ns, period_ns, true);
        t->cpu_end_ns = 0;
    }
}

void prof_cpu_thread_start_locked(struct prof_thread *t)
{
    if (armed && atomic_load(&running) && !prof_cpu_process_wide && arm_locked(t) == -EAGAIN)
        prof_drop(&prof_dropped.cpu_timers);
}

static void disarm_all_locked(void)
{
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next) {
        bool had_timer = t->has_timer;
        prof_cpu_disarm_locked(t);
        if (had_timer)
            t->cpu_end_ns = cpu_time_ns(prof_thread_cpu_clock(atomic_load(&t->tid)));
    }
    if (prof_cpu_process_wide)
        setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
    prof_cpu_process_wide = false;
}

static int arm_process_locked(void)
{
    int us = period_ns / 1000;
    struct itimerval when = {{us / 1000000, us % 1000000}, {us / 1000000, us % 1000000}};
    if (setitimer(ITIMER_PROF, &when, NULL) != 0)
        return -errno;
    armed_by = getpid();
    prof_cpu_process_wide = true;
    return 0;
}

/* All threads, or none: half of them on their own timers beside a process-wide one would count
 * twice. A thread that dies between discovery and here is no error. */
static int arm_all_locked(void)
{
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        if (arm_locked(t) == -EAGAIN) {
            prof_drop(&prof_dropped.cpu_timers);
            disarm_all_locked();
            return arm_process_locked();
        }
    return 0;
}

/* ---- sampling: on and off ----------------------------------------------------------------------
 */

static int start_locked(int hz)
{
    period_ns = 1000000000 / hz;
    started_ns = prof_now_ns();
    armed = true;
    atomic_store(&running, true);
    int rc = arm_all_locked();
    if (rc < 0) {
        atomic_store(&running, false);
        armed = false;
    }
    return rc;
}

/* From here on nobody uses the current table: a handler takes microseconds, and no lock. */
static void stop_locked(void)
{
    atomic_store(&running, false);
    armed = false;
    disarm_all_locked();
    while (atomic_load(&handlers) > 0)
        sched_yield();
    settle_all_locked();
}

static void add_to_whole(struct prof_bucket *b, void *arg)
{
    struct prof_bucket *sum =
        prof_bucket_get(&whole.buckets, b->pcs, (int)b->npcs, b->labels, b->tag);
    (void)arg;
    for (int i = PROF_CPU_SEEN; i <= PROF_CPU_OWED; i++) {
        int64_t ticks = atomic_load_explicit(&b->values[i], memory_order_relaxed);
        if (sum)
            atomic_fetch_add_explicit(&sum->values[i], ticks * period_ns, memory_order_relaxed);
        else
            atomic_fetch_add_explicit(&prof_dropped.cpu_samples, (uint64_t)ticks,
                                      memory_order_relaxed);
    }
}

static void take_into_whole_locked(void)
{
    if (whole.hz)
        prof_bucket_each(&tables[atomic_load(&current)], add_to_whole, NULL);
}

/* ---- a profile that is asked for
 * ----------------------------------------------------------------- */

static int start_asked_locked(int hz)
{
    if (taken)
        return -EBUSY;
    int rc = prof_signal_install();
    if (rc < 0)
        return rc;
    prof_threads_discover_locked();
    if (whole.hz) {
        stop_locked();
        take_into_whole_locked();
        prof_bucket_drop(&tables[atomic_load(&current)]);
    }
    rc = start_locked(hz);
    taken = rc == 0;
    return rc;
}

int prof_cpu_start(int hz)
{
    if (hz < 0 || hz > PROF_CPU_HZ_MAX)
        return -EINVAL;
    prof_init();
    prof_self();
    prof_enter();
    prof_lock(&prof_threads_lock);
    int rc = start_asked_locked(hz ? hz : PROF_CPU_HZ_DEFAULT);
    prof_unlock(&prof_threads_lock);
    prof_leave();
    return rc;
}

static void add_sample(struct prof_bucket *b, void *arg)
{
    struct prof_sample sample = {
        .pcs = b->pcs, .npcs = b->npcs, .labels = b->labels, .tag = b->tag};
    sample.values[PROF_CPU_SEEN] =
        atomic_load_explicit(&b->values[PROF_CPU_SEEN], memory_order_relaxed);
    sample.values[PROF_CPU_OWED] =
        atomic_load_explicit(&b->values[PROF_CPU_OWED], memory_order_relaxed);
    prof_snapshot_add(arg, &sample); /* without memory the writer reports what it got */
}

static int write_table(int fd, struct prof_bucket_table *t, struct prof_snapshot *s,
                       int64_t unit_ns)
{
    int rc = 0;
    if (fd >= 0) {
        prof_bucket_each(t, add_sample, s);
        prof_owed_settle(s, unit_ns);
        rc = prof_encode_proto(s, fd);
    }
    free(s->samples);
    return rc;
}

static void set_times(struct prof_snapshot *s, int64_t since_ns)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    s->taken_ns = prof_now_ns();
    s->duration_ns = s->taken_ns - since_ns;
    s->time_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec - s->duration_ns;
}

/* Ends the profile; the one of the whole run goes on. The finished table, or NULL: none was asked
 * for. */
static struct prof_bucket_table *finish_asked_locked(struct prof_snapshot *s)
{
    int finished = atomic_load(&current);
    if (!taken || !armed)
        return NULL;
    stop_locked();
    take_into_whole_locked();
    set_times(s, started_ns);
    s->period = period_ns;
    atomic_store(&current, !finished);
    if (whole.hz)
        start_locked(whole.hz);
    return &tables[finished];
}

int prof_cpu_stop(int fd)
{
    struct prof_snapshot s = {.about = &cpu_description};
    int rc = -EINVAL;
    prof_enter();
    prof_lock(&prof_threads_lock);
    struct prof_bucket_table *finished = finish_asked_locked(&s);
    prof_unlock(&prof_threads_lock);
    if (finished) {
        rc = write_table(fd, finished, &s, s.period);
        prof_bucket_drop(finished);
        prof_lock(&prof_threads_lock);
        taken = false; /* only now may the next profile start and use the table */
        prof_unlock(&prof_threads_lock);
    }
    prof_leave();
    return rc;
}

/* ---- the profile of the whole run
 * ------------------------------------------------------------------ */

static int start_whole_locked(int hz, bool in_child)
{
    int rc = taken || whole.hz ? -EBUSY : prof_signal_install();
    if (rc < 0)
        return rc;
    if (!in_child)
        prof_threads_discover_locked();
    rc = start_locked(hz);
    whole.started_ns = started_ns;
    whole.hz = rc < 0 ? 0 : hz;
    return rc;
}

int prof_cpu_whole_start(int hz, bool in_child)
{
    prof_init();
    prof_self();
    prof_enter();
    prof_lock(&prof_threads_lock);
    int rc = start_whole_locked(hz, in_child);
    prof_unlock(&prof_threads_lock);
    prof_leave();
    return rc;
}

int prof_cpu_whole_stop(int fd)
{
    struct prof_snapshot s = {.about = &cpu_description};
    int rc = -EINVAL;
    prof_enter();
    prof_lock(&prof_threads_lock);
    if (whole.hz) {
        stop_locked();
        take_into_whole_locked();
        set_times(&s, whole.started_ns);
        s.period = 1000000000 / whole.hz;
        whole.hz = 0;
        rc = 0;
    }
    prof_unlock(&prof_threads_lock);
    if (rc == 0)
        rc = write_table(fd, &whole.buckets, &s, 1);
    prof_leave();
    return rc;
}

int64_t prof_cpu_whole_count(void)
{
    return prof_bucket_count(&whole.buckets) + prof_bucket_count(&tables[0]) +
           prof_bucket_count(&tables[1]);
}

/* ---- exec and fork --------------------------------------------------------------------------- */

/* A program that this process becomes would inherit the process-wide timer, and die of its first
 * tick. The child of a vfork has no timer, although it sees our memory. */
void prof_cpu_before_exec(void)
{
    if (prof_cpu_process_wide)
        setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
}

/* It could not become it. */
void prof_cpu_after_exec(void)
{
    if (!prof_cpu_process_wide)
        return;
    prof_lock(&prof_threads_lock);
    if (prof_cpu_process_wide && armed_by == getpid())
        arm_process_locked();
    prof_unlock(&prof_threads_lock);
}

void prof_cpu_fork_child(void)
{
    bool used = armed || taken;
    atomic_store(&running, false);
    atomic_store(&handlers, 0);
    armed = taken = false;
    prof_cpu_process_wide = false;
    for (int i = 0; i < 2 && used; i++)
        prof_bucket_drop(&tables[i]);
    if (whole.hz)
        prof_bucket_drop(&whole.buckets);
    whole.hz = 0;
}
