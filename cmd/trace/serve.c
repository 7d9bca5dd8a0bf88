/* Hands the page to a browser on this machine. One thread of libmicrohttpd's answers; the main
 * thread waits for Ctrl-C. A trace tells what a program does, so nobody else gets it: the address
 * is a loopback's unless there is a password, and a request must name it as such (a foreign web
 * site can make its own name mean 127.0.0.1, and its scripts would then read our answers). Entered
 * through page_serve. */
#include "cmd/trace/page.h"
#include "prof/http_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, IDLE_SECONDS = 120 };

#define DEFAULT_ADDRESS "127.0.0.1:18085"
#define TEXT            "text/plain; charset=utf-8"
#define BINARY          "application/octet-stream"

struct site {
    const struct trace *t;
    struct page_data data;
    struct http_settings settings;
    _Atomic bool busy; /* an answer is being made that can take seconds */
};

/* ---- who may ask ----------------------------------------------------------------------------- */

/* localhost, 127.0.0.1, [::1], with any port: another one may be forwarded to here. */
static bool names_loopback(const char *host)
{
    char name[64];
    struct in_addr four;
    struct in6_addr six;
    size_t size = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    const char *port = host + size;

    if (size >= sizeof name || size > strlen(host))
        return false;
    if (*port && (*port != ':' || port[1 + strspn(port + 1, "0123456789")]))
        return false;
    memcpy(name, host, size);
    name[size] = '\0';
    if (strcasecmp(name, "localhost") == 0)
        return true;
    if (*name != '[')
        return inet_pton(AF_INET, name, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
    name[size - 1] = '\0';
    return inet_pton(AF_INET6, name + 1, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* 0, or the status to refuse with. */
static int check_caller(const struct site *s, struct MHD_Connection *connection)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    const int fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

    if (!*s->settings.password && (!host || !names_loopback(host)))
        return MHD_HTTP_FORBIDDEN;
    return http_auth_check(&s->settings, connection, fd);
}

/* ---- answers --------------------------------------------------------------------------------- */

static const char *const headers[][2] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-store"},
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
};

static enum MHD_Result answer(struct MHD_Connection *connection, int status, const char *type,
                              struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    if (status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, "WWW-Authenticate", "Basic realm=\"trace\"");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, int status, const char *text)
{
    return answer(
        connection, status, TEXT,
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result answer_memory(struct MHD_Connection *connection, const char *type,
                                     const char *bytes, size_t size)
{
    return answer(connection, MHD_HTTP_OK, type,
                  MHD_create_response_from_buffer(size, (void *)bytes, MHD_RESPMEM_PERSISTENT));
}

/* An open file, which is closed in any case. */
static enum MHD_Result answer_file(struct MHD_Connection *connection, int fd)
{
    struct stat st;
    struct MHD_Response *response = NULL;

    if (fstat(fd, &st) == 0)
        response = MHD_create_response_from_fd64((uint64_t)st.st_size, fd);
    if (!response)
        close(fd);
    else
        MHD_add_response_header(response, "Content-Disposition", "attachment");
    return answer(connection, MHD_HTTP_OK, BINARY, response);
}

/* ---- files made from the trace --------------------------------------------------------------- */

static enum MHD_Result answer_original(struct MHD_Connection *connection, const struct trace *t)
{
    int fd = open(t->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return answer_text(connection, MHD_HTTP_NOT_FOUND, "The trace's file is gone.\n");
    return answer_file(connection, fd);
}

static enum MHD_Result answer_made(struct site *s, struct MHD_Connection *connection,
                                   const char *name)
{
    int fd = memfd_create("trace-file", MFD_CLOEXEC);
    int err = fd < 0 ? -errno : 0;

    atomic_store(&s->busy, true);
    if (!err)
        err = page_export(s->t, name, fd);
    atomic_store(&s->busy, false);
    if (!err)
        return answer_file(connection, fd);
    if (fd >= 0)
        close(fd);
    if (err == -ENODATA)
        return answer_text(connection, MHD_HTTP_NOT_FOUND,
                           "This trace has nothing of that kind. trace -pprof says why.\n");
    return err == -ENOENT
               ? answer_text(connection, MHD_HTTP_NOT_FOUND, "404: there is no such file\n")
               : answer_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR,
                             "No memory for this file.\n");
}

/* ---- requests -------------------------------------------------------------------------------- */

static enum MHD_Result route(struct site *s, struct MHD_Connection *connection, const char *path)
{
    const struct page_asset *asset = page_asset(path);

    if (asset)
        return answer_memory(connection, asset->type, asset->bytes, asset->size);
    if (strcmp(path, "data") == 0)
        return answer_memory(connection, BINARY, s->data.bytes, s->data.size);
    if (strcmp(path, "files/trace.pftrace") == 0)
        return answer_original(connection, s->t);
    if (strncmp(path, "files/", 6) == 0)
        return answer_made(s, connection, path + 6);
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "404: the page is at /\n");
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    struct site *s = arg;
    const int refused = check_caller(s, connection);

    (void)version, (void)upload;
    if (!*request) { /* the head: answered now, the connection would end */
        *request = s;
        return MHD_YES;
    }
    if (*upload_size) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (refused == MHD_HTTP_UNAUTHORIZED)
        return answer_text(connection, refused, "This trace is behind PPROF_PASSWORD.\n");
    if (refused)
        return answer_text(connection, refused,
                           "Only this machine may look, and as localhost or 127.0.0.1.\n");
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET and HEAD.\n");
    return route(s, connection, url + (*url == '/'));
}

/* ---- starting and stopping ------------------------------------------------------------------- */

static struct MHD_Daemon *start_daemon(struct site *s, int socket)
{
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, s,
                            MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)IDLE_SECONDS, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                            MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

/* Where there is a desktop, its browser; what it says is not ours to show. */
static void open_browser(const char *url)
{
    extern char **environ;
    posix_spawn_file_actions_t quiet;
    pid_t pid;

    if (!isatty(STDOUT_FILENO) || (!getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY")))
        return;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnp(&pid, "xdg-open", &quiet, NULL, (char *[]){"xdg-open", (char *)url, NULL},
                 environ);
    posix_spawn_file_actions_destroy(&quiet);
}

/* Before any thread starts: they inherit that these signals are blocked, so only sigwait gets them.
 */
static void block_signals(sigset_t *stop)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN); /* nobody waits for the browser */
    sigemptyset(stop);
    sigaddset(stop, SIGINT);
    sigaddset(stop, SIGTERM);
    sigaddset(stop, SIGHUP);
    pthread_sigmask(SIG_BLOCK, stop, NULL);
}

/* Until Ctrl-C. An answer that is just being made is not waited for. */
static void serve_until_stopped(struct site *s, struct MHD_Daemon *daemon, const sigset_t *stop)
{
    int signal_number;

    while (sigwait(stop, &signal_number) != 0)
        continue;
    if (atomic_load(&s->busy))
        _exit(0);
    MHD_stop_daemon(daemon);
}

static int complain(const char *format, const char *text)
{
    fputs("trace: ", stderr);
    fprintf(stderr, format, text);
    fputc('\n', stderr);
    return 1;
}

static int serve_on(struct site *s, int socket, const char *shown, bool browser)
{
    char url[HTTP_ADDRESS_MAX + 16];
    sigset_t stop;

    block_signals(&stop);
    struct MHD_Daemon *daemon = start_daemon(s, socket);
    if (!daemon)
        return complain("%s", "libmicrohttpd could not start a daemon");
    snprintf(url, sizeof url, "http://%s/", shown);
    printf("%s: %" PRIu64 " events at %s\nCtrl-C stops it\n", s->t->path ? s->t->path : "trace",
           s->t->events, url);
    fflush(stdout);
    if (browser)
        open_browser(url);
    serve_until_stopped(s, daemon, &stop);
    return 0;
}

int page_serve(const struct trace *t, const struct page_options *options)
{
    const char *address = options->address ? options->address : DEFAULT_ADDRESS;
    struct site s = {.t = t};
    char shown[HTTP_ADDRESS_MAX];
    int err = http_settings_read(&(struct prof_http_options){.address = address}, &s.settings);
    int socket = err ? err : http_address_listen(s.settings.address, *s.settings.password, shown);

    if (socket < 0) {
        complain("%s", prof_http_error());
        return socket == -EINVAL ? 2 : 1;
    }
    if (page_data_make(t, &s.data) != 0) {
        close(socket);
        return complain("no memory for the page of %s", t->path);
    }
    int status = serve_on(&s, socket, shown, options->open_browser);
    free(s.data.bytes);
    return status;
}
