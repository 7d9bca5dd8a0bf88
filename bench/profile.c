/* -cpuprofile and its like. Whether the files can be written is found out before the benchmarks
 * run, for it would be a pity to find out after. A profile is written beside its file and renamed,
 * so that a file is whole or not there. */
#include "bench/internal.h"
#include "prof/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *flag, *profile;
} kinds[BENCH_PROFILES] = {
    [BENCH_PROFILE_CPU] = {"-cpuprofile", NULL},
    [BENCH_PROFILE_MEM] = {"-memprofile", "allocs"},
    [BENCH_PROFILE_BLOCK] = {"-blockprofile", "block"},
    [BENCH_PROFILE_MUTEX] = {"-mutexprofile", "mutex"},
    [BENCH_PROFILE_TRACE] = {"-trace", NULL},
};

/* Files to be removed if this ends now: the trace, which is written all the time, and the profile
 * that is written just now. */
static pthread_mutex_t unfinished_lock = PTHREAD_MUTEX_INITIALIZER;
static char unfinished[2][PATH_MAX]; /* under unfinished_lock */
static int trace_fd = -1;

static char *unfinished_of(int kind)
{
    return unfinished[kind == BENCH_PROFILE_TRACE];
}

static void remove_unfinished(int kind)
{
    pthread_mutex_lock(&unfinished_lock);
    if (*unfinished_of(kind))
        unlink(unfinished_of(kind));
    *unfinished_of(kind) = '\0';
    pthread_mutex_unlock(&unfinished_lock);
}

void bench_profiles_abort(void)
{
    remove_unfinished(BENCH_PROFILE_TRACE);
    remove_unfinished(BENCH_PROFILE_CPU);
}

/* Whether path is something that a rename would destroy: a device, a pipe. Those are written as
 * they are. */
static bool is_special(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

/* What path stands for: where it is a link, the rename is to replace what the link names. */
static const char *target_of(const char *path, char real[static PATH_MAX])
{
    return realpath(path, real) ? real : path;
}

/* A new file beside path, or a negative errno. */
static int create_unfinished_locked(int kind, const char *path)
{
    char real[PATH_MAX], name[PATH_MAX];
    int len = snprintf(name, sizeof(name), "%s.%d.tmp", target_of(path, real), (int)getpid());

    if (len >= (int)sizeof(name))
        return -ENAMETOOLONG;
    unlink(name); /* of an earlier process with this number, if at all */
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    strcpy(unfinished_of(kind), name);
    return fd;
}

/* The file to write to, or a negative errno. */
static int open_beside(int kind, const char *path)
{
    struct stat st;

    if (is_special(path)) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    if (stat(path, &st) == 0 && (S_ISDIR(st.st_mode) || access(path, W_OK) < 0))
        return S_ISDIR(st.st_mode) ? -EISDIR : -errno;
    pthread_mutex_lock(&unfinished_lock);
    int fd = create_unfinished_locked(kind, path);
    pthread_mutex_unlock(&unfinished_lock);
    return fd;
}

/* Gives the file that was written its name. */
static int finish_file(int kind, const char *path)
{
    char real[PATH_MAX], *written = unfinished_of(kind);
    int err = 0;

    pthread_mutex_lock(&unfinished_lock);
    if (*written && rename(written, target_of(path, real)) < 0) {
        err = -errno;
        unlink(written);
    }
    *written = '\0';
    pthread_mutex_unlock(&unfinished_lock);
    return err;
}

int bench_profiles_check(const struct bench_options *o)
{
    for (int i = 0; i < BENCH_PROFILES; i++) {
        if (!o->profile[i])
            continue;
        int fd = is_special(o->profile[i]) ? open("/dev/null", O_WRONLY | O_CLOEXEC)
                                           : open_beside(i, o->profile[i]);
        if (fd < 0)
            return bench_complain(
                2, "%s %s: %s: name a file in a folder that exists and that you may write to",
                kinds[i].flag, o->profile[i], strerror(-fd));
        close(fd);
        bench_profiles_abort();
    }
    return 0;
}

static int start_trace(const char *path)
{
    int err;

    trace_fd = open_beside(BENCH_PROFILE_TRACE, path);
    err = trace_fd < 0 ? trace_fd : prof_trace_start(trace_fd, NULL);
    if (err)
        bench_profiles_abort();
    return err ? bench_complain(1, "cannot start the trace: %s", strerror(-err)) : 0;
}

int bench_profiles_start(const struct bench_options *o)
{
    if (o->mem_rate > 0)
        prof_set_heap_rate(o->mem_rate);
    if (o->profile[BENCH_PROFILE_BLOCK])
        prof_set_block_rate_ns(o->block_rate_ns);
    if (o->profile[BENCH_PROFILE_MUTEX])
        prof_set_mutex_fraction(o->mutex_fraction);
    int err = o->profile[BENCH_PROFILE_CPU] ? prof_cpu_start(0) : 0;
    if (err)
        return bench_complain(1, "cannot start the CPU profile: %s", strerror(-err));
    return o->profile[BENCH_PROFILE_TRACE] ? start_trace(o->profile[BENCH_PROFILE_TRACE]) : 0;
}

/* fd negative: it could not be opened, and what runs is stopped all the same. */
static int write_profile(int kind, int fd)
{
    if (kind == BENCH_PROFILE_TRACE)
        return prof_trace_stop();
    if (kind == BENCH_PROFILE_CPU)
        return prof_cpu_stop(fd < 0 ? -1 : fd);
    return fd < 0 ? 0 : prof_write(kinds[kind].profile, fd, 0);
}

static int write_one(const struct bench_options *o, int i)
{
    int fd = i == BENCH_PROFILE_TRACE ? trace_fd : open_beside(i, o->profile[i]);
    int err = fd < 0 ? fd : 0;
    int written = write_profile(i, fd);

    if (!err && written < 0)
        err = written;
    if (fd >= 0 && close(fd) < 0 && !err)
        err = -errno;
    if (!err)
        err = finish_file(i, o->profile[i]);
    remove_unfinished(i);
    return err ? bench_complain(1, "%s %s: not written: %s", kinds[i].flag, o->profile[i],
                                strerror(-err))
               : 0;
}

int bench_profiles_write(const struct bench_options *o)
{
    /* What records time first: it is about the benchmarks, not about the writing of the others. */
    static const int order[] = {BENCH_PROFILE_TRACE, BENCH_PROFILE_CPU, BENCH_PROFILE_MEM,
                                BENCH_PROFILE_BLOCK, BENCH_PROFILE_MUTEX};
    int status = 0;

    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (o->profile[order[i]] && write_one(o, order[i]))
            status = 1;
    return status;
}
