/* The heap profile tells the truth: known bytes by function, sampled and exact; counts to the last
 * byte. */
#include "prof/pprof.h"
#include "tests/top.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N 40000

/* A sanitizer's allocator aborts on a huge request unless told that NULL will do. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void *held[4 * N];
static size_t nheld;

/* Keeps the compiler from seeing that a block is only allocated and freed. */
static void *opaque(void *p)
{
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

static __attribute__((noinline)) void hold_256(int n)
{
    for (int i = 0; i < n; i++)
        held[nheld++] = opaque(malloc(256));
}

static __attribute__((noinline)) void hold_4k_by_calloc(int n)
{
    for (int i = 0; i < n; i++)
        held[nheld++] = opaque(calloc(4, 1024));
}

static __attribute__((noinline)) void free_1k(int n)
{
    for (int i = 0; i < n; i++)
        free(opaque(malloc(1000)));
}

static __attribute__((noinline)) void grow_by_realloc(int n)
{
    for (int i = 0; i < n; i++)
        held[nheld++] = opaque(realloc(opaque(malloc(100)), 3000));
}

static void release(void)
{
    while (nheld)
        free(held[--nheld]);
}

static void read_heap(struct top *t, const char *sample_index, const char *unit)
{
    char path[64];
    int fd = top_file(path);
    assert_int_equal(prof_write("heap", fd, 0), 0);
    close(fd);
    assert_true(top_read(t, path, sample_index, unit));
}

static void check_close(const char *what, double got, double expected, double percent)
{
    double tolerance = expected * percent / 100;
    if (got < expected - tolerance || got > expected + tolerance)
        fail_msg("%s: expected %.0f +- %.0f %%, got %.0f", what, expected, percent, got);
}

/* What each function has allocated and freed since the profile was last read is known; so must the
 * profile. The functions run in other tests too, so the values are differences. */
struct seen {
    double alloc, inuse;
};

static void look(struct seen *s, const char *const *names, int n)
{
    static struct top alloc, inuse;
    read_heap(&alloc, "alloc_space", "B");
    read_heap(&inuse, "inuse_space", "B");
    for (int i = 0; i < n; i++)
        s[i] = (struct seen){top_of(&alloc, names[i]).flat, top_of(&inuse, names[i]).flat};
}

static void check_workload(int n, double percent)
{
    static const char *const names[] = {"hold_256", "hold_4k_by_calloc", "free_1k",
                                        "grow_by_realloc"};
    struct seen before[4], after[4];
    look(before, names, 4);
    hold_256(n);
    hold_4k_by_calloc(n);
    free_1k(n);
    grow_by_realloc(n);
    look(after, names, 4);
    const double alloc[] = {256, 4096, 1000, 3100}, inuse[] = {256, 4096, 0, 3000};
    for (int i = 0; i < 4; i++) {
        check_close(names[i], after[i].alloc - before[i].alloc, alloc[i] * n, percent);
        check_close(names[i], after[i].inuse - before[i].inuse, inuse[i] * n, percent);
    }
    release();
    look(before, names, 4);
    for (int i = 0; i < 4; i++)
        check_close("in use when all is freed", before[i].inuse, 0, 0);
}

static void exact_at_rate_1(void **state)
{
    (void)state;
    int64_t old = prof_set_heap_rate(1);
    check_workload(500, 0);
    prof_set_heap_rate(old);
}

static __attribute__((noinline)) void hold_64k_by_calloc(int n)
{
    for (int i = 0; i < n; i++)
        held[nheld++] = opaque(calloc(64, 1024));
}

static __attribute__((noinline)) void grow_to_64k(int n)
{
    for (int i = 0; i < n; i++)
        held[nheld++] = opaque(realloc(opaque(malloc(100)), 65536));
}

/* A block of 64 KiB is sampled with a probability of 63 %: the sum over 6,400 of them has a
 * standard deviation of 1 %. Most of these pages are never touched. Small blocks take more bytes
 * for that: 700 MB are 10,700 samples. */
static void sampled_at_64k(void **state)
{
    static const char *const names[] = {"hold_64k_by_calloc", "grow_to_64k", "free_1k"};
    enum { BLOCKS = 6400, SMALL = 700000 };
    struct seen before[3], after[3];
    (void)state;
    int64_t old = prof_set_heap_rate(65536);
    look(before, names, 3);
    hold_64k_by_calloc(BLOCKS);
    grow_to_64k(BLOCKS);
    free_1k(SMALL);
    look(after, names, 3);
    prof_set_heap_rate(old);
    const double alloc[] = {65536.0 * BLOCKS, 65636.0 * BLOCKS, 1000.0 * SMALL};
    const double inuse[] = {65536.0 * BLOCKS, 65536.0 * BLOCKS, 0};
    for (int i = 0; i < 3; i++) {
        check_close(names[i], after[i].alloc - before[i].alloc, alloc[i], 5);
        check_close(names[i], after[i].inuse - before[i].inuse, inuse[i], 5);
    }
    release();
}

/* ---- exact counts ---------------------------------------------------------------------------- */

static struct prof_alloc_counts counts(void)
{
    struct prof_alloc_counts c;
    prof_alloc_counts(&c);
    return c;
}

static void every_call_is_counted(void **state)
{
    (void)state;
    struct prof_alloc_counts a = counts();
    void *p = opaque(malloc(10));
    p = opaque(realloc(p, 20));
    p = opaque(reallocarray(p, 3, 10));
    free(p);
    free(opaque(calloc(5, 8)));
    assert_int_equal(posix_memalign(&p, 64, 50), 0);
    free(opaque(p));
    free(opaque(aligned_alloc(64, 64)));
    free(opaque(memalign(32, 70)));
    free(NULL);
    struct prof_alloc_counts b = counts();
    assert_int_equal(b.mallocs - a.mallocs, 7);
    assert_int_equal(b.frees - a.frees, 7);
    assert_int_equal(b.alloc_bytes - a.alloc_bytes, 10 + 20 + 30 + 40 + 50 + 64 + 70);
}

static void failures_are_not_counted(void **state)
{
    (void)state;
    struct prof_alloc_counts a = counts();
    volatile size_t huge = SIZE_MAX / 2;
    void *p = malloc(100), *q = opaque(p);
    assert_null(opaque(malloc(huge)));
    assert_int_equal(errno, ENOMEM);
    assert_null(opaque(calloc(huge, 4)));
    assert_null(opaque(reallocarray(q, huge, 4)));
    assert_null(realloc(q, huge)); /* p is still there */
    free(p);
    struct prof_alloc_counts b = counts();
    assert_int_equal(b.mallocs - a.mallocs, 1);
    assert_int_equal(b.alloc_bytes - a.alloc_bytes, 100);
    assert_int_equal(b.frees - a.frees, 1);
}

static void *allocate_on_thread(void *arg)
{
    for (int i = 0; i < 1000; i++)
        free(opaque(malloc(7)));
    return arg;
}

/* What pthread_create itself allocates is the host's, too, so the thread's own part is told by
 * comparison. */
static void threads_count_after_their_end(void **state)
{
    enum { THREADS = 50 };
    pthread_t t[THREADS];
    (void)state;
    struct prof_alloc_counts a = counts();
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, allocate_on_thread, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    struct prof_alloc_counts b = counts();
    assert_in_range(b.mallocs - a.mallocs, THREADS * 1000, THREADS * 1000 + 8 * THREADS);
    assert_in_range(b.frees - a.frees, THREADS * 1000, THREADS * 1000 + 8 * THREADS);
}

static void *release_on_thread(void *arg)
{
    release();
    return arg;
}

static void freed_by_another_thread(void **state)
{
    (void)state;
    int64_t old = prof_set_heap_rate(1);
    static const char *const names[] = {"hold_256"};
    struct seen before, after;
    look(&before, names, 1);
    hold_256(1000);
    pthread_t t;
    pthread_create(&t, NULL, release_on_thread, NULL);
    pthread_join(t, NULL);
    look(&after, names, 1);
    prof_set_heap_rate(old);
    assert_true(after.alloc - before.alloc == 256000);
    assert_true(after.inuse - before.inuse == 0);
}

static void the_rate_is_told_and_kept(void **state)
{
    (void)state;
    int64_t old = prof_set_heap_rate(-1);
    assert_int_equal(prof_set_heap_rate(4096), old);
    assert_int_equal(prof_set_heap_rate(-1), 4096);
    assert_int_equal(prof_set_heap_rate(0), 4096);
    int64_t buckets = prof_count("heap");
    hold_256(2000);
    release();
    assert_int_equal(prof_count("heap"), buckets);
    assert_int_equal(prof_set_heap_rate(old), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_is_counted),
        cmocka_unit_test(failures_are_not_counted),
        cmocka_unit_test(threads_count_after_their_end),
        cmocka_unit_test(exact_at_rate_1),
        cmocka_unit_test(sampled_at_64k),
        cmocka_unit_test(freed_by_another_thread),
        cmocka_unit_test(the_rate_is_told_and_kept),
    };
    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
