/* How long threads were able to run and had no CPU, as the kernel's own sums have it, and what the
 * reader of switch records remembers of each thread.
 *
 * The sums say what the records leave open: when in a wait its thread was woken. A thread is asked
 * after it came back from a wait, once a batch, and not more than some of them in one batch: a
 * reading costs about 4 us. Entered from sched.c, on the thread that reads. */
#include "prof/sched.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS_MIN = 256, READINGS_MAX = 256, READ_TRIES = 8, MOMENT_NS = 20 * 1000 };

/* ---- the threads ----------------------------------------------------------------------------- */

static struct prof_sched_thread *place_of(const struct prof_sched_threads *t, pid_t tid)
{
    size_t i = (size_t)tid * UINT64_C(0x9e3779b97f4a7c15) >> 20;

    while (t->slot[i & (t->size - 1)].tid && t->slot[i & (t->size - 1)].tid != tid)
        i++;
    return &t->slot[i & (t->size - 1)];
}

/* A thread that waits and has been asked needs no memory: the dead are among these. */
static bool worth_keeping(const struct prof_sched_thread *t)
{
    return t->tid && (t->changed || t->kind == PROF_SWITCH_IN);
}

static bool make_room(struct prof_sched_threads *t)
{
    struct prof_sched_threads bigger = {.turn = 0};
    size_t kept = 0;

    for (size_t i = 0; i < t->size; i++)
        kept += worth_keeping(&t->slot[i]);
    for (bigger.size = THREADS_MIN; bigger.size < 4 * kept;)
        bigger.size *= 2;
    bigger.slot = prof_pages_alloc(bigger.size * sizeof *bigger.slot);
    if (!bigger.slot)
        return false;
    for (size_t i = 0; i < t->size; i++)
        if (worth_keeping(&t->slot[i]))
            *place_of(&bigger, t->slot[i].tid) = t->slot[i];
    bigger.used = kept;
    prof_sched_threads_drop(t);
    *t = bigger;
    return true;
}

struct prof_sched_thread *prof_sched_thread_find(const struct prof_sched_threads *t, pid_t tid)
{
    struct prof_sched_thread *found = t->size ? place_of(t, tid) : NULL;

    return found && found->tid ? found : NULL;
}

void prof_sched_thread_note(struct prof_sched_threads *t, const struct prof_switch *s)
{
    if (2 * t->used >= t->size && !make_room(t))
        return;
    struct prof_sched_thread *found = place_of(t, s->tid);
    if (!found->tid) {
        *found = (struct prof_sched_thread){.tid = s->tid, .first_cpu = s->cpu};
        found->ran_before = s->kind != PROF_SWITCH_IN;
        t->used++;
    }
    found->changed |= s->kind == PROF_SWITCH_IN && found->kind != PROF_SWITCH_PREEMPTED;
    found->kind = s->kind;
    found->cpu = s->cpu;
    found->time_ns = s->time_ns;
}

void prof_sched_thread_ended(struct prof_sched_threads *t, pid_t tid, uint16_t cpu)
{
    struct prof_sched_thread *found = prof_sched_thread_find(t, tid);

    if (found && found->kind == PROF_SWITCH_IN && found->cpu == cpu)
        found->kind = PROF_SWITCH_OUT;
}

void prof_sched_threads_drop(struct prof_sched_threads *t)
{
    prof_pages_free(t->slot, t->size * sizeof *t->slot);
    *t = (struct prof_sched_threads){0};
}

/* ---- their sums ------------------------------------------------------------------------------ */

static int64_t cpu_time_ns(pid_t tid)
{
    struct timespec ts = {0};

    clock_gettime(prof_thread_cpu_clock(tid), &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* "RUN_NS DELAY_NS SLICES", see the kernel's Documentation/scheduler/sched-stats.rst. < 0: none. */
static int64_t delay_of(int schedstat)
{
    char text[96], *at = text;
    ssize_t n = pread(schedstat, text, sizeof text - 1, 0);

    if (n <= 0)
        return -1;
    text[n] = '\0';
    strtoll(at, &at, 10);
    return strtoll(at, &at, 10);
}

/* The reader may itself be stopped between two of these questions, for milliseconds: what is asked
 * then belongs to two moments. False: it does. */
static bool read_moment(int schedstat, struct prof_delay *out)
{
    int64_t before_ns;

    out->delay_ns = delay_of(schedstat);
    before_ns = prof_now_ns();
    out->cpu_ns = cpu_time_ns(out->tid);
    out->time_ns = prof_now_ns();
    return out->time_ns - before_ns < MOMENT_NS && delay_of(schedstat) == out->delay_ns;
}

bool prof_delay_read(int tasks, pid_t tid, struct prof_delay *out)
{
    char path[32];

    snprintf(path, sizeof path, "%d/schedstat", (int)tid);
    int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    *out = (struct prof_delay){.tid = tid};
    for (int i = 0; i < READ_TRIES && !read_moment(fd, out); i++)
        ;
    close(fd);
    return out->delay_ns >= 0;
}

void prof_sched_delays(struct prof_sched_threads *t, int tasks, struct prof_sched_batch *b)
{
    size_t readings = READINGS_MAX;

    if (b->max_delays - b->ndelays < readings)
        readings = b->max_delays - b->ndelays;
    for (size_t n = 0; n < t->size && readings > 0; n++, t->turn++) {
        struct prof_sched_thread *s = &t->slot[t->turn & (t->size - 1)];
        if (!s->tid || !s->changed)
            continue;
        s->changed = false;
        readings--;
        if (prof_delay_read(tasks, s->tid, &b->delays[b->ndelays]))
            b->ndelays++;
    }
}
