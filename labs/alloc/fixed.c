/* Lab 2, after: a pool. An operation takes a whole collection of buffers under one lock, works, and
 * gives it back; only the first operation (or the first of several at once) allocates.
 *
 * Two rules make a pool right, and both are easily broken. A buffer in use is not in the pool: what
 * is taken is unlinked before the lock is let go, and what is held is never given back. And nobody
 * sees what was in a buffer before: pool_give wipes what was written, the 32 bytes, which is far
 * less than a calloc of everything.
 *
 * Hint: a pool that never lets go of anything is a leak. This one keeps POOL_MAX collections. */
#include "labs/alloc/alloc.h"
#include "prof/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_MAX = 16 };

static struct {
    pthread_mutex_t lock;
    struct buffers *first; /* under lock */
    int length;            /* under lock */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Unlinks a collection with buffers of the right size, if there is one. */
static struct buffers *pool_find(size_t bytes)
{
    pthread_mutex_lock(&pool.lock);
    struct buffers **link = &pool.first;
    while (*link && (*link)->bytes != bytes)
        link = &(*link)->next;
    struct buffers *set = *link;
    if (set) {
        *link = set->next;
        pool.length--;
    }
    pthread_mutex_unlock(&pool.lock);
    return set;
}

/* Makes room for `count` buffers; those that are there stay where they are. */
static int pool_extend(struct buffers *set, int count)
{
    if (count <= set->capacity)
        return 0;
    unsigned char **item = realloc(set->item, (size_t)count * sizeof(*item));
    if (!item)
        return -ENOMEM;
    set->item = item;
    for (; set->capacity < count; set->capacity++) {
        item[set->capacity] = calloc(1, set->bytes);
        if (!item[set->capacity])
            return -ENOMEM;
    }
    return 0;
}

struct buffers *pool_take(size_t bytes, int count)
{
    PROF_REGION("take");
    struct buffers *set = pool_find(bytes);

    if (!set)
        set = buffers_new(bytes, 0);
    if (!set)
        return NULL;
    if (pool_extend(set, count) < 0) {
        buffers_free(set);
        return NULL;
    }
    set->count = count;
    return set;
}

void pool_give(struct buffers *set)
{
    PROF_REGION("give back");
    for (int i = 0; i < set->count; i++)
        memset(set->item[i], 0, ALLOC_DIGEST_BYTES);
    pthread_mutex_lock(&pool.lock);
    bool room = pool.length < POOL_MAX;
    if (room) {
        set->next = pool.first;
        pool.first = set;
        pool.length++;
    }
    pthread_mutex_unlock(&pool.lock);
    if (!room)
        buffers_free(set);
}

void pool_drain(void)
{
    pthread_mutex_lock(&pool.lock);
    struct buffers *set = pool.first;
    pool.first = NULL;
    pool.length = 0;
    pthread_mutex_unlock(&pool.lock);
    while (set) {
        struct buffers *next = set->next;
        buffers_free(set);
        set = next;
    }
}

__attribute__((noinline)) int alloc_pool(size_t bytes, int count, bool hold, uint64_t *sum)
{
    if (bytes < ALLOC_DIGEST_BYTES || count < 0)
        return -EINVAL;
    struct buffers *set = pool_take(bytes, count);
    if (!set)
        return -ENOMEM;

    for (int i = 0; i < count; i++)
        buffers_fill(set, i);
    *sum = buffers_checksum(set);
    if (hold)
        buffers_hold(set);
    else
        pool_give(set);
    return 0;
}
