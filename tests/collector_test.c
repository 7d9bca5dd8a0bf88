/* Registering a garbage collector: who may, who is called, what the endpoint's gc=1 does. The
 * collector here only counts; tests/gc_test.c has a real one. */
#include "prof/http.h"
#include "prof/pprof.h"
#include "tests/http_client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

static atomic_int collected;

static void collect(void)
{
    collected++;
}

static void stats(struct prof_collector_stats *out)
{
    out->collections = (uint64_t)collected;
}

static const struct prof_collector counting = {.collect = collect, .stats = stats};
static const struct prof_collector silent = {.collect = collect};
static const struct prof_collector empty = {.stats = stats};

static void test_registers_one(void **state)
{
    struct prof_collector_stats s = {.live_bytes = 7};

    (void)state;
    assert_int_equal(prof_collect(), -ENOENT);
    assert_int_equal(prof_collector_stats(&s), -ENOENT);
    assert_int_equal(prof_set_collector(&empty), -EINVAL);
    assert_int_equal(prof_set_collector(&counting), 0);
    assert_int_equal(prof_set_collector(&counting), 0);
    assert_int_equal(prof_set_collector(&silent), -EBUSY);
    collected = 0;
    assert_int_equal(prof_collect(), 0);
    assert_int_equal(prof_collector_stats(&s), 0);
    assert_int_equal(s.collections, 1);
    assert_int_equal(s.live_bytes, 0); /* what the collector does not fill in is zero */
    assert_int_equal(prof_set_collector(NULL), 0);
    assert_int_equal(prof_collect(), -ENOENT);
    assert_int_equal(prof_set_collector(&silent), 0);
    assert_int_equal(prof_collector_stats(&s), -ENOENT);
    assert_int_equal(prof_set_collector(NULL), 0);
}

/* Go's handler collects for the heap profile alone, and not for a difference. */
static void test_endpoint(void **state)
{
    static char answer[1 << 20];
    const struct prof_http_options options = {.address = "127.0.0.1:0"};
    struct prof_http *http;

    (void)state;
    assert_int_equal(prof_http_start(&options, &http), 0);
    int port = atoi(strrchr(prof_http_address(http), ':') + 1);
    assert_int_equal(prof_set_collector(&counting), 0);
    static const struct {
        const char *path;
        int collections;
    } cases[] = {
        {"/debug/pprof/heap", 0},
        {"/debug/pprof/heap?gc=0", 0},
        {"/debug/pprof/heap?gc=1", 1},
        {"/debug/pprof/heap?gc=1&debug=1", 1},
        {"/debug/pprof/allocs?gc=1", 0},
        {"/debug/pprof/goroutine?gc=1", 0},
        {"/debug/pprof/heap?gc=1&seconds=1", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        collected = 0;
        assert_int_equal(client_get(port, cases[i].path, answer, sizeof answer), 200);
        assert_int_equal(collected, cases[i].collections);
    }
    assert_int_equal(prof_set_collector(NULL), 0);
    prof_http_stop(http);
    prof_http_free(http);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registers_one),
        cmocka_unit_test(test_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
