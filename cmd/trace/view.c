/* Which part of a trace is asked for: a window of time, and threads. */
#include "cmd/trace/analysis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trace_view trace_view_all(const struct trace *t)
{
    return (struct trace_view){.t = t, .from_ns = t->start_ns, .to_ns = t->end_ns};
}

int64_t view_overlap(const struct trace_view *v, int64_t start_ns, int64_t end_ns)
{
    int64_t from = start_ns > v->from_ns ? start_ns : v->from_ns;
    int64_t to = end_ns < v->to_ns ? end_ns : v->to_ns;
    return to > from ? to - from : 0;
}

bool view_has(const struct trace_view *v, int64_t start_ns, int64_t end_ns)
{
    return start_ns <= v->to_ns && end_ns >= v->from_ns;
}

static bool is_number(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

bool view_thread(const struct trace_view *v, uint32_t thread)
{
    if (!v->thread)
        return true;
    if (thread == TRACE_NONE)
        return false;
    const struct trace_thread *t = &v->t->threads[thread];
    if (is_number(v->thread) && atol(v->thread) == t->tid)
        return true;
    return strstr(trace_text(v->t, t->name), v->thread) ||
           strstr(trace_text(v->t, t->start_function), v->thread);
}

bool view_track(const struct trace_view *v, uint32_t track)
{
    return view_thread(v, v->t->tracks[track].thread);
}

const char *thread_label(const struct trace *t, uint32_t thread)
{
    static char labels[4][96];
    static unsigned next;
    char *label = labels[next++ % 4];

    if (thread == TRACE_NONE)
        return "unknown";
    const char *name = trace_text(t, t->threads[thread].name);
    snprintf(label, sizeof labels[0], "%s %d", *name ? name : "thread", t->threads[thread].tid);
    return label;
}
