/* Answers: status, headers and body as Go's net/http/pprof gives them, handed to libmicrohttpd.
 * Profiles are written to a file in memory, so that they never exist twice and the kernel sends
 * them. */
#include "prof/http_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void http_answer_error(struct http_answer *a, int status, const char *format, ...)
{
    va_list args;

    http_answer_release(a);
    va_start(args, format);
    vsnprintf(a->text, sizeof a->text - 1, format, args);
    va_end(args);
    strcat(a->text, "\n");
    a->status = status;
    a->type = HTTP_TEXT;
    a->error = true;
    a->file_name[0] = '\0';
}

bool http_answer_open(struct http_answer *a)
{
    a->fd = memfd_create("prof-answer", MFD_CLOEXEC);
    if (a->fd < 0)
        http_answer_error(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "No room for the answer: %s",
                          strerrordesc_np(errno));
    return a->fd >= 0;
}

static ssize_t no_body(void *cls, uint64_t pos, char *buf, size_t max)
{
    (void)cls, (void)pos, (void)buf, (void)max;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

static struct MHD_Response *response_from_file(struct http_answer *a)
{
    struct stat st;

    if (fstat(a->fd, &st) != 0)
        return NULL;
    struct MHD_Response *response = MHD_create_response_from_fd((uint64_t)st.st_size, a->fd);
    if (response)
        a->fd = -1; /* it closes the file */
    return response;
}

static struct MHD_Response *make_response(struct http_answer *a)
{
    if (a->length_unknown)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, no_body, NULL, NULL);
    if (a->fd >= 0)
        return response_from_file(a);
    if (!a->body)
        return MHD_create_response_from_buffer(strlen(a->text), a->text, MHD_RESPMEM_MUST_COPY);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(a->body_bytes, a->body, MHD_RESPMEM_MUST_FREE);
    if (response)
        a->body = NULL;
    return response;
}

static void add_headers(struct MHD_Response *response, const struct http_answer *a)
{
    char disposition[sizeof a->file_name + sizeof "attachment; filename=\"\""];

    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Content-Type", a->type);
    if (a->error)
        MHD_add_response_header(response, "X-Go-Pprof", "1");
    if (a->file_name[0]) {
        snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", a->file_name);
        MHD_add_response_header(response, "Content-Disposition", disposition);
    }
    if (a->location[0])
        MHD_add_response_header(response, "Location", a->location);
    if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", a->takes_post ? "GET, HEAD, POST" : "GET, HEAD");
    if (a->status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, "WWW-Authenticate",
                                "Basic realm=\"pprof\", charset=\"UTF-8\"");
    if (a->status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, "Retry-After", "1");
    if (!strcmp(a->type, HTTP_HTML)) /* the index brings all it needs */
        MHD_add_response_header(response, "Content-Security-Policy",
                                "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
                                "script-src 'unsafe-inline'; connect-src 'self'");
}

enum MHD_Result http_answer_send(struct http_answer *a, struct MHD_Connection *connection)
{
    struct MHD_Response *response = a->status ? make_response(a) : NULL;
    enum MHD_Result result;

    if (!response)
        return MHD_NO; /* closes the connection */
    add_headers(response, a);
    result = MHD_queue_response(connection, (unsigned)a->status, response);
    MHD_destroy_response(response);
    return result;
}

void http_answer_release(struct http_answer *a)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    free(a->body);
    a->body = NULL;
}
