/* The index page: the profiles with their counts, what each is for, links to get it as a file and
 * to read it as text, and the pprof command to copy. */
#include "prof/http_internal.h"
#include "prof/http_style.h"
#include "prof/trace.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct row {
    const char *name;
    const char *what;
    const char *capture; /* the query of the quickest capture, "" for a snapshot */
    int delta_seconds;   /* 0: no delta offered */
    int debug_max;       /* 0: no text */
};

static const struct row rows[] = {
    {"profile", "Where CPU time goes: the stacks that were running, sampled over a time.",
     "?seconds=30", 0, 0},
    {"heap", "Memory in use now, by the stack that allocated it. Also all that was ever allocated.",
     "", 10, 1},
    {"allocs", "All memory allocated since start, freed or not: who keeps the allocator busy.", "",
     10, 1},
    {"goroutine",
     "What every thread is doing or waiting for, right now. The name is Go's; <code>thread</code> "
     "works too.",
     "", 0, 2},
    {"threadcreate", "The stacks that created the threads.", "", 0, 1},
    {"block", "Time spent waiting: for locks, conditions, semaphores, other threads.", "", 10, 1},
    {"mutex", "Who holds the locks that others wait for.", "", 10, 1},
};

static void put_escaped(FILE *f, const char *s)
{
    for (; *s; s++)
        if (strchr("<>&\"'", *s))
            fprintf(f, "&#%d;", *s);
        else
            fputc(*s, f);
}

/* The address as the reader's browser knows it, for the command; only what a host may look like. */
static const char *host_of(struct http_request *r)
{
    const char *host =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);

    if (host && *host && strlen(host) < 256) {
        const char *s = host;
        while (isalnum((unsigned char)*s) || (*s && strchr("-._:[]", *s)))
            s++;
        if (!*s)
            return host;
    }
    host = prof_http_address(r->http);
    return *host ? host : "127.0.0.1:6060";
}

static void put_command(FILE *f, const char *host, const char *name, const char *query)
{
    fprintf(f,
            "<div class=cmd><code>go tool pprof -http=: "
            "'http://%s/debug/pprof/%s%s'</code><button>copy</button></div>",
            host, name, query);
}

static void put_links(FILE *f, const struct row *row)
{
    const char *seconds = strchr(row->capture, '=');

    if (seconds)
        fprintf(f, "<a href='%s%s'>%s s</a><a href='%s?seconds=5'>5 s</a>", row->name, row->capture,
                seconds + 1, row->name);
    else
        fprintf(f, "<a href='%s'>file</a>", row->name);
    if (row->delta_seconds)
        fprintf(f, "<a href='%s?seconds=%d'>change over %d s</a>", row->name, row->delta_seconds,
                row->delta_seconds);
    if (row->debug_max)
        fprintf(f, "<a href='%s?debug=1'>text</a>", row->name);
    if (row->debug_max == 2)
        fprintf(f, "<a href='%s?debug=2'>by thread</a>", row->name);
}

/* A profile that is empty because it is off says how to turn it on. */
static const char *off_hint(const char *name)
{
    if (!strcmp(name, "block") && prof_set_block_rate_ns(-1) == 0)
        return "Off. prof_set_block_rate_ns(1000) records a wait for every microsecond waited.";
    if (!strcmp(name, "mutex") && prof_set_mutex_fraction(-1) == 0)
        return "Off. prof_set_mutex_fraction(5) records one contention in five.";
    if ((!strcmp(name, "heap") || !strcmp(name, "allocs")) && prof_set_heap_rate(-1) == 0)
        return "Off. PROF_HEAP_RATE=524288 records one allocation in 512 KiB.";
    return NULL;
}

static void put_row(FILE *f, const struct row *row, const char *host)
{
    const bool counted = strcmp(row->name, "profile") != 0;
    const int64_t count = counted ? prof_count(row->name) : 0;
    const char *off = off_hint(row->name);

    if (count == -ENOENT)
        return;
    fprintf(f, "<tr><td class=name>%s<td class=num", row->name);
    if (counted)
        fprintf(f, " data-count='%s'>%" PRId64, row->name, count < 0 ? 0 : count);
    else
        fputs("><span class=dim>on request</span>", f);
    fprintf(f, "<td class=what>%s", row->what);
    if (off)
        fprintf(f, "<span class=off>%s</span>", off);
    put_command(f, host, row->name, row->capture);
    fputs("<td class=get>", f);
    put_links(f, row);
    fputs("</tr>\n", f);
}

struct page {
    FILE *f;
    const char *host;
};

