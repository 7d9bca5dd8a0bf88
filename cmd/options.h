/* Flags as Go's programs take them: -flag value, -flag=value, two dashes as well. */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdint.h>

enum option_kind { OPTION_INT, OPTION_BOOL, OPTION_STRING };

struct option_spec {
    const char *name;
    enum option_kind kind;
    void *value;      /* int64_t, bool or const char *; holds the default */
    int64_t min, max; /* OPTION_INT */
    const char *help;
};

/* Reads the command line into the values; specs end with a NULL name. For programs: help is printed
 * and the program ends (0), and so does a mistake, in one line (2). No arguments may follow the
 * flags. */
void options_parse(const struct option_spec *specs, int argc, char **argv);

/* As options_parse, for programs that take arguments after the flags. The index of the first in
 * argv; argc: none. */
int options_parse_flags(const struct option_spec *specs, int argc, char **argv);

/* Prints `program: text` and ends the program. */
_Noreturn void option_misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
