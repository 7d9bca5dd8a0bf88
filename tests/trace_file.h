/* Writing small Perfetto traces by hand, for tests: written from the format's description, not from
 * prof/'s writer. Times are milliseconds after TF_START_NS of CLOCK_MONOTONIC. */
#ifndef TESTS_TRACE_FILE_H
#define TESTS_TRACE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TF_START_NS       INT64_C(1000000000000)
#define TF_BOOT_OFFSET_NS INT64_C(5000000000) /* CLOCK_BOOTTIME is ahead by this */
#define TF_WALL_NS        INT64_C(1700000000000000000)

enum { TF_STRINGS = 256 };

struct trace_file {
    unsigned char *data;
    size_t size, capacity;
    const char *strings[TF_STRINGS]; /* interned; iid is the index plus one */
    int nstrings, nwritten;
    uint64_t sequence;
};

/* ---- protocol buffers ------------------------------------------------------------------------ */

static inline void tf_byte(struct trace_file *f, unsigned char c)
{
    if (f->size == f->capacity) {
        f->capacity = f->capacity ? f->capacity * 2 : 4096;
        f->data = realloc(f->data, f->capacity);
        if (!f->data)
            abort();
    }
    f->data[f->size++] = c;
}

static inline void tf_varint(struct trace_file *f, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        tf_byte(f, (unsigned char)(value | 0x80));
    tf_byte(f, (unsigned char)value);
}

static inline void tf_uint(struct trace_file *f, int field, uint64_t value)
{
    tf_varint(f, (uint64_t)field << 3);
    tf_varint(f, value);
}

static inline void tf_fixed64(struct trace_file *f, int field, uint64_t value)
{
    tf_varint(f, (uint64_t)field << 3 | 1);
    for (int i = 0; i < 8; i++)
        tf_byte(f, (unsigned char)(value >> (8 * i)));
}

static inline void tf_text(struct trace_file *f, int field, const char *text)
{
    tf_varint(f, (uint64_t)field << 3 | 2);
    tf_varint(f, strlen(text));
    while (*text)
        tf_byte(f, (unsigned char)*text++);
}

/* A message: its length takes four bytes, as Perfetto's own writer does it. */
static inline size_t tf_open(struct trace_file *f, int field)
{
    tf_varint(f, (uint64_t)field << 3 | 2);
    for (int i = 0; i < 4; i++)
        tf_byte(f, 0);
    return f->size;
}

static inline void tf_close(struct trace_file *f, size_t at)
{
    size_t n = f->size - at;
    for (int i = 0; i < 4; i++)
        f->data[at - 4 + (size_t)i] = (unsigned char)((n >> (7 * i) & 0x7f) | (i < 3 ? 0x80 : 0));
}

/* ---- packets --------------------------------------------------------------------------------- */

static inline uint64_t tf_ns(double ms)
{
    return (uint64_t)(TF_START_NS + (int64_t)(ms * 1e6 + (ms < 0 ? -0.5 : 0.5)));
}

static inline size_t tf_packet(struct trace_file *f, double ms)
{
    size_t packet = tf_open(f, 1);
    if (ms >= 0)
        tf_uint(f, 8, tf_ns(ms));
    tf_uint(f, 10, f->sequence);
    tf_uint(f, 13, 2);
    return packet;
}

static inline void tf_clock(struct trace_file *f, uint64_t id, uint64_t ns)
{
    size_t clock = tf_open(f, 1);
    tf_uint(f, 1, id);
    tf_uint(f, 2, ns);
    tf_close(f, clock);
}

/* Begins a chunk: state cleared, clocks, MONOTONIC as the default. */
static inline void tf_chunk(struct trace_file *f, uint64_t sequence, bool dropped)
{
    f->sequence = sequence;
    f->nstrings = f->nwritten = 0;
    size_t packet = tf_open(f, 1);
    tf_uint(f, 10, sequence);
    tf_uint(f, 13, 1);
    if (dropped)
        tf_uint(f, 42, 1);
    size_t defaults = tf_open(f, 59);
    tf_uint(f, 58, 3);
    tf_close(f, defaults);
    size_t clocks = tf_open(f, 6);
    tf_clock(f, 3, (uint64_t)TF_START_NS);
    tf_clock(f, 6, (uint64_t)(TF_START_NS + TF_BOOT_OFFSET_NS));
    tf_clock(f, 1, (uint64_t)TF_WALL_NS);
    tf_uint(f, 2, 3);
    tf_close(f, clocks);
    tf_close(f, packet);
}

