/* cmd/trace's reader: a trace of known answer, and others that a recorder may write. (What can be
 * wrong with a file: trace_damage_test.c; what other recorders write: trace_perfetto_test.c.) */
#include "cmd/trace/model.h"
#include "tests/trace_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static struct trace *read_file(const struct trace_file *f)
{
    char error[TRACE_ERROR_BYTES] = "";
    struct trace *t = trace_read(f->data, f->size, error);
    if (!t)
        fail_msg("expected a trace, got: %s", error);
    return t;
}

static struct trace *read_story(void)
{
    struct trace_file f;
    story_write(&f);
    struct trace *t = read_file(&f);
    free(f.data);
    return t;
}

static const struct trace_thread *thread_of(const struct trace *t, int tid)
{
    for (uint32_t i = 0; i < t->nthreads; i++)
        if (t->threads[i].tid == tid)
            return &t->threads[i];
    fail_msg("no thread %d", tid);
    return NULL;
}

static const struct trace_slice *slice_named(const struct trace *t, const char *name)
{
    for (uint32_t i = 0; i < t->nslices; i++)
        if (strcmp(trace_text(t, t->slices[i].name), name) == 0)
            return &t->slices[i];
    fail_msg("no slice '%s'", name);
    return NULL;
}

static int64_t at(double ms)
{
    return (int64_t)tf_ns(ms);
}

/* "running 4.0 runnable 1.0 ...", so that a failure shows all of it. */
static void states_text(const struct trace *t, int tid, char *text, size_t size)
{
    static const char *const names[] = {"run", "ready", "block", "active", "unknown"};
    const struct trace_thread *thread = thread_of(t, tid);
    size_t used = 0;

    for (uint32_t i = 0; i < thread->states.n && used < size; i++) {
        const struct trace_state *s = &t->states[thread->states.first + i];
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s%s%s %.1f", i ? ", " : "",
                             names[s->kind], s->slice != TRACE_NONE ? ":" : "",
                             s->slice != TRACE_NONE ? trace_text(t, t->slices[s->slice].name) : "",
                             (double)(s->end_ns - s->start_ns) / 1e6);
    }
}

static void expect_states(const struct trace *t, int tid, const char *expected)
{
    char text[1024] = "";
    states_text(t, tid, text, sizeof text);
    assert_string_equal(text, expected);
}

/* ---- the story ------------------------------------------------------------------------------- */

static void test_overview(void **state)
{
    (void)state;
    struct trace *t = read_story();

    assert_int_equal(t->start_ns, at(0));
    assert_int_equal(t->end_ns, at(50));
    assert_int_equal(t->wall_ns, TF_WALL_NS);
    assert_int_equal(t->nthreads, 3);
    assert_int_equal(t->ncpus, 2);
    assert_true(t->has_sched);
    assert_false(t->truncated);
    assert_int_equal(t->pid, STORY_PID);
    assert_string_equal(trace_text(t, t->process_name), "kitchen");
    assert_int_equal(t->nnotices, 1);
    assert_string_equal(trace_text(t, t->notices[0].text), "12 events were dropped");
    assert_int_equal(t->notices[0].dropped, 12);
    assert_int_equal(t->dropped, 12);
    trace_close(t);
}

static void test_states(void **state)
{
    (void)state;
    struct trace *t = read_story();

    expect_states(t, STORY_MAIN, "run 10.0, block:join 30.0, run 10.0");
    expect_states(t, STORY_LOADER, "run 4.0, ready 1.0, run 6.0, block:sleep 8.0, run 10.0");
    expect_states(t, STORY_COOK, "run 4.0, block:mutex lock 8.0, ready 2.0, run 11.0");
    trace_close(t);
}

