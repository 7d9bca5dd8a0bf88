/* Bar: a profile of 10,000 PCs, inline frames included, is symbolized in under 1 s and 100 MB.
 *
 * The PCs are spread over everything that is mapped as code here: this program, the C library,
 * libcrypto, and a generated C file of 3,000 functions (one unit of 20 MB of debug information),
 * which is the worst that a unit does. Time is the median of five; memory is what the resident
 * set's peak grows by. Each symbolizing runs in a child process, so that none finds what another
 * has left. */
#include "prof/internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PCS = 10000, FUNCTIONS = 3000, RUNS = 5 };

struct outcome {
    double seconds, megabytes, again_seconds;
    int lines, inlined, functions;
};

/* ---- the generated module -------------------------------------------------------------------- */

static void write_source(FILE *f)
{
    fputs("static inline int leaf(int a, int b) { return a * b ^ (a >> 3); }\n"
          "static inline int mid(int a, int b) { for (int i = 0; i < b; i++) a += leaf(a, i); "
          "return a; }\n"
          "static inline int top(int a, int b) { return a & 1 ? mid(a, b) : mid(b, a); }\n",
          f);
    for (int i = 0; i < FUNCTIONS; i++)
        fprintf(f,
                "int generated_%d(int a, int b)\n{\n    int c = top(a, b + %d);\n"
                "    if (c > %d)\n        c -= mid(b, c);\n    return c + leaf(c, %d);\n}\n",
                i, i, i * 7, i);
}

/* Built with the compiler that built this, as far as CC says. */
static void load_generated(const char *dir)
{
    char path[256], command[1024];
    const char *cc = getenv("CC");
    snprintf(path, sizeof path, "%s/generated.c", dir);
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    write_source(f);
    fclose(f);
    snprintf(command, sizeof command, "%s -g -O2 -fPIC -shared -o %s/generated.so %s",
             cc ? cc : "cc", dir, path);
    snprintf(path, sizeof path, "%s/generated.so", dir);
    if (system(command) != 0 || !dlopen(path, RTLD_NOW)) {
        fprintf(stderr, "symbolize: cannot build %s: expected a working C compiler\n", path);
        exit(1);
    }
}

/* ---- PCs
 * -------------------------------------------------------------------------------------------------
 */

/* Evenly over the executable mappings whose path holds `name`. */
static size_t spread(uintptr_t *pcs, size_t n, const char *name)
{
    char line[512];
    uintptr_t start, end;
    FILE *f = fopen("/proc/self/maps", "r");
    size_t have = 0;
    while (f && fgets(line, sizeof line, f)) {
        char perms[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) != 3 || perms[2] != 'x' ||
            !strstr(line, name))
            continue;
        for (size_t i = 0; i < n; i++)
            pcs[have++] = start + (end - start) / n * i;
        break;
    }
    if (f)
        fclose(f);
    return have;
}

static size_t take_pcs(uintptr_t *pcs)
{
    size_t n = spread(pcs, PCS * 4 / 10, "generated.so");
    n += spread(pcs + n, PCS * 3 / 10, "/libc.so");
    n += spread(pcs + n, PCS * 2 / 10, "libcrypto");
    n += spread(pcs + n, PCS - n, "symbolize");
    return n;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double status_mb(const char *key)
{
    char line[256];
    double kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = atof(line + strlen(key));
    if (f)
        fclose(f);
    return kb / 1024;
}

static void reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
}

static struct outcome symbolize(const uintptr_t *pcs, size_t n)
{
    struct outcome o = {0};
    struct prof_symbols s;
    reset_peak();
    double before_mb = status_mb("VmRSS:");
    int64_t start_ns = prof_now_ns();
    if (prof_symbolize(pcs, n, &s) != 0)
        exit(1);
    o.seconds = (double)(prof_now_ns() - start_ns) / 1e9;
    o.megabytes = status_mb("VmHWM:") - before_mb;
    prof_symbols_free(&s);
    start_ns = prof_now_ns(); /* what the next scrape costs */
    if (prof_symbolize(pcs, n, &s) != 0)
        exit(1);
    o.again_seconds = (double)(prof_now_ns() - start_ns) / 1e9;
    for (size_t i = 0; i < s.nlocations; i++) {
        const struct prof_location *l = &s.locations[i];
        o.functions += l->nlines > 0;
        o.lines += l->nlines > 0 && l->lines[0].line > 0;
        o.inlined += l->nlines > 1;
    }
    prof_symbols_free(&s);
    return o;
}

static struct outcome in_child(const uintptr_t *pcs, size_t n)
{
    struct outcome o = {0};
    int ends[2];
    if (pipe(ends) != 0)
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        o = symbolize(pcs, n);
        _exit(write(ends[1], &o, sizeof o) == sizeof o ? 0 : 1);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], &o, sizeof o) != sizeof o) {
        fprintf(stderr, "symbolize: the child that symbolizes has failed\n");
        exit(1);
    }
    close(ends[0]);
    waitpid(child, NULL, 0);
    return o;
}

static int by_seconds(const void *a, const void *b)
{
    double x = ((const struct outcome *)a)->seconds, y = ((const struct outcome *)b)->seconds;
    return (x > y) - (x < y);
}

int main(void)
{
    static uintptr_t pcs[PCS];
    struct outcome runs[RUNS];
    char dir[] = "/tmp/symbolize.XXXXXX", command[64];
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    load_generated(dir);
    size_t n = take_pcs(pcs);
    for (int i = 0; i < RUNS; i++)
        runs[i] = in_child(pcs, n);
    qsort(runs, RUNS, sizeof runs[0], by_seconds);
    const struct outcome *o = &runs[RUNS / 2];
    printf("symbolize: %zu PCs, %d with a function, %d with a line, %d with inline frames\n", n,
           o->functions, o->lines, o->inlined);
    printf("symbolize/time    %.3f s   1 s   %s\n", o->seconds, o->seconds < 1 ? "ok" : "MISSED");
    printf("symbolize/again   %.3f s   0.1 s %s\n", o->again_seconds,
           o->again_seconds < 0.1 ? "ok" : "MISSED");
    printf("symbolize/memory  %.1f MB  100 MB  %s\n", o->megabytes,
           o->megabytes < 100 ? "ok" : "MISSED");
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command) != 0;
}