static inline void tf_track(struct trace_file *f, uint64_t uuid, const char *name, uint64_t parent)
{
    size_t packet = tf_packet(f, -1), track = tf_open(f, 60);
    tf_uint(f, 1, uuid);
    tf_text(f, 2, name);
    if (parent)
        tf_uint(f, 5, parent);
    tf_close(f, track);
    tf_close(f, packet);
}

static inline void tf_process(struct trace_file *f, uint64_t uuid, int pid, const char *name)
{
    size_t packet = tf_packet(f, -1), track = tf_open(f, 60);
    tf_uint(f, 1, uuid);
    size_t process = tf_open(f, 3);
    tf_uint(f, 1, (uint64_t)pid);
    tf_text(f, 6, name);
    tf_close(f, process);
    tf_close(f, track);
    tf_close(f, packet);
}

static inline void tf_thread(struct trace_file *f, uint64_t uuid, int pid, int tid,
                             const char *name)
{
    size_t packet = tf_packet(f, -1), track = tf_open(f, 60);
    tf_uint(f, 1, uuid);
    size_t thread = tf_open(f, 4);
    tf_uint(f, 1, (uint64_t)pid);
    tf_uint(f, 2, (uint64_t)tid);
    tf_text(f, 5, name);
    tf_close(f, thread);
    tf_close(f, track);
    tf_close(f, packet);
}

static inline void tf_counter(struct trace_file *f, uint64_t uuid, const char *name, int unit)
{
    size_t packet = tf_packet(f, -1), track = tf_open(f, 60);
    tf_uint(f, 1, uuid);
    tf_text(f, 2, name);
    size_t counter = tf_open(f, 8);
    tf_uint(f, 3, (uint64_t)unit);
    tf_close(f, counter);
    tf_close(f, track);
    tf_close(f, packet);
}

/* ---- scheduling ------------------------------------------------------------------------------ */

/* state: 0 preempted, 1 blocked. */
static inline void tf_switch(struct trace_file *f, double ms, int cpu, int prev, int state,
                             int next)
{
    size_t packet = tf_packet(f, -1), bundle = tf_open(f, 1);
    tf_uint(f, 1, (uint64_t)cpu);
    size_t event = tf_open(f, 2);
    tf_uint(f, 1, tf_ns(ms) + (uint64_t)TF_BOOT_OFFSET_NS);
    tf_uint(f, 2, (uint64_t)prev);
    size_t sw = tf_open(f, 4);
    tf_uint(f, 2, (uint64_t)prev);
    tf_uint(f, 4, (uint64_t)state);
    tf_uint(f, 6, (uint64_t)next);
    tf_close(f, sw);
    tf_close(f, event);
    tf_close(f, bundle);
    tf_close(f, packet);
}

static inline void tf_waking(struct trace_file *f, double ms, int cpu, int tid)
{
    size_t packet = tf_packet(f, -1), bundle = tf_open(f, 1);
    tf_uint(f, 1, (uint64_t)cpu);
    size_t event = tf_open(f, 2);
    tf_uint(f, 1, tf_ns(ms) + (uint64_t)TF_BOOT_OFFSET_NS);
    size_t waking = tf_open(f, 20);
    tf_uint(f, 2, (uint64_t)tid);
    tf_close(f, waking);
    tf_close(f, event);
    tf_close(f, bundle);
    tf_close(f, packet);
}

/* ---- track events ---------------------------------------------------------------------------- */

/* The iid of a string; new ones are written with the next tf_interned. */
static inline uint64_t tf_iid(struct trace_file *f, const char *text)
{
    for (int i = 0; i < f->nstrings; i++)
        if (strcmp(f->strings[i], text) == 0)
            return (uint64_t)i + 1;
    if (f->nstrings == TF_STRINGS)
        abort();
    f->strings[f->nstrings++] = text;
    return (uint64_t)f->nstrings;
}

static inline void tf_entry(struct trace_file *f, int field, uint64_t iid, const char *text)
{
    size_t entry = tf_open(f, field);
    tf_uint(f, 1, iid);
    tf_text(f, 2, text);
    tf_close(f, entry);
}

/* Every string goes into every table, so that one number serves all of them. */
static inline void tf_interned(struct trace_file *f)
{
    static const int tables[] = {1, 2, 3, 5, 18};

    if (f->nwritten == f->nstrings)
        return;
    size_t data = tf_open(f, 12);
    for (; f->nwritten < f->nstrings; f->nwritten++)
        for (int i = 0; i < 5; i++)
            tf_entry(f, tables[i], (uint64_t)f->nwritten + 1, f->strings[f->nwritten]);
    tf_close(f, data);
}

