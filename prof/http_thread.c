/* Threads of the endpoints, and how they wait. The application must not notice them: they take none
 * of its signals, and a capture ends when its client does. */
#include "prof/http_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

enum { STACK_BYTES = 1 << 20 };

/* The profiler's own signals stay open, or these threads would be missing in its profiles. */
static void block_signals(sigset_t *old)
{
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &all, old);
}

int http_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t old;
    int err = pthread_attr_init(&attr);

    if (err)
        return -err;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    block_signals(&old);
    err = pthread_create(thread, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return -err;
}

/* Input is not waited for: only the end of it says that the client is gone, as in Go. */
int http_wait(const struct http_request *r, int64_t ns)
{
    const int64_t end_ns = http_now_ns() + ns;
    struct pollfd fds[] = {
        {.fd = r->socket, .events = POLLRDHUP},
        {.fd = r->http->stop_fd, .events = POLLIN},
    };

    for (int64_t left_ns; (left_ns = end_ns - http_now_ns()) > 0;) {
        struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
        int ready = ppoll(fds, 2, &left, NULL);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return -ECANCELED;
    }
    return 0;
}
