/* The libprof in the program itself, which a preloaded one stands behind: twin.c. */
#ifndef PROF_TWIN_H
#define PROF_TWIN_H

#include "prof/internal.h"

#pragma GCC visibility push(hidden)

extern _Atomic uintptr_t prof_twin_begin, prof_twin_bytes;
static inline bool prof_twin_has(uintptr_t pc)
{
    return pc - atomic_load_explicit(&prof_twin_begin, memory_order_relaxed) <
           atomic_load_explicit(&prof_twin_bytes, memory_order_relaxed);
}
int prof_twin_skip_slowly(uintptr_t *pcs, int n);
/* Drops the frames of the twin's hook that such a stack begins with; what is left of n.
 * Async-signal-safe. */
static inline int prof_twin_skip(uintptr_t *pcs, int n)
{
    return n > 1 && prof_twin_has(pcs[0]) ? prof_twin_skip_slowly(pcs, n) : n;
}
/* Tells the libprof behind this one, if there is one. thread_main: with what a thread begins. */
void prof_twin_find(void *(*thread_main)(void *));
/* What the program asked pthread_create to run. */
void *prof_twin_start_routine(void *(*start_routine)(void *), void *arg);

#pragma GCC visibility pop
#endif
