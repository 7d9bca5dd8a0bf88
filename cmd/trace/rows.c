/* Puts slices into rows in which no two overlap, sorted by start, because that is what the page can
 * search by halving: a row for each depth of a thread or track; tasks, each of which has a track of
 * its own, share rows with those that begin after they end. Entered through page_rows_make. */
#include "cmd/trace/page.h"

#include <errno.h>
#include <stdlib.h>

/* ---- counting rows --------------------------------------------------------------------------- */

/* Rows of a track: one more than its deepest slice. */
static uint32_t depth_of(const struct trace *t, const struct trace_track *track)
{
    uint32_t deepest = 0;

    if (track->slices.n == 0)
        return 0;
    for (uint32_t i = 0; i < track->slices.n; i++) {
        uint32_t depth = t->slices[track->slices.first + i].depth;
        if (depth > deepest && depth < PAGE_DEPTH_MAX)
            deepest = depth;
    }
    return deepest + 1;
}

static enum page_row_kind row_kind(const struct trace_track *track)
{
    if (track->kind == TRACE_TRACK_THREAD && track->thread != TRACE_NONE)
        return PAGE_ROW_THREAD;
    if (track->kind == TRACE_TRACK_TASK)
        return PAGE_ROW_TASK;
    return track->kind == TRACE_TRACK_GC ? PAGE_ROW_GC : PAGE_ROW_OTHER;
}

/* ---- tasks: as few rows as there are tasks at one time --------------------------------------- */

struct packing {
    const struct trace *t;
    uint32_t *slices; /* of tasks, by start */
    uint32_t n;
    struct open_row { /* a heap, the row that is free first on top */
        int64_t free_ns;
        uint32_t row;
    } * heap;
    uint32_t nheap;
};

static int by_start(const void *a, const void *b, void *arg)
{
    const struct trace_slice *slices = arg;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;

    if (slices[i].start_ns != slices[k].start_ns)
        return slices[i].start_ns < slices[k].start_ns ? -1 : 1;
    return (i > k) - (i < k);
}

/* The top gets another time and sinks to where it belongs. */
static void sink(struct packing *p, int64_t free_ns)
{
    const struct open_row moved = {free_ns, p->heap[0].row};
    uint32_t at = 0, child;

    while ((child = 2 * at + 1) < p->nheap) {
        if (child + 1 < p->nheap && p->heap[child + 1].free_ns < p->heap[child].free_ns)
            child++;
        if (p->heap[child].free_ns >= free_ns)
            break;
        p->heap[at] = p->heap[child];
        at = child;
    }
    p->heap[at] = moved;
}

static void rise(struct packing *p, struct open_row added)
{
    uint32_t at = p->nheap++;

    while (at > 0 && p->heap[(at - 1) / 2].free_ns > added.free_ns) {
        p->heap[at] = p->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    p->heap[at] = added;
}

static void pack(struct packing *p, uint32_t *row_of)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct trace_slice *s = &p->t->slices[p->slices[i]];
        if (p->nheap && p->heap[0].free_ns <= s->start_ns) {
            row_of[p->slices[i]] = p->heap[0].row;
            sink(p, s->end_ns);
        } else {
            row_of[p->slices[i]] = p->nheap;
            rise(p, (struct open_row){s->end_ns, p->nheap});
        }
    }
}

/* Gives the slices of tasks rows from 0; returns how many rows, or -ENOMEM. */
static int64_t pack_tasks(const struct trace *t, uint32_t *row_of)
{
    struct packing p = {.t = t,
                        .slices = malloc((t->nslices + 1) * sizeof *p.slices),
                        .heap = malloc((t->nslices + 1) * sizeof *p.heap)};
    int64_t rows = -ENOMEM;

    if (p.slices && p.heap) {
        for (uint32_t i = 0; i < t->nslices; i++)
            if (row_kind(&t->tracks[t->slices[i].track]) == PAGE_ROW_TASK)
                p.slices[p.n++] = i;
        qsort_r(p.slices, p.n, sizeof *p.slices, by_start, t->slices);
        pack(&p, row_of);
        rows = p.nheap;
    }
    free(p.slices);
    free(p.heap);
    return rows;
}

/* ---- the rows -------------------------------------------------------------------------------- */

