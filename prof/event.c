/* Recording an event: what the API of trace.h and the hooks call while something records.
 *
 * Each turns its arguments into the words of a slot and puts them into the calling thread's ring
 * (ring.c). Names become numbers on the way (names.c), found by their address in a small table of
 * the thread's own and then compared, so that a name may live anywhere. A region is one event, at
 * its end; until then it stands in the ring's list of open regions. */
#include "prof/thread.h"
#include "prof/trace_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>

enum { STACKS_MAX = 1 << 16 };

_Atomic uint32_t prof_trace_without;
_Atomic uint64_t prof_trace_began;

const char *const prof_what_names[PROF_WHATS] = {
    [PROF_WHAT_OTHER] = "wait",
    [PROF_WHAT_MUTEX] = "mutex lock",
    [PROF_WHAT_RDLOCK] = "rwlock rdlock",
    [PROF_WHAT_WRLOCK] = "rwlock wrlock",
    [PROF_WHAT_COND] = "cond wait",
    [PROF_WHAT_SEMAPHORE] = "sem wait",
    [PROF_WHAT_BARRIER] = "barrier wait",
    [PROF_WHAT_JOIN] = "join",
    [PROF_WHAT_SLEEP] = "sleep",
    [PROF_WHAT_POLL] = "poll",
    [PROF_WHAT_SELECT] = "select",
    [PROF_WHAT_EPOLL] = "epoll_wait",
    [PROF_WHAT_SIGNAL] = "sigwait",
    [PROF_WHAT_MSGRCV] = "msgrcv",
    [PROF_WHAT_MSGSND] = "msgsnd",
    [PROF_WHAT_SEMOP] = "semop",
    [PROF_WHAT_READ] = "read",
    [PROF_WHAT_WRITE] = "write",
    [PROF_WHAT_ACCEPT] = "accept",
    [PROF_WHAT_CONNECT] = "connect",
    [PROF_WHAT_SEND] = "send",
    [PROF_WHAT_RECV] = "recv",
    [PROF_WHAT_WAITPID] = "waitpid",
};

static struct prof_bucket_table stacks;
static _Atomic uint64_t tasks; /* ids handed out */
static __thread uint64_t task_tls __attribute__((tls_model("initial-exec")));

/* ---- names ----------------------------------------------------------------------------------- */

/* As strcmp, without a call: the text is as long as the name or shorter, so reading as much of it
 * is safe where that stays within a page, which the text's first byte shows to be readable. */
__attribute__((no_sanitize("address", "thread"))) static inline bool
is_name(const struct prof_name *name, const char *text)
{
    enum { PAGE = 4096 };
    const char *own = name->text;
    size_t n = name->size;
    if (((uintptr_t)text & (PAGE - 1)) + n > PAGE)
        return strcmp(own, text) == 0;
    for (; n >= sizeof(uint64_t); n -= sizeof(uint64_t)) {
        uint64_t a, b;
        memcpy(&a, own, sizeof a);
        memcpy(&b, text, sizeof b);
        if (a != b)
            return false;
        own += sizeof a;
        text += sizeof b;
    }
    for (; n > 0; n--)
        if (*own++ != *text++)
            return false;
    return true;
}

/* NULL: there is no room for it. */
static struct prof_name *name_of(struct prof_ring *r, const char *text)
{
    unsigned i = ((uintptr_t)text >> 3 ^ (uintptr_t)text >> 7) % PROF_NAME_CACHE;
    struct prof_name *name = r->names[i].name;
    if (__builtin_expect(r->names[i].at == text && name && is_name(name, text), 1))
        return name;
    name = prof_name_of(text);
    r->names[i].at = text;
    r->names[i].name = name;
    return name;
}

enum { NOT_RECORDED = 0 };

/* name id, category id << 32; NOT_RECORDED: the category is off, or a name has no room. */
static uint64_t names_of(struct prof_ring *r, const char *category, const char *text)
{
    const struct prof_name *name = name_of(r, text ? text : ""), *in = NULL;
    if (category) {
        in = name_of(r, category);
        if (!in || atomic_load_explicit(&in->off, memory_order_relaxed))
            return NOT_RECORDED;
    }
    if (name)
        return name->id | (in ? (uint64_t)in->id << 32 : 0);
    atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
    return NOT_RECORDED;
}

