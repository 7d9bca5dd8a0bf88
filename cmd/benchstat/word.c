// word.c: memory, words and maps.
//
// Benchmark files say the same few strings again and again. Each is kept once, as a word, so that
// the rest of the program compares, hashes and stores pointers. Entered from everywhere.

#include "cmd/benchstat/benchstat.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// Small inputs get by with one small block; large ones take memory in pages that cost one fault
// where ordinary ones cost hundreds.
enum { FIRST_BLOCK_BYTES = 256 * 1024, HUGE_PAGE_BYTES = 2 * 1024 * 1024, ALIGN_BYTES = 16 };

struct block {
    struct block *older; // keeps all blocks reachable, for leak checkers
};
static struct block *blocks;
static char *arena_next;
static size_t arena_left;

static void out_of_memory(void)
{
    fputs("benchstat: out of memory: try again with fewer inputs, or with -filter\n", stderr);
    exit(1);
}

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

// Zeroed; the arena keeps a pointer to it in its first bytes. Of a large one, calloc clears
// nothing, and the kernel only what is used.
static void *new_block(size_t bytes)
{
    bool huge = bytes >= HUGE_PAGE_BYTES;
    if (huge)
        bytes = round_up(bytes, HUGE_PAGE_BYTES);
    uintptr_t p = (uintptr_t)calloc(1, bytes + (huge ? HUGE_PAGE_BYTES : 0));
    if (!p)
        out_of_memory();
    if (huge) {
        p = round_up(p, HUGE_PAGE_BYTES);
        madvise((void *)p, bytes, MADV_HUGEPAGE);
    }
    struct block *b = (struct block *)p;
    b->older = blocks;
    blocks = b;
    return (char *)b + ALIGN_BYTES;
}

void *mem_alloc(size_t bytes)
{
    size_t block_bytes = blocks ? HUGE_PAGE_BYTES : FIRST_BLOCK_BYTES;
    bytes = round_up(bytes, ALIGN_BYTES);
    if (bytes > block_bytes / 2)
        return new_block(bytes + ALIGN_BYTES);
    if (bytes > arena_left) {
        arena_next = new_block(block_bytes);
        arena_left = block_bytes - ALIGN_BYTES;
    }
    void *p = arena_next;
    arena_next += bytes;
    arena_left -= bytes;
    return p;
}

void *mem_grow(void *old, size_t bytes)
{
    void *p = realloc(old, bytes ? bytes : 1);
    if (!p)
        out_of_memory();
    return p;
}

char *mem_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *s = mem_alloc((size_t)n + 1);
    va_start(args, format);
    vsnprintf(s, (size_t)n + 1, format, args);
    va_end(args);
    return s;
}

str mem_join(const str *parts, size_t n)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++)
        length += parts[i].n;
    char *s = mem_alloc(length + 1), *end = s;
    for (size_t i = 0; i < n; i++)
        if (parts[i].n)
            end = mempcpy(end, parts[i].s, parts[i].n);
    return (str){s, length};
}

// ---- words: an open-addressed table of pointers ---------------------------------------------

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

static uint64_t hash_bytes(str s)
{
    uint64_t h = s.n, x = 0;
    size_t i = 0;
    for (; i + sizeof x <= s.n; i += sizeof x) {
        memcpy(&x, s.s + i, sizeof x);
        h = mix(h, x);
    }
    if (i < s.n && s.n >= sizeof x)
        memcpy(&x, s.s + s.n - sizeof x, sizeof x); // some bytes twice
    else if (i < s.n)
        memcpy(&x, s.s, s.n);
    return mix(h, x);
}

static void interned_resize(struct interned *t)
{
    struct interned old = *t;
    t->size = old.size ? old.size * 2 : 64;
    t->slots = mem_alloc(t->size * sizeof *t->slots);
    for (size_t i = 0; i < old.size; i++) {
        if (!old.slots[i].entry)
            continue;
        size_t at = old.slots[i].hash & (t->size - 1);
        while (t->slots[at].entry)
            at = (at + 1) & (t->size - 1);
        t->slots[at] = old.slots[i];
    }
}

void **interned_at(struct interned *t, uint64_t hash, interned_is *is, const void *wanted, size_t n)
{
    if (t->used * 3 >= t->size * 2)
        interned_resize(t);
    size_t at = hash & (t->size - 1);
    for (; t->slots[at].entry; at = (at + 1) & (t->size - 1))
        if (t->slots[at].hash == hash && is(t->slots[at].entry, wanted, n))
            return &t->slots[at].entry;
    t->slots[at].hash = hash;
    t->used++;
    return &t->slots[at].entry;
}

static bool word_is(const void *entry, const void *s, size_t n)
{
    const struct word *w = entry;
    return w->n == n && memcmp(w->s, s, n) == 0;
}

const struct word *word_of(str s)
{
    static struct interned words;
    uint64_t hash = hash_bytes(s);
    void **slot = interned_at(&words, hash, word_is, s.s, s.n);
    if (*slot)
        return *slot;
    struct word *w = mem_alloc(sizeof *w + s.n + sizeof(uint64_t)); // readable in whole words
    w->hash = hash;
    w->n = s.n;
    if (s.n)
        memcpy(w->s, s.s, s.n);
    return *slot = w;
}

const struct word *word_z(const char *s)
{
    return word_of((str){s, strlen(s)});
}

// ---- maps -----------------------------------------------------------------------------------

struct map_slot {
    const void *a, *b;
    void *value;
};

static size_t map_hash(const void *a, const void *b)
{
    return (size_t)(mix(mix(0, (uintptr_t)a), (uintptr_t)b) >> 7);
}

static struct map_slot *map_find(const struct map *m, const void *a, const void *b)
{
    size_t at = map_hash(a, b) & (m->size - 1);
    while (m->slots[at].value && (m->slots[at].a != a || m->slots[at].b != b))
        at = (at + 1) & (m->size - 1);
    return &m->slots[at];
}

void *map_get(const struct map *m, const void *a, const void *b)
{
    return m->size ? map_find(m, a, b)->value : NULL;
}

static void map_resize(struct map *m)
{
    struct map old = *m;
    m->size = old.size ? old.size * 2 : 8;
    m->slots = mem_alloc(m->size * sizeof *m->slots);
    for (size_t i = 0; i < old.size; i++)
        if (old.slots[i].value)
            *map_find(m, old.slots[i].a, old.slots[i].b) = old.slots[i];
}

void **map_at(struct map *m, const void *a, const void *b)
{
    // A slot counts as taken when it is handed out: callers store a value there.
    if ((m->used + 1) * 3 > m->size * 2)
        map_resize(m);
    struct map_slot *slot = map_find(m, a, b);
    if (!slot->value) {
        slot->a = a;
        slot->b = b;
        m->used++;
    }
    return &slot->value;
}
