/* Lab 2: too many allocations. Every operation fills `count` buffers of `bytes` each (a SHA-256
 * digest in front, zeros behind), collects them, adds all of their bytes up and lets go of them.
 *
 *   slow.c    alloc_plain   allocates every buffer, and frees every buffer
 *   fixed.c   alloc_pool    borrows the buffers from a pool and gives them back
 *   arena.c   alloc_arena   allocates one block and cuts it up (the bonus)
 *   hold.c                  what `hold` keeps: a leak to look for in the heap profile
 *   buffers.c               what all of them share
 *
 * Look first: run `Allocate/impl=plain` with -benchmem. allocs/op says how often, B/op how much.
 * Then take a heap profile and read it twice, with -sample_index=alloc_space and with
 * -sample_index=inuse_space. Which one shows the churn, and which the leak?
 *
 * Hint: a pooled buffer must not be lent to two at a time, and what was written into it must be
 * wiped. */
#ifndef LABS_ALLOC_H
#define LABS_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ALLOC_DIGEST_BYTES = 32, ALLOC_BYTES = 1024, ALLOC_COUNT = 1000 };

/* *sum becomes a checksum of every byte of every buffer, the same for all three. With hold the
 * buffers are kept, reachable, until lab_alloc_release. From any thread. 0, -EINVAL for bytes <
 * ALLOC_DIGEST_BYTES or count < 0, or -ENOMEM. */
int alloc_plain(size_t bytes, int count, bool hold, uint64_t *sum);
int alloc_pool(size_t bytes, int count, bool hold, uint64_t *sum);
int alloc_arena(size_t bytes, int count, bool hold, uint64_t *sum);

struct alloc_impl {
    const char *name;
    int (*allocate)(size_t bytes, int count, bool hold, uint64_t *sum);
};
extern const struct alloc_impl alloc_impls[]; /* slowest first; ends with a NULL name */
/* NULL: there is no such implementation. */
const struct alloc_impl *alloc_impl_find(const char *name);

/* Frees all that was held, and all that waits in the pool. Returns the bytes of the buffers that
 * were held. */
size_t lab_alloc_release(void);

/* ---- the parts, for whoever reads on --------------------------------------------------------- */

/* A collection of buffers. */
struct buffers {
    unsigned char **item;
    int count;    /* buffers in use */
    int capacity; /* buffers there are, and places in item */
    size_t bytes; /* the size of each */
    void *block;  /* NULL, or the one allocation that all of them lie in */
    struct buffers *next;
};

/* An empty collection. NULL: no memory. */
struct buffers *buffers_new(size_t bytes, int capacity);
void buffers_free(struct buffers *set);
/* The i-th buffer's content: a digest of i in the first ALLOC_DIGEST_BYTES. The rest is zero and
 * stays so. */
void buffers_fill(struct buffers *set, int i);
uint64_t buffers_checksum(const struct buffers *set);
/* The same of one buffer, wherever it lies. */
void buffer_fill(unsigned char *p, int i);
uint64_t buffer_checksum(const unsigned char *p, size_t bytes);
/* Takes ownership. */
void buffers_hold(struct buffers *set);

/* A collection with `count` zeroed buffers that nobody else has until pool_give. NULL: no memory.
 */
struct buffers *pool_take(size_t bytes, int count);
void pool_give(struct buffers *set);
void pool_drain(void);

#endif
