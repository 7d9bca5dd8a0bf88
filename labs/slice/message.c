/* Messages: the id stands in the head, the rest is what the message is about. Their content follows
 * from their number, so that every run gets the same. */
#include "labs/slice/slice.h"

#include <stdlib.h>
#include <string.h>

enum { ID_AT = 8 };

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 29;
}

/* Where the memory of lab 5 comes from, in either variant: the name that a heap profile shows. */
__attribute__((noinline)) struct message *message_receive(int64_t number)
{
    struct message *m = malloc(sizeof(*m) + SLICE_MESSAGE_BYTES);

    if (!m)
        return NULL;
    m->users = 1;
    m->bytes = SLICE_MESSAGE_BYTES;
    memset(m->data, (int)(number & 0xff), m->bytes);
    for (int i = 0; i < SLICE_ID_BYTES; i += 8) {
        uint64_t word = mix((uint64_t)number * 2 + (uint64_t)i / 8 + 1);
        memcpy(m->data + ID_AT + i, &word, sizeof(word));
    }
    return m;
}

void message_release(struct message *m)
{
    if (m && --m->users == 0)
        free(m);
}

const unsigned char *message_id(const struct message *m)
{
    return m->data + ID_AT;
}
