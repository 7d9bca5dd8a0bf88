/* What the switch records lack, and how to allow it: one line for the user, put together while a
 * recording begins. Entered from sched.c. */
#include "prof/sched.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char missing[512];

void prof_sched_say_nothing(void)
{
    missing[0] = '\0';
}

void prof_sched_say(const char *format, ...)
{
    size_t n = strlen(missing);
    va_list args;

    if (n && n < sizeof missing - 1)
        missing[n++] = ';', missing[n++] = ' ';
    va_start(args, format);
    vsnprintf(missing + n, sizeof missing - n, format, args);
    va_end(args);
}

static int paranoid(void)
{
    char text[16] = "";
    int fd = open("/proc/sys/kernel/perf_event_paranoid", O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    if (fd >= 0)
        close(fd);
    return (int)strtol(text, NULL, 10);
}

unsigned long long prof_descriptor_limit(void)
{
    struct rlimit l = {0};

    getrlimit(RLIMIT_NOFILE, &l);
    return l.rlim_cur;
}

void prof_sched_say_why_none(int err)
{
    static const char none[] = "no switch records: perf_event_open was refused";

    if (err == -EACCES && paranoid() > 2)
        prof_sched_say("%s: kernel.perf_event_paranoid is %d; allow it with: sysctl "
                       "kernel.perf_event_paranoid=2",
                       none, paranoid());
    else if (err == -EACCES || err == -EPERM)
        prof_sched_say(
            "%s (%s), as containers do; allow it with: docker run --cap-add PERFMON, or a seccomp "
            "profile that lets perf_event_open pass",
            none, strerrorname_np(-err));
    else if (err == -ENOSYS)
        prof_sched_say("%s (ENOSYS): this kernel, or a filter before it, has no such call", none);
    else if (err == -ENOBUFS)
        prof_sched_say(
            "no switch records: no memory for their rings is left to this user; allow more with: "
            "sysctl kernel.perf_event_mlock_kb=2048");
    else if (err == -EMFILE)
        prof_sched_say("%s (EMFILE): all %llu descriptors are in use; allow more with: ulimit -n",
                       none, prof_descriptor_limit());
    else
        prof_sched_say("%s (%s)", none, strerrorname_np(-err) ? strerrorname_np(-err) : "unknown");
}

const char *prof_sched_missing(void)
{
    return missing;
}
