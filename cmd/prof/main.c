/* prof: profiles of programs that know nothing of it.
 *
 *   prof run [-addr HOST:PORT] [-o DIR] [-hz N] -- program args
 *   prof help [COMMAND] */
#include "cmd/output.h"
#include "cmd/prof/prof.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage, *about;
} commands[] = {
    {"run", run_command, run_usage, "runs a program with profiling preloaded"},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

int complain(int status, const char *command, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "prof%s%s: ", *command ? " " : "", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return status;
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static void print_commands(FILE *f)
{
    fputs("usage: prof COMMAND [ARGUMENTS]\n\n", f);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-6s %s\n", commands[i].name, commands[i].about);
    fputs("  help   tells more: prof help COMMAND\n", f);
}

static int help(int argc, char **argv)
{
    if (argc == 0) {
        print_commands(stdout);
        return output_finish(0);
    }
    const struct command *c = find_command(argv[0]);
    if (!c)
        return complain(2, "help", "unknown command '%s'; prof help lists them", argv[0]);
    output_help(c->usage);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_commands(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (!strcmp(name, "help") || !strcmp(name, "-h") || !strcmp(name, "-help") ||
        !strcmp(name, "--help"))
        return help(argc - 2, argv + 2);
    const struct command *c = find_command(name);
    if (!c)
        return complain(2, "", "unknown command '%s'; prof help lists them", name);
    return c->run(argc - 2, argv + 2);
}
