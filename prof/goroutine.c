/* The goroutine profile, which clients also ask for as "thread": every thread, with the stack that
 * it stands in.
 *
 * As profile.proto and as text by stack it is a list of counts, like any other; thread by thread
 * (debug=2) it is Go's stack dump, so that tools which read those can read this:
 *
 *     goroutine 4711 [sleeping, in epoll_wait, name "worker", labels {"endpoint":"/work/cpu"}]:
 *     serve(...)
 *             /home/me/server.c:81 +0x1d
 *     created by start_workers
 *             /home/me/server.c:40 +0x52
 *
 * dump.c takes the stacks. Entered through profile.c. */
#include "prof/internal.h"
#include "prof/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct prof_description description = {
    .name = "goroutine",
    .nvalues = 1,
    .values = {{"goroutine", "count"}},
    .period_type = {"goroutine", "count"},
    .text = PROF_TEXT_COUNT,
};

/* ---- counts by stack ------------------------------------------------------------------------- */

static size_t count_pcs(const struct prof_dump *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++)
        n += (size_t)d->threads[i].npcs;
    return n;
}

static int fill(const struct prof_source *self, struct prof_snapshot *s)
{
    (void)self;
    struct prof_dump *d = prof_dump_take();
    if (!d)
        return -ENOMEM;
    int rc = 0;
    s->period = 1;
    uintptr_t *pcs = s->memory = malloc((count_pcs(d) + 1) * sizeof *pcs);
    if (!pcs)
        rc = -ENOMEM;
    for (size_t i = 0; i < d->n && rc == 0; i++) {
        const struct prof_dump_thread *t = &d->threads[i];
        struct prof_sample sample = {
            .pcs = pcs, .npcs = (uint32_t)t->npcs, .labels = t->labels, .values = {1}};
        memcpy(pcs, t->pcs, (size_t)t->npcs * sizeof *pcs);
        pcs += t->npcs;
        rc = prof_snapshot_add(s, &sample);
    }
    prof_dump_free(d);
    return rc;
}

static int64_t count(const struct prof_source *self)
{
    (void)self;
    return prof_dump_count();
}

/* ---- thread by thread ------------------------------------------------------------------------ */

static const char *state_word(char state)
{
    switch (state) {
    case 'R':
        return "running";
    case 'S':
    case 'I':
        return "sleeping";
    case 'D':
        return "sleeping uninterruptibly";
    case 'T':
        return "stopped";
    case 't':
        return "stopped by a debugger";
    case 'Z':
    case 'X':
        return "exited";
    default:
        return "state unknown";
    }
}

/* In integers: a host with a language set has a comma in its decimals. */
static void put_duration(FILE *f, int64_t ns)
{
    long long us = ns > 0 ? ns / 1000 : 0, tenths = us / 100000;
    if (tenths >= 1200)
        fprintf(f, ", for %lld minutes", (tenths + 300) / 600);
    else if (tenths >= 10)
        fprintf(f, ", for %lld.%lld s", tenths / 10, tenths % 10);
    else
        fprintf(f, ", for %lld.%03lld ms", us / 1000, us % 1000);
}

/* What a hook knows is best: which lock, and since when. Else the kernel names the call. */
static void put_wait(FILE *f, const struct prof_dump_thread *t, int64_t now_ns)
{
    const char *name = prof_call_name(t->call.nr);
    if (t->wait_kind != PROF_WAIT_NONE) {
        fprintf(f, ", waiting: %s", prof_wait_name(t->wait_kind));
        if (t->wait_object)
            fprintf(f, " 0x%" PRIxPTR, (uintptr_t)t->wait_object);
        put_duration(f, now_ns - t->wait_since_ns);
    } else if (name) {
        fprintf(f, ", in %s", name);
    } else if (t->call.nr >= 0) {
        fprintf(f, ", in system call %ld", t->call.nr);
    }
}

