/* A generation as a chunk of Perfetto's packets, complete in itself: clocks, who is there, strings
 * and stacks, then the events in the order of time, on a sequence of the chunk's own.
 *
 * The format is Perfetto's, described in its sources under protos/perfetto/trace/. An event of a
 * ring is one packet or several: a region or a wait is a beginning and an end, and the end of a
 * wait brings an instant on the track of who ended it, with a flow from there. */
#include "prof/perfetto.h"
#include "prof/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

size_t perfetto_packet_begin(struct perfetto *p, int64_t ns)
{
    size_t at = prof_wire_begin(p->w, TRACE_PACKET);
    if (ns)
        prof_wire_uint(p->w, PACKET_TIMESTAMP, (uint64_t)ns);
    prof_wire_uint(p->w, PACKET_SEQUENCE_ID, p->chunk->sequence);
    prof_wire_uint(p->w, PACKET_SEQUENCE_FLAGS, SEQUENCE_NEEDS);
    return at;
}

/* ---- gathering ------------------------------------------------------------------------------- */

static void add_ref(struct perfetto *p, int64_t ns, const struct prof_slot *slot, pid_t tid,
                    enum phase phase)
{
    if (p->nrefs == p->refs_capacity) {
        size_t capacity = p->refs_capacity ? p->refs_capacity * 2 : 4096;
        struct ref *more = realloc(p->refs, capacity * sizeof *more);
        if (!more) {
            p->failed = true;
            return;
        }
        p->refs = more;
        p->refs_capacity = capacity;
    }
    p->refs[p->nrefs++] = (struct ref){ns, slot, tid, phase};
}

static void add_names(struct perfetto *p, uint64_t names, enum fixed_category otherwise)
{
    uint32_t category = (uint32_t)(names >> 32);
    perfetto_add_name(p, (uint32_t)names % FIXED_IID);
    perfetto_add_category(p, category ? category % FIXED_IID : FIXED_IID + otherwise);
}

/* A thread may have waited for hours; the picture begins with the file. A little earlier, in the
 * same order, so that slices go on nesting. */
static int64_t wait_begin_ns(const struct perfetto *p, uint64_t ticks)
{
    int64_t ns = prof_ticks_ns(ticks), before = p->chunk->file_begin_ns - ns;
    return before > 0 ? p->chunk->file_begin_ns - 1 - before / 16384 : ns;
}

static void add_wait(struct perfetto *p, const struct prof_slot *s, pid_t tid)
{
    uint64_t end = prof_event_ticks(s), wake = prof_event_ticks(&s[1]);
    unsigned what = s[1].word[3] & 0xff, how = s[1].word[3] >> 8 & 0xff;
    pid_t waker = (pid_t)(s[1].word[2] >> 32);
    add_ref(p, wait_begin_ns(p, s->word[1]), s, tid, PHASE_BEGIN);
    add_ref(p, prof_ticks_ns(end), s, tid, PHASE_END);
    perfetto_add_stack(p, perfetto_stack_of(s->word[3]));
    perfetto_add_name(p, FIXED_IID + what % PROF_WHATS);
    perfetto_add_category(p, FIXED_IID + perfetto_wait_category(what));
    if (!waker || !how)
        return;
    add_ref(p, prof_ticks_ns(wake), s, tid, PHASE_WAKE);
    perfetto_add_stack(p, perfetto_stack_of(s[1].word[1]));
    perfetto_add_thread(p, waker, NULL);
    perfetto_add_name(p, FIXED_IID + NAME_UNLOCK + how - PROF_WAKE_UNLOCK);
    perfetto_add_category(p, FIXED_IID + CATEGORY_WAKE);
}

