/* The flight recorder: the last seconds of events, kept as they are (drain.c's generations),
 * encoded when somebody wants them.
 *
 * As in Go's trace.FlightRecorder the store drops its oldest generation as soon as the others are
 * old enough, or when there are too many bytes. A snapshot takes a use of each generation, so that
 * recording goes on, and dropping too, while it is encoded; the newest are encoded first, so that
 * what does not fit any more is what is oldest. */
#include "prof/thread.h"
#include "prof/trace_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES_MIN = 64 << 10, BYTES_DEFAULT = 10 << 20, SNAPSHOT_MAX = 4096 };
static const int64_t AGE_DEFAULT_NS = 10 * INT64_C(1000000000);

static struct prof_lock start_lock; /* one start or stop at a time */
static atomic_bool active;
static _Atomic uint32_t stops;  /* changes with every stop; whoever waits for a tail waits for it */
static atomic_bool writing;     /* a snapshot is */
static _Atomic uint32_t writes; /* changes when one has been */

/* guarded by prof_drain_lock */
static struct {
    bool taking;
    int64_t min_age_ns;
    size_t max_bytes, bytes, n;
    struct prof_generation *oldest, *newest;
} store;

/* ---- the store ------------------------------------------------------------------------------- */

static void drop_oldest_locked(void)
{
    struct prof_generation *g = store.oldest;
    store.oldest = g->newer;
    if (!store.oldest)
        store.newest = NULL;
    store.bytes -= g->bytes;
    store.n--;
    prof_generation_release(g);
}

/* Whether the store would still be old enough without its oldest. */
static bool old_enough_locked(int64_t now_ns)
{
    return store.oldest->newer && now_ns - store.oldest->newer->begin_ns >= store.min_age_ns;
}

void prof_flight_take(struct prof_generation *g)
{
    if (!store.taking)
        return;
    atomic_fetch_add(&g->users, 1);
    g->newer = NULL;
    *(store.newest ? &store.newest->newer : &store.oldest) = g;
    store.newest = g;
    store.bytes += g->bytes;
    store.n++;
    while (store.oldest && (store.bytes > store.max_bytes || store.n > SNAPSHOT_MAX ||
                            old_enough_locked(g->end_ns)))
        drop_oldest_locked();
}

/* ---- start and stop -------------------------------------------------------------------------- */

static int check(const struct prof_flight_options *o)
{
    bool fits = o->min_age_ns >= 0 && (o->max_bytes == 0 || o->max_bytes >= BYTES_MIN);
    return fits ? prof_trace_check(&o->rings) : -EINVAL;
}

static int start_locked(const struct prof_flight_options *o)
{
    if (atomic_load(&active))
        return -EBUSY;
    int rc = prof_drain_begin(&o->rings);
    if (rc < 0)
        return rc;
    prof_lock(&prof_drain_lock);
    store.min_age_ns = o->min_age_ns ? o->min_age_ns : AGE_DEFAULT_NS;
    store.max_bytes = o->max_bytes ? o->max_bytes : BYTES_DEFAULT;
    store.taking = true;
    prof_drain_limit_locked(store.max_bytes);
    prof_unlock(&prof_drain_lock);
    atomic_store(&active, true);
    return 0;
}

int prof_flight_start(const struct prof_flight_options *options)
{
    static const struct prof_flight_options defaults;
    const struct prof_flight_options *o = options ? options : &defaults;
    int rc = check(o);
    if (rc < 0)
        return rc;
    prof_init();
    prof_self();
    prof_enter();
    prof_lock(&start_lock);
    rc = start_locked(o);
    prof_unlock(&start_lock);
    prof_leave();
    return rc;
}

/* A moment at a time, as a signal of libprof's may end the wait early. */
static void take_writing(void)
{
    for (bool free = false; !atomic_compare_exchange_strong(&writing, &free, true); free = false) {
        uint32_t seen = atomic_load(&writes);
        if (atomic_load(&writing))
            prof_futex_wait(&writes, seen, 100000000);
    }
}

static void give_writing(void)
{
    atomic_store(&writing, false);
    atomic_fetch_add(&writes, 1);
    prof_futex_wake(&writes);
}

static int stop_locked(void)
{
    if (!atomic_load(&active))
        return -EINVAL;
    atomic_fetch_add(&stops, 1);
    prof_futex_wake(&stops);
    take_writing(); /* a snapshot that is being written comes first */
    prof_lock(&prof_drain_lock);
    store.taking = false;
    prof_drain_limit_locked(SIZE_MAX);
    while (store.oldest)
        drop_oldest_locked();
    prof_unlock(&prof_drain_lock);
    atomic_store(&active, false);
    prof_drain_end();
    give_writing();
    return 0;
}

int prof_flight_stop(void)
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

