/* A chunk's events: what each slot of a ring becomes. */
#include "prof/perfetto.h"

/* ---- events ---------------------------------------------------------------------------------- */

struct event { /* a packet with a TrackEvent, open */
    size_t packet, message;
};

static struct event event_begin(struct perfetto *p, int64_t ns, int type, uint64_t track)
{
    struct event e;
    e.packet = perfetto_packet_begin(p, ns);
    e.message = prof_wire_begin(p->w, PACKET_TRACK_EVENT);
    prof_wire_uint(p->w, EVENT_TYPE, (uint64_t)type);
    prof_wire_uint(p->w, EVENT_TRACK, track);
    return e;
}

static void event_end(struct perfetto *p, struct event e)
{
    prof_wire_end(p->w, e.message);
    prof_wire_end(p->w, e.packet);
}

static void event_name(struct perfetto *p, uint64_t category_iid, uint64_t name_iid)
{
    prof_wire_uint(p->w, EVENT_CATEGORY_IIDS, category_iid);
    prof_wire_uint(p->w, EVENT_NAME_IID, name_iid);
}

/* names: as in a slot. */
static void event_names(struct perfetto *p, uint64_t names, enum fixed_category otherwise)
{
    uint32_t category = (uint32_t)(names >> 32);
    event_name(p, category ? category : (uint32_t)FIXED_IID + otherwise, (uint32_t)names);
}

static void annotate(struct perfetto *p, enum annotation name, uint64_t value)
{
    size_t at = prof_wire_begin(p->w, EVENT_ANNOTATIONS);
    prof_wire_uint(p->w, 1, name);
    prof_wire_uint(p->w, 3, value);
    prof_wire_end(p->w, at);
}

static void annotate_string(struct perfetto *p, enum annotation name, const char *value)
{
    size_t at = prof_wire_begin(p->w, EVENT_ANNOTATIONS);
    prof_wire_uint(p->w, 1, name);
    prof_wire_string(p->w, 6, value);
    prof_wire_end(p->w, at);
}

static void event_stack(struct perfetto *p, uint64_t stack)
{
    uint64_t iid = perfetto_stack_iid(p, perfetto_stack_of(stack));
    if (iid)
        prof_wire_uint(p->w, EVENT_CALLSTACK_IID, iid);
}

/* The same for both ends, and for no other wait: nobody waits twice until the same tick. */
static uint64_t flow_of(const struct ref *r)
{
    return prof_event_ticks(r->slot) ^ (uint64_t)r->tid << 40;
}

static bool has_waker(const struct prof_slot *s)
{
    return s[1].word[2] >> 32 && (s[1].word[3] >> 8 & 0xff);
}

static void write_wait(struct perfetto *p, const struct ref *r)
{
    const struct prof_slot *s = r->slot;
    unsigned what = s[1].word[3] & 0xff;
    bool begin = r->phase == PHASE_BEGIN;
    struct event e =
        event_begin(p, r->ns, begin ? TYPE_BEGIN : TYPE_END, perfetto_thread_track(p, r->tid));
    if (begin) {
        event_name(p, (uint64_t)FIXED_IID + perfetto_wait_category(what), FIXED_IID + what);
        if (s->word[2])
            annotate(p, ANNOTATION_LOCK, s->word[2]);
        if (what >= PROF_WHAT_MUTEX && what <= PROF_WHAT_WRLOCK)
            annotate(p, ANNOTATION_HOLDER, (uint32_t)s[1].word[2]);
        if ((int32_t)(s[1].word[3] >> 32) >= 0)
            annotate(p, ANNOTATION_FD, s[1].word[3] >> 32);
        event_stack(p, s->word[3]);
    } else if (has_waker(s)) {
        annotate(p, ANNOTATION_WOKEN_BY, s[1].word[2] >> 32);
        prof_wire_fixed64(p->w, EVENT_TERMINATING_FLOWS, flow_of(r));
    }
    event_end(p, e);
}

/* Whom this instant ends the wait of, too: a broadcast is one event. */
static bool same_wake(const struct ref *a, const struct ref *b)
{
    return b->phase == PHASE_WAKE && b->ns == a->ns && b->slot[1].word[1] == a->slot[1].word[1] &&
           b->slot[1].word[2] >> 32 == a->slot[1].word[2] >> 32;
}

/* How many refs it has taken. */
static size_t write_wake(struct perfetto *p, const struct ref *r, size_t left)
{
    const struct prof_slot *s = r->slot;
    unsigned how = s[1].word[3] >> 8 & 0xff;
    size_t n = 1;
    struct event e =
        event_begin(p, r->ns, TYPE_INSTANT, perfetto_thread_track(p, (pid_t)(s[1].word[2] >> 32)));
    event_name(p, FIXED_IID + CATEGORY_WAKE, FIXED_IID + NAME_UNLOCK + how - PROF_WAKE_UNLOCK);
    annotate(p, ANNOTATION_LOCK, s->word[2]);
    event_stack(p, s[1].word[1]);
    prof_wire_fixed64(p->w, EVENT_FLOWS, flow_of(r));
    for (; n < left && same_wake(r, r + n); n++)
        prof_wire_fixed64(p->w, EVENT_FLOWS, flow_of(r + n));
    event_end(p, e);
    return n;
}

