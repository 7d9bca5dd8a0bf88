/* The lock that libprof uses itself: three states and a futex, after Drepper, "Futexes Are Tricky"
 * (2011), mutex 2. libc's mutexes cannot serve: they are hooked, and a hook may run while libc's
 * own are held. */
#include "prof/internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

struct prof_drop_counters prof_dropped;

void prof_lock(struct prof_lock *l)
{
    uint32_t seen = 0;
    if (atomic_compare_exchange_strong_explicit(&l->state, &seen, 1, memory_order_acquire,
                                                memory_order_relaxed))
        return;
    int saved = errno;
    if (seen != 2)
        seen = atomic_exchange_explicit(&l->state, 2, memory_order_acquire);
    while (seen != 0) {
        syscall(SYS_futex, &l->state, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
        seen = atomic_exchange_explicit(&l->state, 2, memory_order_acquire);
    }
    errno = saved;
}

bool prof_trylock(struct prof_lock *l)
{
    uint32_t seen = 0;
    return atomic_compare_exchange_strong_explicit(&l->state, &seen, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

void prof_unlock(struct prof_lock *l)
{
    if (atomic_exchange_explicit(&l->state, 0, memory_order_release) != 2)
        return;
    int saved = errno;
    syscall(SYS_futex, &l->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = saved;
}

void prof_futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t ns)
{
    int saved = errno;
    struct timespec length = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &length, NULL, 0);
    errno = saved;
}

void prof_futex_wake(_Atomic uint32_t *word)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    errno = saved;
}

void prof_drops(struct prof_drops *out)
{
    *out = (struct prof_drops){
        .cpu_samples = atomic_load(&prof_dropped.cpu_samples),
        .cpu_timers = atomic_load(&prof_dropped.cpu_timers),
        .heap_samples = atomic_load(&prof_dropped.heap_samples),
        .lock_samples = atomic_load(&prof_dropped.lock_samples),
        .labels = atomic_load(&prof_dropped.labels),
        .threads = atomic_load(&prof_dropped.threads),
    };
}
