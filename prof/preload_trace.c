/* PROF_TRACE=FILE: the execution trace of a preloaded program, from its start to its end. It is
 * written beside the file while the program runs, and gets its name when it is whole. Only the
 * program that was asked for has one: a forked child or a program that it executes in another
 * process would write into the same file. Entered from preload.c and, at the end, preload_out.c. */
#include "prof/preload.h"
#include "prof/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_DESCRIPTOR = 64 };

static char path[PATH_MAX], hidden[PATH_MAX]; /* hidden: "" when path is written to as it is */
static int fd = -1;

/* A device or a pipe keeps its name. */
static bool is_special(void)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int open_hidden(void)
{
    const char *slash = strrchr(path, '/');
    int n = snprintf(hidden, sizeof hidden, "%.*s/.%s.%d", (int)(slash - path), path, slash + 1,
                     (int)prof_preload.pid);

    if (n >= (int)sizeof hidden) {
        errno = ENAMETOOLONG;
        return -1;
    }
    unlink(hidden); /* of the program that has executed this one */
    return open(hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
}

/* The program may count on the numbers that its descriptors get. */
static int open_high(void)
{
    int low = is_special() ? open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC) : open_hidden();
    if (low < 0)
        return -errno;
    int high = fcntl(low, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
    if (high < 0)
        return low;
    close(low);
    return high;
}

void prof_out_trace_start(const char *file)
{
    int err;

    if (file[0] != '/' || strlen(file) >= sizeof path) {
        prof_complain("PROF_TRACE is '%.60s'; expected an absolute path; there will be no trace",
                      file);
        return;
    }
    if (!realpath(file, path)) /* it is not there yet; a link stays one */
        strcpy(path, file);
    fd = open_high();
    err = fd < 0 ? fd : prof_trace_start(fd, NULL);
    if (err) {
        prof_complain("no trace: %s: %s", file, strerrordesc_np(-err));
        unlink(hidden);
        prof_out_trace_forget();
    }
}

bool prof_out_traces(void)
{
    return fd >= 0;
}

void prof_out_trace_finish(void)
{
    int err = prof_trace_stop();

    if (close(fd) != 0 && !err)
        err = -errno;
    if (!err && *hidden && rename(hidden, path) != 0)
        err = -errno;
    if (err) {
        unlink(hidden);
        prof_complain("cannot write the trace to %s: %s", path, strerrordesc_np(-err));
    }
    fd = -1;
}

void prof_out_trace_forget(void)
{
    if (fd >= 0)
        close(fd);
    fd = -1;
}
