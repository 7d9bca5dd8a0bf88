/* The benchmarks that bench_run_test.c runs: one for each thing that a benchmark can do or do
 * wrong. */
#ifndef TESTS_BENCH_FIXTURE_H
#define TESTS_BENCH_FIXTURE_H

#include "bench/bench.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

BENCH_PACKAGE("fixture")

static void keep_busy(int rounds)
{
    for (int i = 0; i < rounds; i++)
        bench_sink(i);
}

BENCH(Busy)
{
    while (bench_loop(b))
        keep_busy(1000);
}

BENCH(Counts)
{
    int64_t iterations = 0;

    while (bench_loop(b))
        iterations++;
    bench_report_metric(b, (double)iterations, "iterations");
    if (iterations != bench_n(b) || bench_loop(b))
        bench_fatal(b, "%ld iterations, expected %ld", (long)iterations, (long)bench_n(b));
}

BENCH(Elapsed)
{
    while (bench_loop(b))
        keep_busy(bench_hide(1000));
    int64_t stopped = bench_elapsed_ns(b);
    keep_busy(1000);
    if (stopped <= 0 || bench_elapsed_ns(b) != stopped)
        bench_fatal(b, "%ld ns, then %ld", (long)stopped, (long)bench_elapsed_ns(b));
    bench_start_timer(b);
    keep_busy(1000);
    if (bench_elapsed_ns(b) <= stopped)
        bench_error(b, "a timer that runs stands at %ld ns", (long)stopped);
    bench_stop_timer(b);
}

static void free_later(void *p)
{
    bench_sink(p);
    free(p);
}

BENCH(Allocs)
{
    free_later(malloc(1000)); /* before the loop: not counted */
    while (bench_loop(b)) {
        free_later(malloc(100));
        free_later(calloc(10, 20));
        free_later(aligned_alloc(64, 64));
    }
    free_later(malloc(1000));
}

BENCH(AllocsTimer)
{
    bench_report_allocs(b);
    while (bench_loop(b)) {
        bench_stop_timer(b);
        free_later(malloc(5000));
        bench_start_timer(b);
        free_later(malloc(64));
    }
}

BENCH(AllocsReset)
{
    bench_report_allocs(b);
    free_later(malloc(1 << 20));
    bench_report_metric(b, 1, "forgotten");
    bench_reset_timer(b);
    for (int64_t i = 0; i < bench_n(b); i++)
        free_later(malloc(8));
}

static void parallel_allocs(struct bench_pb *pb, void *arg)
{
    (void)arg;
    while (bench_pb_next(pb))
        free_later(malloc(48));
}

BENCH(ParallelAllocs)
{
    bench_report_allocs(b);
    bench_parallel(b, parallel_allocs, NULL);
}

struct tally {
    _Atomic int64_t threads, iterations;
};

static void tally(struct bench_pb *pb, void *arg)
{
    struct tally *t = arg;
    int64_t n = 0;

    t->threads++;
    while (bench_pb_next(pb))
        n++;
    t->iterations += n;
}

BENCH(ParallelCounts)
{
    struct tally t = {0, 0};

    bench_set_parallelism(b, 3);
    bench_parallel(b, tally, &t);
    bench_report_metric(b, (double)t.threads, "threads");
    if (t.iterations != bench_n(b))
        bench_fatal(b, "%ld iterations, expected %ld", (long)t.iterations, (long)bench_n(b));
}

static void leave_at_once(struct bench_pb *pb, void *arg)
{
    (void)pb;
    (void)arg;
}

BENCH(FailParallel)
{
    bench_parallel(b, leave_at_once, NULL);
}

static void fatal_in_thread(struct bench_pb *pb, void *arg)
{
    (void)pb;
    bench_fatal(arg, "from a thread");
}

BENCH(FailThread)
{
    bench_parallel(b, fatal_in_thread, b);
}

BENCH(Metrics)
{
    bench_set_bytes(b, 1000000);
    while (bench_loop(b))
        keep_busy(10);
    bench_report_metric(b, 1, "z/op");
    bench_report_metric(b, 2, "a/op");
    bench_report_metric(b, 0.05, "z/op");
    bench_report_metric(b, 1234.5, "ns/op");
}

BENCH(NoTime)
{
    while (bench_loop(b))
        ;
    bench_report_metric(b, 0, "ns/op");
    bench_report_metric(b, 7, "MB/s");
    bench_report_metric(b, 3.9, "B/op");
    bench_report_metric(b, 2, "allocs/op");
    bench_report_allocs(b);
}

BENCH(FailMetric)
{
    while (bench_loop(b))
        ;
    bench_report_metric(b, 1, "two words");
}

static void sub(struct bench *b, void *arg)
{
    while (bench_loop(b))
        keep_busy(*(int *)arg);
}

static void nested(struct bench *b, void *arg)
{
    bench_run(b, "n=1", sub, arg);
    bench_run(b, "n=2", sub, arg);
}

BENCH(Sub)
{
    int rounds = 10;

    bench_run(b, "impl=a", sub, &rounds);
    bench_run(b, "impl=b c", sub, &rounds);
    bench_run(b, "impl=a", sub, &rounds);
    bench_run(b, "kind=nested", nested, &rounds);
}

BENCH(Log)
{
    bench_log(b, "one\ntwo");
    while (bench_loop(b))
        keep_busy(10);
}

BENCH(LogMuch)
{
    for (int i = 0; i < 30; i++)
        bench_log(b, "line %d", i);
    while (bench_loop(b))
        keep_busy(10);
}

BENCH(Skip)
{
    bench_skip(b, "not today");
}

BENCH(FailError)
{
    bench_error(b, "first");
    bench_fatal(b, "second %d", 2);
}

BENCH(FailLater)
{
    if (bench_n(b) > 1)
        bench_fatal(b, "at %ld", (long)bench_n(b));
    while (bench_loop(b))
        keep_busy(1000);
}

BENCH(FailNoLoop) {}

BENCH(FailBreak)
{
    while (bench_loop(b))
        if (bench_n(b) > 1)
            break;
}

static void sub_fails(struct bench *b, void *arg)
{
    (void)arg;
    bench_fatal(b, "%s gave up", bench_name(b));
}

BENCH(FailSub)
{
    int rounds = 10;

    if (bench_run(b, "x=1", sub_fails, NULL))
        bench_log(b, "bench_run did not say that it failed");
    bench_run(b, "x=2", sub, &rounds);
}

BENCH(Procs)
{
    cpu_set_t cpus;

    while (bench_loop(b))
        ;
    sched_getaffinity(0, sizeof(cpus), &cpus);
    bench_report_metric(b, bench_procs(b), "procs");
    bench_report_metric(b, CPU_COUNT(&cpus), "cpus");
}

/* Its child ends by a signal that must not end the run. */
BENCH(Fork)
{
    while (bench_loop(b)) {
        int status;
        pid_t child = fork();
        if (child == 0)
            for (;;)
                pause();
        kill(child, SIGTERM);
        if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
            bench_fatal(b, "the child did not end by its signal");
    }
}

BENCH(Hang)
{
    while (bench_loop(b))
        for (;;)
            pause();
}

#endif
