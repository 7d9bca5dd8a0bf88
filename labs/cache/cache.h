/* Lab 6: a cache that never shrinks. Requests ask for pages: half of them for one of a few hundred
 * popular ones, the others for a page that nobody asks for again. A page is made once and kept, in
 * case it is asked for again.
 *
 *   slow.c     cache_unbounded   keeps every page for ever
 *   fixed.c    cache_lru         keeps at most CACHE_MAX pages: the one used longest ago goes
 *              cache_ttl         keeps each page for CACHE_TTL requests
 *   table.c                      the table, the same for all
 *   request.c                    who asks for what, and what a page is
 *
 * Look first: run `bin/grow_hot -lab cache`, which prints how many pages are kept and how many
 * requests they answered. How many of the pages were ever used twice?
 *
 * Hint: a cache without a bound is a leak with a good excuse. What does the bound cost in hits, and
 * what would half of it cost? */
#ifndef LABS_CACHE_H
#define LABS_CACHE_H

#include <stddef.h>
#include <stdint.h>

enum {
    CACHE_PAGE_BYTES = 2048,
    CACHE_MAX = 1000,
    CACHE_TTL = 2000,
    CACHE_POPULAR = 200,
    CACHE_COUNT = 5000
};

struct cache;

/* Answers the next `count` requests; *sum becomes the sum of the answers, the same for all. One
 * thread at a time a cache, and always with the same function. 0, -EINVAL for a negative count, or
 * -ENOMEM. */
int cache_unbounded(struct cache *c, int count, uint64_t *sum);
int cache_lru(struct cache *c, int count, uint64_t *sum);
int cache_ttl(struct cache *c, int count, uint64_t *sum);

struct cache_impl {
    const char *name;
    int (*answer)(struct cache *c, int count, uint64_t *sum);
};
extern const struct cache_impl cache_impls[]; /* the slow one first; ends with a NULL name */
/* NULL: there is no such implementation. */
const struct cache_impl *cache_impl_find(const char *name);

/* An empty cache, before its first request. NULL: no memory. */
struct cache *cache_new(void);
void cache_free(struct cache *c);

struct cache_stats {
    int64_t requests, hits;
    int64_t pages;     /* kept now */
    size_t held_bytes; /* by these pages */
};
struct cache_stats cache_look(const struct cache *c);

/* ---- the parts, for whoever reads on --------------------------------------------------------- */

struct page {
    uint64_t key;
    int64_t made; /* the number of the request that it was made for */
    struct page *chain;
    struct page *older, *newer; /* the order that bounds look at */
    unsigned char content[CACHE_PAGE_BYTES];
};

/* The page that the number-th request asks for. */
uint64_t request_key(int64_t number);
/* Fills the page with the content that belongs to its key. */
void page_make(struct page *p);
/* What is answered: a checksum of the content. */
uint64_t page_answer(const struct page *p);

/* The next request's number. */
int64_t cache_next(struct cache *c);
/* NULL: it is not there. */
struct page *cache_find(struct cache *c, uint64_t key);
/* A new page of this key as the newest. NULL: no memory. */
struct page *cache_add(struct cache *c, uint64_t key, int64_t number);
/* Makes it the newest. */
void cache_touch(struct cache *c, struct page *p);
/* NULL: there is none. */
struct page *cache_oldest(const struct cache *c);
void cache_drop(struct cache *c, struct page *p);

#endif
