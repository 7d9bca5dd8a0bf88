/* One collection, from the goal that was reached to the figures that it leaves.
 *
 * libgc is told never to collect of its own accord (but when memory has run out it does all the
 * same, and is counted). A thread whose heap has reached the goal calls gc_collect_due; if the
 * pacer agrees, GC_gcollect does it all: clears the marks, stops the other threads with a signal
 * each, marks what can be reached, lets them go, takes back what is wholly free. The rest is swept
 * by later allocations, as in Go. libgc reports these phases to on_event, in part while the world
 * stands still: nothing there may wait or allocate.
 *
 * What is live is counted by going through all marked objects (0.01 to 0.5 ms), the one exact way:
 * libgc's own sums are of blocks. */
#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include "labs/gc/internal.h"

#include <errno.h>
#include <gc/gc.h>
#include <gc/gc_mark.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

/* Memory is got in pieces of 1/64 of the heap, for a limit's sake; libgc itself takes a third. */
enum { FREE_SPACE_DIVISOR = 64 };

static struct {
    pthread_mutex_t lock; /* one collection at a time */
    /* under lock */
    struct gc_pacer pacer; /* its settings change under libgc's lock, too */
    int64_t cpu_ns;        /* that collections have taken */
    void (*on_cycle)(const struct gc_cycle *, void *);
    void *on_cycle_arg;
    bool forced, limited; /* why GC_gcollect is being called */
    /* constant */
    bool started;
    int64_t start_ns;
    int processors;
} collector = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Written under libgc's lock, which on_event and on_resize are called with. */
static struct gc_cycle cycle;
static _Atomic int64_t live_bytes, overhead_bytes, system_peak_bytes;
static __thread bool collecting; /* this thread is */

static pthread_mutex_t stats_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gc_stats stats; /* under stats_lock */

/* ---- the goal -------------------------------------------------------------------------------- */

static int64_t set_goal(void)
{
    const struct gc_pacer p = {
        .settings = collector.pacer.settings,
        .live_bytes = atomic_load_explicit(&live_bytes, memory_order_relaxed),
        .overhead_bytes = atomic_load_explicit(&overhead_bytes, memory_order_relaxed),
    };
    const int64_t goal = gc_pacer_goal(&p);

    gc_heap_set_goal(goal);
    return goal;
}

/* ---- memory from the kernel ------------------------------------------------------------------ */

static int64_t system_bytes(void)
{
    return (int64_t)(GC_get_obtained_from_os_bytes() - GC_get_unmapped_bytes());
}

/* libgc needed more memory, so nothing that it had was of use: what is not in objects now is what
 * this heap costs beyond them. */
static void GC_CALLBACK on_resize(GC_word heap_size)
{
    const int64_t system = system_bytes();

    (void)heap_size;
    atomic_store_explicit(&overhead_bytes, system - gc_heap_bytes(), memory_order_relaxed);
    if (system > atomic_load_explicit(&system_peak_bytes, memory_order_relaxed))
        atomic_store_explicit(&system_peak_bytes, system, memory_order_relaxed);
    set_goal();
}

/* ---- phases, as libgc reports them ----------------------------------------------------------- */

static void GC_CALLBACK count_object(void *object, size_t bytes, void *arg)
{
    struct gc_cycle *c = arg;

    (void)object;
    c->live_bytes += (int64_t)bytes;
    c->live_objects++;
}

static void count_in(const struct gc_cycle *c)
{
    const int64_t pause_ns = c->resume_ns - c->stop_ns;

    pthread_mutex_lock(&stats_lock);
    stats.collections++;
    stats.limited += c->limited;
    stats.forced += c->forced;
    stats.pause_total_ns += pause_ns;
    if (pause_ns > stats.pause_max_ns)
        stats.pause_max_ns = pause_ns;
    stats.work_total_ns += c->end_ns - c->begin_ns;
    stats.live_bytes = c->live_bytes;
    if (c->heap_bytes > stats.heap_peak_bytes)
        stats.heap_peak_bytes = c->heap_bytes;
    stats.last_end_ns = c->end_ns;
    pthread_mutex_unlock(&stats_lock);
}

