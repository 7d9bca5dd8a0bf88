/* The kernel's switches and wakeups, one bundle for a CPU: as single events, which libprof writes,
 * and in the compact columns of Perfetto's own recorder. */
#include "cmd/trace/reader.h"

enum { BUNDLE_CPU = 1, BUNDLE_EVENT = 2, BUNDLE_COMPACT = 4 };
enum { EVENT_TIME = 1, EVENT_SWITCH = 4, EVENT_WAKING = 20 };
enum { SWITCH_PREV_PID = 2, SWITCH_PREV_STATE = 4, SWITCH_NEXT_COMM, SWITCH_NEXT_PID };
enum { WAKING_PID = 2 };
enum {
    COMPACT_SWITCH_TIME = 1,
    COMPACT_PREV_STATE = 2,
    COMPACT_NEXT_PID = 3,
    COMPACT_WAKING_TIME = 7,
    COMPACT_WAKING_PID = 8,
};
enum { BOOTTIME = 6 };
/* The states that a thread sleeps in; beyond them are flags, such as that of a preempted thread. */
enum { SLEEPING_STATES = 0xff };

static void add_switch(struct reader *r, const struct raw_switch *s)
{
    r->switches = array_grow(r->switches, r->nswitches, &r->cswitches, sizeof *r->switches);
    r->switches[r->nswitches++] = *s;
}

static void add_waking(struct reader *r, int64_t ns, int32_t tid)
{
    if (!tid)
        return;
    r->wakings = array_grow(r->wakings, r->nwakings, &r->cwakings, sizeof *r->wakings);
    r->wakings[r->nwakings++] = (struct raw_waking){ns, tid};
}

static void name_thread(struct reader *r, int32_t tid, const struct message *comm)
{
    if (!tid || message_size(comm) == 0)
        return;
    uint32_t i = thread_at(r, tid, INT64_MAX);
    if (r->t->threads[i].name == KNOWN_EMPTY)
        r->t->threads[i].name = reader_string(r, comm);
}

static void read_switch(struct reader *r, uint32_t cpu, int64_t ns, struct message m)
{
    struct raw_switch s = {.ns = ns, .cpu = cpu, .preempted = true};
    struct message comm = {0};
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.number == SWITCH_PREV_PID)
            s.prev_tid = (int32_t)f.value;
        else if (f.number == SWITCH_PREV_STATE)
            s.preempted = (f.value & SLEEPING_STATES) == 0;
        else if (f.number == SWITCH_NEXT_COMM)
            comm = f.bytes;
        else if (f.number == SWITCH_NEXT_PID)
            s.next_tid = (int32_t)f.value;
    }
    if (s.next_tid < 0) /* a thread that is gone but for its last moments; -1 means another thing */
        s.next_tid = 0;
    name_thread(r, s.next_tid, &comm);
    add_switch(r, &s);
}

static void read_waking(struct reader *r, int64_t ns, struct message m)
{
    struct message_field f;

    while (message_next(&m, &f))
        if (f.number == WAKING_PID)
            add_waking(r, ns, (int32_t)f.value);
}

static void read_event(struct reader *r, struct sequence *s, uint32_t cpu, struct message m)
{
    struct message_field f;
    int64_t ns = 0;

    for (struct message all = m; message_next(&all, &f);)
        if (f.number == EVENT_TIME)
            ns = clock_time(r, s, BOOTTIME, f.value);
    while (message_next(&m, &f)) {
        if (f.type != MESSAGE_BYTES)
            continue;
        if (f.number == EVENT_SWITCH)
            read_switch(r, cpu, ns, f.bytes);
        else if (f.number == EVENT_WAKING)
            read_waking(r, ns, f.bytes);
    }
}

/* Columns: times are differences, and who was switched out is who ran. */
static void read_compact(struct reader *r, struct sequence *s, uint32_t cpu, struct message m)
{
    struct message columns[COMPACT_WAKING_PID + 1] = {0};
    struct message_field f;
    uint64_t delta, value, state, now = 0;

    while (message_next(&m, &f))
        if (f.number <= COMPACT_WAKING_PID && f.type == MESSAGE_BYTES)
            columns[f.number] = f.bytes;
    while (message_varint(&columns[COMPACT_SWITCH_TIME], &delta) &&
           message_varint(&columns[COMPACT_NEXT_PID], &value) &&
           message_varint(&columns[COMPACT_PREV_STATE], &state))
        add_switch(r, &(struct raw_switch){.ns = clock_time(r, s, BOOTTIME, now += delta),
                                           .prev_tid = SWITCH_PREV_RUNNING,
                                           .next_tid = (int32_t)value,
                                           .cpu = cpu,
                                           .preempted = (state & SLEEPING_STATES) == 0});
    now = 0;
    while (message_varint(&columns[COMPACT_WAKING_TIME], &delta) &&
           message_varint(&columns[COMPACT_WAKING_PID], &value))
        add_waking(r, clock_time(r, s, BOOTTIME, now += delta), (int32_t)value);
}

void read_ftrace(struct reader *r, struct sequence *s, struct message m)
{
    struct message_field f;
    uint32_t cpu = 0;

    for (struct message all = m; message_next(&all, &f);)
        if (f.number == BUNDLE_CPU)
            cpu = (uint32_t)f.value;
    while (message_next(&m, &f)) {
        if (f.type != MESSAGE_BYTES)
            continue;
        if (f.number == BUNDLE_EVENT)
            read_event(r, s, cpu, f.bytes);
        else if (f.number == BUNDLE_COMPACT)
            read_compact(r, s, cpu, f.bytes);
    }
}
