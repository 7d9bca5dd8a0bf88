/* What the kernel tells of a thread, in /proc/self/task: its name, its state, what it blocks, and
 * the system call that it sleeps in. Entered from dump.c, for every thread of a dump, so it costs
 * two small reads each. */
#include "prof/internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Fields of /proc/PID/stat, see proc(5), counted from the state as 3. */
enum { FIELD_STATE = 3, FIELD_FLAGS = 9, FIELD_BLOCKED = 32, FIELD_PROCESSOR = 39 };

/* linux/sched.h: threads that the kernel runs for us (io_uring, vhost). They cannot take a signal.
 */
enum { PF_IO_WORKER = 0x10, PF_USER_WORKER = 0x4000, PF_KTHREAD = 0x200000 };

int prof_tasks_open(void)
{
    return open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct directory_entry { /* getdents64(2) */
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

void prof_tasks_each(int tasks, void (*fn)(pid_t tid, void *arg), void *arg)
{
    char buffer[4096] __attribute__((aligned(8)));

    for (long n; (n = syscall(SYS_getdents64, tasks, buffer, sizeof buffer)) > 0;)
        for (char *p = buffer; p < buffer + n;) {
            const struct directory_entry *e = (const struct directory_entry *)p;
            pid_t tid = (pid_t)strtol(e->name, NULL, 10);
            if (tid > 0)
                fn(tid, arg);
            p += e->size;
        }
}

static bool read_file(int tasks, pid_t tid, const char *file, char *text, size_t size)
{
    char path[32];
    snprintf(path, sizeof path, "%d/%s", (int)tid, file);
    int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The name may contain anything, ") R 1 2" too; what follows it cannot contain a parenthesis. */
static const char *take_name(char *text, char *name, size_t size)
{
    char *open = strchr(text, '('), *close = strrchr(text, ')');
    if (!open || !close || close < open)
        return NULL;
    snprintf(name, size, "%.*s", (int)(close - open - 1), open + 1);
    return close + 1;
}

static const char *skip_fields(const char *at, int n)
{
    while (n-- > 0 && *at)
        at += strcspn(at + 1, " ") + 1;
    return at;
}

bool prof_task_read(int tasks, pid_t tid, struct prof_task *out)
{
    char text[1024];
    *out = (struct prof_task){.state = '?'};
    if (!read_file(tasks, tid, "stat", text, sizeof text))
        return false;
    const char *at = take_name(text, out->name, sizeof out->name);
    if (!at || at[0] != ' ')
        return false;
    out->state = at[1];
    at = skip_fields(at, FIELD_FLAGS - FIELD_STATE);
    out->kernel = strtoul(at, NULL, 10) & (PF_IO_WORKER | PF_USER_WORKER | PF_KTHREAD);
    at = skip_fields(at, FIELD_BLOCKED - FIELD_FLAGS);
    out->blocks_sigprof = strtoul(at, NULL, 10) >> (SIGPROF - 1) & 1;
    at = skip_fields(at, FIELD_PROCESSOR - FIELD_BLOCKED);
    out->cpu = (int)strtol(at, NULL, 10);
    return true;
}

/* "running", or "NR ARG0 ... ARG5 SP PC", or "-1 SP PC" when it sleeps for another reason, such as
 * a page. */
void prof_call_read(int tasks, pid_t tid, struct prof_call *out)
{
    char text[256];
    uint64_t *a = out->args;
    *out = (struct prof_call){.nr = PROF_CALL_UNKNOWN};
    if (!read_file(tasks, tid, "syscall", text, sizeof text))
        return;
    if (strncmp(text, "running", 7) == 0) {
        out->nr = PROF_CALL_NONE;
        return;
    }
    long nr;
    int n = sscanf(text,
                   "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
                   " %" SCNxPTR " %" SCNxPTR,
                   &nr, &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &out->sp, &out->pc);
    if (n == 9)
        out->nr = nr;
    else if (n == 3 && nr == -1)
        *out =
            (struct prof_call){.nr = PROF_CALL_NONE, .sp = (uintptr_t)a[0], .pc = (uintptr_t)a[1]};
}
