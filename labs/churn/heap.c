/* Memory from malloc, given back with free: the C library's, or tcmalloc.
 *
 * The labs run on tcmalloc, which has taken malloc's name; the C library's own is still behind it
 * and is asked for by its file. Where no tcmalloc is linked (the sanitizers' builds) both are
 * whatever malloc is. */
#include "labs/churn/churn.h"

#include <dlfcn.h>
#include <stdlib.h>

static struct {
    void *(*calloc)(size_t count, size_t bytes);
    void (*free)(void *p);
} libc = {calloc, free};

__attribute__((constructor)) static void find_libc(void)
{
    void *file =
        dlsym(RTLD_DEFAULT, "tc_calloc") ? dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD) : NULL;

    if (!file)
        return;
    void *found_calloc = dlsym(file, "calloc"), *found_free = dlsym(file, "free");
    if (found_calloc && found_free) {
        libc.calloc = (typeof(libc.calloc))found_calloc;
        libc.free = (typeof(libc.free))found_free;
    }
}

static void *take_libc(struct churn_hand *hand, size_t bytes)
{
    (void)hand;
    return libc.calloc(1, bytes);
}

static void give_libc(struct churn_hand *hand, void *p, size_t bytes)
{
    (void)hand, (void)bytes;
    libc.free(p);
}

static void *take(struct churn_hand *hand, size_t bytes)
{
    (void)hand;
    return calloc(1, bytes);
}

static void give(struct churn_hand *hand, void *p, size_t bytes)
{
    (void)hand, (void)bytes;
    free(p);
}

const struct churn_way churn_malloc = {
    .name = "malloc",
    .take = take_libc,
    .give = give_libc,
};

const struct churn_way churn_tcmalloc = {
    .name = "tcmalloc",
    .take = take,
    .give = give,
};
