/* What the files of the preloaded start share: preload.c decides, the others do. None of them is in
 * libprof.a. */
#ifndef PROF_PRELOAD_H
#define PROF_PRELOAD_H

#include "prof/internal.h"

#include <limits.h>
#include <signal.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* What the environment asked for. Set once, before main; a forked child changes what differs. */
struct prof_preload {
    pid_t pid;           /* the process this describes: a vfork'd child is another one */
    bool first;          /* this is the program that was asked for, not a process that it made */
    char name[32];       /* the program's, fit for a file name */
    char out[PATH_MAX];  /* the folder for profiles at the end; "": none */
    const char *address; /* of the endpoints; NULL: none */
    bool children;       /* child processes serve too */
    int hz;
    bool cpu; /* a CPU profile runs, to be written at the end */
};
extern struct prof_preload prof_preload;

/* ---- preload_out.c --------------------------------------------------------------------------- */

/* There is something to write, and this is the process to write it (not one that vfork made). */
bool prof_out_wanted(void);
/* Writes every profile of this process into its folder, once; a second caller waits for the first.
 * The first process says so on standard error if that fails. */
void prof_out_write(void);
/* A thread is about it, and has not been for too long. */
bool prof_out_in_progress(void);
/* Nothing that is recorded from now on will be written. */
bool prof_out_done(void);
/* Where the endpoints of this process are: into the file `address` of its folder. */
void prof_out_address(const char *address);
void prof_out_fork_child(void);
/* One line on standard error, if that still is what it was before main. */
void prof_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void prof_complain_init(void);

/* ---- preload_trace.c ------------------------------------------------------------------------- */

/* Begins the trace of the run; what goes wrong is said. */
void prof_out_trace_start(const char *file);
/* This process has one to finish. */
bool prof_out_traces(void);
/* Writes the rest and gives the file its name. What goes wrong is said on standard error. */
void prof_out_trace_finish(void);
/* It is the parent's. */
void prof_out_trace_forget(void);

/* ---- preload_end.c --------------------------------------------------------------------------- */

/* Takes the signals that would end the process, as long as the program leaves them at their
 * default. */
void prof_end_init(void);

/* ---- preload_signal.c ---- */

/* Installs the action if the signal is at its default; the program goes on seeing the default. One
 * action for all. */
void prof_signal_take(int sig, const struct sigaction *action);
/* sigaction(2), past the hook. */
int prof_signal_really(int sig, const struct sigaction *action);

/* ---- preload_serve.c ------------------------------------------------------------------------- */

/* Starts the endpoints. With `wait`, when it returns they answer, or the user has been told why
 * not. */
void prof_serve(bool wait);

#pragma GCC visibility pop
#endif
