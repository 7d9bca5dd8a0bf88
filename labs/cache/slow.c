/* Lab 6, before: what was made once is never made again. It is the simplest cache there is, it has
 * the best hit rate there can be, and it passes every test that ends before the memory does. */
#include "labs/cache/cache.h"

#include <errno.h>

__attribute__((noinline)) int cache_unbounded(struct cache *c, int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++) {
        const int64_t number = cache_next(c);
        const uint64_t key = request_key(number);
        struct page *p = cache_find(c, key);
        if (!p)
            p = cache_add(c, key, number);
        if (!p)
            return -ENOMEM;
        *sum += page_answer(p);
    }
    return count < 0 ? -EINVAL : 0;
}
