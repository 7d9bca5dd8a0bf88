/* The index: ids in the order in which they came. What an entry holds on to is the entry's own
 * affair. */
#include "labs/slice/slice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct slice_index {
    struct slice *entries;
    size_t n, capacity;
};

struct slice_index *slice_index_new(void)
{
    return calloc(1, sizeof(struct slice_index));
}

static void slice_release(struct slice s)
{
    if (s.owner)
        message_release(s.owner);
    else
        free((void *)s.id);
}

void slice_index_free(struct slice_index *index)
{
    for (size_t i = 0; i < index->n; i++)
        slice_release(index->entries[i]);
    free(index->entries);
    free(index);
}

int64_t slice_index_next(const struct slice_index *index)
{
    return (int64_t)index->n;
}

int slice_index_add(struct slice_index *index, struct slice s)
{
    if (index->n == index->capacity) {
        size_t capacity = index->capacity ? index->capacity * 2 : 64;
        struct slice *entries = reallocarray(index->entries, capacity, sizeof(*entries));
        if (!entries) {
            slice_release(s);
            return -ENOMEM;
        }
        index->entries = entries;
        index->capacity = capacity;
    }
    index->entries[index->n++] = s;
    return 0;
}

uint64_t slice_index_checksum(const struct slice_index *index)
{
    uint64_t sum = 0, words[SLICE_ID_BYTES / 8];

    for (size_t i = 0; i < index->n; i++) {
        memcpy(words, index->entries[i].id, SLICE_ID_BYTES);
        sum += (words[0] ^ 3 * words[1]) * (2 * (uint64_t)i + 1);
    }
    return sum;
}

size_t slice_index_held(const struct slice_index *index)
{
    size_t bytes = 0;

    for (size_t i = 0; i < index->n; i++)
        bytes += index->entries[i].owner ? index->entries[i].owner->bytes : SLICE_ID_BYTES;
    return bytes;
}

const struct slice_impl slice_impls[] = {
    {"view", slice_view},
    {"copy", slice_copy},
    {NULL, NULL},
};

const struct slice_impl *slice_impl_find(const char *name)
{
    for (const struct slice_impl *i = slice_impls; i->name; i++)
        if (strcmp(i->name, name) == 0)
            return i;
    return NULL;
}
