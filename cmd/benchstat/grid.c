// grid.c: text in columns as narrow as their cells allow.
//
// A cell may span columns, and has a left margin that separates it from the one before. Widths
// count characters. A span that is too wide for its columns widens all of them that may stretch,
// the narrowest first. Rows end with their last cell that is not blank.

#include "cmd/benchstat/benchstat.h"

#include <stdlib.h>
#include <string.h>

struct grid_cell {
    uint32_t row, col, span, align;
    size_t text; // where it begins in the grid's text
    uint32_t length, width;
    const char *margin;
};

static str text_of(const struct grid *g, const struct grid_cell *c)
{
    return (str){g->text + c->text, c->length};
}

static long margin_width(const struct grid_cell *c)
{
    return *c->margin ? (long)rune_count((str){c->margin, strlen(c->margin)}) : 0;
}

// ---- building -------------------------------------------------------------------------------

void grid_row(struct grid *g)
{
    if (g->n > 0)
        g->row++;
    g->col = 0;
}

static size_t keep_text(struct grid *g, str text)
{
    if (g->n_text + text.n > g->text_capacity)
        g->text = mem_grow(g->text, g->text_capacity = (g->n_text + text.n) * 2 + 1024);
    if (text.n)
        memcpy(g->text + g->n_text, text.s, text.n);
    g->n_text += text.n;
    return g->n_text - text.n;
}

// With margin NULL: one space, but none at the left edge or before nothing.
void grid_span(struct grid *g, size_t span, str text, enum align align, const char *margin)
{
    if (g->n == g->capacity)
        g->cells = mem_grow(g->cells, (g->capacity = g->capacity * 2 + 64) * sizeof *g->cells);
    if (!margin)
        margin = g->col == 0 || text.n == 0 ? "" : " ";
    g->cells[g->n++] = (struct grid_cell){
        .row = (uint32_t)g->row,
        .col = (uint32_t)g->col,
        .span = (uint32_t)span,
        .align = align,
        .text = keep_text(g, text),
        .length = (uint32_t)text.n,
        .width = (uint32_t)rune_count(text),
        .margin = margin,
    };
    g->col += span;
    if (g->col > g->n_cols)
        g->n_cols = g->col;
}

void grid_reset(struct grid *g)
{
    g->n = g->n_text = g->row = g->col = g->n_cols = g->n_shrink = 0;
}

void grid_cell(struct grid *g, str text, enum align align)
{
    grid_span(g, 1, text, align, NULL);
}

// A column that no spanning cell may widen.
void grid_shrink(struct grid *g, size_t col)
{
    while (g->n_shrink <= col) {
        if ((g->n_shrink & (g->n_shrink - 1)) == 0)
            g->shrink = mem_grow(g->shrink, (g->n_shrink * 2 + 1) * sizeof *g->shrink);
        g->shrink[g->n_shrink++] = false;
    }
    g->shrink[col] = true;
}

// ---- layout ---------------------------------------------------------------------------------

struct layout {
    long *margin, *width, *offset; // of each column; width includes the margin
    size_t *stretch;               // room for widen
};

// Give the widest column its share of the missing width first: what it has beyond that is left to
// the others.
static void widen(const struct grid *g, struct layout *l, const struct grid_cell *c, long needed)
{
    size_t n = 0;
    for (size_t col = c->col; col < c->col + c->span; col++) {
        if (col < g->n_shrink && g->shrink[col]) {
            needed -= l->width[col];
            continue;
        }
        size_t at = n++;
        for (; at > 0 && l->width[l->stretch[at - 1]] < l->width[col]; at--)
            l->stretch[at] = l->stretch[at - 1];
        l->stretch[at] = col;
    }
    for (size_t i = 0; i < n; i++) {
        long left = (long)(n - i), share = (needed + left - 1) / left;
        long *width = &l->width[l->stretch[i]];
        if (*width < share)
            *width = share;
        needed -= *width;
    }
}

static void fit_span(const struct grid *g, struct layout *l, const struct grid_cell *c)
{
    long needed = (long)c->width + l->margin[c->col], have = 0;
    for (size_t col = c->col; col < c->col + c->span; col++)
        have += l->width[col];
    if (have < needed)
        widen(g, l, c, needed);
}

