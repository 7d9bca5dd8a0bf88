/* The kernel's switch records: which thread of this process ran on which CPU, and when. sched.c
 * reads the records, delay.c asks /proc how long threads waited for a CPU, wake.c tells from both
 * where in a wait a thread was woken. Nothing here is visible outside libprof. */
#ifndef PROF_SCHED_H
#define PROF_SCHED_H

#include "prof/internal.h"

#pragma GCC visibility push(hidden)

/* ---- sched.c --------------------------------------------------------------------------------- */

enum prof_switch_kind {
    PROF_SWITCH_IN,        /* begins to run */
    PROF_SWITCH_OUT,       /* stops: it waits for something, or has ended */
    PROF_SWITCH_PREEMPTED, /* stops, though it could go on */
};

struct prof_switch {
    int64_t time_ns; /* CLOCK_MONOTONIC, as all times here */
    pid_t tid;
    uint16_t cpu;
    uint8_t kind; /* enum prof_switch_kind */
};

/* The kernel's exact sums for a thread, since it began. */
struct prof_delay {
    int64_t time_ns;
    int64_t delay_ns; /* able to run, and waiting for a CPU: /proc/self/task/TID/schedstat */
    int64_t cpu_ns;   /* running: its CPU clock */
    pid_t tid;
    bool before; /* recording began then, and the thread had been there before */
};

/* Filled by prof_sched_read: both parts are in order of time, and go on where the last batch ended.
 */
struct prof_sched_batch {
    struct prof_switch *switches;
    size_t nswitches, max_switches;
    struct prof_delay *delays;
    size_t ndelays, max_delays;
    bool closing; /* to be set with the last batch of a part (see prof_wake_infer): sums are read
                     for it; else only four times a second, for they cost more than the rest */
};

/* Begins to record the switches of every thread there is and of those to come. Nests: each start
 * that returned 0 wants its stop. 0: records come, perhaps not of all threads. -EACCES, -EPERM,
 * -ENOSYS, -EMFILE, -ENOMEM and what else perf_event_open(2) says: none will. In both cases
 * prof_sched_missing has a sentence for the user. */
int prof_sched_start(void);
void prof_sched_stop(void);

/* Moves what was recorded up to now into the batch, as far as there is room; called by one thread
 * at a time, every 50 ms or so. False: there is more. */
bool prof_sched_read(struct prof_sched_batch *b);

/* The threads that ran at the moment up to which the records have been read, as if each had begun
 * to run then: for a window that begins there. Called by the thread that reads. How many there are;
 * at most max were stored. */
size_t prof_sched_running(struct prof_switch *out, size_t max);

/* Records that the kernel had no room for, since the first start. */
uint64_t prof_sched_lost(void);
/* What is not recorded, why, and how to allow it: one line. "": nothing is missing. */
const char *prof_sched_missing(void);

/* Around the real pthread_create: while recording begins, no thread may come that is neither among
 * those found nor a child of one that is recorded. */
void prof_sched_create_begin(void);
void prof_sched_create_end(void);
/* The calling thread reads its own sums: at its end, and after a long wait, which separates that
 * wait's part of them from those of the waits before and after it. Does nothing while nothing
 * records. Costs 10 us or more, so all threads together do it 100 times a second at most, but for
 * bursts; half of these are kept for ends. */
void prof_sched_note_end(void);
void prof_sched_note_wait(void);
extern atomic_bool prof_sched_active;
enum { PROF_SCHED_LONG_WAIT_NS = 20 * 1000 * 1000 };
static inline void prof_sched_waited(int64_t ns)
{
    if (ns >= PROF_SCHED_LONG_WAIT_NS &&
        atomic_load_explicit(&prof_sched_active, memory_order_relaxed))
        prof_sched_note_wait();
}
void prof_sched_fork_child(void);

/* ---- missing.c: what prof_sched_missing tells, said while a recording begins ----------------- */

void prof_sched_say_nothing(void);
void prof_sched_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void prof_sched_say_why_none(int err);
unsigned long long prof_descriptor_limit(void);

/* ---- delay.c --------------------------------------------------------------------------------- */

/* What is known of a thread. */
struct prof_sched_thread {
    pid_t tid;               /* 0: the place is free */
    uint16_t cpu, first_cpu; /* of its latest and of its first record */
    uint8_t kind;            /* of the latest */
    bool ran_before;         /* the first is not its beginning to run */
    bool changed;            /* it came back from a wait since it was last asked */
    int64_t time_ns;         /* of the latest */
};

struct prof_sched_threads { /* a hash table */
    struct prof_sched_thread *slot;
    size_t size, used; /* size: a power of two */
    size_t turn;       /* where prof_sched_delays goes on */
};

/* NULL: none. */
struct prof_sched_thread *prof_sched_thread_find(const struct prof_sched_threads *t, pid_t tid);
/* Enters a record of a thread. */
void prof_sched_thread_note(struct prof_sched_threads *t, const struct prof_switch *s);
/* It was seen to run on the CPU, and does so no more. */
void prof_sched_thread_ended(struct prof_sched_threads *t, pid_t tid, uint16_t cpu);
void prof_sched_threads_drop(struct prof_sched_threads *t);
/* False: the thread is gone, or this kernel does not say. tasks: of prof_tasks_open. */
bool prof_delay_read(int tasks, pid_t tid, struct prof_delay *out);
/* Asks for those that have changed, appends to the batch while there is room. */
void prof_sched_delays(struct prof_sched_threads *t, int tasks, struct prof_sched_batch *b);

/* ---- wake.c ---------------------------------------------------------------------------------- */

/* A thread was woken: from here to its next PROF_SWITCH_IN it was able to run. */
struct prof_wakeup {
    int64_t time_ns;
    pid_t tid;
    pid_t waker; /* 0: unknown */
};

/* What the parts of a recording have in common. Zeroed memory is ready. */
struct prof_wakes {
    bool window; /* to be set where the first part is not the recording's first: a thread that is
                    not known yet need not be new */
    struct prof_wake_thread *thread; /* a hash table by tid */
    size_t nthreads, max_threads;
    struct prof_wake_cpu *cpu;
    size_t max_cpus;
};

/* A part of a recording, each array in order of time. */
struct prof_wake_input {
    struct prof_switch *switches; /* the kernel writes PROF_SWITCH_IN some microseconds late, when
                                     the thread has long been charged: put right here */
    const struct prof_delay *delays;
    const struct prof_wakeup *known; /* who ended whose wait, and when he was about to */
    size_t nswitches, ndelays, nknown;
    int64_t begin_ns; /* of the part */
};

/* One wake for each wait that ended in this part with a PROF_SWITCH_IN, in order of time. out has
 * room for nswitches of them. Known wakers are believed, as far as the kernel's sums allow; what
 * the sums leave over is spread over the other waits. How many, or -ENOMEM. Keeps errno, does not
 * call malloc. */
ssize_t prof_wake_infer(struct prof_wakes *w, const struct prof_wake_input *in,
                        struct prof_wakeup *out);
void prof_wakes_drop(struct prof_wakes *w);

#pragma GCC visibility pop
#endif
