/* symbol and cmdline: what pprof asks of a program whose binary it does not have. Profiles of ours
 * come with their functions, so pprof asks only when it is told to symbolize again
 * (-symbolize=force:remote). */
#include "prof/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- symbol ---------------------------------------------------------------------------------- */

/* libmicrohttpd has split the query at '&' and '=' and turned '+' into a space; the pcs have none
 * of those. */
static enum MHD_Result add_key(void *arg, enum MHD_ValueKind kind, const char *key,
                               const char *value)
{
    FILE *f = arg;

    (void)kind, (void)value;
    fprintf(f, "%s ", key);
    return MHD_YES;
}

static void query_to_body(struct http_request *r)
{
    FILE *f = open_memstream(&r->body, &r->body_bytes);

    if (!f)
        return;
    MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, add_key, f);
    fclose(f);
}

void http_symbol_prepare(struct http_request *r)
{
    if (r->body_refused)
        http_answer_error(&r->answer, 413, "The addresses are too long - must be at most %d bytes",
                          HTTP_BODY_MAX);
    else if (!r->body && !r->body_bytes)
        query_to_body(r);
}

/* pcs joined by '+', in any base that C knows; what is no number is passed over, as Go does. */
static size_t parse_pcs(char *text, uintptr_t *pcs)
{
    size_t n = 0;

    for (char *rest, *word = strtok_r(text, "+ \r\n", &rest); word;
         word = strtok_r(NULL, "+ \r\n", &rest)) {
        char *end;
        errno = 0;
        unsigned long long pc = *word == '-' ? 0 : strtoull(word, &end, 0);
        if (pc && !errno && !*end)
            pcs[n++] = (uintptr_t)pc;
    }
    return n;
}

static void print_name(uintptr_t pc, const char *name, void *arg)
{
    fprintf(arg, "%#jx %s\n", (uintmax_t)pc, name);
}

void http_symbol_run(struct http_request *r)
{
    struct http_answer *a = &r->answer;
    uintptr_t *pcs = malloc((r->body_bytes / 2 + 1) * sizeof *pcs);
    FILE *f = open_memstream(&a->body, &a->body_bytes);
    int err = pcs && f ? 0 : -ENOMEM;

    if (f)
        fprintf(f, "num_symbols: 1\n");
    if (!err && r->body)
        err = prof_symbol_names(pcs, parse_pcs(r->body, pcs), print_name, f);
    if (f && fclose(f) != 0)
        err = -ENOMEM;
    free(pcs);
    a->status = MHD_HTTP_OK;
    a->type = HTTP_TEXT;
    if (err)
        http_answer_error(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "Could not look the addresses up: %s",
                          strerrordesc_np(-err));
}

/* ---- cmdline --------------------------------------------------------------------------------- */

/* The kernel ends every argument with a NUL; Go joins them with one. */
static void drop_last_nul(int fd)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char last;

    if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last == '\0' && ftruncate(fd, end - 1) != 0)
        return; /* one NUL too many is not worth an error */
}

void http_cmdline_run(struct http_request *r)
{
    struct http_answer *a = &r->answer;
    int in = open("/proc/thread-self/cmdline", O_RDONLY | O_CLOEXEC);
    char buffer[4096];
    ssize_t n = in < 0 ? -1 : 0;

    if (in >= 0 && http_answer_open(a)) {
        while ((n = read(in, buffer, sizeof buffer)) > 0)
            if (write(a->fd, buffer, (size_t)n) != n)
                break;
        drop_last_nul(a->fd);
    }
    if (n != 0)
        http_answer_error(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "Could not read the command line: %s",
                          strerrordesc_np(errno));
    if (in >= 0)
        close(in);
    if (a->status)
        return;
    a->status = MHD_HTTP_OK;
    a->type = HTTP_TEXT;
}
