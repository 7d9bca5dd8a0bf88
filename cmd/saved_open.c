/* Saved profiles for programs: which value is meant, what is wrong in words, values as people read
 * them. */
#include "cmd/saved.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int saved_type_index(const struct saved *s, const char *name)
{
    if (!name)
        return (int)s->default_type;
    for (size_t i = 0; i < s->n_types; i++)
        if (strcmp(s->types[i].type, name) == 0)
            return (int)i;
    return -1;
}

static const char *why(int err)
{
    switch (err) {
    case -EBADMSG:
        return "not a profile (expected profile.proto, as prof_write, bin/prof and /debug/pprof/ "
               "give it)";
    case -EILSEQ:
        return "damaged, or not complete; capture it again";
    case -EFBIG:
        return "too large (more than 1 GiB unpacked)";
    default:
        return strerror(-err);
    }
}

int saved_open(struct saved *s, const char *path, const char *type)
{
    int err = saved_read(s, path);
    if (err) {
        fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, why(err));
        exit(1);
    }
    int index = saved_type_index(s, type);
    if (index < 0) {
        fprintf(stderr, "%s: %s has no values '%s'; it has:", program_invocation_short_name, path,
                type);
        for (size_t i = 0; i < s->n_types; i++)
            fprintf(stderr, " %s", s->types[i].type);
        fputc('\n', stderr);
        exit(1);
    }
    return index;
}

/* Three digits that mean something, and no more. */
static int digits(double value)
{
    double v = fabs(value);
    return v < 9.995 ? 2 : v < 99.95 ? 1 : 0;
}

static const char *scaled(char *buffer, size_t size, double value, const char *const *names, int n,
                          double step)
{
    int i = 0;
    for (; i < n - 1 && fabs(value) >= step * 0.9995; i++)
        value /= step;
    snprintf(buffer, size, "%.*f %s",
             value == 0 || (i == 0 && value == rint(value)) ? 0 : digits(value), value, names[i]);
    return buffer;
}

static const char *counted(char *buffer, size_t size, double value)
{
    char plain[64];
    size_t out = 0;
    int fraction = fabs(value) < 10 && fabs(value - rint(value)) > 0.005 ? 2 : 0;
    int length = snprintf(plain, sizeof plain, "%.*f", fraction, value);
    int whole = fraction ? length - fraction - 1 : length;

    for (int i = 0; i < length && out + 2 < size; i++) {
        buffer[out++] = plain[i];
        if (i + 1 < whole && (whole - i - 1) % 3 == 0 && plain[i] != '-')
            buffer[out++] = ',';
    }
    buffer[out] = '\0';
    return buffer;
}

const char *saved_format(char *buffer, size_t size, double value, const char *unit)
{
    static const char *const times[] = {"ns", "µs", "ms", "s"};
    static const char *const bytes[] = {"B", "KiB", "MiB", "GiB", "TiB"};

    if (strcmp(unit, "nanoseconds") == 0)
        return scaled(buffer, size, value, times, 4, 1000);
    if (strcmp(unit, "bytes") == 0)
        return scaled(buffer, size, value, bytes, 5, 1024);
    return counted(buffer, size, value);
}
