/* Admission: what all requests together may take. Each request is bounded by its parameters'
 * ranges; many at once, or hold=true for ever, are bounded here and answered 503, so that the
 * demonstration never takes the machine down and a stop never waits long for what is in flight. */
#include "cmd/server/server.h"

#include <inttypes.h>
#include <pthread.h>

enum { MAX_THREADS = 512 };
#define MAX_CPU_NS INT64_C(60000000000)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct cost used; /* under lock */

static bool fits(const struct cost *c, struct reply *reply)
{
    if (used.threads + c->threads > MAX_THREADS)
        reply_set(reply, MHD_HTTP_SERVICE_UNAVAILABLE,
                  "busy: %" PRId64 " worker threads are running, of at most %d; try again later",
                  used.threads, MAX_THREADS);
    else if (used.cpu_ns + c->cpu_ns > MAX_CPU_NS)
        reply_set(
            reply, MHD_HTTP_SERVICE_UNAVAILABLE,
            "busy: work for %.0f s of CPU time is in hand, of at most %.0f s; try again later",
            (double)used.cpu_ns / 1e9, (double)MAX_CPU_NS / 1e9);
    else if (used.bytes + c->bytes > options.hold_bytes)
        reply_set(reply, MHD_HTTP_SERVICE_UNAVAILABLE,
                  "full: %" PRId64 " MiB are held or being allocated, of at most %" PRId64
                  " MiB; free them with /work/release",
                  used.bytes >> 20, options.hold_bytes >> 20);
    return reply->status == 0;
}

bool limit_admit(const struct cost *c, struct reply *reply)
{
    reply->status = 0;
    pthread_mutex_lock(&lock);
    bool admitted = fits(c, reply);
    if (admitted) {
        used.threads += c->threads;
        used.cpu_ns += c->cpu_ns;
        used.bytes += c->bytes;
    }
    pthread_mutex_unlock(&lock);
    return admitted;
}

void limit_done(const struct cost *c, bool held)
{
    pthread_mutex_lock(&lock);
    used.threads -= c->threads;
    used.cpu_ns -= c->cpu_ns;
    used.bytes -= held ? 0 : c->bytes;
    pthread_mutex_unlock(&lock);
}

void limit_free(int64_t bytes)
{
    pthread_mutex_lock(&lock);
    used.bytes -= bytes;
    pthread_mutex_unlock(&lock);
}

int64_t limit_bytes(void)
{
    pthread_mutex_lock(&lock);
    int64_t bytes = used.bytes;
    pthread_mutex_unlock(&lock);
    return bytes;
}
