/* Allocation, counted. What an object takes is asked of libgc (GC_size): it rounds sizes up, as
 * every allocator does, and the pacer has to reckon with what is really used.
 *
 * Each thread counts for itself and reports every REPORT_BYTES, so that threads which allocate do
 * not fight for one counter; only then is the goal looked at. What a thread has not reported yet is
 * missing from the sum: some kilobytes, in a heap of megabytes. */
#include "labs/gc/internal.h"

#include "prof/pprof.h"

#include <gc/gc.h>
#include <string.h>

enum { REPORT_BYTES = 8 << 10 };

static _Atomic int64_t heap_bytes, heap_objects, allocated_bytes;
static _Atomic int64_t goal_bytes = INT64_MAX;
static __thread int64_t unreported_bytes, unreported_objects;

int64_t gc_heap_bytes(void)
{
    return atomic_load_explicit(&heap_bytes, memory_order_relaxed);
}

int64_t gc_heap_objects(void)
{
    return atomic_load_explicit(&heap_objects, memory_order_relaxed);
}

int64_t gc_heap_allocated_bytes(void)
{
    return atomic_load_explicit(&allocated_bytes, memory_order_relaxed);
}

void gc_heap_set_goal(int64_t bytes)
{
    atomic_store_explicit(&goal_bytes, bytes, memory_order_relaxed);
}

int64_t gc_heap_goal(void)
{
    return atomic_load_explicit(&goal_bytes, memory_order_relaxed);
}

void gc_heap_swept(int64_t bytes, int64_t objects)
{
    atomic_fetch_sub_explicit(&heap_bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&heap_objects, objects, memory_order_relaxed);
}

static __attribute__((noinline)) void report(void)
{
    const int64_t mine = unreported_bytes;

    unreported_bytes = 0;
    atomic_fetch_add_explicit(&heap_objects, unreported_objects, memory_order_relaxed);
    unreported_objects = 0;
    atomic_fetch_add_explicit(&allocated_bytes, mine, memory_order_relaxed);
    const int64_t heap = atomic_fetch_add_explicit(&heap_bytes, mine, memory_order_relaxed) + mine;
    if (heap >= atomic_load_explicit(&goal_bytes, memory_order_relaxed))
        gc_collect_due(0);
}

/* A large object could break the limit all at once. */
static void prepare(size_t bytes)
{
    if (bytes >= REPORT_BYTES && gc_heap_bytes() + (int64_t)bytes >= gc_heap_goal())
        gc_collect_due((int64_t)bytes);
}

static void count(const void *p)
{
    unreported_objects++;
    unreported_bytes += (int64_t)GC_size(p);
    if (unreported_bytes >= REPORT_BYTES)
        report();
}

void *gc_alloc(size_t bytes)
{
    prepare(bytes);
    void *p = GC_malloc(bytes);
    if (!p)
        return NULL;
    if (prof_heap_allocated(p, bytes))
        gc_sample_add(p);
    count(p);
    return p;
}

void *gc_alloc_leaf(size_t bytes)
{
    prepare(bytes);
    void *p = GC_malloc_atomic(bytes); /* libgc clears only what it will search */
    if (!p)
        return NULL;
    memset(p, 0, bytes);
    if (prof_heap_allocated(p, bytes))
        gc_sample_add(p);
    count(p);
    return p;
}
