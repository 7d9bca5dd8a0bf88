/* Lab 4, after: who starts threads ends them. Stopping takes two steps: the order, given so that a
 * waiting thread sees it (a flag under the lock, and a broadcast), and the join, which returns when
 * the thread is really gone. */
#include "labs/leak/leak.h"

#include <stddef.h>
#include <string.h>

__attribute__((noinline)) int leak_joined(int workers, uint64_t *sum)
{
    struct leak_crew *crew;
    int err = leak_crew_start(workers, &crew, sum);

    if (!err)
        leak_crew_stop(crew);
    return err;
}

const struct leak_impl leak_impls[] = {
    {"leaky", leak_leaky},
    {"joined", leak_joined},
    {NULL, NULL},
};

const struct leak_impl *leak_impl_find(const char *name)
{
    for (const struct leak_impl *i = leak_impls; i->name; i++)
        if (strcmp(i->name, name) == 0)
            return i;
    return NULL;
}
