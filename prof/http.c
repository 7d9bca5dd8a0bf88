/* The endpoints of net/http/pprof on a libmicrohttpd daemon: finds the endpoint of a request, makes
 * its answer on the thread where that disturbs nobody, and keeps count of what is in hand. Entered
 * through prof_http_handle and prof_http_completed, by the application's daemon or by the one of
 * http_listen.c.
 *
 * libmicrohttpd calls the handler again and again for one request: first with its head, then with
 * each piece of its body, then to be answered; and, when the connection was suspended for a
 * capture, once more to be answered. */
#include "prof/http_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const char root[] = "/debug/pprof";
static const char flight[] = "/debug/trace/snapshot"; /* the one that is not below the root */

static const struct http_endpoint endpoints[] = {
    {.name = "", .run = http_index_run},
    {.name = "cmdline", .run = http_cmdline_run},
    {.name = "profile",
     .in_thread = true,
     .prepare = http_profile_prepare,
     .run = http_profile_run},
    {.name = "symbol",
     .takes_post = true,
     .in_thread = true,
     .prepare = http_symbol_prepare,
     .run = http_symbol_run},
    {.name = "trace", .in_thread = true, .prepare = http_trace_prepare, .run = http_trace_run},
    {.name = "trace/snapshot",
     .in_thread = true,
     .prepare = http_snapshot_prepare,
     .run = http_snapshot_run},
};
static const struct http_endpoint named = {
    .in_thread = true, .prepare = http_named_prepare, .run = http_named_run};

/* ---- begin and end --------------------------------------------------------------------------- */

int prof_http_mount(const struct prof_http_options *options, struct prof_http **out)
{
    struct prof_http *http = calloc(1, sizeof *http);
    int err;

    *out = NULL;
    if (!http)
        return http_fail(-ENOMEM, "no memory for the profile endpoints");
    err = http_settings_read(options, &http->settings);
    if (err || !http->settings.enabled) {
        free(http);
        return err;
    }
    http->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (http->stop_fd < 0) {
        err = -errno;
        free(http);
        return http_fail(err, "no event descriptor: %s", strerrordesc_np(-err));
    }
    http->pid = getpid();
    pthread_mutex_init(&http->lock, NULL);
    pthread_cond_init(&http->idle, NULL);
    *out = http;
    return 0;
}

int prof_http_start(const struct prof_http_options *options, struct prof_http **out)
{
    int err = prof_http_mount(options, out);

    if (err || !*out)
        return err;
    err = http_listen_start(*out);
    if (err) {
        prof_http_free(*out);
        *out = NULL;
    }
    return err;
}

void prof_http_stop(struct prof_http *http)
{
    if (!http || http->pid != getpid())
        return;
    pthread_mutex_lock(&http->lock);
    http->stopping = true;
    eventfd_write(http->stop_fd, 1);
    while (http->working)
        pthread_cond_wait(&http->idle, &http->lock);
    pthread_mutex_unlock(&http->lock);
    http_listen_stop(http);
}

static void request_free(struct http_request *r)
{
    if (r->threaded)
        pthread_join(r->thread, NULL);
    http_answer_release(&r->answer);
    free(r->body);
    free(r);
}

void prof_http_free(struct prof_http *http)
{
    if (!http)
        return;
    prof_http_stop(http);
    http_listen_free(http);
    if (http->pid == getpid())
        for (struct http_request *r = http->requests, *next; r; r = next) {
            next = r->next;
            request_free(r);
        }
    close(http->stop_fd);
    pthread_cond_destroy(&http->idle);
    pthread_mutex_destroy(&http->lock);
    free(http);
}

/* ---- what is in hand ------------------------------------------------------------------------- */

static void request_link(struct http_request *r)
{
    struct prof_http *http = r->http;

    pthread_mutex_lock(&http->lock);
    r->next = http->requests;
    r->link = &http->requests;
    if (r->next)
        r->next->link = &r->next;
    http->requests = r;
    http->nrequests++;
    if (http->stopping)
        http_answer_error(&r->answer, MHD_HTTP_SERVICE_UNAVAILABLE, "The server is stopping");
    else if (http->nrequests > http->settings.max_requests)
        http_answer_error(&r->answer, MHD_HTTP_SERVICE_UNAVAILABLE,
                          "Too many profile requests at once - at most %d; try again later",
                          http->settings.max_requests);
    pthread_mutex_unlock(&http->lock);
}

static bool request_unlink(struct prof_http *http, const struct http_request *wanted)
{
    pthread_mutex_lock(&http->lock);
    struct http_request *r = http->requests;
    while (r && r != wanted)
        r = r->next;
    if (r) {
        *r->link = r->next;
        if (r->next)
            r->next->link = r->link;
        http->nrequests--;
    }
    pthread_mutex_unlock(&http->lock);
    return r != NULL;
}

