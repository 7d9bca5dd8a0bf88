/* CPU ticks that no handler has seen, and whom they are charged to. Entered from cpu.c.
 *
 * CPU timers only expire at a kernel tick (4 ms at 250 Hz), and on a crowded CPU whose threads take
 * turns between two ticks these may pass a thread by for half a second of its CPU time. What a
 * thread still owes when it ends, or the profile, goes to stacks that it was seen with itself;
 * where these are too few, to its start routine first, and when the profile is written, to the
 * stacks of threads of its kind. */
#include "prof/cpu.h"
#include "prof/thread.h"

#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* The murmur3 finalizer: as good as random, and not the state that malloc's hook draws from. */
static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

/* Each place holds one of the thread's ticks so far, all with equal chances (Vitter, Random
 * sampling with a reservoir, 1985, algorithm R, for as many samples of one). */
void prof_owed_keep(struct prof_thread *t, struct prof_bucket *b, int64_t ticks)
{
    uint64_t seen = (uint64_t)t->cpu_ticks;
    for (int i = 0; i < PROF_CPU_KEPT; i++)
        if (mixed(seen * PROF_CPU_KEPT + (uint64_t)i) % seen < (uint64_t)ticks)
            t->cpu_kept[i] = b;
}

/* Fewer ticks than these say too little about where a thread, or threads of one kind, spend time.
 */
enum { SPREAD_MIN = 5 };

/* Later than the few milliseconds that are normal. */
enum { LATE_NS = 50000000 };

static bool blocks_sigprof(const struct prof_thread *t)
{
    struct prof_task task;
    int tasks = prof_tasks_open();
    bool blocks = prof_task_read(tasks, atomic_load(&t->tid), &task) && task.blocks_sigprof;
    if (tasks >= 0)
        close(tasks);
    return blocks;
}

static void charge_start_routine(struct prof_thread *t, int64_t ticks)
{
    uintptr_t start = (uintptr_t)atomic_load(&t->start_routine);
    if (atomic_load(&t->tid) == getpid())
        start = (uintptr_t)getauxval(AT_ENTRY);
    if (start)
        prof_cpu_record(&start, 1, t, PROF_CPU_OWED, ticks);
}

static void charge_kept(struct prof_thread *t, int64_t ticks)
{
    for (int64_t i = 0; i < PROF_CPU_KEPT; i++) {
        int64_t share = ticks * (i + 1) / PROF_CPU_KEPT - ticks * i / PROF_CPU_KEPT;
        if (t->cpu_kept[i])
            atomic_fetch_add_explicit(&t->cpu_kept[i]->values[PROF_CPU_SEEN], share,
                                      memory_order_relaxed);
        else
            charge_start_routine(t, share);
    }
}

/* A thread that blocks SIGPROF was not seen where it is; one that lives on and was hardly seen is
 * let off. */
void prof_owed_charge(struct prof_thread *t, int64_t cpu_ns, int64_t period_ns, bool lives)
{
    int64_t over_ns = cpu_ns - t->cpu_first_ns;
    int64_t owed = over_ns < 0 ? 0 : 1 + over_ns / period_ns - t->cpu_ticks;
    bool late = owed * period_ns >= LATE_NS;
    if (owed <= 0)
        return;
    if (late && blocks_sigprof(t)) {
        charge_start_routine(t, owed);
        atomic_fetch_add(&prof_dropped.cpu_samples, (uint64_t)owed);
    } else if (t->cpu_ticks >= SPREAD_MIN) {
        charge_kept(t, owed);
    } else if (late || !lives) {
        charge_start_routine(t, owed);
    }
}

/* A thread's samples fall on its CPU time at random, so the stacks seen in threads of one kind show
 * where that kind spends its time; where there are too few, the ticks stay with the start routine.
 */
enum { SPREAD = 2 };

static void spread(struct prof_snapshot *s, struct prof_sample *owing, int64_t enough)
{
    int64_t total = 0, seen = 0, given = 0, owed = owing->values[PROF_CPU_OWED];
    for (int pass = 0; pass < 2; pass++)
        for (struct prof_sample *e = s->samples; e < s->samples + s->nsamples; e++) {
            if (e->tag != owing->tag || e->labels != owing->labels)
                continue;
            if (pass == 0) {
                total += e->values[PROF_CPU_SEEN];
            } else if (total >= enough) {
                seen += e->values[PROF_CPU_SEEN];
                e->values[SPREAD] += owed * seen / total - given;
                given = owed * seen / total;
            }
        }
    owing->values[SPREAD] += owed - given;
}

void prof_owed_settle(struct prof_snapshot *s, int64_t unit_ns)
{
    for (size_t i = 0; i < s->nsamples; i++)
        if (s->samples[i].values[PROF_CPU_OWED] > 0)
            spread(s, &s->samples[i], SPREAD_MIN * s->period / unit_ns);
    size_t kept = 0;
    for (size_t i = 0; i < s->nsamples; i++) {
        struct prof_sample e = s->samples[i];
        int64_t ns = (e.values[PROF_CPU_SEEN] + e.values[SPREAD]) * unit_ns;
        e.values[0] = (ns + s->period / 2) / s->period;
        e.values[1] = ns;
        e.values[SPREAD] = e.tag = 0;
        if (ns > 0)
            s->samples[kept++] = e;
    }
    s->nsamples = kept;
}
