/* Profiles of something known, read back: whether they say what was done. A machine that samples
 * badly (few ticks, no symbols, stacks of one frame) is found out here and not in the middle of a
 * class. */
#include "cmd/doctor/doctor.h"
#include "cmd/saved.h"
#include "labs/fib/fib.h"
#include "prof/pprof.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* What was written to a file in memory, as a profile; fd is closed. */
static int read_back(int fd, struct saved *s)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int err = saved_read(s, path);
    close(fd);
    return err;
}

static int read_named(const char *name, struct saved *s)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    int err = fd < 0 ? -1 : prof_write(name, fd, 0);

    if (err < 0) {
        if (fd >= 0)
            close(fd);
        return err;
    }
    return read_back(fd, s);
}

struct found {
    double value;     /* of the stacks with the function in them */
    size_t deepest;   /* how often one stack has it */
    const char *file; /* where it stands; "" : not known */
};

static struct found find(const struct saved *s, int type, const char *function)
{
    struct found f = {.file = ""};

    for (size_t i = 0; i < s->n_samples; i++) {
        size_t n = 0;
        for (size_t j = 0; j < s->samples[i].n_frames; j++) {
            const struct saved_function *at = &s->functions[s->samples[i].frames[j]];
            if (strcmp(at->name, function) == 0) {
                f.file = at->file;
                n++;
            }
        }
        f.value += n ? (double)s->samples[i].values[type] : 0;
        f.deepest = n > f.deepest ? n : f.deepest;
    }
    return f;
}

static double total_of(const struct saved *s, int type)
{
    double total = 0;
    for (size_t i = 0; i < s->n_samples; i++)
        total += (double)s->samples[i].values[type];
    return total;
}

/* ---- CPU ------------------------------------------------------------------------------------- */

static void judge_cpu(const struct saved *s, double cpu_s)
{
    double samples = total_of(s, 0), expected = cpu_s * PROF_CPU_HZ_DEFAULT;
    struct found fib = find(s, 0, "fib_recursive");

    if (samples < expected / 2)
        say(samples > 0 ? "warn" : "fail", "CPU samples", "samples",
            "%.0f of about %.0f in %.2f s of CPU time", samples, expected, cpu_s);
    else
        say("ok", "CPU samples", "", "%.0f in %.2f s of CPU time", samples, cpu_s);
    if (fib.value < samples * 0.8 || !*fib.file)
        say("fail", "symbols", "symbols", "%s",
            fib.value < samples * 0.8
                ? "fib_recursive was computed, but is not what the profile shows"
                : "functions are known, files and lines are not");
    else
        say("ok", "symbols", "", "fib_recursive, %s",
            strrchr(fib.file, '/') ? strrchr(fib.file, '/') + 1 : fib.file);
    if (fib.deepest < 15)
        say("fail", "call depth", "depth",
            "fib_recursive calls itself 30 deep, the deepest stack has it %zu times", fib.deepest);
    else
        say("ok", "call depth", "", "fib_recursive %zu deep", fib.deepest);
}

static volatile uint64_t worked; /* the work must not be optimized away */

/* A second, and on a busy machine, where that is little CPU time, up to four. */
enum { WORK_NS = 1000000000, CPU_ENOUGH_NS = 500000000 };

static bool has_worked(int64_t begin_ns, int64_t begin_cpu_ns)
{
    int64_t ns = now_ns(CLOCK_MONOTONIC) - begin_ns;
    return ns >= WORK_NS && (now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu_ns >= CPU_ENOUGH_NS ||
                             ns >= 4 * (int64_t)WORK_NS);
}

void check_cpu(void)
{
    struct saved s;
    int64_t begin = now_ns(CLOCK_PROCESS_CPUTIME_ID), begin_ns = now_ns(CLOCK_MONOTONIC);
    int err = prof_cpu_start(0);

    if (err < 0) {
        say("fail", "CPU samples", "samples", "sampling did not start: %s", strerror(-err));
        return;
    }
    while (!has_worked(begin_ns, begin))
        worked += fib_recursive(30);
    double cpu_s = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin) / 1e9;
    int fd = memfd_create("cpu", MFD_CLOEXEC);
    err = prof_cpu_stop(fd);
    if (err < 0 || read_back(fd, &s) < 0) {
        say("fail", "CPU samples", "samples", "the profile could not be written and read");
        return;
    }
    judge_cpu(&s, cpu_s);
    saved_free(&s);
}

/* ---- heap --------------------------------------------------------------------------------------
 */

enum { PIECES = 4096, PIECE_BYTES = 16384 };

static __attribute__((noinline)) void doctor_allocates(void **piece)
{
    for (int i = 0; i < PIECES; i++)
        piece[i] = malloc(PIECE_BYTES);
}

void check_heap(void)
{
    static void *piece[PIECES];
    const double expected = (double)PIECES * PIECE_BYTES / (1 << 20);
    struct saved s;

    doctor_allocates(piece);
    int err = read_named("heap", &s);
    int type = err < 0 ? -1 : saved_type_index(&s, "inuse_space");
    double seen = type < 0 ? 0 : find(&s, type, "doctor_allocates").value / (1 << 20);
    if (seen > expected / 2 && seen < expected * 2)
        say("ok", "heap samples", "", "%.0f MiB of %.0f allocated", seen, expected);
    else
        say("fail", "heap samples", "heap", "%.0f MiB of %.0f allocated were found", seen,
            expected);
    if (err >= 0)
        saved_free(&s);
    for (int i = 0; i < PIECES; i++)
        free(piece[i]);
}

/* ---- locks -------------------------------------------------------------------------------------
 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static __attribute__((noinline)) void *doctor_waits(void *arg)
{
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    return arg;
}

/* The other thread is given the time to arrive at the lock. On a busy machine it may need more:
 * this is tried again. */
static __attribute__((noinline)) void doctor_holds(void)
{
    pthread_t thread;

    pthread_mutex_lock(&lock);
    if (pthread_create(&thread, NULL, doctor_waits, NULL) != 0) {
        pthread_mutex_unlock(&lock);
        return;
    }
    usleep(50000);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
}

static double delay_of(const char *profile, const char *function)
{
    struct saved s;

    if (read_named(profile, &s) < 0)
        return 0;
    int type = saved_type_index(&s, "delay");
    double value = type < 0 ? 0 : find(&s, type, function).value;
    saved_free(&s);
    return value;
}

void check_locks(void)
{
    int64_t block = prof_set_block_rate_ns(1), mutex = prof_set_mutex_fraction(1);

    double waited = 0, held = 0;
    for (int i = 0; i < 20 && (i < 3 || waited <= 0 || held <= 0); i++) {
        doctor_holds();
        waited = delay_of("block", "doctor_waits");
        held = delay_of("mutex", "doctor_holds");
    }
    prof_set_block_rate_ns(block);
    prof_set_mutex_fraction(mutex);
    if (waited > 0 && held > 0)
        say("ok", "lock samples", "", "waited %.0f ms, found with its holder", waited / 1e6);
    else
        say("fail", "lock samples", "locks", "a wait was %sfound, its holder was %sfound",
            waited > 0 ? "" : "not ", held > 0 ? "" : "not ");
}