static void add_row(struct page_rows *r, enum page_row_kind kind, uint32_t owner, uint32_t depth,
                    uint32_t name)
{
    r->rows[r->nrows++] = (struct page_row){kind, (uint16_t)depth, owner, name};
}

/* The rows of one track, and which of them each of its slices lies in. */
static void add_track(const struct trace *t, uint32_t index, struct page_rows *r, uint32_t *row_of)
{
    const struct trace_track *track = &t->tracks[index];
    const enum page_row_kind kind = row_kind(track);
    const uint32_t depth = depth_of(t, track), base = r->nrows;

    if (kind == PAGE_ROW_TASK)
        return;
    for (uint32_t d = 0; d < depth; d++)
        add_row(r, kind, kind == PAGE_ROW_THREAD ? track->thread : index, d, track->name);
    for (uint32_t i = 0; i < track->slices.n; i++) {
        const uint32_t slice = track->slices.first + i, d = t->slices[slice].depth;
        row_of[slice] = d < PAGE_DEPTH_MAX ? base + d : TRACE_NONE;
    }
}

/* Counting sort: the slices of a track are sorted by start, so they are within each of its rows;
 * tasks come sorted. */
static void place(const struct trace *t, struct page_rows *r, const uint32_t *row_of,
                  uint32_t *next)
{
    for (uint32_t i = 0; i < t->nslices; i++)
        if (row_of[i] != TRACE_NONE)
            r->first[row_of[i] + 1]++;
    for (uint32_t k = 0; k < r->nrows; k++) {
        r->first[k + 1] += r->first[k];
        next[k] = r->first[k];
    }
    for (uint32_t i = 0; i < t->nslices; i++) {
        r->place[i] = TRACE_NONE;
        if (row_of[i] == TRACE_NONE)
            continue;
        r->place[i] = next[row_of[i]]++;
        r->order[r->place[i]] = i;
    }
    r->nplaced = r->first[r->nrows];
}

/* The slices of tasks lie in the order of their tracks, which is not always that of time. */
static void sort_tasks(const struct trace *t, struct page_rows *r, uint32_t task_rows)
{
    for (uint32_t k = 0; k < task_rows; k++)
        qsort_r(r->order + r->first[k], r->first[k + 1] - r->first[k], sizeof *r->order, by_start,
                t->slices);
    for (uint32_t i = 0; i < r->first[task_rows]; i++)
        r->place[r->order[i]] = i;
}

static size_t count_rows(const struct trace *t, size_t task_rows)
{
    size_t n = task_rows;

    for (uint32_t i = 0; i < t->ntracks; i++)
        if (row_kind(&t->tracks[i]) != PAGE_ROW_TASK)
            n += depth_of(t, &t->tracks[i]);
    return n;
}

/* Everything of the result that has a size known by now. */
static bool reserve(struct page_rows *r, size_t nrows, size_t nslices, uint32_t **next)
{
    r->rows = calloc(nrows + 1, sizeof *r->rows);
    r->first = calloc(nrows + 2, sizeof *r->first);
    r->order = calloc(nslices + 1, sizeof *r->order);
    r->place = calloc(nslices + 1, sizeof *r->place);
    *next = calloc(nrows + 1, sizeof **next);
    return r->rows && r->first && r->order && r->place && *next;
}

int page_rows_make(const struct trace *t, struct page_rows *r)
{
    uint32_t *row_of = malloc((t->nslices + 1) * sizeof *row_of), *next = NULL;
    int64_t task_rows = row_of ? pack_tasks(t, row_of) : -ENOMEM;

    *r = (struct page_rows){0};
    if (task_rows < 0 || !reserve(r, count_rows(t, (size_t)task_rows), t->nslices, &next)) {
        free(row_of);
        free(next);
        return -ENOMEM;
    }
    for (int64_t k = 0; k < task_rows; k++)
        add_row(r, PAGE_ROW_TASK, TRACE_NONE, (uint32_t)k, 0);
    for (uint32_t i = 0; i < t->ntracks; i++)
        add_track(t, i, r, row_of);
    place(t, r, row_of, next);
    sort_tasks(t, r, (uint32_t)task_rows);
    free(row_of);
    free(next);
    return 0;
}

void page_rows_free(struct page_rows *r)
{
    free(r->rows);
    free(r->first);
    free(r->order);
    free(r->place);
    *r = (struct page_rows){0};
}
