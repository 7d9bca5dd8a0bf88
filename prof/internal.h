/* What the floors of prof/ know of one another, lowest first. Nothing here is visible outside
 * libprof. A sample's way: source (cpu.c, heap.c, lock.c) -> stack.c -> bucket.c; asked for:
 * profile.c takes a list of samples from the source, symbolize.c resolves it, wire.c writes it.
 * Nothing walks back up. */
#ifndef PROF_INTERNAL_H
#define PROF_INTERNAL_H

#include "prof/pprof.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

/* -fvisibility=hidden speaks of definitions only; this spares the users of these names the way
 * through the GOT. */
#pragma GCC visibility push(hidden)

/* ---- floor 1: stack.c, clock ----------------------------------------------------------------- */

enum { PROF_MAX_FRAMES = 128 };

/* Every PC that is stored lies within its instruction: a return address is stored minus one, an
 * interrupted PC as it is. So a PC can be looked up as it is, everywhere. */

/* The calling thread's stack, leaf first, at most max frames (at least one). It starts at the frame
 * that `from`, a return address, returns to: a hook passes __builtin_return_address(0) and so
 * starts at its caller. NULL: at prof_stack's caller. Takes no lock, allocates nothing,
 * async-signal-safe. */
int prof_stack(uintptr_t *pcs, int max, const void *from);
/* The same, beginning at the caller of a function that is still running: its frame is of two words,
 * its caller's frame pointer and its return address. */
int prof_stack_of(const uintptr_t *frame, uintptr_t *pcs, int max);
/* The stack that a signal interrupted; ucontext is the handler's third argument. Async-signal-safe.
 */
int prof_stack_signal(uintptr_t *pcs, int max, const void *ucontext);

static inline int64_t prof_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- floor 1: memory of our own -------------------------------------------------------------- */

/* Whole pages from the kernel, zeroed. NULL: none. Async-signal-safe, keeps errno. */
void *prof_pages_alloc(size_t bytes);
void prof_pages_free(void *p, size_t bytes);

/* Records that are given back all at once. In zeroed static memory an arena is empty and ready. */
struct prof_arena {
    _Atomic(struct prof_arena_chunk *) chunk;
};

/* Zeroed, aligned to 16. NULL: none. Lock-free, async-signal-safe, keeps errno. */
void *prof_arena_alloc(struct prof_arena *a, size_t bytes);
/* Gives all of it back. Nobody may be using it. */
void prof_arena_drop(struct prof_arena *a);

/* A lock of our own: libc's are hooked, and may be held by the thread that a hook runs on. Never
 * taken in a signal handler. Zeroed memory is an unlocked lock. */
struct prof_lock {
    _Atomic uint32_t state; /* 0 free, 1 held, 2 held and waited for */
};
void prof_lock(struct prof_lock *l);
bool prof_trylock(struct prof_lock *l);
void prof_unlock(struct prof_lock *l);

/* Sleeps until *word is no longer `seen`, somebody wakes it, or ns have passed; may return early.
 */
void prof_futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t ns);
void prof_futex_wake(_Atomic uint32_t *word);

/* private.c: between these two the calling thread's allocations come from a region of libprof's
 * own, and the host's memory is neither freed nor its allocator entered. For the end of a process;
 * one thread at a time. false: no memory. */
bool prof_private_begin(void);
void prof_private_end(void);
extern __thread bool prof_private_tls __attribute__((tls_model("initial-exec")));
/* What malloc.c's hooks call then. */
void *prof_private_alloc(size_t align, size_t n);
void prof_private_free(void *p);
void *prof_private_realloc(void *p, size_t n);
bool prof_is_private(const void *p);
size_t prof_private_size(void *p);

/* ---- what was dropped: counters, added to from anywhere -------------------------------------- */

struct prof_drop_counters {
    _Atomic uint64_t cpu_samples, cpu_timers, heap_samples, lock_samples, labels, threads;
};
extern struct prof_drop_counters prof_dropped;

