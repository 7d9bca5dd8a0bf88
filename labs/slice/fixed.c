/* Lab 5, after: what outlives the message is copied out of it. 16 bytes are an allocation more and
 * a thousandth of the memory; and the allocator hands the same 16 KiB out for every message, warm
 * in the cache. */
#include "labs/slice/slice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct slice slice_of(const struct message *m)
{
    void *id = malloc(SLICE_ID_BYTES);

    return (struct slice){.id = id ? memcpy(id, message_id(m), SLICE_ID_BYTES) : NULL};
}

__attribute__((noinline)) int slice_copy(struct slice_index *index, int count)
{
    int err = count < 0 ? -EINVAL : 0;

    for (int i = 0; i < count && !err; i++) {
        struct message *m = message_receive(slice_index_next(index));
        struct slice s = m ? slice_of(m) : (struct slice){0};
        message_release(m);
        err = s.id ? slice_index_add(index, s) : -ENOMEM;
    }
    return err;
}
