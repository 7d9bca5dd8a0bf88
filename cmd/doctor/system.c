/* What the kernel lets us have: records of context switches, which the trace's "running, runnable,
 * blocked" is made of, and a clock that is read without a system call. */
#include "cmd/doctor/doctor.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RING_PAGES = 8, SWITCHES = 20 };

/* -1 with errno. */
static int open_switches(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_SW_DUMMY,
                                   .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
                                   .sample_id_all = 1,
                                   .context_switch = 1,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* The records of switching away in a ring that has not wrapped. */
static int count_switches(const struct perf_event_mmap_page *page)
{
    const char *data = (const char *)page + page->data_offset;
    uint64_t end = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
    int n = 0;

    for (uint64_t at = 0; at + sizeof(struct perf_event_header) <= end && at < page->data_size;) {
        struct perf_event_header header;
        memcpy(&header, data + at, sizeof header);
        if (header.size == 0)
            break;
        n += header.type == PERF_RECORD_SWITCH && header.misc & PERF_RECORD_MISC_SWITCH_OUT;
        at += header.size;
    }
    return n;
}

/* Where the setting stands; -2 when it cannot be read. */
static int paranoid(void)
{
    int value = -2;
    FILE *f = fopen("/proc/sys/kernel/perf_event_paranoid", "re");

    if (f && fscanf(f, "%d", &value) != 1)
        value = -2;
    if (f)
        fclose(f);
    return value;
}

static void refused(int err)
{
    int level = paranoid();

    if (level == -2)
        say("warn", "switch records", "perf_missing", "this kernel has no perf events (%s)",
            strerror(err));
    else if (err == ENOSYS)
        say("warn", "switch records", "perf_seccomp",
            "perf_event_open is blocked (%s); perf_event_paranoid is %d", strerror(err), level);
    else if (level > 2)
        say("warn", "switch records", "perf_paranoid", "refused: perf_event_paranoid is %d (%s)",
            level, strerror(err));
    else if (err == EPERM || err == EACCES)
        say("warn", "switch records", "perf_seccomp",
            "refused (%s), though perf_event_paranoid is %d", strerror(err), level);
    else
        say("warn", "switch records", "perf_missing", "perf_event_open: %s", strerror(err));
}

void check_switches(void)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE), size = (1 + RING_PAGES) * page_size;
    int fd = open_switches();

    if (fd < 0) {
        refused(errno);
        return;
    }
    struct perf_event_mmap_page *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        say("warn", "switch records", "perf_mlock", "no memory for them (%s)", strerror(errno));
        close(fd);
        return;
    }
    for (int i = 0; i < SWITCHES; i++)
        usleep(100);
    int n = count_switches(page);
    if (n >= SWITCHES / 2)
        say("ok", "switch records", "", "%d for %d sleeps; perf_event_paranoid is %d", n, SWITCHES,
            paranoid());
    else
        say("warn", "switch records", "perf_missing", "%d for %d sleeps", n, SWITCHES);
    munmap(page, size);
    close(fd);
}

void check_clock(void)
{
    enum { READS = 200000 };
    struct timespec begin, end, t;
    char source[64] = "?";
    FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");

    if (f && fscanf(f, "%63s", source) != 1)
        strcpy(source, "?");
    if (f)
        fclose(f);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < READS; i++)
        clock_gettime(CLOCK_MONOTONIC, &t);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ns =
        ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / READS;
    bool slow = ns > 200;
    say(slow ? "warn" : "ok", "clock", slow ? "clock" : "", "%s, %.0f ns a reading", source, ns);
}
