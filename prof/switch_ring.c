/* One ring of the kernel's switch records, for the threads that run on one CPU.
 *
 * The event behind it is a software dummy: it counts nothing, but costs its records of 24 bytes at
 * each switch. It is of one of two kinds. What an ordinary user may open for the own process at
 * perf_event_paranoid 2 belongs to a thread and a CPU and is inherited by the threads that its
 * thread creates; those of all threads on a CPU write into the ring of the first. Such events come
 * and go with their threads, which costs more than the records do. With the privilege one event
 * records all that runs on a CPU, whosever it is; others' records are left out when read. Entered
 * from sched.c. */
#include "prof/switch_ring.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a record ends with: sample_id_all and the sample_type below. An event for everybody names
 * the thread before or after it as well, ahead of this. */
struct switch_id {
    uint32_t pid, tid;
    uint64_t time_ns;
};

struct lost_record {
    struct perf_event_header header;
    uint64_t id, lost;
};

/* ---- events ---------------------------------------------------------------------------------- */

static int open_event(pid_t tid, int cpu, bool threads_only)
{
    struct perf_event_attr a = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof a,
        .config = PERF_COUNT_SW_DUMMY,
        .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
        .inherit = tid != PROF_SWITCH_EVERYBODY,
        .inherit_thread = threads_only,
        .exclude_kernel = 1,
        .exclude_hv = 1,
        .sample_id_all = 1,
        .use_clockid = 1,
        .clockid = CLOCK_MONOTONIC,
        .context_switch = 1,
    };
    long fd = syscall(SYS_perf_event_open, &a, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? -errno : (int)fd;
}

int prof_switch_event(pid_t tid, int cpu)
{
    int fd = open_event(tid, cpu, tid != PROF_SWITCH_EVERYBODY);

    /* A kernel before 5.13: child processes are recorded as well, and left out when read. */
    return fd == -EINVAL || fd == -E2BIG ? open_event(tid, cpu, false) : fd;
}

int prof_switch_redirect(int event, const struct prof_switch_ring *r)
{
    return ioctl(event, PERF_EVENT_IOC_SET_OUTPUT, r->fd) == 0 ? 0 : -errno;
}

/* ---- the ring -------------------------------------------------------------------------------- */

static size_t map_bytes(size_t data_bytes)
{
    return data_bytes + (size_t)sysconf(_SC_PAGESIZE);
}

int prof_switch_ring_open(struct prof_switch_ring *r, pid_t tid, int cpu, size_t data_bytes)
{
    *r = (struct prof_switch_ring){.cpu = cpu, .bytes = data_bytes};
    r->fd = prof_switch_event(tid, cpu);
    if (r->fd < 0)
        return r->fd;
    void *p = mmap(NULL, map_bytes(data_bytes), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (p == MAP_FAILED) {
        int err = errno == EPERM ? -ENOBUFS : -errno;
        close(r->fd);
        return err;
    }
    r->page = p;
    r->data = (const char *)p + (map_bytes(data_bytes) - data_bytes);
    return 0;
}

void prof_switch_ring_close(struct prof_switch_ring *r, bool mapped)
{
    if (mapped)
        munmap(r->page, map_bytes(r->bytes));
    close(r->fd);
}

/* From so many bytes into the next record on. Records wrap around the ring's end. */
static void copy_out(const struct prof_switch_ring *r, size_t from, void *to, size_t bytes)
{
    size_t at = (r->tail + from) & (r->bytes - 1), first = r->bytes - at;

    if (first > bytes)
        first = bytes;
    memcpy(to, r->data + at, first);
    memcpy((char *)to + first, r->data, bytes - first);
}

static bool take_switch(struct prof_switch_ring *r, const struct perf_event_header *h, pid_t pid)
{
    struct switch_id s;

    if (h->size < sizeof *h + sizeof s)
        return false;
    copy_out(r, h->size - sizeof s, &s, sizeof s);
    if (s.pid != (uint32_t)pid)
        return false;
    r->next.time_ns = (int64_t)s.time_ns;
    r->next.tid = (pid_t)s.tid;
    r->next.cpu = (uint16_t)r->cpu;
    r->next.kind = !(h->misc & PERF_RECORD_MISC_SWITCH_OUT)           ? PROF_SWITCH_IN
                   : !(h->misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT) ? PROF_SWITCH_OUT
                                                                      : PROF_SWITCH_PREEMPTED;
    return true;
}

bool prof_switch_ring_next(struct prof_switch_ring *r, pid_t pid, uint64_t *lost)
{
    struct perf_event_mmap_page *page = r->page;

    if (r->has_next)
        return true;
    while (!r->has_next && r->tail < r->head) {
        struct perf_event_header h;
        struct lost_record l;
        copy_out(r, 0, &h, sizeof h);
        if (h.type == PERF_RECORD_SWITCH || h.type == PERF_RECORD_SWITCH_CPU_WIDE) {
            r->has_next = take_switch(r, &h, pid);
        } else if (h.type == PERF_RECORD_LOST && h.size >= sizeof l) {
            copy_out(r, 0, &l, sizeof l);
            *lost += l.lost;
        }
        r->tail += h.size;
    }
    __atomic_store_n(&page->data_tail, r->tail, __ATOMIC_RELEASE);
    return r->has_next;
}

void prof_switch_ring_look(struct prof_switch_ring *r)
{
    struct perf_event_mmap_page *page = r->page;

    r->head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
}
