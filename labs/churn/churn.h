/* Churn: buffers that are made, filled, read and let go of, one after the other, with memory from
 * wherever you like. The same work for a collector, for malloc and free, for a pool and for an
 * arena: the checksum proves it.
 *
 *   work.c    the work, on one thread or several; which buffers are kept
 *   ways.c    the ways to get memory, by name
 *   gc.c      the collector of labs/gc: letting go is doing nothing
 *   heap.c    malloc: the C library's, or tcmalloc
 *   pool.c    buffers that were let go of are lent again
 *   arena.c   blocks are cut up, and reused when all of a block's buffers are dead
 *
 * Look first: bin/mem_hot -gc -hold=false, with GOGC=50 and GOGC=200. Then -alloc pool. Which knob
 * saved more?
 *
 * Hint: a collector's cost grows with what is kept, not with what is thrown away: try -keep. */
#ifndef LABS_CHURN_H
#define LABS_CHURN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHURN_THREADS_MAX = 64 };

/* What one thread has of a way's own: its pool, its arena. Zeroed memory is an empty one. */
struct churn_hand {
    void *state;
};

struct churn_way {
    const char *name;
    /* A zeroed buffer. NULL: no memory. */
    void *(*take)(struct churn_hand *hand, size_t bytes);
    /* Nobody will look at it again. */
    void (*give)(struct churn_hand *hand, void *p, size_t bytes);
    /* At the end of a thread: all that it took and did not hold has been given. NULL: nothing to
     * do. */
    void (*finish)(struct churn_hand *hand);
    /* What a collector needs otherwise; NULL: calloc, free, pthread_create and pthread_join. */
    void *(*take_links)(size_t bytes); /* zeroed memory for pointers to buffers */
    void (*give_links)(void *p);
    int (*thread_start)(pthread_t *thread, void *(*fn)(void *), void *arg);
    int (*thread_join)(pthread_t thread, void **result);
};

extern const struct churn_way churn_gc, churn_malloc, churn_tcmalloc, churn_pool, churn_arena;

/* "gc", "malloc", "tcmalloc", "pool" or "arena"; NULL: none of these. */
const struct churn_way *churn_way_find(const char *name);
/* Whether this process has it: tcmalloc may not be there. */
bool churn_way_works(const struct churn_way *way);

struct churn_work {
    const struct churn_way *way;
    size_t bytes; /* of each buffer; at least ALLOC_DIGEST_BYTES */
    int count;    /* buffers in all */
    bool hold;    /* all are kept for ever */
    int keep;     /* else so many at a time, the newest; 0: each is let go of at once */
    int threads;  /* 1 to CHURN_THREADS_MAX */
};

/* *sum: what alloc_plain of labs/alloc gives for as many buffers. 0, -EINVAL, -ENOMEM, or what
 * pthread_create said. What is held stays reachable for ever. */
int churn_run(const struct churn_work *work, uint64_t *sum);

#endif
