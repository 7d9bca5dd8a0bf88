/* The kernel's switch records of every thread of the process, without privileges.
 *
 * One event sees one thread on one CPU, and is inherited by the threads that this thread creates.
 * So a start opens an event for each thread there is on each CPU, lets those of a CPU write into
 * one ring, and keeps pthread_create waiting for the half of a millisecond that this takes: who
 * comes later is a child of somebody who is recorded. Where the privilege is there, one event a CPU
 * sees everybody, at less than half of the price of a switch and nothing for a new thread. A thread
 * that runs all the time has no records; the first reading finds it by its CPU clock and makes the
 * first one up.
 *
 * Entered from trace.c: start, then read again and again by one thread, then stop. */
#include "prof/sched.h"
#include "prof/switch_ring.h"
#include "prof/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    RING_BYTES_MAX = 512 << 10, /* what perf_event_mlock_kb allows everybody for one CPU */
    RING_BYTES_MIN = 16 << 10,
    EVERYBODY_BYTES_MAX = 2 << 20, /* 600,000 switches a second, whosever they are */
    RINGS_BYTES = 16 << 20,        /* for all CPUs */
    OWN_MAX = 1024,
    OWN_PRICE_NS = 10 * 1000 * 1000,
    OWN_DEBT_NS = 500 * 1000 * 1000,
    SUMS_NS = 250 * 1000 * 1000,
    CREATORS_WAIT_NS = 100 * 1000 * 1000,
};

struct found { /* a thread that was there at the start */
    pid_t tid;
    struct prof_delay delay;
};

static struct {
    struct prof_lock lock; /* of what starts and stops */
    int users;
    pid_t pid;
    _Atomic int tasks; /* any thread's to use: note_self */
    struct prof_switch_ring *ring;
    int nrings, ncpus;
    bool everybody; /* the rings' events see all threads */
    int *event;     /* beyond those of the rings */
    size_t nevents, max_events;
    struct found *found;
    size_t nfound, max_found, missed;
    bool has_sums; /* the kernel says how long threads waited for a CPU */
    int64_t begin_ns;

    /* the reading thread's */
    struct prof_sched_threads threads;
    bool was_read;
    int64_t read_ns; /* up to here */
    int64_t sums_ns; /* when the sums were asked for last */
    size_t told;     /* so many of found have been in a batch */
    uint64_t lost;
} sched;

static _Atomic uint64_t lost;
atomic_bool prof_sched_active;

static struct { /* the sums that threads have read themselves since the last reading */
    struct prof_lock lock;
    size_t n;
    struct prof_delay delay[OWN_MAX];
} own;

/* ---- pthread_create waits -------------------------------------------------------------------- */

static _Atomic uint32_t
    creating; /* threads that are inside pthread_create; CLOSED: none may enter */
static const uint32_t CLOSED = 1u << 31;

