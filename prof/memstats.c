/* The program's memory in one struct, as Go's runtime.MemStats: put together from four sets of
 * books, none of which knows it all.
 *
 * The hooks count every call (exact). The heap samples say how much of that is in use (an estimate,
 * with its error). The allocator behind the hooks says what it got from the kernel and how much of
 * it is in the program's hands: it is asked through the interface of its own that lies in the same
 * module as the malloc in use. The kernel says what the whole process has. Entered through
 * prof_memstats, and through prof_memstats_put for the text of a heap profile. */
#include "prof/memory.h"
#include "prof/thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the allocator --------------------------------------------------------------------------- */

typedef int tcmalloc_property(const char *name, size_t *value);
typedef int jemalloc_control(const char *name, void *old, size_t *old_size, void *new,
                             size_t new_size);
typedef struct mallinfo2 glibc_info(void);

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t tcmalloc_get(tcmalloc_property *get, const char *name)
{
    size_t value = 0;
    return get(name, &value) ? value : 0;
}

static void read_tcmalloc(void *fn, struct prof_memstats *m)
{
    tcmalloc_property *get = (tcmalloc_property *)fn;
    m->heap_alloc_bytes = tcmalloc_get(get, "generic.current_allocated_bytes");
    m->heap_sys_bytes = tcmalloc_get(get, "generic.heap_size");
    m->heap_released_bytes = tcmalloc_get(get, "tcmalloc.pageheap_unmapped_bytes");
    m->heap_idle_bytes = tcmalloc_get(get, "tcmalloc.pageheap_free_bytes") + m->heap_released_bytes;
    m->heap_inuse_bytes = less(m->heap_sys_bytes, m->heap_idle_bytes);
}

