/* A random graph of collected objects, changed by several threads at once, in which every node can
 * be checked to the last bit: all that is in it follows from its number.
 *
 * A part of the graph belongs to each thread: roots, which hold nodes, which point to older nodes
 * of any part, since threads exchange roots. That a node's number is what its root or the node that
 * points to it remembers shows that its memory was not given to another one; that its content
 * follows from the number shows that nobody wrote into it. What can be reached is bounded: a node
 * lies one level above those that it points to, and at LEVELS it points to none. */
#ifndef TESTS_GC_GRAPH_H
#define TESTS_GC_GRAPH_H

#include "labs/gc/gc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    GRAPH_THREADS = 4,
    GRAPH_OPERATIONS = 1000000,
    ROOTS = 256,
    EXCHANGES = 64,
    EDGES = 2,
    LEVELS = 6
};

struct node {
    uint64_t number;
    struct node *edge[EDGES];
    uint64_t edge_number[EDGES]; /* what the node there should be */
    uint64_t *blob;              /* an object without pointers; NULL in some nodes */
    uint32_t level, words, blob_words;
    uint64_t word[];
};

struct graph_part {
    struct node **root;     /* collected memory; this struct is static, so a root itself */
    uint64_t number[ROOTS]; /* what the node there should be; 0: none */
    uint64_t random, next_number;
    int64_t operations, checked, wrong;
    char first_wrong[100];
};

static struct graph_part graph_parts[GRAPH_THREADS];
static struct {
    pthread_mutex_t lock;
    struct node **node;
    uint64_t number[EXCHANGES];
} graph_exchange = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct graph_part *graph_part(int i)
{
    return &graph_parts[i];
}

/* xorshift64*; Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled".
 */
static uint64_t graph_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static void graph_init(uint64_t seed)
{
    graph_exchange.node = gc_alloc(EXCHANGES * sizeof *graph_exchange.node);
    for (int i = 0; i < GRAPH_THREADS; i++)
        graph_parts[i] = (struct graph_part){.root = gc_alloc(ROOTS * sizeof(struct node *)),
                                             .random = seed + (uint64_t)i,
                                             .next_number = ((uint64_t)i + 1) << 40};
}

static void graph_drop(void)
{
    memset(graph_parts, 0, sizeof graph_parts);
    graph_exchange.node = NULL;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* Mostly small, a few of several pages. */
static uint32_t graph_words(uint64_t number, int salt)
{
    uint64_t state = number * 31 + (uint64_t)salt;
    const uint64_t r = graph_random(&state);

    return (uint32_t)(r % 100 == 0 ? (r >> 32) % 2048 : (r >> 32) % 40);
}

static void graph_fill(uint64_t *word, uint32_t words, uint64_t number)
{
    uint64_t state = number;

    for (uint32_t i = 0; i < words; i++)
        word[i] = graph_random(&state) >> 17; /* below any address of an object */
}

static bool graph_filled(const uint64_t *word, uint32_t words, uint64_t number)
{
    uint64_t state = number;

    for (uint32_t i = 0; i < words; i++)
        if (word[i] != graph_random(&state) >> 17)
            return false;
    return true;
}

static struct node *graph_make(struct graph_part *p)
{
    const uint64_t number = ++p->next_number;
    const uint32_t words = graph_words(number, 0), blob_words = graph_words(number, 1);
    struct node *n = gc_alloc(sizeof *n + words * sizeof *n->word);

    if (!n)
        return NULL;
    n->number = number;
    n->words = words;
    graph_fill(n->word, words, number);
    if (number % 2 && (n->blob = gc_alloc_leaf((blob_words + 1) * sizeof *n->blob))) {
        n->blob_words = blob_words;
        graph_fill(n->blob, blob_words, ~number);
    }
    return n;
}

static void graph_link(struct graph_part *p, struct node *n)
{
    for (int i = 0; i < EDGES; i++) {
        const int slot = (int)(graph_random(&p->random) % ROOTS);
        struct node *to = p->root[slot];
        if (!to || to->level >= LEVELS)
            continue;
        n->edge[i] = to;
        n->edge_number[i] = p->number[slot];
        if (n->level <= to->level)
            n->level = to->level + 1;
    }
}

/* ---- checks ---------------------------------------------------------------------------------- */

static const char *graph_fault(const struct node *n, uint64_t number)
{
    if (n->number != number)
        return "another node is in its place";
    if (n->words != graph_words(number, 0) || !graph_filled(n->word, n->words, number))
        return "its content has changed";
    if ((n->blob != NULL) != (number % 2))
        return "its pointer has changed";
    if (n->blob &&
        (n->blob_words != graph_words(number, 1) || !graph_filled(n->blob, n->blob_words, ~number)))
        return "what it points to has changed";
    return NULL;
}

static bool graph_check(struct graph_part *p, const struct node *n, uint64_t number)
{
    const char *fault = graph_fault(n, number);

    p->checked++;
    if (fault && p->wrong++ == 0)
        snprintf(p->first_wrong, sizeof p->first_wrong, "node %" PRIx64 ": %s", number, fault);
    return !fault;
}

/* From a root down, edge by edge. */
static void graph_check_path(struct graph_part *p, int slot)
{
    const struct node *n = p->root[slot];
    uint64_t number = p->number[slot];

    while (n && graph_check(p, n, number)) {
        const int edge = (int)(graph_random(&p->random) % EDGES);
        number = n->edge_number[edge];
        n = n->edge[edge];
    }
}

static void graph_check_below(struct graph_part *p, const struct node *n, uint64_t number)
{
    if (!n || !graph_check(p, n, number))
        return;
    for (int i = 0; i < EDGES; i++)
        graph_check_below(p, n->edge[i], n->edge_number[i]);
}

static void graph_check_all(struct graph_part *p)
{
    for (int i = 0; i < ROOTS; i++)
        graph_check_below(p, p->root[i], p->number[i]);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void graph_swap(struct graph_part *p, int slot)
{
    const int place = (int)(graph_random(&p->random) % EXCHANGES);

    pthread_mutex_lock(&graph_exchange.lock);
    struct node *n = graph_exchange.node[place];
    const uint64_t number = graph_exchange.number[place];
    graph_exchange.node[place] = p->root[slot];
    graph_exchange.number[place] = p->number[slot];
    pthread_mutex_unlock(&graph_exchange.lock);
    p->root[slot] = n;
    p->number[slot] = number;
}

static void graph_step(struct graph_part *p)
{
    const uint64_t r = graph_random(&p->random);
    const int slot = (int)(r >> 32) & (ROOTS - 1), what = (int)(r >> 8 & 0xffff) % 100;

    if (what < 50) {
        struct node *n = graph_make(p);
        if (!n)
            return;
        graph_link(p, n);
        p->root[slot] = n;
        p->number[slot] = n->number;
    } else if (what < 60) {
        p->root[slot] = NULL;
        p->number[slot] = 0;
    } else if (what < 70) {
        graph_swap(p, slot);
    } else {
        graph_check_path(p, slot);
    }
    p->operations++;
}

static void *graph_mutate(void *arg)
{
    struct graph_part *p = arg;

    while (p->operations < GRAPH_OPERATIONS / GRAPH_THREADS)
        graph_step(p);
    return NULL;
}

#endif
