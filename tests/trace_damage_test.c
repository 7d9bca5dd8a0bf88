/* cmd/trace's reader, given what is no trace, or only a part of one, or a damaged one. */
#include "cmd/trace/model.h"
#include "tests/trace_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* A time that is centuries away is damage, and must not become the length of the trace. */
static void test_misdated(void **state)
{
    (void)state;
    struct trace_file f;
    story_write(&f);
    tf_event(&f, (struct tf_event){.ms = 5e12,
                                   .track = T_MAIN,
                                   .type = TF_INSTANT,
                                   .category = "log",
                                   .name = "far away"});
    tf_event(
        &f,
        (struct tf_event){
            .ms = -1, .track = T_MAIN, .type = TF_INSTANT, .category = "log", .name = "no time"});
    char error[TRACE_ERROR_BYTES];
    struct trace *t = trace_read(f.data, f.size, error);
    assert_non_null(t);

    assert_int_equal(t->end_ns - t->start_ns, 50000000);
    assert_int_equal(t->nnotices, 2);
    assert_non_null(strstr(trace_text(t, t->notices[1].text), "2 events have no time"));
    trace_close(t);
    free(f.data);
}

static void check_ranges(const struct trace *t)
{
    for (uint32_t i = 0; i < t->nslices; i++) {
        const struct trace_slice *s = &t->slices[i];
        assert_true(s->track < t->ntracks && s->stack < t->nstacks);
        assert_true(s->name < t->strings.nstrings && s->category < t->strings.nstrings);
        assert_true(s->holder == TRACE_NONE || s->holder < t->nthreads);
        assert_true(s->waker == TRACE_NONE || s->waker < t->nthreads);
        assert_true(s->start_ns <= s->end_ns);
        assert_true(s->args == TRACE_NONE || s->args < t->nargs);
    }
    for (uint32_t i = 0; i < t->nthreads; i++) {
        int64_t now = t->threads[i].start_ns;
        for (uint32_t k = 0; k < t->threads[i].states.n; k++) {
            const struct trace_state *s = &t->states[t->threads[i].states.first + k];
            assert_int_equal(s->start_ns, now);
            assert_true(s->end_ns > now);
            assert_true(s->slice == TRACE_NONE || s->slice < t->nslices);
            now = s->end_ns;
        }
    }
    for (uint32_t i = 0; i < t->nflows; i++) {
        assert_true(t->flows[i].slice == TRACE_NONE || t->flows[i].slice < t->nslices);
        assert_true(t->flows[i].instant == TRACE_NONE || t->flows[i].instant < t->ninstants);
    }
}

/* Cut anywhere, what is whole is read. */
static void test_truncated(void **state)
{
    (void)state;
    struct trace_file f;
    char error[TRACE_ERROR_BYTES];
    story_write(&f);
    uint64_t before = 0;
    for (size_t size = 0; size < f.size; size += 7) {
        unsigned char *data = malloc(size + 1); /* a sanitizer sees what lies beyond */
        memcpy(data, f.data, size);
        struct trace *t = trace_read(data, size, error);
        if (t) {
            assert_true(t->events >= before);
            before = t->events;
            assert_true(!t->truncated || t->nnotices > 0);
            check_ranges(t);
            trace_close(t);
        } else {
            assert_int_equal(before, 0);
        }
        free(data);
    }
    assert_true(before > 40);
    free(f.data);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* A few bytes changed, cut out or doubled, each time others: the same ones in every run. */
static void test_mutations(void **state)
{
    (void)state;
    struct trace_file f;
    char error[TRACE_ERROR_BYTES];
    uint32_t seed = 1, traces = 0;
    story_write(&f);
    for (int round = 0; round < 1500; round++) {
        size_t size = f.size;
        unsigned char *data = malloc(size);
        memcpy(data, f.data, size);
        for (uint32_t n = 1 + next_random(&seed) % 8; n > 0; n--) {
            uint32_t place = next_random(&seed) % (uint32_t)size;
            if (next_random(&seed) % 4 == 0 && place + 40 < size)
                memmove(data + place, data + place + next_random(&seed) % 32, 8);
            else
                data[place] = (unsigned char)next_random(&seed);
        }
        struct trace *t = trace_read(data, size, error);
        if (t) {
            check_ranges(t);
            traces++;
        }
        trace_close(t);
        free(data);
    }
    assert_true(traces > 500);
    free(f.data);
}

static void expect_refusal(const void *data, size_t size, const char *part)
{
    char error[TRACE_ERROR_BYTES] = "";
    struct trace *t = trace_read(data, size, error);
    assert_null(t);
    if (!strstr(error, part))
        fail_msg("expected an error about '%s', got: %s", part, error);
}

static void test_foreign(void **state)
{
    (void)state;
    /* ValueType{type 1, unit 2}, then a sample: the beginning of a profile.proto. */
    static const unsigned char profile[] = {0x0a, 4, 8, 1, 16, 2, 0x12, 4, 0x0a, 0, 0x12, 0};

    expect_refusal("", 0, "empty");
    expect_refusal("hello, world\n", 13, "text");
    expect_refusal("{\"traceEvents\":[]}", 18, "JSON");
    expect_refusal("\x7f"
                   "ELF\2\1\1\0",
                   8, "ELF");
    expect_refusal("go 1.22 trace\0\0\0", 16, "Go");
    expect_refusal("PERFILE2\0\0\0\0", 12, "perf");
    expect_refusal(profile, sizeof profile, "profile.proto");
    expect_refusal("\x0a\x7f\x08", 3, "cut short");
    expect_refusal("\xff\xff\xff\xff", 4, "no Perfetto trace");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misdated),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_foreign),
    };
    return cmocka_run_group_tests_name("trace_damage", tests, NULL, NULL);
}
