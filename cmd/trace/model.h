/* What a trace says, in memory: flat arrays that name one another by index, so that a million
 * events take some 60 MB and open in a fraction of a second.
 *
 *   struct trace *t = trace_open(path, true, error);    a file becomes a model; open.c, reader.c
 *   for (uint32_t i = 0; i < t->nthreads; i++)
 *       puts(trace_text(t, t->threads[i].name));
 *   trace_close(t);
 *
 * Times are nanoseconds of CLOCK_MONOTONIC. The order of each array is said with it; what belongs
 * to a thread, a track or a CPU is a range of such an array. Index NONE: there is none. Nothing
 * changes after trace_open. */
#ifndef CMD_TRACE_MODEL_H
#define CMD_TRACE_MODEL_H

#include "prof/internal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_NONE UINT32_MAX

struct trace_range { /* elements first .. first + n - 1 of an array */
    uint32_t first, n;
};

/* ---- strings and stacks ---------------------------------------------------------------------- */

/* A string is its number in trace.strings: equal strings have equal numbers, 0 is "". */

struct trace_frame {
    uint32_t function, file, module; /* strings */
    uint32_t line;                   /* 0: unknown */
    uint64_t address;                /* relative to the module; 0: unknown */
};

/* Frames are numbers into trace.frames, in trace.stack_frames, leaf first (the file has them the
 * other way round). Stack 0 is the empty one: unknown. Equal stacks have equal numbers. */
struct trace_stack {
    uint32_t first, n;
};

/* ---- tracks, threads, CPUs ------------------------------------------------------------------- */

enum trace_track_kind {
    TRACE_TRACK_OTHER, /* also what belongs to the trace as a whole */
    TRACE_TRACK_PROCESS,
    TRACE_TRACK_THREAD,
    TRACE_TRACK_TASK,
    TRACE_TRACK_GC,
    TRACE_TRACK_COUNTER,
};

struct trace_track {
    uint64_t uuid;
    uint32_t name;               /* string */
    uint32_t parent;             /* track */
    uint32_t thread;             /* of a thread's track */
    uint32_t unit;               /* string; of a counter's */
    uint8_t kind;                /* enum trace_track_kind */
    struct trace_range slices;   /* by start; an outer slice comes before what it holds */
    struct trace_range instants; /* by time */
};

struct trace_thread {
    int32_t pid, tid;
    uint32_t name, start_function; /* strings */
    uint32_t creator;              /* thread */
    uint32_t creator_stack;
    uint32_t track;
    int64_t start_ns, end_ns; /* what the trace knows of its life */
    bool started, exited;     /* it began, ended within the trace */
    struct trace_range states;
    uint32_t older; /* the thread that had this tid before it */
};

struct trace_cpu {
    uint32_t number;
    struct trace_range runs;
};

/* ---- scheduling ------------------------------------------------------------------------------ */

enum trace_run_end {
    TRACE_RUN_BLOCKED,   /* it waited for something, or ended */
    TRACE_RUN_PREEMPTED, /* it would have gone on */
    TRACE_RUN_UNKNOWN,   /* the trace ends first, or a record is missing */
};

struct trace_run { /* a thread on a CPU */
    int64_t start_ns, end_ns;
    uint32_t thread;
    uint16_t cpu; /* index into cpus */
    uint8_t end;  /* enum trace_run_end */
};

enum trace_state_kind {
    TRACE_RUNNING,
    TRACE_RUNNABLE,
    TRACE_BLOCKED,
    TRACE_ACTIVE,  /* running or runnable: there are no switch records */
    TRACE_UNKNOWN, /* the records begin later, or some are missing */
    TRACE_STATES
};

struct trace_state { /* a thread's states follow one another without a gap */
    int64_t start_ns, end_ns;
    uint32_t slice; /* what a blocked thread waits in; NONE: something unknown ("other") */
    uint16_t cpu;   /* index into cpus, while it is running */
    uint8_t kind;   /* enum trace_state_kind */
};

/* ---- what the program said ------------------------------------------------------------------- */

enum trace_slice_kind {
    TRACE_SLICE_OTHER,
    TRACE_SLICE_BLOCK,   /* name: "mutex lock", ...; value: the lock's address */
    TRACE_SLICE_SYSCALL, /* name: "read", ...; value: the file descriptor */
    TRACE_SLICE_REGION,  /* value: the task's id, 0: of none; any category of a thread's track */
    TRACE_SLICE_TASK,    /* value: its id */
    TRACE_SLICE_GC,      /* value: its number */
    TRACE_SLICE_STOP,    /* the world is stopped */
};

enum trace_slice_flags {
    TRACE_NO_BEGIN = 1,  /* began before the trace did: start_ns is where the trace starts */
    TRACE_NO_END = 2,    /* had not ended: end_ns is where the trace (or the thread) ends */
    TRACE_HAS_VALUE = 4, /* value was given */
};

