/* Checking what the recorder writes against Perfetto's format, packet by packet: the field numbers
 * that its messages have (protos/perfetto/trace/ in Perfetto's sources), and that every chunk can
 * be read without the others. Written from the format's description, not from the writer. */
#ifndef TESTS_TRACE_WIRE_H
#define TESTS_TRACE_WIRE_H

#include "tests/proto.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- fields ---------------------------------------------------------------------------------- */

enum tw_message {
    TW_NONE, /* a number or a string */
    TW_TRACE,
    TW_PACKET,
    TW_CLOCKS,
    TW_CLOCK,
    TW_DEFAULTS,
    TW_TREE,
    TW_TREE_PROCESS,
    TW_TREE_THREAD,
    TW_TRACK,
    TW_TRACK_PROCESS,
    TW_TRACK_THREAD,
    TW_TRACK_COUNTER,
    TW_EVENT,
    TW_ANNOTATION,
    TW_INTERNED,
    TW_NAMED, /* iid and a string */
    TW_FRAME,
    TW_CALLSTACK,
    TW_MAPPING,
    TW_BUNDLE,
    TW_FTRACE,
    TW_SWITCH,
    TW_WAKING,
    TW_SAMPLE,
};

/* wire: 0 varint, 1 fixed64, 2 bytes. */
static const struct tw_field {
    unsigned char in, number, wire, message;
} tw_fields[] = {
    {TW_TRACE, 1, 2, TW_PACKET},
    {TW_PACKET, 1, 2, TW_BUNDLE},
    {TW_PACKET, 2, 2, TW_TREE},
    {TW_PACKET, 6, 2, TW_CLOCKS},
    {TW_PACKET, 8, 0, 0},
    {TW_PACKET, 10, 0, 0},
    {TW_PACKET, 11, 2, TW_EVENT},
    {TW_PACKET, 12, 2, TW_INTERNED},
    {TW_PACKET, 13, 0, 0},
    {TW_PACKET, 42, 0, 0},
    {TW_PACKET, 58, 0, 0},
    {TW_PACKET, 59, 2, TW_DEFAULTS},
    {TW_PACKET, 60, 2, TW_TRACK},
    {TW_PACKET, 66, 2, TW_SAMPLE},
    {TW_PACKET, 87, 0, 0},
    {TW_CLOCKS, 1, 2, TW_CLOCK},
    {TW_CLOCKS, 2, 0, 0},
    {TW_CLOCK, 1, 0, 0},
    {TW_CLOCK, 2, 0, 0},
    {TW_DEFAULTS, 58, 0, 0},
    {TW_TREE, 1, 2, TW_TREE_PROCESS},
    {TW_TREE, 2, 2, TW_TREE_THREAD},
    {TW_TREE_PROCESS, 1, 0, 0},
    {TW_TREE_PROCESS, 2, 0, 0},
    {TW_TREE_PROCESS, 3, 2, 0},
    {TW_TREE_THREAD, 1, 0, 0},
    {TW_TREE_THREAD, 2, 2, 0},
    {TW_TREE_THREAD, 3, 0, 0},
    {TW_TRACK, 1, 0, 0},
    {TW_TRACK, 2, 2, 0},
    {TW_TRACK, 3, 2, TW_TRACK_PROCESS},
    {TW_TRACK, 4, 2, TW_TRACK_THREAD},
    {TW_TRACK, 5, 0, 0},
    {TW_TRACK, 8, 2, TW_TRACK_COUNTER},
    {TW_TRACK_PROCESS, 1, 0, 0},
    {TW_TRACK_PROCESS, 6, 2, 0},
    {TW_TRACK_THREAD, 1, 0, 0},
    {TW_TRACK_THREAD, 2, 0, 0},
    {TW_TRACK_THREAD, 5, 2, 0},
    {TW_TRACK_COUNTER, 3, 0, 0},
    {TW_EVENT, 3, 0, 0},
    {TW_EVENT, 4, 2, TW_ANNOTATION},
    {TW_EVENT, 9, 0, 0},
    {TW_EVENT, 10, 0, 0},
    {TW_EVENT, 11, 0, 0},
    {TW_EVENT, 23, 2, 0},
    {TW_EVENT, 30, 0, 0},
    {TW_EVENT, 47, 1, 0},
    {TW_EVENT, 48, 1, 0},
    {TW_EVENT, 56, 0, 0},
    {TW_ANNOTATION, 1, 0, 0},
    {TW_ANNOTATION, 3, 0, 0},
    {TW_ANNOTATION, 6, 2, 0},
    {TW_INTERNED, 1, 2, TW_NAMED},
    {TW_INTERNED, 2, 2, TW_NAMED},
    {TW_INTERNED, 3, 2, TW_NAMED},
    {TW_INTERNED, 5, 2, TW_NAMED},
    {TW_INTERNED, 6, 2, TW_FRAME},
    {TW_INTERNED, 7, 2, TW_CALLSTACK},
    {TW_INTERNED, 16, 2, TW_NAMED},
    {TW_INTERNED, 17, 2, TW_NAMED},
    {TW_INTERNED, 18, 2, TW_NAMED},
    {TW_INTERNED, 19, 2, TW_MAPPING},
    {TW_NAMED, 1, 0, 0},
    {TW_NAMED, 2, 2, 0},
    {TW_FRAME, 1, 0, 0},
    {TW_FRAME, 2, 0, 0},
    {TW_FRAME, 3, 0, 0},
    {TW_FRAME, 4, 0, 0},
    {TW_FRAME, 5, 0, 0},
    {TW_FRAME, 6, 0, 0},
    {TW_CALLSTACK, 1, 0, 0},
    {TW_CALLSTACK, 2, 0, 0},
    {TW_MAPPING, 1, 0, 0},
    {TW_MAPPING, 2, 0, 0},
    {TW_MAPPING, 4, 0, 0},
    {TW_MAPPING, 5, 0, 0},
    {TW_MAPPING, 7, 0, 0},
    {TW_MAPPING, 8, 0, 0},
    {TW_BUNDLE, 1, 0, 0},
    {TW_BUNDLE, 2, 2, TW_FTRACE},
    {TW_FTRACE, 1, 0, 0},
    {TW_FTRACE, 2, 0, 0},
    {TW_FTRACE, 4, 2, TW_SWITCH},
    {TW_FTRACE, 20, 2, TW_WAKING},
    {TW_SWITCH, 1, 2, 0},
    {TW_SWITCH, 2, 0, 0},
    {TW_SWITCH, 3, 0, 0},
    {TW_SWITCH, 4, 0, 0},
    {TW_SWITCH, 5, 2, 0},
    {TW_SWITCH, 6, 0, 0},
    {TW_SWITCH, 7, 0, 0},
    {TW_WAKING, 1, 2, 0},
    {TW_WAKING, 2, 0, 0},
    {TW_WAKING, 3, 0, 0},
    {TW_WAKING, 4, 0, 0},
    {TW_WAKING, 5, 0, 0},
    {TW_SAMPLE, 2, 0, 0},
    {TW_SAMPLE, 3, 0, 0},
    {TW_SAMPLE, 4, 0, 0},
    {TW_SAMPLE, 5, 0, 0},
};