/* The connection's time runs again: for its answer, or for its next request. */
static void slot_rest(struct http_slot *slot)
{
    if (!slot)
        return;
    slot->working = false;
    slot->since_ns = http_now_ns();
}

bool prof_http_completed(struct prof_http *http, void **request)
{
    struct http_request *r = *request;

    if (!http || !r || !request_unlink(http, r))
        return false;
    slot_rest(r->slot);
    request_free(r);
    *request = NULL;
    return true;
}

/* ---- the head of a request ------------------------------------------------------------------- */

/* What follows /debug/pprof/ (or /debug/), or NULL when the path is not ours; "/debug/pprof" itself
 * gives "". */
static const char *path_within(const char *url)
{
    const size_t n = sizeof root - 1;

    if (!strcmp(url, flight))
        return url + sizeof "/debug/" - 1;
    if (strncmp(url, root, n) != 0 || (url[n] && url[n] != '/'))
        return NULL;
    return url + n + (url[n] == '/');
}

/* As Go's mux: /debug/pprof and doubled slashes (a base address that ends in one) are sent to the
 * clean path. */
static bool redirect(struct http_request *r, const char *url)
{
    struct http_answer *a = &r->answer;
    char clean[HTTP_SECRET_MAX], query[HTTP_SECRET_MAX];
    size_t n = 0;

    if (strcmp(url, root) != 0 && !strstr(url, "//"))
        return false;
    for (const char *s = url; *s && n < sizeof clean - 2; s++)
        if (*s != '/' || s[1] != '/')
            clean[n++] = *s;
    clean[n] = '\0';
    if (!strcmp(clean, root))
        strcpy(clean + n, "/");
    if (!http_param_encode(a->location, sizeof a->location, clean, "/") ||
        !http_param_query(r, query, sizeof query) ||
        strlen(a->location) + strlen(query) >= sizeof a->location)
        return a->location[0] = '\0', false;
    strcat(a->location, query);
    a->status = MHD_HTTP_MOVED_PERMANENTLY;
    a->type = HTTP_TEXT;
    strcpy(a->text, "Moved Permanently\n");
    return true;
}

static const struct http_endpoint *find_endpoint(const char *path)
{
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++)
        if (!strcmp(path, endpoints[i].name))
            return &endpoints[i];
    return &named;
}

static void refuse(struct http_answer *a, int status)
{
    if (status == MHD_HTTP_UNAUTHORIZED)
        http_answer_error(a, status, "A user and a password are needed");
    else
        http_answer_error(a, status,
                          "Profiles are served to this machine only; set PPROF_PASSWORD to "
                          "serve them to others");
}

/* Everything that the head alone decides; what it refuses is in r->answer. */
static void check_head(struct http_request *r, const char *url, const char *method)
{
    const char *path = path_within(url);
    int status = http_auth_check(&r->http->settings, r->connection, r->socket);

    r->head = !strcmp(method, "HEAD");
    if (status) {
        refuse(&r->answer, status);
    } else if (redirect(r, url)) {
        ;
    } else if (strlen(path) >= sizeof r->name) {
        http_answer_error(&r->answer, MHD_HTTP_NOT_FOUND, "Unknown profile");
    } else {
        r->endpoint = find_endpoint(path);
        r->answer.takes_post = r->endpoint->takes_post;
        strcpy(r->name, path);
        if (strcmp(method, "GET") && !r->head &&
            !(r->endpoint->takes_post && !strcmp(method, "POST")))
            http_answer_error(&r->answer, MHD_HTTP_METHOD_NOT_ALLOWED,
                              "Method not allowed - must be GET or HEAD%s",
                              r->endpoint->takes_post ? " or POST" : "");
    }
}

static int connection_socket(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info ? info->connect_fd : -1;
}

static enum MHD_Result request_begin(struct prof_http *http, struct MHD_Connection *connection,
                                     const char *url, const char *method, void **request)
{
    struct http_request *r = calloc(1, sizeof *r);

    if (!r)
        return MHD_NO;
    r->http = http;
    r->connection = connection;
    r->socket = connection_socket(connection);
    r->slot = http_listen_slot(http, connection);
    r->answer.fd = -1;
    *request = r;
    request_link(r);
    if (!r->answer.status)
        check_head(r, url, method);
    /* A refusal before the body is read ends the connection: only where there may be a body. */
    if (r->answer.status && !r->head && strcmp(method, "GET") != 0)
        return http_answer_send(&r->answer, connection);
    return MHD_YES;
}

