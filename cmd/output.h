/* What a program prints has to arrive, or the program has to say that it did not: a table that is
 * missing its end, or a result that went to a full disk, must not end with success. */
#ifndef CMD_OUTPUT_H
#define CMD_OUTPUT_H

/* Writes out what standard output still holds: the last thing a program does with it. The status to
 * end with: that given, or 1 when something that was printed could not be written, after one line
 * on standard error that says why. Not for signal handlers. */
int output_finish(int status);

/* Prints the help and ends the program: 0, or 1 as above. */
_Noreturn void output_help(const char *text);

#endif