static void add_event(struct perfetto *p, const struct prof_slot *s, pid_t tid)
{
    uint64_t ticks = prof_event_ticks(s);
    char name[17] = "";
    switch (prof_event_type_of(s)) {
    case PROF_EV_REGION:
        add_names(p, s->word[2], CATEGORY_REGION);
        add_ref(p, prof_ticks_ns(s->word[1]), s, tid, PHASE_BEGIN);
        add_ref(p, prof_ticks_ns(ticks), s, tid, PHASE_END);
        return;
    case PROF_EV_WAIT:
        add_wait(p, s, tid);
        return;
    case PROF_EV_TASK_END:
        if (s->word[3] && prof_ticks_ns(s->word[3]) < p->chunk->file_begin_ns)
            add_ref(p, prof_ticks_ns(s->word[3]), s, tid, PHASE_BEGIN);
        break;
    case PROF_EV_THREAD_START:
        perfetto_add_stack(p, perfetto_stack_of(s->word[2]));
        perfetto_add_pc(p, s->word[1]);
        break;
    case PROF_EV_THREAD_EXIT:
        memcpy(name, &s->word[1], 16);
        perfetto_add_thread(p, tid, name);
        break;
    case PROF_EV_SAMPLE:
        perfetto_add_stack(p, perfetto_stack_of(s->word[1]));
        break;
    case PROF_EV_NONE:
    case PROF_EV_MORE:
        return;
    default:
        break;
    }
    add_ref(p, prof_ticks_ns(ticks), s, tid, PHASE_ONLY);
}

/* ---- what has not ended ---------------------------------------------------------------------- */

/* A wait takes two. They are not moved any more once events refer to them. */
static struct prof_slot *open_slots(struct perfetto *p, size_t n)
{
    if (p->nopen + n > p->open_capacity)
        return NULL;
    p->nopen += n;
    return &p->open[p->nopen - n];
}

/* The threads go on while this is written. */
static bool in_time(const struct perfetto *p, uint64_t ticks)
{
    return prof_ticks_ns(ticks) <= p->chunk->generation->end_ns;
}

static void add_open_regions(struct perfetto *p, const struct prof_ring *r)
{
    uint32_t seen = atomic_load_explicit(&r->opened, memory_order_acquire);
    uint32_t depth = atomic_load_explicit(&r->depth, memory_order_relaxed);
    pid_t tid = atomic_load_explicit(&r->tid, memory_order_relaxed);
    size_t refs = p->nrefs, slots = p->nopen;
    for (uint32_t i = 0; i < depth && i < PROF_REGION_DEPTH; i++) {
        const struct prof_open_region *o = &r->open[i];
        uint64_t names = atomic_load_explicit(&o->names, memory_order_relaxed);
        uint64_t begin = atomic_load_explicit(&o->begin, memory_order_relaxed);
        struct prof_slot *s = names && in_time(p, begin) ? open_slots(p, 1) : NULL;
        if (!s)
            continue;
        s->word[0] = prof_event_word(PROF_EV_REGION, 0);
        s->word[1] = begin;
        s->word[2] = names;
        s->word[3] = atomic_load_explicit(&o->task, memory_order_relaxed);
        add_names(p, names, CATEGORY_REGION);
        add_ref(p, prof_ticks_ns(s->word[1]), s, tid, PHASE_BEGIN);
    }
    if (atomic_load_explicit(&r->opened, memory_order_acquire) !=
        seen) { /* changed meanwhile: then it is no news */
        p->nrefs = refs;
        p->nopen = slots;
    }
}

static void add_open_wait(struct perfetto *p, pid_t tid, uint64_t since, uint64_t object,
                          uint64_t stack, uint64_t holder, unsigned what, int fd)
{
    struct prof_slot *s = in_time(p, since) ? open_slots(p, 2) : NULL;
    if (!s)
        return;
    s[0] = (struct prof_slot){{prof_event_word(PROF_EV_WAIT, 0), since, object, stack}};
    s[1] = (struct prof_slot){{0, 0, holder, what | (uint64_t)(uint32_t)fd << 32}};
    add_ref(p, wait_begin_ns(p, since), s, tid, PHASE_BEGIN);
    perfetto_add_stack(p, perfetto_stack_of(stack));
    perfetto_add_name(p, FIXED_IID + what);
}

