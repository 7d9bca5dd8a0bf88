/* A trace to a descriptor: generations (drain.c) become chunks of packets (perfetto.c) and are
 * written as they come.
 *
 * The drain thread encodes and writes; while a slow descriptor keeps it, the rings fill up, and
 * then drop. The drain thread of a flight recorder that was there before may have other descriptors
 * than who starts the trace (preload_serve.c), so a thread of the trace's own writes then. */
#include "prof/thread.h"
#include "prof/trace_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { QUEUE_MAX = 64, RING_BYTES_MIN = 4 << 10, RING_BYTES_MAX = 1 << 30 };

static atomic_bool active;
static struct prof_lock start_lock; /* one start or stop at a time */

/* guarded by prof_drain_lock */
static struct prof_generation *queue[QUEUE_MAX];
static size_t queued;
static bool taking;
static uint64_t queue_dropped; /* events */

/* guarded by out_lock */
static struct prof_lock out_lock;
static int out_fd = -1, out_error;
static int64_t began_ns;
static struct prof_wakes wakes;
static _Atomic uint64_t out_bytes;
/* The thread that writes, where the drain thread does not. */
static struct {
    _Atomic bool on, ends;
    _Atomic uint32_t calls; /* changes when there is something to do */
    unsigned long thread;
} writer;
static _Atomic uint32_t sequences; /* of all chunks of the process, so that files may be joined */

/* ---- generations ----------------------------------------------------------------------------- */

static void call_writer(void)
{
    atomic_fetch_add(&writer.calls, 1);
    prof_futex_wake(&writer.calls);
}

void prof_trace_take(struct prof_generation *g)
{
    if (!taking)
        return;
    if (queued ==
        QUEUE_MAX) { /* nobody reads what is written; this is the only place where it can be lost */
        queue[queued - 1]->dropped += g->events + g->dropped;
        queue_dropped += g->events;
        return;
    }
    atomic_fetch_add(&g->users, 1);
    queue[queued++] = g;
    if (atomic_load(&writer.on))
        call_writer();
}

static struct prof_generation *next_queued(bool *last)
{
    prof_lock(&prof_drain_lock);
    struct prof_generation *g = queued ? queue[0] : NULL;
    if (g)
        memmove(queue, queue + 1, --queued * sizeof queue[0]);
    *last = queued == 0 && !taking;
    prof_unlock(&prof_drain_lock);
    return g;
}

static int write_chunk(const struct prof_generation *g, bool last)
{
    struct prof_wire w;
    struct prof_chunk c = {.generation = g, .last = last, .file_begin_ns = began_ns};
    c.first = atomic_load(&out_bytes) == 0;
    c.sequence = atomic_fetch_add(&sequences, 1) + 1;
    c.wakes = &wakes;
    prof_wire_open(&w);
    prof_perfetto_chunk(&w, &c);
    int rc = prof_wire_close(&w);
    if (rc == 0)
        rc = prof_write_all(out_fd, w.data, w.size);
    if (rc == 0)
        atomic_fetch_add(&out_bytes, w.size);
    free(w.data);
    return rc;
}

static void write_out(void)
{
    struct prof_generation *g;
    bool last;
    prof_lock(&out_lock);
    while ((g = next_queued(&last))) {
        if (out_error == 0)
            out_error = write_chunk(g, last);
        prof_generation_release(g);
    }
    prof_unlock(&out_lock);
}

void prof_trace_write_out(void)
{
    if (!atomic_load(&writer.on))
        write_out();
}

static void *write_until_end(void *unused)
{
    (void)unused;
    prof_enter(); /* for good */
    for (bool last = false; !last;) {
        uint32_t seen = atomic_load(&writer.calls);
        last = atomic_load(&writer.ends);
        write_out();
        if (!last)
            prof_futex_wait(&writer.calls, seen, INT64_C(1000000000));
    }
    return NULL;
}

