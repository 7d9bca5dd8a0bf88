/* The format is small (a key, then a number or a length and bytes), so it is read directly, as it
 * is written in prof/wire.c. Files come from anywhere, so every length is checked against what is
 * there. Entered through message_file_read, then message_next on the file's message and on those in
 * it. */
#include "cmd/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { FIRST_BYTES = 1 << 16 };

static bool broken(struct message *m)
{
    m->at = m->end = NULL;
    return false;
}

bool message_varint(struct message *m, uint64_t *value)
{
    *value = 0;
    if (m->at == m->end)
        return false;
    for (int shift = 0; m->at < m->end && shift < 64; shift += 7) {
        unsigned char c = *m->at++;
        *value |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return true;
    }
    return broken(m);
}

/* The least significant byte comes first. */
static bool read_fixed(struct message *m, uint64_t *value, size_t size)
{
    if (message_size(m) < size)
        return broken(m);
    *value = 0;
    for (size_t i = 0; i < size; i++)
        *value |= (uint64_t)m->at[i] << (8 * i);
    m->at += size;
    return true;
}

static bool read_bytes(struct message *m, struct message *out)
{
    uint64_t size;

    if (!message_varint(m, &size) || size > message_size(m))
        return broken(m);
    *out = (struct message){m->at, m->at + size};
    m->at += size;
    return true;
}

bool message_next(struct message *m, struct message_field *f)
{
    uint64_t key;

    if (!message_varint(m, &key))
        return false;
    *f = (struct message_field){.number = (uint32_t)(key >> 3), .type = (int)(key & 7)};
    if (f->number == 0)
        return broken(m);
    switch (f->type) {
    case MESSAGE_VARINT:
        return message_varint(m, &f->value) || broken(m);
    case MESSAGE_FIXED64:
        return read_fixed(m, &f->value, 8);
    case MESSAGE_BYTES:
        return read_bytes(m, &f->bytes);
    case MESSAGE_FIXED32:
        return read_fixed(m, &f->value, 4);
    default:
        return broken(m);
    }
}

/* gzread hands on what is not packed as it is. A stream that is cut short ends without an error,
 * which only gzclose tells. */
static int read_all(gzFile z, struct message_file *f, size_t max_bytes)
{
    size_t capacity = 0, size = 0;

    for (int n = 1; n > 0; size += (size_t)n) {
        if (size == capacity) {
            capacity = capacity ? capacity * 2 : FIRST_BYTES;
            void *more = realloc(f->memory, capacity);
            if (!more)
                return -ENOMEM;
            f->memory = more;
        }
        errno = 0;
        n = gzread(z, (char *)f->memory + size,
                   (unsigned)(capacity - size < 1u << 30 ? capacity - size : 1u << 30));
        if (n < 0)
            return errno ? -errno : -EILSEQ;
        if (size + (size_t)n > max_bytes)
            return -EFBIG;
    }
    f->message = (struct message){f->memory, (unsigned char *)f->memory + size};
    return 0;
}

int message_file_read(struct message_file *f, const char *path, size_t max_bytes)
{
    *f = (struct message_file){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    gzFile z = gzdopen(fd, "rb");
    if (!z) {
        close(fd);
        return -ENOMEM;
    }
    int err = read_all(z, f, max_bytes);
    int closed = gzclose(z);
    if (!err && closed != Z_OK)
        err = closed == Z_ERRNO ? -errno : -EILSEQ;
    if (err)
        message_file_free(f);
    return err;
}

void message_file_free(struct message_file *f)
{
    free(f->memory);
    *f = (struct message_file){0};
}