static void test_runs(void **state)
{
    (void)state;
    struct trace *t = read_story();

    assert_int_equal(t->cpus[0].number, 0);
    assert_int_equal(t->cpus[0].runs.n, 4);
    assert_int_equal(t->cpus[1].runs.n, 3);
    const struct trace_run *first = &t->runs[t->cpus[1].runs.first];
    assert_int_equal(first->start_ns, at(1));
    assert_int_equal(first->end_ns, at(5));
    assert_int_equal(first->end, TRACE_RUN_PREEMPTED);
    assert_int_equal(t->threads[first->thread].tid, STORY_LOADER);
    assert_int_equal(first[1].end, TRACE_RUN_BLOCKED);
    trace_close(t);
}

static void test_threads(void **state)
{
    (void)state;
    struct trace *t = read_story();
    const struct trace_thread *cook = thread_of(t, STORY_COOK);

    assert_string_equal(trace_text(t, cook->name), "cook");
    assert_string_equal(trace_text(t, cook->start_function), "cook");
    assert_int_equal(t->threads[cook->creator].tid, STORY_MAIN);
    assert_int_equal(cook->start_ns, at(10));
    assert_int_equal(cook->end_ns, at(35));
    assert_true(cook->started && cook->exited);
    const struct trace_stack *s = &t->stacks[cook->creator_stack];
    assert_int_equal(s->n, 4);
    const struct trace_frame *leaf = &t->frames[t->stack_frames[s->first]];
    assert_string_equal(trace_text(t, leaf->function), "lock");
    assert_string_equal(trace_text(t, leaf->file), "main");
    assert_int_equal(leaf->line, 4);
    trace_close(t);
}

static void test_slices(void **state)
{
    (void)state;
    struct trace *t = read_story();
    const struct trace_slice *wait = slice_named(t, "mutex lock");

    assert_int_equal(wait->kind, TRACE_SLICE_BLOCK);
    assert_int_equal(wait->value, STORY_LOCK);
    assert_int_equal(t->threads[wait->holder].tid, STORY_LOADER);
    assert_int_equal(t->threads[wait->waker].tid, STORY_LOADER);
    assert_int_equal(wait->start_ns, at(13.9));
    assert_int_equal(wait->end_ns, at(24.1));
    assert_int_equal(wait->flags, TRACE_HAS_VALUE);
    const struct trace_slice *fry = slice_named(t, "fry"), *salt = slice_named(t, "salt");
    assert_int_equal(fry->kind, TRACE_SLICE_REGION);
    assert_int_equal(fry->value, 1);
    assert_int_equal(fry->depth, 0);
    assert_int_equal(salt->depth, 1);
    assert_int_not_equal(fry->args, TRACE_NONE);
    assert_string_equal(trace_text(t, t->args[fry->args].name), "note");
    assert_string_equal(trace_text(t, t->args[fry->args].text), "hot");
    assert_true(t->args[fry->args].last);
    const struct trace_slice *evening = slice_named(t, "evening");
    assert_int_equal(evening->flags, TRACE_NO_END);
    assert_int_equal(evening->end_ns, at(50));
    const struct trace_slice *gc = slice_named(t, "GC");
    assert_int_equal(gc->kind, TRACE_SLICE_GC);
    assert_int_equal(gc->value, 1);
    assert_int_equal(slice_named(t, "stop the world")->kind, TRACE_SLICE_STOP);
    assert_int_equal(t->tracks[gc->track].kind, TRACE_TRACK_GC);
    trace_close(t);
}

static void test_flows_and_tasks(void **state)
{
    (void)state;
    struct trace *t = read_story();

    assert_int_equal(t->nflows, 1);
    assert_int_equal(t->flows[0].from_ns, at(22));
    assert_int_equal(t->flows[0].to_ns, at(24.1));
    assert_ptr_equal(&t->slices[t->flows[0].slice], slice_named(t, "mutex lock"));
    assert_int_equal(t->instants[t->flows[0].instant].kind, TRACE_INSTANT_WAKE);
    assert_int_equal(t->ntasks, 2);
    assert_int_equal(t->tasks[1].id, 2);
    assert_int_equal(t->tasks[1].parent, 1);
    assert_ptr_equal(&t->slices[t->tasks[0].slice], slice_named(t, "order"));
    trace_close(t);
}

