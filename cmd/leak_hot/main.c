/* A program that leaks threads, to be looked at: -ops crews of -workers threads each, of which the
 * leaky variant leaves every thread behind, waiting for a signal that nobody sends.
 *
 *   bin/leak_hot -ops 25 -impl leaky -threadprofile threads.pprof        then: scripts/pprof
 * -traces threads.pprof
 *
 * Prints how many threads the kernel counted before and after. The profile shows where those that
 * are left stand. */
#include "cmd/options.h"
#include "cmd/output.h"
#include "cmd/profile.h"
#include "labs/leak/leak.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct leak_impl *find_impl(const char *name)
{
    const struct leak_impl *impl = leak_impl_find(name);

    if (!impl)
        option_misuse("-impl '%s': expected leaky or joined", name);
    return impl;
}

/* Whether a thread is on its way out: it can still be seen for a moment after it was joined. */
static bool is_ending(const char *tid)
{
    enum { PF_EXITING = 0x4 };
    char path[64], line[512] = "";
    unsigned flags = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", tid);
    FILE *f = fopen(path, "re");
    if (!f)
        return true;
    const char *fields = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
    fclose(f);
    /* state ppid pgrp session tty tpgid flags */
    return !fields || sscanf(fields, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1 ||
           (flags & PF_EXITING);
}

/* What the kernel says, not what the lab thinks. */
static int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int n = 0;

    if (!tasks) {
        fprintf(stderr, "leak_hot: cannot count threads: /proc/self/task: %s\n", strerror(errno));
        exit(1);
    }
    for (struct dirent *e; (e = readdir(tasks));)
        n += e->d_name[0] != '.' && !is_ending(e->d_name);
    closedir(tasks);
    return n;
}

int main(int argc, char **argv)
{
    int64_t ops = 10, workers = LEAK_WORKERS;
    const char *path = NULL, *trace_path = NULL, *impl_name = "leaky";
    struct profile_output profile, trace;
    uint64_t sum, total = 0;

    options_parse(
        (struct option_spec[]){
            {"ops", OPTION_INT, &ops, 0, 1000, "crews to start"},
            {"workers", OPTION_INT, &workers, 1, LEAK_WORKERS_MAX, "threads of each"},
            {"impl", OPTION_STRING, &impl_name, 0, 0, "leaky or joined"},
            {"threadprofile", OPTION_STRING, &path, 0, 0,
             "write every thread's stack to this file"},
            {"trace", OPTION_STRING, &trace_path, 0, 0, "write an execution trace to this file"},
            {0}},
        argc, argv);
    const struct leak_impl *impl = find_impl(impl_name);

    profile_prepare(&profile, "-threadprofile", path);
    profile_prepare(&trace, "-trace", trace_path);
    profile_start_trace(&trace);
    int before = count_threads();
    for (int64_t i = 0; i < ops; i++) {
        int err = impl->run((int)workers, &sum);
        if (err) {
            outfile_discard(&profile.file);
            outfile_discard(&trace.file);
            fprintf(stderr, "leak_hot: after %" PRId64 " of %" PRId64 " crews: %s\n", i, ops,
                    strerror(-err));
            return 1;
        }
        total += sum;
    }
    profile_finish_trace(&trace);
    printf("threads before=%d after=%d checksum=%016" PRIx64 "\n", before, count_threads(), total);
    profile_finish_named(&profile, "goroutine");
    lab_leak_stop(0);
    return output_finish(0);
}
