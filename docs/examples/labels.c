/* Two tenants, one of which needs three times the CPU time: only labels tell them apart. */
#include "prof/pprof.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static volatile unsigned sink;

static void serve(const char *tenant, long steps)
{
    prof_label_scope("tenant", tenant);

    for (long i = 0; i < steps; i++)
        sink = sink * 31 + (unsigned)i;
}

int main(int argc, char **argv)
{
    int fd = open(argc > 1 ? argv[1] : "cpu.pb.gz", O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || prof_cpu_start(0) != 0) {
        fputs("labels: cannot begin; usage: labels FILE\n", stderr);
        return 1;
    }
    for (int i = 0; i < 20; i++) {
        serve("small", 5000000);
        serve("large", 15000000);
    }
    int err = prof_cpu_stop(fd);
    close(fd);
    return err ? 1 : 0;
}
