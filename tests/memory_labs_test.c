/* The labs about memory: every variant does the same work, what is kept is what should be, bounds
 * hold, and what was kept is freed in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "labs/cache/cache.h"
#include "labs/escape/escape.h"
#include "labs/frag/frag.h"
#include "labs/slice/slice.h"
#include "prof/pprof.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t objects(void)
{
    struct prof_alloc_counts c;

    prof_alloc_counts(&c);
    return c.mallocs - c.frees;
}

/* ---- slice ----------------------------------------------------------------------------------- */

static void slice_variants_keep_the_same_ids(void **state)
{
    static const int counts[] = {0, 1, 2, 63, 64, 65, 300};

    (void)state;
    for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
        struct slice_index *view = slice_index_new(), *copy = slice_index_new();
        assert_int_equal(slice_view(view, counts[k]), 0);
        assert_int_equal(slice_copy(copy, counts[k]), 0);
        assert_int_equal(slice_index_checksum(view), slice_index_checksum(copy));
        assert_true(counts[k] == 0 || slice_index_checksum(view) != 0);
        assert_int_equal(slice_index_next(copy), counts[k]);
        assert_int_equal(slice_index_held(view), (size_t)counts[k] * SLICE_MESSAGE_BYTES);
        assert_int_equal(slice_index_held(copy), (size_t)counts[k] * SLICE_ID_BYTES);
        slice_index_free(view);
        slice_index_free(copy);
    }
}

static void slice_goes_on_where_it_was(void **state)
{
    struct slice_index *once = slice_index_new(), *twice = slice_index_new();

    (void)state;
    assert_int_equal(slice_copy(once, 100), 0);
    assert_int_equal(slice_copy(twice, 40), 0);
    assert_int_equal(slice_view(twice, 60), 0);
    assert_int_equal(slice_index_checksum(once), slice_index_checksum(twice));
    slice_index_free(once);
    slice_index_free(twice);
}

static void a_message_lives_while_it_is_needed(void **state)
{
    uint64_t before = objects();
    struct message *m = message_receive(7);
    unsigned char id[SLICE_ID_BYTES];

    (void)state;
    memcpy(id, message_id(m), sizeof(id));
    m->users++;
    message_release(m);
    assert_int_equal(objects(), before + 1);
    assert_memory_equal(message_id(m), id, sizeof(id));
    message_release(m);
    assert_int_equal(objects(), before);
    message_release(NULL);
}

static void slice_frees_what_it_kept(void **state)
{
    (void)state;
    for (const struct slice_impl *i = slice_impls; i->name; i++) {
        uint64_t before = objects();
        struct slice_index *index = slice_index_new();
        assert_int_equal(i->keep(index, 200), 0);
        assert_true(objects() >= before + 200);
        assert_int_equal(i->keep(index, -1), -EINVAL);
        slice_index_free(index);
        assert_int_equal(objects(), before);
    }
}

/* ---- cache ----------------------------------------------------------------------------------- */

static void cache_variants_answer_the_same(void **state)
{
    uint64_t expected[4], sum;

    (void)state;
    for (const struct cache_impl *i = cache_impls; i->name; i++) {
        struct cache *c = cache_new();
        for (int round = 0; round < 4; round++) {
            assert_int_equal(i->answer(c, 1500, &sum), 0);
            if (i == cache_impls)
                expected[round] = sum;
            assert_int_equal(sum, expected[round]);
            assert_true(sum != 0);
        }
        assert_int_equal(cache_look(c).requests, 6000);
        assert_int_equal(i->answer(c, 0, &sum), 0);
        assert_int_equal(sum, 0);
        assert_int_equal(i->answer(c, -1, &sum), -EINVAL);
        cache_free(c);
    }
}

/* The unbounded cache has every page that was asked for, once. */
static void unbounded_keeps_all(void **state)
{
    struct cache *c = cache_new();
    uint64_t sum;
    int64_t once = 0;

    (void)state;
    for (int64_t i = 0; i < 6000; i++)
        once += request_key(i) >= CACHE_POPULAR;
    assert_int_equal(cache_unbounded(c, 6000, &sum), 0);
    struct cache_stats s = cache_look(c);
    assert_int_equal(s.pages, once + CACHE_POPULAR);
    assert_int_equal(s.hits, 6000 - s.pages);
    assert_true(s.held_bytes >= (size_t)s.pages * CACHE_PAGE_BYTES);
    cache_free(c);
}

