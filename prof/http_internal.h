/* What the files of the endpoints know of one another. A request's way: http.c takes it from
 * libmicrohttpd and finds its endpoint, http_capture.c (or http_index.c, http_symbol.c) makes the
 * answer, http_answer.c hands it over. */
#ifndef PROF_HTTP_INTERNAL_H
#define PROF_HTTP_INTERNAL_H

#include "prof/http.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { HTTP_NAME_MAX = 128, HTTP_SECRET_MAX = 256, HTTP_BODY_MAX = 8 << 20 };

#define HTTP_TEXT   "text/plain; charset=utf-8"
#define HTTP_HTML   "text/html; charset=utf-8"
#define HTTP_BINARY "application/octet-stream"

/* ---- http_options.c: options and environment, checked ------------------------------------------
 */

struct http_settings {
    bool enabled;
    char address[HTTP_SECRET_MAX];
    char user[HTTP_SECRET_MAX], password[HTTP_SECRET_MAX];
    int max_requests, max_seconds, connection_seconds, cpu_hz;
    bool authenticated;
};

int http_settings_read(const struct prof_http_options *options, struct http_settings *out);
/* Keeps the sentence for prof_http_error and returns err. */
int http_fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- http_auth.c --------------------------------------------------------------------------------
 */

/* 0, or the status to refuse with: 401 or 403. */
int http_auth_check(const struct http_settings *s, struct MHD_Connection *connection, int socket);

/* ---- http_answer.c: what a request is answered ----------------------------------------------- */

/* The body is, in this order: the file fd, the memory body, the text. */
struct http_answer {
    int status; /* 0: the client is gone, and nobody reads an answer */
    const char *type;
    bool takes_post;     /* for 405, which says what is allowed */
    bool error;          /* marked as Go marks its errors: X-Go-Pprof, no file name */
    bool length_unknown; /* HEAD of a capture: headers only */
    char file_name[HTTP_NAME_MAX + sizeof "-delta"]; /* "": not an attachment */
    char location[3 * HTTP_SECRET_MAX];
    int fd; /* -1: none */
    char *body;
    size_t body_bytes;
    char text[256];
};

void http_answer_error(struct http_answer *a, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* An empty file in memory for the body; false: there is an error to answer instead. */
bool http_answer_open(struct http_answer *a);
enum MHD_Result http_answer_send(struct http_answer *a, struct MHD_Connection *connection);
void http_answer_release(struct http_answer *a);

/* ---- http.c: requests ------------------------------------------------------------------------ */

struct http_request;

struct http_endpoint {
    const char *name;
    bool takes_post;
    bool in_thread; /* may take long */
    /* On the daemon's thread: reads the parameters. Fills answer.status when that settles it. */
    void (*prepare)(struct http_request *r);
    /* Makes the answer. */
    void (*run)(struct http_request *r);
};

struct http_slot { /* a connection to a server of our own */
    int socket;    /* -1: free */
    bool working;  /* its request is being worked on: no deadline */
    int64_t since_ns;
};

struct http_request {
    struct http_request *next, **link; /* in prof_http.requests */
    struct prof_http *http;
    struct MHD_Connection *connection;
    int socket;
    struct http_slot *slot;
    const struct http_endpoint *endpoint;
    char name[HTTP_NAME_MAX]; /* of the profile */
    bool head;
    int seconds;     /* 0: not given */
    int64_t wait_ns; /* trace: the same, with its fraction */
    int debug;
    int gc;     /* collect first */
    char *body; /* of a POST, or the query */
    size_t body_bytes, body_capacity;
    bool body_refused;
    bool done; /* the answer is ready */
    bool threaded;
    pthread_t thread;
    struct http_answer answer;
};

struct http_listener; /* http_listen.c */

struct prof_http {
    struct http_settings settings;
    pid_t pid;   /* of the process that made it: a forked child has no endpoints */
    int stop_fd; /* an eventfd, readable once stopping */
    pthread_mutex_t lock;
    pthread_cond_t idle; /* working became 0 */
    int working;         /* requests whose answer is being made */
    bool stopping;
    struct http_request *requests; /* all there are, and how many */
    int nrequests;
    struct http_listener *listener; /* NULL: mounted */
};

/* ---- http_thread.c --------------------------------------------------------------------------- */

/* pthread_create for a thread that takes no signals of the application's. 0 or a negative errno. */
int http_thread_start(pthread_t *thread, void *(*fn)(void *), void *arg);
/* Waits for ns. -ECANCELED: the client hung up, or the server stops. */
int http_wait(const struct http_request *r, int64_t ns);

/* ---- http_param.c ---------------------------------------------------------------------------- */

/* Reads ?name= as a whole number. Absent: 0, *out untouched. -EINVAL: an error is in r->answer,
 * `takes` says what the parameter takes. */
int http_param_int(struct http_request *r, const char *name, int min, int max, const char *takes,
                   int *out);
/* The same for seconds with a fraction, more than 0. */
int http_param_seconds(struct http_request *r, const char *name, int max, int64_t *ns);
/* The query as it was, encoded again: "" or "?a=b&c". False: it does not fit. */
bool http_param_query(struct http_request *r, char *out, size_t size);
/* Appends s percent-encoded; `keep` are the characters beyond letters, digits and -._~ that stay.
 */
bool http_param_encode(char *out, size_t size, const char *s, const char *keep);

/* ---- the endpoints' own files ---------------------------------------------------------------- */

void http_profile_prepare(struct http_request *r); /* http_capture.c */
void http_profile_run(struct http_request *r);
void http_named_prepare(struct http_request *r);
void http_named_run(struct http_request *r);
/* An error of libprof's, 500; the wait was cut short. */
void http_answer_failed(struct http_request *r, const char *what, int err);
void http_answer_canceled(struct http_request *r);
void http_trace_prepare(struct http_request *r); /* http_trace.c */
void http_trace_run(struct http_request *r);
void http_snapshot_prepare(struct http_request *r);
void http_snapshot_run(struct http_request *r);
void http_symbol_prepare(struct http_request *r); /* http_symbol.c */
void http_symbol_run(struct http_request *r);
void http_cmdline_run(struct http_request *r);
void http_index_run(struct http_request *r); /* http_index.c */

/* ---- http_listen.c --------------------------------------------------------------------------- */

int http_listen_start(struct prof_http *http);
void http_listen_stop(struct prof_http *http);
/* A suspended connection was resumed. */
void http_listen_wake(struct prof_http *http);
void http_listen_free(struct prof_http *http);
struct http_slot *http_listen_slot(struct prof_http *http, struct MHD_Connection *connection);

static inline int64_t http_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

#endif
