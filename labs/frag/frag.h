/* Step 7: a load that fragments a heap, to tune allocators under. Threads hold blocks in tables and
 * replace them at random. The sizes move from small to large and back, so that holes of one phase
 * do not fit the next; after each phase most blocks go and a few stay, spread over all pages; and
 * one block in eight is freed by another thread than the one that allocated it.
 *
 *   load.c    the threads and their phases
 *   size.c    which sizes a phase has
 *
 * The work is the same in every run with the same task, whatever the allocator does: the sum says
 * so.
 *
 * Look first: run `bin/frag_hot` on glibc and with LD_PRELOAD=libtcmalloc_minimal.so.4, and read
 * `held`: what the process still has when the program has freed nearly all of it. Then `make
 * compare-malloc`.
 *
 * Hint: memory that was freed and is still held is not lost; the next phase takes it. When does it
 * pay to give it back? */
#ifndef LABS_FRAG_H
#define LABS_FRAG_H

#include <stddef.h>
#include <stdint.h>

enum { FRAG_THREADS_MAX = 64, FRAG_PHASES = 5 };

struct frag_task {
    int threads;
    int slots;   /* blocks that each thread holds at once */
    int64_t ops; /* replacements by each thread in each phase */
    uint64_t seed;
};

struct frag_result {
    uint64_t sum;       /* of what was written into every block, read back when it was freed */
    int64_t ops;        /* blocks allocated, by all threads */
    int64_t failed;     /* allocations that gave NULL, which the load gets by without */
    int64_t live_bytes; /* the most that was asked for and not freed, about: each thread's most,
                           added up */
    int64_t kept_bytes; /* what is still in use at the end */
    int64_t elapsed_ns;
    int64_t cpu_ns;
};

/* Runs the load. While all threads still live, nearly everything is freed: then at_end(arg) is
 * called, to look at the process. 0, -EINVAL, -ENOMEM, or why a thread could not be started. */
int frag_run(const struct frag_task *task, struct frag_result *out, void (*at_end)(void *arg),
             void *arg);

/* The size of the next block in a phase, 0 to FRAG_PHASES - 1; random is 64 random bits. */
size_t frag_size(int phase, uint64_t random);

#endif
