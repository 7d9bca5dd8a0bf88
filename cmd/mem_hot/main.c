/* A program that allocates, to be profiled: -count buffers of -bytes each, kept when -hold says so.
 *
 *   bin/mem_hot -bytes 1024 -count 200000 -hold=true -memprofile heap.pprof        then: make
 * pprof-heap
 *
 * The profile is taken at the end, while what is held is still there: alloc_space shows all that
 * was allocated, inuse_space what is held. */
#include "cmd/mem_hot/mem_hot.h"
#include "cmd/memstats.h"
#include "cmd/options.h"
#include "cmd/profile.h"
#include "labs/alloc/alloc.h"
#include "prof/pprof.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct alloc_impl *find_impl(const char *name)
{
    const struct alloc_impl *impl = alloc_impl_find(name);

    if (!impl)
        option_misuse("-impl '%s': expected plain, pool or arena", name);
    return impl;
}

int main(int argc, char **argv)
{
    int64_t bytes = 1024, count = 100000, rate = PROF_HEAP_RATE_DEFAULT;
    bool hold = true, memstats = false;
    const char *path = NULL, *trace_path = NULL, *impl_name = NULL;
    struct churn_flags churn = {.threads = 1};
    struct profile_output profile, trace;
    uint64_t sum;

    options_parse(
        (struct option_spec[]){
            {"bytes", OPTION_INT, &bytes, ALLOC_DIGEST_BYTES, 1 << 30, "bytes of each buffer"},
            {"count", OPTION_INT, &count, 0, 1000000000, "buffers"},
            {"hold", OPTION_BOOL, &hold, 0, 0, "keep them, as a leak does"},
            {"impl", OPTION_STRING, &impl_name, 0, 0, "plain (the default), pool or arena"},
            {"memprofile", OPTION_STRING, &path, 0, 0, "write a heap profile to this file"},
            {"trace", OPTION_STRING, &trace_path, 0, 0, "write an execution trace to this file"},
            {"memprofilerate", OPTION_INT, &rate, 0, INT64_MAX,
             "mean bytes between samples; 1 samples all, 0 nothing"},
            {"memstats", OPTION_BOOL, &memstats, 0, 0, "print where the memory is, at the end"},
            {"gc", OPTION_BOOL, &churn.gc, 0, 0,
             "memory from a garbage collector, none of it freed"},
            {"gogc", OPTION_STRING, &churn.gogc, 0, 0, "stronger than GOGC: 50, 100, 200, off"},
            {"gomemlimit", OPTION_STRING, &churn.gomemlimit, 0, 0,
             "stronger than GOMEMLIMIT: 64MiB, off"},
            {"gclog", OPTION_STRING, &churn.gclog, 0, 0,
             "write the heap's size over time to this file"},
            {"alloc", OPTION_STRING, &churn.alloc, 0, 0,
             "memory from gc, malloc, tcmalloc, pool or arena"},
            {"keep", OPTION_INT, &churn.keep, 0, 100000000,
             "of -gc or -alloc with -hold=false: the newest N stay"},
            {"threads", OPTION_INT, &churn.threads, 1, CHURN_THREADS_MAX, "of -gc or -alloc"},
            {0}},
        argc, argv);
    const bool churned = churn_wanted(&churn);
    if (churned && impl_name)
        option_misuse("-impl %s is for the lab's own work, without -gc and -alloc", impl_name);
    const struct alloc_impl *impl = find_impl(impl_name ? impl_name : "plain");

    prof_set_heap_rate(rate);
    profile_prepare(&profile, "-memprofile", path);
    profile_prepare(&trace, "-trace", trace_path);
    profile_start_trace(&trace);
    int err = churned ? churn_measure(&churn, (size_t)bytes, (int)count, hold, &sum)
                      : impl->allocate((size_t)bytes, (int)count, hold, &sum);
    if (err) {
        outfile_discard(&profile.file);
        outfile_discard(&trace.file);
        fprintf(stderr, "mem_hot: %" PRId64 " buffers of %" PRId64 " bytes: %s\n", count, bytes,
                strerror(-err));
        return 1;
    }
    profile_finish_trace(&trace);
    profile_finish_named(&profile, "heap");
    printf("allocated items=%" PRId64 " checksum=%016" PRIx64 "\n", count, sum);
    if (churned)
        churn_print();
    if (memstats)
        memstats_print(stdout);
    lab_alloc_release();
    return 0;
}
