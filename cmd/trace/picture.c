/* The timeline as SVG, for guides and reports, where no script runs. A lane is cut into columns of
 * two pixels; a column shows how its time was spent, stacked: what is shorter than a column still
 * has its share of it. One path a state, so that a trace of a million events is a picture of some
 * hundred kilobytes. Entered through trace_write_svg. */
#include "cmd/trace/picture.h"
#include "cmd/xml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WIDTH = 960,
    LEFT = 150,
    RIGHT = 12,
    TOP = 62,
    LANE = 26,
    BAR = 18,
    COLUMN = 2,
    LANES_MAX = 24
};
enum { COLUMNS = (WIDTH - LEFT - RIGHT) / COLUMN };

/* What a column is made of, from the bottom. */
enum share { RUNNING, RUNNABLE, LOCK, CALL, OTHER, STOPPED, COLLECTING, SHARES };

static const struct look {
    const char *class, *colour, *dark, *text;
} looks[SHARES] = {
    [RUNNING] = {"r", "#2f9e5f", "#43b878", "running"},
    [RUNNABLE] = {"w", "#f0b429", "#f0b429", "ready, no CPU"},
    [LOCK] = {"l", "#d64545", "#ef6a6a", "waits for a lock or thread"},
    [CALL] = {"c", "#8bb8e8", "#4f7fb3", "in a system call"},
    [OTHER] = {"o", "#dde3ea", "#3a444f", "waits otherwise"},
    [STOPPED] = {"s", "#5b21b6", "#c4a5ff", "the world is stopped"},
    [COLLECTING] = {"g", "#b79be0", "#7c5cb8", "collection"},
};

struct lane {
    char name[96];
    double busy; /* what lanes are chosen by */
    float part[COLUMNS][SHARES];
    bool used[SHARES];
};

struct picture {
    const struct trace_view *v;
    struct lane *lanes;
    uint32_t n, left_out;
    bool used[SHARES];
    FILE *out;
};

/* ---- lanes -------------------------------------------------------------------------------------
 */

/* Spreads an interval over the columns that it lies in. */
static void add(const struct picture *p, struct lane *lane, enum share share, int64_t start_ns,
                int64_t end_ns)
{
    const struct trace_view *v = p->v;
    double length = (double)(v->to_ns - v->from_ns) / COLUMNS;

    if (view_overlap(v, start_ns, end_ns) == 0)
        return;
    double from = (double)(start_ns > v->from_ns ? start_ns - v->from_ns : 0) / length;
    double to = (double)((end_ns < v->to_ns ? end_ns : v->to_ns) - v->from_ns) / length;
    for (int i = (int)from; i < COLUMNS && i < to; i++) {
        double left = from > i ? from : i, right = to < i + 1 ? to : i + 1;
        lane->part[i][share] += (float)(right > left ? right - left : 0);
    }
    lane->used[share] = true;
}

static int share_of(const struct trace *t, const struct trace_state *s)
{
    switch (s->kind) {
    case TRACE_RUNNING:
    case TRACE_ACTIVE:
        return RUNNING;
    case TRACE_RUNNABLE:
        return RUNNABLE;
    case TRACE_BLOCKED:
        if (s->slice == TRACE_NONE)
            return OTHER;
        return t->slices[s->slice].kind == TRACE_SLICE_BLOCK ? LOCK : CALL;
    default:
        return -1;
    }
}

static void fill_thread(const struct picture *p, struct lane *lane, uint32_t thread)
{
    const struct trace *t = p->v->t;
    struct trace_range states = t->threads[thread].states;

    snprintf(lane->name, sizeof lane->name, "%s", thread_label(t, thread));
    for (uint32_t i = states.first; i < states.first + states.n; i++) {
        int share = share_of(t, &t->states[i]);
        if (share >= 0)
            add(p, lane, (enum share)share, t->states[i].start_ns, t->states[i].end_ns);
    }
}

/* The time in which there is something to see: all but waiting for nothing in particular. */
static double busy_ns(const struct trace_view *v, uint32_t thread)
{
    struct trace_range states = v->t->threads[thread].states;
    double sum = 0;

    for (uint32_t i = states.first; i < states.first + states.n; i++) {
        const struct trace_state *s = &v->t->states[i];
        int share = share_of(v->t, s);
        if (share == RUNNING || share == RUNNABLE || share == LOCK)
            sum += (double)view_overlap(v, s->start_ns, s->end_ns) * (share == LOCK ? 0.5 : 1);
    }
    return sum;
}

struct rank {
    double busy;
    uint32_t thread;
    int32_t pid, tid;
};

static int by_busy(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    return x->busy != y->busy ? (x->busy < y->busy ? 1 : -1)
                              : (x->thread > y->thread) - (x->thread < y->thread);
}

