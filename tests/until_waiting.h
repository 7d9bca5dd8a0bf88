/* Until other threads wait, however busy the machine is: no test guesses how long that takes. */
#ifndef TESTS_UNTIL_WAITING_H
#define TESTS_UNTIL_WAITING_H

#include "prof/internal.h"
#include "prof/thread.h"

#include <sched.h>
#include <unistd.h>

static inline bool is_waiting(const struct prof_thread *t, int kind, int tasks)
{
    struct prof_task task;
    int is = atomic_load(&t->wait_kind);
    return is != PROF_WAIT_NONE && (is == kind || kind == PROF_WAIT_NONE) &&
           prof_task_read(tasks, atomic_load(&t->tid), &task) && task.state == 'S';
}

/* Until that many threads sleep in such a wait (PROF_WAIT_NONE: in any); for 20 s at most. */
static inline void until_waiting(size_t threads, int kind)
{
    int64_t end_ns = prof_now_ns() + INT64_C(20000000000);
    prof_enter(); /* this is no part of what is traced */
    int tasks = prof_tasks_open();
    for (size_t n = 0; n < threads && prof_now_ns() < end_ns; sched_yield()) {
        n = 0;
        for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
            n += is_waiting(t, kind, tasks);
    }
    close(tasks);
    prof_leave();
}
#endif
