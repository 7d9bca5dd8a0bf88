/* Threads that use objects. The collector has to know them: it stops them with a signal (SIGPWR)
 * and searches their stacks. libgc's pthread_create registers the new thread with it and then calls
 * the pthread_create that every other call goes through, libprof's hook. */
#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include "labs/gc/internal.h"

#include <errno.h>
#include <gc/gc.h>

static _Atomic int threads = 1; /* the main thread */

int gc_threads(void)
{
    return atomic_load_explicit(&threads, memory_order_relaxed);
}

struct start {
    void *(*fn)(void *);
    void *arg;
};

static void leave(void *unused)
{
    (void)unused;
    atomic_fetch_sub_explicit(&threads, 1, memory_order_relaxed);
}

static void *run(void *arg)
{
    const struct start start = *(struct start *)arg;
    void *result;

    pthread_cleanup_push(leave, NULL);
    result = start.fn(start.arg);
    pthread_cleanup_pop(1);
    return result;
}

int gc_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    /* An object, so that what arg points to is found until the thread has it. */
    struct start *start = GC_malloc(sizeof *start);

    if (!start)
        return EAGAIN;
    *start = (struct start){fn, arg};
    atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
    int err = GC_pthread_create(thread, NULL, run, start);
    if (err)
        leave(NULL);
    return err;
}

int gc_thread_join(pthread_t thread, void **result)
{
    return GC_pthread_join(thread, result);
}