static void test_counters_samples_logs(void **state)
{
    (void)state;
    struct trace *t = read_story();

    assert_int_equal(t->ncounters, 1);
    assert_string_equal(trace_text(t, t->counters[0].name), "queue");
    assert_string_equal(trace_text(t, t->counters[0].unit), "bytes");
    assert_int_equal(t->counters[0].values.n, 2);
    assert_true(t->values[0].value == 4096 && t->values[1].value == -1);
    assert_int_equal(t->nsamples, 3);
    assert_int_equal(t->threads[t->samples[2].thread].tid, STORY_COOK);
    int logs = 0;
    for (uint32_t i = 0; i < t->ninstants; i++) {
        const struct trace_instant *log = &t->instants[i];
        if (log->kind != TRACE_INSTANT_LOG)
            continue;
        logs++;
        assert_string_equal(trace_text(t, log->name), "all done \"now\"");
        assert_string_equal(trace_text(t, log->category), "house");
        assert_int_equal(log->value, 1);
    }
    assert_int_equal(logs, 1);
    trace_close(t);
}

/* ---- other traces ---------------------------------------------------------------------------- */

/* Without switch records a thread is blocked in its waits, and something else between them. */
static void test_no_switches(void **state)
{
    (void)state;
    struct trace_file f = {0};
    tf_chunk(&f, 1, false);
    story_tracks(&f);
    story_threads(&f);
    struct trace *t = read_file(&f);

    assert_false(t->has_sched);
    expect_states(t, STORY_LOADER, "active 10.8, block:sleep 8.2, active 9.8");
    expect_states(t, STORY_MAIN, "active 9.9, block:join 30.2, active 4.9");
    trace_close(t);
    free(f.data);
}

/* Two writers, the later one's packets first, and one track's events from both. */
static void test_sequences_out_of_order(void **state)
{
    (void)state;
    struct trace_file f = {0};
    tf_chunk(&f, 1, false);
    tf_thread(&f, T_MAIN, 7, 7, "seven");
    tf_event(&f, (struct tf_event){.ms = 4, .track = T_MAIN, .type = TF_BEGIN, .name = "late"});
    tf_event(&f, (struct tf_event){.ms = 5, .track = T_MAIN, .type = TF_END});
    tf_chunk(&f, 2, false);
    tf_event(&f, (struct tf_event){.ms = 1, .track = T_MAIN, .type = TF_BEGIN, .name = "early"});
    tf_event(&f, (struct tf_event){.ms = 3, .track = T_MAIN, .type = TF_END});
    struct trace *t = read_file(&f);

    assert_int_equal(t->nslices, 2);
    assert_string_equal(trace_text(t, t->slices[0].name), "early");
    assert_int_equal(t->slices[0].end_ns, at(3));
    assert_string_equal(trace_text(t, t->slices[1].name), "late");
    assert_int_equal(t->slices[1].depth, 0);
    trace_close(t);
    free(f.data);
}

/* A ring that wrapped: an end whose beginning is gone, and packets before the first whole chunk. */
static void test_wrapped_ring(void **state)
{
    (void)state;
    struct trace_file f = {.sequence = 1};
    tf_event(&f, (struct tf_event){.ms = 1, .track = T_MAIN, .type = TF_BEGIN, .name = "lost"});
    tf_chunk(&f, 1, true);
    tf_thread(&f, T_MAIN, 7, 7, "seven");
    tf_event(&f, (struct tf_event){.ms = 2, .track = T_MAIN, .type = TF_BEGIN, .name = "in"});
    tf_event(&f, (struct tf_event){.ms = 3, .track = T_MAIN, .type = TF_END});
    tf_event(&f,
             (struct tf_event){
                 .ms = 5, .track = T_MAIN, .type = TF_END, .category = "syscall", .name = "read"});
    tf_event(&f, (struct tf_event){.ms = 6, .track = T_MAIN, .type = TF_END});
    tf_switch(&f, 5, 0, 0, 0, 7);
    tf_switch(&f, 7, 0, 7, 1, 0);
    struct trace *t = read_file(&f);

    assert_int_equal(t->start_ns, at(2));
    assert_int_equal(t->nslices, 2);
    assert_string_equal(trace_text(t, t->slices[0].name), "read");
    assert_int_equal(t->slices[0].flags, TRACE_NO_BEGIN);
    assert_int_equal(t->slices[0].start_ns, at(2));
    assert_int_equal(t->slices[0].end_ns, at(5));
    assert_int_equal(t->slices[1].depth, 1);
    expect_states(t, 7, "unknown 3.0, run 2.0");
    assert_int_equal(t->nnotices, 2); /* an end of nothing, a packet that builds upon nothing */
    trace_close(t);
    free(f.data);
}

