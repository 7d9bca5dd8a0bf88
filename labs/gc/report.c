/* What libprof is told of the collector: how to start a collection (the endpoint's heap?gc=1), what
 * it has done so far (the memory statistics), and each collection as it happens (a trace's bands in
 * which the world stands still). Any collector can do the same; nothing here is libgc's. */
#include "labs/gc/internal.h"

#include "prof/pprof.h"
#include "prof/trace.h"

static void tell_stats(struct prof_collector_stats *out)
{
    struct gc_stats s;

    gc_stats_read(&s);
    *out = (struct prof_collector_stats){
        .collections = s.collections,
        .pause_total_ns = (uint64_t)s.pause_total_ns,
        .pause_max_ns = (uint64_t)s.pause_max_ns,
        .live_bytes = (uint64_t)s.live_bytes,
        .heap_bytes = (uint64_t)s.heap_bytes,
        .goal_bytes = s.goal_bytes == INT64_MAX ? UINT64_MAX : (uint64_t)s.goal_bytes,
        .system_bytes = (uint64_t)s.system_bytes,
        .last_end_ns = s.last_end_ns,
    };
}

static const struct prof_collector collector = {.collect = gc_collect, .stats = tell_stats};

void gc_report_init(void)
{
    prof_set_collector(&collector);
}

void gc_report_phase(enum gc_phase phase, const struct gc_cycle *c)
{
    static const enum prof_gc_phase phases[] = {
        [GC_PHASE_BEGIN] = PROF_GC_BEGIN,
        [GC_PHASE_STOP] = PROF_GC_STW_BEGIN,
        [GC_PHASE_RESUME] = PROF_GC_STW_END,
        [GC_PHASE_END] = PROF_GC_END,
    };
    const bool done = phase == GC_PHASE_END;

    if (done && c->heap_objects > c->live_objects)
        prof_heap_count_frees((uint64_t)(c->heap_objects - c->live_objects));
    prof_trace_gc(phases[phase], c->number, done ? c->live_bytes : -1,
                  done ? c->next_goal_bytes : -1);
}
