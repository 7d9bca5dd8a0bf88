/* The labs: slow and fixed give the same result on the same input, a pool lends no buffer twice,
 * and what leaks can be counted and ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "labs/alloc/alloc.h"
#include "labs/fib/fib.h"
#include "labs/leak/leak.h"
#include "labs/mutex/mutex.h"
#include "tests/sanitized.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- fib ------------------------------------------------------------------------------------- */

static void fib_knows_the_numbers(void **state)
{
    static const struct {
        int n;
        uint64_t value;
    } known[] = {{-1, 0}, {0, 0}, {1, 1}, {2, 1}, {3, 2}, {10, 55}, {20, 6765}, {27, 196418}};

    (void)state;
    for (const struct fib_impl *i = fib_impls; i->name; i++)
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
            assert_int_equal(i->fib(known[k].n), known[k].value);
    assert_int_equal(fib_iterative(35), 9227465);
    assert_int_equal(fib_memo(93), UINT64_C(12200160415121876738));
}

static void fib_variants_agree(void **state)
{
    (void)state;
    for (int n = 0; n <= 25; n++) {
        assert_int_equal(fib_recursive(n), fib_iterative(n));
        assert_int_equal(fib_memo(n), fib_iterative(n));
    }
    for (int n = 26; n <= 93; n++)
        assert_int_equal(fib_memo(n), fib_iterative(n));
}

static void burn_adds_up_the_same(void **state)
{
    uint64_t expected = 0, total;

    (void)state;
    for (int i = 0; i < 7; i++)
        expected += fib_iterative(30 + i % 5);
    for (int workers = 1; workers <= 4; workers++) {
        assert_int_equal(lab_burn_cpu(7, workers, fib_impl_find("memo"), &total), 0);
        assert_int_equal(total, expected * (uint64_t)workers);
    }
    assert_int_equal(lab_burn_cpu(1, 2, fib_impl_find("recursive"), &total), 0);
    assert_int_equal(total, 2 * fib_iterative(30));
    assert_int_equal(lab_burn_cpu(0, 1, fib_impl_find("memo"), &total), 0);
    assert_int_equal(total, 0);
    assert_int_equal(lab_burn_cpu(1, 0, fib_impl_find("memo"), &total), -EINVAL);
    assert_int_equal(lab_burn_cpu(-1, 1, fib_impl_find("memo"), &total), -EINVAL);
}

/* ---- alloc ----------------------------------------------------------------------------------- */

static void alloc_variants_agree(void **state)
{
    static const size_t bytes[] = {32, 33, 40, 100, 1024, 4096, 100001};
    static const int counts[] = {0, 1, 2, 17, 256, 300, 1000};

    (void)state;
    for (size_t b = 0; b < sizeof(bytes) / sizeof(bytes[0]); b++) {
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
            uint64_t expected, sum;
            if (bytes[b] * (size_t)counts[c] > 10000000)
                continue;
            assert_int_equal(alloc_plain(bytes[b], counts[c], false, &expected), 0);
            assert_true(counts[c] == 0 || expected != 0);
            for (const struct alloc_impl *i = alloc_impls; i->name; i++) {
                /* Twice: the second time the pool has something to lend. */
                for (int twice = 0; twice < 2; twice++) {
                    assert_int_equal(i->allocate(bytes[b], counts[c], false, &sum), 0);
                    assert_int_equal(sum, expected);
                }
            }
        }
    }
    lab_alloc_release();
}

/* The digest of the byte 0, as FIPS 180-4 has it. */
static void alloc_fills_with_sha256(void **state)
{
    static const unsigned char digest[] = {0x6e, 0x34, 0x0b, 0x9c, 0xff, 0xb3, 0x7a, 0x98};
    struct buffers *set = pool_take(64, 2);
    static const unsigned char zeros[32];

    (void)state;
    buffers_fill(set, 0);
    buffers_fill(set, 1);
    assert_memory_equal(set->item[0], digest, sizeof(digest));
    assert_memory_equal(set->item[0] + 32, zeros, 32);
    assert_memory_not_equal(set->item[0], set->item[1], 32);
    pool_give(set);
    lab_alloc_release();
}

static void alloc_sum_sees_every_byte(void **state)
{
    struct buffers *set = pool_take(100, 3);
    uint64_t before;

    (void)state;
    for (int i = 0; i < 3; i++)
        buffers_fill(set, i);
    before = buffers_checksum(set);
    for (size_t at = 0; at < 100; at++) {
        set->item[2][at] ^= 1;
        assert_int_not_equal(buffers_checksum(set), before);
        set->item[2][at] ^= 1;
    }
    unsigned char *first = set->item[0];
    set->item[0] = set->item[1];
    set->item[1] = first;
    assert_int_not_equal(buffers_checksum(set), before);
    pool_give(set);
    lab_alloc_release();
}

