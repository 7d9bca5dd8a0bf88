/* The program's garbage collector, if it has one: who registers it, and who asks for a collection.
 *
 * libprof has no collector and links none. A program that runs on one says how to start it and what
 * it has done (prof_set_collector); the endpoint's `heap?gc=1` and the memory statistics ask here.
 */
#include "prof/internal.h"

#include <errno.h>

static _Atomic(const struct prof_collector *) registered;

int prof_set_collector(const struct prof_collector *c)
{
    const struct prof_collector *none = NULL;

    if (!c) {
        atomic_store(&registered, NULL);
        return 0;
    }
    if (!c->collect)
        return -EINVAL;
    if (atomic_compare_exchange_strong(&registered, &none, c) || none == c)
        return 0;
    return -EBUSY;
}

int prof_collect(void)
{
    const struct prof_collector *c = atomic_load(&registered);

    if (!c)
        return -ENOENT;
    c->collect();
    return 0;
}

int prof_collector_stats(struct prof_collector_stats *out)
{
    const struct prof_collector *c = atomic_load(&registered);

    if (!c || !c->stats)
        return -ENOENT;
    *out = (struct prof_collector_stats){0};
    c->stats(out);
    return 0;
}
