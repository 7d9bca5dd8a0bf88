/* GOGC, GOMEMLIMIT and GODEBUG. Go's runtime takes what it cannot read for the default (GOGC) or
 * ends the program (GOMEMLIMIT); here the caller is told of both. */
#include "labs/gc/gc.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Digits alone: no sign, no space, no fraction. *end: what comes behind them. */
static int parse_digits(const char *text, int64_t *out, const char **end)
{
    int64_t value = 0;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    for (; isdigit((unsigned char)*text); text++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *text - '0', &value))
            return -EINVAL;
    *out = value;
    *end = text;
    return 0;
}

int gc_parse_percent(const char *text, int *out)
{
    const char *end;
    int64_t value;

    if (!text || !*text)
        return 0;
    if (!strcmp(text, "off")) {
        *out = GC_PERCENT_OFF;
        return 0;
    }
    if (parse_digits(text, &value, &end) || *end || value > GC_PERCENT_MAX)
        return -EINVAL;
    *out = (int)value;
    return 0;
}

int gc_parse_limit(const char *text, int64_t *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    const char *end;
    int64_t value;

    if (!text || !*text)
        return 0;
    if (!strcmp(text, "off")) {
        *out = GC_LIMIT_NONE;
        return 0;
    }
    if (parse_digits(text, &value, &end))
        return -EINVAL;
    size_t unit = 0;
    while (*end && unit < sizeof units / sizeof *units && strcmp(end, units[unit]))
        unit++;
    if (unit == sizeof units / sizeof *units ||
        __builtin_mul_overflow(value, INT64_C(1) << 10 * unit, &value))
        return -EINVAL;
    *out = value;
    return 0;
}

/* "a=1,gctrace=1,b=2": as in Go the last one counts, and what is unknown is left to others. */
bool gc_parse_trace(const char *godebug)
{
    static const char key[] = "gctrace=";
    bool on = false;

    while (godebug && *godebug) {
        if (!strncmp(godebug, key, strlen(key)))
            on = strtol(godebug + strlen(key), NULL, 10) > 0;
        godebug = strchr(godebug, ',');
        godebug += godebug != NULL;
    }
    return on;
}