static void bounds_hold(void **state)
{
    struct cache *lru = cache_new(), *ttl = cache_new();
    uint64_t sum;

    (void)state;
    for (int round = 0; round < 60; round++) {
        assert_int_equal(cache_lru(lru, 200, &sum), 0);
        assert_true(cache_look(lru).pages <= CACHE_MAX);
        assert_int_equal(cache_ttl(ttl, 200, &sum), 0);
        assert_true(cache_look(ttl).pages <= CACHE_TTL);
    }
    assert_int_equal(cache_look(lru).pages, CACHE_MAX);
    assert_true(cache_oldest(ttl)->made > 60 * 200 - 1 - CACHE_TTL);
    /* A bound costs hits, but not many: popular pages are asked for again before they go. */
    assert_true(cache_look(lru).hits > cache_look(lru).requests * 2 / 5);
    assert_true(cache_look(ttl).hits > cache_look(ttl).requests / 3);
    cache_free(lru);
    cache_free(ttl);
}

static void the_one_used_longest_ago_goes(void **state)
{
    struct cache *c = cache_new();
    struct page *a = cache_add(c, 1, 0), *b = cache_add(c, 2, 1), *d = cache_add(c, 3, 2);

    (void)state;
    assert_ptr_equal(cache_oldest(c), a);
    cache_touch(c, a);
    assert_ptr_equal(cache_oldest(c), b);
    cache_drop(c, b);
    assert_ptr_equal(cache_oldest(c), d);
    assert_null(cache_find(c, 2));
    assert_ptr_equal(cache_find(c, 1), a);
    assert_ptr_equal(cache_find(c, 3), d);
    cache_drop(c, a);
    cache_drop(c, d);
    assert_null(cache_oldest(c));
    assert_int_equal(cache_look(c).pages, 0);
    cache_free(c);
}

static void cache_frees_what_it_kept(void **state)
{
    uint64_t sum;

    (void)state;
    for (const struct cache_impl *i = cache_impls; i->name; i++) {
        uint64_t before = objects();
        struct cache *c = cache_new();
        assert_int_equal(i->answer(c, 3000, &sum), 0);
        assert_true(objects() > before + 900);
        cache_free(c);
        assert_int_equal(objects(), before);
    }
}

/* ---- escape ---------------------------------------------------------------------------------- */

static void check_table(const struct escape_impl *table)
{
    for (const struct escape_impl *i = table; i->name; i++) {
        static const int counts[] = {0, 1, 7, 1000};
        for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
            uint64_t expected, sum = 1, before = objects();
            assert_int_equal(table->run(counts[k], &expected), 0);
            assert_int_equal(i->run(counts[k], &sum), 0);
            assert_int_equal(sum, expected);
            assert_true(counts[k] == 0 ? sum == 0 : sum != 0);
            assert_int_equal(objects(), before);
        }
        uint64_t sum;
        assert_int_equal(i->run(-1, &sum), -EINVAL);
    }
}

static void escape_variants_agree(void **state)
{
    (void)state;
    check_table(return_impls);
    check_table(array_impls);
    check_table(callback_impls);
}

/* What the benchmarks' allocs/op say, exactly. `inlined` is the compiler's to decide. */
static void only_the_heap_allocates(void **state)
{
    static const struct {
        const struct escape_impl *table;
        const char *name;
        uint64_t allocations;
    } known[] = {
        {return_impls, "heap", 500},  {return_impls, "value", 0},    {return_impls, "caller", 0},
        {array_impls, "heap", 500},   {array_impls, "vla", 0},       {array_impls, "fixed", 0},
        {array_impls, "large", 0},    {array_impls, "scratch", 1},   {callback_impls, "heap", 500},
        {callback_impls, "stack", 0}, {callback_impls, "inlined", 0}};
    struct prof_alloc_counts before, after;
    uint64_t sum;

    (void)state;
    for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
        const struct escape_impl *i = escape_impl_find(known[k].table, known[k].name);
        assert_non_null(i);
        prof_alloc_counts(&before);
        assert_int_equal(i->run(500, &sum), 0);
        prof_alloc_counts(&after);
        assert_int_equal(after.mallocs - before.mallocs, known[k].allocations);
    }
}

