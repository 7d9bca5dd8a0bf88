/* "go test -bench" for C: benchmarks that measure themselves and print Go's text format, which
 * benchstat reads.
 *
 *     #include "bench/bench.h"
 *
 *     BENCH(Sum)
 *     {
 *         int *numbers = make_numbers(1000);   // not measured: before the loop
 *         bench_set_bytes(b, 1000 * sizeof(int));
 *         while (bench_loop(b))
 *             bench_sink(sum(numbers, 1000));
 *         free(numbers);                       // not measured: after the loop
 *     }
 *
 * A program of such files linked with libbench.a and libprof.a has a main() and the flags of go
 * test: -bench . runs all, -help lists the flags. A benchmark is called several times, with more
 * iterations each time, until it has run for -benchtime.
 *
 * Functions that take a `struct bench *` may be called from the benchmark's own thread only, unless
 * their comment says otherwise. They cannot fail where nothing is said of it; none is
 * async-signal-safe. Strings are copied. Times are nanoseconds of CLOCK_MONOTONIC. The format of
 * the output is Go's (https://go.dev/design/14313-benchmark-format). */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A benchmark while it runs. The member belongs to bench_loop. */
struct bench {
    uint64_t iterations_left;
};

typedef void bench_fn(struct bench *b, void *arg);

/* ---- registration ---------------------------------------------------------------------------- */

/* Static memory that the harness links into its list. */
struct bench_entry {
    const char *name, *file;
    int line;
    void (*fn)(struct bench *b);
    struct bench_entry *next;
};
/* For the two macros alone: before main, on its thread; entry and name live as long as the process.
 */
void bench_register(struct bench_entry *entry);
void bench_set_package(const char *name);

/* BENCH(Fib) { ... } defines BenchmarkFib. The body has `b`. They run in the order of files and
 * lines. */
