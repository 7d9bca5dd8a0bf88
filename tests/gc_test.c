/* The collector of labs/gc: its settings, its arithmetic, its trace line, and the collector itself:
 * what is live is counted right, a random graph survives, a request to the endpoint collects. How
 * often it collects is tests/gc.sh's business, a process for each setting. */
#include "labs/gc/gc.h"
#include "prof/http.h"
#include "prof/pprof.h"
#include "tests/gc_graph.h"
#include "tests/http_client.h"
#include "tests/sanitized.h"
#include "tests/top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- settings -------------------------------------------------------------------------------- */

static void test_gogc(void **state)
{
    static const char *const wrong[] = {"abc", "-1",  "-0",      "50%",
                                        " 50", "50 ", "OFF",     "1e2",
                                        "1.5", "+50", "1000001", "99999999999999999999"};
    int percent = 7;

    (void)state;
    assert_int_equal(gc_parse_percent(NULL, &percent), 0);
    assert_int_equal(gc_parse_percent("", &percent), 0);
    assert_int_equal(percent, 7);
    assert_int_equal(gc_parse_percent("50", &percent), 0);
    assert_int_equal(percent, 50);
    assert_int_equal(gc_parse_percent("0", &percent), 0);
    assert_int_equal(percent, 0);
    assert_int_equal(gc_parse_percent("off", &percent), 0);
    assert_int_equal(percent, GC_PERCENT_OFF);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(gc_parse_percent(wrong[i], &percent), -EINVAL);
    assert_int_equal(percent, GC_PERCENT_OFF);
}

static void test_gomemlimit(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } right[] = {{"0", 0},
                 {"1000", 1000},
                 {"12B", 12},
                 {"3KiB", 3 << 10},
                 {"64MiB", 64 << 20},
                 {"2GiB", INT64_C(2) << 30},
                 {"1TiB", INT64_C(1) << 40},
                 {"off", GC_LIMIT_NONE}};
    static const char *const wrong[] = {"64MB",  "64 MiB",        "1.5GiB", "-1",
                                        "MiB",   "64mib",         "64M",    "+1",
                                        "1KiBB", "9999999999TiB", " 1"};
    int64_t bytes = 7;

    (void)state;
    assert_int_equal(gc_parse_limit(NULL, &bytes), 0);
    assert_int_equal(gc_parse_limit("", &bytes), 0);
    assert_int_equal(bytes, 7);
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        assert_int_equal(gc_parse_limit(right[i].text, &bytes), 0);
        assert_int_equal(bytes, right[i].bytes);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(gc_parse_limit(wrong[i], &bytes), -EINVAL);
}

static void test_godebug(void **state)
{
    (void)state;
    assert_false(gc_parse_trace(NULL));
    assert_false(gc_parse_trace(""));
    assert_false(gc_parse_trace("gctrace=0"));
    assert_false(gc_parse_trace("xgctrace=1"));
    assert_false(gc_parse_trace("madvdontneed=1"));
    assert_false(gc_parse_trace("gctrace=1,gctrace=0"));
    assert_true(gc_parse_trace("gctrace=1"));
    assert_true(gc_parse_trace("madvdontneed=1,gctrace=2,x=1"));
}

/* ---- the pacer ------------------------------------------------------------------------------- */

enum { MIB = 1 << 20 };
static const int64_t MS = 1000000;

static struct gc_pacer pacer(int percent, int64_t limit_bytes, int64_t live_bytes)
{
    return (struct gc_pacer){.settings = {.percent = percent, .limit_bytes = limit_bytes},
                             .live_bytes = live_bytes};
}

static void test_goal(void **state)
{
    static const struct {
        int percent;
        int64_t live_mib, goal_mib;
    } cases[] = {
        {50, 0, 2},   {100, 0, 4},   {200, 0, 8}, /* the minimum */
        {50, 1, 2},   {100, 1, 4},   {200, 2, 8}, /* is still more than live * (1 + p/100) */
        {50, 10, 15}, {100, 10, 20}, {200, 10, 30}, {1000, 10, 110},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gc_pacer p = pacer(cases[i].percent, GC_LIMIT_NONE, cases[i].live_mib * MIB);
        assert_int_equal(gc_pacer_goal(&p), cases[i].goal_mib * MIB);
        assert_false(gc_pacer_due(&p, cases[i].goal_mib * MIB - 1, 0, 0));
        assert_true(gc_pacer_due(&p, cases[i].goal_mib * MIB, 0, 0));
    }
    struct gc_pacer off = pacer(GC_PERCENT_OFF, GC_LIMIT_NONE, 10 * MIB);
    assert_int_equal(gc_pacer_goal(&off), INT64_MAX);
    assert_false(gc_pacer_due(&off, INT64_MAX - 1, 0, 0));
    struct gc_pacer huge = pacer(GC_PERCENT_MAX, GC_LIMIT_NONE, INT64_MAX / 2);
    assert_int_equal(gc_pacer_goal(&huge), INT64_MAX);
}