/* false: the ring knows of none. */
static bool add_ring_wait(struct perfetto *p, const struct prof_ring *r)
{
    uint64_t since = atomic_load_explicit(&r->wait_since, memory_order_acquire);
    uint64_t object = atomic_load_explicit(&r->wait_object, memory_order_relaxed);
    uint64_t stack = atomic_load_explicit(&r->wait_stack, memory_order_relaxed);
    uint64_t holder = atomic_load_explicit(&r->wait_holder, memory_order_relaxed);
    int what = atomic_load_explicit(&r->wait_what, memory_order_relaxed);
    int fd = atomic_load_explicit(&r->wait_fd, memory_order_relaxed);
    if (!since || atomic_load_explicit(&r->wait_since, memory_order_acquire) != since)
        return false;
    add_open_wait(p, atomic_load_explicit(&r->tid, memory_order_relaxed), since, object, stack,
                  holder, (unsigned)what % PROF_WHATS, fd);
    return true;
}

/* Threads that wait since before the recording have no ring; the profiles' hooks know of them. */
static void add_old_wait(struct perfetto *p, const struct prof_thread *t)
{
    int kind = atomic_load_explicit(&t->wait_kind, memory_order_acquire);
    if (kind == PROF_WAIT_NONE ||
        atomic_load_explicit(&t->wait_since_ns, memory_order_relaxed) > p->chunk->file_begin_ns)
        return;
    add_open_wait(p, atomic_load_explicit(&t->tid, memory_order_relaxed),
                  atomic_load(&prof_trace_began),
                  (uintptr_t)atomic_load_explicit(&t->wait_object, memory_order_relaxed), 0, 0,
                  (unsigned)prof_wait_what(kind), -1);
}

static void add_open(struct perfetto *p)
{
    uint32_t epoch = __atomic_load_n(&prof_trace_gate, __ATOMIC_ACQUIRE);
    size_t rings = 1;
    for (struct prof_ring *r = prof_rings_first(); r; r = r->next)
        rings++;
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        rings++;
    p->open_capacity = rings * (PROF_REGION_DEPTH / 4 + 2);
    p->open = calloc(p->open_capacity, sizeof *p->open);
    p->failed |= !p->open;
    for (struct prof_thread *t = prof_threads_first(); t && p->open; t = t->next) {
        if (atomic_load_explicit(&t->tid, memory_order_acquire) == 0)
            continue;
        const struct prof_ring *r = atomic_load_explicit(&t->ring, memory_order_acquire);
        if (!r || atomic_load_explicit(&r->epoch, memory_order_acquire) != epoch) {
            add_old_wait(p, t);
            continue;
        }
        add_open_regions(p, r);
        if (!add_ring_wait(p, r))
            add_old_wait(p, t);
    }
}

/* ---- the order of time ----------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
    const struct ref *x = a, *y = b;
    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    return (x->phase > y->phase) - (x->phase < y->phase);
}

static void gather(struct perfetto *p)
{
    for (const struct prof_block *b = p->chunk->generation->blocks; b; b = b->next) {
        perfetto_add_thread(p, b->tid, NULL);
        for (size_t i = 0; i < b->nslots; i++)
            add_event(p, &b->slots[i], b->tid);
    }
    if (p->chunk->last)
        add_open(p);
    if (p->nrefs)
        qsort(p->refs, p->nrefs, sizeof *p->refs, by_time);
    perfetto_add_switched_threads(p);
    if (p->chunk->first || p->chunk->last)
        perfetto_add_live_threads(p);
    for (unsigned i = NAME_EXIT; i < NAMES; i++)
        perfetto_add_name(p, FIXED_IID + i);
    for (unsigned i = 0; i < CATEGORIES; i++)
        perfetto_add_category(p, FIXED_IID + i);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts = {0};
    clock_gettime(clock, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void write_clock(struct perfetto *p, uint64_t id, int64_t ns)
{
    size_t at = prof_wire_begin(p->w, 1);
    prof_wire_uint(p->w, 1, id);
    prof_wire_uint(p->w, 2, (uint64_t)ns);
    prof_wire_end(p->w, at);
}

/* How much later BOOTTIME is: it changes when the machine sleeps, and otherwise only seems to,
 * because the clocks cannot be read at once. */