static uint64_t jemalloc_get(jemalloc_control *control, const char *name)
{
    size_t value = 0, size = sizeof value;
    return control(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

static void read_jemalloc(void *fn, struct prof_memstats *m)
{
    jemalloc_control *control = (jemalloc_control *)fn;
    uint64_t epoch = 1;
    control("epoch", NULL, NULL, &epoch, sizeof epoch); /* its statistics stand still until then */
    m->heap_alloc_bytes = jemalloc_get(control, "stats.allocated");
    m->heap_inuse_bytes = jemalloc_get(control, "stats.active");
    m->heap_released_bytes = jemalloc_get(control, "stats.retained");
    m->heap_sys_bytes = jemalloc_get(control, "stats.resident") + m->heap_released_bytes;
    m->heap_idle_bytes = less(m->heap_sys_bytes, m->heap_inuse_bytes);
}

static void read_glibc(void *fn, struct prof_memstats *m)
{
    struct mallinfo2 info = ((glibc_info *)fn)();
    m->heap_alloc_bytes = info.uordblks + info.hblkhd;
    m->heap_sys_bytes = info.arena + info.hblkhd;
    m->heap_idle_bytes = less(m->heap_sys_bytes, m->heap_alloc_bytes);
    m->heap_inuse_bytes = m->heap_alloc_bytes;
}

static const struct allocator {
    const char *name;
    const char *symbol; /* that asks it */
    void (*read)(void *fn, struct prof_memstats *m);
} allocators[] = {
    {"tcmalloc", "MallocExtension_GetNumericProperty", read_tcmalloc},
    {"jemalloc", "mallctl", read_jemalloc},
    {"glibc", "mallinfo2", read_glibc},
};

/* A program may have several allocators loaded: the one that is asked must be the one whose malloc
 * is called. */
static void *find_in_module_of(const void *malloc_next, const char *symbol)
{
    void *fn = dlsym(RTLD_DEFAULT, symbol);
    Dl_info a, b;
    if (!fn || !malloc_next || !dladdr(fn, &a) || !dladdr(malloc_next, &b))
        return NULL;
    return a.dli_fbase == b.dli_fbase ? fn : NULL;
}

static void read_allocator(struct prof_memstats *m)
{
    m->allocator = "";
    if (prof_private_tls) /* the process is at its end, and its allocator may be locked for ever */
        return;
    for (size_t i = 0; i < sizeof allocators / sizeof allocators[0]; i++) {
        void *fn = find_in_module_of(prof_malloc_next(), allocators[i].symbol);
        if (fn) {
            m->allocator = allocators[i].name;
            allocators[i].read(fn, m);
            return;
        }
    }
}

/* ---- the kernel ------------------------------------------------------------------------------ */

/* The start of a file of /proc as a string; "" when there is none. */
static void read_proc(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    text[0] = '\0';
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    close(fd);
}

/* The number after the name, in kB. */
static uint64_t status_bytes(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

static void read_kernel(struct prof_memstats *m)
{
    char status[4096];
    read_proc("/proc/thread-self/status", status, sizeof status);
    m->sys_bytes = status_bytes(status, "\nVmData:") + status_bytes(status, "\nVmStk:");
    m->resident_bytes = status_bytes(status, "\nVmRSS:");
    m->peak_resident_bytes = status_bytes(status, "\nVmHWM:");
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void read_samples(struct prof_memstats *m)
{
    struct prof_heap_estimate e = prof_heap_estimate();
    m->sampled_inuse_bytes = (uint64_t)llround(e.bytes);
    m->sampled_error_bytes = (uint64_t)llround(sqrt(e.variance));
}

void prof_memstats(struct prof_memstats *out)
{
    struct prof_alloc_counts counts;
    int saved = errno;
    prof_enter();
    *out = (struct prof_memstats){0};
    read_allocator(out);
    read_samples(out);
    read_kernel(out);
    prof_alloc_counts(&counts);
    out->mallocs = counts.mallocs;
    out->frees = counts.frees;
    out->objects = less(counts.mallocs, counts.frees);
    out->total_alloc_bytes = counts.alloc_bytes;
    out->profiler_bytes = prof_pages_held();
    prof_collector_stats(&out->collector);
    prof_leave();
    errno = saved;
}

/* ---- as Go's text ---------------------------------------------------------------------------- */

static void put(FILE *f, const char *name, uint64_t value)
{
    fprintf(f, "# %s = %" PRIu64 "\n", name, value);
}

/* Go has room for the last 256 pauses. Ours are known by their sum and the longest, so there are
 * none to show. */
static void put_pauses(FILE *f, const char *name, bool collected)
{
    fprintf(f, "# %s = [", name);
    for (int i = 0; i < 256 && !collected; i++)
        fputs(i ? " 0" : "0", f);
    fputs("]\n", f);
}

/* When the last collection ended, in nanoseconds since 1970; 0: there was none. */
static uint64_t last_collection_ns(const struct prof_collector_stats *c)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    return c->last_end_ns ? (uint64_t)(now_ns - (prof_now_ns() - c->last_end_ns)) : 0;
}

static void put_collector(FILE *f, const struct prof_collector_stats *c)
{
    put(f, "NextGC", c->goal_bytes);
    put(f, "LastGC", last_collection_ns(c));
    put_pauses(f, "PauseNs", c->collections > 0);
    put_pauses(f, "PauseEnd", c->collections > 0);
    put(f, "NumGC", c->collections);
    if (c->collections) { /* how many were asked for, and its share of the CPU, it does not say */
        put(f, "PauseTotalNs", c->pause_total_ns);
        put(f, "PauseMaxNs", c->pause_max_ns);
    } else {
        fputs("# NumForcedGC = 0\n# GCCPUFraction = 0\n", f);
    }
    fputs("# DebugGC = false\n", f);
}

/* Go's lines in Go's order, so that what reads the one reads the other. Sys is the sum of the *Sys
 * values here, too: what nobody counts apart (stacks, static data, the allocator's own tables) is
 * in OtherSys, not in lines of its own. A collector's heap is heap, as it is in Go. */
void prof_memstats_put(FILE *f)
{
    struct prof_memstats m;
    prof_memstats(&m);
    const struct prof_collector_stats *c = &m.collector;
    uint64_t heap_sys = m.heap_sys_bytes + c->system_bytes;
    uint64_t alloc = (*m.allocator ? m.heap_alloc_bytes : m.sampled_inuse_bytes) + c->heap_bytes;
    fputs("\n# runtime.MemStats\n", f);
    put(f, "Alloc", alloc);
    put(f, "TotalAlloc", m.total_alloc_bytes);
    put(f, "Sys", m.sys_bytes);
    put(f, "Lookups", 0);
    put(f, "Mallocs", m.mallocs);
    put(f, "Frees", m.frees);
    put(f, "HeapAlloc", alloc);
    put(f, "HeapSys", heap_sys);
    put(f, "HeapIdle", m.heap_idle_bytes + less(c->system_bytes, c->heap_bytes));
    put(f, "HeapInuse", m.heap_inuse_bytes + c->heap_bytes);
    put(f, "HeapReleased", m.heap_released_bytes);
    put(f, "HeapObjects", m.objects);
    fputs("# Stack = 0 / 0\n# MSpan = 0 / 0\n# MCache = 0 / 0\n", f);
    put(f, "BuckHashSys", m.profiler_bytes);
    put(f, "GCSys", 0);
    put(f, "OtherSys", less(m.sys_bytes, heap_sys + m.profiler_bytes));
    put_collector(f, c);
    put(f, "MaxRSS", m.peak_resident_bytes);
}