/* The kernel has no tid for what runs in its last moments. */
static void test_nameless(void **state)
{
    (void)state;
    struct trace_file f = {0};
    tf_chunk(&f, 1, false);
    tf_thread(&f, 11, 7, 8, "eight");
    tf_switch(&f, 1, 0, 0, 0, 8);
    tf_switch(&f, 3, 0, -1, 1, 0);
    tf_switch(&f, 5, 0, 0, 0, -1);
    tf_switch(&f, 6, 0, -1, 1, 8);
    tf_switch(&f, 7, 0, 8, 0, 0);
    struct trace *t = read_file(&f);

    assert_int_equal(t->nthreads, 1);
    expect_states(t, 8, "run 2.0, block 3.0, run 1.0");
    trace_close(t);
    free(f.data);
}

static void write_life(struct trace_file *f, uint64_t track, int begin_ms)
{
    const struct tf_event events[] = {
        {.ms = begin_ms + 1, .type = TF_INSTANT, .category = "thread", .name = "start"},
        {.ms = begin_ms + 2, .type = TF_BEGIN, .name = "work"},
        {.ms = begin_ms + 3, .type = TF_INSTANT, .category = "thread", .name = "exit"},
    };
    tf_switch(f, begin_ms, 0, 0, 0, 8);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct tf_event e = events[i];
        e.track = track;
        tf_event(f, e);
    }
    tf_switch(f, begin_ms + 4, 0, 8, 1, 0);
}

static void expect_lives(struct trace_file *f)
{
    struct trace *t = read_file(f);

    assert_int_equal(t->nthreads, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct trace_thread *thread = &t->threads[i];
        assert_int_equal(thread->tid, 8);
        assert_string_equal(trace_text(t, thread->name), "eight");
        assert_int_equal(thread->start_ns, at(1 + 10 * i));
        assert_int_equal(thread->end_ns, at(5 + 10 * i));
        assert_int_equal(thread->states.n, 1);
        assert_int_equal(t->states[thread->states.first].kind, TRACE_RUNNING);
        const struct trace_track *track = &t->tracks[thread->track];
        assert_int_equal(track->slices.n, 1);
        assert_int_equal(t->slices[track->slices.first].start_ns, at(3 + 10 * i));
        assert_int_equal(t->slices[track->slices.first].end_ns, at(4 + 10 * i));
    }
    trace_close(t);
    free(f->data);
}

/* A tid that the kernel has given out twice: on a track for each thread, and on one, as libprof has
 * it, whatever comes first in the file. */
static void test_tid_twice(void **state)
{
    (void)state;
    struct trace_file two = {0}, one = {0}, reversed = {0};
    tf_chunk(&two, 1, false);
    tf_thread(&two, 11, 7, 8, "eight");
    tf_thread(&two, 12, 7, 8, "eight");
    write_life(&two, 11, 1);
    write_life(&two, 12, 11);
    expect_lives(&two);
    tf_chunk(&one, 1, false);
    tf_thread(&one, 11, 7, 8, "eight");
    write_life(&one, 11, 1);
    write_life(&one, 11, 11);
    expect_lives(&one);
    tf_chunk(&reversed, 1, false);
    tf_thread(&reversed, 11, 7, 8, "eight");
    write_life(&reversed, 11, 11);
    write_life(&reversed, 11, 1);
    expect_lives(&reversed);
}

