/* Memory of allocators that are not malloc, in the heap profile: they say themselves what they gave
 * and what they got back. The counterpart of malloc.c's hooks, and as cheap: three additions a
 * block, a stack for the few that are sampled. */
#include "prof/internal.h"
#include "prof/thread.h"

/* The owner alone writes, so a plain load and store do; others may read at any time. */
static uint64_t bump(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t sum = atomic_load_explicit(counter, memory_order_relaxed) + by;
    atomic_store_explicit(counter, sum, memory_order_relaxed);
    return sum;
}

bool prof_heap_allocated(const void *p, size_t bytes)
{
    struct prof_thread *t = prof_hook_self();
    if (!p || !t)
        return false;
    bump(&t->mallocs, 1);
    uint64_t sum = bump(&t->alloc_bytes, bytes);
    if (sum < atomic_load_explicit(&t->sample_at, memory_order_relaxed))
        return false;
    return prof_heap_sample(t, (void *)p, bytes, __builtin_return_address(0));
}

void prof_heap_freed(const void *p)
{
    struct prof_live was;
    if (p)
        prof_heap_forget((void *)p, &was);
}

void prof_heap_count_frees(uint64_t blocks)
{
    struct prof_thread *t = prof_hook_self();
    if (t)
        bump(&t->frees, blocks);
}