/* ---- a chunk --------------------------------------------------------------------------------- */

enum { TW_KINDS = 20, TW_IDS = 1 << 16, TW_TRACKS = 1 << 18, TW_SEQUENCES = 1 << 16 };

struct tw_check {
    char error[256]; /* "" : all is well */
    size_t packets, chunks, bytes;
    uint64_t sequence; /* of the chunk that is being read */
    int64_t last_ns;
    bool seen[TW_SEQUENCES];
    bool interned[TW_KINDS][TW_IDS]; /* by the field in InternedData */
    uint64_t tracks[TW_TRACKS];
    size_t ntracks;
};

static inline bool tw_fail(struct tw_check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static inline bool tw_fail(struct tw_check *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!c->error[0])
        vsnprintf(c->error, sizeof c->error, format, arguments);
    va_end(arguments);
    return false;
}

static inline const struct tw_field *tw_find(int in, int number)
{
    for (size_t i = 0; i < sizeof tw_fields / sizeof tw_fields[0]; i++)
        if (tw_fields[i].in == in && tw_fields[i].number == number)
            return &tw_fields[i];
    return NULL;
}

static inline bool tw_known(struct tw_check *c, int kind, uint64_t iid)
{
    return (iid < TW_IDS && c->interned[kind][iid]) ||
           tw_fail(c, "packet %zu: iid %llu of interned field %d is not in its chunk", c->packets,
                   (unsigned long long)iid, kind);
}

/* The first of a message's fields with this number; 0: none. */
static inline uint64_t tw_value(struct proto p, int number)
{
    for (struct proto_field f; proto_next(&p, &f);)
        if (f.number == number)
            return f.value;
    return 0;
}

static inline bool tw_intern(struct tw_check *c, int kind, struct proto p)
{
    uint64_t iid = tw_value(p, 1);
    if (iid == 0 || iid >= TW_IDS)
        return tw_fail(c, "interned field %d has iid %llu", kind, (unsigned long long)iid);
    if (c->interned[kind][iid])
        return tw_fail(c, "interned field %d has iid %llu twice", kind, (unsigned long long)iid);
    return c->interned[kind][iid] = true;
}