/* The limit wins where it is nearer, and counts what the collector has beyond objects. */
static void test_limit_goal(void **state)
{
    struct gc_pacer p = pacer(100, 64 * MIB, 10 * MIB);

    (void)state;
    assert_int_equal(gc_pacer_limit_goal(&p), 60 * MIB);
    assert_int_equal(gc_pacer_goal(&p), 20 * MIB);
    p.overhead_bytes = 4 * MIB;
    p.live_bytes = 40 * MIB;
    assert_int_equal(gc_pacer_goal(&p), 56 * MIB);
    p.overhead_bytes = 100 * MIB;
    assert_int_equal(gc_pacer_goal(&p), 0);
    p.settings = (struct gc_settings){.percent = GC_PERCENT_OFF, .limit_bytes = 64 * MIB};
    p.overhead_bytes = 0;
    assert_int_equal(gc_pacer_goal(&p), 60 * MIB);
}

static const int64_t RUN_NS = 20000 * INT64_C(1000000);

static void check_share(struct gc_pacer *p, int64_t cost_ns)
{
    int64_t worked = 0, collecting = 0;
    for (; worked < RUN_NS; worked += MS)
        if (gc_pacer_due(p, 21 * MIB, 0, worked)) {
            collecting += cost_ns;
            gc_pacer_collected(p, cost_ns, worked);
        }
    const double share = (double)collecting / (double)(worked + collecting);
    assert_true(share > 0.47);
    assert_true(share < 0.52);
}

/* A heap that does not fit, or GOGC=0: every moment is due. A program that allocates all the time
 * keeps at least half of its time, whatever a collection takes. */
static void test_share_is_capped(void **state)
{
    static const int64_t costs_ms[] = {1, 10, 70, 300};

    (void)state;
    for (size_t i = 0; i < sizeof costs_ms / sizeof *costs_ms; i++) {
        struct gc_pacer limited = pacer(100, 10 * MIB, 20 * MIB);
        struct gc_pacer zero = pacer(0, GC_LIMIT_NONE, 20 * MIB);
        check_share(&limited, costs_ms[i] * MS);
        check_share(&zero, costs_ms[i] * MS);
        /* GOGC above 0 is never capped: it is not endless */
        assert_true(gc_pacer_due(&limited, 40 * MIB, 0, RUN_NS));
        assert_false(gc_pacer_due(&zero, 20 * MIB - 1, 0, 2 * RUN_NS));
        assert_true(gc_pacer_due(&zero, 20 * MIB, 0, 2 * RUN_NS));
    }
}

/* An object that will break the limit is due before; GOGC's goal has to be reached first. */
static void test_pending_bytes(void **state)
{
    struct gc_pacer p = pacer(GC_PERCENT_OFF, 64 * MIB, 10 * MIB);

    (void)state;
    assert_false(gc_pacer_due(&p, 50 * MIB, 10 * MIB - 1, 0));
    assert_true(gc_pacer_due(&p, 50 * MIB, 10 * MIB, 0));
    p = pacer(100, GC_LIMIT_NONE, 10 * MIB);
    assert_false(gc_pacer_due(&p, 19 * MIB, 10 * MIB, 0));
}

/* ---- the trace line -------------------------------------------------------------------------- */

static void test_trace_line(void **state)
{
    char line[256];
    struct gc_cycle c = {.number = 12,
                         .begin_ns = 1014 * MS,
                         .stop_ns = 1014 * MS + 500000,
                         .mark_ns = 1014 * MS + 770000,
                         .marked_ns = 1014 * MS + 1970000,
                         .resume_ns = 1014 * MS + 2000000,
                         .end_ns = 1014 * MS + 2141000,
                         .mark_cpu_ns = 1150000,
                         .heap_bytes = 4 * MIB - 1,
                         .live_bytes = 2 * MIB + 1,
                         .goal_bytes = 4 * MIB};

    (void)state;
    gc_trace_line(line, sizeof line, &c, 1000 * MS, 0.0599, 8);
    assert_string_equal(line, "gc 12 @0.014s 5%: 0.77+1.2+0.17 ms clock, "
                              "6.1+1.1/0/0+1.3 ms cpu, 3->3->2 MB, 4 MB goal, 8 P");
    c.forced = true;
    c.marked_ns = c.mark_ns + 123456789;
    c.resume_ns = c.end_ns = c.marked_ns + 900;
    gc_trace_line(line, sizeof line, &c, -5000 * MS, 0, 1);
    assert_string_equal(line, "gc 12 @6.014s 0%: 0.77+123+0 ms clock, "
                              "0.77+1.1/0/0+0 ms cpu, 3->3->2 MB, 4 MB goal, 1 P (forced)");
}

