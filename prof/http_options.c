/* The options of the endpoints: what the program says, else what the environment says, else the
 * default; all checked before anything is opened. Entered through http_settings_read and
 * prof_http_error. */
#include "prof/http_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static _Thread_local char last_error[320];

const char *prof_http_error(void)
{
    return last_error;
}

int http_fail(int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    return err;
}

/* ENABLE_PPROF: anything that is neither yes nor no is an error, so that a misspelt "fasle" exposes
 * nothing. */
static int read_enabled(bool *enabled)
{
    static const char *const yes[] = {"1", "true", "yes", "on", ""};
    static const char *const no[] = {"0", "false", "no", "off"};
    const char *v = getenv("ENABLE_PPROF");

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!v || !strcasecmp(v, yes[i])) {
            *enabled = true;
            return 0;
        }
    *enabled = false;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (!strcasecmp(v, no[i]))
            return 0;
    return http_fail(
        -EINVAL, "ENABLE_PPROF is \"%.40s\"; expected 1, true, yes, on, 0, false, no or off", v);
}

struct number {
    const char *name; /* of the option, for errors */
    const char *variable;
    int min, max, def;
};

static int read_number(const struct number *n, int option, int *out)
{
    const char *v = getenv(n->variable);
    char *end = NULL;
    long value = option;

    if (option == 0 && (!v || !*v)) {
        *out = n->def;
        return 0;
    }
    if (option == 0) {
        errno = 0;
        value = strtol(v, &end, 10);
        if (errno || *end || value < n->min || value > n->max)
            return http_fail(-EINVAL, "%s is \"%.40s\"; expected a whole number from %d to %d",
                             n->variable, v, n->min, n->max);
    }
    if (value < n->min || value > n->max)
        return http_fail(-EINVAL, "%s is %ld; expected %d to %d", n->name, value, n->min, n->max);
    *out = (int)value;
    return 0;
}

static int read_string(const char *variable, const char *option, const char *def,
                       char out[HTTP_SECRET_MAX])
{
    const char *v = option ? option : getenv(variable);

    if (!v || (!option && !*v))
        v = def;
    if (strlen(v) >= HTTP_SECRET_MAX)
        return http_fail(-EINVAL, "%s is %zu bytes long; expected at most %d", variable, strlen(v),
                         HTTP_SECRET_MAX - 1);
    strcpy(out, v);
    return 0;
}

static int read_numbers(const struct prof_http_options *o, struct http_settings *s)
{
    static const struct number requests = {"max_requests", "PPROF_MAX_REQUESTS", 1, 1024, 16};
    static const struct number seconds = {"max_seconds", "PPROF_MAX_SECONDS", 1, 86400, 3600};
    static const struct number connection = {"connection_seconds", "PPROF_CONNECTION_SECONDS", 1,
                                             86400, 120};
    static const struct number hz = {"cpu_hz", "PPROF_CPU_HZ", 1, PROF_CPU_HZ_MAX,
                                     PROF_CPU_HZ_DEFAULT};
    int err = read_number(&requests, o->max_requests, &s->max_requests);

    if (!err)
        err = read_number(&seconds, o->max_seconds, &s->max_seconds);
    if (!err)
        err = read_number(&connection, o->connection_seconds, &s->connection_seconds);
    if (!err)
        err = read_number(&hz, o->cpu_hz, &s->cpu_hz);
    return err;
}

int http_settings_read(const struct prof_http_options *options, struct http_settings *s)
{
    static const struct prof_http_options none;
    const struct prof_http_options *o = options ? options : &none;
    int err = read_enabled(&s->enabled);

    if (!err)
        err = read_string("PPROF_ADDR", o->address, "127.0.0.1:6060", s->address);
    if (!err)
        err = read_string("PPROF_USER", o->user, "pprof", s->user);
    if (!err)
        err = read_string("PPROF_PASSWORD", o->password, "", s->password);
    if (!err && strchr(s->user, ':'))
        err = http_fail(-EINVAL,
                        "PPROF_USER contains a colon, which basic authentication cannot carry");
    s->authenticated = o->authenticated;
    return err ? err : read_numbers(o, s);
}