/* ---- regions --------------------------------------------------------------------------------- */

static void regions_changed(struct prof_ring *r)
{
    atomic_store_explicit(&r->opened, atomic_load_explicit(&r->opened, memory_order_relaxed) + 1,
                          memory_order_release);
}

void prof_region_begin_(const char *category, const char *name)
{
    struct prof_ring *r = prof_ring_enter();
    if (!r)
        return;
    uint32_t depth = atomic_load_explicit(&r->depth, memory_order_relaxed);
    if (depth < PROF_REGION_DEPTH) {
        struct prof_open_region *o = &r->open[depth];
        uint64_t names =
            prof_trace_wants(PROF_TRACE_REGION) ? names_of(r, category, name) : NOT_RECORDED;
        atomic_store_explicit(&o->names, names, memory_order_relaxed);
        atomic_store_explicit(&o->task, task_tls, memory_order_relaxed);
        atomic_store_explicit(&o->begin, prof_ticks(), memory_order_relaxed);
    }
    atomic_store_explicit(&r->depth, depth + 1, memory_order_relaxed);
    regions_changed(r);
    prof_ring_leave(r);
}

/* The names of the region that ended, and how long it took; 0: it is not recorded. */
static uint64_t close_region(struct prof_ring *r, uint64_t *took)
{
    uint32_t depth = atomic_load_explicit(&r->depth, memory_order_relaxed);
    if (depth == 0) /* it began before the recording */
        return 0;
    atomic_store_explicit(&r->depth, depth - 1, memory_order_relaxed);
    regions_changed(r);
    if (depth > PROF_REGION_DEPTH)
        return 0;
    struct prof_open_region *o = &r->open[depth - 1];
    uint64_t names = atomic_load_explicit(&o->names, memory_order_relaxed);
    uint64_t begin = atomic_load_explicit(&o->begin, memory_order_relaxed), end = prof_ticks();
    if (names)
        prof_ring_put(r, prof_event_word(PROF_EV_REGION, end), begin, names,
                      atomic_load_explicit(&o->task, memory_order_relaxed));
    *took = end - begin;
    return names;
}

void prof_region_end_(void)
{
    struct prof_ring *r = prof_ring_enter();
    uint64_t took = 0;
    if (!r)
        return;
    uint64_t names = close_region(r, &took);
    prof_ring_leave(r);
    if (__builtin_expect(names &&
                             (int64_t)took >= atomic_load_explicit(&prof_flight_threshold_ticks,
                                                                   memory_order_relaxed),
                         0))
        prof_flight_slow(prof_name_text((uint32_t)names), took);
}

/* ---- tasks ----------------------------------------------------------------------------------- */

uint64_t prof_task_switch(uint64_t task)
{
    uint64_t before = task_tls;
    task_tls = task;
    return before;
}

/* What is open, so that its end can tell its name and its beginning, should the ring have lost
 * them. Who takes the place of a task that has been open for 4096 others loses that. */
enum { OPEN_TASKS = 4096 };
static struct {
    _Atomic uint64_t id, name, begin;
} open_tasks[OPEN_TASKS];

uint64_t prof_task_begin_(const char *name, uint64_t parent)
{
    struct prof_ring *r = prof_ring_enter();
    if (!r)
        return 0;
    uint64_t id = 0,
             names = prof_trace_wants(PROF_TRACE_REGION) ? names_of(r, NULL, name) : NOT_RECORDED;
    if (names) {
        uint64_t now = prof_ticks();
        id = atomic_fetch_add_explicit(&tasks, 1, memory_order_relaxed) + 1;
        prof_ring_put(r, prof_event_word(PROF_EV_TASK_BEGIN, now), names, id, parent);
        atomic_store_explicit(&open_tasks[id % OPEN_TASKS].name, names, memory_order_relaxed);
        atomic_store_explicit(&open_tasks[id % OPEN_TASKS].begin, now, memory_order_relaxed);
        atomic_store_explicit(&open_tasks[id % OPEN_TASKS].id, id, memory_order_release);
    }
    prof_ring_leave(r);
    return id;
}