static void alloc_refuses_what_it_cannot(void **state)
{
    uint64_t sum;

    (void)state;
    for (const struct alloc_impl *i = alloc_impls; i->name; i++) {
        assert_int_equal(i->allocate(31, 1, false, &sum), -EINVAL);
        assert_int_equal(i->allocate(1024, -1, false, &sum), -EINVAL);
    }
    if (TSAN || ASAN) /* whose allocator ends the program instead */
        return;
    for (const struct alloc_impl *i = alloc_impls; i->name; i++)
        assert_int_equal(i->allocate(SIZE_MAX / 4, 2, false, &sum), -ENOMEM);
}

static bool has_buffer(const struct buffers *set, const unsigned char *buffer)
{
    for (int i = 0; i < set->count; i++)
        if (set->item[i] == buffer)
            return true;
    return false;
}

static void pool_lends_a_buffer_once(void **state)
{
    static const unsigned char zeros[ALLOC_BYTES];
    struct buffers *a = pool_take(ALLOC_BYTES, 100), *b = pool_take(ALLOC_BYTES, 100);

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_false(has_buffer(b, a->item[i]));
    unsigned char *known = a->item[7];
    memset(known, 0xff, ALLOC_DIGEST_BYTES);
    pool_give(a);

    struct buffers *c = pool_take(ALLOC_BYTES, 200); /* a again, with more of them */
    assert_true(has_buffer(c, known));
    for (int i = 0; i < 200; i++) {
        assert_false(has_buffer(b, c->item[i]));
        assert_memory_equal(c->item[i], zeros, ALLOC_BYTES);
    }
    pool_give(b);
    pool_give(c);
    lab_alloc_release();
}

static void held_buffers_are_not_lent(void **state)
{
    uint64_t held_sum, sum;

    (void)state;
    lab_alloc_release();
    for (const struct alloc_impl *i = alloc_impls; i->name; i++) {
        assert_int_equal(i->allocate(ALLOC_BYTES, 100, true, &held_sum), 0);
        assert_int_equal(i->allocate(ALLOC_BYTES, 100, true, &sum), 0);
        assert_int_equal(sum, held_sum);
        assert_int_equal(i->allocate(ALLOC_BYTES, 50, false, &sum), 0);
        assert_int_equal(lab_alloc_release(), 2 * 100 * ALLOC_BYTES);
    }
    assert_int_equal(lab_alloc_release(), 0);
}

struct allocator {
    pthread_t thread;
    int count;
    uint64_t expected;
    int wrong;
};

static void *allocate_often(void *arg)
{
    struct allocator *a = arg;
    uint64_t sum;

    for (int i = 0; i < 200; i++)
        if (alloc_pool(ALLOC_BYTES, a->count, false, &sum) < 0 || sum != a->expected)
            a->wrong++;
    return NULL;
}

/* Threads that work on different numbers of buffers would spoil each other's sums if they shared
 * one. */
