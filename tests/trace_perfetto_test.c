/* What other recorders of Perfetto traces do and libprof does not: clocks that count from packet to
 * packet, a default track, columns of switches, packets within packets, stacks in the event itself.
 * (What libprof writes: trace_model_test.c.) */
#include "cmd/trace/model.h"
#include "tests/trace_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <zlib.h>

#include <cmocka.h>

static struct trace *read_file(struct trace_file *f)
{
    char error[TRACE_ERROR_BYTES] = "";
    struct trace *t = trace_read(f->data, f->size, error);
    if (!t)
        fail_msg("expected a trace, got: %s", error);
    free(f->data);
    return t;
}

static int64_t at(double ms)
{
    return (int64_t)tf_ns(ms);
}

/* A beginning or an end that says nothing but its type and, perhaps, its time. */
static void bare_event(struct trace_file *f, uint64_t time, int type, const char *name)
{
    size_t packet = tf_open(f, 1);
    tf_uint(f, 8, time);
    tf_uint(f, 10, f->sequence);
    tf_uint(f, 13, 2);
    size_t event = tf_open(f, 11);
    tf_uint(f, 9, (uint64_t)type);
    if (name)
        tf_text(f, 23, name);
    tf_close(f, event);
    tf_close(f, packet);
}

/* Perfetto's SDK: clock 64 counts microseconds from the packet before, events are on the sequence's
 * default track. */
static void test_incremental_clock(void **state)
{
    (void)state;
    struct trace_file f = {.sequence = 5};
    size_t packet = tf_open(&f, 1);
    tf_uint(&f, 10, 5);
    tf_uint(&f, 13, 1);
    size_t clocks = tf_open(&f, 6);
    tf_clock(&f, 6, (uint64_t)(TF_START_NS + TF_BOOT_OFFSET_NS));
    tf_clock(&f, 3, (uint64_t)TF_START_NS);
    size_t clock = tf_open(&f, 1);
    tf_uint(&f, 1, 64);
    tf_uint(&f, 2, 777);
    tf_uint(&f, 3, 1);
    tf_uint(&f, 4, 1000);
    tf_close(&f, clock);
    tf_close(&f, clocks);
    size_t defaults = tf_open(&f, 59);
    tf_uint(&f, 58, 64);
    size_t events = tf_open(&f, 11);
    tf_uint(&f, 11, 42);
    tf_close(&f, events);
    tf_close(&f, defaults);
    tf_close(&f, packet);
    tf_thread(&f, 42, 7, 8, "writer");
    bare_event(&f, 10, TF_BEGIN, "outer");
    bare_event(&f, 5, TF_BEGIN, "inner");
    bare_event(&f, 5, TF_END, NULL);
    bare_event(&f, 1000, TF_END, NULL);
    struct trace *t = read_file(&f);

    assert_int_equal(t->nslices, 2);
    assert_string_equal(trace_text(t, t->slices[0].name), "outer");
    assert_int_equal(t->slices[0].start_ns, at(0.010));
    assert_int_equal(t->slices[0].end_ns, at(1.020));
    assert_int_equal(t->slices[1].start_ns, at(0.015));
    assert_int_equal(t->slices[1].end_ns, at(0.020));
    assert_int_equal(t->threads[t->tracks[t->slices[0].track].thread].tid, 8);
    trace_close(t);
}

static void column(struct trace_file *f, int field, const uint64_t *values, int n)
{
    size_t packed = tf_open(f, field);
    for (int i = 0; i < n; i++)
        tf_varint(f, values[i]);
    tf_close(f, packed);
}

/* Perfetto's recorder of the kernel: times as differences, who stopped is who ran before. */
static void test_compact_switches(void **state)
{
    (void)state;
    const uint64_t first = (uint64_t)(TF_START_NS + TF_BOOT_OFFSET_NS);
    const uint64_t times[] = {first, 1000000, 2000000, 3000000};
    const uint64_t states[] = {0, 256, 1, 1}, next[] = {71, 72, 71, 0};
    const uint64_t waking_times[] = {first + 2500000}, woken[] = {71};
    struct trace_file f = {0};
    tf_chunk(&f, 1, false);
    size_t packet = tf_packet(&f, -1), bundle = tf_open(&f, 1);
    tf_uint(&f, 1, 3);
    size_t compact = tf_open(&f, 4);
    column(&f, 1, times, 4);
    column(&f, 2, states, 4);
    column(&f, 3, next, 4);
    column(&f, 7, waking_times, 1);
    column(&f, 8, woken, 1);
    tf_close(&f, compact);
    tf_close(&f, bundle);
    tf_close(&f, packet);
    struct trace *t = read_file(&f);

    assert_int_equal(t->ncpus, 1);
    assert_int_equal(t->cpus[0].number, 3);
    assert_int_equal(t->nruns, 3);
    for (int i = 0; i < 3; i++) {
        static const struct {
            int tid;
            double from, to;
            int end;
        } runs[] = {{71, 0, 1, TRACE_RUN_PREEMPTED},
                    {72, 1, 3, TRACE_RUN_BLOCKED},
                    {71, 3, 6, TRACE_RUN_BLOCKED}};
        assert_int_equal(t->threads[t->runs[i].thread].tid, runs[i].tid);
        assert_int_equal(t->runs[i].start_ns, at(runs[i].from));
        assert_int_equal(t->runs[i].end_ns, at(runs[i].to));
        assert_int_equal(t->runs[i].end, runs[i].end);
    }
    trace_close(t);
}

