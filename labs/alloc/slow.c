/* Lab 2, before: a new buffer for every item, each zeroed by calloc as Go's make would, and each
 * freed after. With 1000 buffers an operation that is 1000 trips to the allocator and back, and a
 * megabyte of zeros written for 32 bytes of content each. Nothing is wrong with it; it is only more
 * than the work needs. */
#include "labs/alloc/alloc.h"

#include <errno.h>
#include <stdlib.h>

__attribute__((noinline)) int alloc_plain(size_t bytes, int count, bool hold, uint64_t *sum)
{
    if (bytes < ALLOC_DIGEST_BYTES || count < 0)
        return -EINVAL;
    struct buffers *set = buffers_new(bytes, count);
    if (!set)
        return -ENOMEM;

    for (int i = 0; i < count; i++) {
        set->item[i] = calloc(1, bytes);
        if (!set->item[i]) {
            buffers_free(set);
            return -ENOMEM;
        }
        set->count = set->capacity = i + 1;
        buffers_fill(set, i);
    }
    *sum = buffers_checksum(set);
    if (hold)
        buffers_hold(set);
    else
        buffers_free(set);
    return 0;
}