static int start_writer(void)
{
    atomic_store(&writer.ends, false);
    int rc = prof_own_thread(&writer.thread, "prof writer", write_until_end, NULL);
    atomic_store(&writer.on, rc == 0);
    return rc;
}

static void write_rest(void)
{
    if (!atomic_load(&writer.on)) {
        write_out();
        return;
    }
    atomic_store(&writer.ends, true);
    call_writer();
    prof_own_join(writer.thread);
    atomic_store(&writer.on, false); /* only now may the drain thread look at the queue again */
}

/* ---- start and stop -------------------------------------------------------------------------- */

int prof_trace_check(const struct prof_trace_options *o)
{
    bool fits =
        o->ring_bytes == 0 || (o->ring_bytes >= RING_BYTES_MIN && o->ring_bytes <= RING_BYTES_MAX);
    return fits && (o->total_bytes == 0 || o->total_bytes >= RING_BYTES_MIN) ? 0 : -EINVAL;
}

static void begin_taking_locked(void)
{
    queue_dropped = 0;
    taking = true;
}

/* The last in the queue is the last of the trace. */
static void end_taking_locked(void)
{
    taking = false;
}

static void begin_taking(void)
{
    if (wakes.window) { /* what came before is the flight recorder's alone */
        prof_drain_flush(begin_taking_locked);
        return;
    }
    prof_lock(&prof_drain_lock);
    begin_taking_locked();
    prof_unlock(&prof_drain_lock);
}

static int start_locked(int fd, const struct prof_trace_options *o)
{
    int64_t now_ns = prof_now_ns();
    if (atomic_load(&active))
        return -EBUSY;
    int rc = prof_drain_begin(o);
    if (rc < 0)
        return rc;
    bool beside = prof_flight_active();
    if (beside && (rc = start_writer()) < 0) {
        prof_drain_end();
        return rc;
    }
    prof_lock(&out_lock);
    out_fd = fd;
    out_error = 0;
    began_ns = now_ns;
    atomic_store(&out_bytes, 0);
    prof_wakes_drop(&wakes);
    wakes = (struct prof_wakes){.window = beside};
    prof_unlock(&out_lock);
    begin_taking();
    atomic_store(&active, true);
    return 0;
}

int prof_trace_start(int fd, const struct prof_trace_options *options)
{
    static const struct prof_trace_options defaults;
    const struct prof_trace_options *o = options ? options : &defaults;
    int flags = fcntl(fd, F_GETFL), rc = prof_trace_check(o);
    if (rc < 0)
        return rc;
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    prof_init();
    prof_self();
    prof_enter();
    prof_lock(&start_lock);
    rc = start_locked(fd, o);
    prof_unlock(&start_lock);
    prof_leave();
    return rc;
}

static int stop_locked(void)
{
    if (!atomic_load(&active))
        return -EINVAL;
    prof_drain_flush(end_taking_locked);
    write_rest();
    atomic_store(&active, false);
    prof_drain_end();
    return out_error;
}

int prof_trace_stop(void)
{
    int saved = errno;
    prof_enter();
    prof_lock(&start_lock);
    int rc = stop_locked();
    prof_unlock(&start_lock);
    prof_leave();
    errno = saved;
    return rc;
}

bool prof_trace_active(void)
{
    return atomic_load(&active);
}

void prof_trace_stats(struct prof_trace_stats *out)
{
    prof_enter();
    prof_drain_stats(out);
    prof_lock(&prof_drain_lock);
    out->dropped += queue_dropped;
    prof_unlock(&prof_drain_lock);
    out->bytes = atomic_load(&out_bytes);
    prof_leave();
}

void prof_trace_fork_child(void)
{
    atomic_store(&active, false);
    start_lock = out_lock = (struct prof_lock){0};
    atomic_store(&writer.on, false);
    queued = 0;
    taking = false;
    prof_flight_fork_child();
    prof_trigger_fork_child();
    prof_drain_fork_child();
}
