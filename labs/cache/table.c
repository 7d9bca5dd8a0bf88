/* The table: pages by key, in chains, and all of them in a list from the oldest to the newest. It
 * grows with what is in it, and knows nothing of bounds. */
#include "labs/cache/cache.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CHAINS_MIN = 256 };

struct cache {
    struct page **chains;
    size_t nchains; /* a power of two */
    struct page *oldest, *newest;
    struct cache_stats stats;
};

struct cache *cache_new(void)
{
    struct cache *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->nchains = CHAINS_MIN;
    c->chains = calloc(c->nchains, sizeof(*c->chains));
    if (!c->chains) {
        free(c);
        return NULL;
    }
    return c;
}

void cache_free(struct cache *c)
{
    while (c->oldest)
        cache_drop(c, c->oldest);
    free(c->chains);
    free(c);
}

struct cache_stats cache_look(const struct cache *c)
{
    struct cache_stats stats = c->stats;

    stats.held_bytes = (size_t)stats.pages * sizeof(struct page);
    return stats;
}

int64_t cache_next(struct cache *c)
{
    return c->stats.requests++;
}

/* ---- chains ---------------------------------------------------------------------------------- */

static struct page **chain_of(const struct cache *c, uint64_t key)
{
    return &c->chains[(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (c->nchains - 1)];
}

struct page *cache_find(struct cache *c, uint64_t key)
{
    struct page *p = *chain_of(c, key);

    while (p && p->key != key)
        p = p->chain;
    c->stats.hits += p != NULL;
    return p;
}

static void chain_put(struct cache *c, struct page *p)
{
    struct page **chain = chain_of(c, p->key);

    p->chain = *chain;
    *chain = p;
}

/* Twice as many chains; without the memory for them they only get longer. */
static void grow(struct cache *c)
{
    struct page **chains = calloc(c->nchains * 2, sizeof(*chains));

    if (!chains)
        return;
    free(c->chains);
    c->chains = chains;
    c->nchains *= 2;
    for (struct page *p = c->oldest; p; p = p->newer)
        chain_put(c, p);
}

/* ---- the list -------------------------------------------------------------------------------- */

static void list_remove(struct cache *c, struct page *p)
{
    *(p->older ? &p->older->newer : &c->oldest) = p->newer;
    *(p->newer ? &p->newer->older : &c->newest) = p->older;
}

static void list_append(struct cache *c, struct page *p)
{
    p->older = c->newest;
    p->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = p;
    c->newest = p;
}

void cache_touch(struct cache *c, struct page *p)
{
    list_remove(c, p);
    list_append(c, p);
}

struct page *cache_oldest(const struct cache *c)
{
    return c->oldest;
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* Where the memory of lab 6 comes from: the name that a heap profile shows. */
__attribute__((noinline)) struct page *cache_add(struct cache *c, uint64_t key, int64_t number)
{
    struct page *p = malloc(sizeof(*p));

    if (!p)
        return NULL;
    p->key = key;
    p->made = number;
    page_make(p);
    list_append(c, p);
    chain_put(c, p);
    if ((size_t)++c->stats.pages > c->nchains)
        grow(c);
    return p;
}

void cache_drop(struct cache *c, struct page *p)
{
    struct page **link = chain_of(c, p->key);

    while (*link != p)
        link = &(*link)->chain;
    *link = p->chain;
    list_remove(c, p);
    c->stats.pages--;
    free(p);
}

/* ---- names ----------------------------------------------------------------------------------- */

const struct cache_impl cache_impls[] = {
    {"unbounded", cache_unbounded},
    {"lru", cache_lru},
    {"ttl", cache_ttl},
    {NULL, NULL},
};

const struct cache_impl *cache_impl_find(const char *name)
{
    for (const struct cache_impl *i = cache_impls; i->name; i++)
        if (strcmp(i->name, name) == 0)
            return i;
    return NULL;
}
