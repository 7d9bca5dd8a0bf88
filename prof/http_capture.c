/* Profiles for a request: the CPU's over a time, a named one as it is, or the difference of a named
 * one over a time. Each has a prepare function that reads the parameters and a run function that
 * may take as long as it takes. */
#include "prof/http_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PROFILE_SECONDS = 30, NS_PER_S = 1000000000 };

void http_answer_failed(struct http_request *r, const char *what, int err)
{
    http_answer_error(&r->answer, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s: %s", what,
                      strerrordesc_np(-err));
}

/* The wait was cut short: by the server's end, which is told, or by the client's, whom nobody can
 * tell. */
void http_answer_canceled(struct http_request *r)
{
    http_answer_error(&r->answer, MHD_HTTP_SERVICE_UNAVAILABLE,
                      "The capture was ended: the server is stopping");
    pthread_mutex_lock(&r->http->lock);
    if (!r->http->stopping)
        r->answer.status = 0;
    pthread_mutex_unlock(&r->http->lock);
}

static void answer_profile(struct http_request *r, const char *suffix)
{
    struct http_answer *a = &r->answer;

    a->status = MHD_HTTP_OK;
    a->type = r->debug ? HTTP_TEXT : HTTP_BINARY;
    if (r->debug)
        return;
    snprintf(a->file_name, sizeof a->file_name, "%s%s", r->name, suffix);
    for (char *c = a->file_name; *c; c++) /* a program may name its own profiles anything */
        if (*c < ' ' || *c == '"' || *c == '\\' || *c == 127)
            *c = '_';
}

/* HEAD asks what GET would answer; it must not cost the program a capture. */
static bool answer_head(struct http_request *r, const char *suffix)
{
    if (!r->head)
        return false;
    answer_profile(r, suffix);
    r->answer.length_unknown = true;
    return true;
}

static int read_seconds(struct http_request *r)
{
    char takes[64];

    snprintf(takes, sizeof takes, "a positive integer, at most %d", r->http->settings.max_seconds);
    return http_param_int(r, "seconds", 1, r->http->settings.max_seconds, takes, &r->seconds);
}

/* ---- profile --------------------------------------------------------------------------------- */

void http_profile_prepare(struct http_request *r)
{
    const int max_seconds = r->http->settings.max_seconds;

    r->seconds = PROFILE_SECONDS < max_seconds ? PROFILE_SECONDS : max_seconds;
    if (read_seconds(r) == 0)
        answer_head(r, "");
}

void http_profile_run(struct http_request *r)
{
    int err = prof_cpu_start(r->http->settings.cpu_hz);

    if (err) {
        http_answer_failed(r, "Could not enable CPU profiling", err);
        if (err == -EBUSY) /* Go's words */
            strcpy(r->answer.text,
                   "Could not enable CPU profiling: cpu profiling already in use\n");
        return;
    }
    if (http_wait(r, (int64_t)r->seconds * NS_PER_S) != 0) {
        prof_cpu_stop(-1);
        http_answer_canceled(r);
    } else if (!http_answer_open(&r->answer)) {
        prof_cpu_stop(-1);
    } else if ((err = prof_cpu_stop(r->answer.fd)) < 0) {
        http_answer_failed(r, "Could not write the CPU profile", err);
    } else {
        answer_profile(r, "");
    }
}

/* ---- named profiles -------------------------------------------------------------------------- */

static bool supports_delta(const char *name)
{
    static const char *const names[] = {"allocs", "block",  "goroutine",   "heap",
                                        "mutex",  "thread", "threadcreate"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

void http_named_prepare(struct http_request *r)
{
    struct http_answer *a = &r->answer;

    if (!*r->name || prof_count(r->name) == -ENOENT)
        http_answer_error(a, MHD_HTTP_NOT_FOUND, "Unknown profile");
    else if (read_seconds(r) || http_param_int(r, "debug", 0, 2, "0, 1 or 2", &r->debug) ||
             http_param_int(r, "gc", 0, INT_MAX, "a whole number, 0 or more", &r->gc))
        return;
    else if (r->seconds && !supports_delta(r->name))
        http_answer_error(a, MHD_HTTP_BAD_REQUEST,
                          "\"seconds\" parameter is not supported for this profile type");
    else if (r->seconds && r->debug)
        http_answer_error(a, MHD_HTTP_BAD_REQUEST, "seconds and debug params are incompatible");
    else if (r->seconds)
        answer_head(r, "-delta");
}

/* debug=2 means more only for the stacks of threads; elsewhere Go shows what debug=1 shows. */
static int debug_of(const struct http_request *r)
{
    const bool threads = !strcmp(r->name, "goroutine") || !strcmp(r->name, "thread");

    return r->debug == 2 && !threads ? 1 : r->debug;
}

static void run_snapshot(struct http_request *r)
{
    int err;

    if (!http_answer_open(&r->answer))
        return;
    if (r->gc && !strcmp(r->name, "heap"))
        prof_collect(); /* most C programs have no collector: nothing to do there */
    err = prof_write(r->name, r->answer.fd, debug_of(r));
    if (err < 0)
        http_answer_failed(r, "Could not write the profile", err);
    else
        answer_profile(r, "");
}

static void write_delta(struct http_request *r, const struct prof_snapshot *before)
{
    struct prof_snapshot *after = NULL;
    int err = prof_snapshot_take(r->name, &after);

    if (err == 0)
        err = prof_snapshot_subtract(after, before);
    if (err < 0)
        http_answer_failed(r, "Could not take the profile", err);
    else if (http_answer_open(&r->answer)) {
        err = prof_snapshot_write(after, r->answer.fd, 0);
        if (err < 0)
            http_answer_failed(r, "Could not write the profile", err);
        else
            answer_profile(r, "-delta");
    }
    prof_snapshot_free(after);
}

void http_named_run(struct http_request *r)
{
    struct prof_snapshot *before = NULL;
    int err;

    if (!r->seconds) {
        run_snapshot(r);
        return;
    }
    err = prof_snapshot_take(r->name, &before);
    if (err < 0)
        http_answer_failed(r, "Could not take the profile", err);
    else if (http_wait(r, (int64_t)r->seconds * NS_PER_S) != 0)
        http_answer_canceled(r);
    else
        write_delta(r, before);
    prof_snapshot_free(before);
}
