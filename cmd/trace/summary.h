/* The tables of -summary: each of these prints a part, or nothing when the trace has nothing of it.
 * summary.c puts them in order. */
#ifndef CMD_TRACE_SUMMARY_H
#define CMD_TRACE_SUMMARY_H

#include "cmd/trace/analysis.h"

/* ---- grid.c: text for people ----------------------------------------------------------------- */

/* A table whose columns are as wide as their cells. */
struct grid {
    char *text; /* every cell, each with its end */
    size_t size, capacity;
    uint32_t ncells;
    int ncolumns;
};

/* headers: "<left|right|right": a column each, aligned to the right unless it begins with '<'. */
void grid_begin(struct grid *g, const char *headers);
void grid_cell(struct grid *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
void grid_time(struct grid *g, int64_t ns);
void grid_share(struct grid *g, int64_t part, int64_t whole);
/* Prints it, but for columns that have nothing but "-", and forgets it. */
void grid_end(struct grid *g);

/* "12.3ms"; in a buffer that is used again eight calls later. */
const char *time_text(int64_t ns);
/* A name as it can stand in a line: without control characters, which would move a terminal's
 * cursor or break the line, and cut after 64 characters. In a buffer that is used again eight calls
 * later. */
const char *plain(const char *text);
/* A headline, with an empty line above. */
void heading(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As many '#' as `part` is of `whole`, at most `width`; one at least for what is not 0. */
const char *bar(int64_t part, int64_t whole, int width);

/* ---- how many, and how long -------------------------------------------------------------------
 */

struct tally {
    uint64_t n;
    int64_t sum_ns, min_ns, max_ns;
};

static inline void tally_add(struct tally *t, int64_t ns)
{
    if (t->n == 0 || ns < t->min_ns)
        t->min_ns = ns;
    if (t->n == 0 || ns > t->max_ns)
        t->max_ns = ns;
    t->sum_ns = add_ns(t->sum_ns, ns);
    t->n++;
}

static inline int64_t tally_mean(const struct tally *t)
{
    return t->n ? t->sum_ns / (int64_t)t->n : 0;
}

/* ---- the parts ------------------------------------------------------------------------------- */

void print_threads(const struct trace_view *v); /* times.c */
void print_lost(const struct trace_view *v);    /* lost.c: threads that never run again */
void print_locks(const struct trace_view *v);   /* locks.c */
void print_spans(const struct trace_view *v);   /* spans.c: tasks and regions */
void print_usage(const struct trace_view *v);   /* usage.c: CPUs and parallelism */
void print_pauses(const struct trace_view *v);  /* pauses.c: collections */

/* All of it, on standard output. The exit status. */
int summary_print(const struct trace_view *v);

#endif