static void end_cycle(void)
{
    GC_enumerate_reachable_objects_inner(count_object, &cycle);
    gc_heap_swept(cycle.heap_bytes - cycle.live_bytes, cycle.heap_objects - cycle.live_objects);
    gc_sample_sweep();
    atomic_store_explicit(&live_bytes, cycle.live_bytes, memory_order_relaxed);
    cycle.next_goal_bytes = set_goal();
    cycle.system_bytes = system_bytes();
    cycle.end_ns = gc_clock_ns(CLOCK_MONOTONIC);
    count_in(&cycle);
    gc_report_phase(GC_PHASE_END, &cycle);
}

static void GC_CALLBACK on_event(GC_EventType event)
{
    const int64_t now_ns = gc_clock_ns(CLOCK_MONOTONIC);

    switch (event) {
    case GC_EVENT_START:
        cycle = (struct gc_cycle){.number = cycle.number + 1,
                                  .begin_ns = now_ns,
                                  .forced = collector.forced,
                                  .limited = collector.limited,
                                  .goal_bytes = gc_heap_goal()};
        gc_report_phase(GC_PHASE_BEGIN, &cycle);
        break;
    case GC_EVENT_PRE_STOP_WORLD:
        cycle.stop_ns = now_ns;
        gc_report_phase(GC_PHASE_STOP, &cycle);
        break;
    case GC_EVENT_MARK_START:
        cycle.mark_ns = now_ns;
        cycle.heap_bytes = gc_heap_bytes();
        cycle.heap_objects = gc_heap_objects();
        cycle.mark_cpu_ns = -gc_clock_ns(CLOCK_THREAD_CPUTIME_ID);
        break;
    case GC_EVENT_MARK_END:
        cycle.marked_ns = now_ns;
        cycle.mark_cpu_ns += gc_clock_ns(CLOCK_THREAD_CPUTIME_ID);
        break;
    case GC_EVENT_POST_START_WORLD:
        cycle.resume_ns = now_ns;
        gc_report_phase(GC_PHASE_RESUME, &cycle);
        break;
    case GC_EVENT_END:
        end_cycle();
        break;
    default:
        break;
    }
}

/* ---- collecting ------------------------------------------------------------------------------ */

static double share_locked(int64_t now_ns)
{
    const double processors = collector.processors;
    const double pause = (double)stats.pause_total_ns;
    const double beside = ((double)stats.work_total_ns - pause) / processors;

    return now_ns > collector.start_ns ? (pause + beside) / (double)(now_ns - collector.start_ns)
                                       : 0;
}

static double share_now(void)
{
    pthread_mutex_lock(&stats_lock);
    const double share = share_locked(gc_clock_ns(CLOCK_MONOTONIC));
    pthread_mutex_unlock(&stats_lock);
    return share;
}

static void print_trace(const struct gc_cycle *c)
{
    char line[256];

    gc_trace_line(line, sizeof line, c, collector.start_ns, share_now(), collector.processors);
    fprintf(stderr, "%s\n", line);
}

/* The program's own time on all processors, collections apart. */
static int64_t worked_ns(void)
{
    return gc_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - collector.cpu_ns;
}

/* What the collection took, and what the threads that stood still could have done meanwhile. */
static void charge(int64_t cpu_ns)
{
    const int threads = gc_threads();
    const int width = threads < collector.processors ? threads : collector.processors;

    collector.cpu_ns += cpu_ns;
    gc_pacer_collected(&collector.pacer, cpu_ns * width, worked_ns());
}

static void collect_locked(void)
{
    const int64_t begin_ns = gc_clock_ns(CLOCK_THREAD_CPUTIME_ID);

    collecting = true;
    GC_gcollect();
    const struct gc_cycle done = cycle; /* collector.lock keeps the next one away */
    charge(gc_clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns);
    collector.forced = collector.limited = false;
    if (collector.pacer.settings.trace)
        print_trace(&done);
    if (collector.on_cycle)
        collector.on_cycle(&done, collector.on_cycle_arg);
    collecting = false;
}

/* Who comes while another thread collects waits, and finds a smaller heap: else the heap would
 * outgrow its goal by all that is allocated until the world stands. */
