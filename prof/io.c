/* Hooks of the system calls that read, write, connect and accept: events of a trace, nothing else.
 *
 * Most of them do not wait: what is back soon is not told, and costs two looks at the clock while a
 * trace is recorded. Only when it has taken long is a stack worth its price. No state is kept for
 * the profiles of waits: these calls show where a thread is by themselves, and the kernel restarts
 * them after a signal. */
#include "prof/thread.h"
#include "prof/wait.h"

PROF_HOOK_FILE(io);

enum { TOLD_FROM_NS = 10000 };

struct call {
    struct prof_wait_event event; /* begin 0: not to be recorded */
    struct prof_site site;
};

static void begin(struct call *c, enum prof_what what, int fd, struct prof_site site)
{
    c->site = site;
    c->event = (struct prof_wait_event){.what = what, .fd = fd};
    if (!prof_trace_wants(PROF_TRACE_SYSCALL) || !prof_hook_self())
        return;
    int saved = errno;
    c->event.begin = prof_ticks();
    prof_event_wait_begin(&c->event);
    errno = saved;
}

static bool is_told(const struct call *c)
{
    return prof_trace_wants(PROF_TRACE_SYSCALL) &&
           prof_ticks_length_ns(c->event.end - c->event.begin) >= TOLD_FROM_NS;
}

/* Also when the thread is cancelled in the call. */
static void end(struct call *c)
{
    uintptr_t pcs[PROF_MAX_FRAMES];
    if (!c->event.begin || !prof_hook_self())
        return;
    int saved = errno;
    c->event.end = prof_ticks();
    if (is_told(c)) {
        prof_enter();
        if (prof_trace_wants(PROF_TRACE_STACKS))
            c->event.stack = prof_trace_stack(pcs, prof_site_stack(c->site, pcs, PROF_MAX_FRAMES));
        prof_leave();
        prof_event_wait(&c->event);
    } else {
        prof_event_wait_cancel();
    }
    errno = saved;
}

/* The call as it is while nothing is recorded. */
#define HOOK(name, what, fd, ...)                                                                  \
    typeof(name) *real = PROF_REAL(name);                                                          \
    if (__builtin_expect(!prof_trace_on(), 1))                                                     \
        return real(__VA_ARGS__);                                                                  \
    __attribute__((cleanup(end))) struct call c;                                                   \
    begin(&c, what, fd, PROF_SITE);                                                                \
    return real(__VA_ARGS__)

PROF_API ssize_t read(int fd, void *buffer, size_t n)
{
    HOOK(read, PROF_WHAT_READ, fd, fd, buffer, n);
}

PROF_API ssize_t write(int fd, const void *buffer, size_t n)
{
    HOOK(write, PROF_WHAT_WRITE, fd, fd, buffer, n);
}

PROF_API ssize_t readv(int fd, const struct iovec *parts, int n)
{
    HOOK(readv, PROF_WHAT_READ, fd, fd, parts, n);
}

PROF_API ssize_t writev(int fd, const struct iovec *parts, int n)
{
    HOOK(writev, PROF_WHAT_WRITE, fd, fd, parts, n);
}

PROF_API ssize_t recv(int fd, void *buffer, size_t n, int flags)
{
    HOOK(recv, PROF_WHAT_RECV, fd, fd, buffer, n, flags);
}

PROF_API ssize_t recvfrom(int fd, void *restrict buffer, size_t n, int flags,
                          struct sockaddr *restrict from, socklen_t *restrict from_bytes)
{
    HOOK(recvfrom, PROF_WHAT_RECV, fd, fd, buffer, n, flags, from, from_bytes);
}

PROF_API ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    HOOK(recvmsg, PROF_WHAT_RECV, fd, fd, message, flags);
}

PROF_API ssize_t send(int fd, const void *buffer, size_t n, int flags)
{
    HOOK(send, PROF_WHAT_SEND, fd, fd, buffer, n, flags);
}

PROF_API ssize_t sendto(int fd, const void *buffer, size_t n, int flags, const struct sockaddr *to,
                        socklen_t to_bytes)
{
    HOOK(sendto, PROF_WHAT_SEND, fd, fd, buffer, n, flags, to, to_bytes);
}

PROF_API ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    HOOK(sendmsg, PROF_WHAT_SEND, fd, fd, message, flags);
}

PROF_API int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict bytes)
{
    HOOK(accept, PROF_WHAT_ACCEPT, fd, fd, address, bytes);
}

PROF_API int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict bytes,
                     int flags)
{
    HOOK(accept4, PROF_WHAT_ACCEPT, fd, fd, address, bytes, flags);
}

PROF_API int connect(int fd, const struct sockaddr *address, socklen_t bytes)
{
    HOOK(connect, PROF_WHAT_CONNECT, fd, fd, address, bytes);
}

PROF_API pid_t waitpid(pid_t pid, int *status, int options)
{
    HOOK(waitpid, PROF_WHAT_WAITPID, -1, pid, status, options);
}

/* What they become in programs built with _FORTIFY_SOURCE. */
PROF_API ssize_t __read_chk(int fd, void *buffer, size_t n, size_t room)
{
    HOOK(__read_chk, PROF_WHAT_READ, fd, fd, buffer, n, room);
}

PROF_API ssize_t __recv_chk(int fd, void *buffer, size_t n, size_t room, int flags)
{
    HOOK(__recv_chk, PROF_WHAT_RECV, fd, fd, buffer, n, room, flags);
}

PROF_API ssize_t __recvfrom_chk(int fd, void *buffer, size_t n, size_t room, int flags,
                                struct sockaddr *from, socklen_t *from_bytes)
{
    HOOK(__recvfrom_chk, PROF_WHAT_RECV, fd, fd, buffer, n, room, flags, from, from_bytes);
}
