/* A Perfetto trace, packet by packet: https://perfetto.dev/docs/reference/trace-packet-proto.
 * Packets of a writer refer to what it wrote before (its state), until it says that it begins anew.
 * Fields that are not known are skipped, so that traces of other recorders show what can be
 * understood. */
#include "cmd/trace/reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { TRACE_PACKET = 1 };
enum {
    PACKET_FTRACE = 1,
    PACKET_PROCESS_TREE = 2,
    PACKET_CLOCKS = 6,
    PACKET_TIMESTAMP = 8,
    PACKET_SEQUENCE = 10,
    PACKET_TRACK_EVENT = 11,
    PACKET_INTERNED = 12,
    PACKET_FLAGS = 13,
    PACKET_CLEARED = 41,
    PACKET_DROPPED = 42,
    PACKET_COMPRESSED = 50,
    PACKET_CLOCK_ID = 58,
    PACKET_DEFAULTS = 59,
    PACKET_TRACK = 60,
    PACKET_SAMPLE = 66,
};
enum { FLAG_CLEARED = 1, FLAG_NEEDS_STATE = 2 };
enum { DEFAULTS_TRACK_EVENT = 11, DEFAULTS_CLOCK_ID = 58, TRACK_EVENT_DEFAULT_TRACK = 11 };
enum { SAMPLE_TID = 3, SAMPLE_STACK = 4 };
enum { PROGRESS_BYTES = 1 << 20, UNPACKED_MAX = 64 << 20 };

/* The order of enum known. */
static const char *const known[KNOWN_STRINGS] = {
    "",         "block",          "syscall",        "wake",      "region",
    "log",      "task",           "thread",         "gc",        "notice",
    "start",    "exit",           "stop the world", "lock",      "fd",
    "holder",   "woken_by",       "parent",         "number",    "dropped",
    "category", "start_function", "creator",        "(no name)",
};

void reader_begin(struct reader *r, struct trace *t)
{
    *r = (struct reader){.t = t};
    for (int i = 0; i < KNOWN_STRINGS; i++)
        prof_pool_intern(&t->strings, known[i], strlen(known[i]));
    t->stacks = array_grow(NULL, 0, &r->cstacks, sizeof *t->stacks);
    t->stacks[t->nstacks++] = (struct trace_stack){0, 0};
}

uint32_t reader_string(struct reader *r, const struct message *text)
{
    return prof_pool_intern(&r->t->strings, (const char *)text->at, message_size(text));
}

static void add_notice(struct reader *r, uint32_t text, uint64_t dropped)
{
    struct trace *t = r->t;

    t->notices = array_grow(t->notices, t->nnotices, &r->cnotices, sizeof *t->notices);
    t->notices[t->nnotices++] = (struct trace_notice){text, dropped};
    t->dropped += dropped;
}

void reader_notice(struct reader *r, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add_notice(r, prof_pool_intern(&r->t->strings, text, strlen(text)), 0);
}

/* ---- a packet -------------------------------------------------------------------------------- */

struct packet {
    uint64_t timestamp, clock, sequence, flags;
    bool has_timestamp, dropped;
    struct message defaults, clocks, compressed;
};

static struct sequence *sequence_of(struct reader *r, uint64_t id)
{
    uint32_t i = id_map_get(&r->sequence_of, id);

    if (i == TRACE_NONE) {
        i = r->nsequences++;
        r->sequences = array_grow(r->sequences, i, &r->csequences, sizeof *r->sequences);
        r->sequences[i] = (struct sequence){0};
        id_map_set(&r->sequence_of, id, i);
    }
    return &r->sequences[i];
}

static void read_header_field(struct packet *p, const struct message_field *f)
{
    switch (f->number) {
    case PACKET_TIMESTAMP:
        p->timestamp = f->value;
        p->has_timestamp = true;
        break;
    case PACKET_CLOCK_ID:
        p->clock = f->value;
        break;
    case PACKET_SEQUENCE:
        p->sequence = f->value;
        break;
    case PACKET_FLAGS:
        p->flags |= f->value;
        break;
    case PACKET_CLEARED:
        p->flags |= f->value ? FLAG_CLEARED : 0;
        break;
    case PACKET_DROPPED:
        p->dropped = f->value != 0;
        break;
    case PACKET_DEFAULTS:
        p->defaults = f->bytes;
        break;
    case PACKET_CLOCKS:
        p->clocks = f->bytes;
        break;
    case PACKET_COMPRESSED:
        p->compressed = f->bytes;
        break;
    }
}

static void read_defaults(struct sequence *s, struct message m)
{
    struct message_field f, g;

    while (message_next(&m, &f)) {
        if (f.number == DEFAULTS_CLOCK_ID)
            s->default_clock = f.value;
        else if (f.number == DEFAULTS_TRACK_EVENT)
            while (message_next(&f.bytes, &g))
                if (g.number == TRACK_EVENT_DEFAULT_TRACK)
                    s->default_track = g.value;
    }
}

static void read_sample(struct reader *r, struct sequence *s, int64_t ns, struct message m)
{
    struct raw_sample sample = {.ns = ns};
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.number == SAMPLE_TID)
            sample.tid = (int32_t)f.value;
        else if (f.number == SAMPLE_STACK)
            sample.stack = id_map_get(&s->stacks, f.value);
    }
    if (sample.stack == TRACE_NONE)
        sample.stack = 0;
    r->samples = array_grow(r->samples, r->nsamples, &r->csamples, sizeof *r->samples);
    r->samples[r->nsamples++] = sample;
}

