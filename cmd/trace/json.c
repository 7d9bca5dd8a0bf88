/* Chrome's Trace Event format, for viewers that do not read Perfetto's:
 * https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. Times are
 * microseconds. CPUs are threads of a process of their own, so that they lie beside one another. */
#include "cmd/trace/analysis.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Numbers that stand for what has no tid. */
enum { CPUS_PID = 0, TRACK_TID = 1 << 23 };

struct json {
    FILE *f;
    const struct trace_view *v;
    const struct trace *t;
    bool comma;
};

static void put_part(struct json *j, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(j->f, "\\%c", *c);
        else if (*c < ' ')
            fprintf(j->f, "\\u%04x", *c);
        else
            fputc(*c, j->f);
    }
}

static void put_text(struct json *j, const char *text)
{
    fputc('"', j->f);
    put_part(j, text);
    fputc('"', j->f);
}

/* Nanoseconds since the trace's start, as microseconds. */
static void put_time(struct json *j, const char *key, int64_t ns)
{
    fprintf(j->f, ",\"%s\":%" PRId64 ".%03d", key, ns / 1000, (int)(ns % 1000));
}

static void put_begin(struct json *j, const char *phase, int32_t pid, int64_t tid)
{
    fprintf(j->f, "%s{\"ph\":\"%s\",\"pid\":%d,\"tid\":%" PRId64, j->comma ? ",\n" : "", phase, pid,
            tid);
    j->comma = true;
}

static void put_name(struct json *j, const char *name)
{
    fputs(",\"name\":", j->f);
    put_text(j, name);
}

static void put_category(struct json *j, uint32_t category)
{
    const char *text = trace_text(j->t, category);
    fputs(",\"cat\":", j->f);
    put_text(j, *text ? text : "none");
}

/* ---- names ----------------------------------------------------------------------------------- */

static void put_meta(struct json *j, const char *what, int32_t pid, int64_t tid, const char *name)
{
    put_begin(j, "M", pid, tid);
    put_name(j, what);
    fputs(",\"args\":{\"name\":", j->f);
    put_text(j, name);
    fputs("}}", j->f);
}

static int32_t pid_of(const struct json *j, const struct trace_track *track)
{
    return track->thread != TRACE_NONE ? j->t->threads[track->thread].pid : j->t->pid;
}

static int64_t tid_of(const struct json *j, const struct trace_track *track)
{
    return track->thread != TRACE_NONE ? j->t->threads[track->thread].tid
                                       : TRACK_TID + (track - j->t->tracks);
}

static void put_names(struct json *j)
{
    const struct trace *t = j->t;
    char name[32];

    put_meta(j, "process_name", t->pid, 0, trace_text(t, t->process_name));
    for (uint32_t i = 0; i < t->nthreads; i++)
        if (view_thread(j->v, i))
            put_meta(j, "thread_name", t->threads[i].pid, t->threads[i].tid,
                     trace_text(t, t->threads[i].name));
    for (uint32_t i = 0; i < t->ntracks; i++)
        if (t->tracks[i].thread == TRACE_NONE && t->tracks[i].kind != TRACE_TRACK_TASK &&
            t->tracks[i].slices.n && view_track(j->v, i))
            put_meta(j, "thread_name", t->pid, tid_of(j, &t->tracks[i]),
                     trace_text(t, t->tracks[i].name));
    if (t->ncpus)
        put_meta(j, "process_name", CPUS_PID, 0, "CPUs");
    for (uint32_t i = 0; i < t->ncpus; i++) {
        snprintf(name, sizeof name, "CPU %u", t->cpus[i].number);
        put_meta(j, "thread_name", CPUS_PID, t->cpus[i].number, name);
    }
}

/* ---- arguments ------------------------------------------------------------------------------- */

static void put_key(struct json *j, bool *first, const char *key)
{
    fputs(*first ? ",\"args\":{" : ",", j->f);
    *first = false;
    put_text(j, key);
    fputc(':', j->f);
}

static void put_arg(struct json *j, bool *first, const struct trace_arg *a)
{
    put_key(j, first, trace_text(j->t, a->name));
    if (a->type == TRACE_ARG_TEXT)
        put_text(j, trace_text(j->t, a->text));
    else if (a->type == TRACE_ARG_INT)
        fprintf(j->f, "%" PRId64, a->sint);
    else if (a->type == TRACE_ARG_UINT)
        fprintf(j->f, "%" PRIu64, a->uint);
    else if (isfinite(a->real))
        fprintf(j->f, "%.17g", a->real);
    else
        fputs("null", j->f);
}

