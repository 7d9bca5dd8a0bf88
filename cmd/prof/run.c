/* prof run: puts libprof into a program's environment and becomes the program.
 *
 * Becomes, rather than starts: the process keeps its id, its terminal, its parent, gets its signals
 * from whoever sends them, and ends as the program does, with nothing in between. All that this
 * command can do, it therefore does before: it finds the mistakes that would show later as profiles
 * that never come. */
#include "cmd/output.h"
#include "cmd/prof/prof.h"
#include "prof/http.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char run_usage[] =
    "usage: prof run [-addr HOST:PORT] [-o DIR] [-trace FILE] [more flags] [--] program "
    "[arguments]\n"
    "\n"
    "Runs a program that knows nothing of libprof with libprof.so preloaded. The program\n"
    "keeps its input, output, signals and exit status.\n"
    "\n"
    "  -addr HOST:PORT  serve /debug/pprof/ there while it runs; 127.0.0.1:6060 without\n"
    "                   -o and -trace\n"
    "  -o DIR           write every profile when it ends: DIR/cpu.pb.gz, heap, allocs,\n"
    "                   goroutine, threadcreate, block, mutex; those of its child processes\n"
    "                   are in DIR/NAME-PID/\n"
    "  -trace FILE      write an execution trace of the whole run: what every thread did and why "
    "it\n"
    "                   waited; bin/trace FILE shows it. Child processes are not in it\n"
    "  -hz N            CPU samples per second of CPU time, 1 to 10000 (100)\n"
    "  -heap BYTES      one heap sample per so many bytes, 1 for all, 0 for none (524288)\n"
    "  -block NS        one block sample per so many ns of waiting, 0 for none (100000)\n"
    "  -mutex N         one in N contentions, 0 for none (10)\n"
    "  -children        child processes serve as well, each on the next port that is free;\n"
    "                   with -o, DIR/NAME-PID/address says which\n"
    "\n"
    "It becomes the program, and so ends as it does; or with 127 when there is no such\n"
    "program, 126 when it cannot be run, 2 for wrong usage, 1 when it cannot be profiled\n"
    "(statically linked, not for the GNU C library, set-user-ID: into such a one link libprof.a).\n"
    "\n"
    "Child processes record as well, whether forked or executed. A forked one starts with an\n"
    "empty CPU profile and with its parent's memory. With -o each gets a folder of its own if it\n"
    "used enough CPU time for one sample: go tool pprof DIR/*/cpu.pb.gz adds them up. The\n"
    "endpoints are the program's alone unless -children is given: nginx' workers and\n"
    "PostgreSQL's backends do the work, their parent does not. A program that puts itself into\n"
    "the background leaves its endpoints behind with the process that ends: keep it in the\n"
    "foreground (nginx -g 'daemon off;'), or use -children.\n"
    "\n"
    "Profiles are written at exit, _exit and quick_exit, and when HUP, INT, QUIT, PIPE, ALRM or\n"
    "TERM ends the program. They are lost when SIGKILL does, in a crash, and what was recorded\n"
    "before an exec is lost with the program that was replaced. A process that has changed its\n"
    "user writes with its new rights: DIR is made open to all (as /tmp is) when root makes it,\n"
    "otherwise see to it. After a chroot without /proc and the libraries, addresses have no\n"
    "names. A seccomp filter that kills has to allow what writing files takes.\n"
    "\n"
    "PROF_FLIGHT=1 runs a flight recorder, the last seconds of a trace, which\n"
    "/debug/trace/snapshot answers; PROF_SCHEDTRACE=1000 prints a line about the threads every\n"
    "1000 ms. prof/environment.c has the rest.\n"
    "\n"
    "PPROF_PASSWORD and the other variables of prof/http.h hold for the endpoints. Without this\n"
    "command: LD_PRELOAD=libprof.so and the variables that prof/preload.c begins with.\n";

struct run {
    const char *address, *out, *trace, *hz, *heap, *block, *mutex;
    bool children;
};