static void write_region(struct perfetto *p, const struct ref *r)
{
    bool begin = r->phase == PHASE_BEGIN;
    struct event e =
        event_begin(p, r->ns, begin ? TYPE_BEGIN : TYPE_END, perfetto_thread_track(p, r->tid));
    if (begin) {
        event_names(p, r->slot->word[2], CATEGORY_REGION);
        if (r->slot->word[3])
            annotate(p, ANNOTATION_TASK, r->slot->word[3]);
    }
    event_end(p, e);
}

static uint64_t task_track(const struct perfetto *p, uint64_t task)
{
    return UINT64_C(1) << 62 | (uint64_t)(uint32_t)p->pid << 32 | (uint32_t)task;
}

static void write_task(struct perfetto *p, const struct ref *r)
{
    const struct prof_slot *s = r->slot;
    bool starts = prof_event_type_of(s) == PROF_EV_TASK_BEGIN,
         begin = starts || r->phase == PHASE_BEGIN;
    perfetto_write_track(p, task_track(p, s->word[2]), prof_name_text((uint32_t)s->word[1]), -1);
    struct event e =
        event_begin(p, r->ns, begin ? TYPE_BEGIN : TYPE_END, task_track(p, s->word[2]));
    if (begin) {
        prof_wire_uint(p->w, EVENT_CATEGORY_IIDS, FIXED_IID + CATEGORY_TASK);
        prof_wire_string(p->w, EVENT_NAME, prof_name_text((uint32_t)s->word[1]));
        annotate(p, ANNOTATION_TASK, s->word[2]);
        if (starts && s->word[3])
            annotate(p, ANNOTATION_PARENT, s->word[3]);
    }
    event_end(p, e);
}