static int by_tid(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    if (x->tid != y->tid)
        return x->tid < y->tid ? -1 : 1;
    return (x->thread > y->thread) - (x->thread < y->thread);
}

/* The busiest threads, the oldest first: a process counts its threads up. */
static int fill_threads(struct picture *p)
{
    const struct trace *t = p->v->t;
    struct rank *ranks = calloc(t->nthreads + 1, sizeof *ranks);
    uint32_t n = 0;

    if (!ranks)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->nthreads; i++)
        if (view_thread(p->v, i) &&
            view_overlap(p->v, t->threads[i].start_ns, t->threads[i].end_ns) > 0)
            ranks[n++] = (struct rank){busy_ns(p->v, i), i, t->threads[i].pid, t->threads[i].tid};
    qsort(ranks, n, sizeof *ranks, by_busy);
    p->left_out = n > LANES_MAX ? n - LANES_MAX : 0;
    n -= p->left_out;
    qsort(ranks, n, sizeof *ranks, by_tid);
    for (uint32_t i = 0; i < n; i++)
        fill_thread(p, &p->lanes[p->n++], ranks[i].thread);
    free(ranks);
    return 0;
}

/* Collections have a lane of their own, above the threads. */
static void fill_collections(struct picture *p)
{
    const struct trace *t = p->v->t;
    struct lane *lane = &p->lanes[p->n];

    for (uint32_t i = 0; i < t->nslices; i++) {
        const struct trace_slice *s = &t->slices[i];
        if (s->kind == TRACE_SLICE_GC)
            add(p, lane, COLLECTING, s->start_ns, s->end_ns);
        else if (s->kind == TRACE_SLICE_STOP)
            add(p, lane, STOPPED, s->start_ns, s->end_ns);
    }
    if (!lane->used[COLLECTING] && !lane->used[STOPPED])
        return;
    snprintf(lane->name, sizeof lane->name, "GC");
    for (int i = 0; i < COLUMNS; i++) /* the stop lies within the collection */
        lane->part[i][COLLECTING] = fmaxf(0, lane->part[i][COLLECTING] - lane->part[i][STOPPED]);
    p->n++;
}

/* ---- drawing
 * ------------------------------------------------------------------------------------- */

/* The sum of the shares up to one, in pixels; halves are as fine as it gets. */
static double height_of(const struct lane *lane, int column, enum share up_to)
{
    double sum = 0;
    for (int s = 0; s <= (int)up_to; s++)
        sum += lane->part[column][s];
    return rint(2 * BAR * (sum < 1 ? sum : 1)) / 2;
}

/* The area below a state's upper edge: those in front of it cover the rest. */
static void put_area(const struct picture *p, const struct lane *lane, enum share share, double y)
{
    double at = 0;

    fprintf(p->out, "<path class=\"%s\" d=\"M%d %g", looks[share].class, LEFT, y + BAR);
    for (int i = 0; i < COLUMNS; i++) {
        double height = height_of(lane, i, share);
        if (height == at)
            continue;
        fprintf(p->out, "H%dV%g", LEFT + i * COLUMN, y + BAR - height);
        at = height;
    }
    fprintf(p->out, "H%dV%gZ\"/>\n", LEFT + COLUMNS * COLUMN, y + BAR);
}

static double total(const struct lane *lane, enum share share)
{
    double sum = 0;
    for (int i = 0; i < COLUMNS; i++)
        sum += lane->part[i][share];
    return 100 * sum / COLUMNS;
}

static void put_lane(const struct picture *p, const struct lane *lane, double y)
{
    size_t shown = xml_characters(lane->name) > 18 ? 17 : 18;

    fprintf(p->out, "<g><title>");
    xml_put(p->out, lane->name);
    for (int s = 0; s < SHARES; s++)
        if (lane->used[s])
            fprintf(p->out, "\n%s %.1f%%", looks[s].text, total(lane, (enum share)s));
    fprintf(p->out, "</title><text x=\"10\" y=\"%g\">", y + BAR - 5);
    xml_put_part(p->out, lane->name, xml_bytes(lane->name, shown));
    fprintf(p->out,
            "%s</text><rect class=\"empty\" x=\"%d\" y=\"%g\" width=\"%d\" height=\"%d\"/>\n",
            shown == 17 ? "…" : "", LEFT, y, COLUMNS * COLUMN, BAR);
    for (int s = SHARES; s-- > 0;)
        if (lane->used[s])
            put_area(p, lane, (enum share)s, y);
    fputs("</g>\n", p->out);
}

/* 1, 2 or 5 times a power of ten, some eight of them over the whole. */
static double step_of(double length_ns)
{
    double step = pow(10, floor(log10(length_ns / 8)));
    double times = length_ns / 8 / step;
    return step * (times > 5 ? 10 : times > 2 ? 5 : times > 1 ? 2 : 1);
}

