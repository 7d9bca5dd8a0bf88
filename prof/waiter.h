/* A thread's place among those that wait for one lock. */
#ifndef PROF_WAITER_H
#define PROF_WAITER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

/* How a wait was ended. */
enum prof_wake {
    PROF_WAKE_NONE,
    PROF_WAKE_UNLOCK,
    PROF_WAKE_SIGNAL,
    PROF_WAKE_BROADCAST,
    PROF_WAKE_POST,
    PROF_WAKE_ARRIVAL,
    PROF_WAKE_EXIT,
};

/* Who was the last that may have ended a wait: left with the waiter by an unlock or a signal, while
 * a trace is recorded, so that the waiter's one event can tell of both. */
struct prof_stamp {
    uint64_t ticks;
    const void *here, *from; /* where: struct prof_site. A whole stack would take longer than
                                handing a lock over */
    pid_t tid;
    int how; /* enum prof_wake; PROF_WAKE_NONE: nobody was */
};

/* contention.c's, guarded by the lock of the list. */
struct prof_waiter {
    struct prof_waiter *next, *previous;
    _Atomic(const void *)
        object; /* what it waits for: the lock, or the condition variable; NULL: not in a list */
    const void *condition; /* with the mutex that a wait for it takes back, else NULL */
    const void *mutex;
    int64_t charged_ns; /* the time up to which waiting was charged */
    struct prof_stamp stamp;
};

#endif
