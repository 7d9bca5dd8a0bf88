/* What memstats.c asks of the floors below it, and text.c of memstats.c. Not visible outside
 * libprof. */
#ifndef PROF_MEMORY_H
#define PROF_MEMORY_H

#include "prof/internal.h"

#pragma GCC visibility push(hidden)

/* malloc.c: the allocator's malloc, that does the work behind the hook. NULL: not known yet. */
const void *prof_malloc_next(void);

/* arena.c: bytes that prof_pages_alloc has handed out and not got back. */
uint64_t prof_pages_held(void);

/* heap.c: the bytes in use, estimated from the samples, and the variance of that estimate. */
struct prof_heap_estimate {
    double bytes, variance;
};
struct prof_heap_estimate prof_heap_estimate(void);

/* Go's `# runtime.MemStats` lines, as they stand at the end of a heap profile's text. */
void prof_memstats_put(FILE *f);

#pragma GCC visibility pop
#endif
