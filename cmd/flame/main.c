/* Flame graphs from profiles, as pictures for documents: SVG that needs nothing else.
 *
 *   bin/flame -o fib.svg profiles/cpu/cpu.pprof
 *   bin/flame -base before.pb.gz -o difference.svg after.pb.gz
 *
 * Reads the profile or the two, builds the tree, draws it. Without -o it goes to standard output.
 */
#include "cmd/flame/flame.h"
#include "cmd/options.h"
#include "cmd/outfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    const char *out, *base, *type, *title, *subtitle, *name, *base_name, *operations,
        *base_operations, *from, *hide, *pair;
    int64_t width;
    bool fold;
};

static double operations(const char *flag, const char *text)
{
    char *end;

    if (!text)
        return 1;
    double value = strtod(text, &end);
    if (end == text || *end || !(value > 0) || value > 1e18)
        option_misuse("-%s '%s': expected a number above 0", flag, text);
    return value;
}

static const char *read_settings(struct settings *s, int argc, char **argv)
{
    const struct option_spec specs[] = {
        {"o", OPTION_STRING, &s->out, 0, 0, "write the picture to this file"},
        {"base", OPTION_STRING, &s->base, 0, 0, "draw what changed since this profile"},
        {"sample_index", OPTION_STRING, &s->type, 0, 0,
         "the values: cpu, alloc_space, inuse_space, delay ..."},
        {"title", OPTION_STRING, &s->title, 0, 0, "the headline"},
        {"subtitle", OPTION_STRING, &s->subtitle, 0, 0, "the line below it, before the totals"},
        {"name", OPTION_STRING, &s->name, 0, 0, "with -base: what the profile is called"},
        {"base_name", OPTION_STRING, &s->base_name, 0, 0, "and what that of -base is"},
        {"ops", OPTION_STRING, &s->operations, 0, 0,
         "show values per operation: how many the profile covers"},
        {"base_ops", OPTION_STRING, &s->base_operations, 0, 0, "and how many that of -base does"},
        {"from", OPTION_STRING, &s->from, 0, 0, "draw only what this function calls"},
        {"pair", OPTION_STRING, &s->pair, 0, 0,
         "OLD=NEW: draw OLD of -base and NEW of the profile as one function"},
        {"width", OPTION_INT, &s->width, 300, 10000, "of the picture"},
        {"fold", OPTION_BOOL, &s->fold, 0, 0, "a function that calls itself is one frame"},
        {"hide", OPTION_STRING, &s->hide, 0, 0,
         "leave out functions that begin so; their callers get theirs"},
        {0}};
    int first = options_parse_flags(specs, argc, argv);

    if (first == argc)
        option_misuse(
            "no profile; usage: flame [-o picture.svg] [-base before.pb.gz] profile.pb.gz; see -h");
    if (first + 1 < argc)
        option_misuse("unexpected argument '%s'; one profile is drawn, flags stand before it",
                      argv[first + 1]);
    if (!s->operations != !s->base_operations && s->base)
        option_misuse("-ops and -base_ops: give both or neither");
    if (s->pair && (!s->base || !strchr(s->pair, '=')))
        option_misuse("-pair '%s': expected OLD=NEW, with -base", s->pair);
    return argv[first];
}

/* A fix often has a name of its own. As one function the two sides can be compared below it. */
static void make_pair(struct saved *base, struct saved *saved, const char *pair, char *name,
                      size_t size)
{
    const char *equals = strchr(pair, '=');
    size_t length = (size_t)(equals - pair);

    snprintf(name, size, "%.*s → %s", (int)length, pair, equals + 1);
    for (size_t i = 0; i < base->n_functions; i++)
        if (strncmp(base->functions[i].name, pair, length) == 0 && !base->functions[i].name[length])
            base->functions[i].name = name;
    for (size_t i = 0; i < saved->n_functions; i++)
        if (strcmp(saved->functions[i].name, equals + 1) == 0)
            saved->functions[i].name = name;
}