void prof_task_end_(uint64_t task)
{
    struct prof_ring *r = prof_trace_on() ? prof_ring_enter() : NULL;
    if (!r)
        return;
    uint64_t name = 0, begin = 0;
    if (atomic_load_explicit(&open_tasks[task % OPEN_TASKS].id, memory_order_acquire) == task) {
        name = atomic_load_explicit(&open_tasks[task % OPEN_TASKS].name, memory_order_relaxed);
        begin = atomic_load_explicit(&open_tasks[task % OPEN_TASKS].begin, memory_order_relaxed);
    }
    prof_ring_put(r, prof_event_word(PROF_EV_TASK_END, prof_ticks()), name, task, begin);
    prof_ring_leave(r);
}

/* ---- logs and counters ----------------------------------------------------------------------- */

enum { FIRST_BYTES = 8, MORE_BYTES = 24 };

static void put_text(struct prof_ring *r, uint64_t category, const char *text, size_t n)
{
    uint64_t w[3] = {0}, head;
    unsigned nslots =
        1 + (unsigned)(n > FIRST_BYTES ? (n - FIRST_BYTES + MORE_BYTES - 1) / MORE_BYTES : 0);
    if (!prof_ring_room(r, nslots, &head))
        return;
    memcpy(w, text, n < FIRST_BYTES ? n : FIRST_BYTES);
    prof_ring_store(r, head, prof_event_word(PROF_EV_LOG, prof_ticks()),
                    category | (uint64_t)n << 32, task_tls, w[0]);
    for (unsigned i = 1; i < nslots; i++) {
        size_t at = FIRST_BYTES + (i - 1) * MORE_BYTES, left = n - at;
        memset(w, 0, sizeof w);
        memcpy(w, text + at, left < MORE_BYTES ? left : MORE_BYTES);
        prof_ring_store(r, head + i, prof_event_word(PROF_EV_MORE, 0), w[0], w[1], w[2]);
    }
    prof_ring_commit(r, head, nslots);
}

void prof_trace_log_(const char *category, const char *text)
{
    struct prof_ring *r = prof_trace_wants(PROF_TRACE_LOG) ? prof_ring_enter() : NULL;
    if (!r)
        return;
    const struct prof_name *in = name_of(r, category ? category : "");
    if (in && !atomic_load_explicit(&in->off, memory_order_relaxed))
        put_text(r, in->id, text ? text : "", text ? strnlen(text, PROF_LOG_BYTES_MAX) : 0);
    prof_ring_leave(r);
}

void prof_trace_logf(const char *category, const char *format, ...)
{
    char text[PROF_LOG_BYTES_MAX + 1];
    va_list arguments;
    if (!prof_trace_wants(PROF_TRACE_LOG))
        return;
    int saved = errno;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    prof_trace_log_(category, text);
    errno = saved;
}

void prof_trace_counter_(const char *category, const char *name, int64_t value)
{
    struct prof_ring *r = prof_trace_wants(PROF_TRACE_COUNTER) ? prof_ring_enter() : NULL;
    if (!r)
        return;
    uint64_t names = names_of(r, category, name);
    if (names)
        prof_ring_put(r, prof_event_word(PROF_EV_COUNTER, prof_ticks()), names, (uint64_t)value, 0);
    prof_ring_leave(r);
}

void prof_trace_gc(enum prof_gc_phase phase, uint64_t number, int64_t live_bytes,
                   int64_t goal_bytes)
{
    struct prof_ring *r = prof_trace_wants(PROF_TRACE_GC) ? prof_ring_enter() : NULL;
    if (!r)
        return;
    prof_ring_put(r, prof_event_word(PROF_EV_GC, prof_ticks()), (uint64_t)phase | number << 8,
                  (uint64_t)live_bytes, (uint64_t)goal_bytes);
    prof_ring_leave(r);
}

/* ---- what hooks see -------------------------------------------------------------------------- */

struct prof_bucket *prof_trace_stack(const uintptr_t *pcs, int n)
{
    static atomic_bool full;
    if (n == 0 || atomic_load_explicit(&full, memory_order_relaxed))
        return NULL;
    struct prof_bucket *b = prof_bucket_get(&stacks, pcs, n, NULL, 0);
    /* values[0] tells whether it has been counted. */
    if (b && atomic_exchange_explicit(&b->values[0], 1, memory_order_relaxed) == 0 &&
        prof_bucket_count(&stacks) > STACKS_MAX)
        atomic_store_explicit(&full, true, memory_order_relaxed);
    return b;
}

