/* The drain: a thread of libprof's that empties the rings while something records.
 *
 * It comes by twenty times a second, or when a ring is half full, and copies what is new into the
 * current generation. About once a second a generation is closed and handed to the trace (trace.c,
 * which writes it out on this same thread) and to the flight recorder (flight.c, which keeps it).
 * Whoever needs everything that was recorded so far (a stop, a snapshot) makes such a pass on its
 * own thread.
 *
 * Nothing here calls the host's malloc: a thread of the host's may hold its lock for long, or for
 * ever at the end, and what it does meanwhile has to be recorded all the same. */
#include "prof/thread.h"
#include "prof/trace_internal.h"

#include <pthread.h>
#include <unistd.h>

enum {
    PASS_NS = 50000000,
    GENERATION_NS = 1000000000,
    GENERATION_BYTES = 2 << 20,
    BATCH = 8192,
    RUNNING_MAX = 256
};

struct prof_lock prof_drain_lock;

/* guarded by prof_drain_lock */
static struct prof_generation *current;
static struct prof_slot *copied; /* what a pass copies a ring to */
static size_t copied_slots;
static struct prof_trace_stats totals;
static uint64_t homeless_told, switches_told;
static struct prof_sched_batch batch; /* what a pass reads the kernel's records to */

/* guarded by begin_lock */
static struct prof_lock begin_lock;
static int users;
static unsigned long thread;
static uint32_t epoch;
static size_t generation_bytes = GENERATION_BYTES;
static bool has_switches; /* the kernel tells them; guarded by prof_drain_lock */

static _Atomic uint32_t wakes, passes; /* they change with each */
static pid_t pid;
static atomic_bool ending;

void prof_drain_wake(void)
{
    atomic_fetch_add_explicit(&wakes, 1, memory_order_relaxed);
    prof_futex_wake(&wakes);
}

/* ---- generations ----------------------------------------------------------------------------- */

static struct prof_generation *new_generation(void)
{
    struct prof_arena memory = {NULL};
    struct prof_generation *g = prof_arena_alloc(&memory, sizeof *g);
    if (!g)
        return NULL;
    atomic_init(&g->memory.chunk, atomic_load(&memory.chunk));
    atomic_init(&g->users, 1);
    g->begin_ns = prof_now_ns();
    g->bytes = sizeof *g;
    return g;
}

void prof_generation_release(struct prof_generation *g)
{
    if (atomic_fetch_sub(&g->users, 1) > 1)
        return;
    struct prof_arena memory = {NULL}; /* it lies in its own */
    atomic_init(&memory.chunk, atomic_load(&g->memory.chunk));
    prof_arena_drop(&memory);
}

/* ---- a pass ---------------------------------------------------------------------------------- */

static size_t count_events(const struct prof_slot *s, size_t n)
{
    size_t events = 0;
    for (size_t i = 0; i < n; i++)
        events += prof_event_type_of(&s[i]) != PROF_EV_MORE;
    return events;
}

static void add_block(struct prof_generation *g, const struct prof_ring *r,
                      const struct prof_slot *slots, size_t n)
{
    struct prof_block *b = prof_arena_alloc(&g->memory, sizeof *b + n * sizeof *slots);
    uint64_t events = count_events(slots, n);
    if (!b) {
        g->dropped += events;
        return;
    }
    *b = (struct prof_block){.nslots = n};
    b->tid = atomic_load_explicit(&r->tid, memory_order_relaxed);
    b->serial = atomic_load_explicit(&r->serial, memory_order_relaxed);
    memcpy(b->slots, slots, n * sizeof *slots);
    *(g->last_block ? &g->last_block->next : &g->blocks) = b;
    g->last_block = b;
    g->bytes += sizeof *b + n * sizeof *slots;
    g->events += events;
}

static bool room_to_copy(size_t nslots)
{
    if (nslots <= copied_slots)
        return true;
    prof_pages_free(copied, copied_slots * sizeof *copied);
    copied = prof_pages_alloc(nslots * sizeof *copied);
    copied_slots = copied ? nslots : 0;
    return copied != NULL;
}

static void add_switches(struct prof_generation *g)
{
    size_t switches_bytes = batch.nswitches * sizeof batch.switches[0];
    size_t delays_bytes = batch.ndelays * sizeof batch.delays[0];
    struct prof_switches *s =
        prof_arena_alloc(&g->memory, sizeof *s + switches_bytes + delays_bytes);
    if (!s) {
        g->switches_lost += batch.nswitches;
        return;
    }
    struct prof_delay *delays = (struct prof_delay *)(void *)&s->switches[batch.nswitches];
    *s = (struct prof_switches){
        .nswitches = batch.nswitches, .ndelays = batch.ndelays, .delays = delays};
    memcpy(s->switches, batch.switches, switches_bytes);
    memcpy(delays, batch.delays, delays_bytes);
    *(g->last_switches ? &g->last_switches->next : &g->switches) = s;
    g->last_switches = s;
    g->bytes += sizeof *s + switches_bytes + delays_bytes;
    g->nswitches += s->nswitches;
    g->ndelays += s->ndelays;
}

