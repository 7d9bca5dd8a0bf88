/* Collections in traces, and a collector beside all of libprof's profilers at once: it stops
 * threads with signals wherever they are, in a hook, in a handler or in libprof's own locks, and
 * none of that may wait for a thread that stands still. */
#include "cmd/trace/model.h"
#include "labs/gc/gc.h"
#include "prof/trace.h"
#include "tests/gc_graph.h"
#include "tests/sanitized.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { CYCLES_MAX = 4096 };
static struct gc_cycle cycles[CYCLES_MAX];
static size_t ncycles;

static void remember(const struct gc_cycle *c, void *arg)
{
    (void)arg;
    if (ncycles < CYCLES_MAX)
        cycles[ncycles++] = *c;
}

static void run_graph(void)
{
    pthread_t threads[GRAPH_THREADS];

    graph_init(7);
    for (int i = 0; i < GRAPH_THREADS; i++)
        assert_int_equal(gc_thread_start(&threads[i], graph_mutate, graph_part(i)), 0);
    for (int i = 0; i < GRAPH_THREADS; i++)
        gc_thread_join(threads[i], NULL);
    for (int i = 0; i < GRAPH_THREADS; i++) {
        struct graph_part *p = graph_part(i);
        graph_check_all(p);
        if (p->wrong)
            fail_msg("thread %d: %lld nodes were not as they were made; first: %s", i,
                     (long long)p->wrong, p->first_wrong);
    }
    graph_drop();
}

/* ---- traces ---------------------------------------------------------------------------------- */

static double number_of(const struct trace *t, const struct trace_slice *s, const char *name)
{
    for (uint32_t i = s->args; i != TRACE_NONE; i++) {
        const struct trace_arg *a = &t->args[i];
        if (!strcmp(trace_text(t, a->name), name))
            return a->type == TRACE_ARG_UINT ? (double)a->uint : (double)a->sint;
        if (a->last)
            break;
    }
    return -1;
}

/* The collector's times and the trace's are of two clocks, which agree as closely as they can be
 * read one after the other. */
enum { CLOCKS_NS = 1000 };

/* Slice by slice: a collection holds one stop, and says what the collector said of it. */
static void check_slices(const struct trace *t)
{
    size_t n = 0, stops = 0;
    const struct trace_slice *outer = NULL;

    for (uint32_t i = 0; i < t->nslices; i++) {
        const struct trace_slice *s = &t->slices[i];
        if (s->kind == TRACE_SLICE_GC) {
            assert_true(n < ncycles);
            assert_int_equal(s->value, cycles[n].number);
            assert_int_equal((int64_t)number_of(t, s, "live"), cycles[n].live_bytes);
            assert_int_equal((int64_t)number_of(t, s, "goal"), cycles[n].next_goal_bytes);
            assert_true(s->start_ns >= cycles[n].begin_ns - CLOCKS_NS &&
                        s->end_ns >= cycles[n].end_ns - CLOCKS_NS);
            outer = s;
            n++;
        } else if (s->kind == TRACE_SLICE_STOP) {
            assert_non_null(outer);
            assert_true(s->start_ns >= outer->start_ns && s->end_ns <= outer->end_ns);
            assert_true(s->start_ns >= cycles[n - 1].stop_ns - CLOCKS_NS);
            assert_true(s->end_ns >= cycles[n - 1].resume_ns - CLOCKS_NS);
            stops++;
        }
    }
    assert_int_equal(n, ncycles);
    assert_int_equal(stops, ncycles);
}

static void test_traces_show_collections(void **state)
{
    const struct prof_trace_options options = {.ring_bytes = 8 << 20};
    char path[] = "gc-trace-XXXXXX", error[TRACE_ERROR_BYTES];
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    gc_on_cycle(remember, NULL);
    assert_int_equal(prof_trace_start(fd, &options), 0);
    run_graph();
    gc_collect();
    assert_int_equal(prof_trace_stop(), 0);
    gc_on_cycle(NULL, NULL);
    close(fd);
    assert_true(ncycles > 10);
    struct trace *t = trace_open(path, false, error);
    unlink(path);
    if (!t)
        fail_msg("%s", error);
    check_slices(t);
    trace_close(t);
}

/* ---- all profilers at once ------------------------------------------------------------------- */

static void *take_profiles(void *arg)
{
    static const char *const names[] = {"goroutine", "heap", "block", "mutex", "threadcreate"};
    atomic_bool *stop = arg;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    for (size_t i = 0; !atomic_load(stop); i++) {
        prof_write(names[i % 5], null, 0);
        if (i % 5 == 1)
            prof_collect();
    }
    close(null);
    return NULL;
}

static void test_profilers_get_along(void **state)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    atomic_bool stop = false;
    pthread_t stranger;

    (void)state;
    prof_set_block_rate_ns(1);
    prof_set_block_sleep(true);
    prof_set_mutex_fraction(1);
    prof_set_heap_rate(1024);
    assert_int_equal(prof_cpu_start(1000), 0);
    assert_int_equal(prof_trace_start(null, NULL), 0);
    assert_int_equal(pthread_create(&stranger, NULL, take_profiles, &stop), 0);
    run_graph();
    stop = true;
    pthread_join(stranger, NULL);
    assert_int_equal(prof_trace_stop(), 0);
    assert_int_equal(prof_cpu_stop(null), 0);
    close(null);
}

int main(void)
{
    const struct gc_settings often = {50, GC_LIMIT_NONE, false};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traces_show_collections),
        cmocka_unit_test(test_profilers_get_along),
    };
    if (TSAN) {
        puts("1..1\nok 1 # SKIP gc_trace: this sanitizer hands signals on too late to stop a "
             "thread");
        return 0;
    }
    gc_start(&often);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
