/* -summary: what the trace is, what it lacks, and the tables. */
#include "cmd/trace/summary.h"
#include "cmd/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void print_when(const struct trace *t)
{
    time_t seconds = (time_t)(t->wall_ns / 1000000000);
    char text[64];
    struct tm tm;

    if (!t->wall_ns || !localtime_r(&seconds, &tm) ||
        !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z", &tm))
        return;
    printf("  recorded  %s\n", text);
}

static void print_part(const struct trace_view *v)
{
    const struct trace *t = v->t;

    if (v->from_ns != t->start_ns || v->to_ns != t->end_ns)
        printf("  shown     from %s to %s\n", time_text(v->from_ns - t->start_ns),
               time_text(v->to_ns - t->start_ns));
    if (v->thread)
        printf("  shown     threads '%s'\n", v->thread);
}

static void print_overview(const struct trace_view *v)
{
    const struct trace *t = v->t;

    printf("%s\n", t->path);
    if (t->pid)
        printf("  process   %s (pid %d)\n", plain(trace_text(t, t->process_name)), t->pid);
    print_when(t);
    printf("  length    %s\n", time_text(t->end_ns - t->start_ns));
    const bool large = t->file_bytes >= 1000000;
    printf("  events    %" PRIu64 " in %.1f %s", t->events,
           (double)t->file_bytes / (large ? 1e6 : 1e3), large ? "MB" : "kB");
    printf(t->dropped ? ", %" PRIu64 " dropped\n" : "\n", t->dropped);
    printf("  threads   %u", t->nthreads);
    printf(t->ncpus == 1 ? " on one CPU\n" : t->ncpus ? " on %u CPUs\n" : "\n", t->ncpus);
    if (!t->has_sched)
        puts("  without switch records: a thread that does not wait is 'active', running or ready "
             "to run");
    print_part(v);
    for (uint32_t i = 0; i < t->nnotices; i++)
        printf("  note      %s\n", trace_text(t, t->notices[i].text));
}

int summary_print(const struct trace_view *v)
{
    print_overview(v);
    print_threads(v);
    print_lost(v);
    print_usage(v);
    print_locks(v);
    print_spans(v);
    print_pauses(v);
    return output_finish(0);
}
