// flags.c: the command line, in Go's way: -flag value, -flag=value, --flag; the first argument that
// is no flag, or "--", ends the flags.

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: benchstat [flags] inputs...\n"
    "\n"
    "benchstat computes statistical summaries and A/B comparisons of benchmarks.\n"
    "It shows benchmark medians in a table with a row for each benchmark and a\n"
    "column for each input file. If there is more than one input file, it also\n"
    "shows A/B comparisons between the files. If a difference is likely to be\n"
    "noise, it shows \"~\".\n"
    "\n"
    "An input is a file in the Go benchmark format, \"-\" for standard input, or\n"
    "label=file to name its column. Flags and output are those of\n"
    "golang.org/x/perf/cmd/benchstat (https://pkg.go.dev/golang.org/x/perf/cmd/benchstat);\n"
    "-sort, -format json, -verdict and -noise are additions.\n"
    "\n"
    "  -alpha α\n"
    "    \tconsider change significant if p < α (default 0.05)\n"
    "  -col projection\n"
    "    \tsplit results into columns by distinct values of projection (default \".file\")\n"
    "  -confidence level\n"
    "    \tconfidence level for ranges (default 0.95)\n"
    "  -filter query\n"
    "    \tuse only benchmarks matching benchfilter query (default \"*\")\n"
    "  -format format\n"
    "    \tprint results in format:\n"
    "    \t  text - plain text\n"
    "    \t  csv  - comma-separated values (warnings will be written to stderr)\n"
    "    \t  json - one object with all tables, numbers at full precision\n"
    "    \t (default \"text\")\n"
    "  -ignore keys\n"
    "    \tignore variations in keys\n"
    "  -noise percent\n"
    "    \twith -verdict: differences below this noise floor prove nothing\n"
    "  -row projection\n"
    "    \tsplit results into rows by distinct values of projection (default \".fullname\")\n"
    "  -sort order\n"
    "    \tsort the rows of each table by name or delta; -name and -delta sort downwards\n"
    "    \t(default: as the row projection says)\n"
    "  -table projection\n"
    "    \tsplit results into tables by distinct values of projection (default \".config\")\n"
    "  -verdict\n"
    "    \tend with a sentence for each comparison: what is proven, or what to do. The\n"
    "    \tratio's interval is made of the ordered ratios of all pairs (Moses 1953, Bauer\n"
    "    \t1972). The last line is about sec/op in the second column; exit status 0 if\n"
    "    \tthat column is proven faster in every row, 1 if not\n"
    "\n"
    "Exit status: 0; 1 on an error in an input or a flag's value, or a verdict that is\n"
    "not \"faster\"; 2 on a usage error.\n";

enum kind { FLAG_TEXT, FLAG_NUMBER, FLAG_SWITCH };

struct flag {
    const char *name;
    enum kind kind;
    void *value;
};

static void __attribute__((noreturn)) usage_error(char *message)
{
    fprintf(stderr, "%s\n%s", message, usage);
    exit(2);
}

static bool is_true(const char *s)
{
    static const char *const words[] = {"1", "t", "T", "true", "TRUE", "True"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(s, words[i]) == 0)
            return true;
    return false;
}

static bool is_false(const char *s)
{
    static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(s, words[i]) == 0)
            return true;
    return false;
}

static void set_flag(const struct flag *f, char *value)
{
    const char *error;
    switch (f->kind) {
    case FLAG_TEXT:
        *(const char **)f->value = value;
        return;
    case FLAG_NUMBER:
        error = number_parse((str){value, strlen(value)}, f->value);
        if (error)
            usage_error(mem_format("invalid value %s for flag -%s: %s",
                                   quote((str){value, strlen(value)}), f->name,
                                   error == number_range ? number_range : "parse error"));
        return;
    case FLAG_SWITCH:
        if (!is_true(value) && !is_false(value))
            usage_error(mem_format("invalid boolean value %s for -%s: parse error",
                                   quote((str){value, strlen(value)}), f->name));
        *(bool *)f->value = is_true(value);
    }
}

// Handle one flag; returns how many arguments it took.
static int take_flag(const struct flag *flags, char *arg, char *next)
{
    char *name = arg + 1 + (arg[1] == '-'), *equals = strchr(name, '=');
    if (*name == '\0' || *name == '-' || *name == '=')
        usage_error(mem_format("bad flag syntax: %s", arg));
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const struct flag *f = flags;
    while (f->name && (strlen(f->name) != n || memcmp(f->name, name, n) != 0))
        f++;
    if (!f->name) {
        if (strcmp(name, "h") == 0 || strcmp(name, "help") == 0) {
            exit(fputs(usage, stderr) == EOF);
        }
        usage_error(mem_format("flag provided but not defined: -%.*s", (int)n, name));
    }
    if (f->kind == FLAG_SWITCH) {
        set_flag(f, equals ? equals + 1 : "true");
        return 1;
    }
    if (!equals && !next)
        usage_error(mem_format("flag needs an argument: -%.*s", (int)n, name));
    set_flag(f, equals ? equals + 1 : next);
    return equals ? 1 : 2;
}

void flags_parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){.table = ".config",
                          .row = ".fullname",
                          .col = ".file",
                          .ignore = "",
                          .filter = "*",
                          .format = "text",
                          .alpha = 0.05,
                          .confidence = 0.95,
                          .noise_percent = -INFINITY};
    const struct flag flags[] = {{"table", FLAG_TEXT, &o->table},
                                 {"row", FLAG_TEXT, &o->row},
                                 {"col", FLAG_TEXT, &o->col},
                                 {"ignore", FLAG_TEXT, &o->ignore},
                                 {"filter", FLAG_TEXT, &o->filter},
                                 {"format", FLAG_TEXT, &o->format},
                                 {"sort", FLAG_TEXT, &o->sort},
                                 {"alpha", FLAG_NUMBER, &o->alpha},
                                 {"confidence", FLAG_NUMBER, &o->confidence},
                                 {"noise", FLAG_NUMBER, &o->noise_percent},
                                 {"verdict", FLAG_SWITCH, &o->verdict},
                                 {NULL, FLAG_TEXT, NULL}};
    int i = 1;
    while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        i += take_flag(flags, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
    }
    o->has_noise = o->noise_percent != -INFINITY;
    o->inputs = argv + i;
    o->n_inputs = (size_t)(argc - i);
    if (o->n_inputs == 0) {
        fputs(usage, stderr);
        exit(2);
    }
}
