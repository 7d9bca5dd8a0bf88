/* The end of standard output, for every program. The C library keeps the first error of a stream
 * until it is asked, and exit() asks nobody. */
#include "cmd/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int output_finish(int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    /* An earlier write may have failed, and this one had nothing left to do: its reason is gone. */
    fprintf(stderr, "%s: standard output: %s\n", program_invocation_short_name,
            errno ? strerror(errno) : "not everything could be written");
    return 1;
}

_Noreturn void output_help(const char *text)
{
    fputs(text, stdout);
    exit(output_finish(0));
}