struct trace_slice {
    int64_t start_ns, end_ns;
    uint64_t value; /* see enum trace_slice_kind */
    uint32_t track;
    uint32_t name, category; /* strings */
    uint32_t stack;
    uint32_t args;   /* first of its further annotations in trace.args */
    uint32_t holder; /* thread that held the lock when the wait began */
    uint32_t waker;  /* thread that ended the wait */
    uint8_t kind, flags;
    uint8_t depth; /* how many slices it lies in, at most 255 */
};

enum trace_instant_kind {
    TRACE_INSTANT_OTHER,
    TRACE_INSTANT_WAKE,  /* name: "unlock", ...; value: the lock's address */
    TRACE_INSTANT_LOG,   /* name: the message; category: the user's; value: the task's id */
    TRACE_INSTANT_START, /* the thread's */
    TRACE_INSTANT_EXIT,
    TRACE_INSTANT_NOTICE,
};

struct trace_instant {
    int64_t ns;
    uint64_t value;
    uint32_t track;
    uint32_t name, category; /* strings */
    uint32_t stack, args;
    uint8_t kind;
};

/* An annotation that has no field of its own. Those of one event follow one another. */
enum trace_arg_type { TRACE_ARG_UINT, TRACE_ARG_INT, TRACE_ARG_DOUBLE, TRACE_ARG_TEXT };

struct trace_arg {
    union {
        uint64_t uint;
        int64_t sint;
        double real;
        uint32_t text; /* string */
    };
    uint32_t name; /* string */
    uint8_t type;
    bool last; /* of its event */
};

struct trace_flow { /* from a waker's instant (or slice) to the slice that it ended */
    int64_t from_ns, to_ns;
    uint32_t from_track, to_track;
    uint32_t instant; /* NONE: it does not begin in an instant */
    uint32_t slice;   /* NONE: it does not end in a slice */
};

struct trace_task {
    uint64_t id, parent; /* 0: of none */
    uint32_t slice;
};

struct trace_value {
    int64_t ns;
    double value;
};

struct trace_counter {
    uint32_t name, unit; /* strings */
    uint32_t track;
    struct trace_range values; /* by time */
};

struct trace_sample { /* of a CPU profile */
    int64_t ns;
    uint32_t thread, stack;
};

struct trace_notice { /* what the recorder, or the reader, has to say about the trace */
    uint32_t text;    /* string */
    uint64_t dropped; /* events; 0: it is not about dropped events */
};

/* ---- the whole ------------------------------------------------------------------------------- */

struct trace {
    const char *path;
    uint64_t file_bytes, events; /* events: all packets that say what happened when */
    uint64_t dropped;            /* events, as the notices have it */
    int64_t start_ns, end_ns;
    int64_t wall_ns;       /* CLOCK_REALTIME at start_ns; 0: unknown */
    bool has_sched;        /* there are switch records */
    bool truncated;        /* the file ends within a packet, or is damaged from there */
    uint32_t process_name; /* string */
    int32_t pid;           /* of the process with most threads */

    struct prof_pool strings;
    struct trace_frame *frames;
    uint32_t nframes;
    uint32_t *stack_frames;
    uint32_t nstack_frames;
    struct trace_stack *stacks;
    uint32_t nstacks;

    struct trace_track *tracks; /* as they appear */
    uint32_t ntracks;
    struct trace_thread *threads; /* as they appear; see also thread_order */
    uint32_t nthreads;
    struct trace_cpu *cpus; /* by number */
    uint32_t ncpus;

    struct trace_run *runs; /* by CPU, then by time */
    uint32_t nruns;
    struct trace_state *states; /* by thread, then by time */
    uint32_t nstates;

    struct trace_slice *slices; /* by track, then by start */
    uint32_t nslices;
    struct trace_instant *instants; /* by track, then by time */
    uint32_t ninstants;
    struct trace_arg *args;
    uint32_t nargs;
    struct trace_flow *flows; /* by to_ns */
    uint32_t nflows;
    struct trace_task *tasks; /* by id */
    uint32_t ntasks;
    struct trace_counter *counters;
    uint32_t ncounters;
    struct trace_value *values; /* by counter, then by time */
    uint32_t nvalues;
    struct trace_sample *samples; /* by time */
    uint32_t nsamples;
    struct trace_notice *notices;
    uint32_t nnotices;
};

static inline const char *trace_text(const struct trace *t, uint32_t string)
{
    return t->strings.strings[string];
}

/* ---- open.c ---------------------------------------------------------------------------------- */

enum { TRACE_ERROR_BYTES = 512 };

/* Reads a file. NULL: it cannot be read, and `error` says why, in one line for people. What is
 * wrong with it and can be lived with is in the notices. `progress`: when it takes more than two
 * seconds, standard error says how far it is. */
struct trace *trace_open(const char *path, bool progress, char error[TRACE_ERROR_BYTES]);
/* The same of bytes in memory, which may be freed afterwards. */
struct trace *trace_read(const void *data, size_t size, char error[TRACE_ERROR_BYTES]);
void trace_close(struct trace *t);

#endif
