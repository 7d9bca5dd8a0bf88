/* trace: looks at the traces that libprof records.
 *
 *   trace [-http HOST:PORT] FILE
 *   trace -summary FILE
 *   trace -pprof=sync|syscall|sched|cpu|region[:NAME] [-o OUT] FILE
 *   trace -export=json|svg [-o OUT] FILE
 *
 * The file becomes a model (model.h), of which -thread, -from and -to choose a part (view.c); the
 * rest is one file for each of these lines. Without a flag: a page in the browser (page.h). */
#include "cmd/options.h"
#include "cmd/outfile.h"
#include "cmd/output.h"
#include "cmd/trace/page.h"
#include "cmd/trace/picture.h"
#include "cmd/trace/summary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    bool summary;
    const char *http, *pprof, *format, *out, *thread, *from, *to;
    const char *file;
};

static const char help[] =
    "usage: trace [flags] FILE\n"
    "Looks at an execution trace: of libprof (-trace, prof run -trace, /debug/pprof/trace), or "
    "what it\n"
    "understands of any Perfetto trace. A file that is gzip'd is unpacked; - is standard input.\n"
    "\n"
    "What to do with it:\n"
    "  (no flag)           show it in the browser: a timeline, and the tables\n"
    "  -http HOST:PORT     where the page is served (127.0.0.1:18085); other than this machine's "
    "own\n"
    "                      addresses need a password in PPROF_PASSWORD\n"
    "  -summary            print tables: threads, locks, tasks and regions, CPUs, collections\n"
    "  -pprof=KIND         write a profile for go tool pprof to standard output, or to -o:\n"
    "                        sync      where threads waited for locks, conditions, one another\n"
    "                        syscall   where they waited in system calls\n"
    "                        sched     where they waited for a CPU\n"
    "                        cpu       the CPU samples, if a CPU profile ran\n"
    "                        region    time in regions, by what their threads were doing;\n"
    "                                  region:NAME of those in a region of that name only\n"
    "  -export=json        write Chrome's Trace Event format, for other viewers\n"
    "  -export=svg         draw the threads over time, a picture for documents\n"
    "\n"
    "Which part of it:\n"
    "  -thread TEXT        threads with this tid, or with this in their name or start function\n"
    "  -from TIME          from so long after the trace's start: 1.5s, 200ms, 30us, 10ns\n"
    "  -to TIME            to so long after the trace's start\n"
    "\n"
    "  -o OUT              write there; the file appears whole or not at all\n"
    "  -h                  this help\n"
    "\n"
    "Examples:\n"
    "  trace -summary -thread worker run.trace\n"
    "  trace -pprof=sync -o sync.pprof run.trace && go tool pprof -top sync.pprof\n"
    "Exit: 0; 1 when the file cannot be read or written; 2 for a mistake in the flags.\n";

static int64_t duration(const char *flag, const char *text)
{
    static const struct unit {
        const char *name;
        double ns;
    } units[] = {{"", 1e9},   {"s", 1e9}, {"ms", 1e6}, {"us", 1e3},
                 {"µs", 1e3}, {"ns", 1},  {"m", 6e10}};
    char *end;

    errno = 0;
    double value = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (end != text && !errno && strcmp(end, units[i].name) == 0 && value >= 0 &&
            value * units[i].ns < 9e18)
            return (int64_t)(value * units[i].ns + 0.5);
    option_misuse("-%s '%s': expected a time such as 1.5s, 200ms, 30us", flag, text);
}

static bool wants_help(const char *arg)
{
    return !strcmp(arg, "-h") || !strcmp(arg, "-help") || !strcmp(arg, "--help");
}

static bool shows_page(const struct settings *s)
{
    return !s->summary && !s->pprof && !s->format;
}

static void check(const struct settings *s)
{
    if (s->summary + (s->pprof != NULL) + (s->format != NULL) > 1)
        option_misuse("-summary, -pprof and -export: choose one");
    if (s->format && strcmp(s->format, "json") != 0 && strcmp(s->format, "svg") != 0)
        option_misuse("-export=%s: expected json or svg", s->format);
    if (s->pprof && !trace_pprof_kind(s->pprof))
        option_misuse("-pprof=%s: expected sync, syscall, sched, cpu, region or region:NAME",
                      s->pprof);
    if (s->http && (s->summary || s->pprof || s->format))
        option_misuse("-http is for the page; it goes without -summary, -pprof and -export");
    if (shows_page(s) && (s->thread || s->from || s->to))
        option_misuse("-thread, -from and -to go with -summary, -pprof or -export; the page can "
                      "choose by itself");
    if (s->out && !s->pprof && !s->format)
        option_misuse("-o goes with -pprof or -export");
    if (s->pprof && !s->out && isatty(STDOUT_FILENO))
        option_misuse("a profile is no text for a terminal; give -o FILE, or redirect");
}