/* A stack of these functions, outermost first, NULL at the end; each in the line of
 * its place in the stack. Stacks are written once, before they are used. */
static inline void tf_stack(struct trace_file *f, uint64_t iid, const char *const *functions)
{
    for (int i = 0; functions[i]; i++)
        tf_iid(f, functions[i]);
    size_t packet = tf_packet(f, -1);
    tf_interned(f);
    tf_close(f, packet);
    packet = tf_packet(f, -1);
    size_t data = tf_open(f, 12), stack = tf_open(f, 7);
    tf_uint(f, 1, iid);
    for (int i = 0; functions[i]; i++)
        tf_uint(f, 2, iid * 100 + (uint64_t)i);
    tf_close(f, stack);
    for (int i = 0; functions[i]; i++) {
        size_t frame = tf_open(f, 6);
        tf_uint(f, 1, iid * 100 + (uint64_t)i);
        tf_uint(f, 2, tf_iid(f, functions[i]));
        tf_uint(f, 5, tf_iid(f, functions[0])); /* its name serves as the file's */
        tf_uint(f, 6, (uint64_t)i + 1);
        tf_close(f, frame);
    }
    tf_close(f, data);
    tf_close(f, packet);
}

enum { TF_BEGIN = 1, TF_END, TF_INSTANT, TF_COUNT };

struct tf_event { /* zero: not written */
    double ms;
    uint64_t track;
    int type;
    const char *category, *name;
    uint64_t stack, flow, end_flow;
    uint64_t lock, holder, woken_by, task, parent, fd, number, dropped, creator;
    const char *start_function, *log_category, *note;
    int64_t value;
};

static inline void tf_arg(struct trace_file *f, const char *name, uint64_t value, bool interned)
{
    if (!value)
        return;
    size_t arg = tf_open(f, 4);
    if (interned)
        tf_uint(f, 1, tf_iid(f, name));
    else
        tf_text(f, 10, name);
    tf_uint(f, 3, value);
    tf_close(f, arg);
}

static inline void tf_text_arg(struct trace_file *f, const char *name, const char *value)
{
    if (!value)
        return;
    size_t arg = tf_open(f, 4);
    tf_text(f, 10, name);
    tf_text(f, 6, value);
    tf_close(f, arg);
}

static inline void tf_args(struct trace_file *f, const struct tf_event *e)
{
    tf_arg(f, "lock", e->lock, true);
    tf_arg(f, "holder", e->holder, false);
    tf_arg(f, "woken_by", e->woken_by, true);
    tf_arg(f, "task", e->task, false);
    tf_arg(f, "parent", e->parent, false);
    tf_arg(f, "fd", e->fd, false);
    tf_arg(f, "number", e->number, false);
    tf_arg(f, "dropped", e->dropped, false);
    tf_arg(f, "creator", e->creator, false);
    tf_text_arg(f, "start_function", e->start_function);
    tf_text_arg(f, "category", e->log_category);
    tf_text_arg(f, "note", e->note);
}

static inline void tf_event(struct trace_file *f, struct tf_event e)
{
    size_t packet = tf_packet(f, e.ms);
    tf_iid(f, "lock");
    tf_iid(f, "woken_by");
    if (e.category)
        tf_iid(f, e.category);
    if (e.name && e.name[0] != '=')
        tf_iid(f, e.name);
    size_t event = tf_open(f, 11);
    tf_uint(f, 9, (uint64_t)e.type);
    tf_uint(f, 11, e.track);
    if (e.category)
        tf_uint(f, 3, tf_iid(f, e.category));
    if (e.name && e.name[0] == '=') /* as it is */
        tf_text(f, 23, e.name + 1);
    else if (e.name)
        tf_uint(f, 10, tf_iid(f, e.name));
    if (e.stack)
        tf_uint(f, 56, e.stack);
    if (e.flow)
        tf_fixed64(f, 47, e.flow);
    if (e.end_flow)
        tf_fixed64(f, 48, e.end_flow);
    if (e.type == TF_COUNT)
        tf_uint(f, 30, (uint64_t)e.value);
    tf_args(f, &e);
    tf_close(f, event);
    tf_interned(f);
    tf_close(f, packet);
}

static inline void tf_sample(struct trace_file *f, double ms, int tid, uint64_t stack)
{
    size_t packet = tf_packet(f, ms), sample = tf_open(f, 66);
    tf_uint(f, 3, (uint64_t)tid);
    tf_uint(f, 4, stack);
    tf_uint(f, 5, 5);
    tf_close(f, sample);
    tf_close(f, packet);
}

#endif
