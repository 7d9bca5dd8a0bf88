/* What the environment asks every program with libprof for, whether libprof was linked or
 * preloaded:
 *
 *   PROF_FLIGHT=1           the flight recorder runs from the start
 *   PROF_FLIGHT_SECONDS=10  it keeps at least so much
 *   PROF_FLIGHT_BYTES=N     in at most so many bytes
 *   PROF_FLIGHT_CRASH=FILE  and writes FILE at a crash
 *   PROF_SCHEDTRACE=1000    a line about the threads every 1000 ms, on standard error
 *
 * Rates of profiles (PROF_HEAP_RATE and others) are read where they are used, and what only a
 * preloaded libprof does in preload.c. Entered from thread.c's constructor. */
#include "prof/trace_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A number from the environment; absent: 0. A bad one is said, and taken as absent. */
static int64_t number(const char *variable, int64_t min, int64_t max)
{
    const char *text = getenv(variable);
    char *end;

    if (!text || !*text)
        return 0;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (!errno && !*end && value >= min && value <= max)
        return value;
    dprintf(STDERR_FILENO,
            "prof: %s is '%.80s'; expected a whole number from %lld to %lld; it is not heeded\n",
            variable, text, (long long)min, (long long)max);
    return 0;
}

static void complain(const char *what, int err)
{
    dprintf(STDERR_FILENO, "prof: %s: %s\n", what, strerrordesc_np(-err));
}

static void start_flight(void)
{
    const struct prof_flight_options options = {
        .min_age_ns = number("PROF_FLIGHT_SECONDS", 1, 86400) * INT64_C(1000000000),
        .max_bytes = (size_t)number("PROF_FLIGHT_BYTES", 64 << 10, INT64_C(1) << 40),
    };
    const char *crash = getenv("PROF_FLIGHT_CRASH");
    int err = prof_flight_start(&options);

    if (err)
        complain("PROF_FLIGHT: no flight recorder", err);
    else if (crash && *crash && (err = prof_flight_on_crash(crash)) != 0)
        complain("PROF_FLIGHT_CRASH: no snapshot at a crash", err);
}

void prof_environment(void)
{
    int saved = errno;
    int64_t period_ms = number("PROF_SCHEDTRACE", 1, 3600 * 1000);

    if (number("PROF_FLIGHT", 0, 1))
        start_flight();
    if (period_ms)
        prof_schedtrace_start(period_ms);
    errno = saved;
}
