/* Lab 2, the leak: what is held is kept in a global list and nobody ever looks at it again. No leak
 * checker calls that a leak, for the memory can still be reached; a heap profile shows it, by the
 * function that allocated it. */
#include "labs/alloc/alloc.h"

#include <pthread.h>

static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static struct buffers *held; /* under held_lock */

void buffers_hold(struct buffers *set)
{
    pthread_mutex_lock(&held_lock);
    set->next = held;
    held = set;
    pthread_mutex_unlock(&held_lock);
}

size_t lab_alloc_release(void)
{
    size_t bytes = 0;

    pthread_mutex_lock(&held_lock);
    struct buffers *set = held;
    held = NULL;
    pthread_mutex_unlock(&held_lock);
    while (set) {
        struct buffers *next = set->next;
        bytes += (size_t)set->count * set->bytes;
        buffers_free(set);
        set = next;
    }
    pool_drain();
    return bytes;
}
