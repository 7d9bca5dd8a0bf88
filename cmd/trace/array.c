/* Growth by doubling, and open addressing with linear probing: what the reader's millions of small
 * things need, and no more. */
#include "cmd/trace/array.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ELEMENTS = 64, FIRST_SLOTS = 64 };

void *array_resize(void *array, size_t n, size_t size)
{
    void *moved = realloc(array, n * size + (n == 0));
    if (!moved) {
        fprintf(stderr, "%s: out of memory: %zu MB more were asked for\n",
                program_invocation_short_name, n * size >> 20);
        exit(1);
    }
    return moved;
}

void *array_grow(void *array, uint32_t n, uint32_t *capacity, size_t size)
{
    if (n < *capacity)
        return array;
    if (*capacity > UINT32_MAX / 2) {
        fprintf(stderr, "%s: the trace has more than %u events of one kind, more than fit\n",
                program_invocation_short_name, UINT32_MAX / 2);
        exit(1);
    }
    *capacity = *capacity ? *capacity * 2 : FIRST_ELEMENTS;
    return array_resize(array, *capacity, size);
}

static int64_t time_of(const char *element)
{
    int64_t ns;
    memcpy(&ns, element, sizeof ns);
    return ns;
}

/* Merges two sorted runs, which lie one behind the other, into `to`. */
static void merge(char *to, const char *a, const char *b, const char *end, size_t size)
{
    const char *middle = b;

    while (a < middle || b < end) {
        bool first = b == end || (a < middle && time_of(a) <= time_of(b));
        memcpy(to, first ? a : b, size);
        *(first ? &a : &b) += size;
        to += size;
    }
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bottom up. Most arrays come sorted, which is found out first. */
void array_sort_by_time(void *array, uint32_t n, size_t size)
{
    char *from = array;
    uint32_t sorted = 1;

    while (sorted < n && time_of(from + (sorted - 1) * size) <= time_of(from + sorted * size))
        sorted++;
    if (sorted >= n)
        return;
    char *spare = array_resize(NULL, n, size), *to = spare;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t i = 0; i < n; i += 2 * width)
            merge(to + i * size, from + i * size, from + least(i + width, n) * size,
                  from + least(i + 2 * width, n) * size, size);
        char *swap = from;
        from = to;
        to = swap;
    }
    if (from != array)
        memcpy(array, from, n * size);
    free(spare);
}

static struct id_slot *slot_of(const struct id_map *m, uint64_t key)
{
    uint32_t mask = m->size - 1;
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = (uint32_t)(hash >> 32) & mask;; i = (i + 1) & mask)
        if (!m->slots[i].value || m->slots[i].key == key)
            return &m->slots[i];
}

uint32_t id_map_get(const struct id_map *m, uint64_t key)
{
    return m->used ? slot_of(m, key)->value - 1 : UINT32_MAX;
}

static void rehash(struct id_map *m)
{
    struct id_map old = *m;

    m->size = old.size ? old.size * 2 : FIRST_SLOTS;
    m->slots = array_resize(NULL, m->size, sizeof *m->slots);
    memset(m->slots, 0, m->size * sizeof *m->slots);
    for (uint32_t i = 0; i < old.size; i++)
        if (old.slots[i].value)
            *slot_of(m, old.slots[i].key) = old.slots[i];
    free(old.slots);
}

void id_map_set(struct id_map *m, uint64_t key, uint32_t value)
{
    if (m->used * 2 >= m->size)
        rehash(m);
    struct id_slot *slot = slot_of(m, key);
    m->used += slot->value == 0;
    *slot = (struct id_slot){key, value + 1};
}

void id_map_clear(struct id_map *m)
{
    if (m->used)
        memset(m->slots, 0, m->size * sizeof *m->slots);
    m->used = 0;
}

void id_map_free(struct id_map *m)
{
    free(m->slots);
    *m = (struct id_map){0};
}
