/* The ways to get memory, by name. */
#include "labs/churn/churn.h"

#include <dlfcn.h>
#include <string.h>

const struct churn_way *churn_way_find(const char *name)
{
    static const struct churn_way *const ways[] = {&churn_gc, &churn_malloc, &churn_tcmalloc,
                                                   &churn_pool, &churn_arena};

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (!strcmp(ways[i]->name, name))
            return ways[i];
    return NULL;
}

bool churn_way_works(const struct churn_way *way)
{
    return way != &churn_tcmalloc || dlsym(RTLD_DEFAULT, "tc_calloc");
}