static void set_open_wait(struct prof_ring *r, const struct prof_wait_event *e)
{
    atomic_store_explicit(&r->wait_object, (uintptr_t)e->object, memory_order_relaxed);
    atomic_store_explicit(&r->wait_stack, (uintptr_t)e->stack, memory_order_relaxed);
    atomic_store_explicit(&r->wait_holder, (uint64_t)e->holder, memory_order_relaxed);
    atomic_store_explicit(&r->wait_what, e->what, memory_order_relaxed);
    atomic_store_explicit(&r->wait_fd, e->fd, memory_order_relaxed);
    atomic_store_explicit(&r->wait_since, e->begin, memory_order_release);
}

void prof_event_wait_begin(const struct prof_wait_event *e)
{
    struct prof_ring *r = prof_ring_enter();
    if (!r)
        return;
    set_open_wait(r, e);
    prof_ring_leave(r);
}

void prof_event_wait_cancel(void)
{
    struct prof_thread *t = prof_hook_tls;
    struct prof_ring *r = t ? atomic_load_explicit(&t->ring, memory_order_relaxed) : NULL;
    if (r)
        atomic_store_explicit(&r->wait_since, 0, memory_order_relaxed);
}

void prof_event_wait(const struct prof_wait_event *e)
{
    uint64_t head;
    struct prof_ring *r = prof_ring_enter();
    if (!r)
        return;
    atomic_store_explicit(&r->wait_since, 0, memory_order_relaxed);
    if (prof_ring_room(r, 2, &head)) {
        prof_ring_store(r, head, prof_event_word(PROF_EV_WAIT, e->end), e->begin,
                        (uintptr_t)e->object, (uintptr_t)e->stack);
        prof_ring_store(
            r, head + 1, prof_event_word(PROF_EV_MORE, e->wake), (uintptr_t)e->waker_stack,
            (uint32_t)e->holder | (uint64_t)(uint32_t)e->waker << 32,
            (unsigned)e->what | (unsigned)e->how << 8 | (uint64_t)(uint32_t)e->fd << 32);
        prof_ring_commit(r, head, 2);
    }
    prof_ring_leave(r);
}

void prof_event_thread_start(const void *start_routine, struct prof_bucket *creator,
                             pid_t creator_tid)
{
    struct prof_ring *r = prof_trace_wants(PROF_TRACE_THREAD) ? prof_ring_enter() : NULL;
    if (!r)
        return;
    prof_ring_put(r, prof_event_word(PROF_EV_THREAD_START, prof_ticks()), (uintptr_t)start_routine,
                  (uintptr_t)creator, (uint32_t)creator_tid);
    prof_ring_leave(r);
}

void prof_event_thread_exit(struct prof_thread *t)
{
    uint64_t name[2] = {0};
    struct prof_ring *r = prof_trace_wants(PROF_TRACE_THREAD) ? prof_ring_enter() : NULL;
    if (r) {
        prctl(PR_GET_NAME, name);
        prof_ring_put(r, prof_event_word(PROF_EV_THREAD_EXIT, prof_ticks()), name[0], name[1], 0);
        prof_ring_leave(r);
    }
    prof_ring_abandon(t);
}

/* Also while the thread is in a hook: that is time, too. Only its ring must be there and free. */
void prof_event_sample(const uintptr_t *pcs, int n, int64_t ticks)
{
    struct prof_thread *t = prof_self_tls;
    struct prof_ring *r = t ? atomic_load_explicit(&t->ring, memory_order_relaxed) : NULL;
    if (!r || atomic_load_explicit(&r->epoch, memory_order_relaxed) !=
                  __atomic_load_n(&prof_trace_gate, __ATOMIC_RELAXED))
        r = prof_ring_enter_slowly();
    else if (atomic_exchange_explicit(&r->busy, 1, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
        r = NULL;
    }
    if (!r)
        return;
    struct prof_bucket *stack = prof_trace_stack(pcs, n);
    prof_ring_put(r, prof_event_word(PROF_EV_SAMPLE, prof_ticks()), (uintptr_t)stack,
                  (uint64_t)ticks, 0);
    prof_ring_leave(r);
}
