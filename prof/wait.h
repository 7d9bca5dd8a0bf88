/* What the hooks of calls that wait have in common: the real calls behind them, and what is done
 * before and after a wait. A hook tries first whether it has to wait at all; only then does it cost
 * more than a jump. */
#ifndef PROF_WAIT_H
#define PROF_WAIT_H

#include "prof/trace_internal.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Declared by libc's headers only where a program is built to use them. */
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t fds_bytes);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
                size_t fds_bytes);
ssize_t __read_chk(int fd, void *buffer, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *buffer, size_t n, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buffer, size_t n, size_t room, int flags,
                       struct sockaddr *from, socklen_t *from_bytes);

#pragma GCC visibility push(hidden)

/* ---- real.c ---------------------------------------------------------------------------------- */

#define PROF_REAL_CALLS(X)                                                                         \
    X(pthread_mutex_lock)                                                                          \
    X(pthread_mutex_trylock)                                                                       \
    X(pthread_mutex_timedlock)                                                                     \
    X(pthread_mutex_clocklock)                                                                     \
    X(pthread_mutex_unlock)                                                                        \
    X(pthread_rwlock_rdlock)                                                                       \
    X(pthread_rwlock_tryrdlock)                                                                    \
    X(pthread_rwlock_timedrdlock)                                                                  \
    X(pthread_rwlock_clockrdlock)                                                                  \
    X(pthread_rwlock_wrlock)                                                                       \
    X(pthread_rwlock_trywrlock)                                                                    \
    X(pthread_rwlock_timedwrlock)                                                                  \
    X(pthread_rwlock_clockwrlock)                                                                  \
    X(pthread_rwlock_unlock)                                                                       \
    X(pthread_cond_wait)                                                                           \
    X(pthread_cond_timedwait)                                                                      \
    X(pthread_cond_clockwait)                                                                      \
    X(pthread_cond_signal)                                                                         \
    X(pthread_cond_broadcast)                                                                      \
    X(pthread_barrier_wait)                                                                        \
    X(pthread_join)                                                                                \
    X(pthread_tryjoin_np)                                                                          \
    X(pthread_timedjoin_np)                                                                        \
    X(pthread_clockjoin_np)                                                                        \
    X(sem_wait)                                                                                    \
    X(sem_trywait)                                                                                 \
    X(sem_timedwait)                                                                               \
    X(sem_clockwait)                                                                               \
    X(sem_post)                                                                                    \
    X(read)                                                                                        \
    X(write)                                                                                       \
    X(readv)                                                                                       \
    X(writev)                                                                                      \
    X(recv)                                                                                        \
    X(recvfrom)                                                                                    \
    X(recvmsg)                                                                                     \
    X(send)                                                                                        \
    X(sendto)                                                                                      \
    X(sendmsg)                                                                                     \
    X(accept)                                                                                      \
    X(accept4)                                                                                     \
    X(connect)                                                                                     \
    X(waitpid)                                                                                     \
    X(__read_chk)                                                                                  \
    X(__recv_chk)                                                                                  \
    X(__recvfrom_chk)                                                                              \
    X(nanosleep)                                                                                   \
    X(clock_nanosleep)                                                                             \
    X(poll)                                                                                        \
    X(__poll_chk)                                                                                  \
    X(ppoll)                                                                                       \
    X(__ppoll_chk)                                                                                 \
    X(select)                                                                                      \
    X(pselect)                                                                                     \
    X(epoll_wait)                                                                                  \
    X(epoll_pwait)                                                                                 \
    X(epoll_pwait2)                                                                                \
    X(pause)                                                                                       \
    X(sigsuspend)                                                                                  \
    X(sigwaitinfo)                                                                                 \
    X(sigtimedwait)                                                                                \
    X(msgrcv)                                                                                      \
    X(msgsnd)                                                                                      \
    X(semop)                                                                                       \
    X(semtimedop)                                                                                  \
    X(execve)                                                                                      \
    X(execv)                                                                                       \
    X(execvp)                                                                                      \
    X(execvpe)                                                                                     \
    X(fexecve)

/* The files with hooks. A linker takes a file out of libprof.a for a function that is still
 * missing; a sanitizer's library comes before it and has them all. So real.c asks for every file by
 * name. */
