/* Memory that is freed all at once, and strings kept once each.
 *
 * Symbolizing and encoding make thousands of small things with one lifetime: one malloc each would
 * cost more than the work. Strings come out valid UTF-8, because a profile with another byte in its
 * string table is refused by every reader, and symbol and file names may hold anything. */
#include "prof/internal.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 * 1024, ALIGNMENT = 16, FIRST_STRINGS = 256 };

struct prof_pool_chunk {
    struct prof_pool_chunk *next;
    size_t used, size;
    _Alignas(ALIGNMENT) unsigned char data[];
};

static struct prof_pool_chunk *chunk_add(struct prof_pool *p, size_t bytes)
{
    size_t size = bytes > CHUNK_BYTES / 4 ? bytes : CHUNK_BYTES;
    struct prof_pool_chunk *c = malloc(sizeof *c + size);
    if (!c) {
        p->failed = true;
        return NULL;
    }
    c->used = 0;
    c->size = size;
    if (p->chunks && size != CHUNK_BYTES) { /* a large one: the current chunk stays current */
        c->next = p->chunks->next;
        p->chunks->next = c;
    } else {
        c->next = p->chunks;
        p->chunks = c;
    }
    return c;
}

void *prof_pool_alloc(struct prof_pool *p, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) {
        p->failed = true;
        return NULL;
    }
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct prof_pool_chunk *c = p->chunks;
    if (!c || c->size - c->used < bytes)
        c = chunk_add(p, bytes);
    if (!c)
        return NULL;
    void *at = c->data + c->used;
    c->used += bytes;
    return memset(at, 0, bytes);
}

void prof_pool_free(struct prof_pool *p)
{
    while (p->chunks) {
        struct prof_pool_chunk *c = p->chunks;
        p->chunks = c->next;
        free(c);
    }
    free(p->strings);
    free(p->slots);
    *p = (struct prof_pool){0};
}

/* RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
size_t prof_utf8_sequence(const unsigned char *text, size_t size)
{
    unsigned char c = text[0];
    size_t n = c < 0x80                ? 1
               : c >= 0xc2 && c < 0xe0 ? 2
               : c >= 0xe0 && c < 0xf0 ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;
    if (n == 0 || n > size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] >= 0xa0) ||
               (c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] >= 0x90);
    return bad ? 0 : n;
}

static bool utf8_valid(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t n = prof_utf8_sequence((const unsigned char *)text + at, size - at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

/* A copy with U+FFFD for every byte that is not part of UTF-8; at most three times as long. */
static const char *utf8_repair(struct prof_pool *p, const char *text, size_t *size)
{
    char *copy = prof_pool_alloc(p, *size * 3 + 1), *to = copy;
    if (!copy)
        return NULL;
    for (size_t at = 0; at < *size;) {
        size_t n = prof_utf8_sequence((const unsigned char *)text + at, *size - at);
        if (n == 0) {
            memcpy(to, "\xef\xbf\xbd", 3);
            to += 3;
            at++;
        } else {
            memcpy(to, text + at, n);
            to += n;
            at += n;
        }
    }
    *size = (size_t)(to - copy);
    return copy;
}

static uint32_t hash(const char *text, size_t size)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        h = (h ^ (unsigned char)text[i]) * 16777619u;
    return h;
}

/* The slot that holds the string, or the empty one where it belongs. */
static uint32_t *slot_of(const struct prof_pool *p, const char *text, size_t size)
{
    uint32_t mask = p->nslots - 1, i = hash(text, size) & mask;
    for (;; i = (i + 1) & mask) {
        uint32_t *slot = &p->slots[i];
        if (!*slot)
            return slot;
        const char *have = p->strings[*slot - 1];
        if (strncmp(have, text, size) == 0 && have[size] == '\0')
            return slot;
    }
}

static bool grow(struct prof_pool *p)
{
    uint32_t capacity = p->capacity ? p->capacity * 2 : FIRST_STRINGS;
    const char **strings = realloc(p->strings, capacity * sizeof *strings);
    if (strings)
        p->strings = strings;
    uint32_t *slots = calloc(capacity * 2, sizeof *slots);
    if (!strings || !slots) {
        free(slots);
        p->failed = true;
        return false;
    }
    free(p->slots);
    p->slots = slots;
    p->nslots = capacity * 2;
    p->capacity = capacity;
    for (uint32_t i = 0; i < p->nstrings; i++)
        *slot_of(p, strings[i], strlen(strings[i])) = i + 1;
    return true;
}

static uint32_t append(struct prof_pool *p, const char *text, size_t size)
{
    if (p->nstrings == p->capacity && !grow(p))
        return 0;
    uint32_t *slot = slot_of(p, text, size);
    if (*slot)
        return *slot - 1;
    char *copy = prof_pool_alloc(p, size + 1);
    if (!copy)
        return 0;
    memcpy(copy, text, size);
    p->strings[p->nstrings] = copy;
    *slot = ++p->nstrings;
    return *slot - 1;
}

uint32_t prof_pool_intern(struct prof_pool *p, const char *text, size_t size)
{
    if (p->nstrings == 0)
        append(p, "", 0);
    const char *end = size ? memchr(text, 0, size) : NULL;
    if (end)
        size = (size_t)(end - text);
    if (size == 0)
        return 0;
    if (!utf8_valid(text, size))
        text = utf8_repair(p, text, &size);
    return text ? append(p, text, size) : 0;
}

const char *prof_pool_string(struct prof_pool *p, const char *text)
{
    if (!text || !*text)
        return "";
    uint32_t i = prof_pool_intern(p, text, strlen(text));
    return i ? p->strings[i] : "";
}