/* ---- the collector --------------------------------------------------------------------------- */

/* Other threads are stopped with a signal. */
static void need_signals_in_time(void)
{
    if (!TSAN)
        return;
    print_message("the thread sanitizer hands signals on too late to stop a thread\n");
    skip();
}

static int start_collector(void **state)
{
    const struct gc_settings settings = {GC_PERCENT_OFF, GC_LIMIT_NONE, false};

    (void)state;
    return gc_start(&settings);
}

static void **table; /* static, so a root */

static int64_t live_after_collection(void)
{
    struct gc_stats s;

    gc_collect();
    gc_stats_read(&s);
    return s.live_bytes;
}

/* Objects of known size, of which some are let go of. */
static void test_live_bytes(void **state)
{
    enum { OBJECTS = 200000 };
    static const size_t sizes[] = {16, 64, 256, 1024, 2048, 4096, 65536};

    (void)state;
    assert_int_equal(gc_start(NULL), -EALREADY);
    table = gc_alloc(OBJECTS * sizeof *table);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t before = live_after_collection();
        const int n = (int)((32 << 20) / sizes[s] < OBJECTS ? (32 << 20) / sizes[s] : OBJECTS);
        for (int i = 0; i < n; i++)
            assert_non_null(table[i] = i % 2 ? gc_alloc(sizes[s]) : gc_alloc_leaf(sizes[s]));
        for (int i = 0; i < n; i += 4)
            table[i] = NULL;
        const int64_t expected = (int64_t)sizes[s] * (n - (n + 3) / 4);
        const int64_t got = live_after_collection() - before;
        if (llabs(got - expected) > expected / 100)
            fail_msg("objects of %zu bytes: expected %lld live bytes within 1 %%, got %lld",
                     sizes[s], (long long)expected, (long long)got);
        memset(table, 0, OBJECTS * sizeof *table);
    }
    table = NULL;
}

static void test_objects_are_zeroed(void **state)
{
    enum { OBJECTS = 3000, BYTES = 4000 };

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < OBJECTS; i++) {
            unsigned char *p = i % 2 ? gc_alloc(BYTES) : gc_alloc_leaf(BYTES);
            for (int k = 0; k < BYTES; k++)
                assert_int_equal(p[k], 0);
            memset(p, 0xa5, BYTES);
        }
        gc_collect();
    }
}

static void test_stats(void **state)
{
    struct gc_stats before, after;
    struct prof_collector_stats seen;

    (void)state;
    gc_stats_read(&before);
    for (int i = 0; i < 1000; i++)
        assert_non_null(gc_alloc_leaf(1024));
    gc_collect();
    gc_stats_read(&after);
    assert_int_equal(after.collections, before.collections + 1);
    assert_int_equal(after.forced, before.forced + 1);
    assert_in_range(after.allocated_bytes - before.allocated_bytes, 1000 << 10, 1016 << 10);
    assert_true(after.pause_total_ns > before.pause_total_ns);
    assert_true(after.pause_max_ns <= after.pause_total_ns);
    assert_true(after.work_total_ns >= after.pause_total_ns);
    assert_true(after.system_bytes >= after.heap_bytes);
    assert_true(after.last_end_ns > before.last_end_ns);
    assert_int_equal(prof_collector_stats(&seen), 0);
    assert_int_equal(seen.collections, after.collections);
    assert_int_equal(seen.live_bytes, after.live_bytes);
    assert_int_equal(seen.goal_bytes, UINT64_MAX); /* GOGC is off */
}

/* ---- a random graph -------------------------------------------------------------------------- */

/* Collections while four threads change the graph: at the goal, on demand, and on demand of a
 * thread that the collector does not know. */
static void *disturb(void *arg)
{
    atomic_bool *stop = arg;

    while (!atomic_load(stop)) {
        prof_collect();
        usleep(10000);
    }
    return NULL;
}