/* The kernel does not tell when an ending thread leaves its CPU, which may be idle for long after
 * it. */
static void test_exit_without_switch(void **state)
{
    (void)state;
    struct trace_file f = {0};
    tf_chunk(&f, 1, false);
    tf_thread(&f, 11, 7, 8, "short");
    tf_thread(&f, 12, 7, 9, "later");
    tf_switch(&f, 1, 0, 0, 0, 8);
    tf_event(
        &f, (struct tf_event){
                .ms = 1.1, .track = 11, .type = TF_INSTANT, .category = "thread", .name = "start"});
    tf_event(&f,
             (struct tf_event){
                 .ms = 2, .track = 11, .type = TF_INSTANT, .category = "thread", .name = "exit"});
    tf_switch(&f, 30, 0, 0, 0, 9);
    tf_switch(&f, 31, 0, 9, 1, 0);
    struct trace *t = read_file(&f);

    expect_states(t, 8, "run 1.0");
    assert_int_equal(thread_of(t, 8)->end_ns, at(2));
    trace_close(t);
    free(f.data);
}

/* A broadcast: one instant that several waits end by. */
static void test_broadcast(void **state)
{
    (void)state;
    struct trace_file f = {0};
    tf_chunk(&f, 1, false);
    tf_thread(&f, 10, 7, 7, "caller");
    for (unsigned i = 0; i < 3; i++) {
        tf_thread(&f, 11 + i, 7, 8 + (int)i, "waiter");
        tf_event(&f, (struct tf_event){.ms = 1,
                                       .track = 11 + i,
                                       .type = TF_BEGIN,
                                       .category = "block",
                                       .name = "cond wait"});
        tf_event(&f,
                 (struct tf_event){.ms = 3, .track = 11 + i, .type = TF_END, .end_flow = 70 + i});
    }
    size_t packet = tf_packet(&f, 2), event = tf_open(&f, 11);
    tf_uint(&f, 9, TF_INSTANT);
    tf_uint(&f, 11, 10);
    tf_text(&f, 22, "wake");
    tf_text(&f, 23, "broadcast");
    for (unsigned i = 0; i < 3; i++)
        tf_fixed64(&f, 47, 70 + i);
    tf_close(&f, event);
    tf_close(&f, packet);
    struct trace *t = read_file(&f);

    assert_int_equal(t->nflows, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_string_equal(trace_text(t, t->instants[t->flows[i].instant].name), "broadcast");
        assert_int_equal(t->flows[i].from_ns, at(2));
        assert_int_equal(t->threads[t->slices[t->flows[i].slice].waker].tid, 7);
    }
    trace_close(t);
    free(f.data);
}

/* ---- for tests/trace_tool.sh ----------------------------------------------------------------- */

static int write_story(const char *path)
{
    struct trace_file f;
    story_write(&f);
    FILE *out = fopen(path, "we");
    int failed = !out || fwrite(f.data, 1, f.size, out) != f.size;
    if (out)
        failed |= fclose(out) != 0;
    free(f.data);
    return failed;
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overview),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_flows_and_tasks),
        cmocka_unit_test(test_counters_samples_logs),
        cmocka_unit_test(test_no_switches),
        cmocka_unit_test(test_sequences_out_of_order),
        cmocka_unit_test(test_wrapped_ring),
        cmocka_unit_test(test_nameless),
        cmocka_unit_test(test_tid_twice),
        cmocka_unit_test(test_exit_without_switch),
        cmocka_unit_test(test_broadcast),
    };

    if (argc == 3 && strcmp(argv[1], "-write") == 0)
        return write_story(argv[2]);
    return cmocka_run_group_tests_name("trace_model", tests, NULL, NULL);
}