static int64_t boot_offset(int64_t monotonic_ns)
{
    enum { JITTER_NS = 1000000 };
    static _Atomic int64_t known = INT64_MIN;
    int64_t ns = clock_ns(CLOCK_BOOTTIME) - monotonic_ns, was = atomic_load(&known);
    if (was != INT64_MIN && ns - was < JITTER_NS && was - ns < JITTER_NS)
        return was;
    ns = ns < JITTER_NS ? 0 : ns;
    atomic_store(&known, ns);
    return ns;
}

/* What the three clocks showed when the generation began, so that the sequence begins with it. */
static void write_first(struct perfetto *p)
{
    const struct prof_generation *g = p->chunk->generation;
    int64_t now = prof_now_ns(), real_ns = clock_ns(CLOCK_REALTIME) - now;
    p->boot_ns = boot_offset(now);
    size_t packet = prof_wire_begin(p->w, TRACE_PACKET);
    prof_wire_uint(p->w, PACKET_TIMESTAMP, (uint64_t)g->begin_ns);
    prof_wire_uint(p->w, PACKET_TIMESTAMP_CLOCK, CLOCK_MONOTONIC_ID);
    prof_wire_uint(p->w, PACKET_SEQUENCE_ID, p->chunk->sequence);
    prof_wire_uint(p->w, PACKET_SEQUENCE_FLAGS, SEQUENCE_CLEARED);
    prof_wire_uint(p->w, PACKET_FIRST_ON_SEQUENCE, 1);
    if (g->dropped || g->switches_lost)
        prof_wire_uint(p->w, PACKET_PREVIOUS_DROPPED, 1);
    size_t defaults = prof_wire_begin(p->w, PACKET_DEFAULTS);
    prof_wire_uint(p->w, PACKET_TIMESTAMP_CLOCK, CLOCK_MONOTONIC_ID);
    prof_wire_end(p->w, defaults);
    size_t clocks = prof_wire_begin(p->w, PACKET_CLOCK_SNAPSHOT);
    write_clock(p, CLOCK_MONOTONIC_ID, g->begin_ns);
    write_clock(p, CLOCK_BOOTTIME_ID, g->begin_ns + p->boot_ns);
    write_clock(p, CLOCK_REALTIME_ID, g->begin_ns + real_ns);
    prof_wire_uint(p->w, 2, CLOCK_MONOTONIC_ID);
    prof_wire_end(p->w, clocks);
    prof_wire_end(p->w, packet);
}

/* ---- the chunk ------------------------------------------------------------------------------- */

void prof_perfetto_chunk(struct prof_wire *w, const struct prof_chunk *c)
{
    struct perfetto *p = calloc(1, sizeof *p);
    if (!p) {
        w->error = -ENOMEM;
        return;
    }
    p->w = w;
    p->chunk = c;
    p->pid = prof_drain_pid();
    write_first(p);
    gather(p);
    perfetto_write_threads(p);
    perfetto_write_interned(p);
    perfetto_write_switches(p);
    perfetto_write_events(p);
    perfetto_write_notices(p);
    if (p->failed && !w->error)
        w->error = -ENOMEM;
    perfetto_stacks_free(p);
    free(p->refs);
    free(p->open);
    free(p->threads);
    free(p->tracks);
    free(p);
}
