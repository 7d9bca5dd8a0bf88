/* The way of a profile from a flag to a file: prepare, start, finish. */
#include "cmd/profile.h"
#include "prof/pprof.h"
#include "prof/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void give_up(struct profile_output *p, const char *what, int err)
{
    fprintf(stderr, "%s: %s %s: %s: %s\n", program_invocation_short_name, p->flag, p->file.path,
            what, strerror(-err));
    outfile_discard(&p->file);
    exit(1);
}

void profile_prepare(struct profile_output *p, const char *flag, const char *path)
{
    *p = (struct profile_output){.flag = flag, .wanted = path != NULL};
    if (!path)
        return;
    int err = outfile_open(&p->file, path);
    if (err)
        give_up(p, "cannot write there", err);
}

void profile_start_cpu(struct profile_output *p, int hz)
{
    if (!p->wanted)
        return;
    int err = prof_cpu_start(hz);
    if (err == -EBUSY)
        give_up(p, "another CPU profile is running in this process", err);
    if (err)
        give_up(p, "cannot start sampling", err);
}

static void finish(struct profile_output *p, int err)
{
    if (!err)
        err = outfile_commit(&p->file);
    if (err)
        give_up(p, "cannot write it", err);
}

void profile_finish_cpu(struct profile_output *p)
{
    if (p->wanted)
        finish(p, prof_cpu_stop(p->file.fd));
}

void profile_finish_named(struct profile_output *p, const char *name)
{
    if (!p->wanted)
        return;
    int err = prof_write(name, p->file.fd, 0);
    if (err == -ENOENT)
        give_up(p, "libprof has no profile of that kind", err);
    finish(p, err);
}

void profile_start_trace(struct profile_output *p)
{
    if (!p->wanted)
        return;
    int err = prof_trace_start(p->file.fd, NULL);
    if (err)
        give_up(p, "cannot start the trace", err);
}

void profile_finish_trace(struct profile_output *p)
{
    if (p->wanted)
        finish(p, prof_trace_stop());
}
