/* Profiles of the program's own run, for -cpuprofile, -memprofile and -trace. For programs: what
 * goes wrong is said in one line and ends the program with 1. A NULL path is no profile. */
#ifndef CMD_PROFILE_H
#define CMD_PROFILE_H

#include "cmd/outfile.h"

struct profile_output {
    const char *flag; /* as the user knows it: "-cpuprofile" */
    struct outfile file;
    int wanted;
};

/* Makes sure, before the work, that the profile can be written after it. */
void profile_prepare(struct profile_output *p, const char *flag, const char *path);

/* Samples from here until profile_finish_cpu. hz 0: the default. */
void profile_start_cpu(struct profile_output *p, int hz);
void profile_finish_cpu(struct profile_output *p);

/* Writes a named profile (see prof_write), as it is now. */
void profile_finish_named(struct profile_output *p, const char *name);

/* An execution trace from here until profile_finish_trace. */
void profile_start_trace(struct profile_output *p);
void profile_finish_trace(struct profile_output *p);

#endif
