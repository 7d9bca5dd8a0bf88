/* Requests: the profile endpoints' first, then the routes. libmicrohttpd runs a thread for every
 * connection, so that a request does its work right where it is taken. Entered through
 * server_start. */
#include "cmd/server/server.h"

#include "prof/trace.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

enum { MAX_CONNECTIONS = 128, IDLE_SECONDS = 60 };

static struct server *server; /* there is one */
static atomic_int in_flight;
static atomic_bool refusing;

/* con_cls of a request that is not the profile endpoints': a mark that its head was seen. */
static char seen;

static enum MHD_Result send_body(struct MHD_Connection *connection, int status, const char *type,
                                 size_t bytes, char *body, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(bytes, body, mode);

    if (!response) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(body);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, "Retry-After", "1");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (atomic_load(&refusing))
        MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct reply *reply)
{
    return send_body(connection, reply->status, "text/plain; charset=utf-8", strlen(reply->text),
                     reply->text, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result send_page(struct MHD_Connection *connection)
{
    size_t bytes = 0;
    char *page = page_make(
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST), &bytes);

    if (!page)
        return MHD_NO;
    return send_body(connection, MHD_HTTP_OK, "text/html; charset=utf-8", bytes, page,
                     MHD_RESPMEM_MUST_FREE);
}

/* The labels are on every sample of this thread, and of the threads that the work starts. In a
 * trace the request is a task. */
static void run_labelled(const struct route *route, const int64_t *values, struct reply *reply)
{
    const struct param *impl = route->impl >= 0 ? &route->params[route->impl] : NULL;

    prof_label_scope("endpoint", route->path);
    PROF_TASK(route->path);
    PROF_REGION(route->path);
    if (!impl) {
        route->run(values, reply);
        return;
    }
    prof_label_scope("impl", impl->choices[values[route->impl]]);
    prof_trace_log("impl", impl->choices[values[route->impl]]);
    route->run(values, reply);
}

static void run_timed(const struct route *route, const int64_t *values, struct reply *reply)
{
    int64_t begin_ns = slow_clock_ns();

    run_labelled(route, values, reply);
    slow_check(route->path, slow_clock_ns() - begin_ns);
}

static void run_route(struct MHD_Connection *connection, const struct route *route, bool head,
                      struct reply *reply)
{
    int64_t values[MAX_PARAMS];

    if (!params_read(connection, route->params, values, reply))
        return;
    if (head)
        reply_set(reply, MHD_HTTP_OK, "ok"); /* no body is sent, and nobody waits for work */
    else
        run_timed(route, values, reply);
}

static const struct route *find_route(const char *path)
{
    for (const struct route *r = routes; r->path; r++)
        if (!strcmp(r->path, path))
            return r;
    return NULL;
}

static enum MHD_Result answer(struct MHD_Connection *connection, const char *url,
                              const char *method)
{
    const struct route *route = find_route(url);
    const bool head = !strcmp(method, "HEAD");
    struct reply reply = {0};

    if (atomic_load(&refusing))
        reply_set(&reply, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is stopping");
    else if (!route && strcmp(url, "/") != 0)
        reply_set(&reply, MHD_HTTP_NOT_FOUND, "404 page not found; there is a list at /");
    else if (!head && strcmp(method, "GET") != 0)
        reply_set(&reply, MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed; expected GET or HEAD");
    else if (!route)
        return send_page(connection);
    else
        run_route(connection, route, head, &reply);
    return send_reply(connection, &reply);
}

/* Called with the head, then with each piece of a body (which is not read), then to be answered. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **request)
{
    (void)arg, (void)version;
    if (!*request)
        atomic_fetch_add(&in_flight, 1);
    int mine = prof_http_handle(server->pprof, connection, url, method, upload_data,
                                upload_data_size, request);
    if (mine != PROF_HTTP_NOT_MINE)
        return (enum MHD_Result)mine;
    if (!*request || *upload_data_size) {
        *request = &seen;
        *upload_data_size = 0;
        return MHD_YES;
    }
    return answer(connection, url, method);
}

static void completed(void *arg, struct MHD_Connection *connection, void **request,
                      enum MHD_RequestTerminationCode why)
{
    (void)arg, (void)connection, (void)why;
    if (!*request)
        return; /* the connection ended before its head was read */
    prof_http_completed(server->pprof, request);
    if (atomic_fetch_sub(&in_flight, 1) == 1)
        eventfd_write(server->idle_fd, 1);
}

int server_start(struct server *s, int listen_fd)
{
    server = s;
    s->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                             MHD_USE_POLL | MHD_USE_ITC,
                         0, NULL, NULL, handle, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd,
                         MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_CONNECTION_LIMIT,
                         MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
                         MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    return s->daemon ? 0 : -1;
}

void server_refuse(struct server *s)
{
    atomic_store(&refusing, true);
    s->listen_fd = MHD_quiesce_daemon(s->daemon);
    if (s->listen_fd >= 0)
        shutdown(s->listen_fd, SHUT_RDWR); /* who comes now is refused, not kept waiting */
}

int server_in_flight(void)
{
    return atomic_load(&in_flight);
}
