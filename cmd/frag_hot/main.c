/* A program that fragments its heap, to tune allocators with: what it does is labs/frag, what it
 * prints is how fast that was, how much memory it took and how much of that the process still had
 * when nearly all was freed.
 *
 *   bin/frag_hot                                                            on glibc's malloc
 *   GLIBC_TUNABLES=glibc.malloc.arena_max=1 bin/frag_hot
 *   LD_PRELOAD=libtcmalloc_minimal.so.4 TCMALLOC_RELEASE_RATE=10 bin/frag_hot
 *
 * It is not linked with tcmalloc, so that either can be had. */
#include "cmd/options.h"
#include "cmd/output.h"
#include "labs/frag/frag.h"
#include "prof/pprof.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct look {
    bool release;
    struct prof_memstats end;
    uint64_t held_bytes;
    int64_t release_ns; /* what giving back took; 0: it was not asked for */
};

/* The resident memory that is this process' alone to have: private and dirty, counted page by page
 * by the kernel, where the counters of /proc/self/status lag behind. */
static uint64_t private_bytes(void)
{
    char line[256];
    unsigned long kib = 0, sum = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "re");

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "Private_Dirty: %lu", &kib) == 1)
            sum += kib;
    if (f)
        fclose(f);
    return (uint64_t)sum * 1024;
}

/* What Go's debug.FreeOSMemory does: gives back all that can be given back, now. */
static void release_memory(const char *allocator)
{
    if (!strcmp(allocator, "tcmalloc")) {
        void (*release)(void) =
            (void (*)(void))dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");
        if (release)
            release();
    } else {
        malloc_trim(0);
    }
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void look(void *arg)
{
    struct look *l = arg;

    prof_memstats(&l->end);
    if (l->release) {
        int64_t start = now_ns();
        release_memory(l->end.allocator);
        l->release_ns = now_ns() - start;
    }
    l->held_bytes = private_bytes();
}

static void print(const struct frag_result *r, const struct look *l)
{
    const double mib = 1 << 20;

    printf("allocator=%s checksum=%016" PRIx64 " ops=%" PRId64 " failed=%" PRId64 "\n",
           *l->end.allocator ? l->end.allocator : "other", r->sum, r->ops, r->failed);
    printf("ops/s=%.0f cpu-ns/op=%.1f live-MiB=%.1f peak-MiB=%.1f kept-MiB=%.2f held-MiB=%.1f "
           "release-ms=%.1f\n",
           (double)r->ops * 1e9 / (double)r->elapsed_ns, (double)r->cpu_ns / (double)r->ops,
           (double)r->live_bytes / mib, (double)l->end.peak_resident_bytes / mib,
           (double)r->kept_bytes / mib, (double)l->held_bytes / mib, (double)l->release_ns / 1e6);
}

int main(int argc, char **argv)
{
    int64_t threads = 4, slots = 8000, ops = 100000, seed = 1;
    struct look l = {0};
    struct frag_result r;

    options_parse(
        (struct option_spec[]){
            {"threads", OPTION_INT, &threads, 1, FRAG_THREADS_MAX, "threads"},
            {"slots", OPTION_INT, &slots, 1, 10000000, "blocks that each thread holds"},
            {"ops", OPTION_INT, &ops, 1, 1000000000, "replacements by each thread in each phase"},
            {"seed", OPTION_INT, &seed, 0, INT64_MAX, "of the random numbers"},
            {"release", OPTION_BOOL, &l.release, 0, 0,
             "give free memory back at the end, before looking"},
            {0}},
        argc, argv);
    prof_set_heap_rate(0); /* the allocator is what is measured */
    const struct frag_task task = {
        .threads = (int)threads, .slots = (int)slots, .ops = ops, .seed = (uint64_t)seed};
    int err = frag_run(&task, &r, look, &l);
    if (err) {
        fprintf(stderr, "frag_hot: %" PRId64 " threads with %" PRId64 " blocks: %s\n", threads,
                slots, strerror(-err));
        return 1;
    }
    print(&r, &l);
    return output_finish(0);
}