/* The track's place in the hash table. */
static inline uint64_t *tw_track(struct tw_check *c, uint64_t uuid)
{
    size_t i = (size_t)(uuid * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    while (c->tracks[i % TW_TRACKS] && c->tracks[i % TW_TRACKS] != uuid)
        i++;
    return &c->tracks[i % TW_TRACKS];
}

static inline bool tw_reference(struct tw_check *c, int in, const struct proto_field *f)
{
    static const struct {
        unsigned char in, number, kind;
    } references[] = {{TW_EVENT, 3, 1},  {TW_EVENT, 10, 2},    {TW_ANNOTATION, 1, 3},
                      {TW_FRAME, 2, 5},  {TW_CALLSTACK, 2, 6}, {TW_EVENT, 56, 7},
                      {TW_SAMPLE, 4, 7}, {TW_MAPPING, 2, 16},  {TW_MAPPING, 7, 17},
                      {TW_FRAME, 5, 18}, {TW_FRAME, 3, 19}};
    for (size_t i = 0; i < sizeof references / sizeof references[0]; i++)
        if (references[i].in == in && references[i].number == f->number)
            return tw_known(c, references[i].kind, f->value);
    if (in != TW_EVENT || f->number != 11)
        return true;
    if (*tw_track(c, f->value))
        return true;
    return tw_fail(c, "packet %zu: track %llx is not described in its chunk", c->packets,
                   (unsigned long long)f->value);
}

/* Everything in one message, and in the messages in it. */
static inline bool tw_message(struct tw_check *c, int in, struct proto p)
{
    for (struct proto_field f; proto_next(&p, &f);) {
        const struct tw_field *known = tw_find(in, f.number);
        if (!known || known->wire != f.wire_type)
            return tw_fail(c, "packet %zu: message %d has field %d of wire type %d", c->packets, in,
                           f.number, f.wire_type);
        if (in == TW_TRACK && f.number == 1 && c->ntracks++ < TW_TRACKS / 2)
            *tw_track(c, f.value) = f.value;
        if (in == TW_INTERNED && !tw_intern(c, f.number, f.bytes))
            return false;
        if (!tw_reference(c, in, &f) || (known->message && !tw_message(c, known->message, f.bytes)))
            return false;
    }
    return p.at || tw_fail(c, "packet %zu: message %d is cut short", c->packets, in);
}

/* A chunk begins with a packet that clears what came before and tells the clocks. */
static inline bool tw_chunk_begins(struct tw_check *c, struct proto p, uint64_t sequence)
{
    if (sequence >= TW_SEQUENCES || c->seen[sequence])
        return tw_fail(c, "packet %zu: sequence %llu began before", c->packets,
                       (unsigned long long)sequence);
    if (tw_value(p, 13) != 1 || tw_value(p, 87) != 1 || tw_value(p, 58) != 3)
        return tw_fail(c, "packet %zu does not begin its chunk as it should", c->packets);
    bool clocks = false, defaults = false;
    for (struct proto_field f; proto_next(&p, &f);) {
        clocks |= f.number == 6;
        defaults |= f.number == 59;
    }
    c->seen[c->sequence = sequence] = true;
    c->chunks++;
    c->ntracks = 0;
    c->last_ns = 0;
    memset(c->tracks, 0, sizeof c->tracks);
    memset(c->interned, 0, sizeof c->interned);
    return (clocks && defaults) || tw_fail(c, "packet %zu: no clocks or defaults", c->packets);
}

static inline bool tw_packet(struct tw_check *c, struct proto p)
{
    uint64_t sequence = tw_value(p, 10);
    int64_t ns = (int64_t)tw_value(p, 8);
    c->packets++;
    if (sequence == 0)
        return tw_fail(c, "packet %zu has no sequence", c->packets);
    if (sequence != c->sequence ? !tw_chunk_begins(c, p, sequence) : tw_value(p, 13) != 2)
        return tw_fail(c, "packet %zu needs no state of its chunk", c->packets);
    if (!tw_message(c, TW_PACKET, p))
        return false;
    bool event = false;
    for (struct proto q = p, *at = &q; at->at && at->at < at->end;) {
        struct proto_field f;
        if (!proto_next(at, &f))
            break;
        event |= f.number == 11 || f.number == 66;
    }
    if (event && ns < c->last_ns)
        return tw_fail(c, "packet %zu goes back in time by %lld ns", c->packets,
                       (long long)(c->last_ns - ns));
    if (event)
        c->last_ns = ns;
    return true;
}

/* The whole file; the caller frees the result. Its error is "" if all is well. */
static inline struct tw_check *tw_check(const void *data, size_t size)
{
    struct tw_check *c = calloc(1, sizeof *c);
    const unsigned char *bytes = data;
    struct proto p = {bytes, bytes + size};
    struct proto_field f;
    if (!c)
        abort();
    c->bytes = size;
    while (proto_next(&p, &f))
        if (f.number != 1 || f.wire_type != 2 || !tw_packet(c, f.bytes))
            break;
    if (!p.at || p.at != p.end)
        tw_fail(c, "the file ends within a packet, or is none");
    return c;
}
#endif
