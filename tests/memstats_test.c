/* prof_memstats: what it says is exact is exact, what it says is estimated lies within its error,
 * the allocator's and the kernel's figures move with what the program does, and the text has Go's
 * lines. */
#include "prof/pprof.h"
#include "tests/sanitized.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOCKS = 20000, BLOCK_BYTES = 1000, MIB = 1 << 20 };

static void *held[BLOCKS];

static bool under_sanitizer(void)
{
    struct prof_memstats m;
    prof_memstats(&m);
    return strcmp(m.allocator, "glibc") != 0;
}

/* Keeps the compiler from seeing that a block is only allocated and freed. */
static void *opaque(void *p)
{
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

static void hold(int n)
{
    for (int i = 0; i < n; i++)
        held[i] = opaque(malloc(BLOCK_BYTES));
}

static void release(int n)
{
    for (int i = 0; i < n; i++)
        free(held[i]);
}

static void calls_are_counted_exactly(void **state)
{
    struct prof_memstats before, full, after;
    (void)state;
    prof_memstats(&before);
    hold(BLOCKS);
    prof_memstats(&full);
    release(BLOCKS - 7);
    prof_memstats(&after);
    assert_int_equal(full.mallocs - before.mallocs, BLOCKS);
    assert_int_equal(full.frees - before.frees, 0);
    assert_int_equal(full.objects - before.objects, BLOCKS);
    assert_int_equal(full.total_alloc_bytes - before.total_alloc_bytes, BLOCKS * BLOCK_BYTES);
    assert_int_equal(after.frees - full.frees, BLOCKS - 7);
    assert_int_equal(after.objects - before.objects, 7);
    assert_int_equal(after.total_alloc_bytes, full.total_alloc_bytes);
    for (int i = BLOCKS - 7; i < BLOCKS; i++)
        free(held[i]);
}

static void samples_are_exact_at_rate_1(void **state)
{
    struct prof_memstats before, full, after;
    (void)state;
    int64_t old = prof_set_heap_rate(1);
    prof_memstats(&before);
    hold(BLOCKS);
    prof_memstats(&full);
    release(BLOCKS);
    prof_memstats(&after);
    prof_set_heap_rate(old);
    assert_int_equal(full.sampled_inuse_bytes - before.sampled_inuse_bytes, BLOCKS * BLOCK_BYTES);
    assert_int_equal(full.sampled_error_bytes, before.sampled_error_bytes);
    assert_int_equal(after.sampled_inuse_bytes, before.sampled_inuse_bytes);
}

/* 20 MB sampled every 16 KiB: 1,184 samples, so an error of 2.9 %. Six times that is missed once in
 * 500 million runs. */
static void samples_know_their_error(void **state)
{
    struct prof_memstats before, full, after;
    const double p = -expm1(-BLOCK_BYTES / 16384.0), bytes = BLOCKS * BLOCK_BYTES;
    const double expected = sqrt(BLOCKS * (1 - p) / p) * BLOCK_BYTES;
    (void)state;
    int64_t old = prof_set_heap_rate(16384);
    prof_memstats(&before);
    hold(BLOCKS);
    prof_memstats(&full);
    release(BLOCKS);
    prof_memstats(&after);
    prof_set_heap_rate(old);
    double estimate = (double)full.sampled_inuse_bytes - (double)before.sampled_inuse_bytes;
    double error =
        sqrt(pow((double)full.sampled_error_bytes, 2) - pow((double)before.sampled_error_bytes, 2));
    if (fabs(estimate - bytes) > 6 * expected)
        fail_msg("expected %.0f +- %.0f, got %.0f", bytes, 6 * expected, estimate);
    if (error < expected * 0.7 || error > expected * 1.3)
        fail_msg("expected an error of about %.0f, got %.0f", expected, error);
    assert_int_equal(after.sampled_inuse_bytes, before.sampled_inuse_bytes);
    assert_int_equal(after.sampled_error_bytes, before.sampled_error_bytes);
}

static void the_allocator_is_asked(void **state)
{
    struct prof_memstats before, small, large, after;
    (void)state;
    if (under_sanitizer())
        skip(); /* whose allocator keeps books of its own */
    prof_memstats(&before);
    hold(BLOCKS);
    prof_memstats(&small);
    void *p = opaque(malloc(64 * MIB));
    prof_memstats(&large);
    free(p);
    release(BLOCKS);
    prof_memstats(&after);
    /* 1000 bytes are 1008 in glibc. */
    assert_in_range(small.heap_alloc_bytes - before.heap_alloc_bytes, BLOCKS * BLOCK_BYTES,
                    BLOCKS * (BLOCK_BYTES + 32));
    assert_in_range(large.heap_alloc_bytes - small.heap_alloc_bytes, 64 * MIB, 64 * MIB + 65536);
    assert_in_range(after.heap_alloc_bytes, 0, before.heap_alloc_bytes + 65536);
    assert_true(large.heap_sys_bytes >= large.heap_alloc_bytes);
    assert_int_equal(large.heap_sys_bytes, large.heap_inuse_bytes + large.heap_idle_bytes);
    assert_true(large.sys_bytes >= large.heap_sys_bytes);
}

static void the_kernel_is_asked(void **state)
{
    struct prof_memstats before, mapped, touched, after;
    (void)state;
    if (TSAN)
        skip(); /* it keeps four bytes of its own for each that is touched */
    prof_memstats(&before);
    char *p = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    prof_memstats(&mapped);
    memset(p, 1, 64 * MIB);
    prof_memstats(&touched);
    munmap(p, 64 * MIB);
    prof_memstats(&after);
    assert_int_equal(mapped.sys_bytes - before.sys_bytes, 64 * MIB);
    assert_in_range(touched.resident_bytes - mapped.resident_bytes, 63 * MIB, 66 * MIB);
    assert_in_range(touched.peak_resident_bytes, touched.resident_bytes - MIB, SIZE_MAX);
    assert_in_range(after.resident_bytes, 0, touched.resident_bytes - 63 * MIB);
    assert_in_range(after.peak_resident_bytes, touched.peak_resident_bytes - MIB, SIZE_MAX);
    assert_int_equal(after.sys_bytes, before.sys_bytes);
}

static void libprof_counts_itself(void **state)
{
    static char handles[100000];
    struct prof_memstats before, after;
    struct prof_custom *custom;
    (void)state;
    assert_int_equal(prof_custom_new("test.memstats", &custom), 0);
    prof_memstats(&before);
    for (size_t i = 0; i < sizeof handles; i++)
        assert_int_equal(prof_custom_add(custom, &handles[i], 0), 0);
    prof_memstats(&after);
    /* A handle and its bucket each, in a table that is a power of two large. */
    assert_in_range(after.profiler_bytes - before.profiler_bytes, sizeof handles * 16,
                    sizeof handles * 128);
    assert_true(after.profiler_bytes <= after.sys_bytes);
    assert_int_equal(after.mallocs, before.mallocs);
}

static void errno_is_kept(void **state)
{
    struct prof_memstats m;
    (void)state;
    errno = ERANGE;
    prof_memstats(&m);
    assert_int_equal(errno, ERANGE);
}

static void *allocate_and_ask(void *arg)
{
    struct prof_memstats last = {0}, now;
    for (int i = 0; i < 200; i++) {
        free(opaque(malloc(100)));
        prof_memstats(&now);
        if (now.mallocs < last.mallocs || now.total_alloc_bytes < last.total_alloc_bytes)
            return NULL;
        last = now;
    }
    return arg;
}

static void threads_may_ask_at_once(void **state)
{
    pthread_t threads[4];
    void *ok;
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_and_ask, threads), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &ok);
        assert_ptr_equal(ok, threads);
    }
}

