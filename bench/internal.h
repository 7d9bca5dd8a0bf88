/* What the files of bench/ know of one another. The way of a run: main.c parses the flags
 * (flags.c), names what to run (registry.c, match.c) and hands each benchmark to run.c, which calls
 * it with more and more iterations (timer.c, parallel.c and say.c are what it calls back) and
 * prints the result (result.c). profile.c writes the profiles, watch.c ends a run that takes too
 * long or is interrupted. */
#ifndef BENCH_INTERNAL_H
#define BENCH_INTERNAL_H

#include "bench/bench.h"
#include "prof/pprof.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <time.h>

static inline int64_t bench_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- registry.c ------------------------------------------------------------------------------ */

/* All that were registered, by file and line. */
const struct bench_entry *bench_entries(void);
const char *bench_package(void);

/* ---- parse.c --------------------------------------------------------------------------------- */

/* "1h30m", "1.5s", "300ms", as Go's time.ParseDuration; not negative. False: it is none. */
bool bench_parse_duration(const char *text, int64_t *ns);
/* A decimal number from min to INT64_MAX. */
bool bench_parse_int(const char *text, int64_t min, int64_t *value);

/* ---- flags.c --------------------------------------------------------------------------------- */

enum { BENCH_PROCS_MAX = 64, BENCH_THREADS_MAX = 4096 };
enum bench_profile {
    BENCH_PROFILE_CPU,
    BENCH_PROFILE_MEM,
    BENCH_PROFILE_BLOCK,
    BENCH_PROFILE_MUTEX,
    BENCH_PROFILE_TRACE, /* the last of them */
    BENCH_PROFILES
};

struct bench_options {
    const char *bench, *run, *list; /* regular expressions; NULL: not given */
    int64_t time_ns;                /* -benchtime as a duration, */
    int64_t time_iterations;        /* or as a count when this is not 0 */
    int64_t count;
    int64_t timeout_ns; /* 0: none */
    const char *timeout_text;
    int procs[BENCH_PROCS_MAX]; /* -cpu */
    int nprocs;
    bool procs_given;
    bool memory, verbose, help;
    const char *profile[BENCH_PROFILES]; /* paths; NULL: none */
    int64_t mem_rate;                    /* 0: as it is */
    int64_t block_rate_ns, mutex_fraction;
};

/* 0, or 2 when the command line is wrong: then the reason was printed. */
int bench_parse_flags(int argc, char **argv, struct bench_options *out);
void bench_print_help(FILE *out);
/* Prints one line, "PROGRAM: ...", to stderr. Returns status. */
int bench_complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- match.c --------------------------------------------------------------------------------- */

struct bench_matcher;

/* A pattern as go test's: alternatives of elements between slashes. A NULL pattern matches nothing.
 * On failure returns NULL, and error (of size bytes) says why. */
struct bench_matcher *bench_matcher_new(const char *pattern, bool split, char *error, size_t size);
void bench_matcher_free(struct bench_matcher *m);
/* Whether the name's elements match as far as both go. *partial: the pattern has more elements. */
bool bench_matcher_matches(const struct bench_matcher *m, const char *name, bool *partial);

/* ---- names.c --------------------------------------------------------------------------------- */

struct bench_names; /* those given out so far */

/* parent/sub with white space and unprintables replaced, made unique with #01, #02. malloc'ed;
 * NULL: no memory. */
char *bench_names_add(struct bench_names **names, const char *parent, const char *sub);
void bench_names_free(struct bench_names **names);
/* Replaces white space by '_' and unprintable bytes by escapes. malloc'ed; NULL: no memory. */
char *bench_clean_name(const char *name);

/* ---- run.c ----------------------------------------------------------------------------------- */

struct bench_context { /* one run of the program */
    const struct bench_options *options;
    struct bench_matcher *matcher;
    struct bench_names *names;
    int name_width, suffix_width; /* of the output's first column */
    int procs;
    int matched; /* benchmarks whose whole name the pattern matched */
    bool header_printed;
};

struct bench_metric {
    double value;
    char unit[64];
};
enum { BENCH_METRICS_MAX = 32 };

struct bench_state { /* a benchmark; begins with the part that its body sees */
    struct bench public;
    struct bench_context *context;
    struct bench_state *parent;
    char *name;
    bench_fn *fn;
    void *arg;
    pthread_t thread; /* that runs it; exit is where bench_fatal jumps to */
    jmp_buf exit;

    int64_t n, previous_n, previous_ns;
    bool looped, loop_open, has_sub, skipped, finished;

    bool timer_on, report_allocs; /* timer.c */
    int64_t start_ns, duration_ns, bytes;
    struct prof_alloc_counts start_counts;
    uint64_t allocs, alloc_bytes;
    struct bench_metric metrics[BENCH_METRICS_MAX];
    int nmetrics;
    int parallelism;

    pthread_mutex_t lock; /* for what follows */
    bool failed;
    char *output;
    size_t output_len;
};

static inline struct bench_state *bench_state(const struct bench *b)
{
    return (struct bench_state *)b;
}

/* Runs all that match. False: one failed. */
bool bench_run_all(struct bench_context *context);
/* How many iterations come after previous_n that took previous_ns, towards goal_ns; last is what
 * was tried last. */
int64_t bench_predict(int64_t goal_ns, int64_t previous_n, int64_t previous_ns, int64_t last);
/* The name of what runs now, copied. Any thread. */
void bench_running(char *name, size_t size);

/* ---- say.c ----------------------------------------------------------------------------------- */

/* As bench_error, without file and line. */
void bench_harness_error(struct bench_state *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints "--- TAG: NAME" and what was said. */
void bench_print_output(struct bench_state *b, const char *tag, const char *name, bool trim);

/* ---- result.c -------------------------------------------------------------------------------- */

void bench_print_header(FILE *out);
/* "      27\t  47623057 ns/op\t ...": everything but the name and the end of the line. */
void bench_print_result(FILE *out, const struct bench_state *b);
void bench_print_value(FILE *out, double value, const char *unit);

/* ---- profile.c ------------------------------------------------------------------------------- */

/* The exit status, 0 when all is well; else the reason was printed. */
int bench_profiles_check(const struct bench_options *o); /* can the files be written? */
int bench_profiles_start(const struct bench_options *o);
int bench_profiles_write(const struct bench_options *o);
/* Leaves no unfinished file behind. Any thread. */
void bench_profiles_abort(void);

/* ---- watch.c --------------------------------------------------------------------------------- */

int bench_watch_start(const struct bench_options *o, int64_t start_ns);
/* The benchmarks are through: from now on there is no time limit. */
void bench_watch_lift_limit(void);
/* After this the run ends by itself and nothing else ends it: no time limit, no signal. */
void bench_watch_stop(void);

/* ---- main.c ---------------------------------------------------------------------------------- */

/* The last lines: PASS or FAIL, and go test's summary. */
void bench_print_end(bool ok, int64_t start_ns);

#endif
