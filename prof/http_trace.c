/* Traces for a request: all that happens over a time, or what the flight recorder has kept. */
#include "prof/http_internal.h"
#include "prof/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A trace is kept in memory until it is answered, so it ends early when it gets as long as this. */
enum { TRACE_SECONDS = 1, TRACE_BYTES_MAX = 256 << 20, LOOK_NS = 100 * 1000 * 1000 };
#define NS_PER_S INT64_C(1000000000)

static void answer_trace(struct http_request *r, const char *file_name)
{
    r->answer.status = MHD_HTTP_OK;
    r->answer.type = HTTP_BINARY;
    strcpy(r->answer.file_name, file_name);
}

/* HEAD asks what GET would answer; it must not cost the program a capture. */
static void answer_head(struct http_request *r, const char *file_name)
{
    if (!r->head)
        return;
    answer_trace(r, file_name);
    r->answer.length_unknown = true;
}

/* ---- trace ----------------------------------------------------------------------------------- */

void http_trace_prepare(struct http_request *r)
{
    r->wait_ns = TRACE_SECONDS * NS_PER_S;
    if (http_param_seconds(r, "seconds", r->http->settings.max_seconds, &r->wait_ns) != 0)
        return;
    r->seconds = (int)((r->wait_ns + NS_PER_S - 1) / NS_PER_S);
    answer_head(r, "trace");
}

static bool is_full(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_size >= TRACE_BYTES_MAX;
}

/* 0, also when the trace is full before its time. */
static int wait_for_trace(struct http_request *r)
{
    int64_t left_ns = r->wait_ns;
    int err = 0;

    for (; left_ns > 0 && !err && !is_full(r->answer.fd); left_ns -= LOOK_NS)
        err = http_wait(r, left_ns < LOOK_NS ? left_ns : LOOK_NS);
    return err;
}

static void could_not_start(struct http_request *r, int err)
{
    http_answer_failed(r, "Could not enable tracing", err);
    if (err == -EBUSY) /* Go's words */
        strcpy(r->answer.text, "Could not enable tracing: tracing is already enabled\n");
}

void http_trace_run(struct http_request *r)
{
    int err, stopped;

    if (!http_answer_open(&r->answer))
        return;
    err = prof_trace_start(r->answer.fd, NULL);
    if (err) {
        could_not_start(r, err);
        return;
    }
    err = wait_for_trace(r);
    stopped = prof_trace_stop();
    if (err)
        http_answer_canceled(r);
    else if (stopped)
        http_answer_failed(r, "Could not write the trace", stopped);
    else
        answer_trace(r, "trace");
}

/* ---- the flight recorder --------------------------------------------------------------------- */

void http_snapshot_prepare(struct http_request *r)
{
    if (!prof_flight_active())
        http_answer_error(&r->answer, MHD_HTTP_NOT_FOUND,
                          "The flight recorder is not running - start the program with "
                          "PROF_FLIGHT=1, or call prof_flight_start");
    else
        answer_head(r, "trace-snapshot");
}

void http_snapshot_run(struct http_request *r)
{
    int err;

    if (!http_answer_open(&r->answer))
        return;
    err = prof_flight_snapshot(r->answer.fd);
    if (err == -EBUSY)
        http_answer_error(&r->answer, MHD_HTTP_SERVICE_UNAVAILABLE,
                          "Another snapshot is being written - try again");
    else if (err)
        http_answer_failed(r, "Could not take the snapshot", err);
    else
        answer_trace(r, "trace-snapshot");
}