/* ---- Go's text ------------------------------------------------------------------------------- */

static char *heap_text(void)
{
    static char text[1 << 20];
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(prof_write("heap", fileno(f), 1), 0);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    char *at = strstr(text, "\n\n# runtime.MemStats\n");
    assert_non_null(at);
    return at + strlen("\n\n# runtime.MemStats\n");
}

static uint64_t value_of(const char *text, const char *name)
{
    char line[64];
    snprintf(line, sizeof line, "# %s = ", name);
    const char *at = strstr(text, line);
    if (!at)
        fail_msg("no line '%s' in: %s", line, text);
    return strtoull(at + strlen(line), NULL, 10);
}

/* The names, and their order, of runtime/pprof's writeHeapInternal. */
static void the_text_has_gos_lines(void **state)
{
    static const char *const names[] = {
        "Alloc",         "TotalAlloc", "Sys",      "Lookups",     "Mallocs",      "Frees",
        "HeapAlloc",     "HeapSys",    "HeapIdle", "HeapInuse",   "HeapReleased", "HeapObjects",
        "Stack",         "MSpan",      "MCache",   "BuckHashSys", "GCSys",        "OtherSys",
        "NextGC",        "LastGC",     "PauseNs",  "PauseEnd",    "NumGC",        "NumForcedGC",
        "GCCPUFraction", "DebugGC",    "MaxRSS",
    };
    (void)state;
    char *text = heap_text(), *save = NULL, *line = strtok_r(text, "\n", &save);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char start[64];
        snprintf(start, sizeof start, "# %s = ", names[i]);
        if (!line || strncmp(line, start, strlen(start)) != 0)
            fail_msg("expected a line '%s', got '%s'", start, line ? line : "the end");
        line = strtok_r(NULL, "\n", &save);
    }
}