static void test_graph_survives(void **state)
{
    const struct gc_settings often = {50, GC_LIMIT_NONE, false},
                             off = {GC_PERCENT_OFF, GC_LIMIT_NONE, false};
    struct gc_stats before, after;
    pthread_t threads[GRAPH_THREADS], stranger;
    atomic_bool stop = false;

    (void)state;
    need_signals_in_time();
    gc_stats_read(&before);
    gc_set(&often);
    assert_int_equal(pthread_create(&stranger, NULL, disturb, &stop), 0);
    graph_init(20061);
    for (int i = 0; i < GRAPH_THREADS; i++)
        assert_int_equal(gc_thread_start(&threads[i], graph_mutate, graph_part(i)), 0);
    for (int i = 0; i < GRAPH_THREADS; i++)
        gc_thread_join(threads[i], NULL);
    stop = true;
    pthread_join(stranger, NULL);
    gc_set(&off);
    gc_collect();
    for (int i = 0; i < GRAPH_THREADS; i++) {
        struct graph_part *p = graph_part(i);
        graph_check_all(p);
        if (p->wrong)
            fail_msg("thread %d: %lld nodes were not as they were made; first: %s", i,
                     (long long)p->wrong, p->first_wrong);
        assert_int_equal(p->operations, GRAPH_OPERATIONS / GRAPH_THREADS);
        assert_true(p->checked > p->operations / 4);
    }
    gc_stats_read(&after);
    assert_true(after.collections - before.collections > 10);
    assert_true(after.allocated_bytes - before.allocated_bytes > 4 * after.live_bytes);
    graph_drop();
}

/* ---- the heap profile ------------------------------------------------------------------------ */

static __attribute__((noinline)) void hold_thousand(void)
{
    for (int i = 0; i < 1000; i++)
        table[i] = i % 2 ? gc_alloc(1000) : gc_alloc_leaf(1000);
    __asm__ volatile(""); /* no tail call */
}

static double in_use(const char *sample_index)
{
    static struct top t;
    char path[64];
    int fd = top_file(path);

    assert_int_equal(prof_write("heap", fd, 0), 0);
    close(fd);
    assert_true(top_read(&t, path, sample_index, strstr(sample_index, "space") ? "B" : "count"));
    return top_of(&t, "hold_thousand").cum;
}

/* What the profile says to be in use, is until a collection, and then only what is reachable. One
 * or two of the dropped may still lie in a register or on the stack. */
static void test_heap_profile(void **state)
{
    struct prof_alloc_counts before, after;

    (void)state;
    table = gc_alloc(1000 * sizeof *table);
    prof_set_heap_rate(1);
    prof_alloc_counts(&before);
    hold_thousand();
    prof_set_heap_rate(0);
    prof_alloc_counts(&after);
    assert_in_range(after.mallocs - before.mallocs, 1000,
                    1000 + 4); /* and malloc's for the samples */
    assert_true(in_use("inuse_space") == 1e6);
    memset(table, 0, 600 * sizeof *table);
    assert_true(in_use("inuse_space") == 1e6);
    gc_collect();
    assert_in_range(in_use("inuse_objects"), 400, 402);
    assert_in_range(in_use("inuse_space"), 400000, 402000);
    assert_true(in_use("alloc_space") == 1e6);
    memset(table, 0, 1000 * sizeof *table);
    table = NULL;
    gc_collect();
    assert_in_range(in_use("inuse_objects"), 0, 2);
    prof_set_heap_rate(PROF_HEAP_RATE_DEFAULT);
    prof_alloc_counts(&after);
    assert_true(after.frees - before.frees >= 998);
}

/* ---- the endpoint ---------------------------------------------------------------------------- */

static void test_endpoint_collects(void **state)
{
    static char answer[1 << 20];
    const struct prof_http_options options = {.address = "127.0.0.1:0"};
    struct prof_http *http;
    struct gc_stats before, after;

    (void)state;
    need_signals_in_time();
    assert_int_equal(prof_http_start(&options, &http), 0);
    int port = atoi(strrchr(prof_http_address(http), ':') + 1);
    gc_stats_read(&before);
    assert_int_equal(client_get(port, "/debug/pprof/heap", answer, sizeof answer), 200);
    gc_stats_read(&after);
    assert_int_equal(after.collections, before.collections);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(client_get(port, "/debug/pprof/heap?gc=1", answer, sizeof answer), 200);
        gc_stats_read(&after);
        assert_int_equal(after.collections, before.collections + (uint64_t)i);
    }
    prof_http_stop(http);
    prof_http_free(http);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gogc),
        cmocka_unit_test(test_gomemlimit),
        cmocka_unit_test(test_godebug),
        cmocka_unit_test(test_goal),
        cmocka_unit_test(test_limit_goal),
        cmocka_unit_test(test_share_is_capped),
        cmocka_unit_test(test_pending_bytes),
        cmocka_unit_test(test_trace_line),
        cmocka_unit_test(test_live_bytes),
        cmocka_unit_test(test_objects_are_zeroed),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_heap_profile),
        cmocka_unit_test(test_endpoint_collects),
        cmocka_unit_test(test_graph_survives),
    };
    return cmocka_run_group_tests(tests, start_collector, NULL);
}