static void put_time(FILE *out, double ns, double step)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"s", 1e9}, {"ms", 1e6}, {"µs", 1e3}, {"ns", 1}};
    int i = 0;
    while (i < 3 && step < units[i].ns / 10)
        i++;
    fprintf(out, "%.*f %s", step < units[i].ns ? 1 : 0, ns / units[i].ns, units[i].name);
}

static void put_axis(const struct picture *p, double bottom)
{
    double offset = (double)(p->v->from_ns - p->v->t->start_ns),
           length = (double)(p->v->to_ns - p->v->from_ns);
    double step = step_of(length);

    for (double at = ceil(offset / step) * step; at <= offset + length; at += step) {
        double x = LEFT + (at - offset) / length * COLUMNS * COLUMN;
        fprintf(p->out,
                "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%g\"/><text class=\"dim\" x=\"%.1f\" "
                "y=\"%g\" "
                "text-anchor=\"middle\">",
                x, x, TOP - 4, bottom, x, bottom + 16);
        put_time(p->out, at, step);
        fputs("</text>\n", p->out);
    }
}

static void put_legend(const struct picture *p)
{
    double x = 10;

    for (int s = 0; s < SHARES; s++) {
        if (!p->used[s])
            continue;
        const char *text = s == RUNNING && !p->v->t->has_sched
                               ? "running or ready (no switch records)"
                               : looks[s].text;
        fprintf(p->out,
                "<rect class=\"%s\" x=\"%g\" y=\"31\" width=\"14\" height=\"12\"/><text "
                "class=\"dim\" x=\"%g\" y=\"42\">%s</text>",
                looks[s].class, x, x + 19, text);
        x += 36 + 6.6 * (double)xml_characters(text);
    }
    fputs("\n", p->out);
}

static void put_style(FILE *out)
{
    fputs(
        "<style>.timeline{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans CJK "
        "JP',sans-serif}"
        ".timeline .paper{fill:#fff}.timeline text{fill:#1c2530;font-size:12px}.timeline "
        ".head{font-size:15px;font-weight:650}"
        ".timeline .dim{fill:#5b6875}.timeline line{stroke:#dfe4ea}.timeline .empty{fill:#f4f6f9}",
        out);
    for (int s = 0; s < SHARES; s++)
        fprintf(out, ".timeline .%s{fill:%s}", looks[s].class, looks[s].colour);
    fputs(
        "@media(prefers-color-scheme:dark){.timeline .paper{fill:#14181d}.timeline "
        "text{fill:#e4e9ef}"
        ".timeline .dim{fill:#9aa7b4}.timeline line{stroke:#2c343d}.timeline .empty{fill:#1d232a}",
        out);
    for (int s = 0; s < SHARES; s++)
        fprintf(out, ".timeline .%s{fill:%s}", looks[s].class, looks[s].dark);
    fputs("}</style>\n", out);
}

static void put_head(const struct picture *p, double height)
{
    const char *name = trace_text(p->v->t, p->v->t->process_name);

    fprintf(p->out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"timeline\" role=\"img\" "
            "width=\"%d\" height=\"%g\" "
            "viewBox=\"0 0 %d %g\" font-size=\"12\">\n<title>Timeline</title>\n",
            WIDTH, height, WIDTH, height);
    put_style(p->out);
    fputs("<rect class=\"paper\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n<text class=\"head\" "
          "x=\"10\" y=\"22\">",
          p->out);
    xml_put(p->out, *name ? name : "threads");
    fputs("</text>", p->out);
    if (p->left_out)
        fprintf(p->out,
                "<text class=\"dim\" x=\"%d\" y=\"22\" text-anchor=\"end\">%u threads with less to "
                "see are left out</text>",
                WIDTH - 10, p->left_out);
    put_legend(p);
}

static void draw(struct picture *p)
{
    double bottom = TOP + p->n * LANE;

    for (uint32_t i = 0; i < p->n; i++)
        for (int s = 0; s < SHARES; s++)
            p->used[s] |= p->lanes[i].used[s];
    put_head(p, bottom + 28);
    if (p->v->to_ns > p->v->from_ns)
        put_axis(p, bottom);
    for (uint32_t i = 0; i < p->n; i++)
        put_lane(p, &p->lanes[i], TOP + i * LANE);
    fputs("</svg>\n", p->out);
}

int trace_write_svg(const struct trace_view *v, int fd)
{
    struct picture p = {.v = v, .lanes = calloc(LANES_MAX + 1, sizeof *p.lanes)};
    int err = p.lanes ? 0 : -ENOMEM;

    if (!err) {
        fill_collections(&p);
        err = fill_threads(&p);
    }
    p.out = err ? NULL : fdopen(dup(fd), "w");
    if (!err && !p.out)
        err = -errno;
    if (p.out) {
        draw(&p);
        if (fclose(p.out) != 0)
            err = -errno;
    }
    free(p.lanes);
    return err;
}
