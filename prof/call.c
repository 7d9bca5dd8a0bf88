/* The system calls that threads sleep in: what a signal does to each of them.
 *
 * After a handler, the kernel restarts most calls by itself (SA_RESTART); the others end with
 * EINTR, which a program that installed no handlers never expects (signal(7), "Interruption of
 * system calls"). Most of these can be started again by our own handler, exactly as the kernel
 * would: the interrupted context is set back to the call's instruction. That is exact where the
 * call waits without end, until a point in time, or where the kernel has written the time that was
 * left over the timeout. Where it is not (a poll of 5 s would begin anew), the thread is not to be
 * interrupted. Entered from dump.c; the handler calls prof_call_redo. */
#include "prof/internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* What an interruption does, and what that depends on. */
enum rule {
    RESTARTED,        /* the kernel restarts it */
    RECEIVES,         /* the kernel restarts it, unless the socket has SO_RCVTIMEO */
    SENDS,            /* the same with SO_SNDTIMEO */
    ENDLESS,          /* EINTR; no timeout, so it can be redone */
    ENDLESS_IF_ZERO,  /* EINTR; no timeout if argument `arg` is zero */
    ENDLESS_IF_MINUS, /* EINTR; no timeout if argument `arg` is a negative int */
    COUNTS_DOWN,      /* EINTR; the kernel stores the time that is left over the timeout */
    SLEEPS,           /* nanosleep: stores what is left in argument `arg` + 1 */
    SLEEPS_CLOCK,     /* clock_nanosleep: the same, or until a point in time */
    SIGWAIT,
    FUTEX,
    IO_URING,
};

static const struct known_call {
    short nr;
    unsigned char rule, arg;
    const char *name;
} known_calls[] = {
    {SYS_read, RECEIVES, 0, "read"},
    {SYS_pread64, RESTARTED, 0, "pread64"},
    {SYS_readv, RECEIVES, 0, "readv"},
    {SYS_write, SENDS, 0, "write"},
    {SYS_pwrite64, RESTARTED, 0, "pwrite64"},
    {SYS_writev, SENDS, 0, "writev"},
    {SYS_recvfrom, RECEIVES, 0, "recvfrom"},
    {SYS_recvmsg, RECEIVES, 0, "recvmsg"},
    {SYS_sendto, SENDS, 0, "sendto"},
    {SYS_sendmsg, SENDS, 0, "sendmsg"},
    {SYS_accept, RECEIVES, 0, "accept"},
    {SYS_accept4, RECEIVES, 0, "accept4"},
    {SYS_connect, SENDS, 0, "connect"},
    {SYS_wait4, RESTARTED, 0, "wait4"},
    {SYS_waitid, RESTARTED, 0, "waitid"},
    {SYS_openat, RESTARTED, 0, "openat"},
    {SYS_flock, RESTARTED, 0, "flock"},
    {SYS_fcntl, RESTARTED, 0, "fcntl"},
    {SYS_mq_timedreceive, RESTARTED, 0, "mq_timedreceive"},
    {SYS_mq_timedsend, RESTARTED, 0, "mq_timedsend"},
    {SYS_getrandom, RESTARTED, 0, "getrandom"},
    {SYS_sched_yield, RESTARTED, 0, "sched_yield"},
    {SYS_fsync, RESTARTED, 0, "fsync"},
    {SYS_fdatasync, RESTARTED, 0, "fdatasync"},
    {SYS_futex, FUTEX, 0, "futex"},
    {SYS_epoll_pwait, ENDLESS_IF_MINUS, 3, "epoll_pwait"},
    {SYS_ppoll, COUNTS_DOWN, 0, "ppoll"},
    {SYS_pselect6, COUNTS_DOWN, 0, "pselect6"},
    {SYS_nanosleep, SLEEPS, 0, "nanosleep"},
    {SYS_clock_nanosleep, SLEEPS_CLOCK, 2, "clock_nanosleep"},
    {SYS_rt_sigtimedwait, SIGWAIT, 0, "rt_sigtimedwait"},
    {SYS_rt_sigsuspend, ENDLESS, 0, "rt_sigsuspend"},
    {SYS_msgrcv, ENDLESS, 0, "msgrcv"},
    {SYS_msgsnd, ENDLESS, 0, "msgsnd"},
    {SYS_semop, ENDLESS, 0, "semop"},
    {SYS_semtimedop, ENDLESS_IF_ZERO, 3, "semtimedop"},
    {SYS_io_getevents, ENDLESS_IF_ZERO, 4, "io_getevents"},
    {SYS_io_uring_enter, IO_URING, 0, "io_uring_enter"},
#ifdef SYS_poll /* the old calls, which arm64 never had */
    {SYS_poll, ENDLESS_IF_MINUS, 2, "poll"},
    {SYS_select, COUNTS_DOWN, 0, "select"},
    {SYS_epoll_wait, ENDLESS_IF_MINUS, 3, "epoll_wait"},
    {SYS_pause, ENDLESS, 0, "pause"},
    {SYS_open, RESTARTED, 0, "open"},
#endif
};