bool prof_flight_active(void)
{
    return atomic_load(&active);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

struct snapshot {
    struct prof_generation **generations; /* oldest first, a use of each */
    size_t n, max_bytes;
    bool without_symbols;
};

/* Everything that was recorded until now. */
static int take_snapshot(struct snapshot *s)
{
    prof_drain_flush(NULL);
    *s = (struct snapshot){.generations =
                               calloc(SNAPSHOT_MAX + 1, sizeof(struct prof_generation *))};
    if (!s->generations)
        return -ENOMEM;
    prof_lock(&prof_drain_lock);
    for (struct prof_generation *g = store.oldest; g; g = g->newer) {
        atomic_fetch_add(&g->users, 1);
        s->generations[s->n++] = g;
    }
    s->max_bytes = store.max_bytes;
    prof_unlock(&prof_drain_lock);
    return 0;
}

static void drop_snapshot(struct snapshot *s)
{
    for (size_t i = 0; i < s->n; i++)
        prof_generation_release(s->generations[i]);
    free(s->generations);
}

/* The chunk of one generation, in memory. */
static int encode(const struct snapshot *s, size_t i, bool first, struct prof_wakes *wakes,
                  struct prof_wire *w)
{
    struct prof_chunk c = {.generation = s->generations[i],
                           .first = first,
                           .last = i + 1 == s->n,
                           .sequence = (uint32_t)i + 1,
                           .wakes = wakes,
                           .without_symbols = s->without_symbols,
                           .file_begin_ns = s->generations[0]->begin_ns};
    prof_wire_open(w);
    prof_perfetto_chunk(w, &c);
    return prof_wire_close(w);
}

static int encode_all(const struct snapshot *s, struct prof_wire *chunks)
{
    struct prof_wakes wakes = {.window = true};
    int rc = 0;
    for (size_t i = 0; i < s->n && rc == 0; i++)
        rc = encode(s, i, i == 0, &wakes, &chunks[i]);
    prof_wakes_drop(&wakes);
    return rc;
}

/* The oldest that still fits, with all that are newer; it is the file's first then. */
static size_t oldest_that_fits(const struct snapshot *s, struct prof_wire *chunks)
{
    size_t bytes = 0, from = s->n;
    while (from > 0 && (bytes += chunks[from - 1].size) <= s->max_bytes)
        from--;
    if (from > 0 && from < s->n) {
        struct prof_wakes wakes = {.window = true};
        struct prof_wire again;
        if (encode(s, from, true, &wakes, &again) == 0 &&
            bytes - chunks[from - 1].size - chunks[from].size + again.size <= s->max_bytes) {
            free(chunks[from].data);
            chunks[from] = again;
        } else {
            free(again.data);
        }
        prof_wakes_drop(&wakes);
    }
    return from;
}

static int write_snapshot(int fd, bool without_symbols)
{
    struct snapshot s;
    int rc = take_snapshot(&s);
    s.without_symbols = without_symbols;
    if (rc < 0)
        return rc;
    struct prof_wire *chunks = calloc(s.n + 1, sizeof *chunks);
    rc = chunks ? encode_all(&s, chunks) : -ENOMEM;
    for (size_t i = rc == 0 ? oldest_that_fits(&s, chunks) : s.n; i < s.n && rc == 0; i++)
        rc = prof_write_all(fd, chunks[i].data, chunks[i].size);
    for (size_t i = 0; chunks && i < s.n; i++)
        free(chunks[i].data);
    free(chunks);
    drop_snapshot(&s);
    return rc;
}

static int snapshot(int fd)
{
    bool free = false;
    if (!atomic_compare_exchange_strong(&writing, &free, true))
        return -EBUSY;
    int rc = atomic_load(&active) ? write_snapshot(fd, false) : -EINVAL;
    give_writing();
    return rc;
}

int prof_flight_snapshot(int fd)
{
    int saved = errno;
    prof_enter();
    int rc = snapshot(fd);
    prof_leave();
    errno = saved;
    return rc;
}

/* ---- to a file ------------------------------------------------------------------------------- */

static int wait_for_tail(int64_t tail_ns)
{
    uint32_t seen = atomic_load(&stops);
    int64_t end_ns = prof_now_ns() + tail_ns, left_ns;
    while (atomic_load(&active) && atomic_load(&stops) == seen &&
           (left_ns = end_ns - prof_now_ns()) > 0)
        prof_futex_wait(&stops, seen, left_ns);
    return atomic_load(&active) && atomic_load(&stops) == seen ? 0 : -ECANCELED;
}

static int write_and_close(int fd, int (*write)(int fd))
{
    int rc = write(fd);
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

static int write_beside(const char *path, int (*write)(int fd))
{
    char beside[PATH_MAX];
    if ((size_t)snprintf(beside, sizeof beside, "%s.%d.tmp", path, (int)prof_gettid()) >=
        sizeof beside)
        return -ENAMETOOLONG;
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int rc = write_and_close(fd, write);
    if (rc == 0 && rename(beside, path) != 0)
        rc = -errno;
    if (rc < 0)
        unlink(beside);
    return rc;
}

/* A link stays a link, and a device a device. */
static int write_file(const char *path, int (*write)(int fd))
{
    char target[PATH_MAX];
    struct stat st;
    if (!realpath(path, target)) /* the usual case: it is not there yet */
        return write_beside(path, write);
    if (stat(target, &st) != 0 || S_ISREG(st.st_mode))
        return write_beside(target, write);
    int fd = open(target, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? -errno : write_and_close(fd, write);
}

int prof_flight_snapshot_file(const char *path, int64_t tail_ns)
{
    int saved = errno;
    if (!path || !*path || tail_ns < 0)
        return -EINVAL;
    if (!atomic_load(&active))
        return -EINVAL;
    prof_enter();
    int rc = tail_ns ? wait_for_tail(tail_ns) : 0;
    if (rc == 0)
        rc = write_file(path, snapshot);
    prof_leave();
    errno = saved;
    return rc;
}

static int with_symbols(int fd)
{
    return write_snapshot(fd, false);
}

static int without_symbols(int fd)
{
    return write_snapshot(fd, true);
}

int prof_flight_write_file(const char *path, bool plain)
{
    return write_file(path, plain ? without_symbols : with_symbols);
}

void prof_flight_fork_child(void)
{
    atomic_store(&active, false);
    atomic_store(&writing, false);
    start_lock = (struct prof_lock){0};
    memset(&store, 0, sizeof store);
}