void gc_collect_due(int64_t pending_bytes)
{
    if (collecting)
        return;
    pthread_mutex_lock(&collector.lock);
    struct gc_pacer *p = &collector.pacer;
    p->live_bytes = atomic_load_explicit(&live_bytes, memory_order_relaxed);
    p->overhead_bytes = atomic_load_explicit(&overhead_bytes, memory_order_relaxed);
    const int64_t heap = gc_heap_bytes();
    if (gc_pacer_due(p, heap, pending_bytes, worked_ns())) {
        collector.limited = heap < gc_pacer_percent_goal(p);
        collect_locked();
    }
    pthread_mutex_unlock(&collector.lock);
}

/* A thread that the collector does not know may collect once it has been made known; it must then
 * take the signals that stop it, which the endpoint's threads block. */
static void collect_as_stranger_locked(void)
{
    struct GC_stack_base base;
    sigset_t needed, before;

    sigemptyset(&needed);
    sigaddset(&needed, GC_get_suspend_signal());
    sigaddset(&needed, GC_get_thr_restart_signal());
    pthread_sigmask(SIG_UNBLOCK, &needed, &before);
    GC_get_stack_base(&base);
    GC_register_my_thread(&base);
    collect_locked();
    GC_unregister_my_thread();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void gc_collect(void)
{
    pthread_mutex_lock(&collector.lock);
    collector.forced = true;
    if (GC_thread_is_registered())
        collect_locked();
    else
        collect_as_stranger_locked();
    pthread_mutex_unlock(&collector.lock);
}

static void *GC_CALLBACK apply(void *settings)
{
    collector.pacer.settings = *(const struct gc_settings *)settings;
    set_goal();
    return NULL;
}

void gc_set(const struct gc_settings *settings)
{
    struct gc_settings copy = *settings;

    pthread_mutex_lock(&collector.lock);
    GC_call_with_alloc_lock(apply, &copy);
    pthread_mutex_unlock(&collector.lock);
}

void gc_on_cycle(void (*fn)(const struct gc_cycle *, void *), void *arg)
{
    pthread_mutex_lock(&collector.lock);
    collector.on_cycle = fn;
    collector.on_cycle_arg = arg;
    pthread_mutex_unlock(&collector.lock);
}

void gc_stats_read(struct gc_stats *out)
{
    pthread_mutex_lock(&stats_lock);
    *out = stats;
    out->share = share_locked(gc_clock_ns(CLOCK_MONOTONIC));
    pthread_mutex_unlock(&stats_lock);
    out->heap_bytes = gc_heap_bytes();
    if (out->heap_bytes > out->heap_peak_bytes)
        out->heap_peak_bytes = out->heap_bytes;
    out->goal_bytes = gc_heap_goal();
    out->system_bytes = system_bytes();
    out->system_peak_bytes = atomic_load(&system_peak_bytes);
    out->allocated_bytes = gc_heap_allocated_bytes();
}

/* ---- start ----------------------------------------------------------------------------------- */

static int count_processors(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static void configure_libgc(void)
{
    GC_set_all_interior_pointers(0); /* an object of 1024 bytes takes 1024, not one more */
    GC_set_markers_count(1);         /* its helpers wait in locks while the world stands still */
    GC_INIT();
    GC_allow_register_threads();
    GC_set_disable_automatic_collection(1);
    GC_set_allocd_bytes_per_finalizer(0);
    GC_set_free_space_divisor(FREE_SPACE_DIVISOR);
    GC_set_warn_proc(GC_ignore_warn_proc);
    GC_set_on_heap_resize(on_resize);
    GC_set_on_collection_event(on_event);
}

int gc_start(const struct gc_settings *settings)
{
    const struct gc_settings defaults = {GC_PERCENT_DEFAULT, GC_LIMIT_NONE, false};

    if (collector.started)
        return -EALREADY;
    collector.started = true;
    collector.start_ns = gc_clock_ns(CLOCK_MONOTONIC);
    collector.processors = count_processors();
    collector.pacer.settings = settings ? *settings : defaults;
    configure_libgc();
    on_resize(0);
    gc_report_init();
    return 0;
}