/* What a packet says, once its header is known. */
static void read_body(struct reader *r, struct sequence *s, const struct packet *p,
                      struct message m)
{
    uint64_t clock = p->clock ? p->clock : s->default_clock;
    int64_t ns = p->has_timestamp ? clock_time(r, s, clock, p->timestamp) : 0;
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.type != MESSAGE_BYTES)
            continue;
        if (f.number == PACKET_TRACK_EVENT)
            read_track_event(r, s, ns, f.bytes);
        else if (f.number == PACKET_FTRACE)
            read_ftrace(r, s, f.bytes);
        else if (f.number == PACKET_TRACK)
            read_track_descriptor(r, f.bytes);
        else if (f.number == PACKET_PROCESS_TREE)
            read_process_tree(r, f.bytes);
        else if (f.number == PACKET_SAMPLE)
            read_sample(r, s, ns, f.bytes);
    }
}

/* Packets within a packet, deflated; they hold no such packets again. */
static void read_compressed(struct reader *r, struct message m)
{
    size_t capacity = message_size(&m) * 8 + 4096;
    uLongf size;
    unsigned char *data = NULL;
    int status;

    do {
        data = array_resize(data, capacity, 1);
        size = capacity;
        status = uncompress(data, &size, m.at, message_size(&m));
        capacity *= 2;
    } while (status == Z_BUF_ERROR && capacity <= UNPACKED_MAX);
    if (status == Z_OK)
        reader_packets(r, data, size, NULL);
    else
        r->lost++;
    free(data);
}

static void read_packet(struct reader *r, struct message m)
{
    struct packet p = {0};
    struct message_field f;

    for (struct message all = m; message_next(&all, &f);)
        read_header_field(&p, &f);
    struct sequence *s = sequence_of(r, p.sequence);
    if (p.flags & FLAG_CLEARED)
        sequence_clear(s);
    r->dropped |= p.dropped;
    if ((p.flags & FLAG_NEEDS_STATE) && !s->has_state) {
        r->lost++;
        return;
    }
    read_defaults(s, p.defaults);
    read_clock_snapshot(r, s, p.clocks);
    for (struct message all = m; message_next(&all, &f);)
        if (f.number == PACKET_INTERNED)
            read_interned(r, s, f.bytes);
    read_body(r, s, &p, m);
    if (message_size(&p.compressed) && !r->unpacking) {
        r->unpacking = true;
        read_compressed(r, p.compressed);
        r->unpacking = false;
    }
}

size_t reader_packets(struct reader *r, const unsigned char *data, size_t size,
                      void (*progress)(size_t done, size_t size))
{
    struct message m = {data, data + size};
    struct message_field f;
    size_t done = 0, said = 0;

    while (message_next(&m, &f)) {
        if (f.number == TRACE_PACKET && f.type == MESSAGE_BYTES)
            read_packet(r, f.bytes);
        done = (size_t)(m.at - data);
        if (progress && done - said > PROGRESS_BYTES) {
            progress(done, size);
            said = done;
        }
    }
    return done;
}

/* ---- the model ------------------------------------------------------------------------------- */

static void span(struct trace *t, int64_t ns)
{
    if (ns < t->start_ns)
        t->start_ns = ns;
    if (ns > t->end_ns)
        t->end_ns = ns;
}

static void set_span(struct reader *r)
{
    struct trace *t = r->t;

    t->start_ns = INT64_MAX;
    t->end_ns = INT64_MIN;
    for (uint32_t i = 0; i < r->nraws; i++)
        span(t, r->raws[i].s.start_ns);
    for (uint32_t i = 0; i < r->nvalues; i++)
        span(t, r->values[i].ns);
    for (uint32_t i = 0; i < r->nswitches; i++)
        span(t, r->switches[i].ns);
    for (uint32_t i = 0; i < r->nsamples; i++)
        span(t, r->samples[i].ns);
    t->events = (uint64_t)r->nraws + r->nvalues + r->nswitches + r->nwakings + r->nsamples;
    if (t->start_ns > t->end_ns)
        t->start_ns = t->end_ns = 0;
    else if (r->has_offset[1])
        t->wall_ns = t->start_ns - r->offset_ns[1];
}

static void collect_notices(struct reader *r)
{
    const struct trace *t = r->t;

    for (uint32_t i = 0; i < t->ninstants; i++)
        if (t->instants[i].kind == TRACE_INSTANT_NOTICE)
            add_notice(r, t->instants[i].name, t->instants[i].value);
    if (t->events == 0 && !t->truncated)
        reader_notice(r, "there is no event in it: the trace was stopped at once, or everything "
                         "was left out of it");
    if (r->lost)
        reader_notice(r, "%" PRIu64 " packets could not be read: what they build upon is missing",
                      r->lost);
    if (r->misdated)
        reader_notice(r, "%" PRIu64 " events have no time, or one that cannot be, and are left out",
                      r->misdated);
}

void reader_end(struct reader *r)
{
    drop_misdated(r);
    set_span(r);
    split_threads(r);
    build_slices(r);
    collect_notices(r);
    build_runs(r);
    build_flows(r);
    build_tasks(r);
    build_counters(r);
    build_samples(r);
    build_states(r);

    for (uint32_t i = 0; i < r->nsequences; i++)
        sequence_free(&r->sequences[i]);
    free(r->sequences);
    free(r->values);
    free(r->switches);
    free(r->wakings);
    free(r->samples);
    free(r->flows);
    free(r->flow_ids);
    id_map_free(&r->sequence_of);
    id_map_free(&r->track_of);
    id_map_free(&r->thread_of);
    id_map_free(&r->frame_of);
    id_map_free(&r->stack_of);
}
