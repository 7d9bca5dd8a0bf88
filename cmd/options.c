/* The C library's getopt_long_only does the reading; here is what it lacks: values with types and
 * ranges, and messages that say what was expected. */
#include "cmd/options.h"
#include "cmd/output.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 32 };

_Noreturn void option_misuse(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

static void print_default(const struct option_spec *spec)
{
    if (spec->kind == OPTION_INT)
        printf(" (default %" PRId64 ", %" PRId64 " to %" PRId64 ")\n", *(int64_t *)spec->value,
               spec->min, spec->max);
    else if (spec->kind == OPTION_BOOL)
        printf(" (default %s)\n", *(bool *)spec->value ? "true" : "false");
    else if (*(const char **)spec->value)
        printf(" (default %s)\n", *(const char **)spec->value);
    else
        puts("");
}

static void print_help(const struct option_spec *specs)
{
    static const char *const kinds[] = {
        [OPTION_INT] = "N", [OPTION_BOOL] = "=true|false", [OPTION_STRING] = "TEXT"};

    printf("usage: %s [-flag value | -flag=value]...\n", program_invocation_short_name);
    for (; specs->name; specs++) {
        int width = printf("  -%s%s%s", specs->name, specs->kind == OPTION_BOOL ? "" : " ",
                           kinds[specs->kind]);
        printf("%*s%s", width < 24 ? 24 - width : 1, "", specs->help);
        print_default(specs);
    }
}

static void set_int(const struct option_spec *spec, const char *text)
{
    char *end;

    errno = 0;
    int64_t value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < spec->min || value > spec->max)
        option_misuse("-%s '%s': expected a whole number from %" PRId64 " to %" PRId64, spec->name,
                      text, spec->min, spec->max);
    *(int64_t *)spec->value = value;
}

static void set_bool(const struct option_spec *spec, const char *text)
{
    if (!text || !strcmp(text, "true") || !strcmp(text, "1"))
        *(bool *)spec->value = true;
    else if (!strcmp(text, "false") || !strcmp(text, "0"))
        *(bool *)spec->value = false;
    else
        option_misuse("-%s=%s: expected true or false", spec->name, text);
}

static void set_value(const struct option_spec *spec, const char *text)
{
    if (spec->kind == OPTION_INT)
        set_int(spec, text);
    else if (spec->kind == OPTION_BOOL)
        set_bool(spec, text);
    else
        *(const char **)spec->value = text;
}

int options_parse_flags(const struct option_spec *specs, int argc, char **argv)
{
    struct option longs[OPTIONS_MAX + 2] = {{0}};
    int n = 0, index = 0, got;

    for (; specs[n].name && n < OPTIONS_MAX; n++)
        longs[n] = (struct option){
            specs[n].name, specs[n].kind == OPTION_BOOL ? optional_argument : required_argument,
            NULL, 'v'};
    longs[n] = (struct option){"help", no_argument, NULL, 'h'};

    while ((got = getopt_long_only(argc, argv, "+:h", longs, &index)) != -1) {
        if (got == 'h') {
            print_help(specs);
            exit(output_finish(0));
        }
        if (got == ':')
            option_misuse("%s needs a value; see -h", argv[optind - 1]);
        if (got == '?')
            option_misuse("unknown flag %s; see -h", argv[optind - 1]);
        set_value(&specs[index], optarg);
    }
    return optind;
}

void options_parse(const struct option_spec *specs, int argc, char **argv)
{
    if (options_parse_flags(specs, argc, argv) < argc)
        option_misuse("unexpected argument '%s'; flags are -flag value or -flag=value; see -h",
                      argv[optind]);
}