static const struct known_call *find_call(long nr)
{
    for (size_t i = 0; i < sizeof known_calls / sizeof known_calls[0]; i++)
        if (known_calls[i].nr == nr)
            return &known_calls[i];
    return NULL;
}

const char *prof_call_name(long nr)
{
    const struct known_call *k = find_call(nr);
    return k ? k->name : NULL;
}

/* ---- before the signal: may it be sent? ------------------------------------------------------ */

/* The descriptor is the process', so it can be asked from here. What is no socket has no such
 * timeout. */
static enum prof_interruption socket_call(const struct prof_call *c, int timeout_option)
{
    struct timeval timeout = {0};
    socklen_t size = sizeof timeout;
    getsockopt((int)c->args[0], SOL_SOCKET, timeout_option, &timeout, &size);
    return timeout.tv_sec || timeout.tv_usec ? PROF_CALL_BREAKS : PROF_CALL_RESTARTS;
}

static enum prof_interruption futex_call(const struct prof_call *c)
{
    switch (c->args[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAIT: /* its timeout is a length of time */
        return c->args[3] ? PROF_CALL_BREAKS : PROF_CALL_RESTARTS;
    case FUTEX_WAIT_BITSET: /* a point in time */
        return c->args[3] ? PROF_CALL_REDO : PROF_CALL_RESTARTS;
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
        return PROF_CALL_RESTARTS;
    default:
        return PROF_CALL_BREAKS;
    }
}

/* Redoable if what is left goes where the length of the sleep is read from, as in sleep(3). */
static enum prof_interruption sleep_call(uint64_t length, uint64_t left)
{
    return length == left ? PROF_CALL_REDO : PROF_CALL_BREAKS;
}

/* It would take our signal for one of those that it waits for. The set lies in the thread's memory,
 * and the thread may be gone by now. */
static enum prof_interruption sigwait_call(const struct prof_call *c)
{
    uint64_t set;
    struct iovec from = {.iov_base = (void *)(uintptr_t)c->args[0], .iov_len = sizeof set};
    struct iovec to = {.iov_base = &set, .iov_len = sizeof set};
    if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != sizeof set || set >> (SIGPROF - 1) & 1)
        return PROF_CALL_SWALLOWS;
    return c->args[2] ? PROF_CALL_BREAKS : PROF_CALL_REDO;
}

static enum prof_interruption io_uring_call(const struct prof_call *c)
{
    enum { EXT_ARG = 1 << 3 }; /* IORING_ENTER_EXT_ARG: a timeout may follow */
    return c->args[3] & EXT_ARG ? PROF_CALL_BREAKS : PROF_CALL_REDO;
}

