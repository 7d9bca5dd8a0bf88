/* The profile endpoints of Go's net/http/pprof for a C program, under /debug/pprof/.
 *
 * Two ways to have them. On an address of their own, with a thread of their own:
 *
 *     struct prof_http *http;
 *     int err = prof_http_start(&(struct prof_http_options){.address = "127.0.0.1:6060"}, &http);
 *
 * or on the application's own libmicrohttpd daemon:
 *
 *     prof_http_mount(NULL, &http);                         before MHD_start_daemon
 *     int socket = prof_http_listen(http, NULL, ...);       for MHD_OPTION_LISTEN_SOCKET, if wanted
 *
 *     int mine = prof_http_handle(http, connection, ...);   first thing in the access handler
 *     if (mine != PROF_HTTP_NOT_MINE)
 *         return (enum MHD_Result)mine;
 *
 *     prof_http_completed(http, request);                   in MHD_OPTION_NOTIFY_COMPLETED
 *
 *     prof_http_stop(http);                                 at the end, in this order
 *     MHD_stop_daemon(d);
 *     prof_http_free(http);
 *
 * A capture takes seconds, and other requests must not wait for it. What the application's daemon
 * has to be:
 *   - MHD_USE_THREAD_PER_CONNECTION: captures run on the connection's own thread;
 *   - any other mode with MHD_ALLOW_SUSPEND_RESUME: captures run on a thread of ours, the
 *     connection suspended;
 *   - any other mode without it: snapshots are answered, captures (`profile`, `seconds=`) are
 *     refused with 503.
 *
 * Environment, for what an option leaves at zero:
 *   ENABLE_PPROF              0, false, no or off: no endpoints. 1, true, yes or on: the default.
 *   PPROF_ADDR                the address; default 127.0.0.1:6060
 *   PPROF_USER, PPROF_PASSWORD
 *                             basic authentication; default user pprof. Nothing but a loopback
 *                             address is served without a password
 *   PPROF_MAX_REQUESTS, PPROF_MAX_SECONDS, PPROF_CONNECTION_SECONDS, PPROF_CPU_HZ
 *                             as the options
 *
 * Functions are thread-safe, not async-signal-safe, never print and never exit; what they are given
 * is copied. Threads of ours take no signal but the
 * profiler's own, so the application's handlers never run on them. After fork the child has no
 * endpoints and holds none of their sockets. */
#ifndef PROF_HTTP_H
#define PROF_HTTP_H

#include "prof/pprof.h"

#include <microhttpd.h>

#ifdef __cplusplus
extern "C" {
#endif

struct prof_http_options { /* zero: the environment's value, else the default */
    /* host:port or [IPv6]:port. ":port" is the loopback's; all interfaces are 0.0.0.0:port, with a
     * password. Port 0 takes a free one: prof_http_address tells. Not used by prof_http_mount. */
    const char *address;
    const char *user;     /* basic authentication; at most 255 bytes each, no colon in it */
    const char *password; /* "": none, whatever the environment says */
    int max_requests;     /* at once; more are answered 503. Default 16, at most 1024 */
    int max_seconds;      /* the longest capture. Default 3600, at most 86400 */
    /* How long a connection may take to send its request, or to take its answer, or stay idle.
     * Default 120, at most 86400. Not used by prof_http_mount: there it is the daemon's business.
     */
    int connection_seconds;
    int cpu_hz; /* of `profile`; default PROF_CPU_HZ_DEFAULT */
    /* The application asks for a password itself before it calls prof_http_handle. Without this,
     * and without a password, a mounted request that did not come over loopback is answered 403. */
    bool authenticated;
};

struct prof_http;

/* Opens the address and serves the endpoints on it. options may be NULL. *out is NULL when
 * ENABLE_PPROF says so, which every function here takes. -EINVAL: an option or a variable is wrong.
 * -EPERM: not a loopback address, and no password. -EADDRINUSE and what else bind(2) says. -ENOMEM,
 * -EAGAIN: no memory, no thread. prof_http_error() has the sentence for the user. */
PROF_API int prof_http_start(const struct prof_http_options *options, struct prof_http **out);

/* Makes the endpoints for prof_http_handle. As prof_http_start, without the address. */
PROF_API int prof_http_mount(const struct prof_http_options *options, struct prof_http **out);

/* A listening socket for the daemon that http is mounted on (MHD_OPTION_LISTEN_SOCKET), under the
 * rules for prof_http_options.address: whoever mounts need not read addresses nor tell loopback
 * from the rest. address NULL: PPROF_ADDR, else 127.0.0.1:6060. shown, of at least 64 bytes,
 * becomes the address with the port really taken. A descriptor, or what prof_http_start returns for
 * the same mistakes. With http NULL no profiles are served, and any address is taken. */
PROF_API int prof_http_listen(const struct prof_http *http, const char *address, char *shown,
                              size_t shown_bytes);

enum { PROF_HTTP_NOT_MINE = -1 };

/* Call it first in the daemon's access handler, with the handler's own arguments; `request` is its
 * con_cls, which must be left alone when the request is ours. PROF_HTTP_NOT_MINE: another path than
 * /debug/pprof and /debug/trace/snapshot; nothing was touched. Else the handler must return what
 * this returned, an enum MHD_Result. */
PROF_API int prof_http_handle(struct prof_http *http, struct MHD_Connection *connection,
                              const char *url, const char *method, const char *upload_data,
                              size_t *upload_data_size, void **request);

/* Call it first in the daemon's MHD_OPTION_NOTIFY_COMPLETED. True: the request was ours, and is
 * released. */
PROF_API bool prof_http_completed(struct prof_http *http, void **request);

/* Ends what runs and refuses what comes; a server of its own is stopped. Returns when no thread of
 * ours is left. With a mounted one, call it before MHD_stop_daemon, which must not be called while
 * captures run. */
PROF_API void prof_http_stop(struct prof_http *http);
/* Stops if need be, and releases. With a mounted one: after MHD_stop_daemon. NULL does nothing. */
PROF_API void prof_http_free(struct prof_http *http);

/* The address served, as "127.0.0.1:6060"; "" for a mounted one. Lives as long as http. */
PROF_API const char *prof_http_address(const struct prof_http *http);

/* Why the calling thread's last prof_http_start or prof_http_mount failed: one line, no newline. */
PROF_API const char *prof_http_error(void);

#ifdef __cplusplus
}
#endif
#endif