static void sizes_stay_within_their_arrays(void **state)
{
    int most = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        assert_in_range(escape_size(i), 1, ESCAPE_NUMBERS_MAX);
        most = escape_size(i) > most ? escape_size(i) : most;
    }
    assert_int_equal(most, ESCAPE_NUMBERS_MAX);
}

/* ---- frag ------------------------------------------------------------------------------------ */

static void look(void *arg)
{
    ++*(int *)arg;
}

static void frag_does_the_same_every_time(void **state)
{
    const struct frag_task task = {.threads = 3, .slots = 500, .ops = 700, .seed = 5};
    struct frag_task other = task;
    struct frag_result a, b;
    int looks = 0;

    (void)state;
    assert_int_equal(frag_run(&task, &a, look, &looks), 0);
    assert_int_equal(frag_run(&task, &b, NULL, NULL), 0);
    assert_int_equal(looks, 1);
    assert_int_equal(a.sum, b.sum);
    assert_int_equal(a.ops, 3 * 700 * FRAG_PHASES);
    assert_int_equal(a.failed, 0);
    assert_int_equal(a.live_bytes, b.live_bytes);
    assert_int_equal(a.kept_bytes, b.kept_bytes);
    assert_true(a.kept_bytes > 0 && a.kept_bytes < a.live_bytes / 10);
    other.seed = 6;
    assert_int_equal(frag_run(&other, &b, NULL, NULL), 0);
    assert_int_not_equal(a.sum, b.sum);
}

static void frag_refuses_what_it_cannot(void **state)
{
    static const struct frag_task tasks[] = {
        {0, 1, 1, 1}, {FRAG_THREADS_MAX + 1, 1, 1, 1}, {1, 0, 1, 1}, {1, 1, -1, 1}};
    struct frag_result r;

    (void)state;
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++)
        assert_int_equal(frag_run(&tasks[i], &r, NULL, NULL), -EINVAL);
}

/* A block holds at least a word; the largest is below 256 KiB. */
static void frag_sizes_are_those_of_the_phase(void **state)
{
    (void)state;
    for (int phase = 0; phase < FRAG_PHASES; phase++) {
        size_t least = SIZE_MAX, most = 0;
        for (uint64_t i = 0; i < 10000; i++) {
            size_t n = frag_size(phase, i * UINT64_C(0x9e3779b97f4a7c15));
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        assert_true(least >= 16 && most < 256 << 10 && most > 8 * least);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static void variants_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(slice_impl_find("copy")->keep, slice_copy);
    assert_ptr_equal(cache_impl_find("ttl")->answer, cache_ttl);
    assert_string_equal(escape_impl_find(array_impls, "vla")->name, "vla");
    assert_null(slice_impl_find("Copy"));
    assert_null(cache_impl_find(""));
    assert_null(escape_impl_find(return_impls, "vla"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slice_variants_keep_the_same_ids),
        cmocka_unit_test(slice_goes_on_where_it_was),
        cmocka_unit_test(a_message_lives_while_it_is_needed),
        cmocka_unit_test(slice_frees_what_it_kept),
        cmocka_unit_test(cache_variants_answer_the_same),
        cmocka_unit_test(unbounded_keeps_all),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(the_one_used_longest_ago_goes),
        cmocka_unit_test(cache_frees_what_it_kept),
        cmocka_unit_test(escape_variants_agree),
        cmocka_unit_test(only_the_heap_allocates),
        cmocka_unit_test(sizes_stay_within_their_arrays),
        cmocka_unit_test(frag_does_the_same_every_time),
        cmocka_unit_test(frag_refuses_what_it_cannot),
        cmocka_unit_test(frag_sizes_are_those_of_the_phase),
        cmocka_unit_test(variants_are_found_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
