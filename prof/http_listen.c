/* A server for the endpoints alone: one thread that runs libmicrohttpd's event loop and sleeps
 * until something comes. Connections that take too long are cut, and a forked child closes what it
 * inherited: a child that outlives its parent would otherwise keep the port. Entered through
 * prof_http_start. */
#include "prof/http_address.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPARE_CONNECTIONS = 16, ACCEPT_AGAIN_MS = 100, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

struct http_listener {
    struct prof_http *http;
    struct MHD_Daemon *daemon;
    int socket, epoll_fd;
    ino_t inode; /* the socket's */
    int wake_fd; /* an eventfd */
    pthread_t thread;
    bool running;
    int connections;
    bool closed, opened_or_closed; /* a connection was, in this turn of the thread */
    _Atomic bool quit;
    char address[HTTP_ADDRESS_MAX];
    struct http_listener *next; /* in `listeners` */
    int nslots;
    struct http_slot slots[];
};

/* All there are, and their slots' sockets: read by a forked child. */
static pthread_mutex_t listeners_lock = PTHREAD_MUTEX_INITIALIZER;
static struct http_listener *listeners;

/* ---- fork ------------------------------------------------------------------------------------ */

static void fork_prepare(void)
{
    pthread_mutex_lock(&listeners_lock);
}

static void fork_parent(void)
{
    pthread_mutex_unlock(&listeners_lock);
}

/* Or does the number mean something else in this table of descriptors? The server's thread may have
 * a table of its own, or the program may have closed what it did not open. */
static bool socket_is_here(const struct http_listener *l)
{
    struct stat st;

    return fstat(l->socket, &st) == 0 && st.st_ino == l->inode && S_ISSOCK(st.st_mode);
}

static void fork_child(void)
{
    for (struct http_listener *l = listeners; l; l = l->next) {
        if (!socket_is_here(l))
            continue;
        close(l->socket);
        close(l->epoll_fd);
        close(l->wake_fd);
        for (int i = 0; i < l->nslots; i++)
            if (l->slots[i].socket >= 0)
                close(l->slots[i].socket);
    }
    listeners = NULL;
    pthread_mutex_unlock(&listeners_lock);
}

static void fork_register(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static void listener_link(struct http_listener *l)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct stat st;

    l->inode = fstat(l->socket, &st) == 0 ? st.st_ino : 0;
    pthread_once(&once, fork_register);
    pthread_mutex_lock(&listeners_lock);
    l->next = listeners;
    listeners = l;
    pthread_mutex_unlock(&listeners_lock);
}

static void listener_unlink(struct http_listener *l)
{
    pthread_mutex_lock(&listeners_lock);
    for (struct http_listener **p = &listeners; *p; p = &(*p)->next)
        if (*p == l) {
            *p = l->next;
            break;
        }
    pthread_mutex_unlock(&listeners_lock);
}

/* ---- connections ----------------------------------------------------------------------------- */

static int socket_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static void slot_open(struct http_listener *l, struct MHD_Connection *connection, void **context)
{
    for (int i = 0; i < l->nslots; i++)
        if (l->slots[i].socket < 0) {
            l->slots[i] =
                (struct http_slot){.socket = socket_of(connection), .since_ns = http_now_ns()};
            *context = &l->slots[i];
            return;
        }
}

static void connection_changed(void *arg, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode what)
{
    struct http_listener *l = arg;
    struct http_slot *slot = *context;

    pthread_mutex_lock(&listeners_lock);
    l->opened_or_closed = true;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        l->connections++;
        slot_open(l, connection, context);
    } else {
        l->closed = true;
        l->connections--;
        if (slot)
            slot->socket = -1;
    }
    pthread_mutex_unlock(&listeners_lock);
}

struct http_slot *http_listen_slot(struct prof_http *http, struct MHD_Connection *connection)
{
    if (!http->listener)
        return NULL;
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* Cuts the connections whose time is over. Returns when the next one's is, in ms; -1: there is
 * none. */
static int cut_late(struct http_listener *l)
{
    const int64_t limit_ns = (int64_t)l->http->settings.connection_seconds * NS_PER_S;
    const int64_t now_ns = http_now_ns();
    int64_t next_ns = INT64_MAX;

    for (int i = 0; i < l->nslots; i++) {
        struct http_slot *s = &l->slots[i];
        if (s->socket < 0 || s->working)
            continue;
        int64_t left_ns = s->since_ns + limit_ns - now_ns;
        if (left_ns <= 0)
            shutdown(s->socket, SHUT_RDWR);
        else if (left_ns < next_ns)
            next_ns = left_ns;
    }
    if (next_ns == INT64_MAX)
        return -1;
    return (int)(next_ns / NS_PER_MS < 3600000 ? next_ns / NS_PER_MS + 1 : 3600000);
}

/* ---- requests -------------------------------------------------------------------------------- */

static enum MHD_Result answer_outside(struct MHD_Connection *connection, const char *url)
{
    struct http_answer a = {.fd = -1, .type = HTTP_TEXT, .text = "404 page not found\n"};

