/* The command line, with go test's flags: -flag value and -flag=value, one dash or two. A table of
 * flags, each with the function that takes its value; what they refuse is reported here, in one
 * line. */
#include "bench/internal.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct flag {
    const char *name, *value; /* value NULL: a switch */
    const char *help;
    /* NULL, or what was expected instead */
    const char *(*set)(struct bench_options *o, const char *value);
};

static const char *set_bench(struct bench_options *o, const char *v)
{
    o->bench = *v ? v : NULL; /* "" is none, as in Go */
    return NULL;
}

static const char *set_run(struct bench_options *o, const char *v)
{
    o->run = v;
    return NULL;
}

static const char *set_list(struct bench_options *o, const char *v)
{
    o->list = v;
    return NULL;
}

static const char *set_benchtime(struct bench_options *o, const char *v)
{
    size_t len = strlen(v);

    o->time_iterations = 0;
    if (len && v[len - 1] == 'x') {
        char digits[32];
        snprintf(digits, sizeof(digits), "%.*s", (int)len - 1, v);
        if (len <= sizeof(digits) && bench_parse_int(digits, 1, &o->time_iterations))
            return NULL;
    } else if (bench_parse_duration(v, &o->time_ns) && o->time_ns > 0) {
        return NULL;
    }
    return "a duration above zero such as 300ms, 2s or 1m30s, or a count such as 100x";
}

static const char *set_count(struct bench_options *o, const char *v)
{
    return bench_parse_int(v, 0, &o->count) ? NULL : "a number, 0 or more";
}

static const char *set_timeout(struct bench_options *o, const char *v)
{
    o->timeout_text = v;
    return bench_parse_duration(v, &o->timeout_ns) ? NULL
                                                   : "a duration such as 30s or 10m (0: no limit)";
}

static const char *set_cpu(struct bench_options *o, const char *v)
{
    const char *expected = "numbers of threads from 1 to 4096 such as 1,2,4 (64 of them at most)";
    char *list = strdup(v), *rest = list;

    o->nprocs = 0;
    for (char *item; list && (item = strsep(&rest, ","));) {
        item += strspn(item, " ");
        item[strcspn(item, " ")] = '\0';
        int64_t procs;
        if (!*item)
            continue;
        if (o->nprocs == BENCH_PROCS_MAX || !bench_parse_int(item, 1, &procs) ||
            procs > BENCH_THREADS_MAX) {
            free(list);
            return expected;
        }
        o->procs[o->nprocs++] = (int)procs;
    }
    free(list);
    o->procs_given = o->nprocs > 0;
    return NULL;
}

/* The words that Go takes for either. */
static const char *set_bool(bool *out, const char *v)
{
    static const char *const words[][6] = {{"0", "f", "F", "false", "FALSE", "False"},
                                           {"1", "t", "T", "true", "TRUE", "True"}};

    for (int truth = 0; truth < 2; truth++) {
        for (int i = 0; i < 6; i++) {
            if (strcmp(v, words[truth][i]) == 0) {
                *out = truth;
                return NULL;
            }
        }
    }
    return "true or false";
}

static const char *set_benchmem(struct bench_options *o, const char *v)
{
    return set_bool(&o->memory, v);
}

static const char *set_verbose(struct bench_options *o, const char *v)
{
    return set_bool(&o->verbose, v);
}

static const char *set_help(struct bench_options *o, const char *v)
{
    return set_bool(&o->help, v);
}

static const char *set_path(const char **out, const char *v)
{
    *out = *v ? v : NULL;
    return NULL;
}

static const char *set_cpuprofile(struct bench_options *o, const char *v)
{
    return set_path(&o->profile[BENCH_PROFILE_CPU], v);
}

static const char *set_memprofile(struct bench_options *o, const char *v)
{
    return set_path(&o->profile[BENCH_PROFILE_MEM], v);
}

static const char *set_memprofilerate(struct bench_options *o, const char *v)
{
    return bench_parse_int(v, 0, &o->mem_rate) ? NULL
                                               : "a number of bytes (0: leave the rate as it is)";
}

static const char *set_blockprofile(struct bench_options *o, const char *v)
{
    return set_path(&o->profile[BENCH_PROFILE_BLOCK], v);
}

static const char *set_blockprofilerate(struct bench_options *o, const char *v)
{
    return bench_parse_int(v, 0, &o->block_rate_ns) ? NULL : "a number of nanoseconds (0: off)";
}

static const char *set_mutexprofile(struct bench_options *o, const char *v)
{
    return set_path(&o->profile[BENCH_PROFILE_MUTEX], v);
}

static const char *set_mutexprofilefraction(struct bench_options *o, const char *v)
{
    return bench_parse_int(v, 0, &o->mutex_fraction) ? NULL : "a number (0: off)";
}

