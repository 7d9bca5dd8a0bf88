/* What the lock hooks cost where nobody waits: lock+unlock through them, with the block and the
 * mutex profile recording everything, and straight to libc's, in turns, in one process. */
#include "bench/perf/measure.h"
#include "prof/pprof.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

enum { ROUNDS = 301, PAIRS = 20000 };

/* One loop for all: the functions come as pointers, so no call is cheaper to make than another. */
typedef int call(void *);

static __attribute__((noinline)) double pair_ns(call *take, call *give, void *lock)
{
    double start = measure_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < PAIRS; i++) {
        take(lock);
        __asm__ volatile("" : : : "memory");
        give(lock);
    }
    return (measure_ns(CLOCK_MONOTONIC) - start) / PAIRS;
}

static bool compare(const char *what, double bar_ns, call *take, call *give, const char *take_name,
                    const char *give_name, void *lock)
{
    static double plain[ROUNDS], hooked[ROUNDS];
    call *plain_take = (call *)dlsym(RTLD_NEXT, take_name);
    call *plain_give = (call *)dlsym(RTLD_NEXT, give_name);
    for (int i = 0; i < ROUNDS; i++) {
        plain[i] = pair_ns(plain_take, plain_give, lock);
        hooked[i] = pair_ns(take, give, lock);
    }
    double p = measure_median(plain, ROUNDS), h = measure_median(hooked, ROUNDS);
    bool ok = h - p <= bar_ns;
    printf("%s  %.2f ns (plain %.2f ns)  <= %.0f ns more  %s\n", what, h, p, bar_ns,
           ok ? "ok" : "MISSED");
    return ok;
}

#define COMPARE(what, bar_ns, take, give, lock)                                                    \
    compare(what, bar_ns, (call *)(take), (call *)(give), #take, #give, lock)

static void *idle(void *arg)
{
    sem_wait(arg);
    return NULL;
}

int main(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
    pthread_t thread;
    sem_t semaphore, end;
    sem_init(&semaphore, 0, 1);
    sem_init(&end, 0, 0);
    prof_set_block_rate_ns(1);
    prof_set_mutex_fraction(1);
    /* glibc takes no atomic instruction as long as there is one thread. */
    bool ok = COMPARE("uncontended mutex, one thread", 2, pthread_mutex_lock, pthread_mutex_unlock,
                      &mutex);
    pthread_create(&thread, NULL, idle, &end);
    ok &= COMPARE("uncontended mutex", 2, pthread_mutex_lock, pthread_mutex_unlock, &mutex);
    ok &= COMPARE("uncontended rwlock, read", 3, pthread_rwlock_rdlock, pthread_rwlock_unlock,
                  &rwlock);
    ok &= COMPARE("uncontended rwlock, write", 3, pthread_rwlock_wrlock, pthread_rwlock_unlock,
                  &rwlock);
    ok &= COMPARE("uncontended semaphore", 2, sem_wait, sem_post, &semaphore);
    sem_post(&end);
    pthread_join(thread, NULL);
    return ok ? 0 : 1;
}