static void the_texts_figures_add_up(void **state)
{
    struct prof_memstats m;
    (void)state;
    char *text = heap_text();
    prof_memstats(&m);
    assert_int_equal(value_of(text, "Sys"),
                     value_of(text, "HeapSys") + value_of(text, "BuckHashSys") +
                         value_of(text, "GCSys") + value_of(text, "OtherSys"));
    assert_int_equal(value_of(text, "HeapSys"),
                     value_of(text, "HeapInuse") + value_of(text, "HeapIdle"));
    assert_int_equal(value_of(text, "HeapObjects"),
                     value_of(text, "Mallocs") - value_of(text, "Frees"));
    assert_in_range(value_of(text, "MaxRSS"), MIB, m.peak_resident_bytes);
    assert_int_equal(value_of(text, "NumGC"), 0);
}

/* ---- a collector ----------------------------------------------------------------------------- */

static void collect(void) {}

static void collector_stats(struct prof_collector_stats *out)
{
    *out = (struct prof_collector_stats){.collections = 3,
                                         .pause_total_ns = 900,
                                         .pause_max_ns = 500,
                                         .live_bytes = 100,
                                         .heap_bytes = 5000,
                                         .goal_bytes = 200,
                                         .system_bytes = 8192,
                                         .last_end_ns = 1};
}

static void a_collectors_heap_is_heap(void **state)
{
    static const struct prof_collector collector = {.collect = collect, .stats = collector_stats};
    struct prof_memstats m;
    (void)state;
    prof_memstats(&m);
    assert_int_equal(m.collector.collections, 0);
    assert_int_equal(prof_set_collector(&collector), 0);
    prof_memstats(&m);
    char *text = heap_text();
    prof_set_collector(NULL);
    assert_int_equal(m.collector.collections, 3);
    assert_int_equal(m.collector.heap_bytes, 5000);
    assert_int_equal(value_of(text, "NumGC"), 3);
    assert_int_equal(value_of(text, "NextGC"), 200);
    assert_int_equal(value_of(text, "PauseTotalNs"), 900);
    assert_true(value_of(text, "LastGC") > 0);
    assert_int_equal(value_of(text, "HeapSys"),
                     value_of(text, "HeapInuse") + value_of(text, "HeapIdle"));
    assert_non_null(strstr(text, "\n# PauseNs = []\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_counted_exactly),
        cmocka_unit_test(samples_are_exact_at_rate_1),
        cmocka_unit_test(samples_know_their_error),
        cmocka_unit_test(the_allocator_is_asked),
        cmocka_unit_test(the_kernel_is_asked),
        cmocka_unit_test(libprof_counts_itself),
        cmocka_unit_test(errno_is_kept),
        cmocka_unit_test(threads_may_ask_at_once),
        cmocka_unit_test(the_text_has_gos_lines),
        cmocka_unit_test(the_texts_figures_add_up),
        cmocka_unit_test(a_collectors_heap_is_heap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
