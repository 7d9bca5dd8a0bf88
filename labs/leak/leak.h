/* Lab 4: threads that never end, C's goroutine leak. Each call starts a crew of `workers` threads,
 * gives every one of them a job, and adds up what they computed.
 *
 *   slow.c    leak_leaky    forgets the crew: its threads wait for a next job that never comes
 *   fixed.c   leak_joined   tells the crew to stop, and waits until every thread has ended
 *   crew.c                  the threads, the same for both, and the stop signal nobody sends
 *
 * Look first: run `Leak` and read the threads-left/op. Then look at a program that leaks with
 * `ls /proc/PID/task | wc -l`, twice; and at the goroutine profile: where do they all stand, and
 * who started them?
 *
 * Hint: a leaked thread costs no CPU time, so no CPU profile will ever show it. */
#ifndef LABS_LEAK_H
#define LABS_LEAK_H

#include <stdint.h>

enum { LEAK_WORKERS = 4, LEAK_WORKERS_MAX = 1000 };

/* *sum becomes the sum of what the crew computed, the same for both. From any thread. 0, -EINVAL
 * for workers out of 1 to LEAK_WORKERS_MAX, -ENOMEM, or why a thread could not be started (then
 * none is left). */
int leak_leaky(int workers, uint64_t *sum);
int leak_joined(int workers, uint64_t *sum);

struct leak_impl {
    const char *name;
    int (*run)(int workers, uint64_t *sum);
};
extern const struct leak_impl leak_impls[]; /* the leaky one first; ends with a NULL name */
/* NULL: there is no such implementation. */
const struct leak_impl *leak_impl_find(const char *name);

/* How many leaked threads there are now. */
int lab_leak_count(void);
/* The signal that nobody sends, sent after all: ends and joins every crew leaked at least age_ns
 * ago (0: all of them). Returns how many threads that were. */
int lab_leak_stop(int64_t age_ns);

/* ---- shared by both -------------------------------------------------------------------------- */

struct leak_crew;

/* Starts the threads and waits until each has done its job. */
int leak_crew_start(int workers, struct leak_crew **out, uint64_t *sum);
/* Tells them to stop, waits for them, frees the crew. Returns how many they were. */
int leak_crew_stop(struct leak_crew *crew);
/* Keeps a forgotten crew where lab_leak_stop finds it. */
void leak_crew_forget(struct leak_crew *crew);

#endif
