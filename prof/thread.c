/* The thread registry: who is there, who created it, and the slot where each thread keeps its
 * state.
 *
 * Threads arrive through the pthread_create hook, which also brings the creator's stack and labels;
 * a thread that came another way (a raw clone, or before libprof was loaded) is registered by its
 * first hook, or found in /proc when a CPU profile starts. A pthread key's destructor gives the
 * slot back. Slots are recycled and never freed, so the list can be walked without a lock. */
#include "prof/thread.h"
#include "prof/twin.h"
#include "prof/wait.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread struct prof_thread *prof_self_tls;
__thread struct prof_thread *prof_hook_tls;
__thread int prof_busy_tls;
__thread bool prof_own_tls;

atomic_bool prof_ready;

struct prof_lock prof_threads_lock;
struct prof_bucket_table prof_thread_creators;

static _Atomic(struct prof_thread *) threads;
static struct prof_arena arena;
static pthread_key_t exit_key;
static atomic_bool exit_key_made;
static atomic_int foreign_slots;

extern void *__libc_stack_end; /* of the main thread; the dynamic loader's */

static int (*real_pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

struct prof_thread *prof_threads_first(void)
{
    return atomic_load_explicit(&threads, memory_order_acquire);
}

pid_t prof_gettid(void)
{
    return (pid_t)syscall(SYS_gettid);
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled"
 * (2016). */
uint64_t prof_random(struct prof_thread *t)
{
    uint64_t x = t->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    t->random = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static struct prof_thread *take_free_slot(pid_t tid)
{
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next) {
        pid_t none = 0;
        if (atomic_load_explicit(&t->tid, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&t->tid, &none, tid, memory_order_acq_rel,
                                                    memory_order_relaxed))
            return t;
    }
    return NULL;
}

static struct prof_thread *new_slot(pid_t tid)
{
    struct prof_thread *t = prof_arena_alloc(&arena, sizeof *t);
    if (!t)
        return NULL;
    atomic_init(&t->tid, tid);
    t->random = ((uint64_t)prof_now_ns() << 20 ^ (uint64_t)tid * UINT64_C(0x9e3779b97f4a7c15)) | 1;
    t->next = prof_threads_first();
    while (!atomic_compare_exchange_weak_explicit(&threads, &t->next, t, memory_order_acq_rel,
                                                  memory_order_acquire))
        ;
    return t;
}

static struct prof_thread *claim_slot(pid_t tid)
{
    struct prof_thread *t = take_free_slot(tid);
    if (!t)
        return new_slot(tid);
    t->label_depth = 0;
    t->stack_end = 0;
    t->foreign = false;
    atomic_store_explicit(&t->labels, NULL, memory_order_relaxed);
    atomic_store_explicit(&t->creator, NULL, memory_order_relaxed);
    atomic_store_explicit(&t->start_routine, NULL, memory_order_relaxed);
    return t;
}

static void free_slot_locked(struct prof_thread *t)
{
    prof_cpu_disarm_locked(t);
    if (t->foreign)
        atomic_fetch_sub(&foreign_slots, 1);
    t->foreign = false;
    atomic_store_explicit(&t->labels, NULL, memory_order_relaxed);
    atomic_store_explicit(&t->tid, 0, memory_order_release);
}

/* The slot that a discovery made for this thread before the thread had called any hook. */
static struct prof_thread *adopt_foreign_slot_locked(pid_t tid)
{
    if (atomic_load(&foreign_slots) == 0)
        return NULL;
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        if (t->foreign && atomic_load(&t->tid) == tid) {
            t->foreign = false;
            atomic_fetch_sub(&foreign_slots, 1);
            return t;
        }
    return NULL;
}

/* ---- exit ------------------------------------------------------------------------------------ */

static __thread int64_t born_ns __attribute__((tls_model("initial-exec"))); /* 0: unknown */

/* What it waited for a CPU is worth asking for. Else it cannot have been much. */
static bool has_lived(void)
{
    enum { LIFE_NS = 20 * 1000 * 1000 };
    return born_ns == 0 || prof_now_ns() - born_ns >= LIFE_NS;
}

/* Runs as late as a destructor can: other keys' destructors still allocate and lock, and count. */
static void on_thread_exit(void *arg)
{
    struct prof_thread *t = arg;
    static __thread int rounds __attribute__((tls_model("initial-exec")));
    /* The thread sanitizer ends its thread in the last round. */
    int last = PROF_HOOKS_REGISTER ? PTHREAD_DESTRUCTOR_ITERATIONS : 1;
    if (++rounds < last && pthread_setspecific(exit_key, t) == 0)
        return;
    const void *self = (const void *)pthread_self(); /* NOLINT: what join.c calls the thread by */
    if (prof_contended(self))
        prof_contention_stamp(self, PROF_WAKE_EXIT, true, (struct prof_site){0});
    prof_event_thread_exit(t);
    prof_crash_thread_exit();
    prof_enter();
    prof_self_tls = NULL;
    if (has_lived())
        prof_sched_note_end();
    prof_lock(&prof_threads_lock);
    prof_cpu_thread_exit_locked(t);
    free_slot_locked(t);
    bool maybe_last = prof_own_may_be_last_locked(t->own);
    prof_unlock(&prof_threads_lock);
    if (maybe_last)
        prof_own_end_if_last();
    /* No prof_leave: whatever this thread still calls must not register it again. */
}

/* Under the lock, or a discovery could give this thread a second slot, and timer. */
static struct prof_thread *register_locked(void)
{
    pid_t tid = prof_gettid();
    struct prof_thread *t = adopt_foreign_slot_locked(tid);
    if (!t && (t = claim_slot(tid)))
        prof_cpu_thread_start_locked(t);
    if (t)
        t->own = prof_own_tls;
    return t;
}

static struct prof_thread *register_self(bool wait)
{
    if (prof_busy_tls)
        return NULL;
    if (wait)
        prof_lock(&prof_threads_lock);
    else if (!prof_trylock(&prof_threads_lock))
        return NULL;
    prof_enter();
    int saved = errno;
    struct prof_thread *t = register_locked();
    prof_unlock(&prof_threads_lock);
    if (t && prof_gettid() == getpid())
        t->stack_end = (uintptr_t)__libc_stack_end;
    prof_self_tls = t;
    if (t && atomic_load_explicit(&exit_key_made, memory_order_acquire))
        pthread_setspecific(exit_key, t);
    errno = saved;
    prof_leave();
    return t;
}

struct prof_thread *prof_thread_register(void)
{
    return register_self(true);
}

struct prof_thread *prof_thread_register_in_hook(void)
{
    return register_self(false);
}

/* ---- pthread_create -------------------------------------------------------------------------- */

struct birth { /* the routine comes first: prof_twin_start_routine */
    void *(*start_routine)(void *);
    void *arg;
    const struct prof_labels *labels;
    struct prof_bucket *creator;
    pid_t creator_tid;
    bool own;
};

static void discard(struct birth *b)
{
    prof_enter();
    free(b);
    prof_leave();
}

static void *thread_main(void *arg)
{
    struct birth b = *(struct birth *)arg;
    prof_own_tls = b.own;
    void *routine = prof_twin_start_routine(b.start_routine, b.arg);
    struct prof_thread *t = prof_self();
    if (prof_trace_on())
        born_ns = prof_now_ns();
    if (t) {
        /* Above this frame are two small ones of libc's and then its thread descriptor, over 2 KB:
         * readable. */
        t->stack_end = (uintptr_t)__builtin_frame_address(0) + 1024;
        atomic_store_explicit(&t->labels, b.labels, memory_order_release);
        atomic_store_explicit(&t->start_routine, routine, memory_order_relaxed);
        atomic_store_explicit(&t->creator, b.creator, memory_order_release);
    }
    prof_crash_thread_start();
    if (prof_trace_on())
        prof_event_thread_start(routine, b.creator, b.creator_tid);
    discard(arg);
    return b.start_routine(b.arg); /* a tail call: no frame of ours stays on the thread's stack */
}

static struct prof_bucket *record_creator(struct prof_thread *creator, const void *from)
{
    uintptr_t pcs[PROF_MAX_FRAMES];
    int n = prof_stack(pcs, PROF_MAX_FRAMES, from);
    const struct prof_labels *labels =
        creator ? atomic_load_explicit(&creator->labels, memory_order_relaxed) : NULL;
    return prof_bucket_get(&prof_thread_creators, pcs, n, labels, 0);
}

int prof_thread_create_unseen(pthread_t *thread, void *(*start_routine)(void *), void *arg)
{
    return real_pthread_create(thread, NULL, start_routine, arg);
}

PROF_API int pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                            void *(*start_routine)(void *), void *arg)
{
    prof_init();
    if (!real_pthread_create)
        return EAGAIN;
    struct prof_thread *self = prof_self();
    prof_enter();
    int saved = errno;
    struct birth *b = malloc(sizeof *b);
    if (!b) { /* the thread is the host's and must start; it registers itself later */
        errno = saved;
        prof_leave();
        prof_sched_create_begin();
        int rc = real_pthread_create(thread, attr, start_routine, arg);
        prof_sched_create_end();
        return rc;
    }
    *b = (struct birth){.start_routine = start_routine, .arg = arg};
    b->labels = self ? atomic_load_explicit(&self->labels, memory_order_relaxed) : NULL;
    b->own = prof_own_tls;
    b->creator_tid = self ? atomic_load_explicit(&self->tid, memory_order_relaxed) : 0;
    struct prof_bucket *creator = b->creator = record_creator(self, __builtin_return_address(0));
    errno = saved;
    prof_leave(); /* what libc allocates for the thread is the host's */
    prof_sched_create_begin();
    int rc = real_pthread_create(thread, attr, thread_main, b);
    prof_sched_create_end();
    if (rc == 0 && creator)
        atomic_fetch_add_explicit(&creator->values[0], 1, memory_order_relaxed);
    if (rc != 0)
        discard(b);
    return rc;
}

/* ---- discovery ------------------------------------------------------------------------------- */

/* A foreign thread cannot give its slot back, so the dead are cleared here. */
static void clear_dead_foreign_locked(void)
{
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        if (t->foreign && syscall(SYS_tgkill, getpid(), atomic_load(&t->tid), 0) != 0)
            free_slot_locked(t);
}

/* The list is made without malloc: whoever holds a lock of the allocator's may be waiting for ours
 * (jemalloc starts threads of its own from within malloc, and these register here). */
struct tids {
    pid_t *tid;
    size_t n, capacity;
};

static bool add_tid(struct tids *l, pid_t tid)
{
    if (l->n == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 1024;
        pid_t *bigger = prof_pages_alloc(capacity * sizeof *bigger);
        if (!bigger)
            return false;
        if (l->tid) {
            memcpy(bigger, l->tid, l->n * sizeof *bigger);
            prof_pages_free(l->tid, l->capacity * sizeof *bigger);
        }
        l->tid = bigger;
        l->capacity = capacity;
    }
    /* /proc lists them in the order of their ids only mostly: a wrapped around id comes last. */
    size_t at = l->n++;
    for (; at > 0 && l->tid[at - 1] > tid; at--)
        l->tid[at] = l->tid[at - 1];
    l->tid[at] = tid;
    return true;
}

static void list_tid(pid_t tid, void *list)
{
    add_tid(list, tid); /* no memory: the slot is made next time, or by the thread itself */
}

static void list_tids(struct tids *out)
{
    int tasks = prof_tasks_open();
    if (tasks < 0)
        return;
    prof_tasks_each(tasks, list_tid, out);
    close(tasks);
}

/* A tid that has a slot becomes negative. */
static void take_out(struct tids *l, pid_t tid)
{
    for (size_t low = 0, high = l->n; low < high;) {
        size_t mid = (low + high) / 2;
        if (abs(l->tid[mid]) == tid) {
            l->tid[mid] = -tid;
            return;
        }
        if (abs(l->tid[mid]) < tid)
            low = mid + 1;
        else
            high = mid;
    }
}

static void claim_foreign_slot_locked(pid_t tid)
{
    struct prof_thread *t = claim_slot(tid);
    if (t) {
        t->foreign = true;
        atomic_fetch_add(&foreign_slots, 1);
    }
}

void prof_threads_discover_locked(void)
{
    struct tids l = {0};
    clear_dead_foreign_locked();
    list_tids(&l);
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        take_out(&l, atomic_load(&t->tid));
    for (size_t i = 0; i < l.n; i++)
        if (l.tid[i] > 0)
            claim_foreign_slot_locked(l.tid[i]);
    if (l.tid)
        prof_pages_free(l.tid, l.capacity * sizeof *l.tid);
}

/* ---- start and fork -------------------------------------------------------------------------- */

static void before_fork(void)
{
    prof_enter();
    prof_lock(&prof_threads_lock);
    prof_label_fork_prepare();
    prof_custom_fork_prepare();
    prof_live_fork_prepare();
}

static void after_fork(void)
{
    prof_live_fork_done();
    prof_custom_fork_done();
    prof_label_fork_done();
    prof_unlock(&prof_threads_lock);
    prof_leave();
}

/* Only the forking thread lives on, under a new id; timers are not inherited. */
static void after_fork_in_child(void)
{
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next) {
        t->has_timer = false;
        t->foreign = false;
        atomic_store(&t->tid, t == prof_self_tls ? prof_gettid() : 0);
    }
    atomic_store(&foreign_slots, 0);
    prof_own_fork_child();
    prof_cpu_fork_child();
    prof_lock_fork_child();
    prof_dump_fork_child();
    prof_sched_fork_child();
    prof_trace_fork_child();
    after_fork();
}

static void init_once(void)
{
    prof_enter();
    real_pthread_create = (typeof(real_pthread_create))dlsym(RTLD_NEXT, "pthread_create");
    prof_twin_find(thread_main);
    if (pthread_key_create(&exit_key, on_thread_exit) == 0)
        atomic_store_explicit(&exit_key_made, true, memory_order_release);
    uintptr_t warm[4]; /* the unwinder's first call resolves symbols and fills its tables */
    prof_stack(warm, 4, NULL);
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
    prof_heap_init();
    prof_lock_init();
    atomic_store(&prof_ready, true);
    prof_leave();
    prof_self();
}

__attribute__((constructor(101))) void prof_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
}

/* Only here, not in prof_init: it may start threads. */
__attribute__((constructor)) static void heed_environment(void)
{
    prof_init();
    prof_environment();
}