static const char *set_trace(struct bench_options *o, const char *v)
{
    return set_path(&o->profile[BENCH_PROFILE_TRACE], v);
}

static const struct flag flags[] = {
    {"bench", "REGEXP", "run the benchmarks whose name matches, element by element between slashes",
     set_bench},
    {"benchmem", NULL, "print B/op and allocs/op", set_benchmem},
    {"benchtime", "D", "run each for the duration D (1s), or exactly N times (100x)",
     set_benchtime},
    {"count", "N", "run each N times (1)", set_count},
    {"cpu", "LIST", "run each with that many threads, and on that many CPUs: 1,2,4 (all CPUs)",
     set_cpu},
    {"cpuprofile", "FILE", "write a CPU profile", set_cpuprofile},
    {"memprofile", "FILE", "write an allocation profile", set_memprofile},
    {"memprofilerate", "BYTES", "sample one allocation in so many bytes; 1: all (524288)",
     set_memprofilerate},
    {"blockprofile", "FILE", "write a profile of who waited", set_blockprofile},
    {"blockprofilerate", "NS", "sample one wait in so many nanoseconds waited (1: every wait)",
     set_blockprofilerate},
    {"mutexprofile", "FILE", "write a profile of who kept others waiting", set_mutexprofile},
    {"mutexprofilefraction", "N", "sample one contention in N (1: all)", set_mutexprofilefraction},
    {"trace", "FILE", "write an execution trace; bin/trace FILE shows it", set_trace},
    {"list", "REGEXP", "print the names that match and run nothing", set_list},
    {"run", "REGEXP", "for go test's sake: it chooses tests, and there are none here", set_run},
    {"timeout", "D", "give up after the duration D, with exit status 1 (0: never)", set_timeout},
    {"v", NULL, "print each name before it runs, and what it logs at once", set_verbose},
    {"help", NULL, "print this", set_help},
    {"h", NULL, NULL, set_help},
    {NULL, NULL, NULL, NULL},
};

int bench_complain(int status, const char *format, ...)
{
    va_list args;

    /* First what was printed so far; but not at the price of waiting for a thread that is stuck in
     * printing. */
    if (ftrylockfile(stdout) == 0) {
        fflush(stdout);
        funlockfile(stdout);
    }
    flockfile(stderr);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    funlockfile(stderr);
    return status;
}

void bench_print_help(FILE *out)
{
    fprintf(out, "usage: %s -bench REGEXP [flags]     -bench . runs all, -list . names them\n",
            program_invocation_short_name);
    for (const struct flag *f = flags; f->name; f++) {
        if (f->help)
            fprintf(out, "  -%s %-*s %s\n", f->name, 23 - (int)strlen(f->name),
                    f->value ? f->value : "", f->help);
    }
}

static const struct flag *find_flag(const char *name, size_t len)
{
    for (const struct flag *f = flags; f->name; f++)
        if (strlen(f->name) == len && strncmp(f->name, name, len) == 0)
            return f;
    return NULL;
}

/* Takes argv[*i] and, where it needs one, the value after it. */
static int parse_one(int argc, char **argv, int *i, struct bench_options *o)
{
    const char *arg = argv[*i], *name = arg + 1 + (arg[0] == '-' && arg[1] == '-');

    if (arg[0] != '-' || !*name)
        return bench_complain(2,
                              "unexpected argument \"%s\": choose benchmarks with -bench REGEXP; "
                              "-help lists the flags",
                              arg);
    size_t len = strcspn(name, "=");
    const struct flag *f = find_flag(name, len);
    if (!f)
        return bench_complain(2, "unknown flag %.*s: -help lists the flags",
                              (int)(name - arg + (int)len), arg);
    const char *value = name[len] == '=' ? name + len + 1 : f->value ? NULL : "true";
    if (!value) {
        if (*i + 1 == argc)
            return bench_complain(2, "-%s needs a value: -%s %s", f->name, f->name, f->value);
        value = argv[++*i];
    }
    const char *expected = f->set(o, value);
    if (expected)
        return bench_complain(2, "invalid value \"%s\" for -%s: expected %s", value, f->name,
                              expected);
    return 0;
}

static int cpus(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

int bench_parse_flags(int argc, char **argv, struct bench_options *out)
{
    *out = (struct bench_options){
        .time_ns = INT64_C(1000000000), .count = 1, .block_rate_ns = 1, .mutex_fraction = 1};
    for (int i = 1; i < argc; i++) {
        int status = parse_one(argc, argv, &i, out);
        if (status)
            return status;
    }
    if (!out->nprocs)
        out->procs[out->nprocs++] = cpus();
    return 0;
}