static inline void prof_drop(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- floor 1: symbolize.c -------------------------------------------------------------------- */

struct prof_mapping {
    uintptr_t start, end;
    uint64_t offset;
    const char *file;     /* "" for anonymous memory */
    const char *build_id; /* hex, "" when there is none */
    bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct prof_line {        /* one function at one PC; inline frames give several */
    const char *function; /* as shown; "" when unknown */
    const char *system_name;
    const char *file;
    int64_t line, start_line;
};

struct prof_location {
    uintptr_t pc;
    uintptr_t entry; /* where the function's code around pc starts; 0 when nothing is known */
    int mapping;     /* index into mappings, -1 for none */
    int nlines;      /* innermost inline frame first; 0 when nothing is known */
    const struct prof_line *lines;
};

struct prof_symbols { /* sorted by pc */
    struct prof_mapping *mappings;
    size_t nmappings;
    struct prof_location *locations;
    size_t nlocations;
    void *memory; /* what all of the above lives in */
};

/* Resolves n PCs (any order, repeats allowed) at once. -ENOMEM only: what cannot be resolved has no
 * lines. */
int prof_symbolize(const uintptr_t *pcs, size_t n, struct prof_symbols *out);
const struct prof_location *prof_symbols_find(const struct prof_symbols *s, uintptr_t pc);
void prof_symbols_free(struct prof_symbols *s);

/* ---- floor 1: pool.c ------------------------------------------------------------------------- */

/* Memory that is freed all at once, and strings kept once each, numbered from 0 (always ""). A
 * failed allocation is remembered in `failed`, so that users check once, at the end. Zeroed, it is
 * empty and ready. */
struct prof_pool {
    struct prof_pool_chunk *chunks;
    const char **strings;
    uint32_t nstrings, capacity;
    uint32_t *slots; /* hash table of string numbers plus one */
    uint32_t nslots;
    bool failed;
};

/* Zeroed, aligned to 16; NULL: no memory. */
void *prof_pool_alloc(struct prof_pool *p, size_t bytes);
/* The number of text[0..size) in the pool. Bytes that are not UTF-8 become U+FFFD. 0 also when
 * there is no memory. */
uint32_t prof_pool_intern(struct prof_pool *p, const char *text, size_t size);
/* The length of the UTF-8 sequence at text, which has size bytes; 0: there is none. */
size_t prof_utf8_sequence(const unsigned char *text, size_t size);
/* The pool's own copy of text; NULL is "". */
const char *prof_pool_string(struct prof_pool *p, const char *text);
void prof_pool_free(struct prof_pool *p);

/* ---- floor 1: room.c ------------------------------------------------------------------------- */

/* Calls fn where it has 512 KB of stack: here, or on a thread made for it. What fn returns, or
 * -ENOMEM. */
int prof_with_room(int (*fn)(void *arg), void *arg);
/* The same without another thread: on this stack, else on one of its own. For the end of a process.
 */
int prof_with_own_room(int (*fn)(void *arg), void *arg);

/* ---- floor 1: wire.c ------------------------------------------------------------------------- */

/* Writes all of it. 0, or what write(2) said. */
int prof_write_all(int fd, const void *data, size_t size);

/* Protocol buffers, as they are written: into memory, or gzip'd to a descriptor as they grow. A
 * failure is kept and given by prof_wire_close, so that nothing in between needs a check. */
struct prof_wire {
    unsigned char *data;
    size_t size, capacity;
    int depth;             /* open messages; only between them can data leave for the descriptor */
    int error;             /* 0 or the first negative errno */
    struct prof_gzip *out; /* NULL: stays in memory */
};

/* In memory: the caller frees data. */
static inline void prof_wire_open(struct prof_wire *w)
{
    *w = (struct prof_wire){0};
}
/* To fd, which stays open. -ENOMEM. */
int prof_wire_open_gzip(struct prof_wire *w, int fd);
/* Ends the stream and frees what prof_wire_open_gzip took; in memory the data stays. The error. */
int prof_wire_close(struct prof_wire *w);

/* Fields. A zero number is written too: proto3 readers take it, and packed or repeated fields need
 * it. */
void prof_wire_uint(struct prof_wire *w, int field, uint64_t value);
void prof_wire_fixed64(struct prof_wire *w, int field, uint64_t value);
void prof_wire_bytes(struct prof_wire *w, int field, const void *data, size_t size);
void prof_wire_string(struct prof_wire *w, int field, const char *text);
void prof_wire_packed(struct prof_wire *w, int field, const uint64_t *values, size_t n);
/* A message: size_t at = prof_wire_begin(w, field); ...fields...; prof_wire_end(w, at); */
size_t prof_wire_begin(struct prof_wire *w, int field);
void prof_wire_end(struct prof_wire *w, size_t at);

/* ---- floor 2: label.c ------------------------------------------------------------------------ */

struct prof_label {
    const char *key, *value;
};

/* A set of labels, interned: equal sets are one pointer, which lives for ever. NULL is the empty
 * set. */
struct prof_labels {
    uint32_t hash;
    uint32_t n;
    struct prof_label labels[]; /* in the order of the keys */
};

/* ---- floor 2: bucket.c ----------------------------------------------------------------------- */

enum { PROF_MAX_VALUES = 4 };

/* What one (stack, labels, tag) adds up to. tag distinguishes equal stacks (heap: the object size).
 */
struct prof_bucket {
    _Atomic int64_t values[PROF_MAX_VALUES];
    const struct prof_labels *labels;
    int64_t tag;
    uint32_t hash;
    uint32_t npcs;
    uintptr_t pcs[];
};

/* Lock-free; grows, and is dropped as a whole. In zeroed static memory it is empty and ready. */
struct prof_bucket_table {
    struct prof_arena arena;
    _Atomic(struct prof_bucket_segment *) first;
};

/* Finds or makes the bucket. NULL: no memory. Async-signal-safe, keeps errno. */
struct prof_bucket *prof_bucket_get(struct prof_bucket_table *t, const uintptr_t *pcs, int npcs,
                                    const struct prof_labels *labels, int64_t tag);
/* Calls fn for every bucket. Others may be added meanwhile. fn must not be NULL. */
void prof_bucket_each(struct prof_bucket_table *t, void (*fn)(struct prof_bucket *b, void *arg),
                      void *arg);
int64_t prof_bucket_count(struct prof_bucket_table *t);
/* Frees every bucket. Nobody may be using the table. */
void prof_bucket_drop(struct prof_bucket_table *t);

/* ---- floor 2: wait.c ------------------------------------------------------------------------- */

enum prof_wait {
    PROF_WAIT_NONE,
    PROF_WAIT_MUTEX,
    PROF_WAIT_RWLOCK,
    PROF_WAIT_COND,
    PROF_WAIT_SEMAPHORE,
    PROF_WAIT_BARRIER,
    PROF_WAIT_JOIN,
    PROF_WAIT_SLEEP,
    PROF_WAIT_POLL,
    PROF_WAIT_SIGNAL,
    PROF_WAIT_IPC,
};

/* "mutex", "condition variable", ...; "" for PROF_WAIT_NONE. Async-signal-safe. */
const char *prof_wait_name(int kind);

/* Every signal handler of libprof calls this with its first and third argument. A call that the
 * signal cut short (the kernel ends some with EINTR in spite of SA_RESTART) is then taken up again
 * by its hook, with the time that is left. Async-signal-safe. */
void prof_wait_interrupted(int sig, const void *ucontext);

struct prof_thread; /* thread.h */

/* ---- floor 2: task.c, call.c: a thread as the kernel sees it --------------------------------- */

struct prof_task {
    char name[16]; /* "" when unknown */
    char state;    /* R S D T t Z X as in proc(5); '?' when unknown */
    bool blocks_sigprof;
    int cpu;     /* that it ran on last */
    bool kernel; /* works for the kernel: has no stack of its own, takes no signals */
};

enum { PROF_CALL_NONE = -1, PROF_CALL_UNKNOWN = -2 };

struct prof_call { /* the system call that a thread sleeps in */
    long nr;       /* or PROF_CALL_NONE: it is in none, or runs; PROF_CALL_UNKNOWN */
    uint64_t args[6];
    uintptr_t sp, pc; /* pc: just behind the call's instruction */
};

/* /proc/self/task, for the next three. -1: there is none. */
int prof_tasks_open(void);
/* Calls fn with every thread's id. No malloc. */
void prof_tasks_each(int tasks, void (*fn)(pid_t tid, void *arg), void *arg);
/* False: the thread is gone, or there is no /proc. */
bool prof_task_read(int tasks, pid_t tid, struct prof_task *out);
void prof_call_read(int tasks, pid_t tid, struct prof_call *out);

enum prof_interruption {
    PROF_CALL_RESTARTS, /* by itself, after a handler with SA_RESTART */
    PROF_CALL_REDO,     /* if the handler calls prof_call_redo */
    PROF_CALL_BREAKS,   /* with EINTR, or is not known */
    PROF_CALL_SWALLOWS, /* waits for SIGPROF, and would take ours */
};
enum prof_interruption prof_call_interruption(const struct prof_call *c);
/* The call's name; NULL: none of those that sleep. */
const char *prof_call_name(long nr);
/* In a handler: if it interrupted this call and nothing else did, the call begins anew when the
 * handler returns. */
bool prof_call_redo(const struct prof_call *c, void *ucontext);

/* ---- floor 2: signal.c: SIGPROF -------------------------------------------------------------- */

/* Installs libprof's handler if it is not in force; whoever's was gets the signals that are not
 * libprof's. */
int prof_signal_install(void);
/* The host's sigaction(SIGPROF, act, old), for a hook that keeps libprof's handler in force. false:
 * it is not in force. Async-signal-safe. */
bool prof_signal_host_action(const struct sigaction *act, struct sigaction *old);
/* The host has a handler of its own. */
bool prof_signal_host_handles(void);
/* Marks the signals that are libprof's: timers carry it, and prof_signal_send does. */
union sigval prof_signal_cookie(void);
/* Whether this signal is one of them. Async-signal-safe. */
bool prof_signal_is_ours(const siginfo_t *info);
/* Makes the thread run prof_dump_answer. -ESRCH: it is gone. */
int prof_signal_send(pid_t tid);

/* ---- floor 2: outside.c ---------------------------------------------------------------------- */

struct prof_outside {
    uintptr_t pc, sp;     /* where the thread sleeps */
    uintptr_t hook_frame; /* the frame of libprof's function that it waits in; 0: of none */
    uintptr_t stack_end;
};
/* The stack of another thread that sleeps; the frames that are certain. *whole: that is all of
 * them. */
int prof_stack_outside(const struct prof_outside *t, uintptr_t *pcs, int max, bool *whole);

/* ---- floor 3: dump.c: every thread's stack at one moment ------------------------------------- */

struct prof_dump_thread {
    pid_t tid;
    struct prof_task task;
    struct prof_call call;
    const struct prof_labels *labels;
    const struct prof_bucket *creator; /* NULL: unknown */
    uintptr_t start;                   /* where it began; 0: unknown */
    const struct prof_thread *slot;    /* dump.c's own: it may be another thread's by now */
    int wait_kind;                     /* what a hook says it waits for; enum prof_wait */
    const void *wait_object;
    int64_t wait_since_ns;
    uintptr_t wait_here, wait_frame, stack_end;
    const char *missing; /* why it did not write its stack, for people; NULL: it did */
    bool whole;          /* its stack was read from outside, to the end */
    int npcs;
    uintptr_t pcs[PROF_MAX_FRAMES];
};

struct prof_dump {
    int64_t taken_ns; /* CLOCK_MONOTONIC */
    size_t n;
    struct prof_dump_thread threads[]; /* by tid */
};

/* Takes about a second at most; the calling thread's stack starts at the caller. NULL: no memory.
 */
struct prof_dump *prof_dump_take(void);
void prof_dump_free(struct prof_dump *d);
/* The handler's part; room: for a walk, on the stack that it runs on. True: the thread had been
 * asked, and this is its answer. */
bool prof_dump_answer(void *ucontext, bool room);
void prof_dump_fork_child(void);
/* How many threads there are. */
int64_t prof_dump_count(void);

/* ---- floor 3: cpu.c, heap.c ------------------------------------------------------------------ */

/* The CPU clock of any thread of this process. */
clockid_t prof_thread_cpu_clock(pid_t tid);
/* Arms the thread's CPU timer if a CPU profile runs; deletes it; the same when the calling thread
 * ends. */
void prof_cpu_thread_start_locked(struct prof_thread *t);
void prof_cpu_disarm_locked(struct prof_thread *t);
void prof_cpu_thread_exit_locked(struct prof_thread *t);
void prof_cpu_fork_child(void);
/* The handler's part. */
void prof_cpu_tick(const siginfo_t *info, const void *ucontext, bool room);
/* Around an attempt to become another program. */
void prof_cpu_before_exec(void);
void prof_cpu_after_exec(void);
extern atomic_bool prof_cpu_process_wide; /* ITIMER_PROF is ours, so the kernel's SIGPROFs are */
/* The profile of the whole run, for the preloaded start. It goes on under those that are asked for
 * with prof_cpu_start. in_child: in a just forked child, whose only thread calls it; nobody's
 * allocator is entered. As prof_cpu_start. */
int prof_cpu_whole_start(int hz, bool in_child);
/* Ends whatever runs, writes the whole. */
int prof_cpu_whole_stop(int fd);
/* About how many different stacks it has; 0: none. */
int64_t prof_cpu_whole_count(void);

void prof_heap_init(void);
/* Sample points are never further apart than this, not even when sampling is off, so that larger
 * allocations always take the slow path. */
enum { PROF_HEAP_STRIDE = 1 << 30 };
bool prof_heap_sample(struct prof_thread *t, void *p, size_t n,
                      const void *caller); /* true: sampled */

struct prof_live { /* a sampled allocation that has not been freed */
    uintptr_t p;
    size_t bytes;
    struct prof_bucket *bucket;
};
bool prof_heap_forget(void *p, struct prof_live *out);
void prof_heap_restore(const struct prof_live *entry);

/* live.c. The filter's counter of a pointer is zero: certainly not sampled. */
enum { PROF_LIVE_FILTER = 1 << 14 };
extern _Atomic uint8_t prof_live_filter[PROF_LIVE_FILTER];
static inline uint64_t prof_live_hash(uintptr_t p)
{
    return (uint64_t)p * UINT64_C(0x9e3779b97f4a7c15);
}
static inline uint32_t prof_live_filter_index(uint64_t hash)
{
    return (uint32_t)(hash >> 50);
}
void prof_live_filter_saturate(uintptr_t p);       /* from now on: perhaps sampled */
bool prof_live_add(const struct prof_live *entry); /* false: no memory */
bool prof_live_take(uintptr_t p, struct prof_live *out);
void prof_live_fork_prepare(void);
void prof_live_fork_done(void);

/* ---- floor 3: block.c, contention.c; the hooks are in mutex.c, rwlock.c, cond.c, ... (wait.h)  */

void prof_lock_init(void); /* rates from the environment */
void prof_lock_fork_child(void);

/* ---- floor 4: profile.c ---------------------------------------------------------------------- */

struct prof_value_type {
    const char *type, *unit;
};

struct prof_sample { /* one line of a snapshot */
    const uintptr_t *pcs;
    uint32_t npcs;
    const struct prof_labels *labels;
    int64_t tag;   /* tells entries apart whose stack and labels are equal */
    int64_t bytes; /* the numeric label "bytes"; 0: none */
    int64_t values[PROF_MAX_VALUES];
};

enum prof_text { PROF_TEXT_HEAP, PROF_TEXT_COUNT, PROF_TEXT_CONTENTION };

/* What a source hands over: a description, constant, and the samples. */
struct prof_description {
    const char *name;
    int nvalues;
    struct prof_value_type values[PROF_MAX_VALUES];
    struct prof_value_type period_type;
    const char *default_sample_type; /* NULL: none */
    enum prof_text text;             /* the shape of its debug=1 text */
};

struct prof_snapshot {
    const struct prof_description *about;
    int64_t period;
    int64_t time_ns;     /* CLOCK_REALTIME */
    int64_t taken_ns;    /* CLOCK_MONOTONIC: what durations are made of */
    int64_t duration_ns; /* 0: not a window */
    int64_t sampling;    /* "mutex": the fraction that the values were multiplied by, for the text;
                            else 0 */
    struct prof_sample
        *samples; /* pcs point to memory that outlives the snapshot, or into `memory` */
    size_t nsamples, capacity;
    void *memory;
};

/* Appends; -ENOMEM. */
int prof_snapshot_add(struct prof_snapshot *s, const struct prof_sample *sample);

/* Where a named profile comes from: constant, and it outlives the process' last profile. profile.c
 * knows those that are built in by name; others (custom profiles) are registered. */
struct prof_source {
    const struct prof_description *about;
    /* Adds the samples and sets the period; about and the times are set already. 0 or a negative
     * errno. */
    int (*fill)(const struct prof_source *self, struct prof_snapshot *s);
    /* The number of distinct entries, cheaply. */
    int64_t (*count)(const struct prof_source *self);
    int (*write_detail)(int fd); /* debug=2; NULL: there is none (-EINVAL) */
};

extern const struct prof_source prof_source_heap, prof_source_allocs, prof_source_block,
    prof_source_mutex;
extern const struct prof_source prof_source_goroutine, prof_source_threadcreate;

/* custom.c */
void prof_custom_fork_prepare(void);
void prof_custom_fork_done(void);

/* -EEXIST: the name is taken. -ENOMEM. */
int prof_source_register(const struct prof_source *source);

/* Resolves every PC of the samples. -ENOMEM. */
int prof_snapshot_symbolize(const struct prof_snapshot *s, struct prof_symbols *out);

/* prof_snapshot_write's two shapes. fd stays open. 0, -ENOMEM, or what write(2) said. */
int prof_encode_proto(const struct prof_snapshot *s, int fd);
int prof_encode_symbolized(const struct prof_snapshot *s, const struct prof_symbols *known, int fd);
int prof_encode_text(const struct prof_snapshot *s, int fd);
/* text.c's ways of writing these: "a\"b" and {"key":"value"}. */
void prof_text_quoted(FILE *f, const char *text);
void prof_text_labels(FILE *f, const struct prof_labels *labels);

#pragma GCC visibility pop
#endif
