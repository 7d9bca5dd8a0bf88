/* Who asks for what. The n-th request is the same in every run. Every other one, about, goes to a
 * popular page; the rest are crawlers, typing errors, old links: a page each, once. */
#include "labs/cache/cache.h"

#include <string.h>

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 32;
}

uint64_t request_key(int64_t number)
{
    const uint64_t random = mix((uint64_t)number + 1);

    if (random & 1)
        return random / 2 % CACHE_POPULAR;
    return CACHE_POPULAR + (uint64_t)number; /* never again */
}

__attribute__((noinline)) void page_make(struct page *p)
{
    uint64_t x = mix(p->key + 1);

    for (size_t i = 0; i < CACHE_PAGE_BYTES; i += sizeof(x)) {
        x = mix(x + i);
        memcpy(p->content + i, &x, sizeof(x));
    }
}

uint64_t page_answer(const struct page *p)
{
    uint64_t sum = 0, word;

    for (size_t i = 0; i < CACHE_PAGE_BYTES; i += sizeof(word)) {
        memcpy(&word, p->content + i, sizeof(word));
        sum = sum * 3 + word;
    }
    return sum;
}
