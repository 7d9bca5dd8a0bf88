/* Lab 5, before: the id is in memory already, so why copy it? The view costs nothing, says who owns
 * the bytes, and is perfectly safe. It also keeps 16 KiB for 16 bytes, for as long as the index
 * lives. Nothing is lost, so no leak checker complains; it is only that nobody meant it. */
#include "labs/slice/slice.h"

#include <errno.h>

__attribute__((noinline)) int slice_view(struct slice_index *index, int count)
{
    int err = count < 0 ? -EINVAL : 0;

    for (int i = 0; i < count && !err; i++) {
        struct message *m = message_receive(slice_index_next(index));
        if (!m)
            return -ENOMEM;
        m->users++; /* the index' */
        err = slice_index_add(index, (struct slice){.id = message_id(m), .owner = m});
        message_release(m);
    }
    return err;
}