static int run_complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int run_complain(int status, const char *format, ...)
{
    char text[PATH_MAX + 512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return complain(status, "run", "%s", text);
}

/* ---- flags ----------------------------------------------------------------------------------- */

static int check_number(const char *flag, const char *text, int64_t min, int64_t max)
{
    char *end;

    errno = 0;
    int64_t value = strtoll(text, &end, 10);
    if (!errno && end != text && !*end && value >= min && value <= max)
        return 0;
    return run_complain(2, "-%s '%s': expected a whole number from %" PRId64 " to %" PRId64, flag,
                        text, min, max);
}

static int check_numbers(const struct run *r)
{
    int err = r->hz ? check_number("hz", r->hz, 1, PROF_CPU_HZ_MAX) : 0;

    if (!err && r->heap)
        err = check_number("heap", r->heap, 0, 64 << 20);
    if (!err && r->block)
        err = check_number("block", r->block, 0, INT64_MAX);
    if (!err && r->mutex)
        err = check_number("mutex", r->mutex, 0, INT32_MAX);
    return err;
}

static const char **value_of(struct run *r, const char *name, size_t length)
{
    const struct {
        const char *name;
        const char **value;
    } flags[] = {{"addr", &r->address}, {"o", &r->out},       {"trace", &r->trace}, {"hz", &r->hz},
                 {"heap", &r->heap},    {"block", &r->block}, {"mutex", &r->mutex}};

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strlen(flags[i].name) == length && !strncmp(flags[i].name, name, length))
            return flags[i].value;
    return NULL;
}

/* -name value, -name=value, with one dash or two, up to "--" or the first argument that is no flag.
 * *i becomes the program's place. 0, or the exit status. */
static int parse(struct run *r, int argc, char **argv, int *i)
{
    for (*i = 0; *i < argc && argv[*i][0] == '-' && argv[*i][1]; ++*i) {
        const char *name = argv[*i] + 1 + (argv[*i][1] == '-');
        size_t length = strcspn(name, "=");
        if (!strcmp(argv[*i], "--"))
            return ++*i, 0;
        if (!strcmp(name, "h") || !strcmp(name, "help"))
            output_help(run_usage);
        if (!strcmp(name, "children")) {
            r->children = true;
            continue;
        }
        const char **value = value_of(r, name, length);
        if (!value)
            return run_complain(2, "unknown flag %s; prof help run lists them", argv[*i]);
        if (!name[length] && (*i + 1 == argc || !strcmp(argv[*i + 1], "--")))
            return run_complain(2, "-%s needs a value; prof help run says which", name);
        *value = name[length] ? name + length + 1 : argv[++*i];
    }
    return 0;
}

/* ---- what can go wrong later, found now ------------------------------------------------------ */

static int check_program(const char *name)
{
    char path[PATH_MAX];
    int err = find_program(name, path, sizeof path);

    if (err == ENOENT || err == ENOTDIR)
        return run_complain(127, "there is no program '%s'%s", name,
                            strchr(name, '/') ? "" : " on the PATH");
    if (err)
        return run_complain(126, "cannot run '%s': %s", name, strerror(err));
    const char *why = why_not_preloadable(path);
    return why ? run_complain(1, "cannot profile %s: %s", path, why) : 0;
}

/* Opens the endpoints for a moment, which finds a bad address, a missing password, a port in use.
 */
static int check_address(const char *address)
{
    struct prof_http *http = NULL;
    int err = prof_http_start(&(struct prof_http_options){.address = address}, &http);

    if (err)
        return run_complain(err == -EINVAL ? 2 : 1, "-addr: %s", prof_http_error());
    prof_http_free(http);
    return 0;
}

static int make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        int err = mkdir(path, 0777) != 0 && errno != EEXIST ? errno : 0;
        *p = '/';
        if (err)
            return err;
    }
    return 0;
}

/* The folder, made if need be, as an absolute path: the program may change its working directory.
 * Root's is open to all, like /tmp, because what root starts as a rule gives up its rights before
 * it writes. */
