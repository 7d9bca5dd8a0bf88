/* A pool for each thread: a buffer that is given goes on a list, and is taken from there. Only as
 * many are ever allocated as are in use at one time.
 *
 * What was written is wiped when a buffer is lent again: the digest, which also hides the list's
 * link. A pool that wiped nothing would be faster, and would show one user what another wrote. */
#include "labs/alloc/alloc.h"
#include "labs/churn/churn.h"

#include <stdlib.h>
#include <string.h>

struct link {
    struct link *next;
};
_Static_assert(sizeof(struct link) <= ALLOC_DIGEST_BYTES, "the link lies in what is wiped");

static void *take(struct churn_hand *hand, size_t bytes)
{
    struct link *first = hand->state;

    if (!first)
        return calloc(1, bytes);
    hand->state = first->next;
    memset(first, 0, ALLOC_DIGEST_BYTES);
    return first;
}

static void give(struct churn_hand *hand, void *p, size_t bytes)
{
    struct link *link = p;

    (void)bytes;
    link->next = hand->state;
    hand->state = link;
}

static void finish(struct churn_hand *hand)
{
    struct link *link = hand->state;

    while (link) {
        struct link *next = link->next;
        free(link);
        link = next;
    }
    hand->state = NULL;
}

const struct churn_way churn_pool = {
    .name = "pool",
    .take = take,
    .give = give,
    .finish = finish,
};
