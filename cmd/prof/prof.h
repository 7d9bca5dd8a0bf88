/* The prof command: a file for each of its subcommands. */
#ifndef CMD_PROF_PROF_H
#define CMD_PROF_PROF_H

#include <stdbool.h>
#include <stddef.h>

/* A subcommand's arguments begin behind its name. Returns the exit status. */
int run_command(int argc, char **argv);
extern const char run_usage[];

/* Prints `prof COMMAND: text` as one line on standard error and returns status. */
int complain(int status, const char *command, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- find.c ---------------------------------------------------------------------------------- */

/* The program that execvp(name) would run. 0, or ENOENT or EACCES or what else there was. */
int find_program(const char *name, char *path, size_t size);
/* The folder that holds libprof.so, found from where this program lies. false: there is none, and
 * `path` says where it should have been. */
bool find_library_folder(char *path, size_t size);

/* ---- elf.c ----------------------------------------------------------------------------------- */

/* Why the loader would not preload a library into the program at path: a clause that goes on from
 * "prof cannot profile it: ". NULL: it would. */
const char *why_not_preloadable(const char *path);

#endif