static void put_args(struct json *j, bool *first, uint32_t args)
{
    if (args == TRACE_NONE)
        return;
    do
        put_arg(j, first, &j->t->args[args]);
    while (!j->t->args[args++].last);
}

/* Innermost first, as "function (file:line)". */
static void put_stack(struct json *j, bool *first, uint32_t stack)
{
    const struct trace_stack *s = &j->t->stacks[stack];

    if (!s->n)
        return;
    put_key(j, first, "stack");
    for (uint32_t i = 0; i < s->n; i++) {
        const struct trace_frame *f = &j->t->frames[j->t->stack_frames[s->first + i]];
        const char *file = trace_text(j->t, f->file);
        fputs(i ? ",\"" : "[\"", j->f);
        put_part(j, trace_text(j->t, f->function));
        if (*file) {
            fputs(" (", j->f);
            put_part(j, file);
            fprintf(j->f, ":%u)", f->line);
        }
        fputc('"', j->f);
    }
    fputc(']', j->f);
}

static void put_thread(struct json *j, bool *first, const char *key, uint32_t thread)
{
    if (thread == TRACE_NONE)
        return;
    put_key(j, first, key);
    put_text(j, thread_label(j->t, thread));
}

static void put_value(struct json *j, bool *first, const struct trace_slice *s)
{
    static const char *const keys[] = {
        [TRACE_SLICE_OTHER] = "value", [TRACE_SLICE_BLOCK] = "lock", [TRACE_SLICE_SYSCALL] = "fd",
        [TRACE_SLICE_REGION] = "task", [TRACE_SLICE_TASK] = "task",  [TRACE_SLICE_GC] = "number",
        [TRACE_SLICE_STOP] = "number",
    };
    if (!(s->flags & TRACE_HAS_VALUE) || (s->kind == TRACE_SLICE_BLOCK && !slice_has_lock(j->t, s)))
        return;
    put_key(j, first, keys[s->kind]);
    fprintf(j->f, s->kind == TRACE_SLICE_BLOCK ? "\"0x%" PRIx64 "\"" : "%" PRIu64, s->value);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void put_slice_rest(struct json *j, const struct trace_slice *s)
{
    bool first = true;

    put_name(j, trace_text(j->t, s->name));
    put_category(j, s->category);
    put_value(j, &first, s);
    put_thread(j, &first, "holder", s->holder);
    put_thread(j, &first, "woken_by", s->waker);
    put_args(j, &first, s->args);
    put_stack(j, &first, s->stack);
    fputs(first ? "}" : "}}", j->f);
}

/* Tasks overlap as they like: a beginning and an end with the same id. */
static void put_task(struct json *j, const struct trace_slice *s)
{
    for (int end = 0; end < 2; end++) {
        put_begin(j, end ? "e" : "b", j->t->pid, j->t->pid);
        put_time(j, "ts", (end ? s->end_ns : s->start_ns) - j->t->start_ns);
        fprintf(j->f, ",\"id\":%" PRIu64, s->value);
        put_slice_rest(j, s);
    }
}

static void put_slice(struct json *j, const struct trace_slice *s)
{
    const struct trace_track *track = &j->t->tracks[s->track];

    if (!view_has(j->v, s->start_ns, s->end_ns) || !view_track(j->v, s->track))
        return;
    if (s->kind == TRACE_SLICE_TASK) {
        put_task(j, s);
        return;
    }
    put_begin(j, "X", pid_of(j, track), tid_of(j, track));
    put_time(j, "ts", s->start_ns - j->t->start_ns);
    put_time(j, "dur", s->end_ns - s->start_ns);
    put_slice_rest(j, s);
}

static void put_instant_value(struct json *j, bool *first, const struct trace_instant *i)
{
    if (i->kind == TRACE_INSTANT_WAKE && i->value) {
        put_key(j, first, "lock");
        fprintf(j->f, "\"0x%" PRIx64 "\"", i->value);
    } else if (i->kind == TRACE_INSTANT_LOG && i->value) {
        put_key(j, first, "task");
        fprintf(j->f, "%" PRIu64, i->value);
    } else if (i->kind == TRACE_INSTANT_START && j->t->tracks[i->track].thread != TRACE_NONE) {
        const struct trace_thread *t = &j->t->threads[j->t->tracks[i->track].thread];
        put_key(j, first, "start_function");
        put_text(j, trace_text(j->t, t->start_function));
        put_thread(j, first, "creator", t->creator);
    }
}

static void put_instant(struct json *j, const struct trace_instant *i)
{
    const struct trace_track *track = &j->t->tracks[i->track];
    bool first = true;

    if (!view_has(j->v, i->ns, i->ns) || !view_track(j->v, i->track))
        return;
    put_begin(j, "i", pid_of(j, track), tid_of(j, track));
    put_time(j, "ts", i->ns - j->t->start_ns);
    put_name(j, trace_text(j->t, i->name));
    put_category(j, i->category);
    fputs(track->thread != TRACE_NONE ? ",\"s\":\"t\"" : ",\"s\":\"p\"", j->f);
    put_instant_value(j, &first, i);
    put_args(j, &first, i->args);
    put_stack(j, &first, i->stack);
    fputs(first ? "}" : "}}", j->f);
}

static void put_flow_end(struct json *j, const char *phase, uint32_t id, uint32_t track, int64_t ns)
{
    const struct trace_track *at = &j->t->tracks[track];

    put_begin(j, phase, pid_of(j, at), tid_of(j, at));
    put_time(j, "ts", ns - j->t->start_ns);
    fprintf(j->f, ",\"id\":%u,\"name\":\"wakes\",\"cat\":\"wake\"%s}", id,
            phase[0] == 'f' ? ",\"bp\":\"e\"" : "");
}

/* An arrow ends in the slice around its moment, so it ends a little before that slice does. */
static void put_flow(struct json *j, uint32_t i)
{
    const struct trace_flow *f = &j->t->flows[i];

    if (!view_has(j->v, f->from_ns, f->to_ns) || !view_track(j->v, f->from_track) ||
        !view_track(j->v, f->to_track))
        return;
    put_flow_end(j, "s", i + 1, f->from_track, f->from_ns);
    put_flow_end(j, "f", i + 1, f->to_track, f->to_ns > f->from_ns ? f->to_ns - 1 : f->to_ns);
}

static void put_run(struct json *j, const struct trace_run *r)
{
    if (!view_has(j->v, r->start_ns, r->end_ns) || !view_thread(j->v, r->thread))
        return;
    put_begin(j, "X", CPUS_PID, j->t->cpus[r->cpu].number);
    put_time(j, "ts", r->start_ns - j->t->start_ns);
    put_time(j, "dur", r->end_ns - r->start_ns);
    put_name(j, thread_label(j->t, r->thread));
    fprintf(j->f, ",\"cat\":\"sched\",\"args\":{\"end\":\"%s\"}}",
            r->end == TRACE_RUN_PREEMPTED ? "preempted"
            : r->end == TRACE_RUN_BLOCKED ? "blocked"
                                          : "unknown");
}

static void put_counter(struct json *j, const struct trace_counter *c)
{
    for (uint32_t i = c->values.first; i < c->values.first + c->values.n; i++) {
        const struct trace_value *v = &j->t->values[i];
        if (!view_has(j->v, v->ns, v->ns) || !isfinite(v->value))
            continue;
        put_begin(j, "C", j->t->pid, 0);
        put_time(j, "ts", v->ns - j->t->start_ns);
        put_name(j, trace_text(j->t, c->name));
        fprintf(j->f, ",\"args\":{\"value\":%.17g}}", v->value);
    }
}

static void put_all(struct json *j)
{
    const struct trace *t = j->t;

    fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", j->f);
    put_names(j);
    for (uint32_t i = 0; i < t->nruns; i++)
        put_run(j, &t->runs[i]);
    for (uint32_t i = 0; i < t->nslices; i++)
        put_slice(j, &t->slices[i]);
    for (uint32_t i = 0; i < t->ninstants; i++)
        put_instant(j, &t->instants[i]);
    for (uint32_t i = 0; i < t->nflows; i++)
        put_flow(j, i);
    for (uint32_t i = 0; i < t->ncounters; i++)
        put_counter(j, &t->counters[i]);
    fputs("\n]}\n", j->f);
}

int trace_write_json(const struct trace_view *v, int fd)
{
    int copy = dup(fd), err = 0;

    if (copy < 0)
        return -errno;
    struct json j = {.f = fdopen(copy, "w"), .v = v, .t = v->t};
    if (!j.f) {
        close(copy);
        return -ENOMEM;
    }
    errno = 0;
    put_all(&j);
    if (fflush(j.f) || ferror(j.f))
        err = errno ? -errno : -EIO;
    if (fclose(j.f) && !err)
        err = -errno;
    return err;
}
