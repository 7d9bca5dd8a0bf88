/* An arena for each thread: blocks that are cut up from front to back. A block counts its buffers
 * that are in use; when none is, the block is cut up anew. That suits buffers that die in about the
 * order in which they were made: one that lives long keeps its whole block.
 *
 * Blocks are aligned to their size, so the block of a buffer is found from its address. */
#include "labs/churn/churn.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES_MIN = 256 << 10, ALIGNMENT = 16 };

struct block {
    struct block *next; /* in the list of free ones */
    size_t bytes;       /* a power of two */
    size_t used;        /* from the block's start on */
    size_t in_use;      /* buffers */
};

struct arena {
    struct block *current;
    struct block *free;
    size_t block_bytes;
};

static size_t round_up(size_t n)
{
    return (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static struct arena *arena_of(struct churn_hand *hand, size_t bytes)
{
    struct arena *a = hand->state;

    if (!a && (a = hand->state = calloc(1, sizeof *a))) {
        a->block_bytes = BLOCK_BYTES_MIN;
        while (a->block_bytes < sizeof(struct block) + round_up(bytes))
            a->block_bytes *= 2;
    }
    return a;
}

static struct block *next_block(struct arena *a)
{
    struct block *b = a->free;

    if (b)
        a->free = b->next;
    else if ((b = aligned_alloc(a->block_bytes, a->block_bytes)))
        b->bytes = a->block_bytes;
    if (b) {
        b->used = round_up(sizeof *b);
        b->in_use = 0;
    }
    return b;
}

static void *take(struct churn_hand *hand, size_t bytes)
{
    struct arena *a = arena_of(hand, bytes);

    if (!a)
        return NULL;
    if (!a->current || a->current->used + round_up(bytes) > a->current->bytes) {
        struct block *b = next_block(a);
        if (!b)
            return NULL;
        a->current = b;
    }
    void *p = (char *)a->current + a->current->used;
    a->current->used += round_up(bytes);
    a->current->in_use++;
    return memset(p, 0, bytes);
}

static void give(struct churn_hand *hand, void *p, size_t bytes)
{
    struct arena *a = hand->state;
    struct block *b = (struct block *)((uintptr_t)p & ~(uintptr_t)(a->block_bytes - 1));

    (void)bytes;
    if (--b->in_use > 0)
        return;
    if (b == a->current) {
        b->used = round_up(sizeof *b);
        return;
    }
    b->next = a->free;
    a->free = b;
}

/* A block with buffers in it that are kept stays. */
static void finish(struct churn_hand *hand)
{
    struct arena *a = hand->state;

    if (!a)
        return;
    if (a->current && a->current->in_use == 0)
        free(a->current);
    while (a->free) {
        struct block *next = a->free->next;
        free(a->free);
        a->free = next;
    }
    free(a);
    hand->state = NULL;
}

const struct churn_way churn_arena = {
    .name = "arena",
    .take = take,
    .give = give,
    .finish = finish,
};
