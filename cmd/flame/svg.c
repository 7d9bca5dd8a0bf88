/* The picture: callers above callees, as pprof's own viewer has it; siblings by name, so that two
 * profiles of one program look alike. It stands alone: no script, no font, nothing from elsewhere;
 * a pointer at a frame tells the rest of it. Colours come from names, so a function has the same
 * one everywhere. Entered through svg_write. */
#include "cmd/flame/flame.h"
#include "cmd/xml.h"

#include <math.h>
#include <string.h>

enum { MARGIN = 10, ROW = 18, FONT = 12, HEAD = 54, FOOT = 30, DEPTH_MAX = 255 };
static const double character = 0.602 * FONT; /* of a monospaced font, in pixels */

struct drawing {
    FILE *out;
    const struct tree *tree;
    const struct picture *picture;
    double scale; /* pixels for a unit of value */
    int depth;    /* of the deepest frame drawn */
    size_t left_out;
};

/* ---- colours --------------------------------------------------------------------------------- */

static unsigned hash(const char *s)
{
    unsigned h = 2166136261u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h ^ h >> 15;
}

/* One of red (0), green (8) and blue (4) of a colour in HSL: h in degrees, s and l from 0 to 1. */
static unsigned channel(double n, double h, double s, double l)
{
    double k = fmod(n + h / 30, 12), a = s * fmin(l, 1 - l);
    return (unsigned)lround(255 * (l - a * fmax(-1, fmin(fmin(k - 3, 9 - k), 1))));
}

static unsigned rgb(double h, double s, double l)
{
    return channel(0, h, s, l) << 16 | channel(8, h, s, l) << 8 | channel(4, h, s, l);
}

/* From grey (no change) to blue (gone) and red (new). */
static unsigned change_colour(const struct node *n)
{
    double most = n->total[0] > n->total[1] ? n->total[0] : n->total[1];
    double change = most > 0 ? (n->total[1] - n->total[0]) / most : 0;

    return rgb(change > 0 ? 8 : 212, 0.1 + 0.75 * fabs(change), 0.84 - 0.14 * fabs(change));
}

