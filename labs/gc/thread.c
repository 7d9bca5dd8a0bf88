/* Threads that use objects. The collector has to know them: it stops them with a signal (SIGPWR)
 * and searches their stacks. libgc's pthread_create registers the new thread with it and then calls
 * the pthread_create that every other call goes through, libprof's hook. */
#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include "labs/gc/gc.h"

#include <gc/gc.h>

int gc_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    return GC_pthread_create(thread, NULL, fn, arg);
}

int gc_thread_join(pthread_t thread, void **result)
{
    return GC_pthread_join(thread, result);
}
