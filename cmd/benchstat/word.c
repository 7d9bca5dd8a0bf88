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

// Zeroed; the arena keeps a pointer to it in its first bytes.
static void *new_block(size_t bytes)
{
    struct block *b = NULL;
    if (bytes < HUGE_PAGE_BYTES) {
        b = calloc(1, bytes);
    } else if ((b = aligned_alloc(HUGE_PAGE_BYTES, bytes))) {
        madvise(b, bytes, MADV_HUGEPAGE);
        memset(b, 0, bytes);
    }
    if (!b)
        out_of_memory();
    b->older = blocks;
    blocks = b;
    return (char *)b + ALIGN_BYTES;
}

void *mem_alloc(size_t bytes)
{
    bytes = (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    if (bytes > FIRST_BLOCK_BYTES / 4)
        return new_block(ALIGN_BYTES + bytes < HUGE_PAGE_BYTES
                             ? ALIGN_BYTES + bytes
                             : (bytes / HUGE_PAGE_BYTES + 1) * HUGE_PAGE_BYTES);
    if (bytes > arena_left) {
        size_t size = blocks ? HUGE_PAGE_BYTES : FIRST_BLOCK_BYTES;
        arena_next = new_block(size);
        arena_left = size - ALIGN_BYTES;
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

static struct word **words;
static size_t n_words, words_size;

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

static void words_resize(size_t size)
{
    struct word **old = words;
    size_t old_size = words_size;
    words = mem_alloc(size * sizeof *words);
    words_size = size;
    for (size_t i = 0; i < old_size; i++) {
        if (!old[i])
            continue;
        size_t at = old[i]->hash & (size - 1);
        while (words[at])
            at = (at + 1) & (size - 1);
        words[at] = old[i];
    }
}

const struct word *word_of(str s)
{
    if (n_words * 2 >= words_size)
        words_resize(words_size ? words_size * 2 : 1024);
    uint64_t hash = hash_bytes(s);
    size_t at = hash & (words_size - 1);
    for (; words[at]; at = (at + 1) & (words_size - 1)) {
        struct word *w = words[at];
        if (w->hash == hash && w->n == s.n && memcmp(w->s, s.s, s.n) == 0)
            return w;
    }
    struct word *w = mem_alloc(sizeof *w + s.n + sizeof(uint64_t)); // readable in whole words
    w->hash = hash;
    w->n = s.n;
    if (s.n)
        memcpy(w->s, s.s, s.n);
    n_words++;
    return words[at] = w;
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