    a.status = MHD_HTTP_NOT_FOUND;
    if (!strcmp(url, "/")) {
        a.status = MHD_HTTP_FOUND;
        strcpy(a.location, "/debug/pprof/");
        strcpy(a.text, "The profiles are at /debug/pprof/\n");
    }
    return http_answer_send(&a, connection);
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **request)
{
    int mine =
        prof_http_handle(arg, connection, url, method, upload_data, upload_data_size, request);

    (void)version;
    if (mine != PROF_HTTP_NOT_MINE)
        return (enum MHD_Result)mine;
    if (!*request) { /* the head: answered now, the connection would end */
        *request = arg;
        return MHD_YES;
    }
    *upload_data_size = 0;
    return answer_outside(connection, url);
}

static void completed(void *arg, struct MHD_Connection *connection, void **request,
                      enum MHD_RequestTerminationCode why)
{
    (void)connection, (void)why;
    prof_http_completed(arg, request);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoding that leaves %00 as it stands: a C string cannot hold it, and "heap%00" is not
 * "heap". */
static size_t unescape(void *arg, struct MHD_Connection *connection, char *s)
{
    char *out = s;

    (void)arg, (void)connection;
    for (const char *in = s; *in; in++) {
        int high = *in == '%' ? hex_digit(in[1]) : -1;
        int low = high >= 0 ? hex_digit(in[2]) : -1;
        if (low >= 0 && (high || low)) {
            *out++ = (char)(high << 4 | low);
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
    return (size_t)(out - s);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static int wait_ms(struct http_listener *l)
{
    MHD_UNSIGNED_LONG_LONG daemon_ms = 0;
    int ms = cut_late(l);

    if (MHD_get_timeout(l->daemon, &daemon_ms) == MHD_YES && (ms < 0 || daemon_ms < (unsigned)ms))
        ms = (int)daemon_ms;
    return ms;
}

/* With all connections taken libmicrohttpd no longer listens, and begins again in the turn after
 * the one that closed a connection: that turn must not wait for a client, who would not be heard.
 */
static void run_daemon(struct http_listener *l)
{
    l->opened_or_closed = false;
    do {
        l->closed = false;
        MHD_run(l->daemon);
    } while (l->closed);
}

/* Somebody knocked, and could not be let in: the program has no descriptor left, and accept(2)
 * would be asked again and again. */
static bool is_out_of_descriptors(const struct http_listener *l, const struct pollfd *epoll)
{
    return epoll->revents && !l->connections && !l->opened_or_closed;
}

static void *serve(void *arg)
{
    struct http_listener *l = arg;
    struct pollfd fds[] = {
        {.fd = l->epoll_fd, .events = POLLIN},
        {.fd = l->wake_fd, .events = POLLIN},
    };

    pthread_setname_np(pthread_self(), "prof-http");
    while (!atomic_load(&l->quit)) {
        eventfd_t woken;
        int ready = poll(fds, 2, wait_ms(l));
        eventfd_read(l->wake_fd, &woken);
        run_daemon(l);
        if (ready > 0 && is_out_of_descriptors(l, &fds[0]))
            poll(&fds[1], 1, ACCEPT_AGAIN_MS);
    }
    run_daemon(l); /* what the end of the captures still has to say */
    return NULL;
}

static struct MHD_Daemon *start_daemon(struct http_listener *l)
{
    struct prof_http *http = l->http;

    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, http,
        MHD_OPTION_LISTEN_SOCKET, l->socket, MHD_OPTION_NOTIFY_COMPLETED, completed, http,
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, l, MHD_OPTION_UNESCAPE_CALLBACK, unescape,
        NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)l->nslots, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)http->settings.connection_seconds, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

static struct http_listener *listener_new(struct prof_http *http)
{
    const int nslots = http->settings.max_requests + SPARE_CONNECTIONS;
    struct http_listener *l = calloc(1, sizeof *l + (size_t)nslots * sizeof l->slots[0]);

    if (!l)
        return NULL;
    *l = (struct http_listener){.http = http, .socket = -1, .epoll_fd = -1, .nslots = nslots};
    for (int i = 0; i < nslots; i++)
        l->slots[i].socket = -1;
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return l;
}

int http_listen_start(struct prof_http *http)
{
    struct http_listener *l = listener_new(http);
    int err;

    http->listener = l;
    if (!l || l->wake_fd < 0)
        return http_fail(-ENOMEM, "no memory for the profile server");
    l->socket = http_address_listen(http->settings.address, *http->settings.password, l->address);
    if (l->socket < 0)
        return l->socket;
    l->daemon = start_daemon(l);
    if (!l->daemon) {
        l->socket =
            -1; /* libmicrohttpd may have closed it: closing it twice could close another's */
        return http_fail(-ENOMEM, "libmicrohttpd could not start a daemon");
    }
    l->epoll_fd = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    listener_link(l);
    err = http_thread_start(&l->thread, serve, l);
    if (err)
        return http_fail(err, "no thread for the profile server: %s", strerrordesc_np(-err));
    l->running = true;
    return 0;
}

/* libmicrohttpd wakes only threads of its own when a connection is resumed. */
void http_listen_wake(struct prof_http *http)
{
    if (http->listener)
        eventfd_write(http->listener->wake_fd, 1);
}

void http_listen_stop(struct prof_http *http)
{
    struct http_listener *l = http->listener;

    if (!l || !l->running)
        return;
    atomic_store(&l->quit, true);
    http_listen_wake(http);
    pthread_join(l->thread, NULL);
    l->running = false;
    listener_unlink(l);
    MHD_stop_daemon(l->daemon);
    l->daemon = NULL;
    l->socket = -1;
}

/* In a forked child the daemon's sockets are closed already and its thread does not exist: its
 * memory is left alone. */
void http_listen_free(struct prof_http *http)
{
    struct http_listener *l = http->listener;

    if (!l || http->pid != getpid())
        return;
    if (l->daemon) { /* the thread never started */
        listener_unlink(l);
        MHD_stop_daemon(l->daemon);
    } else if (l->socket >= 0) {
        close(l->socket);
    }
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    free(l);
    http->listener = NULL;
}

const char *prof_http_address(const struct prof_http *http)
{
    return http && http->listener ? http->listener->address : "";
}