static void write_log(struct perfetto *p, const struct ref *r)
{
    char text[PROF_LOG_BYTES_MAX + 1];
    const struct prof_slot *s = r->slot;
    size_t n = s->word[1] >> 32, at = 8;
    n = n > PROF_LOG_BYTES_MAX ? PROF_LOG_BYTES_MAX : n;
    memcpy(text, &s->word[3], n < at ? n : at);
    for (; at < n; at += 24)
        memcpy(text + at, &(++s)->word[1], n - at < 24 ? n - at : 24);
    text[n] = '\0';
    struct prof_pool pool = {0};
    uint32_t i = prof_pool_intern(&pool, text, n);
    struct event e = event_begin(p, r->ns, TYPE_INSTANT, perfetto_thread_track(p, r->tid));
    prof_wire_uint(p->w, EVENT_CATEGORY_IIDS, FIXED_IID + CATEGORY_LOG);
    prof_wire_string(p->w, EVENT_NAME, pool.strings ? pool.strings[i] : "");
    if (*prof_name_text((uint32_t)r->slot->word[1]))
        annotate_string(p, ANNOTATION_CATEGORY, prof_name_text((uint32_t)r->slot->word[1]));
    if (r->slot->word[2])
        annotate(p, ANNOTATION_TASK, r->slot->word[2]);
    event_end(p, e);
    prof_pool_free(&pool);
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void write_counter(struct perfetto *p, const struct ref *r)
{
    enum { UNIT_NS = 1, UNIT_BYTES = 3 };
    uint64_t names = r->slot->word[1];
    const char *name = prof_name_text((uint32_t)names);
    uint64_t track = UINT64_C(1) << 61 | (uint64_t)(uint32_t)p->pid << 28 | (names >> 32) << 14 |
                     (uint32_t)names;
    perfetto_write_track(p, track, name,
                         ends_in(name, "_bytes") ? UNIT_BYTES
                         : ends_in(name, "_ns")  ? UNIT_NS
                                                 : 0);
    struct event e = event_begin(p, r->ns, TYPE_COUNTER, track);
    prof_wire_uint(p->w, EVENT_COUNTER_VALUE, r->slot->word[2]);
    event_end(p, e);
}

static void write_gc(struct perfetto *p, const struct ref *r)
{
    const struct prof_slot *s = r->slot;
    enum prof_gc_phase phase = s->word[1] & 0xff;
    uint64_t track = UINT64_C(1) << 60 | perfetto_process_track(p);
    bool begin = phase == PROF_GC_BEGIN || phase == PROF_GC_STW_BEGIN;
    perfetto_write_track(p, track, "GC", -1);
    struct event e = event_begin(p, r->ns, begin ? TYPE_BEGIN : TYPE_END, track);
    if (begin)
        event_name(p, FIXED_IID + CATEGORY_GC,
                   FIXED_IID + (phase == PROF_GC_BEGIN ? NAME_GC : NAME_STOP_THE_WORLD));
    if (phase == PROF_GC_BEGIN)
        annotate(p, ANNOTATION_NUMBER, s->word[1] >> 8);
    if (phase == PROF_GC_END && (int64_t)s->word[2] >= 0)
        annotate(p, ANNOTATION_LIVE, s->word[2]);
    if (phase == PROF_GC_END && (int64_t)s->word[3] >= 0)
        annotate(p, ANNOTATION_GOAL, s->word[3]);
    event_end(p, e);
}

static void write_thread_life(struct perfetto *p, const struct ref *r)
{
    const struct prof_slot *s = r->slot;
    bool start = prof_event_type_of(s) == PROF_EV_THREAD_START;
    struct event e = event_begin(p, r->ns, TYPE_INSTANT, perfetto_thread_track(p, r->tid));
    event_name(p, FIXED_IID + CATEGORY_THREAD, FIXED_IID + (start ? NAME_START : NAME_EXIT));
    if (start) {
        annotate_string(p, ANNOTATION_START_FUNCTION, perfetto_function(p, s->word[1]));
        if (s->word[3])
            annotate(p, ANNOTATION_CREATOR, s->word[3]);
        event_stack(p, s->word[2]);
    }
    event_end(p, e);
}

static void write_sample(struct perfetto *p, const struct ref *r)
{
    enum { MODE_USER = 2 };
    size_t packet = perfetto_packet_begin(p, r->ns);
    size_t sample = prof_wire_begin(p->w, PACKET_PERF_SAMPLE);
    prof_wire_uint(p->w, 2, (uint64_t)p->pid);
    prof_wire_uint(p->w, 3, (uint64_t)r->tid);
    uint64_t iid = perfetto_stack_iid(p, perfetto_stack_of(r->slot->word[1]));
    if (iid)
        prof_wire_uint(p->w, 4, iid);
    prof_wire_uint(p->w, 5, MODE_USER);
    prof_wire_end(p->w, sample);
    prof_wire_end(p->w, packet);
}

void perfetto_write_events(struct perfetto *p)
{
    for (size_t i = 0; i < p->nrefs; i++) {
        const struct ref *r = &p->refs[i];
        switch (prof_event_type_of(r->slot)) {
        case PROF_EV_REGION:
            write_region(p, r);
            break;
        case PROF_EV_WAIT:
            if (r->phase == PHASE_WAKE)
                i += write_wake(p, r, p->nrefs - i) - 1;
            else
                write_wait(p, r);
            break;
        case PROF_EV_TASK_BEGIN:
        case PROF_EV_TASK_END:
            write_task(p, r);
            break;
        case PROF_EV_LOG:
            write_log(p, r);
            break;
        case PROF_EV_COUNTER:
            write_counter(p, r);
            break;
        case PROF_EV_GC:
            write_gc(p, r);
            break;
        case PROF_EV_THREAD_START:
        case PROF_EV_THREAD_EXIT:
            write_thread_life(p, r);
            break;
        case PROF_EV_SAMPLE:
            write_sample(p, r);
            break;
        default:
            break;
        }
    }
}

/* ---- notices --------------------------------------------------------------------------------- */

static void write_notice(struct perfetto *p, const char *text, uint64_t dropped)
{
    struct event e =
        event_begin(p, p->chunk->generation->end_ns, TYPE_INSTANT, perfetto_process_track(p));
    prof_wire_uint(p->w, EVENT_CATEGORY_IIDS, FIXED_IID + CATEGORY_NOTICE);
    prof_wire_string(p->w, EVENT_NAME, text);
    if (dropped)
        annotate(p, ANNOTATION_DROPPED, dropped);
    event_end(p, e);
}

void perfetto_write_notices(struct perfetto *p)
{
    char text[200];
    const struct prof_generation *g = p->chunk->generation;
    if (g->dropped) {
        snprintf(text, sizeof text, "%llu events were dropped: their threads' rings were full",
                 (unsigned long long)g->dropped);
        write_notice(p, text, g->dropped);
    }
    if (g->switches_lost) {
        snprintf(text, sizeof text,
                 "%llu context switches were lost: the kernel's buffers were full",
                 (unsigned long long)g->switches_lost);
        write_notice(p, text, g->switches_lost);
    }
    if (!p->chunk->first)
        return;
    if (*prof_sched_missing())
        write_notice(p, prof_sched_missing(), 0);
    if (g->nswitches)
        write_notice(p,
                     "wakeups are inferred from who unlocked or signalled: the kernel tells of "
                     "switches only",
                     0);
}
