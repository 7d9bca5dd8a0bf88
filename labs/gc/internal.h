/* What the files of this folder share. */
#ifndef LABS_GC_INTERNAL_H
#define LABS_GC_INTERNAL_H

#include "labs/gc/gc.h"

#include <stdatomic.h>
#include <time.h>

static inline int64_t gc_clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- heap.c ---------------------------------------------------------------------------------- */

/* Objects and their bytes, as of each thread's last report. */
int64_t gc_heap_bytes(void);
int64_t gc_heap_objects(void);
/* In all since gc_start. */
int64_t gc_heap_allocated_bytes(void);
/* The heap size at which allocating threads ask for a collection. */
void gc_heap_set_goal(int64_t bytes);
int64_t gc_heap_goal(void);
/* After a collection: so much is gone. */
void gc_heap_swept(int64_t bytes, int64_t objects);

/* ---- collect.c ------------------------------------------------------------------------------- */

/* The heap has reached its goal, or will with so many more bytes: collects if the pacer agrees. */
void gc_collect_due(int64_t pending_bytes);

/* ---- thread.c -------------------------------------------------------------------------------- */

/* Threads that a collection stops, the one that collects among them. */
int gc_threads(void);

/* ---- sample.c -------------------------------------------------------------------------------- */

/* The heap profile has sampled this object. */
void gc_sample_add(const void *p);
/* After marking, under libgc's lock: tells the heap profile which samples are gone. */
void gc_sample_sweep(void);

/* ---- report.c -------------------------------------------------------------------------------- */

enum gc_phase { GC_PHASE_BEGIN, GC_PHASE_STOP, GC_PHASE_RESUME, GC_PHASE_END };

void gc_report_init(void);
/* May be called while the world is stopped. */
void gc_report_phase(enum gc_phase phase, const struct gc_cycle *cycle);

#endif
