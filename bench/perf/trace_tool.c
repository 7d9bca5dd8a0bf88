/* How long bin/trace takes to read a trace and print its tables, and how much memory: a million
 * events, and a file of 500 MB. The traces are written here: sixteen threads that queue for four
 * mutexes, with regions, switches and wakings, as libprof writes them. */
#include "bench/perf/measure.h"
#include "tests/trace_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 16, LOCKS = 4, FIRST_TID = 1000, STRIDE_EVENTS = 9 };

static void write_stacks(struct trace_file *f)
{
    static const char *const stacks[][6] = {
        {"main", "serve", "handle", "cache_get", "lock", NULL},
        {"main", "serve", "handle", "cache_put", "lock", NULL},
        {"main", "serve", "flush", "unlock", NULL},
    };
    for (uint64_t i = 0; i < 3; i++)
        tf_stack(f, i + 1, stacks[i]);
}

/* One turn of one thread: nine events. */
static void write_turn(struct trace_file *f, uint64_t i)
{
    uint64_t thread = i % THREADS, other = (i + 1) % THREADS, tid = FIRST_TID + thread;
    uint64_t lock = 0x7f0000001000 + i % LOCKS * 64, track = 100 + thread;
    double ms = (double)i * 0.01;
    int cpu = (int)(i % 2);

    tf_switch(f, ms, cpu, 0, 0, (int)tid);
    tf_event(f, (struct tf_event){.ms = ms + 0.001,
                                  .track = track,
                                  .type = TF_BEGIN,
                                  .category = "region",
                                  .name = "request",
                                  .task = i % 1000 + 1});
    tf_event(f, (struct tf_event){.ms = ms + 0.002,
                                  .track = track,
                                  .type = TF_BEGIN,
                                  .category = "block",
                                  .name = "mutex lock",
                                  .lock = lock,
                                  .holder = FIRST_TID + other,
                                  .stack = i % 2 + 1});
    tf_switch(f, ms + 0.003, cpu, (int)tid, 1, 0);
    tf_event(f, (struct tf_event){.ms = ms + 0.004,
                                  .track = 100 + other,
                                  .type = TF_INSTANT,
                                  .category = "wake",
                                  .name = "unlock",
                                  .lock = lock,
                                  .flow = i + 1,
                                  .stack = 3});
    tf_waking(f, ms + 0.004, cpu, (int)tid);
    tf_switch(f, ms + 0.005, cpu, 0, 0, (int)tid);
    tf_event(f, (struct tf_event){.ms = ms + 0.006,
                                  .track = track,
                                  .type = TF_END,
                                  .woken_by = FIRST_TID + other,
                                  .end_flow = i + 1});
    tf_event(f, (struct tf_event){.ms = ms + 0.008, .track = track, .type = TF_END});
    tf_switch(f, ms + 0.009, cpu, (int)tid, 1, 0);
}

/* Until there are so many events, or so many bytes. */
static uint64_t write_trace(const char *path, uint64_t events, size_t bytes)
{
    struct trace_file f = {0};
    FILE *out = fopen(path, "we");
    uint64_t i = 0;
    size_t written = 0;

    if (!out)
        return 0;
    tf_chunk(&f, 1, false);
    tf_process(&f, 1, FIRST_TID, "server");
    for (int k = 0; k < THREADS; k++)
        tf_thread(&f, 100 + (uint64_t)k, FIRST_TID, FIRST_TID + k, "worker");
    write_stacks(&f);
    while ((events && i * (STRIDE_EVENTS + 1) < events) || (bytes && written + f.size < bytes)) {
        write_turn(&f, i++);
        if (f.size < 1 << 20)
            continue;
        written += fwrite(f.data, 1, f.size, out);
        f.size = 0;
    }
    fwrite(f.data, 1, f.size, out);
    free(f.data);
    return fclose(out) == 0 ? i * (STRIDE_EVENTS + 1) : 0;
}

/* Seconds, and the largest size in memory in MB; negative when it fails. */
static double run(const char *program, const char *file, double *mb)
{
    struct rusage usage;
    double start = measure_ns(CLOCK_MONOTONIC);
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        dup2(null, 2);
        execl(program, program, "-summary", file, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) < 0 || status != 0)
        return -1;
    *mb = (double)usage.ru_maxrss / 1024;
    return (measure_ns(CLOCK_MONOTONIC) - start) / 1e9;
}

static void report(const char *name, double value, const char *unit, double bar)
{
    printf("%s  %.2f %s  <= %.0f %s  %s\n", name, value, unit, bar, unit,
           value >= 0 && value <= bar ? "ok" : "MISSED");
}

int main(void)
{
    const char *bin = getenv("BIN"), *tmp = getenv("TMPDIR");
    char program[4096], file[4096];
    double best = 1e9, mb = 0;

    snprintf(program, sizeof program, "%s/trace", bin ? bin : "bin");
    snprintf(file, sizeof file, "%s/trace_tool.%d.trace", tmp ? tmp : "/tmp", (int)getpid());
    if (!write_trace(file, 1000000, 0))
        return 1;
    for (int i = 0; i < 3; i++) {
        double s = run(program, file, &mb);
        best = s < 0 || s < best ? s : best;
    }
    report("trace: a million events, read and summed up", best, "s", 2);
    report("trace: a million events, memory", mb, "MB", 300);
    if (!write_trace(file, 0, (size_t)500 << 20))
        return 1;
    best = run(program, file, &mb);
    report("trace: 500 MB, read and summed up", best, "s", 60);
    report("trace: 500 MB, memory (with the mapped file)", mb, "MB", 2500);
    unlink(file);
    return 0;
}
