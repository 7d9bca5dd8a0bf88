/* Lab 6, after: two bounds. Least recently used bounds the memory and lets time run free: use the
 * cache at most this much. Time to live bounds the age and with it, at a given rate of requests,
 * the memory: know nothing older than that. Real caches often have both. Neither needs a search:
 * the list is in order, and what has to go is at its end.
 *
 * Hint: popular pages stay under LRU because they are used. Under a TTL they go like all others,
 * and are made again: what does that cost, in hit-%? */
#include "labs/cache/cache.h"

#include <errno.h>

__attribute__((noinline)) int cache_lru(struct cache *c, int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++) {
        const int64_t number = cache_next(c);
        const uint64_t key = request_key(number);
        struct page *p = cache_find(c, key);
        if (p)
            cache_touch(c, p);
        else
            p = cache_add(c, key, number);
        if (!p)
            return -ENOMEM;
        *sum += page_answer(p);
        if (cache_look(c).pages > CACHE_MAX)
            cache_drop(c, cache_oldest(c));
    }
    return count < 0 ? -EINVAL : 0;
}

/* The list is in the order in which pages were made, for nothing is touched. */
static void drop_expired(struct cache *c, int64_t now)
{
    struct page *p;

    while ((p = cache_oldest(c)) && now - p->made >= CACHE_TTL)
        cache_drop(c, p);
}

__attribute__((noinline)) int cache_ttl(struct cache *c, int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++) {
        const int64_t number = cache_next(c);
        const uint64_t key = request_key(number);
        drop_expired(c, number);
        struct page *p = cache_find(c, key);
        if (!p)
            p = cache_add(c, key, number);
        if (!p)
            return -ENOMEM;
        *sum += page_answer(p);
    }
    return count < 0 ? -EINVAL : 0;
}
