/* Memory from the collector. Nobody gives anything back: what is out of reach is garbage. */
#include "labs/gc/gc.h"
#include "labs/churn/churn.h"

static void *take(struct churn_hand *hand, size_t bytes)
{
    (void)hand;
    return gc_alloc_leaf(bytes);
}

static void give(struct churn_hand *hand, void *p, size_t bytes)
{
    (void)hand, (void)p, (void)bytes;
}

static void give_links(void *p)
{
    (void)p;
}

const struct churn_way churn_gc = {
    .name = "gc",
    .take = take,
    .give = give,
    .take_links = gc_alloc,
    .give_links = give_links,
    .thread_start = gc_thread_start,
    .thread_join = gc_thread_join,
};