static int by_span(const void *a, const void *b)
{
    const struct grid_cell *x = *(struct grid_cell *const *)a, *y = *(struct grid_cell *const *)b;
    if (x->span != y->span)
        return x->span < y->span ? -1 : 1;
    return x < y ? -1 : x > y;
}

// Narrow cells decide first, so that spans only add what is missing; among equal ones the first.
// The original's sort is not stable. Where headings of several levels are all wider than the
// columns under them, that may make one of its columns a character wider than ours.
static void fit_spans(const struct grid *g, struct layout *l)
{
    struct grid_cell **spans = mem_grow(NULL, g->n * sizeof *spans);
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        if (g->cells[i].span > 1)
            spans[n++] = &g->cells[i];
    qsort(spans, n, sizeof *spans, by_span);
    for (size_t i = 0; i < n; i++)
        fit_span(g, l, spans[i]);
    free(spans);
}

static struct layout lay_out(const struct grid *g)
{
    struct layout l;
    l.margin = mem_alloc((g->n_cols + 1) * sizeof *l.margin);
    l.width = mem_alloc((g->n_cols + 1) * sizeof *l.width);
    l.offset = mem_alloc((g->n_cols + 1) * sizeof *l.offset);
    l.stretch = mem_alloc((g->n_cols + 1) * sizeof *l.stretch);
    for (size_t i = 0; i < g->n; i++) {
        const struct grid_cell *c = &g->cells[i];
        if (l.margin[c->col] < margin_width(c))
            l.margin[c->col] = margin_width(c);
    }
    for (size_t i = 0; i < g->n; i++) {
        const struct grid_cell *c = &g->cells[i];
        long width = (long)c->width + l.margin[c->col];
        if (c->span == 1 && l.width[c->col] < width)
            l.width[c->col] = width;
    }
    fit_spans(g, &l);
    for (size_t col = 0; col < g->n_cols; col++)
        l.offset[col + 1] = l.offset[col] + l.width[col];
    return l;
}

// ---- printing ----------------------------------------------------------------------------------

// Text on its way out; written once it is long enough.
struct page {
    FILE *to;
    size_t n;
    char text[1 << 14];
};

static void flush(struct page *p)
{
    fwrite(p->text, 1, p->n, p->to);
    p->n = 0;
}

static void put(struct page *p, str s)
{
    if (s.n > sizeof p->text - p->n)
        flush(p);
    if (s.n > sizeof p->text) {
        fwrite(s.s, 1, s.n, p->to);
        return;
    }
    memcpy(p->text + p->n, s.s, s.n);
    p->n += s.n;
}

// A cell that overflows into the next one's place is followed by as many spaces as it is too long.
static long pad(struct page *p, long n)
{
    long left = n = n < 0 ? -n : n;
    while (left > 0) {
        if (p->n == sizeof p->text)
            flush(p);
        size_t room = sizeof p->text - p->n, now = (size_t)left < room ? (size_t)left : room;
        memset(p->text + p->n, ' ', now);
        p->n += now;
        left -= (long)now;
    }
    return n;
}

// Returns how many characters wide it became.
static long print_cell(const struct grid *g, const struct grid_cell *c, const struct layout *l,
                       struct page *p)
{
    long n = c->width, before = 0;
    long width = l->offset[c->col + c->span] - l->offset[c->col] - l->margin[c->col];
    if (c->align == ALIGN_CENTER)
        before = pad(p, (width - n) / 2);
    else if (c->align == ALIGN_RIGHT && width > n)
        before = pad(p, width - n);
    put(p, text_of(g, c));
    return before + n;
}

void grid_print(struct grid *g, FILE *to)
{
    struct layout l = lay_out(g);
    static struct page p;
    size_t row = 0;
    long at = 0;
    p.to = to;
    for (size_t i = 0; i < g->n; i++) {
        const struct grid_cell *c = &g->cells[i];
        str margin = {c->margin, strlen(c->margin)};
        if (str_is_blank(margin) && str_is_blank(text_of(g, c)))
            continue;
        for (; row < c->row; row++, at = 0)
            put(&p, STR("\n"));
        long gap = l.offset[c->col] - at;
        pad(&p, gap);
        pad(&p, l.margin[c->col] - margin_width(c));
        put(&p, margin);
        at += gap + l.margin[c->col];
        at += print_cell(g, c, &l, &p);
    }
    if (g->n > 0)
        put(&p, STR("\n"));
    flush(&p);
}
