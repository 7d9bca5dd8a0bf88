/* A program with a hot CPU, to be profiled: -workers threads compute -n Fibonacci numbers each,
 * F(30) to F(34) in turn.
 *
 *   bin/cpu_hot -n 38 -workers 4 -cpuprofile cpu.pprof        then: make pprof-cpu
 *
 * Prints the sum of the numbers, which is the same for every -impl. */
#include "cmd/options.h"
#include "cmd/output.h"
#include "cmd/profile.h"
#include "labs/fib/fib.h"
#include "prof/pprof.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct fib_impl *find_impl(const char *name)
{
    const struct fib_impl *impl = fib_impl_find(name);

    if (!impl)
        option_misuse("-impl '%s': expected recursive, memo or iterative", name);
    return impl;
}

int main(int argc, char **argv)
{
    int64_t n = 100, workers = 4, hz = PROF_CPU_HZ_DEFAULT;
    const char *path = NULL, *trace_path = NULL, *impl_name = "recursive";
    struct profile_output profile, trace;
    uint64_t total;

    options_parse(
        (struct option_spec[]){
            {"n", OPTION_INT, &n, 0, 1000000000, "numbers for each thread"},
            {"workers", OPTION_INT, &workers, 1, 10000, "threads"},
            {"impl", OPTION_STRING, &impl_name, 0, 0, "recursive, memo or iterative"},
            {"cpuprofile", OPTION_STRING, &path, 0, 0, "write a CPU profile to this file"},
            {"trace", OPTION_STRING, &trace_path, 0, 0, "write an execution trace to this file"},
            {"hz", OPTION_INT, &hz, 1, PROF_CPU_HZ_MAX, "samples per second of CPU time"},
            {0}},
        argc, argv);
    const struct fib_impl *impl = find_impl(impl_name);

    profile_prepare(&profile, "-cpuprofile", path);
    profile_prepare(&trace, "-trace", trace_path);
    profile_start_cpu(&profile, (int)hz);
    profile_start_trace(&trace);
    int err = lab_burn_cpu((int)n, (int)workers, impl, &total);
    if (err) {
        outfile_discard(&profile.file);
        outfile_discard(&trace.file);
        fprintf(stderr, "cpu_hot: %" PRId64 " threads did not start: %s\n", workers,
                strerror(-err));
        return 1;
    }
    profile_finish_trace(&trace);
    profile_finish_cpu(&profile);
    printf("total=%" PRIu64 "\n", total);
    return output_finish(0);
}
