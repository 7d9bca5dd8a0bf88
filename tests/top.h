/* Reads a profile as its users do: through `go tool pprof -top`. For tests. */
#ifndef TESTS_TOP_H
#define TESTS_TOP_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct top_row {
    double flat, cum;
    char function[256];
};

struct top {
    double total;
    size_t n;
    struct top_row row[512];
};

/* An empty temporary file, open for writing; its name goes into path, which has room for 64. */
static inline int top_file(char *path)
{
    const char *folder = getenv("TMPDIR");
    if (!folder || strlen(folder) > 40)
        folder = "/tmp";
    snprintf(path, 64, "%s/prof-test-XXXXXX", folder);
    return mkstemp(path);
}

/* Fills t from what pprof prints with these arguments. False, with a line on standard error, when
 * it failed. */
static inline int top_of_pprof(struct top *t, const char *arguments)
{
    char line[1024], flat[64], cum[64];
    snprintf(line, sizeof line, "go tool pprof -top -nodecount=500 -nodefraction=0 %s 2>&1",
             arguments);
    *t = (struct top){0};
    FILE *f = popen(line, "r");
    int in_rows = 0;
    char said[1024] = "";
    while (f && fgets(line, sizeof line, f)) {
        struct top_row *r = &t->row[t->n];
        double of;
        if (!in_rows && sscanf(line, "Showing nodes accounting for %*[^,], %*s of %lf", &of) == 1)
            t->total = of;
        if (!in_rows)
            strcpy(said, line);
        if (!in_rows)
            in_rows = strstr(line, "flat%") != NULL;
        else if (t->n < 512 &&
                 sscanf(line, "%63s %*s %*s %63s %*s %255[^\n]", flat, cum, r->function) == 3) {
            r->flat = strtod(flat, NULL); /* a unit follows, but not after 0 */
            r->cum = strtod(cum, NULL);
            t->n++;
        }
    }
    int rc = f ? pclose(f) : -1;
    if (rc != 0 || !in_rows)
        fprintf(stderr, "# pprof failed: status %d, arguments: %s, last words: %s\n", rc, arguments,
                said);
    return rc == 0 && in_rows;
}

/* Fills t from the profile at path, which needs no binary; values are in `unit` ("ns", "B" ...).
 * Removes the file. */
static inline int top_read(struct top *t, const char *path, const char *sample_index,
                           const char *unit)
{
    char arguments[256];
    snprintf(arguments, sizeof arguments, "-symbolize=none -sample_index=%s -unit=%s %s",
             sample_index, unit, path);
    int ok = top_of_pprof(t, arguments);
    unlink(path);
    return ok;
}

/* The row of a function; zeros when it has none. Inlined copies are marked and count with it. */
static inline struct top_row top_of(const struct top *t, const char *function)
{
    struct top_row sum = {0};
    size_t len = strlen(function);
    for (size_t i = 0; i < t->n; i++)
        if (strncmp(t->row[i].function, function, len) == 0 &&
            (t->row[i].function[len] == '\0' || t->row[i].function[len] == ' ')) {
            sum.flat += t->row[i].flat;
            sum.cum += t->row[i].cum;
        }
    return sum;
}
#endif