static void read_switches(struct prof_generation *g, bool closing)
{
    batch.closing = closing;
    for (bool all = false; !all && batch.switches && batch.delays;) {
        batch.nswitches = batch.ndelays = 0;
        all = prof_sched_read(&batch);
        if (batch.nswitches || batch.ndelays)
            add_switches(g);
    }
}

/* Who runs all the time has no records in a generation. */
static void note_running(struct prof_generation *g)
{
    g->running = prof_arena_alloc(&g->memory, RUNNING_MAX * sizeof *g->running);
    if (g->running)
        g->nrunning = prof_sched_running(g->running, RUNNING_MAX);
    if (g->nrunning > RUNNING_MAX)
        g->nrunning = RUNNING_MAX;
}

/* What a counter has grown by since it was last asked. */
static uint64_t grown(uint64_t now, uint64_t *told)
{
    uint64_t fresh = now > *told ? now - *told : 0;
    *told = now;
    return fresh;
}

static void close_locked(void)
{
    struct prof_generation *g = current;
    if (!g)
        return;
    current = NULL;
    prof_ticks_sync(); /* after all of its events */
    g->end_ns = prof_now_ns();
    totals.events += g->events;
    totals.dropped += g->dropped;
    totals.switches += g->nswitches;
    prof_trace_take(g);
    prof_flight_take(g);
    prof_generation_release(g);
}

/* A current generation with room in it, or NULL. */
static struct prof_generation *open_locked(void)
{
    if (current && current->bytes >= generation_bytes)
        close_locked();
    if (!current && (current = new_generation()) && has_switches)
        note_running(current);
    return current;
}

/* Copied slots, in pieces that a generation has room for. */
static void add_blocks(const struct prof_ring *r, size_t n)
{
    size_t most = generation_bytes / sizeof *copied;
    for (size_t from = 0, piece; from < n; from += piece) {
        struct prof_generation *g = open_locked();
        piece = n - from < most ? n - from : most;
        while (from + piece < n && prof_event_type_of(&copied[from + piece]) == PROF_EV_MORE)
            piece++;
        if (g)
            add_block(g, r, copied + from, piece);
    }
}

static void take_ring_locked(struct prof_ring *r)
{
    int left = PROF_RING_LEFT;
    bool leaving = atomic_load_explicit(&r->state, memory_order_acquire) == PROF_RING_LEFT;
    size_t n;
    if (!current || !room_to_copy(r->nslots))
        return; /* what overflows meanwhile is counted */
    current->dropped += prof_ring_take(r, copied, &n);
    add_blocks(r, n);
    if (leaving)
        atomic_compare_exchange_strong(&r->state, &left, PROF_RING_FREE);
}

/* closing: the generation ends with this pass. */
static void pass_locked(bool closing)
{
    if (!open_locked())
        return;
    for (struct prof_ring *r = prof_rings_first(); r; r = r->next)
        if (atomic_load_explicit(&r->epoch, memory_order_acquire) == epoch &&
            atomic_load_explicit(&r->state, memory_order_acquire) != PROF_RING_FREE)
            take_ring_locked(r);
    if (!current)
        return;
    current->dropped += grown(prof_ring_homeless(), &homeless_told);
    if (has_switches) {
        read_switches(current, closing);
        current->switches_lost += grown(prof_sched_lost(), &switches_told);
    }
}

static bool due_locked(void)
{
    return current && (current->bytes >= generation_bytes ||
                       prof_now_ns() - current->begin_ns >= GENERATION_NS);
}

static void *drain(void *arg)
{
    (void)arg;
    prof_enter(); /* for good: what this thread does is libprof's doing */
    while (!atomic_load(&ending)) {
        uint32_t seen = atomic_load(&wakes);
        prof_lock(&prof_drain_lock);
        bool closing = due_locked();
        pass_locked(closing);
        if (closing || due_locked())
            close_locked();
        prof_unlock(&prof_drain_lock);
        atomic_fetch_add(&passes, 1);
        prof_futex_wake(&passes);
        prof_trace_write_out();
        prof_futex_wait(&wakes, seen, PASS_NS);
    }
    return NULL;
}