#define BENCH(name)                                                                                \
    static void bench_body_##name(struct bench *b);                                                \
    __attribute__((constructor)) static void bench_register_##name(void)                           \
    {                                                                                              \
        static struct bench_entry entry = {"Benchmark" #name, __FILE__, __LINE__,                  \
                                           bench_body_##name, 0};                                  \
        bench_register(&entry);                                                                    \
    }                                                                                              \
    static void bench_body_##name(__attribute__((unused)) struct bench *b)

/* The name for the `pkg:` line, once a program; without it that is the program's name. */
#define BENCH_PACKAGE(name)                                                                        \
    __attribute__((constructor)) static void bench_register_package(void)                          \
    {                                                                                              \
        bench_set_package(name);                                                                   \
    }

/* ---- the loop -------------------------------------------------------------------------------- */

bool bench_loop_edge(struct bench *b); /* the first and the last call; for bench_loop alone */

/* True once an iteration. The first call starts the measurement over (what came before is set-up),
 * the last stops the timer. Leaving the loop early fails the benchmark. */
static inline bool bench_loop(struct bench *b)
{
    if (__builtin_expect(b->iterations_left > 1, 1)) {
        b->iterations_left--;
        return true;
    }
    return bench_loop_edge(b);
}

/* The number of iterations, for benchmarks that loop by themselves (Go's b.N). */
int64_t bench_n(const struct bench *b);

/* Makes the compiler compute the value, and write all memory to where it belongs. */
#define bench_sink(value)                                                                          \
    do {                                                                                           \
        __typeof__(value) bench_sink_ = (value);                                                   \
        __asm__ volatile("" : : "rm"(bench_sink_) : "memory");                                     \
    } while (0)

/* The value, but the compiler no longer knows which: it cannot compute the result ahead. Integers,
 * pointers. */
#define bench_hide(value)                                                                          \
    __extension__({                                                                                \
        __typeof__((value) + 0) bench_hide_ = (value);                                             \
        __asm__ volatile("" : "+r"(bench_hide_));                                                  \
        bench_hide_;                                                                               \
    })

/* ---- sub-benchmarks -------------------------------------------------------------------------- */

/* Runs fn(b, arg) as a benchmark named PARENT/name; key=value names (impl=memo) make columns in
 * benchstat. A benchmark that calls this is called once and not measured itself. False: it failed.
 */
bool bench_run(struct bench *b, const char *name, bench_fn *fn, void *arg);

/* ---- timer ----------------------------------------------------------------------------------- */

/* The timer runs when a benchmark is called. Time and allocations count while it runs. To start
 * what runs and to stop what stands does nothing. */
void bench_start_timer(struct bench *b);
void bench_stop_timer(struct bench *b);
/* Forgets time, allocations and metrics so far; does not start or stop. */
void bench_reset_timer(struct bench *b);
/* What has counted so far. */
int64_t bench_elapsed_ns(const struct bench *b);

/* ---- results --------------------------------------------------------------------------------- */

/* Bytes processed in one iteration: adds MB/s. */
void bench_set_bytes(struct bench *b, int64_t bytes);
/* Adds "value unit" to the result; a unit reported before is replaced. A per-iteration metric is
 * for the caller to divide by bench_n and ends in "/op". ns/op, MB/s, B/op and allocs/op replace
 * the harness' own; ns/op 0 leaves it out. An empty unit or one with white space fails the
 * benchmark. */
void bench_report_metric(struct bench *b, double value, const char *unit);
/* As -benchmem, for this benchmark. */
void bench_report_allocs(struct bench *b);

/* ---- parallel -------------------------------------------------------------------------------- */

/* Threads that may run at a time: the current element of -cpu, else the CPUs there are. With -cpu,
 * no thread of the benchmark runs on more CPUs than that either. */
int bench_procs(const struct bench *b);
/* bench_parallel uses p * bench_procs threads. p < 1 is ignored. */
void bench_set_parallelism(struct bench *b, int p);

struct bench_pb {
    uint64_t iterations_left; /* for bench_pb_next */
    struct bench_crew *crew;
};
typedef void bench_pb_fn(struct bench_pb *pb, void *arg);

bool bench_pb_refill(struct bench_pb *pb);

/* True once an iteration that this thread is to do. */
static inline bool bench_pb_next(struct bench_pb *pb)
{
    if (__builtin_expect(pb->iterations_left > 0, 1)) {
        pb->iterations_left--;
        return true;
    }
    return bench_pb_refill(pb);
}

/* Calls fn on several threads and spreads the iterations over them; each loops while bench_pb_next.
 * In place of the loop. Starting the threads is not measured. */
void bench_parallel(struct bench *b, bench_pb_fn *fn, void *arg);

/* ---- saying things --------------------------------------------------------------------------- */

/* All take a printf format. Printed with file and line beneath the result. bench_log and
 * bench_error: any thread. bench_fatal and bench_skip end the benchmark (called on one of its other
 * threads: that thread). */
#define bench_log(b, ...)   bench_say((b), BENCH_SAY_LOG, __FILE__, __LINE__, __VA_ARGS__)
#define bench_error(b, ...) bench_say((b), BENCH_SAY_ERROR, __FILE__, __LINE__, __VA_ARGS__)
#define bench_fatal(b, ...) bench_say((b), BENCH_SAY_FATAL, __FILE__, __LINE__, __VA_ARGS__)
#define bench_skip(b, ...)  bench_say((b), BENCH_SAY_SKIP, __FILE__, __LINE__, __VA_ARGS__)

enum bench_say { BENCH_SAY_LOG, BENCH_SAY_ERROR, BENCH_SAY_FATAL, BENCH_SAY_SKIP };
void bench_say(struct bench *b, enum bench_say what, const char *file, int line, const char *format,
               ...) __attribute__((format(printf, 5, 6)));

/* Whether bench_error or bench_fatal was called, here or in a sub-benchmark; any thread. */
bool bench_failed(const struct bench *b);
/* The full name; lives as long as the benchmark runs. Any thread. */
const char *bench_name(const struct bench *b);

/* ---- the program ----------------------------------------------------------------------------- */

/* What libbench's main() calls: parses the flags, runs, prints. Returns the exit status: 0, 1 when
 * a benchmark failed or a profile could not be written, 2 when the command line was wrong. Once a
 * process. */
int bench_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
