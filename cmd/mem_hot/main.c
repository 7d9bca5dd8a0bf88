/* A program that allocates, to be profiled: -count buffers of -bytes each, kept when -hold says so.
 *
 *   bin/mem_hot -bytes 1024 -count 200000 -hold=true -memprofile heap.pprof
 *
 * The profile is taken at the end, while what is held is still there: alloc_space shows all that
 * was allocated, inuse_space what is held. With -gc or -alloc the memory comes from elsewhere, and
 * what that took is printed; see churn.c. */
#include "cmd/mem_hot/mem_hot.h"
#include "cmd/memstats.h"
#include "cmd/options.h"
#include "cmd/output.h"
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

struct flags {
    int64_t bytes, count, rate;
    bool hold, memstats;
    const char *profile_path, *trace_path, *impl_name;
    struct churn_flags churn;
};

static void read_flags(struct flags *f, int argc, char **argv)
{
    *f = (struct flags){.bytes = 1024,
                        .count = 100000,
                        .rate = PROF_HEAP_RATE_DEFAULT,
                        .hold = true,
                        .churn = {.threads = 1}};
    options_parse(
        (struct option_spec[]){
            {"bytes", OPTION_INT, &f->bytes, ALLOC_DIGEST_BYTES, 1 << 30, "bytes of each buffer"},
            {"count", OPTION_INT, &f->count, 0, 1000000000, "buffers"},
            {"hold", OPTION_BOOL, &f->hold, 0, 0, "keep them, as a leak does"},
            {"impl", OPTION_STRING, &f->impl_name, 0, 0, "plain (the default), pool or arena"},
            {"memprofile", OPTION_STRING, &f->profile_path, 0, 0,
             "write a heap profile to this file"},
            {"memprofilerate", OPTION_INT, &f->rate, 0, INT64_MAX,
             "mean bytes between samples; 1 samples all, 0 nothing"},
            {"memstats", OPTION_BOOL, &f->memstats, 0, 0, "print where the memory is, at the end"},
            {"trace", OPTION_STRING, &f->trace_path, 0, 0, "write an execution trace to this file"},
            {"gc", OPTION_BOOL, &f->churn.gc, 0, 0,
             "memory from a garbage collector, none of it freed"},
            {"gogc", OPTION_STRING, &f->churn.gogc, 0, 0,
             "stronger than GOGC: 0, 50, 100, 200, off"},
            {"gomemlimit", OPTION_STRING, &f->churn.gomemlimit, 0, 0,
             "stronger than GOMEMLIMIT: 64MiB, off"},
            {"gclog", OPTION_STRING, &f->churn.gclog, 0, 0,
             "write the heap's size over time to this file"},
            {"alloc", OPTION_STRING, &f->churn.alloc, 0, 0,
             "memory from gc, malloc, tcmalloc, pool or arena"},
            {"keep", OPTION_INT, &f->churn.keep, 0, 100000000,
             "of -gc or -alloc with -hold=false: the newest N stay"},
            {"threads", OPTION_INT, &f->churn.threads, 1, CHURN_THREADS_MAX, "of -gc or -alloc"},
            {0}},
        argc, argv);
}

int main(int argc, char **argv)
{
    struct flags f;
    struct profile_output profile, trace;
    uint64_t sum;

    read_flags(&f, argc, argv);
    const bool churned = churn_wanted(&f.churn);
    if (churned && f.impl_name)
        option_misuse("-impl %s is for the lab's own work, without -gc and -alloc", f.impl_name);
    const struct alloc_impl *impl = find_impl(f.impl_name ? f.impl_name : "plain");

    prof_set_heap_rate(f.rate);
    profile_prepare(&profile, "-memprofile", f.profile_path);
    profile_prepare(&trace, "-trace", f.trace_path);
    profile_start_trace(&trace);
    int err = churned ? churn_measure(&f.churn, (size_t)f.bytes, (int)f.count, f.hold, &sum)
                      : impl->allocate((size_t)f.bytes, (int)f.count, f.hold, &sum);
    if (err) {
        outfile_discard(&profile.file);
        outfile_discard(&trace.file);
        fprintf(stderr, "mem_hot: %" PRId64 " buffers of %" PRId64 " bytes: %s\n", f.count, f.bytes,
                strerror(-err));
        return 1;
    }
    profile_finish_trace(&trace);
    profile_finish_named(&profile, "heap");
    printf("allocated items=%" PRId64 " checksum=%016" PRIx64 "\n", f.count, sum);
    if (churned)
        churn_print();
    if (f.memstats)
        memstats_print(stdout);
    lab_alloc_release();
    return output_finish(0);
}
