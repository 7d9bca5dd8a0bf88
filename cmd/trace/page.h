/* The page of bin/trace: its files, the trace in the form it takes, and the server that hands both
 * to a browser. serve.c is entered first; it asks columns.c for the data and asset.c for the files.
 */
#ifndef CMD_TRACE_PAGE_H
#define CMD_TRACE_PAGE_H

#include "cmd/trace/model.h"

/* ---- columns.c: the trace as columns of numbers ---------------------------------------------- */

struct page_data { /* zeroed: none */
    char *bytes;
    size_t size;
};

/* 0 or -ENOMEM. Free with free(out->bytes). */
int page_data_make(const struct trace *t, struct page_data *out);

/* ---- fill.c: what the columns hold ----------------------------------------------------------- */

struct page_columns; /* columns.c has it */

enum page_type { PAGE_U8, PAGE_U16, PAGE_U32, PAGE_F64 };

/* Room for n numbers, zeroed, at a multiple of 8; NULL: no memory. Valid until the next call. */
void *page_column(struct page_columns *c, const char *name, enum page_type type, size_t n);
/* 0 or -ENOMEM. */
int page_fill(const struct trace *t, struct page_columns *c);

/* ---- rows.c: slices in rows that do not overlap ---------------------------------------------- */

enum page_row_kind { PAGE_ROW_THREAD, PAGE_ROW_TASK, PAGE_ROW_GC, PAGE_ROW_OTHER };

enum { PAGE_DEPTH_MAX = 200 }; /* slices that lie deeper are left out */

struct page_row {
    uint8_t kind; /* enum page_row_kind */
    uint16_t depth;
    uint32_t owner, name; /* thread or track; string */
};

struct page_rows {
    struct page_row *rows;
    uint32_t *first; /* nrows + 1: into order */
    uint32_t nrows;
    uint32_t *order; /* the slices' numbers in the model, row after row, by start */
    uint32_t *place; /* where a slice of the model came to lie; TRACE_NONE: nowhere */
    uint32_t nplaced;
};

/* 0 or -ENOMEM. Free it in any case. */
int page_rows_make(const struct trace *t, struct page_rows *out);
void page_rows_free(struct page_rows *r);

/* ---- asset.c: the files of the page, in this program ----------------------------------------- */

struct page_asset {
    const char *name, *type;
    const char *bytes;
    size_t size;
};

/* NULL: there is no such file. "" is index.html. */
const struct page_asset *page_asset(const char *name);

/* ---- export.c: the files that the page offers ------------------------------------------------ */

/* Writes trace.json, sync.pprof, ... to fd. 0; -ENOENT: there is no file of that name; -ENODATA: it
 * would be empty; or what write(2) said. */
int page_export(const struct trace *t, const char *name, int fd);

/* ---- serve.c --------------------------------------------------------------------------------- */

struct page_options {
    const char *address; /* NULL: 127.0.0.1:18085 */
    bool open_browser;
};

/* Serves the page until SIGINT or SIGTERM. For programs: says on standard output where it is, and
 * on standard error why not. The status to exit with. */
int page_serve(const struct trace *t, const struct page_options *options);

#endif
