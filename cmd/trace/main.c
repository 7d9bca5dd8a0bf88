/* trace: looks at the traces that libprof records. */
#include "cmd/trace/model.h"

#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    char error[TRACE_ERROR_BYTES];

    if (argc != 2) {
        fputs("usage: trace FILE\n", stderr);
        return 2;
    }
    struct trace *t = trace_open(argv[1], true, error);
    if (!t) {
        fprintf(stderr, "trace: %s: %s\n", argv[1], error);
        return 1;
    }
    printf("%" PRIu64 " events, %u threads, %u CPUs, %u slices, %u states, %.6f s\n", t->events,
           t->nthreads, t->ncpus, t->nslices, t->nstates, (double)(t->end_ns - t->start_ns) / 1e9);
    trace_close(t);
    return 0;
}