/* ---- the body of a request ------------------------------------------------------------------- */

static void body_add(struct http_request *r, const char *data, size_t bytes)
{
    const size_t needed = r->body_bytes + bytes + 1;

    r->body_refused |= needed > HTTP_BODY_MAX + 1;
    if (!r->endpoint->takes_post || r->body_refused)
        return;
    if (needed > r->body_capacity) {
        char *body = realloc(r->body, 2 * needed);
        if (!body) {
            r->body_refused = true;
            return;
        }
        r->body = body;
        r->body_capacity = 2 * needed;
    }
    memcpy(r->body + r->body_bytes, data, bytes);
    r->body_bytes += bytes;
    r->body[r->body_bytes] = '\0';
}

/* ---- the answer ------------------------------------------------------------------------------ */

static bool work_begin(struct prof_http *http)
{
    pthread_mutex_lock(&http->lock);
    bool begun = !http->stopping;
    http->working += begun;
    pthread_mutex_unlock(&http->lock);
    return begun;
}

static void work_end(struct prof_http *http)
{
    pthread_mutex_lock(&http->lock);
    if (--http->working == 0)
        pthread_cond_broadcast(&http->idle);
    pthread_mutex_unlock(&http->lock);
}

/* A capture's thread. The request outlives it: whoever frees the request joins it first. */
static void *work(void *arg)
{
    struct http_request *r = arg;
    struct prof_http *http = r->http;

    pthread_setname_np(pthread_self(), "prof-capture"); /* nobody sees it at work without */
    r->endpoint->run(r);
    r->done = true;
    MHD_resume_connection(r->connection);
    http_listen_wake(http);
    work_end(http);
    return NULL;
}

static enum MHD_Result work_suspended(struct http_request *r)
{
    if (r->slot)
        r->slot->working = true;
    r->threaded = true;
    MHD_suspend_connection(r->connection);
    int err = http_thread_start(&r->thread, work, r);
    if (err) {
        r->threaded = false;
        http_answer_error(&r->answer, MHD_HTTP_SERVICE_UNAVAILABLE, "No thread for the capture: %s",
                          strerrordesc_np(-err));
        r->done = true;
        MHD_resume_connection(r->connection);
        work_end(r->http);
    }
    return MHD_YES;
}

static enum MHD_Result work_here(struct http_request *r)
{
    r->endpoint->run(r);
    work_end(r->http);
    return http_answer_send(&r->answer, r->connection);
}

static enum MHD_Result answer_error(struct http_request *r, int status, const char *text)
{
    http_answer_error(&r->answer, status, "%s", text);
    return http_answer_send(&r->answer, r->connection);
}

static enum MHD_FLAG daemon_flags(struct MHD_Connection *connection)
{
    struct MHD_Daemon *daemon =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_DAEMON)->daemon;

    return MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_FLAGS)->flags;
}

/* All of the request is here. */
static enum MHD_Result request_answer(struct http_request *r)
{
    const enum MHD_FLAG flags = daemon_flags(r->connection);
    const bool own_thread = flags & MHD_USE_THREAD_PER_CONNECTION;
    const bool suspends = flags & MHD_ALLOW_SUSPEND_RESUME & ~MHD_USE_ITC;

    if (!r->answer.status && r->endpoint->prepare)
        r->endpoint->prepare(r);
    if (r->answer.status)
        return http_answer_send(&r->answer, r->connection);
    if (r->seconds && !own_thread && !suspends)
        return answer_error(r, MHD_HTTP_SERVICE_UNAVAILABLE,
                            "A capture would block the other requests: the server's daemon needs "
                            "MHD_ALLOW_SUSPEND_RESUME or MHD_USE_THREAD_PER_CONNECTION");
    if (!work_begin(r->http))
        return answer_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "The server is stopping");
    if (r->endpoint->in_thread && !own_thread && suspends)
        return work_suspended(r);
    return work_here(r);
}

int prof_http_handle(struct prof_http *http, struct MHD_Connection *connection, const char *url,
                     const char *method, const char *upload_data, size_t *upload_data_size,
                     void **request)
{
    struct http_request *r = *request;

    if (!http || !path_within(url))
        return PROF_HTTP_NOT_MINE;
    if (!r)
        return (int)request_begin(http, connection, url, method, request);
    if (*upload_data_size) {
        if (r->endpoint)
            body_add(r, upload_data, *upload_data_size);
        *upload_data_size = 0;
        return MHD_YES;
    }
    if (r->done) {
        slot_rest(r->slot);
        return (int)http_answer_send(&r->answer, connection);
    }
    return (int)request_answer(r);
}