void prof_sched_create_begin(void)
{
    uint32_t seen = atomic_load_explicit(&creating, memory_order_relaxed);

    for (;;)
        if (seen & CLOSED) {
            prof_futex_wait(&creating, seen, CREATORS_WAIT_NS);
            seen = atomic_load_explicit(&creating, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak(&creating, &seen, seen + 1)) {
            return;
        }
}

void prof_sched_create_end(void)
{
    if ((atomic_fetch_sub(&creating, 1) & CLOSED) != 0)
        prof_futex_wake(&creating);
}

/* A creator may itself wait for long, for memory or for a CPU: then it is not waited for, and its
 * child may go unrecorded. */
static void close_creation(void)
{
    int64_t until_ns = prof_now_ns() + CREATORS_WAIT_NS, left_ns = CREATORS_WAIT_NS;
    uint32_t seen = atomic_fetch_or(&creating, CLOSED) | CLOSED;

    while (seen != CLOSED && left_ns > 0) {
        prof_futex_wait(&creating, seen, left_ns);
        seen = atomic_load(&creating);
        left_ns = until_ns - prof_now_ns();
    }
}

static void open_creation(void)
{
    atomic_fetch_and(&creating, ~CLOSED);
    prof_futex_wake(&creating);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* An array of pages with room for one more. False: no memory. */
static bool grow(void *array, size_t used, size_t *capacity, size_t element_bytes)
{
    void *old, *bigger;
    size_t wanted = *capacity ? 2 * *capacity : 512;

    if (used < *capacity)
        return true;
    memcpy(&old, array, sizeof old);
    bigger = prof_pages_alloc(wanted * element_bytes);
    if (!bigger)
        return false;
    if (old)
        memcpy(bigger, old, used * element_bytes);
    prof_pages_free(old, *capacity * element_bytes);
    memcpy(array, &bigger, sizeof bigger);
    *capacity = wanted;
    return true;
}

static void close_rings(bool mapped)
{
    while (sched.nrings > 0)
        prof_switch_ring_close(&sched.ring[--sched.nrings], mapped);
}

static void release(bool mapped)
{
    for (size_t i = 0; i < sched.nevents; i++)
        close(sched.event[i]);
    close_rings(mapped);
    if (sched.tasks >= 0)
        close(sched.tasks);
    prof_pages_free(sched.event, sched.max_events * sizeof *sched.event);
    prof_pages_free(sched.found, sched.max_found * sizeof *sched.found);
    prof_pages_free(sched.ring, (size_t)sched.ncpus * sizeof *sched.ring);
    prof_sched_threads_drop(&sched.threads);
    sched.event = NULL;
    sched.found = NULL;
    sched.ring = NULL;
    sched.nevents = sched.max_events = sched.nfound = sched.max_found = sched.told = 0;
    sched.ncpus = 0;
    sched.was_read = false;
}

/* ---- start ----------------------------------------------------------------------------------- */

/* An event on each CPU for the thread, with a ring. */
static int open_rings_of(pid_t tid, size_t bytes)
{
    int err = 0;

    for (int cpu = 0; cpu < sched.ncpus && (!err || err == -ENODEV); cpu++) {
        do /* others of this user may have taken much of what is allowed */
            err = prof_switch_ring_open(&sched.ring[sched.nrings], tid, cpu, bytes);
        while (err == -ENOBUFS && (bytes /= 2) >= RING_BYTES_MIN);
        sched.nrings += err == 0;
    }
    return err == -ENODEV && sched.nrings ? 0 : err; /* -ENODEV: the CPU is switched off */
}

/* A power of two. */
static size_t bytes_each(size_t max)
{
    while (max > RING_BYTES_MIN && max * (size_t)sched.ncpus > RINGS_BYTES)
        max /= 2;
    return max;
}

/* For everybody, or else for the calling thread, to be shared by all others. With very many CPUs
 * there is a small ring for each, which what others do might fill. */
static int open_rings(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    size_t bytes;

    sched.ncpus = cpus > 0 ? (int)cpus : 1;
    sched.ring = prof_pages_alloc((size_t)sched.ncpus * sizeof *sched.ring);
    if (!sched.ring)
        return -ENOMEM;
    bytes = bytes_each(EVERYBODY_BYTES_MAX);
    sched.everybody = bytes >= RING_BYTES_MAX && open_rings_of(PROF_SWITCH_EVERYBODY, bytes) == 0;
    if (sched.everybody)
        return 0;
    close_rings(true);
    return open_rings_of(0, bytes_each(RING_BYTES_MAX));
}

static int open_events_of(pid_t tid)
{
    for (int i = 0; i < sched.nrings; i++) {
        if (!grow(&sched.event, sched.nevents, &sched.max_events, sizeof *sched.event))
            return -ENOMEM;
        int fd = prof_switch_event(tid, sched.ring[i].cpu);
        if (fd < 0)
            return fd;
        sched.event[sched.nevents++] = fd;
        int err = prof_switch_redirect(fd, &sched.ring[i]);
        if (err)
            return err;
    }
    return 0;
}

static void add_found(pid_t tid)
{
    struct found *f;

    if (!grow(&sched.found, sched.nfound, &sched.max_found, sizeof *sched.found))
        return;
    f = &sched.found[sched.nfound++];
    f->tid = tid;
    sched.has_sums |= prof_delay_read(sched.tasks, tid, &f->delay);
    f->delay.before = true;
}

/* How many events may be opened: half of the descriptors that are left, the other half is the
 * program's. */
static size_t event_budget(void)
{
    int next = dup(sched.ring[0].fd); /* the lowest that is free */
    unsigned long long limit = prof_descriptor_limit();

    if (next < 0)
        return 0;
    close(next);
    return limit > (unsigned)next ? (limit - (unsigned)next) / 2 : 0;
}

static void open_thread(pid_t tid, void *arg)
{
    const size_t *budget = arg;
    size_t opened = sched.nevents;
    int err = 0;

    add_found(tid);
    if (sched.everybody || tid == prof_gettid())
        return;
    if (sched.nevents + (size_t)sched.nrings > *budget || (err = open_events_of(tid)) != 0) {
        while (sched.nevents > opened) /* all of them or none: half of a thread misleads */
            close(sched.event[--sched.nevents]);
        sched.missed += err != -ESRCH;
    }
}

static void open_threads(void)
{
    size_t budget = event_budget();

    sched.missed = 0;
    sched.has_sums = false;
    prof_tasks_each(sched.tasks, open_thread, &budget);
    if (sched.missed)
        prof_sched_say(
            "no switch records of %zu of %zu threads: each takes %d descriptors, and half of those "
            "that are left may be used; allow more with: ulimit -n %zu",
            sched.missed, sched.nfound, sched.nrings,
            2 * (sched.nfound + 1) * (size_t)sched.nrings + 256);
    if (!sched.has_sums)
        prof_sched_say("how long threads waited for a CPU after a wait is not known: there is no "
                       "/proc/self/task/*/schedstat");
}

static int start(void)
{
    int err;

    prof_sched_say_nothing();
    sched.pid = getpid();
    sched.tasks = prof_tasks_open();
    prof_lock(&own.lock);
    own.n = 0;
    prof_unlock(&own.lock);
    close_creation();
    sched.begin_ns = prof_now_ns();
    err = open_rings();
    if (!err && sched.tasks >= 0)
        open_threads();
    open_creation();
    if (err) {
        prof_sched_say_why_none(err);
        release(true);
    }
    return err;
}

int prof_sched_start(void)
{
    int err = 0;

    prof_enter();
    prof_lock(&sched.lock);
    if (!sched.users)
        err = start();
    sched.users += err == 0;
    atomic_store(&prof_sched_active, sched.users > 0);
    prof_unlock(&sched.lock);
    prof_leave();
    return err;
}

void prof_sched_stop(void)
{
    prof_enter();
    prof_lock(&sched.lock);
    if (sched.users && --sched.users == 0) {
        atomic_store(&prof_sched_active, false);
        release(true);
    }
    prof_unlock(&sched.lock);
    prof_leave();
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct prof_switch_ring *earliest(int64_t until_ns)
{
    struct prof_switch_ring *first = NULL;

    for (int i = 0; i < sched.nrings; i++) {
        struct prof_switch_ring *r = &sched.ring[i];
        if (prof_switch_ring_next(r, sched.pid, &sched.lost) && r->next.time_ns < until_ns &&
            (!first || r->next.time_ns < first->next.time_ns))
            first = r;
    }
    return first;
}

/* A thread that ends has no record of it: somebody else runs in its place. */
static void note(struct prof_switch_ring *r)
{
    const struct prof_switch *s = &r->next;

    if (r->runs && r->runs != s->tid)
        prof_sched_thread_ended(&sched.threads, r->runs, s->cpu);
    r->runs = s->kind == PROF_SWITCH_IN ? s->tid : 0;
    prof_sched_thread_note(&sched.threads, s);
}

/* Records that are later than this moment stay, so that none that is earlier can be missed on
 * another CPU. False: no more room. */
static bool take_records(struct prof_sched_batch *b, size_t max)
{
    int64_t until_ns = prof_now_ns();
    struct prof_switch_ring *r;

    for (int i = 0; i < sched.nrings; i++)
        prof_switch_ring_look(&sched.ring[i]);
    while ((r = earliest(until_ns)) && b->nswitches < max) {
        note(r);
        b->switches[b->nswitches++] = r->next;
        r->has_next = false;
    }
    sched.read_ns = r ? r->next.time_ns : until_ns;
    atomic_store_explicit(&lost, sched.lost, memory_order_relaxed);
    return !r;
}

/* Without a record, it has used all the time since. */
static bool ran_unseen(const struct found *f)
{
    struct prof_delay now;

    return prof_delay_read(sched.tasks, f->tid, &now) &&
           now.cpu_ns - f->delay.cpu_ns > (now.time_ns - f->delay.time_ns) / 2;
}

/* Its first record says so, or it has none because nothing has stopped it yet. */
static bool ran_since_start(const struct found *f, struct prof_switch *s)
{
    const struct prof_sched_thread *t = prof_sched_thread_find(&sched.threads, f->tid);
    struct prof_task task;

    *s = (struct prof_switch){.time_ns = sched.begin_ns, .tid = f->tid, .kind = PROF_SWITCH_IN};
    if (t)
        s->cpu = t->first_cpu;
    else if (ran_unseen(f) && prof_task_read(sched.tasks, f->tid, &task))
        s->cpu = (uint16_t)task.cpu;
    else
        return false;
    return !t || t->ran_before;
}

/* Before the first records. There cannot be more of them than CPUs. */
static void add_those_that_ran(struct prof_sched_batch *b)
{
    size_t n = 0;
    struct prof_switch s;

    for (size_t i = 0; i < sched.nfound && n < (size_t)sched.nrings; i++)
        if (b->nswitches < b->max_switches && ran_since_start(&sched.found[i], &s)) {
            memmove(b->switches + n + 1, b->switches + n,
                    (b->nswitches++ - n) * sizeof *b->switches);
            b->switches[n++] = s;
            if (!prof_sched_thread_find(&sched.threads, s.tid))
                prof_sched_thread_note(&sched.threads, &s);
        }
}

static size_t room(const struct prof_sched_batch *b)
{
    return b->max_delays - b->ndelays;
}

static void take_own(struct prof_sched_batch *b)
{
    prof_lock(&own.lock);
    size_t n = own.n < room(b) ? own.n : room(b);
    memcpy(b->delays + b->ndelays, own.delay, n * sizeof *own.delay);
    memmove(own.delay, own.delay + n, (own.n - n) * sizeof *own.delay);
    own.n -= n;
    b->ndelays += n;
    prof_unlock(&own.lock);
}

static void take_delays(struct prof_sched_batch *b)
{
    while (sched.told < sched.nfound && room(b))
        b->delays[b->ndelays++] = sched.found[sched.told++].delay;
    take_own(b);
}

static bool sums_are_due(const struct prof_sched_batch *b)
{
    int64_t now_ns = prof_now_ns();

    if (!b->closing && now_ns - sched.sums_ns < SUMS_NS)
        return false;
    sched.sums_ns = now_ns;
    return true;
}

/* The sums are asked for behind the records, of all that have come back from a wait, so that each
 * wait has a sum that it is in. That takes a while; who has come back meanwhile is asked again. */
bool prof_sched_read(struct prof_sched_batch *b)
{
    size_t reserve = sched.was_read ? 0 : (size_t)sched.nrings;
    size_t max = b->max_switches > reserve ? b->max_switches - reserve : 0;

    b->nswitches = b->ndelays = 0;
    bool all = take_records(b, max);
    if (!sched.was_read)
        add_those_that_ran(b);
    sched.was_read = true;
    take_delays(b);
    if (!all || !sums_are_due(b))
        return all;
    prof_sched_delays(&sched.threads, sched.tasks, b);
    all = take_records(b, b->max_switches);
    if (all)
        prof_sched_delays(&sched.threads, sched.tasks, b);
    return all;
}

static bool exists(pid_t tid)
{
    return syscall(SYS_tgkill, sched.pid, tid, 0) == 0;
}

size_t prof_sched_running(struct prof_switch *out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < sched.threads.size; i++) {
        const struct prof_sched_thread *t = &sched.threads.slot[i];
        if (!t->tid || t->kind != PROF_SWITCH_IN || !exists(t->tid))
            continue;
        if (n < max)
            out[n] = (struct prof_switch){sched.read_ns, t->tid, t->cpu, t->kind};
        n++;
    }
    return n;
}

uint64_t prof_sched_lost(void)
{
    return atomic_load_explicit(&lost, memory_order_relaxed);
}

/* ---- threads and processes ------------------------------------------------------------------- */

/* Each reading is paid for with time; so much of it may be owed. */
static bool may_note(int64_t debt_ns)
{
    static _Atomic int64_t paid_until_ns;
    int64_t now_ns = prof_now_ns();
    int64_t paid_ns = atomic_load_explicit(&paid_until_ns, memory_order_relaxed);

    if (paid_ns > now_ns + debt_ns)
        return false;
    paid_ns = (paid_ns > now_ns ? paid_ns : now_ns) + OWN_PRICE_NS;
    atomic_store_explicit(&paid_until_ns, paid_ns, memory_order_relaxed);
    return true;
}

/* The start's descriptor serves everybody. A thread with descriptors of its own, or that comes when
 * the recording ends, reads something else there, or nothing. */
static void note_self(int64_t debt_ns)
{
    struct prof_delay sums;

    if (!atomic_load_explicit(&prof_sched_active, memory_order_relaxed) || !may_note(debt_ns) ||
        !prof_delay_read(sched.tasks, prof_gettid(), &sums))
        return;
    prof_lock(&own.lock);
    if (own.n < OWN_MAX)
        own.delay[own.n++] = sums;
    prof_unlock(&own.lock);
}

void prof_sched_note_end(void)
{
    note_self(OWN_DEBT_NS);
}

/* Another wait's sums can still tell of this one; a thread that has ended cannot be asked. */
void prof_sched_note_wait(void)
{
    note_self(OWN_DEBT_NS / 2);
}

/* The parent's events are open here, too; its rings are not mapped. */
void prof_sched_fork_child(void)
{
    atomic_store(&prof_sched_active, false);
    atomic_store(&creating, 0);
    sched.lock = (struct prof_lock){0};
    own.lock = (struct prof_lock){0};
    if (sched.users)
        release(false);
    sched.users = 0;
}