/* The program's own profiles, those of prof_custom_new. */
static void put_custom(const char *name, void *arg)
{
    const struct page *p = arg;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(name, rows[i].name))
            return;
    put_row(p->f,
            &(struct row){name, "This program's own: what it handed out and has not taken back.",
                          "", 0, 1},
            p->host);
}

static void put_drop(FILE *f, uint64_t n, const char *what, const char **separator)
{
    if (n)
        fprintf(f, "%s%" PRIu64 " %s", *separator, n, what);
    if (n)
        *separator = ", ";
}

static void put_drops(FILE *f)
{
    const char *separator = "<p class=note>Not recorded since start: ";
    const char *const first = separator;
    struct prof_drops d;

    prof_drops(&d);
    put_drop(f, d.cpu_samples, "CPU samples", &separator);
    put_drop(f, d.cpu_timers, "threads without a CPU timer", &separator);
    put_drop(f, d.heap_samples, "heap samples", &separator);
    put_drop(f, d.lock_samples, "lock samples", &separator);
    put_drop(f, d.labels, "label sets", &separator);
    put_drop(f, d.threads, "thread stacks", &separator);
    if (separator != first)
        fputs(".</p>\n", f);
}

static void put_program(FILE *f)
{
    char path[512];
    ssize_t n = readlink("/proc/thread-self/exe", path, sizeof path - 1);

    path[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(path, '/');
    fputs("<title>", f);
    put_escaped(f, slash ? slash + 1 : "program");
    fprintf(f, " - profiles</title><style>%s</style></head><body>\n<h1>", http_style);
    put_escaped(f, slash ? slash + 1 : "program");
    fputs(": profiles</h1><p class=dim><code>", f);
    put_escaped(f, path);
    fprintf(f, "</code>, process %d</p>\n", getpid());
}

static void put_trace_command(FILE *f, const char *host, const char *path)
{
    fprintf(f,
            "<div class=cmd><code>curl -o trace.out 'http://%s%s' &amp;&amp; bin/trace trace.out"
            "</code><button>copy</button></div>",
            host, path);
}

/* Traces are no profiles: nothing is counted, and another tool opens them. */
static void put_traces(FILE *f, const char *host)
{
    fputs("<tr><td class=name>trace<td class=num><span class=dim>on request</span><td class=what>"
          "What every thread does over a time, and why it waits: a timeline for "
          "<code>bin/trace</code> and ui.perfetto.dev.",
          f);
    put_trace_command(f, host, "/debug/pprof/trace?seconds=5");
    fputs("<td class=get><a href='trace?seconds=1'>1 s</a><a href='trace?seconds=5'>5 s</a></tr>\n"
          "<tr><td class=name>flight recorder<td class=num>"
          "<span class=dim>",
          f);
    fputs(prof_flight_active() ? "running" : "off", f);
    fputs("</span><td class=what>The last seconds, always at hand: a trace of what has just "
          "happened.",
          f);
    if (!prof_flight_active())
        fputs("<span class=off>Off. PROF_FLIGHT=1 or prof_flight_start turns it on.</span>", f);
    put_trace_command(f, host, "/debug/trace/snapshot");
    fputs("<td class=get>", f);
    if (prof_flight_active())
        fputs("<a href='../trace/snapshot'>snapshot</a>", f);
    fputs("</tr>\n", f);
}

static void put_page(FILE *f, const char *host)
{
    fputs("<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
          "<meta name=viewport content='width=device-width,initial-scale=1'>"
          "<link rel=icon href='data:,'>",
          f);
    put_program(f);
    put_drops(f);
    fputs("<table><thead><tr><th>Profile<th class=num>Entries<th>What it shows, and the command "
          "that opens it<th>Get it</thead>\n<tbody>",
          f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        put_row(f, &rows[i], host);
    put_traces(f, host);
    prof_profiles(put_custom, &(struct page){f, host});
    fputs("</tbody></table>\n<h2>More</h2><ul>"
          "<li><a href='cmdline'>cmdline</a>: the command line of this process, its arguments "
          "joined by NUL"
          "<li><a href='symbol'>symbol</a>: names for addresses, which pprof asks for"
          "</ul>\n<p class=dim>Files are gzip'd profile.proto with functions, files and lines: "
          "<code>go tool pprof</code>, <code>pprof</code> and speedscope open them without the "
          "binary.</p>\n",
          f);
    fprintf(f, "<script>%s</script></body></html>\n", http_script);
}

void http_index_run(struct http_request *r)
{
    struct http_answer *a = &r->answer;
    FILE *f = open_memstream(&a->body, &a->body_bytes);

    if (f)
        put_page(f, host_of(r));
    a->status = MHD_HTTP_OK;
    a->type = HTTP_HTML;
    if (!f || fclose(f) != 0)
        http_answer_error(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "No memory for the page");
}
