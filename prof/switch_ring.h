/* A ring of the kernel's switch records: between switch_ring.c and sched.c. */
#ifndef PROF_SWITCH_RING_H
#define PROF_SWITCH_RING_H

#include "prof/sched.h"

#pragma GCC visibility push(hidden)

struct prof_switch_ring {
    int fd; /* the event that it belongs to */
    int cpu;
    void *page; /* struct perf_event_mmap_page */
    const char *data;
    size_t bytes;        /* of data: a power of two */
    uint64_t tail, head; /* read up to here, and to be read up to here */
    bool has_next;
    struct prof_switch next; /* the record that was read last */
    pid_t runs;              /* who began to run last and has not stopped; 0: nobody */
};

/* In place of a thread: all that there are, of all processes. Wants CAP_PERFMON, or
 * perf_event_paranoid 0. */
enum { PROF_SWITCH_EVERYBODY = -1 };

/* An event for the thread on the CPU, inherited by its threads to come. A descriptor or a negative
 * errno. */
int prof_switch_event(pid_t tid, int cpu);
/* Makes the event write into the ring. 0 or a negative errno. */
int prof_switch_redirect(int event, const struct prof_switch_ring *r);

/* An event with a ring of its own. 0 or a negative errno: nothing is open then. -ENOBUFS: this user
 * may not have so large a ring. */
int prof_switch_ring_open(struct prof_switch_ring *r, pid_t tid, int cpu, size_t data_bytes);
/* mapped: false in a forked child, which has the event, but not the ring. */
void prof_switch_ring_close(struct prof_switch_ring *r, bool mapped);
/* What has come until now is to be read. */
void prof_switch_ring_look(struct prof_switch_ring *r);
/* Reads r->next unless it is there already (who takes it clears has_next). False: no more. */
bool prof_switch_ring_next(struct prof_switch_ring *r, pid_t pid, uint64_t *lost);

#pragma GCC visibility pop
#endif
