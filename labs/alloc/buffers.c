/* What all three variants share, so that they can only differ in where the memory comes from. */
#define OPENSSL_API_COMPAT                                                                         \
    0x10101000L /* SHA256_Init and friends: the newer EVP calls allocate on every digest,          \
                 * and would fill the heap profile with somebody else's allocations */
#include "labs/alloc/alloc.h"
#include "prof/trace.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

struct buffers *buffers_new(size_t bytes, int capacity)
{
    struct buffers *set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    set->bytes = bytes;
    set->item = calloc((size_t)capacity + 1, sizeof(*set->item));
    if (!set->item) {
        free(set);
        return NULL;
    }
    return set;
}

void buffers_free(struct buffers *set)
{
    if (!set)
        return;
    PROF_REGION("free");
    for (int i = 0; i < set->capacity && !set->block; i++)
        free(set->item[i]);
    free(set->block);
    free(set->item);
    free(set);
}

void buffer_fill(unsigned char *p, int i)
{
    unsigned char seed = (unsigned char)i;
    SHA256_CTX sha;

    SHA256_Init(&sha);
    SHA256_Update(&sha, &seed, sizeof(seed));
    SHA256_Final(p, &sha);
}

__attribute__((noinline)) void buffers_fill(struct buffers *set, int i)
{
    buffer_fill(set->item[i], i);
}

/* Two words side by side: the check should not take longer than the work. Read from anywhere. */
typedef uint64_t words __attribute__((vector_size(16), aligned(1), may_alias));

uint64_t buffer_checksum(const unsigned char *p, size_t bytes)
{
    words sum = {0};
    size_t i = 0;

    for (; i + sizeof(sum) <= bytes; i += sizeof(sum))
        sum += *(const words *)(p + i);
    for (; i < bytes; i++)
        sum[0] += p[i];
    return sum[0] + 3 * sum[1];
}

/* Weighs every buffer with its place, so that two buffers in each other's place are noticed. */
__attribute__((noinline)) uint64_t buffers_checksum(const struct buffers *set)
{
    PROF_REGION("checksum");
    uint64_t sum = 0;

    for (int i = 0; i < set->count; i++)
        sum += buffer_checksum(set->item[i], set->bytes) * (2 * (uint64_t)i + 1);
    return sum;
}

const struct alloc_impl alloc_impls[] = {
    {"plain", alloc_plain},
    {"pool", alloc_pool},
    {"arena", alloc_arena},
    {NULL, NULL},
};

const struct alloc_impl *alloc_impl_find(const char *name)
{
    for (const struct alloc_impl *i = alloc_impls; i->name; i++)
        if (strcmp(i->name, name) == 0)
            return i;
    return NULL;
}