/* A store of that many bytes is to hold several. */
void prof_drain_limit_locked(size_t store_bytes)
{
    generation_bytes = store_bytes / 8 < GENERATION_BYTES ? store_bytes / 8 : GENERATION_BYTES;
}

void prof_drain_flush(void (*then_locked)(void))
{
    prof_lock(&prof_drain_lock);
    pass_locked(true);
    close_locked();
    if (then_locked)
        then_locked();
    prof_unlock(&prof_drain_lock);
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void clear_locked(void)
{
    prof_ticks_sync_reset();
    totals = (struct prof_trace_stats){0};
    homeless_told = switches_told = 0;
    if (current)
        prof_generation_release(current);
    current = NULL;
}

static bool start_switches(const struct prof_trace_options *o)
{
    if (o->without & PROF_TRACE_SCHED || prof_sched_start() != 0)
        return false;
    switches_told = prof_sched_lost(); /* by the recordings before */
    batch = (struct prof_sched_batch){.max_switches = BATCH, .max_delays = BATCH};
    batch.switches = prof_pages_alloc(BATCH * sizeof *batch.switches);
    batch.delays = prof_pages_alloc(BATCH * sizeof *batch.delays);
    return true;
}

static int start_locked(const struct prof_trace_options *o)
{
    prof_ticks_init();
    pid = getpid();
    prof_ring_configure(o);
    prof_lock(&prof_drain_lock);
    clear_locked();
    epoch++;
    prof_unlock(&prof_drain_lock);
    atomic_store(&ending, false);
    atomic_store(&prof_trace_without, o->without);
    int rc = prof_own_thread(&thread, "prof trace", drain, NULL);
    if (rc < 0)
        return rc;
    prof_lock(&prof_drain_lock);
    has_switches = start_switches(o);
    prof_unlock(&prof_drain_lock);
    atomic_store(&prof_trace_began, prof_ticks());
    __atomic_store_n(&prof_trace_gate, epoch, __ATOMIC_RELEASE);
    return 0;
}

static void stop_locked(void)
{
    __atomic_store_n(&prof_trace_gate, 0, __ATOMIC_RELEASE);
    atomic_store(&ending, true);
    prof_drain_wake();
    prof_own_join(thread);
    prof_lock(&prof_drain_lock);
    if (has_switches)
        prof_sched_stop();
    has_switches = false;
    prof_pages_free(batch.switches, BATCH * sizeof *batch.switches);
    prof_pages_free(batch.delays, BATCH * sizeof *batch.delays);
    batch = (struct prof_sched_batch){0};
    prof_rings_release();
    prof_pages_free(copied, copied_slots * sizeof *copied);
    copied = NULL;
    copied_slots = 0;
    prof_unlock(&prof_drain_lock);
}

int prof_drain_begin(const struct prof_trace_options *options)
{
    prof_lock(&begin_lock);
    int rc = users == 0 ? start_locked(options) : 0;
    users += rc == 0;
    prof_unlock(&begin_lock);
    return rc;
}

void prof_drain_end(void)
{
    prof_lock(&begin_lock);
    if (--users == 0)
        stop_locked();
    prof_unlock(&begin_lock);
}

void prof_drain_stats(struct prof_trace_stats *out)
{
    prof_lock(&prof_drain_lock);
    *out = totals;
    if (current) {
        out->events += current->events;
        out->dropped += current->dropped;
        out->switches += current->nswitches;
    }
    out->ring_bytes = prof_ring_bytes();
    prof_unlock(&prof_drain_lock);
}

pid_t prof_drain_pid(void)
{
    return pid;
}

/* The pass that goes on may have begun too early, so it is the next but one that counts. */
void prof_drain_hurry(int64_t ns)
{
    int64_t end_ns = prof_now_ns() + ns;
    uint32_t wanted = atomic_load(&passes) + 2, now;
    while ((int32_t)(wanted - (now = atomic_load(&passes))) > 0 && prof_now_ns() < end_ns) {
        prof_drain_wake();
        prof_futex_wait(&passes, now, 1000000);
    }
}

/* The kernel's records are not mapped here. */
void prof_drain_crash_child(void)
{
    begin_lock = prof_drain_lock = (struct prof_lock){0};
    has_switches = false;
}

/* The thread is the parent's, and so is what it had in hand; its memory is lost to the child, as it
 * may have been in the middle of changing it. */
void prof_drain_fork_child(void)
{
    users = 0;
    begin_lock = prof_drain_lock = (struct prof_lock){0};
    current = NULL;
    copied = NULL;
    copied_slots = 0;
    has_switches = false;
    batch = (struct prof_sched_batch){0};
    prof_ring_fork_child();
}