#define PROF_HOOK_FILES(X)                                                                         \
    X(mutex) X(rwlock) X(cond) X(c11) X(semaphore) X(join) X(sleep) X(poll) X(sigwait) X(ipc) X(io)
#define PROF_HOOK_FILE(name) const char prof_hooks_##name = 1

/* The next definitions in the loader's order: libc's, or those of a sanitizer in between. */
struct prof_real {
#define PROF_REAL_FIELD(name) typeof(name) *name;
    PROF_REAL_CALLS(PROF_REAL_FIELD)
#undef PROF_REAL_FIELD
};
extern struct prof_real prof_real;

/* Idempotent. A hook may run long before prof_init: then it calls this. */
void prof_real_find(void);

/* The real call, known from here on. NULL: this libc has none, or dlsym itself is what has called
 * the hook. */
#define PROF_REAL(name)                                                                            \
    (__builtin_expect(prof_real.name != NULL, 1) ? prof_real.name                                  \
                                                 : (prof_real_find(), prof_real.name))

/* ---- wait.c ---------------------------------------------------------------------------------- */

/* A PC in the function that this is written in: the leaf of its events, so that the kind of wait is
 * seen. */
#if defined(__x86_64__)
#define PROF_HERE                                                                                  \
    ({                                                                                             \
        const void *pc_;                                                                           \
        __asm__("1: lea 1b(%%rip), %0" : "=r"(pc_));                                               \
        pc_;                                                                                       \
    })
#elif defined(__aarch64__)
#define PROF_HERE                                                                                  \
    ({                                                                                             \
        const void *pc_;                                                                           \
        __asm__("adr %0, ." : "=r"(pc_));                                                          \
        pc_;                                                                                       \
    })
#else
#error "prof/wait.h: x86-64 and arm64 only"
#endif

/* Where a hook stands: in itself, and the return address to its caller. */
struct prof_site {
    const void *here, *from;
};
#define PROF_SITE ((struct prof_site){PROF_HERE, __builtin_return_address(0)})

/* The stack of a hook's caller, with the hook on top. At most max frames, at least two of them must
 * have room. */
int prof_site_stack(struct prof_site site, uintptr_t *pcs, int max);

/* One wait, on the waiter's stack. Declared with PROF_WAITING it ends with its block, also when the
 * thread is cancelled in it. */
struct prof_waiting {
    struct prof_thread *t; /* NULL: not to be recorded */
    struct prof_site site;
    int64_t since_ns;
    int64_t block_rate_ns;  /* in force when the wait began */
    int64_t record_from_ns; /* a wait of this length is recorded in the block profile; INT64_MAX:
                               none */
    bool listed;            /* among the lock's waiters */
    bool woken;             /* to be set after a wait for a condition variable that ended well */
    bool timed_out;         /* to be set after a wait for a lock that did not get it */
    enum prof_wait kind;
    uint32_t own_signals;         /* seen so far */
    uint32_t outer_own_signals;   /* before it: a signal handler may wait, too */
    struct prof_wait_event event; /* for the trace; begin 0: not to be recorded there */
    int npcs;                     /* 0: the stack is not taken yet */
    uintptr_t pcs[PROF_MAX_FRAMES];
};

/* mutex: what a wait for a condition variable takes back. Both keep errno. */
void prof_wait_begin(struct prof_waiting *w, enum prof_wait kind, const void *object,
                     const void *mutex, struct prof_site site);
void prof_wait_end(struct prof_waiting *w);
/* The trace has nothing to say of it. */
static inline void prof_wait_untold(struct prof_waiting *w)
{
    w->event.begin = 0;
}
/* It turned out that there was nothing to wait for. */
static inline void prof_wait_discard(struct prof_waiting *w)
{
    w->record_from_ns = INT64_MAX;
    prof_wait_untold(w);
}
/* What the trace calls this wait, where the kind does not say enough; fd: -1 none. */
static inline void prof_wait_is(struct prof_waiting *w, enum prof_what what, int fd)
{
    w->event.what = what;
    w->event.fd = fd;
}

#define PROF_WAITING(name, kind, object, mutex, site)                                              \
    __attribute__((cleanup(prof_wait_end))) struct prof_waiting name;                              \
    prof_wait_begin(&name, (kind), (object), (mutex), (site))

/* After a call that failed: true when it was a signal of libprof's alone that ended it, so that it
 * is to be called again. */
