/* What the files that read a trace know of one another. A file's way: reader.c takes it apart into
 * packets; interned.c, clock.c, descriptor.c, event.c and ftrace.c each understand a part of them
 * and leave flat lists; build.c makes slices, flows and counters of the events, sched.c runs and
 * states of the switches. */
#ifndef CMD_TRACE_READER_H
#define CMD_TRACE_READER_H

#include "cmd/message.h"
#include "cmd/trace/array.h"
#include "cmd/trace/model.h"

/* Strings that mean something: interned first, so that these are their numbers. */
enum known {
    KNOWN_EMPTY,
    KNOWN_BLOCK,
    KNOWN_SYSCALL,
    KNOWN_WAKE,
    KNOWN_REGION,
    KNOWN_LOG,
    KNOWN_TASK, /* a category and an annotation */
    KNOWN_THREAD,
    KNOWN_GC,
    KNOWN_NOTICE,
    KNOWN_START,
    KNOWN_EXIT,
    KNOWN_STOP_THE_WORLD,
    KNOWN_LOCK,
    KNOWN_FD,
    KNOWN_HOLDER,
    KNOWN_WOKEN_BY,
    KNOWN_PARENT,
    KNOWN_NUMBER,
    KNOWN_DROPPED,
    KNOWN_CATEGORY,
    KNOWN_START_FUNCTION,
    KNOWN_CREATOR,
    KNOWN_UNNAMED,
    KNOWN_STRINGS
};

/* Beside enum trace_slice_flags, while events are raw: the flow ends here. */
enum { RAW_FLOW_ENDS = 128 };

enum raw_type { RAW_NONE, RAW_BEGIN, RAW_END, RAW_INSTANT, RAW_COUNTER };

/* A track event as it was read: the slice that it may become, with other things in some fields. */
struct raw {
    struct trace_slice s; /* start_ns: when; end_ns: the flow's id, or a task's parent; holder,
                             waker: tids; depth: enum raw_type; of a thread's start: holder is the
                             start function's string, waker the creator's tid */
};

struct raw_value {
    int64_t ns;
    double value;
    uint32_t track;
};

enum { SWITCH_PREV_RUNNING = -1 }; /* prev_tid: whoever ran there */

struct raw_switch {
    int64_t ns;
    int32_t prev_tid, next_tid; /* 0: none that the trace speaks of */
    uint32_t cpu;               /* its number */
    bool preempted;
};

struct raw_waking {
    int64_t ns;
    int32_t tid;
};

struct raw_sample {
    int64_t ns;
    int32_t tid;
    uint32_t stack;
};

enum { CLOCK_IDS = 64, CLOCKS_OWN = 4 };

struct clock {
    uint64_t id; /* 0: not in use */
    int64_t offset_ns;
    uint64_t unit_ns;
    uint64_t now; /* incremental: the sum so far */
    bool incremental;
};

/* A writer's state. */
struct sequence {
    uint64_t default_clock, default_track;
    bool has_state;
    struct clock clocks[CLOCKS_OWN];
    struct id_map categories, names, arg_names, arg_texts, functions, paths, modules, mappings,
        frames, stacks;
};

struct reader {
    struct trace *t;
    struct id_map sequence_of;
    struct sequence *sequences;
    uint32_t nsequences, csequences;

    int64_t offset_ns[CLOCK_IDS]; /* from a clock to CLOCK_MONOTONIC */
    bool has_offset[CLOCK_IDS];
    uint64_t lost;     /* packets that need what is missing */
    uint64_t misdated; /* events whose time cannot be */
    bool unpacking;
    bool dropped; /* a writer lost packets: what was before its first event is not known */

    struct id_map track_of, thread_of, frame_of, stack_of;
    uint32_t cframes, cstack_frames, cstacks, ctracks, cthreads, cargs, cnotices;

    struct raw *raws;
    uint32_t nraws, craws;
    struct flow_id {
        uint64_t id;
        bool last; /* of its event */
    } * flow_ids;
    uint32_t nflow_ids, cflow_ids;
    struct raw_flow { /* an event that a flow begins at, passes or ends at */
        int64_t ns;
        uint64_t id;
        uint32_t track, instant, slice; /* one of the latter, the other is NONE */
        bool ends;
    } * flows;
    uint32_t nflows, cflows;
    struct raw_value *values;
    uint32_t nvalues, cvalues;
    struct raw_switch *switches;
    uint32_t nswitches, cswitches;
    struct raw_waking *wakings;
    uint32_t nwakings, cwakings;
    struct raw_sample *samples;
    uint32_t nsamples, csamples;
};

/* ---- reader.c -------------------------------------------------------------------------------- */

void reader_begin(struct reader *r, struct trace *t);
/* Reads packets up to the end, or to where they are damaged: how many bytes were whole packets. */
size_t reader_packets(struct reader *r, const unsigned char *data, size_t size,
                      void (*progress)(size_t done, size_t size));
/* Makes the model of what was read. */
void reader_end(struct reader *r);
uint32_t reader_string(struct reader *r, const struct message *text);
__attribute__((format(printf, 2, 3))) void reader_notice(struct reader *r, const char *format, ...);

/* ---- clock.c --------------------------------------------------------------------------------- */

void read_clock_snapshot(struct reader *r, struct sequence *s, struct message m);
int64_t clock_time(struct reader *r, struct sequence *s, uint64_t clock, uint64_t timestamp);

/* ---- interned.c ------------------------------------------------------------------------------ */

void read_interned(struct reader *r, struct sequence *s, struct message m);
void sequence_clear(struct sequence *s);
void sequence_free(struct sequence *s);
/* A TrackEvent's own callstack message. */
uint32_t read_inline_stack(struct reader *r, struct message m);

/* ---- descriptor.c ---------------------------------------------------------------------------- */

void read_track_descriptor(struct reader *r, struct message m);
void read_process_tree(struct reader *r, struct message m);
uint32_t track_of(struct reader *r, uint64_t uuid);
/* Another thread with this tid, later than those that have it already. */
uint32_t add_thread(struct reader *r, int32_t tid);
/* The thread that has this tid at this moment; made when there is none. tid 0: NONE. */
uint32_t thread_at(struct reader *r, int32_t tid, int64_t ns);

/* ---- event.c, ftrace.c ----------------------------------------------------------------------- */

void read_track_event(struct reader *r, struct sequence *s, int64_t ns, struct message m);
void read_ftrace(struct reader *r, struct sequence *s, struct message m);

/* ---- misdated.c, reuse.c, build.c, flow.c, sched.c, state.c: in this order ------------------- */

void drop_misdated(struct reader *r);
void split_threads(struct reader *r);
void build_slices(struct reader *r);
void build_flows(struct reader *r);
void build_tasks(struct reader *r);
void build_counters(struct reader *r);
void build_samples(struct reader *r);
void build_runs(struct reader *r);
void build_states(struct reader *r);

#endif