static void add(struct tree *t, struct saved *s, const struct tree_options *o, const char *path,
                const char *hide)
{
    if (hide)
        saved_hide(s, hide);
    if (tree_add(t, s, o) < 0)
        option_misuse("out of memory");
    if (!o->from || t->root->total[o->side] > 0)
        return;
    for (size_t i = 0; i < s->n_functions; i++)
        if (strcmp(s->functions[i].name, o->from) == 0)
            return;
    fprintf(stderr, "flame: %s has no function '%s'; bin/top -n 0 lists them\n", path, o->from);
    exit(1);
}

static void check_units(const struct settings *s, const struct saved_type *base,
                        const struct saved_type *this)
{
    if (strcmp(base->type, this->type) == 0 && strcmp(base->unit, this->unit) == 0)
        return;
    fprintf(stderr, "flame: -base %s has %s in %s, the profile %s in %s; nothing to compare\n",
            s->base, base->type, base->unit, this->type, this->unit);
    exit(1);
}

/* The totals, so that a picture without its text still says what it is of. */
static char *make_subtitle(const struct settings *s, const struct tree *t, const char *type,
                           const char *per)
{
    char before[64], after[64], *text;
    const char *first = s->subtitle ? s->subtitle : "";

    saved_format(before, sizeof before, t->root->total[0], t->unit);
    saved_format(after, sizeof after, t->root->total[1], t->unit);
    int n = t->difference ? asprintf(&text, "%s%s%s: %s %s%s, %s %s%s", first, *first ? " · " : "",
                                     type, s->base_name, before, per, s->name, after, per)
                          : asprintf(&text, "%s%s%s: %s%s in all", first, *first ? " · " : "", type,
                                     after, per);
    if (n < 0)
        option_misuse("out of memory");
    return text;
}

static void write_out(const struct settings *s, const struct tree *t, const struct picture *p)
{
    struct outfile file = {.fd = -1};
    const char *path = s->out ? s->out : "standard output";
    int err = s->out ? outfile_open(&file, s->out) : 0;
    FILE *out = err ? NULL : fdopen(dup(s->out ? file.fd : STDOUT_FILENO), "w");

    if (!out)
        err = err ? err : -errno;
    if (!err) {
        svg_write(out, t, p);
        if (fclose(out) != 0)
            err = -errno;
    }
    if (s->out && !err)
        err = outfile_commit(&file);
    else if (s->out)
        outfile_discard(&file);
    if (!err)
        return;
    fprintf(stderr, "flame: cannot write %s: %s\n", path, strerror(-err));
    exit(1);
}

int main(int argc, char **argv)
{
    struct settings s = {.width = 960, .name = "after", .base_name = "before"};
    struct tree tree = {0};
    struct saved saved, base = {0};
    char pair[512];
    const char *path = read_settings(&s, argc, argv);
    double ops = operations("ops", s.operations),
           base_ops = operations("base_ops", s.base_operations);
    int type = saved_open(&saved, path, s.type);

    if (s.base) {
        int base_type = saved_open(&base, s.base, s.type ? s.type : saved.types[type].type);
        check_units(&s, &base.types[base_type], &saved.types[type]);
        tree.difference = true;
        if (s.pair)
            make_pair(&base, &saved, s.pair, pair, sizeof pair);
        add(&tree, &base, &(struct tree_options){base_type, 0, base_ops, s.fold, s.from}, s.base,
            s.hide);
    }
    add(&tree, &saved, &(struct tree_options){type, 1, ops, s.fold, s.from}, path, s.hide);
    if (tree_finish(&tree) < 0)
        option_misuse("out of memory");

    const char *per = s.operations ? " an operation" : "";
    char *subtitle = make_subtitle(&s, &tree, saved.types[type].type, per);
    const struct picture picture = {.title = s.title  ? s.title
                                             : s.base ? "What changed"
                                                      : "Flame graph",
                                    .subtitle = subtitle,
                                    .per = per,
                                    .width = (int)s.width,
                                    .least_width = 0.4,
                                    .base_name = s.base_name,
                                    .name = s.name};
    write_out(&s, &tree, &picture);
    free(subtitle);
    tree_free(&tree);
    saved_free(&saved);
    saved_free(&base);
    return 0;
}
