/* Protocol buffers and gzip: what profile.proto and Perfetto traces are written with.
 *
 * The format is small (a key, a varint or a length and bytes), so it is written directly rather
 * than through generated code. A message's length stands before it and is known only at its end:
 * one byte is kept free for it, and a message of 128 bytes or more is moved up by what its length
 * needs beyond. Entered through prof_wire_*; one struct prof_wire belongs to one thread at a time.
 */
#include "prof/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum {
    FLUSH_BYTES = 64 * 1024,
    GZIP_WINDOW_BITS = 15 + 16,
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_LENGTH = 2,
    VARINT_MAX = 10
};

struct prof_gzip {
    z_stream z;
    int fd;
    unsigned char buffer[FLUSH_BYTES];
};

int prof_write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Compresses data and writes what comes out; with Z_FINISH, all of it. */
static int gzip_put(struct prof_gzip *g, const void *data, size_t size, int flush)
{
    g->z.next_in = (Bytef *)data;
    g->z.avail_in = (uInt)size;
    do {
        g->z.next_out = g->buffer;
        g->z.avail_out = sizeof g->buffer;
        if (deflate(&g->z, flush) == Z_STREAM_ERROR)
            return -EINVAL;
        int err = prof_write_all(g->fd, g->buffer, sizeof g->buffer - g->z.avail_out);
        if (err)
            return err;
    } while (g->z.avail_out == 0);
    return 0;
}

int prof_wire_open_gzip(struct prof_wire *w, int fd)
{
    prof_wire_open(w);
    struct prof_gzip *g = malloc(sizeof *g);
    if (!g)
        return -ENOMEM;
    g->z = (z_stream){0};
    g->fd = fd;
    /* The fastest level, as Go's: a profile is written often and read once. */
    if (deflateInit2(&g->z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        free(g);
        return -ENOMEM;
    }
    w->out = g;
    return 0;
}

static void fail(struct prof_wire *w, int error)
{
    if (!w->error)
        w->error = error;
}

/* In pieces, because zlib counts in 32 bits. */
static void flush(struct prof_wire *w, int mode)
{
    size_t at = 0;
    while (!w->error && w->size - at > FLUSH_BYTES) {
        fail(w, gzip_put(w->out, w->data + at, FLUSH_BYTES, Z_NO_FLUSH));
        at += FLUSH_BYTES;
    }
    if (!w->error)
        fail(w, gzip_put(w->out, w->data + at, w->size - at, mode));
    w->size = 0;
}

int prof_wire_close(struct prof_wire *w)
{
    if (w->out) {
        flush(w, Z_FINISH);
        deflateEnd(&w->out->z);
        free(w->out);
        w->out = NULL;
        free(w->data);
        w->data = NULL;
    }
    return w->error;
}

/* Room for `bytes` more. NULL after a failure: whoever writes then writes nothing. */
static unsigned char *reserve(struct prof_wire *w, size_t bytes)
{
    if (w->error)
        return NULL;
    if (w->size + bytes > w->capacity) {
        size_t capacity = w->capacity ? w->capacity * 2 : 4096;
        while (capacity < w->size + bytes)
            capacity *= 2;
        unsigned char *data = realloc(w->data, capacity);
        if (!data) {
            fail(w, -ENOMEM);
            return NULL;
        }
        w->data = data;
        w->capacity = capacity;
    }
    return w->data + w->size;
}

static size_t put_varint(unsigned char *at, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        at[n++] = (unsigned char)(value | 0x80);
    at[n++] = (unsigned char)value;
    return n;
}

static size_t varint_size(uint64_t value)
{
    size_t n = 1;
    while (value >>= 7)
        n++;
    return n;
}

static uint64_t key(int field, int wire_type)
{
    return (uint64_t)field << 3 | (uint64_t)wire_type;
}

static void flush_if_full(struct prof_wire *w)
{
    if (w->out && w->depth == 0 && w->size >= FLUSH_BYTES)
        flush(w, Z_NO_FLUSH);
}

void prof_wire_uint(struct prof_wire *w, int field, uint64_t value)
{
    unsigned char *at = reserve(w, 2 * VARINT_MAX);
    if (!at)
        return;
    size_t n = put_varint(at, key(field, WIRE_VARINT));
    w->size += n + put_varint(at + n, value);
    flush_if_full(w);
}

void prof_wire_fixed64(struct prof_wire *w, int field, uint64_t value)
{
    unsigned char *at = reserve(w, VARINT_MAX + sizeof value);
    if (!at)
        return;
    size_t n = put_varint(at, key(field, WIRE_FIXED64));
    for (size_t i = 0; i < sizeof value; i++)
        at[n++] = (unsigned char)(value >> 8 * i);
    w->size += n;
    flush_if_full(w);
}

void prof_wire_bytes(struct prof_wire *w, int field, const void *data, size_t size)
{
    unsigned char *at = reserve(w, 2 * VARINT_MAX + size);
    if (!at)
        return;
    size_t n = put_varint(at, key(field, WIRE_LENGTH));
    n += put_varint(at + n, size);
    if (size)
        memcpy(at + n, data, size);
    w->size += n + size;
    flush_if_full(w);
}

void prof_wire_string(struct prof_wire *w, int field, const char *text)
{
    prof_wire_bytes(w, field, text, strlen(text));
}

void prof_wire_packed(struct prof_wire *w, int field, const uint64_t *values, size_t n)
{
    if (n == 0)
        return;
    size_t message = prof_wire_begin(w, field);
    unsigned char *at = reserve(w, n * VARINT_MAX);
    size_t size = 0;
    for (size_t i = 0; at && i < n; i++)
        size += put_varint(at + size, values[i]);
    w->size += size;
    prof_wire_end(w, message);
}

size_t prof_wire_begin(struct prof_wire *w, int field)
{
    w->depth++;
    unsigned char *at = reserve(w, VARINT_MAX + 1);
    if (!at)
        return 0;
    w->size += put_varint(at, key(field, WIRE_LENGTH)) + 1;
    return w->size;
}

void prof_wire_end(struct prof_wire *w, size_t message)
{
    w->depth--;
    if (!reserve(w, VARINT_MAX))
        return;
    size_t size = w->size - message, extra = varint_size(size) - 1;
    if (extra)
        memmove(w->data + message + extra, w->data + message, size);
    put_varint(w->data + message - 1, size);
    w->size += extra;
    flush_if_full(w);
}