bool prof_wait_cut_short(struct prof_waiting *w, int error);
/* What is left at this time of a wait that was to last total_ns from its beginning; never negative.
 */
struct timespec prof_wait_left(const struct prof_waiting *w, int64_t total_ns);
/* INT64_MAX where it does not fit; t is valid. */
int64_t prof_timespec_ns(const struct timespec *t);

/* ---- block.c --------------------------------------------------------------------------------- */

int64_t prof_block_rate_ns(enum prof_wait kind);
void prof_block_record(const struct prof_waiting *w, int64_t waited_ns);
void prof_block_init(void);
void prof_block_fork_child(void);

/* What block and mutex profile have in common: their values, and counts in fractions. */
enum { PROF_COUNT_ONE = 1 << 16 };
void prof_delay_add(struct prof_bucket_table *table, struct prof_thread *t, const uintptr_t *pcs,
                    int npcs, double count, int64_t delay_ns);
int prof_delay_fill(struct prof_bucket_table *table, struct prof_snapshot *s);
int64_t prof_rate_from_environment(const char *name);

/* ---- contention.c ---------------------------------------------------------------------------- */

/* Puts the thread among the waiters for the object, and takes it out again; a thread waits in one
 * place at a time. */
/* traced: a trace wants to know who ends the wait. false: neither it nor the mutex profile does. */
bool prof_contention_enter(struct prof_waiter *w, const void *object, const void *mutex,
                           int64_t now_ns, bool traced);
/* woken: from a condition variable, neither timed out nor cancelled. */
void prof_contention_leave(struct prof_waiter *w, bool woken);

/* How many waiters the lists of this and of some other locks hold. */
enum { PROF_CONTENTION_LISTS = 1024 };
extern _Atomic uint32_t prof_contention_waiters[PROF_CONTENTION_LISTS];
static inline unsigned prof_contention_list(const void *object)
{
    return (unsigned)((uintptr_t)object * UINT64_C(0x9e3779b97f4a7c15) >> 54);
}
static inline bool prof_contended(const void *object)
{
    return __builtin_expect(
        atomic_load_explicit(&prof_contention_waiters[prof_contention_list(object)],
                             memory_order_relaxed) != 0,
        0);
}

/* The caller is about to release the lock: its waiters are stamped. wakes: and somebody will be let
 * in from the kernel: how long all waiters have waited since the last time. 0: nobody does. To be
 * recorded when it is released. */
int64_t prof_contention_charge(const void *lock, bool wakes, struct prof_site site);
/* The caller is about to end the waits for the object, of all or of one. */
void prof_contention_stamp(const void *object, enum prof_wake how, bool all, struct prof_site site);
void prof_contention_record(int64_t delay_ns, struct prof_site site);

/* One waiter for the condition variable, or all, wait for their mutex from now on. */
void prof_contention_wake(const void *condition, bool all, struct prof_site site);
void prof_contention_init(void);
void prof_contention_fork_child(void);

/* ---- mutex.c, cond.c, join.c, sleep.c: for c11.c, which has its own entrances to them -------- */

/* The three forms that most waiting calls come in. */
enum prof_until { PROF_UNTIL_DONE, PROF_UNTIL_TIME, PROF_UNTIL_CLOCK };

int prof_mutex_lock_at(pthread_mutex_t *m, struct prof_site site);
int prof_mutex_timedlock_at(pthread_mutex_t *m, const struct timespec *deadline,
                            struct prof_site site);
int prof_mutex_unlock_at(pthread_mutex_t *m, struct prof_site site);

struct prof_cond_request {
    pthread_cond_t *condition;
    pthread_mutex_t *mutex;
    enum prof_until until;
    const struct timespec *deadline;
    clockid_t clock;
};
int prof_cond_wait_at(const struct prof_cond_request *r, struct prof_site site);
int prof_cond_wake(pthread_cond_t *c, bool all, struct prof_site site);

int prof_join_at(pthread_t thread, void **result, struct prof_site site);
int prof_nanosleep_at(const struct timespec *time, struct timespec *left, struct prof_site site);

/* Whether unlocking the mutex will let somebody in who waits for it in the kernel. */
bool prof_mutex_wakes(const pthread_mutex_t *m);

#pragma GCC visibility pop
#endif
