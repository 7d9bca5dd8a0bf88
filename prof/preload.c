/* The start of libprof in a program that knows nothing of it: LD_PRELOAD=libprof.so, and the rest
 * in the environment. `prof run` sets these; they can be set by hand as well.
 *
 *   PROF_OUT=DIR          at the end of the process, write its profiles into DIR (an absolute path)
 *   PROF_TRACE=FILE       write an execution trace of it all (an absolute path)
 *   PROF_ADDR=HOST:PORT   serve /debug/pprof/ there (libprof-http.so, from libprof.so's folder)
 *   PROF_HZ=100           samples per second of CPU time
 *   PROF_HEAP_RATE, PROF_BLOCK_RATE_NS, PROF_MUTEX_FRACTION    the other profiles' rates; 0 is off
 *   PROF_PID=N            the process that serves and traces, and writes into DIR itself
 *   PROF_CHILDREN=1       its child processes serve as well, each on the next port that is free
 *
 * environment.c has those that hold for linked programs, too.
 *
 * Every process of the family records. The one with the id PROF_PID (the program that was asked
 * for; it keeps its id when it executes another) writes DIR/cpu.pb.gz and so on, every other one
 * DIR/NAME-PID/cpu.pb.gz, if it used enough CPU time for one sample. A forked child starts with an
 * empty CPU profile; what it has allocated it has from its parent. Entered through a constructor,
 * before main, and through fork. */
#include "prof/preload.h"
#include "prof/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not every libprof records waits. */
#pragma weak prof_set_block_rate_ns
#pragma weak prof_set_mutex_fraction

enum {
    BLOCK_RATE_NS_DEFAULT = 100000, /* of 100 us spent waiting, one sample on average */
    MUTEX_FRACTION_DEFAULT = 10,
};

struct prof_preload prof_preload;

/* A number from the environment; a bad one is the default, and the user is told. */
static int64_t number(const char *variable, int64_t min, int64_t max, int64_t def)
{
    const char *text = getenv(variable);
    char *end;
    if (!text || !*text)
        return def;
    errno = 0;
    int64_t value = strtoll(text, &end, 10);
    if (!errno && !*end && value >= min && value <= max)
        return value;
    prof_complain("%s is '%s'; expected a whole number from %lld to %lld; taking %lld", variable,
                  text, (long long)min, (long long)max, (long long)def);
    return def;
}

/* A program's name may hold anything; a folder's should not. */
static void set_name(const char *name)
{
    size_t n = 0;
    for (; *name && n < sizeof prof_preload.name - 1; name++)
        prof_preload.name[n++] = strchr("/ ()'\"\\*?", *name) || *name < ' ' ? '_' : *name;
    if (n == 0)
        strcpy(prof_preload.name, "program");
}

static void set_out(const char *folder)
{
    if (!folder || !*folder)
        return;
    if (folder[0] != '/' || strlen(folder) >= sizeof prof_preload.out) {
        prof_complain("PROF_OUT is '%.60s'; expected an absolute path; no profiles will be written",
                      folder);
        return;
    }
    strcpy(prof_preload.out, folder);
}

static void set_rates(void)
{
    if (prof_set_block_rate_ns)
        prof_set_block_rate_ns(number("PROF_BLOCK_RATE_NS", 0, INT64_MAX, BLOCK_RATE_NS_DEFAULT));
    if (prof_set_mutex_fraction)
        prof_set_mutex_fraction(
            number("PROF_MUTEX_FRACTION", 0, INT64_MAX, MUTEX_FRACTION_DEFAULT));
}

static void start_cpu(void)
{
    int err = prof_cpu_whole_start(prof_preload.hz, false);
    prof_preload.cpu = !err;
    if (err)
        prof_complain("no CPU profile: %s", strerrordesc_np(-err));
}

/* Runs in the child alone, which has one thread, after thread.c's handler. */
static void fork_child(void)
{
    prof_preload.pid = getpid();
    prof_preload.first = false;
    prof_out_fork_child();
    prof_preload.cpu = *prof_preload.out && prof_cpu_whole_start(prof_preload.hz, true) == 0;
    if (prof_preload.address && prof_preload.children)
        prof_serve(false);
}

/* After prof_init (101), whose fork handlers have to come first. */
__attribute__((constructor(102))) static void preload(void)
{
    const char *address = getenv("PROF_ADDR"), *trace = getenv("PROF_TRACE");
    prof_complain_init();
    set_out(getenv("PROF_OUT"));
    if (!*prof_preload.out && !(address && *address) && !(trace && *trace))
        return; /* linked, or preloaded for its hooks alone */
    prof_init();
    prof_preload.pid = getpid();
    prof_preload.first = number("PROF_PID", 0, INT32_MAX, 0) == prof_preload.pid;
    prof_preload.children = number("PROF_CHILDREN", 0, 1, 0);
    prof_preload.hz = (int)number("PROF_HZ", 1, PROF_CPU_HZ_MAX, PROF_CPU_HZ_DEFAULT);
    prof_preload.address = address && *address ? address : NULL;
    set_name(program_invocation_short_name);
    set_rates();
    pthread_atfork(NULL, NULL, fork_child);
    if (*prof_preload.out)
        start_cpu();
    if (trace && *trace && prof_preload.first)
        prof_out_trace_start(trace);
    if (*prof_preload.out || prof_out_traces())
        prof_end_init();
    if (prof_preload.address && (prof_preload.first || prof_preload.children))
        prof_serve(true);
}