enum prof_interruption prof_call_interruption(const struct prof_call *c)
{
    if (c->nr == PROF_CALL_NONE)
        return PROF_CALL_RESTARTS;
    const struct known_call *k = find_call(c->nr);
    if (!k)
        return PROF_CALL_BREAKS;
    switch ((enum rule)k->rule) {
    case RESTARTED:
        return PROF_CALL_RESTARTS;
    case RECEIVES:
        return socket_call(c, SO_RCVTIMEO);
    case SENDS:
        return socket_call(c, SO_SNDTIMEO);
    case ENDLESS:
    case COUNTS_DOWN:
        return PROF_CALL_REDO;
    case ENDLESS_IF_ZERO:
        return c->args[k->arg] ? PROF_CALL_BREAKS : PROF_CALL_REDO;
    case ENDLESS_IF_MINUS:
        return (int)c->args[k->arg] >= 0 ? PROF_CALL_BREAKS : PROF_CALL_REDO;
    case SLEEPS:
        return sleep_call(c->args[0], c->args[1]);
    case SLEEPS_CLOCK:
        return c->args[1] & TIMER_ABSTIME ? PROF_CALL_REDO : sleep_call(c->args[2], c->args[3]);
    case SIGWAIT:
        return sigwait_call(c);
    case FUTEX:
        return futex_call(c);
    case IO_URING:
        return io_uring_call(c);
    }
    return PROF_CALL_BREAKS;
}

/* ---- in the handler: redo it ----------------------------------------------------------------- */

#if defined(__x86_64__)

static const int argument_registers[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};

/* The context is just behind the recorded call, and the call was interrupted. The kernel keeps
 * every register of a call but rcx and r11, which nobody relies on, and the result. */
static bool was_interrupted(const struct prof_call *c, const mcontext_t *m)
{
    static const unsigned char syscall_instruction[] = {0x0f, 0x05};
    if (m->gregs[REG_RAX] != -EINTR || (uintptr_t)m->gregs[REG_RIP] != c->pc ||
        (uintptr_t)m->gregs[REG_RSP] != c->sp)
        return false;
    for (int i = 0; i < 6; i++)
        if ((uint64_t)m->gregs[argument_registers[i]] != c->args[i])
            return false;
    return memcmp((const void *)(c->pc - sizeof syscall_instruction), syscall_instruction,
                  sizeof syscall_instruction) == 0;
}

static void set_back(const struct prof_call *c, mcontext_t *m)
{
    m->gregs[REG_RAX] = c->nr;
    m->gregs[REG_RIP] -= 2;
}

#elif defined(__aarch64__)

static bool was_interrupted(const struct prof_call *c, const mcontext_t *m)
{
    static const uint32_t svc_instruction = 0xd4000001;
    if ((int64_t)m->regs[0] != -EINTR || m->pc != c->pc || m->sp != c->sp ||
        (long)m->regs[8] != c->nr)
        return false;
    for (int i = 1; i < 6; i++)
        if (m->regs[i] != c->args[i])
            return false;
    return memcmp((const void *)(c->pc - sizeof svc_instruction), &svc_instruction,
                  sizeof svc_instruction) == 0;
}

static void set_back(const struct prof_call *c, mcontext_t *m)
{
    m->regs[0] = c->args[0];
    m->pc -= 4;
}

#endif

/* Handlers of the host run as soon as ours returns, for these signals have come meanwhile. They may
 * well be meant to end the call (a flag is set, the loop around epoll_wait looks at it), so then
 * the call must end. */
static bool host_is_next(const void *ucontext)
{
    uint64_t pending = 0, blocked;
    memcpy(&blocked, &((const ucontext_t *)ucontext)->uc_sigmask, sizeof blocked);
    syscall(SYS_rt_sigpending, &pending, sizeof pending);
    pending &= ~blocked & ~(UINT64_C(1) << (SIGPROF - 1));
    for (; pending; pending &= pending - 1) {
        struct sigaction host;
        int sig = __builtin_ctzll(pending) + 1;
        if (sigaction(sig, NULL, &host) != 0 ||
            (host.sa_handler != SIG_IGN && host.sa_handler != SIG_DFL))
            return true;
    }
    return false;
}

bool prof_call_redo(const struct prof_call *c, void *ucontext)
{
    mcontext_t *m = &((ucontext_t *)ucontext)->uc_mcontext;
    if (!was_interrupted(c, m) || host_is_next(ucontext))
        return false;
    set_back(c, m);
    return true;
}
