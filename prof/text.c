/* A snapshot as text for people: what Go's profiles give for debug=1.
 *
 * Three shapes, Go's to the letter, because tools read them: pprof has a parser for each ("legacy
 * profiles"). It takes every address for a return address and subtracts one, so the addresses of a
 * stack are written with one added; it scales heap samples up by their chance of being sampled, so
 * they are written as if that had not been done yet. Lines that start with # are for people. At the
 * end stands what Go has no need of: where the files are mapped, without which position-independent
 * code cannot be found again. Entered through prof_encode_text. */
#include "prof/memory.h"
#include "prof/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAB = 8 };

/* ---- stacks ---------------------------------------------------------------------------------- */

/* Columns are aligned by tabs, over a run of lines, as Go's tabwriter does it. */
static int column_width(int widest)
{
    return (widest + 1 + TAB - 1) / TAB * TAB;
}

static void put_tabs(FILE *f, int have, int width)
{
    for (; have < width; have = have / TAB * TAB + TAB)
        fputc('\t', f);
}

static int utf8_width(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static int hex_width(uint64_t value)
{
    return snprintf(NULL, 0, "0x%" PRIx64, value);
}

static int function_width(const struct prof_location *l, const struct prof_line *line)
{
    return utf8_width(line->function) + 1 + hex_width(l->pc - l->entry);
}

static void put_known(FILE *f, const struct prof_location *l, int pc_width, int function_column)
{
    for (int i = 0; i < l->nlines; i++) {
        const struct prof_line *line = &l->lines[i];
        fprintf(f, "#\t0x%" PRIxPTR, l->pc);
        put_tabs(f, hex_width(l->pc), pc_width);
        fputs(line->function, f);
        fprintf(f, "+0x%" PRIxPTR, l->pc - l->entry);
        put_tabs(f, function_width(l, line), function_column);
        fprintf(f, "%s:%" PRId64 "\n", line->file[0] ? line->file : "?", line->line);
    }
}

/* The resolved frames from *at on, up to the next that is not. */
static void put_run(FILE *f, const struct prof_symbols *symbols, const struct prof_sample *s,
                    uint32_t *at)
{
    int pc_width = 0, widest = 0;
    uint32_t end = *at;
    const struct prof_location *l;
    for (; end < s->npcs && (l = prof_symbols_find(symbols, s->pcs[end])) && l->nlines; end++) {
        pc_width = hex_width(l->pc) > pc_width ? hex_width(l->pc) : pc_width;
        for (int i = 0; i < l->nlines; i++)
            widest =
                function_width(l, &l->lines[i]) > widest ? function_width(l, &l->lines[i]) : widest;
    }
    for (; *at < end; ++*at)
        put_known(f, prof_symbols_find(symbols, s->pcs[*at]), column_width(pc_width),
                  column_width(widest));
}

static void put_stack(FILE *f, const struct prof_symbols *symbols, const struct prof_sample *s)
{
    for (uint32_t i = 0; i < s->npcs;) {
        const struct prof_location *l = prof_symbols_find(symbols, s->pcs[i]);
        if (l && l->nlines)
            put_run(f, symbols, s, &i);
        else
            fprintf(f, "#\t0x%" PRIxPTR "\n", s->pcs[i++]);
    }
    fputc('\n', f);
}

static void put_addresses(FILE *f, const struct prof_sample *s)
{
    fputs(" @", f);
    for (uint32_t i = 0; i < s->npcs; i++)
        fprintf(f, " 0x%" PRIxPTR, s->pcs[i] + 1);
    fputc('\n', f);
}

/* ---- labels ---------------------------------------------------------------------------------- */

void prof_text_quoted(FILE *f, const char *text)
{
    static const char named[] = "\a\b\f\n\r\t\v\"\\", letters[] = "abfnrtv\"\\";
    size_t size = strlen(text), length;
    fputc('"', f);
    for (size_t i = 0; i < size; i += length) {
        unsigned char c = (unsigned char)text[i];
        const char *at = strchr(named, c);
        length = prof_utf8_sequence((const unsigned char *)text + i, size - i);
        if (at)
            fprintf(f, "\\%c", letters[at - named]);
        else if (length == 0 || c < 0x20 || c == 0x7f)
            fprintf(f, "\\x%02x", c);
        else
            fprintf(f, "%.*s", (int)length, text + i);
        length = length ? length : 1;
    }
    fputc('"', f);
}

void prof_text_labels(FILE *f, const struct prof_labels *labels)
{
    fputc('{', f);
    for (uint32_t i = 0; i < labels->n; i++) {
        fputs(i ? ", " : "", f);
        prof_text_quoted(f, labels->labels[i].key);
        fputc(':', f);
        prof_text_quoted(f, labels->labels[i].value);
    }
    fputc('}', f);
}

static void put_labels(FILE *f, const struct prof_labels *labels)
{
    if (!labels || labels->n == 0)
        return;
    fputs("# labels: ", f);
    prof_text_labels(f, labels);
    fputc('\n', f);
}

/* ---- order ----------------------------------------------------------------------------------- */

/* The largest first by one value; equal ones by their stacks, so that two writings of one thing are
 * equal. */
static int compare(const struct prof_sample *a, const struct prof_sample *b, int value)
{
    if (a->values[value] != b->values[value])
        return a->values[value] > b->values[value] ? -1 : 1;
    for (uint32_t i = 0; i < a->npcs && i < b->npcs; i++)
        if (a->pcs[i] != b->pcs[i])
            return a->pcs[i] < b->pcs[i] ? -1 : 1;
    return (a->npcs > b->npcs) - (a->npcs < b->npcs);
}

static int by_inuse_bytes(const void *a, const void *b)
{
    return compare(a, b, 3);
}

static int by_delay(const void *a, const void *b)
{
    return compare(a, b, 1);
}

static int by_count(const void *a, const void *b)
{
    return compare(a, b, 0);
}

/* ---- heap ------------------------------------------------------------------------------------ */

struct sampled { /* before scaling up */
    int64_t count, bytes;
};

/* Undoes count / (1 - exp(-size / rate)): how many of this size were really seen. */
static struct sampled unscale(int64_t count, int64_t bytes, int64_t rate)
{
    if (count <= 0 || bytes <= 0)
        return (struct sampled){0};
    if (rate <= 1)
        return (struct sampled){count, bytes};
    double size = (double)bytes / (double)count;
    int64_t seen = llround((double)count * -expm1(-size / (double)rate));
    seen = seen > 0 ? seen : 1;
    return (struct sampled){seen, llround((double)seen * size)};
}

static void put_heap_values(FILE *f, struct sampled inuse, struct sampled alloc)
{
    fprintf(f, "%" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "]", inuse.count, inuse.bytes,
            alloc.count, alloc.bytes);
}

static void put_heap(FILE *f, const struct prof_snapshot *s, const struct prof_symbols *symbols)
{
    struct sampled inuse = {0}, alloc = {0};
    for (size_t i = 0; i < s->nsamples; i++) {
        const int64_t *v = s->samples[i].values;
        struct sampled a = unscale(v[0], v[1], s->period), u = unscale(v[2], v[3], s->period);
        alloc = (struct sampled){alloc.count + a.count, alloc.bytes + a.bytes};
        inuse = (struct sampled){inuse.count + u.count, inuse.bytes + u.bytes};
    }
    fputs("heap profile: ", f);
    put_heap_values(f, inuse, alloc);
    fprintf(f, " @ heap/%" PRId64 "\n", 2 * s->period);
    for (size_t i = 0; i < s->nsamples; i++) {
        const struct prof_sample *e = &s->samples[i];
        put_heap_values(f, unscale(e->values[2], e->values[3], s->period),
                        unscale(e->values[0], e->values[1], s->period));
        put_addresses(f, e);
        put_labels(f, e->labels);
        put_stack(f, symbols, e);
    }
    prof_memstats_put(f);
}

/* ---- counts, contention ---------------------------------------------------------------------- */

static void put_counts(FILE *f, const struct prof_snapshot *s, const struct prof_symbols *symbols)
{
    int64_t total = 0;
    for (size_t i = 0; i < s->nsamples; i++)
        total += s->samples[i].values[0];
    fprintf(f, "%s profile: total %" PRId64 "\n", s->about->name, total);
    for (size_t i = 0; i < s->nsamples; i++) {
        const struct prof_sample *e = &s->samples[i];
        fprintf(f, "%" PRId64, e->values[0]);
        put_addresses(f, e);
        put_labels(f, e->labels);
        put_stack(f, symbols, e);
    }
}

/* A cycle is a nanosecond here. The reader multiplies by the sampling period. */
static void put_contention(FILE *f, const struct prof_snapshot *s,
                           const struct prof_symbols *symbols)
{
    bool mutex = strcmp(s->about->name, "mutex") == 0;
    int64_t scale = s->sampling > 1 ? s->sampling : 1;
    fprintf(f, "--- %s:\ncycles/second=1000000000\n", mutex ? "mutex" : "contention");
    if (mutex)
        fprintf(f, "sampling period=%" PRId64 "\n", scale);
    else
        scale = 1;
    for (size_t i = 0; i < s->nsamples; i++) {
        const struct prof_sample *e = &s->samples[i];
        fprintf(f, "%" PRId64 " %" PRId64, e->values[1] / scale,
                (e->values[0] + scale - 1) / scale);
        put_addresses(f, e);
        put_labels(f, e->labels);
        put_stack(f, symbols, e);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void put_mappings(FILE *f, const struct prof_symbols *symbols)
{
    fputs("\n--- Memory map: ---\n", f);
    for (size_t i = 0; i < symbols->nmappings; i++) {
        const struct prof_mapping *m = &symbols->mappings[i];
        if (m->file[0])
            fprintf(f, "%" PRIxPTR "-%" PRIxPTR ": %s (@%" PRIx64 ") %s\n", m->start, m->end,
                    m->file, m->offset, m->build_id);
    }
}

static void put_all(FILE *f, struct prof_snapshot *sorted, const struct prof_symbols *symbols)
{
    static int (*const orders[])(const void *, const void *) = {
        [PROF_TEXT_HEAP] = by_inuse_bytes,
        [PROF_TEXT_COUNT] = by_count,
        [PROF_TEXT_CONTENTION] = by_delay,
    };
    enum prof_text shape = sorted->about->text;
    if (sorted->nsamples)
        qsort(sorted->samples, sorted->nsamples, sizeof sorted->samples[0], orders[shape]);
    if (shape == PROF_TEXT_HEAP)
        put_heap(f, sorted, symbols);
    else if (shape == PROF_TEXT_COUNT)
        put_counts(f, sorted, symbols);
    else
        put_contention(f, sorted, symbols);
    put_mappings(f, symbols);
}

/* In memory first: a stdio stream on fd would want to own it. */
static int write_text(struct prof_snapshot *sorted, const struct prof_symbols *symbols, int fd)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return -ENOMEM;
    put_all(f, sorted, symbols);
    bool failed = ferror(f) != 0;
    int err = fclose(f) != 0 || failed ? -ENOMEM : prof_write_all(fd, text, size);
    free(text);
    return err;
}

int prof_encode_text(const struct prof_snapshot *s, int fd)
{
    struct prof_symbols symbols;
    struct prof_snapshot sorted = *s; /* its own order: the snapshot is the caller's */
    size_t bytes = s->nsamples * sizeof *s->samples;
    int err = prof_snapshot_symbolize(s, &symbols);
    if (err)
        return err;
    sorted.samples = malloc(bytes ? bytes : 1);
    err = sorted.samples ? 0 : -ENOMEM;
    if (!err && bytes)
        memcpy(sorted.samples, s->samples, bytes);
    if (!err)
        err = write_text(&sorted, &symbols, fd);
    free(sorted.samples);
    prof_symbols_free(&symbols);
    return err;
}
