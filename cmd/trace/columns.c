/* The trace as the page takes it: columns of numbers which the browser uses where they lie, so that
 * a million events need no parsing there. The order is
 *
 *   "ctrace1\n", the JSON's offset (8 bytes), its size (8 bytes), the columns, the JSON
 *
 * and the JSON says of each column its type, offset and length, beside what there is but one of.
 * Numbers are little-endian, times are nanoseconds since the trace began. What the columns hold is
 * in fill.c. */
#include "cmd/trace/page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 96, HEADER_BYTES = 24 };

struct page_columns {
    char *bytes;
    size_t size, capacity;
    struct column {
        const char *name;
        enum page_type type;
        size_t offset, n;
    } columns[COLUMNS_MAX];
    int ncolumns;
    bool failed;
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the page reads little-endian columns");

static bool grow(struct page_columns *c, size_t more)
{
    size_t capacity = c->capacity ? c->capacity : 1 << 20;

    while (capacity - c->size < more)
        capacity *= 2;
    char *bytes = c->failed ? NULL : realloc(c->bytes, capacity);
    if (!bytes) {
        c->failed = true;
        return false;
    }
    c->bytes = bytes;
    c->capacity = capacity;
    return true;
}

void *page_column(struct page_columns *c, const char *name, enum page_type type, size_t n)
{
    static const size_t widths[] = {[PAGE_U8] = 1, [PAGE_U16] = 2, [PAGE_U32] = 4, [PAGE_F64] = 8};
    const size_t bytes = (n * widths[type] + 7) / 8 * 8;

    if (c->ncolumns == COLUMNS_MAX || !grow(c, bytes))
        return NULL;
    c->columns[c->ncolumns++] = (struct column){name, type, c->size, n};
    char *at = c->bytes + c->size;
    memset(at, 0, bytes);
    c->size += bytes;
    return at;
}

/* ---- the description ------------------------------------------------------------------------- */

/* The model's strings are UTF-8; JSON wants quotes, backslashes and control characters escaped. */
static void put_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++)
        if (*s == '"' || *s == '\\' || (unsigned char)*s < 0x20)
            fprintf(f, "\\u%04x", (unsigned char)*s);
        else
            fputc(*s, f);
    fputc('"', f);
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "";
}

static void put_notices(FILE *f, const struct trace *t)
{
    fputs(",\"notices\":[", f);
    for (uint32_t i = 0; i < t->nnotices; i++) {
        fputs(i ? "," : "", f);
        put_string(f, trace_text(t, t->notices[i].text));
    }
    fputs("]", f);
}

static void put_columns(FILE *f, const struct page_columns *c)
{
    static const char *const types[] = {
        [PAGE_U8] = "u8", [PAGE_U16] = "u16", [PAGE_U32] = "u32", [PAGE_F64] = "f64"};

    fputs(",\"columns\":{", f);
    for (int i = 0; i < c->ncolumns; i++)
        fprintf(f, "%s\"%s\":[\"%s\",%zu,%zu]", i ? "," : "", c->columns[i].name,
                types[c->columns[i].type], c->columns[i].offset, c->columns[i].n);
    fputs("}", f);
}

static void put_description(FILE *f, const struct trace *t, const struct page_columns *c)
{
    fputs("{\"file\":", f);
    put_string(f, base_name(t->path));
    fputs(",\"process\":", f);
    put_string(f, trace_text(t, t->process_name));
    fprintf(f,
            ",\"pid\":%d,\"file_bytes\":%" PRIu64 ",\"events\":%" PRIu64 ",\"duration_ns\":%" PRId64
            ",\"wall_ms\":%" PRId64 ",\"switches\":%s",
            t->pid, t->file_bytes, t->events, t->end_ns - t->start_ns, t->wall_ns / 1000000,
            t->has_sched ? "true" : "false");
    put_notices(f, t);
    put_columns(f, c);
    fputs("}", f);
}

/* The JSON after the columns, and where it is into the header. */
static bool finish(struct page_columns *c, const struct trace *t)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (f)
        put_description(f, t, c);
    if (!f || fclose(f) != 0 || !grow(c, size)) {
        free(text);
        return false;
    }
    memcpy(c->bytes, "ctrace1\n", 8);
    memcpy(c->bytes + 8, &(uint64_t){c->size}, 8);
    memcpy(c->bytes + 16, &(uint64_t){size}, 8);
    memcpy(c->bytes + c->size, text, size);
    c->size += size;
    free(text);
    return true;
}

int page_data_make(const struct trace *t, struct page_data *out)
{
    struct page_columns *c = calloc(1, sizeof *c);
    int err = -ENOMEM;

    if (c && grow(c, HEADER_BYTES)) {
        c->size = HEADER_BYTES;
        err = page_fill(t, c);
    }
    if (!err && (c->failed || !finish(c, t)))
        err = -ENOMEM;
    if (!err)
        *out = (struct page_data){c->bytes, c->size};
    else if (c)
        free(c->bytes);
    free(c);
    return err;
}
