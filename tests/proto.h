/* Reading back what prof/wire.c writes, for tests: written from the format's description, not from
 * wire.c. */
#ifndef TESTS_PROTO_H
#define TESTS_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

struct proto { /* the bytes of a message that are still to be read */
    const unsigned char *at, *end;
};

struct proto_field {
    int number, wire_type;
    uint64_t value;     /* wire types 0 and 1 */
    struct proto bytes; /* wire type 2: a message, a string, packed numbers */
};

/* False: the bytes end within the number. */
static inline bool proto_varint(struct proto *p, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; p->at < p->end && shift < 64; shift += 7) {
        unsigned char c = *p->at++;
        *value |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return true;
    }
    return false;
}

/* The next field; false at the end, and with p->at NULL when the bytes are no message. */
static inline bool proto_next(struct proto *p, struct proto_field *f)
{
    uint64_t key, size;
    if (p->at == p->end)
        return false;
    bool ok = proto_varint(p, &key);
    *f = (struct proto_field){.number = (int)(key >> 3), .wire_type = (int)(key & 7)};
    if (ok && f->wire_type == 0) {
        ok = proto_varint(p, &f->value);
    } else if (ok && f->wire_type == 1) {
        ok = p->end - p->at >= 8;
        for (int i = 0; ok && i < 8; i++)
            f->value |= (uint64_t)*p->at++ << 8 * i;
    } else if (ok && f->wire_type == 2) {
        ok = proto_varint(p, &size) && size <= (uint64_t)(p->end - p->at);
        f->bytes = (struct proto){p->at, p->at + (ok ? size : 0)};
        p->at += ok ? size : 0;
    } else {
        ok = false;
    }
    if (!ok)
        p->at = p->end = NULL;
    return ok;
}

/* All of fd from its start, gunzipped; the caller frees *memory. False: no gzip stream, or not a
 * whole one. */
static inline bool proto_gunzip(int fd, unsigned char **memory, struct proto *out)
{
    size_t capacity = 16u << 20, size = 0;
    gzFile z = lseek(fd, 0, SEEK_SET) == 0 ? gzdopen(dup(fd), "rb") : NULL;
    *memory = malloc(capacity);
    bool ok = z && *memory;
    for (int n; ok && (n = gzread(z, *memory + size, (unsigned)(capacity - size))) != 0;
         size += (size_t)n)
        ok = n > 0 && size < capacity;
    ok = ok && !gzdirect(z);
    if (z)
        ok = gzclose(z) == Z_OK && ok;
    *out = (struct proto){*memory, *memory + (ok ? size : 0)};
    return ok;
}

#endif
