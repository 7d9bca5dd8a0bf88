/* -trace-slower-than: when a request took too long, the flight recorder's last seconds are written
 * to a file, at most once a minute. The trace shows what the request waited for, and what else the
 * server did meanwhile; it was recorded before anybody knew that it would be asked for. */
#include "cmd/server/server.h"

#include "prof/trace.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

static struct {
    pthread_mutex_t lock;
    char path[64]; /* of the request that the trigger is about; under lock */
} slow = {.lock = PTHREAD_MUTEX_INITIALIZER};

int64_t slow_clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Only requests are checked, not the regions within them, so they all go by one name. */
void slow_check(const char *path, int64_t took_ns)
{
    if (!options.slower_ns || took_ns < options.slower_ns)
        return;
    pthread_mutex_lock(&slow.lock);
    snprintf(slow.path, sizeof slow.path, "%s", path);
    pthread_mutex_unlock(&slow.lock);
    prof_trace_took("request", took_ns);
}

/* slow-20261120-184501.trace */
static void make_name(char *out, size_t size)
{
    time_t now = time(NULL);
    struct tm tm;
    char stamp[32];

    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
    snprintf(out, size, "%s/slow-%s.trace", options.trace_folder, stamp);
}

static void write_trace(const struct prof_slow *what, void *arg)
{
    char file[4096], path[sizeof slow.path];

    (void)arg;
    pthread_mutex_lock(&slow.lock);
    strcpy(path, slow.path);
    pthread_mutex_unlock(&slow.lock);
    make_name(file, sizeof file);
    int err = prof_flight_snapshot_file(file, options.tail_ns);
    if (err == -ECANCELED)
        return; /* the server stops */
    if (err)
        fprintf(stderr, "server: %s took %lld ms; no trace: %s: %s\n", path,
                (long long)(what->took_ns / 1000000), file, strerrordesc_np(-err));
    else
        printf("%s took %lld ms: %s\n", path, (long long)(what->took_ns / 1000000), file);
    fflush(stdout);
}

int slow_start(void)
{
    const struct prof_flight_trigger trigger = {
        .name = "request", .threshold_ns = options.slower_ns, .fn = write_trace};
    int err = 0;

    if (options.flight || options.slower_ns)
        err = prof_flight_start(NULL);
    if (err == -EBUSY)
        err = 0; /* PROF_FLIGHT=1 was first */
    return !err && options.slower_ns ? prof_flight_set_trigger(&trigger) : err;
}

void slow_stop(void)
{
    if (!prof_flight_active())
        return;
    prof_flight_stop();
    prof_flight_set_trigger(NULL);
}
