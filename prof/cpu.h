/* Between cpu.c, which takes the ticks, and cpu_owed.c, which charges those that never came. */
#ifndef PROF_CPU_H
#define PROF_CPU_H

#include "prof/internal.h"

/* A CPU bucket's values, in ticks. Its tag is the thread's start routine: whose stacks may stand
 * for whose. */
enum { PROF_CPU_SEEN, PROF_CPU_OWED };

/* Adds ticks to the stack's bucket, with t's labels (t may be NULL); NULL: no memory, and counted.
 * Async-signal-safe; only while the profile runs or prof_threads_lock is held. */
struct prof_bucket *prof_cpu_record(const uintptr_t *pcs, int n, struct prof_thread *t, int value,
                                    int64_t ticks);

/* Notes that t, the calling thread, has just been seen in b (NULL: there was no room for it) for so
 * many ticks, its last ones. Async-signal-safe. */
void prof_owed_keep(struct prof_thread *t, struct prof_bucket *b, int64_t ticks);

/* Charges the expiries up to cpu_ns, on the thread's CPU clock, that no handler has seen. lives:
 * the profile ends, and the thread does not. Its timer is gone. Under prof_threads_lock. */
void prof_owed_charge(struct prof_thread *t, int64_t cpu_ns, int64_t period_ns, bool lives);

/* From counts of unit_ns in PROF_CPU_SEEN and PROF_CPU_OWED to the values of the profile, samples
 * and nanoseconds. Samples of nothing go. */
void prof_owed_settle(struct prof_snapshot *s, int64_t unit_ns);

#endif