static void pool_is_right_from_many_threads(void **state)
{
    struct allocator a[6] = {0};

    (void)state;
    for (int i = 0; i < 6; i++) {
        a[i].count = 20 + 7 * i;
        assert_int_equal(alloc_plain(ALLOC_BYTES, a[i].count, false, &a[i].expected), 0);
        assert_int_equal(pthread_create(&a[i].thread, NULL, allocate_often, &a[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(a[i].thread, NULL);
        assert_int_equal(a[i].wrong, 0);
    }
    lab_alloc_release();
}

/* ---- mutex ----------------------------------------------------------------------------------- */

static uint64_t sum_by_hand(const struct mutex_task *task)
{
    uint64_t sum = 0;

    for (int w = 0; w < task->workers; w++)
        for (int i = 0; i < task->iter; i++)
            sum += mutex_compute(mutex_seed(task, w, i), task->units);
    return sum;
}

static void mutex_variants_agree(void **state)
{
    static const struct mutex_task tasks[] = {{1, 0, 10},    {1, 1, 0},    {1, 1000, 1},
                                              {2, 1, 100},   {2, 5000, 3}, {4, 2000, 50},
                                              {16, 300, 20}, {64, 10, 5}};

    (void)state;
    for (size_t t = 0; t < sizeof(tasks) / sizeof(tasks[0]); t++) {
        for (const struct mutex_impl *i = mutex_impls; i->name; i++) {
            uint64_t sum = 1;
            assert_int_equal(i->run(&tasks[t], &sum), 0);
            assert_int_equal(sum, sum_by_hand(&tasks[t]));
        }
    }
}

static void mutex_refuses_what_it_cannot(void **state)
{
    static const struct mutex_task tasks[] = {
        {0, 1, 1}, {MUTEX_WORKERS_MAX + 1, 1, 1}, {1, -1, 1}, {1, 1, -1}};

    (void)state;
    for (size_t t = 0; t < sizeof(tasks) / sizeof(tasks[0]); t++) {
        for (const struct mutex_impl *i = mutex_impls; i->name; i++) {
            uint64_t sum;
            assert_int_equal(i->run(&tasks[t], &sum), -EINVAL);
        }
    }
}

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* In CPU time, the best of many, so that a busy machine does not matter; the bounds are wide all
 * the same. */
static void units_last_as_long_as_asked(void **state)
{
    int64_t units = lab_mutex_units(1000000), best = INT64_MAX;

    (void)state;
    assert_true(units > 0);
    assert_in_range(lab_mutex_units(2000000), 2 * units - 1, 2 * units + 1);
    assert_int_equal(lab_mutex_units(0), 0);
    for (int i = 0; i < 20; i++) {
        int64_t start = cpu_ns();
        volatile uint64_t keep = mutex_compute(1, units);
        (void)keep;
        int64_t took = cpu_ns() - start;
        best = took < best ? took : best;
    }
    assert_in_range(best, 500000, 2000000);
}

/* ---- leak ------------------------------------------------------------------------------------ */

static int threads_now(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* pthread_join returns a moment before the kernel has taken the thread off its list. */
static void expect_threads(int expected)
{
    for (int i = 0; i < 2000 && threads_now() != expected; i++)
        usleep(1000);
    assert_int_equal(threads_now(), expected);
}

static void leak_variants_agree(void **state)
{
    (void)state;
    for (int workers = 1; workers <= 20; workers += 3) {
        uint64_t leaky = 0, joined = 1;
        assert_int_equal(leak_leaky(workers, &leaky), 0);
        assert_int_equal(leak_joined(workers, &joined), 0);
        assert_int_equal(leaky, joined);
    }
    lab_leak_stop(0);
}

static void leaky_leaves_its_threads(void **state)
{
    int before = threads_now();
    uint64_t sum;

    (void)state;
    assert_int_equal(lab_leak_count(), 0);
    assert_int_equal(leak_leaky(5, &sum), 0);
    assert_int_equal(threads_now(), before + 5);
    assert_int_equal(leak_leaky(7, &sum), 0);
    assert_int_equal(threads_now(), before + 12);
    assert_int_equal(lab_leak_count(), 12);
    assert_int_equal(lab_leak_stop(INT64_C(3600000000000)), 0);
    assert_int_equal(lab_leak_stop(0), 12);
    assert_int_equal(lab_leak_count(), 0);
    expect_threads(before);
}

static void joined_ends_with_as_many_as_it_began(void **state)
{
    int before = threads_now();
    uint64_t sum;

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(leak_joined(10, &sum), 0);
    expect_threads(before);
    assert_int_equal(lab_leak_count(), 0);
}

static void leak_refuses_what_it_cannot(void **state)
{
    uint64_t sum;

    (void)state;
    for (const struct leak_impl *i = leak_impls; i->name; i++) {
        assert_int_equal(i->run(0, &sum), -EINVAL);
        assert_int_equal(i->run(LEAK_WORKERS_MAX + 1, &sum), -EINVAL);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static void variants_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(fib_impl_find("recursive")->fib, fib_recursive);
    assert_ptr_equal(alloc_impl_find("arena")->allocate, alloc_arena);
    assert_ptr_equal(mutex_impl_find("sharded")->run, mutex_sharded);
    assert_ptr_equal(leak_impl_find("joined")->run, leak_joined);
    assert_null(fib_impl_find(""));
    assert_null(alloc_impl_find("Plain"));
    assert_null(mutex_impl_find("nothing"));
    assert_null(leak_impl_find("leaky "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fib_knows_the_numbers),
        cmocka_unit_test(fib_variants_agree),
        cmocka_unit_test(burn_adds_up_the_same),
        cmocka_unit_test(alloc_variants_agree),
        cmocka_unit_test(alloc_fills_with_sha256),
        cmocka_unit_test(alloc_sum_sees_every_byte),
        cmocka_unit_test(alloc_refuses_what_it_cannot),
        cmocka_unit_test(pool_lends_a_buffer_once),
        cmocka_unit_test(held_buffers_are_not_lent),
        cmocka_unit_test(pool_is_right_from_many_threads),
        cmocka_unit_test(mutex_variants_agree),
        cmocka_unit_test(mutex_refuses_what_it_cannot),
        cmocka_unit_test(units_last_as_long_as_asked),
        cmocka_unit_test(leak_variants_agree),
        cmocka_unit_test(leaky_leaves_its_threads),
        cmocka_unit_test(joined_ends_with_as_many_as_it_began),
        cmocka_unit_test(leak_refuses_what_it_cannot),
        cmocka_unit_test(variants_are_found_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
