/* Writes every kind of profile of work that is known, into the folder named: what tests/profile.sh
 * has pprof read. */
#include "prof/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCKS = 300, BLOCK_BYTES = 4096, MORE_BLOCKS = 50 };

static const char *folder;
static void *kept[BLOCKS + MORE_BLOCKS];
static volatile unsigned long sink;

static int open_in_folder(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

static void check(const char *what, int err)
{
    if (err) {
        fprintf(stderr, "writer: %s: %s\n", what, strerror(-err));
        exit(1);
    }
}

static void write_named(const char *profile, const char *file, int debug)
{
    int fd = open_in_folder(file);
    check(file, prof_write(profile, fd, debug));
    close(fd);
}

/* ---- CPU ----------------------------------------------------------------------------------------
 */

static inline __attribute__((always_inline)) unsigned long mix(unsigned long x)
{
    x ^= x << 13; /* the line that pprof -list must show as hot */
    x ^= x >> 7;
    return x ^ x << 17;
}

__attribute__((noinline)) static void burn(double seconds)
{
    unsigned long x = 88172645463325252ul;
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    while (clock() < end)
        for (int i = 0; i < 100000; i++)
            x = mix(x);
    sink = x;
}

__attribute__((noinline)) static void busy(void)
{
    {
        prof_label_scope("endpoint", "/burn");
        burn(0.3);
    }
    burn(0.1);
    sink++;
}

/* ---- heap ---------------------------------------------------------------------------------------
 */

__attribute__((noinline)) static void keep(int from, int n)
{
    prof_label_scope("kind", "kept \"blocks\"");
    for (int i = from; i < from + n; i++)
        kept[i] = malloc(BLOCK_BYTES);
    sink++;
}

__attribute__((noinline)) static void waste(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        void *p = malloc(2 * BLOCK_BYTES);
        __asm__ volatile("" : : "r"(p) : "memory");
        free(p);
    }
    sink++;
}

static void write_delta(void)
{
    struct prof_snapshot *before, *after;
    int fd = open_in_folder("delta.pb.gz");
    check("take", prof_snapshot_take("heap", &before));
    keep(BLOCKS, MORE_BLOCKS);
    check("take", prof_snapshot_take("heap", &after));
    check("subtract", prof_snapshot_subtract(after, before));
    check("write", prof_snapshot_write(after, fd, 0));
    prof_snapshot_free(before);
    prof_snapshot_free(after);
    close(fd);
}

/* ---- the other shapes of text -------------------------------------------------------------------
 */

/* With stacks of the heap profile and values of our own: 3 entries, the nth with n times the
 * values. */
static void write_shape(const struct prof_description *about, const char *file, int64_t sampling)
{
    struct prof_snapshot *heap, s = {.about = about, .period = 1, .sampling = sampling};
    int fd = open_in_folder(file);
    check("take", prof_snapshot_take("heap", &heap));
    for (size_t i = 0; i < heap->nsamples && i < 3; i++) {
        struct prof_sample sample = heap->samples[i];
        sample.values[0] = (int64_t)(i + 1) * 20;
        sample.values[1] = (int64_t)(i + 1) * 4000;
        check("add", prof_snapshot_add(&s, &sample));
    }
    check(file, prof_snapshot_write(&s, fd, 1));
    free(s.samples);
    prof_snapshot_free(heap);
    close(fd);
}

static void write_shapes(void)
{
    static const struct prof_description goroutine = {
        "goroutine", 1, {{"goroutine", "count"}}, {"goroutine", "count"}, NULL, PROF_TEXT_COUNT};
    static const struct prof_description block = {
        "block",
        2,
        {{"contentions", "count"}, {"delay", "nanoseconds"}},
        {"contentions", "count"},
        NULL,
        PROF_TEXT_CONTENTION};
    static const struct prof_description mutex = {
        "mutex",
        2,
        {{"contentions", "count"}, {"delay", "nanoseconds"}},
        {"contentions", "count"},
        NULL,
        PROF_TEXT_CONTENTION};
    write_shape(&goroutine, "goroutine.txt", 0);
    write_shape(&block, "block.txt", 0);
    write_shape(&mutex, "mutex.txt", 5);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: writer FOLDER\n");
        return 2;
    }
    folder = argv[1];
    keep(0, BLOCKS);
    waste();
    write_named("heap", "heap.pb.gz", 0);
    write_named("heap", "heap.txt", 1);
    write_named("allocs", "allocs.pb.gz", 0);
    write_delta();
    write_shapes();
    int fd = open_in_folder("cpu.pb.gz");
    check("start", prof_cpu_start(250));
    busy();
    check("stop", prof_cpu_stop(fd));
    close(fd);
    for (int i = 0; i < BLOCKS + MORE_BLOCKS; i++)
        free(kept[i]);
    return 0;
}
