/* Lab 5: a buffer kept alive by a small slice of it. Messages of 16 KiB come in; of each, the id in
 * its head is wanted later, and 16 bytes is all that it takes.
 *
 *   slow.c      slice_view    keeps a view into the message, and so the message
 *   fixed.c     slice_copy    copies the 16 bytes and lets the message go
 *   message.c                 messages, and who still needs them
 *   index.c                   what is kept
 *
 * Look first: run `bin/grow_hot -lab slice` and see resident memory grow a thousand times as fast
 * as what is kept. Then take a heap profile: it names message_receive. Why is that true, and why is
 * that not where the fault lies?
 *
 * Hint: C's buffers with counted references (GLib's GBytes, nginx' chains, libuv's, your own) make
 * views cheap. That is what they are for, as long as a view does not outlive the work on its
 * buffer. */
#ifndef LABS_SLICE_H
#define LABS_SLICE_H

#include <stddef.h>
#include <stdint.h>

enum { SLICE_MESSAGE_BYTES = 16 << 10, SLICE_ID_BYTES = 16, SLICE_COUNT = 500 };

struct slice_index;

/* Receives `count` messages and adds the id of each to the index. One thread at a time an index. 0,
 * -EINVAL for a negative count, or -ENOMEM; what was added until then stays. */
int slice_view(struct slice_index *index, int count);
int slice_copy(struct slice_index *index, int count);

struct slice_impl {
    const char *name;
    int (*keep)(struct slice_index *index, int count);
};
extern const struct slice_impl slice_impls[]; /* the slow one first; ends with a NULL name */
/* NULL: there is no such implementation. */
const struct slice_impl *slice_impl_find(const char *name);

/* An empty index. NULL: no memory. */
struct slice_index *slice_index_new(void);
void slice_index_free(struct slice_index *index);
/* Of every id in the index and its place, the same for both. */
uint64_t slice_index_checksum(const struct slice_index *index);
/* The bytes that the index keeps from being freed: of ids, or of whole messages. */
size_t slice_index_held(const struct slice_index *index);

/* ---- the parts, for whoever reads on --------------------------------------------------------- */

/* A message in memory that lives until nobody needs it any more. */
struct message {
    int users; /* who need it; all on one thread here, else it would have to be atomic */
    size_t bytes;
    unsigned char data[];
};

/* The number-th message, with one user: the caller. NULL: no memory. */
struct message *message_receive(int64_t number);
/* The caller no longer needs it; the last one frees it. */
void message_release(struct message *m);
/* The place of the id in the message: SLICE_ID_BYTES. */
const unsigned char *message_id(const struct message *m);

/* An id, and what it lies in. */
struct slice {
    const unsigned char *id;
    struct message *owner; /* NULL: it is an allocation of its own */
};

/* The number of the next message. */
int64_t slice_index_next(const struct slice_index *index);
/* Takes ownership: of one use of the owner, or of the id itself. -ENOMEM: it did not, and has
 * released it. */
int slice_index_add(struct slice_index *index, struct slice s);

#endif
