/* server: a demo server to profile under load. Its work routes run the labs, slow or fixed, and the
 * profile endpoints of Go's net/http/pprof are mounted beside them.
 *
 *   server [-addr 127.0.0.1:6060] [-hold-limit MIB] [-leak-seconds N] [-flight]
 *          [-trace-slower-than 200ms [-trace-dir DIR] [-trace-tail 1s]]
 *
 * Environment: BLOCK_PROFILE_RATE_NS and MUTEX_PROFILE_FRACTION turn the block and the mutex
 * profile on; PPROF_PASSWORD and the others are those of prof/http.h. SIGINT and SIGTERM stop it:
 * requests in flight end first; a second signal does not wait for them. */
#include "cmd/output.h"
#include "cmd/server/server.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct options options = {.hold_bytes = INT64_C(1) << 30,
                          .leak_seconds = 30,
                          .tail_ns = 500000000,
                          .trace_folder = "profiles/trace"};

static const char usage[] =
    "usage: server [-addr HOST:PORT] [-hold-limit MIB] [-leak-seconds N] [-flight]\n"
    "              [-trace-slower-than TIME [-trace-dir DIR] [-trace-tail TIME]]\n"
    "  -addr HOST:PORT    where to listen (127.0.0.1:6060)\n"
    "  -hold-limit MIB    the most that /work/mem may hold, 1 to 65536 (1024)\n"
    "  -leak-seconds N    how long leaked threads stay, 1 to 3600 (30)\n"
    "  -flight            keep the last 10 s of a trace, for /debug/trace/snapshot\n"
    "  -trace-slower-than TIME  a request that takes longer than TIME (200ms, 1.5s) writes the\n"
    "                     trace of what led to it, at most once a minute; implies -flight\n"
    "  -trace-dir DIR     into this folder (profiles/trace)\n"
    "  -trace-tail TIME   with so much of what comes after it, up to 60s (500ms)\n";

static void die(int status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("server: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(status);
}

static int64_t number(const char *name, const char *text, int64_t min, int64_t max)
{
    char *end;

    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < min || n > max)
        die(2, "%s is \"%s\"; expected a whole number from %" PRId64 " to %" PRId64, name, text,
            min, max);
    return n;
}

/* "200ms", "1.5s", "2m" in nanoseconds, from min to max. */
static int64_t duration(const char *name, const char *text, double min_s, double max_s)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}};
    char *end;
    double n = strtod(text, &end);

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (end != text && strspn(text, "0123456789.") == (size_t)(end - text) &&
            !strcmp(end, units[i].name) && n * units[i].seconds >= min_s &&
            n * units[i].seconds <= max_s)
            return (int64_t)(n * units[i].seconds * 1e9);
    die(2, "%s is \"%s\"; expected a time such as 200ms or 1.5s, at most %gs", name, text, max_s);
    return 0;
}

/* "-name value" and "-name=value", with one dash or two, as Go's flags. */
static const char *flag_value(char **argv, int *i, const char *name)
{
    const char *arg = argv[*i] + 1 + (argv[*i][1] == '-');
    const size_t n = strlen(name);

    if (strncmp(arg, name, n) != 0 || (arg[n] && arg[n] != '='))
        return NULL;
    if (arg[n] == '=')
        return arg + n + 1;
    if (!argv[*i + 1])
        die(2, "-%s needs a value; see server -help", name);
    return argv[++*i];
}

static bool is_switch(const char *arg, const char *name)
{
    return !strcmp(arg + 1 + (arg[1] == '-'), name);
}

static void read_flags(char **argv)
{
    for (int i = 1; argv[i]; i++) {
        const char *v;
        if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "-help") || !strcmp(argv[i], "--help"))
            output_help(usage);
        if (argv[i][0] != '-')
            die(2, "unexpected argument \"%s\"; see server -help", argv[i]);
        if ((v = flag_value(argv, &i, "addr")))
            options.address = v;
        else if ((v = flag_value(argv, &i, "hold-limit")))
            options.hold_bytes = number("-hold-limit", v, 1, 65536) << 20;
        else if ((v = flag_value(argv, &i, "leak-seconds")))
            options.leak_seconds = number("-leak-seconds", v, 1, 3600);
        else if (is_switch(argv[i], "flight"))
            options.flight = true;
        else if ((v = flag_value(argv, &i, "trace-slower-than")))
            options.slower_ns = duration("-trace-slower-than", v, 1e-6, 3600);
        else if ((v = flag_value(argv, &i, "trace-dir")))
            options.trace_folder = v;
        else if ((v = flag_value(argv, &i, "trace-tail")))
            options.tail_ns = duration("-trace-tail", v, 0, 60);
        else
            die(2, "unknown flag \"%s\"; see server -help", argv[i]);
    }
}

static void read_rate(const char *variable, int64_t (*set)(int64_t))
{
    const char *v = getenv(variable);

    if (!v || !*v)
        return;
    set(number(variable, v, 0, INT64_C(1000000000)));
}

static void start_recorder(void)
{
    int err = options.slower_ns && access(options.trace_folder, W_OK | X_OK) != 0 ? -errno : 0;

    if (err)
        die(1, "-trace-dir %s: %s; expected a folder to write to", options.trace_folder,
            strerrordesc_np(-err));
    err = slow_start();
    if (err)
        die(1, "cannot start the flight recorder: %s", strerrordesc_np(-err));
}

static void start(struct server *s)
{
    start_recorder();
    if (prof_http_mount(NULL, &s->pprof) != 0)
        die(1, "%s", prof_http_error());
    int fd = prof_http_listen(s->pprof, options.address, s->address, sizeof s->address);
    if (fd < 0)
        die(1, "%s", prof_http_error());
    s->idle_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->listen_fd = -1;
    if (s->idle_fd < 0 || work_start() != 0 || server_start(s, fd) != 0)
        die(1, "cannot start: no descriptor, no memory or no thread left");
    printf("listening on %s (pprof endpoints at /debug/pprof)\n", s->address);
    fflush(stdout);
}

/* Requests in flight end; captures among them end now. False: a second signal came. */
static bool drain(struct server *s, int signal_fd)
{
    struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN},
                           {.fd = s->idle_fd, .events = POLLIN}};

    server_refuse(s);
    slow_stop();
    prof_http_stop(s->pprof);
    int in_flight = server_in_flight();
    if (in_flight > 0)
        printf("stopping, requests in flight: %d\n", in_flight);
    fflush(stdout);
    while (server_in_flight()) {
        eventfd_t ended;
        poll(fds, 2, -1);
        if (fds[0].revents)
            return false;
        eventfd_read(s->idle_fd, &ended);
    }
    return true;
}

static void stop(struct server *s)
{
    MHD_stop_daemon(s->daemon);
    prof_http_free(s->pprof);
    work_stop();
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    close(s->idle_fd);
}

/* Blocked here before there are threads, so that none of them takes these. */
static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
    struct server s = {0};
    struct signalfd_siginfo info;

    (void)argc;
    read_flags(argv);
    read_rate("BLOCK_PROFILE_RATE_NS", prof_set_block_rate_ns);
    read_rate("MUTEX_PROFILE_FRACTION", prof_set_mutex_fraction);
    int signal_fd = open_signals();
    start(&s);
    while (read(signal_fd, &info, sizeof info) < 0 && errno == EINTR)
        ;
    if (!drain(&s, signal_fd))
        _exit(1);
    stop(&s);
    close(signal_fd);
    return 0;
}
