/* The part of `make doctor` that has to be a program: real captures, read back as a viewer would.
 *
 *   bin/doctor        prints a line a check, tabs between status, check, what was seen, and the
 * fix's key
 *
 * scripts/doctor.sh prints them for people and knows the fixes. Exit 0 whatever was found. */
#include "cmd/doctor/doctor.h"
#include "cmd/options.h"
#include "cmd/output.h"

#include <stdarg.h>
#include <stdio.h>

void say(const char *status, const char *check, const char *fix, const char *format, ...)
{
    va_list args;

    printf("%s\t%s\t", status, check);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\t%s\n", fix);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    options_parse((struct option_spec[]){{0}}, argc, argv);
    check_cpu();
    check_heap();
    check_locks();
    check_switches();
    check_clock();
    return output_finish(0);
}
