/* Lab 2, the bonus: an arena. All buffers of an operation die together, so they can live in one
 * block: one allocation and one free instead of a thousand. Each buffer is zeroed when it is cut
 * off, while it is about to be written anyway and lands in the nearest cache.
 *
 * Hint: B/op is what alloc_plain's is, allocs/op is not. Which of the two costs the time? */
#include "labs/alloc/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) int alloc_arena(size_t bytes, int count, bool hold, uint64_t *sum)
{
    if (bytes < ALLOC_DIGEST_BYTES || count < 0)
        return -EINVAL;
    struct buffers *set = buffers_new(bytes, count);
    if (!set)
        return -ENOMEM;
    set->block = reallocarray(NULL, (size_t)count + !count, bytes);
    if (!set->block) {
        buffers_free(set);
        return -ENOMEM;
    }

    for (int i = 0; i < count; i++) {
        set->item[i] = (unsigned char *)set->block + (size_t)i * bytes;
        set->count = set->capacity = i + 1;
        memset(set->item[i], 0, bytes);
        buffers_fill(set, i);
    }
    *sum = buffers_checksum(set);
    if (hold)
        buffers_hold(set);
    else
        buffers_free(set);
    return 0;
}
