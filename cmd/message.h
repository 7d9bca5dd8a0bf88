/* Reading protocol buffers: what profile.proto and Perfetto traces are read with. (prof/wire.c
 * writes them.)
 *
 *   struct message m = file.message;
 *   struct message_field f;
 *   while (message_next(&m, &f))
 *       if (f.number == 4)
 *           text(f.bytes.at, message_size(&f.bytes));
 *   if (message_broken(&m)) ...
 *
 * Nothing is copied: what is read lies where the bytes lie. */
#ifndef CMD_MESSAGE_H
#define CMD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message { /* the bytes of a message that are still to be read */
    const unsigned char *at, *end;
};

enum { MESSAGE_VARINT = 0, MESSAGE_FIXED64 = 1, MESSAGE_BYTES = 2, MESSAGE_FIXED32 = 5 };

struct message_field {
    uint32_t number;
    int type;             /* MESSAGE_... */
    uint64_t value;       /* of a number; of bytes: 0 */
    struct message bytes; /* MESSAGE_BYTES: a message, a string, packed numbers; else empty */
};

/* The next field; false at the end, and when the bytes are no message. */
bool message_next(struct message *m, struct message_field *f);

/* The next number of a packed field (repeated varints); false at the end, and when it is cut short.
 */
bool message_varint(struct message *m, uint64_t *value);

/* After false: whether that was not the end. */
static inline bool message_broken(const struct message *m)
{
    return m->at == NULL;
}

static inline size_t message_size(const struct message *m)
{
    return (size_t)(m->end - m->at);
}

/* A whole file in memory, unpacked when it is gzip'd. */
struct message_file {
    void *memory;
    struct message message;
};

/* Reads the file at path, at most max_bytes of it (unpacked). -EFBIG: it has more. -EILSEQ: its
 * gzip stream is damaged or cut short. Else what open(2) or read(2) said. */
int message_file_read(struct message_file *f, const char *path, size_t max_bytes);
void message_file_free(struct message_file *f);

#endif