static void put_header(FILE *f, const struct prof_dump_thread *t, int64_t now_ns)
{
    fprintf(f, "goroutine %d [%s", (int)t->tid, state_word(t->task.state));
    put_wait(f, t, now_ns);
    fputs(", name ", f);
    prof_text_quoted(f, t->task.name);
    if (t->labels && t->labels->n) {
        fputs(", labels ", f);
        prof_text_labels(f, t->labels);
    }
    if (t->missing)
        fprintf(f, ", %s: %s", t->whole ? "stack read from outside" : "stack not whole",
                t->missing);
    fputs("]:\n", f);
}

static void put_unknown(FILE *f, const struct prof_symbols *symbols, uintptr_t pc,
                        const struct prof_location *l)
{
    const struct prof_mapping *m = l && l->mapping >= 0 ? &symbols->mappings[l->mapping] : NULL;
    fprintf(f, "0x%" PRIxPTR "(...)\n\t%s:0", pc, m && m->file[0] ? m->file : "?");
    fprintf(f, " +0x%" PRIx64 "\n", m ? pc - m->start + m->offset : 0);
}

/* `before` and `after` stand around the first function: "created by " and nothing, or nothing and
 * "(...)". */
static void put_frame(FILE *f, const struct prof_symbols *symbols, uintptr_t pc, const char *before,
                      const char *after)
{
    const struct prof_location *l = prof_symbols_find(symbols, pc);
    if (!l || l->nlines == 0)
        put_unknown(f, symbols, pc, l);
    for (int i = 0; l && i < l->nlines; i++) {
        const struct prof_line *line = &l->lines[i];
        fprintf(f, "%s%s%s\n", i ? "" : before, line->function, i ? "(...)" : after);
        fprintf(f, "\t%s:%" PRId64 " +0x%" PRIxPTR "\n", line->file[0] ? line->file : "?",
                line->line, pc - l->entry);
    }
}

static void put_thread(FILE *f, const struct prof_symbols *symbols,
                       const struct prof_dump_thread *t, int64_t now_ns)
{
    put_header(f, t, now_ns);
    for (int i = 0; i < t->npcs; i++)
        put_frame(f, symbols, t->pcs[i], "", "(...)");
    for (uint32_t i = 0; t->creator && i < t->creator->npcs; i++)
        put_frame(f, symbols, t->creator->pcs[i], i ? "" : "created by ", i ? "(...)" : "");
}

static int symbolize(const struct prof_dump *d, struct prof_symbols *out)
{
    size_t n = count_pcs(d);
    for (size_t i = 0; i < d->n; i++)
        n += d->threads[i].creator ? d->threads[i].creator->npcs : 0;
    uintptr_t *pcs = malloc((n + 1) * sizeof *pcs);
    if (!pcs)
        return -ENOMEM;
    n = 0;
    for (size_t i = 0; i < d->n; i++) {
        const struct prof_dump_thread *t = &d->threads[i];
        memcpy(pcs + n, t->pcs, (size_t)t->npcs * sizeof *pcs);
        n += (size_t)t->npcs;
        if (t->creator)
            memcpy(pcs + n, t->creator->pcs, t->creator->npcs * sizeof *pcs);
        n += t->creator ? t->creator->npcs : 0;
    }
    int rc = prof_symbolize(pcs, n, out);
    free(pcs);
    return rc;
}

static int write_threads(const struct prof_dump *d, const struct prof_symbols *symbols, int fd)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return -ENOMEM;
    for (size_t i = 0; i < d->n; i++) {
        put_thread(f, symbols, &d->threads[i], d->taken_ns);
        fputs(i + 1 < d->n ? "\n" : "", f);
    }
    int rc = fclose(f) != 0 ? -ENOMEM : prof_write_all(fd, text, size);
    free(text);
    return rc;
}

static int write_detail(int fd)
{
    struct prof_symbols symbols;
    struct prof_dump *d = prof_dump_take();
    if (!d)
        return -ENOMEM;
    int rc = symbolize(d, &symbols);
    if (rc == 0) {
        rc = write_threads(d, &symbols, fd);
        prof_symbols_free(&symbols);
    }
    prof_dump_free(d);
    return rc;
}

const struct prof_source prof_source_goroutine = {
    .about = &description, .fill = fill, .count = count, .write_detail = write_detail};