static void read_settings(struct settings *s, int argc, char **argv)
{
    const struct option_spec specs[] = {{"http", OPTION_STRING, &s->http, 0, 0, ""},
                                        {"summary", OPTION_BOOL, &s->summary, 0, 0, ""},
                                        {"pprof", OPTION_STRING, &s->pprof, 0, 0, ""},
                                        {"export", OPTION_STRING, &s->format, 0, 0, ""},
                                        {"thread", OPTION_STRING, &s->thread, 0, 0, ""},
                                        {"from", OPTION_STRING, &s->from, 0, 0, ""},
                                        {"to", OPTION_STRING, &s->to, 0, 0, ""},
                                        {"o", OPTION_STRING, &s->out, 0, 0, ""},
                                        {0}};

    for (int i = 1; i < argc; i++)
        if (wants_help(argv[i]))
            output_help(help);
    int first = options_parse_flags(specs, argc, argv);
    if (first == argc)
        option_misuse("no trace; usage: trace [flags] FILE; see -h");
    if (first + 1 < argc)
        option_misuse("unexpected argument '%s'; one trace is read, flags stand before it",
                      argv[first + 1]);
    s->file = argv[first];
    check(s);
}

static int complain(const char *path, const char *why)
{
    fprintf(stderr, "trace: %s: %s\n", path, why);
    return 1;
}

static struct trace_view choose(const struct settings *s, const struct trace *t)
{
    struct trace_view v = trace_view_all(t);
    int64_t length = t->end_ns - t->start_ns;

    if (s->thread && *s->thread)
        v.thread = s->thread;
    if (s->from && duration("from", s->from) < length)
        v.from_ns = t->start_ns + duration("from", s->from);
    else if (s->from)
        option_misuse("-from '%s': the trace is %.3f s long", s->from, (double)length / 1e9);
    if (s->to && duration("to", s->to) < length)
        v.to_ns = t->start_ns + duration("to", s->to);
    if (v.to_ns <= v.from_ns && length > 0)
        option_misuse("-to '%s' is not after -from", s->to);
    for (uint32_t i = 0; v.thread && i < t->nthreads; i++)
        if (view_thread(&v, i))
            return v;
    if (v.thread)
        option_misuse("-thread '%s': no thread of the trace has that tid, name or start function",
                      s->thread);
    return v;
}

static int write_to(const struct settings *s, const struct trace_view *v, int fd)
{
    if (s->pprof)
        return trace_write_pprof(v, s->pprof, fd);
    return strcmp(s->format, "svg") == 0 ? trace_write_svg(v, fd) : trace_write_json(v, fd);
}

static int write_out(const struct settings *s, const struct trace_view *v)
{
    struct outfile f;
    int err;

    if (s->out) {
        err = outfile_open(&f, s->out);
        if (!err) {
            err = write_to(s, v, f.fd);
            if (err)
                outfile_discard(&f);
            else
                err = outfile_commit(&f);
        }
    } else {
        err = write_to(s, v, STDOUT_FILENO);
    }
    if (err == -ENODATA)
        return complain(s->file, trace_pprof_missing(v->t, s->pprof));
    return err ? complain(s->out ? s->out : "standard output", strerror(-err)) : 0;
}

static int act(const struct settings *s, const struct trace *t)
{
    if (shows_page(s))
        return page_serve(t, &(struct page_options){.address = s->http, .open_browser = true});
    struct trace_view v = choose(s, t);
    return s->summary ? summary_print(&v) : write_out(s, &v);
}

int main(int argc, char **argv)
{
    struct settings s = {0};
    char error[TRACE_ERROR_BYTES];

    read_settings(&s, argc, argv);
    if (s.from)
        duration("from", s.from);
    if (s.to)
        duration("to", s.to);
    struct trace *t = trace_open(s.file, true, error);
    if (!t)
        return complain(s.file, error);
    int status = act(&s, t);
    trace_close(t);
    return status;
}
