// main.c: benchstat: statistics of benchmarks, and whether two differ.
//
// The statistics, flags, formats and messages are those of golang.org/x/perf/cmd/benchstat, to the
// byte, so that either can replace the other. Start reading here; benchstat.h tells the way from a
// line of input to a line of output.

#include "cmd/benchstat/benchstat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static str flag_text(const char *s)
{
    return (str){s, strlen(s)};
}

static struct projection *project(struct projector *by, const char *flag, const char *text,
                                  bool with_unit, char **error)
{
    char *why = NULL;
    struct projection *p = projection_parse(by, flag_text(text), with_unit, &why);
    if (why && !*error)
        *error = mem_format("parsing %s: %s", flag, why);
    return p;
}

static char *check_options(const struct options *o)
{
    static const char *const orders[] = {"name", "-name", "delta", "-delta"};
    if (!(o->alpha >= 0 && o->alpha <= 1))
        return "-alpha must be in range [0, 1]";
    if (!(o->confidence >= 0 && o->confidence <= 1))
        return "-confidence must be in range [0, 1]";
    if (strcmp(o->format, "text") != 0 && strcmp(o->format, "csv") != 0 &&
        strcmp(o->format, "json") != 0)
        return "-format must be text, csv or json";
    if (o->has_noise && !(o->noise_percent >= 0))
        return "-noise must be a percentage, 0 or more";
    for (size_t i = 0; o->sort && i < sizeof orders / sizeof *orders; i++)
        if (strcmp(o->sort, orders[i]) == 0)
            return NULL;
    return o->sort ? "-sort must be name, -name, delta or -delta" : NULL;
}

// Compile what the flags say; NULL or what is wrong with them.
static char *set_up(struct builder *b, const struct options *o)
{
    static struct projector by;
    char *error = NULL;
    by.filter = filter_parse(flag_text(o->filter), &error);
    if (error)
        return mem_format("parsing -filter: %s", error);
    b->filter = by.filter;
    b->table = project(&by, "-table", o->table, true, &error);
    b->row = project(&by, "-row", o->row, false, &error);
    b->col = project(&by, "-col", o->col, false, &error);
    project(&by, "-ignore", o->ignore, false, &error);
    b->residue = projection_residue(&by);
    return error ? error : check_options(o);
}

static void print(struct builder *b, const struct options *o)
{
    if (strcmp(o->format, "csv") == 0)
        print_csv(b, stdout, stderr);
    else if (strcmp(o->format, "json") == 0)
        print_json(b, stdout);
    else
        print_text(b, stdout);
}

static int fail(const char *why)
{
    fflush(stdout);
    fprintf(stderr, "benchstat: %s\n", why);
    return 1;
}

int main(int argc, char **argv)
{
    static struct options o;
    static struct builder b;
    static char room[1 << 16];
    flags_parse(&o, argc, argv);
    const char *error = set_up(&b, &o);
    if (!error)
        error = read_inputs(o.inputs, o.n_inputs, builder_add, &b);
    if (error)
        return fail(error);
    setvbuf(stdout, room, _IOFBF, sizeof room);
    tables_finish(&b, &o);
    tables_sort_rows(&b, o.sort);
    print(&b, &o);
    bool proven = !o.verdict || print_verdict(&b, &o, stdout);
    if (fflush(stdout) || ferror(stdout))
        return fail(mem_format("writing the output: %s", strerror(errno)));
    return !proven;
}