static unsigned colour(const struct drawing *d, const struct node *n)
{
    unsigned h = hash(n->name);

    if (d->tree->difference)
        return change_colour(n);
    if (!n->parent)
        return 0xd5dae1;
    return rgb(14 + h % 41, 0.72 + (double)(h / 64 % 16) / 80,
               0.64 + (double)(h / 4096 % 16) / 150);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Under 10 a digit more: 0.4 %, 12 %. */
static void put_share(FILE *out, double part, double whole)
{
    double share = whole > 0 ? 100 * part / whole : 0;
    fprintf(out, "%.*f%%", share < 9.95 && share > 0 ? 1 : 0, share);
}

static void put_value(const struct drawing *d, double value)
{
    char text[64];
    fputs(saved_format(text, sizeof text, value, d->tree->unit), d->out);
    fputs(d->picture->per, d->out);
}

/* The last folder and the name: enough to find it, and nothing of whose machine it was. */
static const char *short_file(const char *file)
{
    const char *at = strrchr(file, '/');
    while (at && at > file && at[-1] != '/')
        at--;
    return at ? at : file;
}

static double self_value(const struct node *n, int side)
{
    double value = n->total[side];
    for (size_t i = 0; i < n->n_children; i++)
        value -= n->child[i]->total[side];
    return value > 0 ? value : 0;
}

static void put_tooltip(const struct drawing *d, const struct node *n)
{
    const struct node *root = d->tree->root;

    fputs("<title>", d->out);
    xml_put(d->out, n->name);
    if (n->folded)
        fprintf(d->out, " (calls itself, %u deep)", n->folded + 1);
    fputc('\n', d->out);
    for (int side = d->tree->difference ? 0 : 1; side < 2; side++) {
        if (d->tree->difference) {
            xml_put(d->out, side ? d->picture->name : d->picture->base_name);
            fputs(": ", d->out);
        }
        put_value(d, n->total[side]);
        fputs(", ", d->out);
        put_share(d->out, n->total[side], root->total[side]);
        fputs("; itself ", d->out);
        put_value(d, self_value(n, side));
        fputs(side == 0 ? "\n" : "", d->out);
    }
    if (*n->file) {
        fputc('\n', d->out);
        xml_put(d->out, short_file(n->file));
    }
    fputs("</title>", d->out);
}

static void put_label(const struct drawing *d, const struct node *n, double x, double y,
                      double width)
{
    size_t room = (size_t)((width - 6) / character), length = xml_characters(n->name);

    if (width < 6 + 3 * character)
        return;
    fprintf(d->out, "<text x=\"%.1f\" y=\"%.1f\">", x + 3, y + ROW - 5);
    xml_put_part(d->out, n->name, xml_bytes(n->name, length <= room ? length : room - 1));
    fputs(length <= room ? "</text>" : "…</text>", d->out);
}

static void put_frame(const struct drawing *d, const struct node *n, double x)
{
    double width = n->width * d->scale, y = HEAD + n->depth * ROW;

    fputs("<g>", d->out);
    put_tooltip(d, n);
    fprintf(d->out, "<rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%d\" fill=\"#%06x\"/>", x,
            y, width > 1 ? width - 0.5 : width, ROW - 1, colour(d, n));
    put_label(d, n, x, y, width);
    fputs("</g>\n", d->out);
}

static bool is_drawn(const struct drawing *d, const struct node *n)
{
    return n->depth <= DEPTH_MAX && n->width * d->scale >= d->picture->least_width;
}

/* Depth first. What is too narrow goes with all that it calls. */
static void put_frames(struct drawing *d, const struct node *n, double x, bool measure)
{
    if (!is_drawn(d, n)) {
        d->left_out++;
        return;
    }
    if (n->depth > d->depth)
        d->depth = n->depth;
    if (!measure)
        put_frame(d, n, x);
    for (size_t i = 0; i < n->n_children; i++) {
        put_frames(d, n->child[i], x, measure);
        x += n->child[i]->width * d->scale;
    }
}

/* ---- around them ------------------------------------------------------------------------------
 */

static const char style[] =
    "<style>.flame{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}"
    ".flame .paper{fill:#fff}.flame .words text{font-family:system-ui,-apple-system,'Segoe "
    "UI',Roboto,'Noto Sans CJK JP',sans-serif;"
    "fill:#1c2530}.flame .words .dim{fill:#5b6875}.flame "
    "text{fill:#1a1206;font-size:12px;pointer-events:none}"
    ".flame .words .head{font-size:15px;font-weight:650}"
    ".flame .frames g:hover rect{stroke:#1c2530;stroke-width:1}"
    "@media(prefers-color-scheme:dark){.flame .paper{fill:#14181d}.flame .words text{fill:#e4e9ef}"
    ".flame .words .dim{fill:#9aa7b4}.flame .frames g:hover rect{stroke:#fff}}</style>\n";

static void put_words(FILE *out, double x, double y, const char *class, const char *text)
{
    fprintf(out, "<text class=\"%s\" x=\"%.0f\" y=\"%.0f\">", class, x, y);
    xml_put(out, text);
    fputs("</text>", out);
}

static void put_swatch(FILE *out, double x, double y, unsigned fill, const char *text)
{
    fprintf(out, "<rect x=\"%.0f\" y=\"%.0f\" width=\"14\" height=\"12\" fill=\"#%06x\"/>", x,
            y - 10, fill);
    put_words(out, x + 20, y, "dim", text);
}

static void put_legend(const struct drawing *d, double y)
{
    char text[256];
    double x = MARGIN;
    const struct node gone = {.total = {1, 0}}, same = {.total = {1, 1}}, new = {.total = {0, 1}};

    put_swatch(d->out, x, y, change_colour(&gone), "less or gone");
    put_swatch(d->out, x + 110, y, change_colour(&same), "as before");
    put_swatch(d->out, x + 205, y, change_colour(&new), "more or new");
    snprintf(text, sizeof text, "a frame is as wide as the larger of %s and %s",
             d->picture->base_name, d->picture->name);
    put_words(d->out, x + 315, y, "dim", text);
}

static void put_foot(const struct drawing *d, double y)
{
    char text[160];

    fputs("<g class=\"words\">", d->out);
    if (d->tree->difference)
        put_legend(d, y);
    else {
        snprintf(text, sizeof text, "callers above, what they call below; width: share of all");
        if (d->left_out)
            snprintf(text + strlen(text), sizeof text - strlen(text),
                     "; %zu frame%s too narrow to draw", d->left_out,
                     d->left_out == 1 ? " is" : "s are");
        put_words(d->out, MARGIN, y, "dim", text);
    }
    fputs("</g>\n", d->out);
}

static void put_head(const struct drawing *d, int height)
{
    const struct picture *p = d->picture;

    fprintf(d->out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"flame\" role=\"img\" width=\"%d\" "
            "height=\"%d\" "
            "viewBox=\"0 0 %d %d\" font-size=\"%d\">\n",
            p->width, height, p->width, height, FONT);
    fputs("<title>", d->out);
    xml_put(d->out, p->title);
    fputs("</title>\n", d->out);
    fputs(style, d->out);
    fputs("<rect class=\"paper\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n<g class=\"words\">",
          d->out);
    put_words(d->out, MARGIN, 22, "head", p->title);
    put_words(d->out, MARGIN, 42, "dim", p->subtitle);
    fputs("</g>\n", d->out);
}

void svg_write(FILE *out, const struct tree *t, const struct picture *p)
{
    struct drawing d = {.out = out, .tree = t, .picture = p};

    d.scale = t->root->width > 0 ? (p->width - 2 * MARGIN) / t->root->width : 0;
    put_frames(&d, t->root, MARGIN, true);
    int rows = HEAD + (d.depth + 1) * ROW;
    put_head(&d, rows + FOOT);
    d.left_out = 0;
    fputs("<g class=\"frames\">\n", out);
    put_frames(&d, t->root, MARGIN, false);
    fputs("</g>\n", out);
    put_foot(&d, rows + FOOT - 10);
    fputs("</svg>\n", out);
}
