/* Numbers and durations as Go's flags take them. Where strtod would accept more (hexadecimal,
 * "inf", white space, signs), these do not. */
#include "bench/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool bench_parse_int(const char *text, int64_t min, int64_t *value)
{
    int64_t v = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, *text - '0', &v))
            return false;
    }
    *value = v;
    return v >= min;
}

static const struct {
    const char *name;
    double ns;
} units[] = {{"ns", 1},   {"us", 1e3}, {"µs", 1e3}, {"μs", 1e3} /* U+00B5 and U+03BC */,
             {"ms", 1e6}, {"s", 1e9},  {"m", 60e9}, {"h", 3600e9}};

/* The unit at text, up to the next digit, dot or end. 0: there is no such unit. */
static double parse_unit(const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strlen(units[i].name) == len && strncmp(units[i].name, text, len) == 0)
            return units[i].ns;
    return 0;
}

bool bench_parse_duration(const char *text, int64_t *ns)
{
    double total = 0;

    if (strcmp(text, "0") == 0) {
        *ns = 0;
        return true;
    }
    if (!*text)
        return false;
    while (*text) {
        size_t digits = strspn(text, "0123456789");
        size_t fraction = text[digits] == '.' ? 1 + strspn(text + digits + 1, "0123456789") : 0;
        size_t number = digits + fraction;
        size_t unit = strcspn(text + number, "0123456789.");
        double scale = parse_unit(text + number, unit);
        if (digits + (fraction > 1) == 0 || scale == 0)
            return false;
        total += strtod(text, NULL) * scale;
        text += number + unit;
    }
    *ns = total < 9.2e18 ? (int64_t)(total + 0.5) : 0;
    return total < 9.2e18;
}