static int prepare_out(const char *out, char absolute[PATH_MAX])
{
    char path[PATH_MAX];
    struct stat st;

    if (!*out || snprintf(path, sizeof path, "%s", out) >= (int)sizeof path)
        return run_complain(2, "-o: expected the path of a folder");
    int err = make_folders(path);
    if (!err && mkdir(path, 0777) == 0) {
        if (geteuid() == 0)
            chmod(path, 01777);
    } else if (!err && errno != EEXIST) {
        err = errno;
    }
    if (!err && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
        err = ENOTDIR;
    if (!err && (access(path, W_OK | X_OK) != 0 || !realpath(path, absolute)))
        err = errno;
    return err ? run_complain(1, "-o %s: %s; expected a folder to write to", out, strerror(err))
               : 0;
}

/* The file's absolute path; its folder is made if need be. */
static int prepare_trace(const char *trace, char absolute[PATH_MAX])
{
    char path[PATH_MAX], folder[PATH_MAX];
    struct stat st;
    char *slash;

    if (!*trace ||
        snprintf(path, sizeof path, "%s%s", *trace == '/' ? "" : "./", trace) >= (int)sizeof path)
        return run_complain(2, "-trace: expected the path of a file");
    int err = make_folders(path);
    slash = strrchr(path, '/');
    if (!err && ((stat(path, &st) == 0 && S_ISDIR(st.st_mode)) || !slash[1]))
        err = EISDIR;
    *slash = '\0';
    if (!err && (!realpath(*path ? path : "/", folder) || stat(folder, &st) != 0))
        err = errno;
    if (!err && !S_ISDIR(st.st_mode))
        err = ENOTDIR;
    if (!err && access(folder, W_OK | X_OK) != 0)
        err = errno;
    if (!err && snprintf(absolute, PATH_MAX, "%s/%s", folder, slash + 1) >= PATH_MAX)
        err = ENAMETOOLONG;
    return err ? run_complain(1, "-trace %s: %s; expected a file that may be written", trace,
                              strerror(err))
               : 0;
}

/* ---- the environment ------------------------------------------------------------------------- */

/* What is recorded where is this command's to say: an outer one's is not meant. */
static void set_or_not(const char *variable, const char *value)
{
    if (value)
        setenv(variable, value, 1);
    else
        unsetenv(variable);
}

/* Rates that it is not told stay as the environment has them. */
static void set_if(const char *variable, const char *value)
{
    if (value)
        setenv(variable, value, 1);
}

static int set_preload(const char *address)
{
    char folder[PATH_MAX], http[PATH_MAX + 32], list[2 * PATH_MAX];
    const char *old = getenv("LD_PRELOAD");

    if (!find_library_folder(folder, sizeof folder))
        return run_complain(1, "libprof.so is missing: expected in %s; build it with make", folder);
    if (strpbrk(folder, " :"))
        return run_complain(
            1, "libprof.so lies in '%s': the loader takes no path with a space or a colon", folder);
    snprintf(http, sizeof http, "%s/libprof-http.so", folder);
    if (address && access(http, R_OK) != 0)
        return run_complain(1, "%s is missing; build it with make", http);
    int n = snprintf(list, sizeof list, "%s/libprof.so%s%s", folder, old && *old ? ":" : "",
                     old ? old : "");
    if (n >= (int)sizeof list)
        return run_complain(1, "LD_PRELOAD is too long already");
    setenv("LD_PRELOAD", list, 1);
    return 0;
}

static int set_environment(const struct run *r)
{
    char out[PATH_MAX], trace[PATH_MAX], pid[16];
    int status = r->out ? prepare_out(r->out, out) : 0;

    if (!status && r->trace)
        status = prepare_trace(r->trace, trace);
    if (!status)
        status = set_preload(r->address);
    if (status)
        return status;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("PROF_PID", pid, 1);
    set_or_not("PROF_OUT", r->out ? out : NULL);
    set_or_not("PROF_TRACE", r->trace ? trace : NULL);
    set_or_not("PROF_ADDR", r->address);
    set_or_not("PROF_CHILDREN", r->children ? "1" : NULL);
    set_if("PROF_HZ", r->hz);
    set_if("PROF_HEAP_RATE", r->heap);
    set_if("PROF_BLOCK_RATE_NS", r->block);
    set_if("PROF_MUTEX_FRACTION", r->mutex);
    return 0;
}

int run_command(int argc, char **argv)
{
    struct run r = {0};
    int i = 0, status = parse(&r, argc, argv, &i);

    if (status)
        return status;
    if (i == argc)
        return run_complain(2, "no program; usage: prof run [flags] -- program [arguments]");
    if (!r.out && !r.trace && !r.address)
        r.address = "127.0.0.1:6060";
    status = check_numbers(&r);
    if (!status)
        status = check_program(argv[i]);
    if (!status && r.address)
        status = check_address(r.address);
    if (!status)
        status = set_environment(&r);
    if (status)
        return status;
    execvp(argv[i], argv + i);
    return run_complain(errno == ENOENT ? 127 : 126, "cannot run '%s': %s", argv[i],
                        strerror(errno));
}
