/* prof_memstats as a table: figures from four sources, which is why they need not agree. What they
 * say together is in the distances: between what the blocks in use asked for and what the allocator
 * gave (rounding), between that and what the allocator holds (fragmentation, and blocks kept for
 * later), between that and what is resident (code, stacks). */
#include "cmd/memstats.h"

#include "prof/pprof.h"

#include <inttypes.h>

static void put_count(FILE *f, const char *name, uint64_t count, const char *source)
{
    fprintf(f, "  %-22s %15" PRIu64 "       %s\n", name, count, source);
}

static void put_bytes(FILE *f, const char *name, uint64_t bytes, const char *source)
{
    fprintf(f, "  %-22s %15.2f MiB   %s\n", name, (double)bytes / (1 << 20), source);
}

static void put_sampled(FILE *f, const struct prof_memstats *m)
{
    char source[64];

    snprintf(source, sizeof(source), "estimated from samples, +-%.2f MiB",
             (double)m->sampled_error_bytes / (1 << 20));
    put_bytes(f, "in use", m->sampled_inuse_bytes, source);
}

static void put_allocator(FILE *f, const struct prof_memstats *m)
{
    put_bytes(f, "in use, rounded up", m->heap_alloc_bytes, m->allocator);
    put_bytes(f, "pages of these", m->heap_inuse_bytes, m->allocator);
    put_bytes(f, "free pages", m->heap_idle_bytes, m->allocator);
    put_bytes(f, "  of these, released", m->heap_released_bytes, m->allocator);
    put_bytes(f, "heap in all", m->heap_sys_bytes, m->allocator);
}

static void put_collector(FILE *f, const struct prof_collector_stats *c)
{
    put_count(f, "collections", c->collections, "collector");
    put_bytes(f, "live after the last", c->live_bytes, "collector");
    put_bytes(f, "its heap now", c->heap_bytes, "collector");
    put_bytes(f, "its heap in all", c->system_bytes, "collector");
}

void memstats_print(FILE *f)
{
    struct prof_memstats m;

    prof_memstats(&m);
    put_count(f, "allocations", m.mallocs, "counted");
    put_count(f, "frees", m.frees, "counted");
    put_count(f, "objects in use", m.objects, "counted");
    put_bytes(f, "allocated since start", m.total_alloc_bytes, "counted");
    put_sampled(f, &m);
    if (*m.allocator)
        put_allocator(f, &m);
    if (m.collector.system_bytes)
        put_collector(f, &m.collector);
    put_bytes(f, "of the profiler", m.profiler_bytes, "counted");
    put_bytes(f, "writable memory", m.sys_bytes, "kernel");
    put_bytes(f, "resident", m.resident_bytes, "kernel");
    put_bytes(f, "resident at most", m.peak_resident_bytes, "kernel");
}