static void test_compressed_packets(void **state)
{
    (void)state;
    struct trace_file inner = {0}, f = {0};
    tf_chunk(&inner, 1, false);
    tf_thread(&inner, 42, 7, 8, "packed");
    tf_event(&inner, (struct tf_event){.ms = 1, .track = 42, .type = TF_BEGIN, .name = "deep"});
    tf_event(&inner, (struct tf_event){.ms = 2, .track = 42, .type = TF_END});
    unsigned char packed[4096];
    uLongf size = sizeof packed;
    assert_int_equal(compress(packed, &size, inner.data, inner.size), Z_OK);
    size_t packet = tf_open(&f, 1);
    tf_varint(&f, 50u << 3 | 2);
    tf_varint(&f, size);
    for (uLongf i = 0; i < size; i++)
        tf_byte(&f, packed[i]);
    tf_close(&f, packet);
    free(inner.data);
    struct trace *t = read_file(&f);

    assert_int_equal(t->nslices, 1);
    assert_string_equal(trace_text(t, t->slices[0].name), "deep");
    trace_close(t);
}

/* Fields that nobody knows, of every type, at every level. */
static void test_unknown_fields(void **state)
{
    (void)state;
    struct trace_file f = {0};
    tf_chunk(&f, 1, false);
    tf_text(&f, 900, "beside the packets");
    size_t packet = tf_packet(&f, 3);
    tf_uint(&f, 901, 1);
    tf_fixed64(&f, 902, 1);
    tf_text(&f, 903, "within one");
    size_t event = tf_open(&f, 11);
    tf_uint(&f, 9, TF_INSTANT);
    tf_text(&f, 23, "known");
    tf_text(&f, 904, "within an event");
    size_t stack = tf_open(&f, 55);
    for (int i = 0; i < 2; i++) {
        size_t frame = tf_open(&f, 1);
        tf_text(&f, 1, i ? "leaf" : "root");
        tf_text(&f, 2, "a.c");
        tf_uint(&f, 3, 10 + (uint64_t)i);
        tf_close(&f, frame);
    }
    tf_close(&f, stack);
    tf_close(&f, event);
    tf_close(&f, packet);
    struct trace *t = read_file(&f);

    assert_int_equal(t->ninstants, 1);
    assert_string_equal(trace_text(t, t->instants[0].name), "known");
    assert_int_equal(t->instants[0].ns, at(3));
    const struct trace_stack *s = &t->stacks[t->instants[0].stack];
    assert_int_equal(s->n, 2);
    const struct trace_frame *leaf = &t->frames[t->stack_frames[s->first]];
    assert_string_equal(trace_text(t, leaf->function), "leaf");
    assert_int_equal(leaf->line, 11);
    assert_false(t->truncated);
    trace_close(t);
}

/* Two writers number their strings alike and mean others. */
static void test_sequences_apart(void **state)
{
    (void)state;
    struct trace_file f = {0};
    for (uint64_t i = 1; i <= 2; i++) {
        tf_chunk(&f, i, false);
        tf_thread(&f, 40 + i, 7, 7 + (int)i, "writer");
        tf_event(&f, (struct tf_event){.ms = (double)i,
                                       .track = 40 + i,
                                       .type = TF_INSTANT,
                                       .name = i == 1 ? "first" : "second"});
    }
    struct trace *t = read_file(&f);

    assert_int_equal(t->ninstants, 2);
    for (uint32_t i = 0; i < 2; i++)
        assert_string_equal(trace_text(t, t->instants[i].name),
                            t->instants[i].ns == at(1) ? "first" : "second");
    trace_close(t);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_incremental_clock),  cmocka_unit_test(test_compact_switches),
        cmocka_unit_test(test_compressed_packets), cmocka_unit_test(test_unknown_fields),
        cmocka_unit_test(test_sequences_apart),
    };
    return cmocka_run_group_tests_name("trace_perfetto", tests, NULL, NULL);
}
