/* What the files that write Perfetto's packets know of one another: perfetto.c writes a chunk with
 * its events, perfetto_stack.c its strings and stacks, perfetto_thread.c who is in it,
 * perfetto_sched.c its context switches. Field numbers are those of protos/perfetto/trace/ in
 * Perfetto's sources. */
#ifndef PROF_PERFETTO_H
#define PROF_PERFETTO_H

#include "prof/trace_internal.h"

#pragma GCC visibility push(hidden)

enum { CLOCK_REALTIME_ID = 1, CLOCK_MONOTONIC_ID = 3, CLOCK_BOOTTIME_ID = 6 };

enum { /* Trace, TracePacket */
       TRACE_PACKET = 1,
       PACKET_FTRACE_EVENTS = 1,
       PACKET_PROCESS_TREE = 2,
       PACKET_CLOCK_SNAPSHOT = 6,
       PACKET_TIMESTAMP = 8,
       PACKET_SEQUENCE_ID = 10,
       PACKET_TRACK_EVENT = 11,
       PACKET_INTERNED_DATA = 12,
       PACKET_SEQUENCE_FLAGS = 13,
       PACKET_PREVIOUS_DROPPED = 42,
       PACKET_TIMESTAMP_CLOCK = 58,
       PACKET_DEFAULTS = 59,
       PACKET_TRACK_DESCRIPTOR = 60,
       PACKET_PERF_SAMPLE = 66,
       PACKET_FIRST_ON_SEQUENCE = 87,
       SEQUENCE_CLEARED = 1,
       SEQUENCE_NEEDS = 2,
};

enum { /* TrackEvent */
       EVENT_CATEGORY_IIDS = 3,
       EVENT_ANNOTATIONS = 4,
       EVENT_TYPE = 9,
       EVENT_NAME_IID = 10,
       EVENT_TRACK = 11,
       EVENT_NAME = 23,
       EVENT_COUNTER_VALUE = 30,
       EVENT_FLOWS = 47,
       EVENT_TERMINATING_FLOWS = 48,
       EVENT_CALLSTACK_IID = 56,
       TYPE_BEGIN = 1,
       TYPE_END = 2,
       TYPE_INSTANT = 3,
       TYPE_COUNTER = 4,
};

/* Strings of the format's own, and their iids: those of names are theirs, these follow. */
enum { FIXED_IID = PROF_NAMES_MAX };
enum fixed_name { /* of events; the names of waits come first */
                  NAME_UNLOCK = PROF_WHATS,
                  NAME_SIGNAL,
                  NAME_BROADCAST,
                  NAME_POST,
                  NAME_ARRIVE,
                  NAME_EXIT,
                  NAME_START,
                  NAME_GC,
                  NAME_STOP_THE_WORLD,
                  NAMES
};
enum fixed_category {
    CATEGORY_BLOCK,
    CATEGORY_SYSCALL,
    CATEGORY_WAKE,
    CATEGORY_REGION,
    CATEGORY_LOG,
    CATEGORY_TASK,
    CATEGORY_THREAD,
    CATEGORY_COUNTER,
    CATEGORY_GC,
    CATEGORY_NOTICE,
    CATEGORIES
};
enum annotation {
    ANNOTATION_NONE,
    ANNOTATION_LOCK,
    ANNOTATION_HOLDER,
    ANNOTATION_WOKEN_BY,
    ANNOTATION_FD,
    ANNOTATION_TASK,
    ANNOTATION_CATEGORY,
    ANNOTATION_PARENT,
    ANNOTATION_START_FUNCTION,
    ANNOTATION_CREATOR,
    ANNOTATION_NUMBER,
    ANNOTATION_LIVE,
    ANNOTATION_GOAL,
    ANNOTATION_DROPPED,
    ANNOTATIONS
};

/* What an event of a ring becomes: one packet, or two or three. */
enum phase { PHASE_BEGIN, PHASE_END, PHASE_ONLY, PHASE_WAKE };
struct ref {
    int64_t ns;
    const struct prof_slot *slot;
    pid_t tid;
    enum phase phase;
};

struct thread_entry {
    pid_t tid;
    char name[16];
};

struct perfetto {
    struct prof_wire *w;
    const struct prof_chunk *chunk;
    pid_t pid;
    int64_t boot_ns; /* BOOTTIME minus MONOTONIC */
    bool failed;     /* no memory */

    struct prof_slot *open; /* events made up for what has not ended */
    size_t nopen, open_capacity;
    struct ref *refs; /* sorted */
    size_t nrefs, refs_capacity;

    /* perfetto_stack.c */
    bool names_used[FIXED_IID + NAMES], categories_used[FIXED_IID + CATEGORIES];
    const struct prof_bucket **stacks; /* a hash table; a stack's iid is its place plus one */
    size_t stack_slots, nstacks;
    uintptr_t *pcs; /* that are in no stack: start routines */
    size_t npcs, pcs_capacity;
    struct prof_symbols symbols;
    uint32_t *first_frame; /* by location: its frames' iids begin here */
    uint32_t nframes;

    /* perfetto_thread.c */
    struct thread_entry *threads; /* a hash table; tid 0: no entry */
    size_t thread_slots, nthreads;
    uint64_t *tracks; /* a hash table: those that have been described; 0: no entry */
    size_t track_slots, ntracks;
};

/* A packet on the chunk's sequence, at this time (0: none). */
size_t perfetto_packet_begin(struct perfetto *p, int64_t ns);

/* Adds to what has to be resolved and written. */
void perfetto_add_stack(struct perfetto *p, const struct prof_bucket *stack);
void perfetto_add_pc(struct perfetto *p, uintptr_t pc);
void perfetto_add_name(struct perfetto *p, uint32_t iid);
void perfetto_add_category(struct perfetto *p, uint32_t iid);
/* Resolves what was added, and writes it. */
void perfetto_write_interned(struct perfetto *p);
uint64_t perfetto_stack_iid(const struct perfetto *p,
                            const struct prof_bucket *stack);          /* 0: none */
const char *perfetto_function(const struct perfetto *p, uintptr_t pc); /* "" unknown */
void perfetto_stacks_free(struct perfetto *p);

/* tid has a name, or not yet: NULL. */
void perfetto_add_thread(struct perfetto *p, pid_t tid, const char *name);
void perfetto_add_live_threads(struct perfetto *p);
/* The process tree and the tracks of process and threads. */
void perfetto_write_threads(struct perfetto *p);
uint64_t perfetto_thread_track(const struct perfetto *p, pid_t tid);
static inline uint64_t perfetto_process_track(const struct perfetto *p)
{
    return (uint64_t)(uint32_t)p->pid << 32;
}
/* Describes a track of the process', once a chunk. counter_unit: -1 where it is no counter. */
void perfetto_write_track(struct perfetto *p, uint64_t uuid, const char *name, int counter_unit);

void perfetto_write_events(struct perfetto *p);
void perfetto_write_notices(struct perfetto *p);
static inline const struct prof_bucket *perfetto_stack_of(uint64_t word)
{
    return (const struct prof_bucket *)(uintptr_t)word; /* NOLINT: from a pointer */
}
static inline enum fixed_category perfetto_wait_category(unsigned what)
{
    return what > PROF_WHAT_JOIN ? CATEGORY_SYSCALL : CATEGORY_BLOCK;
}

void perfetto_add_switched_threads(struct perfetto *p);
void perfetto_write_switches(struct perfetto *p);

#pragma GCC visibility pop
#endif
