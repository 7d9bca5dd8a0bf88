/* Labels: on which samples they end up, how they are inherited, what is refused, and that pprof's
 * -tags, -tagfocus and -tagignore read them. */
#include "prof/internal.h"
#include "prof/thread.h"
#include "tests/sanitized.h"
#include "tests/top.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* ---- reading a profile by its labels --------------------------------------------------------- */

/* What `go tool pprof OPTIONS PATH` prints. */
static void pprof(char *out, size_t size, const char *options, const char *path)
{
    char line[512];
    snprintf(line, sizeof line, "go tool pprof -symbolize=none %s %s 2>&1", options, path);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, size - 1, f);
    out[n] = '\0';
    assert_int_equal(pclose(f), 0);
}

/* The percentage that `pprof -tags` gives a value of a key; 0 when it is not listed. */
static double share_of(const char *tags, const char *key, const char *value)
{
    char want_key[128], want_value[128], line[512];
    snprintf(want_key, sizeof want_key, " %s: Total", key);
    snprintf(want_value, sizeof want_value, "): %s\n", value);
    const char *at = strstr(tags, want_key);
    while (at && (at = strchr(at, '\n')) && at[1] != '\n' && at[1] != '\0') {
        const char *percent = strchr(++at, '(');
        snprintf(line, sizeof line, "%.*s", (int)(strchrnul(at, '\n') - at + 1), at);
        if (strstr(line, want_value) && percent)
            return strtod(percent + 1, NULL);
    }
    return 0;
}

static void write_profile(const char *name, char *path)
{
    int fd = top_file(path);
    assert_int_equal(prof_write(name, fd, 0), 0);
    close(fd);
}

static void check_close(const char *what, double got, double expected, double tolerance)
{
    if (got < expected - tolerance || got > expected + tolerance)
        fail_msg("%s: expected %.2f +- %.2f, got %.2f", what, expected, tolerance, got);
}

/* ---- CPU ------------------------------------------------------------------------------------- */

static int64_t thread_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static __attribute__((noinline)) void burn(int64_t until_ns)
{
    volatile unsigned sink = 0;
    while (thread_cpu_ns() < until_ns)
        for (int i = 0; i < 20000; i++)
            sink = sink * 31 + (unsigned)i;
}

struct share {
    const char *endpoint;
    int percent;
    int64_t used_ns; /* more than told when the machine halts under a last step */
};
static struct share shares[] = {
    {"/forty", 40, 0}, {"/thirty", 30, 0}, {"/twenty", 20, 0}, {"/ten", 10, 0}};
static const int64_t total_ns = 4000000000;

/* The thread's part of the total under its endpoint, half of that under each phase. */
static void *burn_by_label(void *arg)
{
    struct share *s = arg;
    int64_t part_ns = total_ns * s->percent / 100, begun_ns = thread_cpu_ns(), until_ns = begun_ns;
    prof_label_scope("endpoint", s->endpoint);
    for (int i = 0; i < 2; i++) {
        prof_label_scope("phase", i ? "second" : "first");
        burn(until_ns += part_ns / 2);
    }
    s->used_ns = thread_cpu_ns() - begun_ns;
    return NULL;
}

static void cpu_time_is_charged_to_labels(void **state)
{
    (void)state;
    if (TSAN)
        skip();
    static char tags[1 << 16];
    static struct top all;
    char path[64];
    pthread_t threads[4];
    int64_t used_ns = 0;
    int fd = top_file(path);
    assert_int_equal(prof_cpu_start(1000), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, burn_by_label, &shares[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(prof_cpu_stop(fd), 0);
    close(fd);
    pprof(tags, sizeof tags, "-tags -sample_index=cpu", path);
    for (int i = 0; i < 4; i++)
        used_ns += shares[i].used_ns;
    for (int i = 0; i < 4; i++)
        check_close(shares[i].endpoint, share_of(tags, "endpoint", shares[i].endpoint),
                    100.0 * (double)shares[i].used_ns / (double)used_ns, 1);
    /* A tick that is on its way when the label changes is charged to the new one. */
    check_close("first phase", share_of(tags, "phase", "first"), 50, 3);
    pprof(tags, sizeof tags, "-tags -sample_index=cpu -tagignore=endpoint=/t", path);
    check_close("only /forty without /t", share_of(tags, "endpoint", "/forty"), 100, 0.01);
    pprof(tags, sizeof tags, "-tags -sample_index=cpu -tagfocus=endpoint=/forty", path);
    check_close("only /forty in focus", share_of(tags, "endpoint", "/forty"), 100, 0.01);
    assert_true(top_read(&all, path, "cpu", "ns"));
    check_close("seconds in all", all.total / 1e9, 4, 0.3);
}

/* ---- other profiles -------------------------------------------------------------------------- */

static void *volatile kept[200];

static __attribute__((noinline)) void allocate(int from, int n)
{
    for (int i = from; i < from + n; i++)
        kept[i] = malloc(1000);
}

static void allocations_carry_labels(void **state)
{
    (void)state;
    static char tags[1 << 16];
    char path[64];
    prof_set_heap_rate(1);
    {
        prof_label_scope("tenant", "blue");
        allocate(0, 30);
        prof_label_scope("tenant", "green"); /* in the place of blue, for as long */
        allocate(30, 70);
    }
    write_profile("heap", path);
    prof_set_heap_rate(PROF_HEAP_RATE_DEFAULT);
    pprof(tags, sizeof tags, "-tags -sample_index=inuse_objects -focus=allocate", path);
    check_close("blue", share_of(tags, "tenant", "blue"), 30, 0.01);
    check_close("green", share_of(tags, "tenant", "green"), 70, 0.01);
    unlink(path);
    for (int i = 0; i < 100; i++)
        free(kept[i]);
}

struct crew {
    pthread_barrier_t there, over;
};

static void *stand_by(void *arg)
{
    struct crew *c = arg;
    pthread_barrier_wait(&c->there);
    pthread_barrier_wait(&c->over);
    return NULL;
}

static void threads_inherit_labels(void **state)
{
    (void)state;
    static char tags[1 << 16];
    char path[64];
    struct crew crew;
    pthread_t threads[4];
    pthread_barrier_init(&crew.there, NULL, 5);
    pthread_barrier_init(&crew.over, NULL, 5);
    assert_int_equal(prof_label_push("crew", "one"), 0);
    pthread_create(&threads[0], NULL, stand_by, &crew);
    prof_label_pop();
    assert_int_equal(prof_label_push("crew", "three"), 0);
    for (int i = 1; i < 4; i++)
        pthread_create(&threads[i], NULL, stand_by, &crew);
    prof_label_pop(); /* the threads keep theirs */
    pthread_barrier_wait(&crew.there);
    write_profile("goroutine", path);
    pprof(tags, sizeof tags, "-tags", path);
    unlink(path);
    write_profile("threadcreate", path);
    pthread_barrier_wait(&crew.over);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    check_close("threads of crew one", share_of(tags, "crew", "one"), 25, 0.01);
    check_close("threads of crew three", share_of(tags, "crew", "three"), 75, 0.01);
    pprof(tags, sizeof tags, "-tags", path);
    check_close("threads that crew three created", share_of(tags, "crew", "three"), 75, 0.01);
    unlink(path);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static const char *value_now(const char *key)
{
    const struct prof_labels *l = atomic_load(&prof_self()->labels);
    for (uint32_t i = 0; l && i < l->n; i++)
        if (strcmp(l->labels[i].key, key) == 0)
            return l->labels[i].value;
    return NULL;
}

static uint64_t refused(void)
{
    struct prof_drops d;
    prof_drops(&d);
    return d.labels;
}

static void pops_bring_back_what_was(void **state)
{
    (void)state;
    assert_int_equal(prof_label_pop(), -EINVAL);
    assert_int_equal(prof_label_push("k", "outer"), 0);
    assert_int_equal(prof_label_push("k", "inner"), 0);
    assert_string_equal(value_now("k"), "inner");
    assert_int_equal(prof_label_pop(), 0);
    assert_string_equal(value_now("k"), "outer");
    {
        prof_label_scope("k", "scoped");
        assert_string_equal(value_now("k"), "scoped");
    }
    assert_string_equal(value_now("k"), "outer");
    assert_int_equal(prof_label_pop(), 0);
    assert_null(value_now("k"));
    assert_int_equal(prof_label_pop(), -EINVAL);
    assert_int_equal(prof_label_push(NULL, "v"), -EINVAL);
    assert_int_equal(prof_label_push("k", NULL), -EINVAL);
    assert_int_equal(prof_label_push("", "v"), -EINVAL);
}

static void depth_ends(void **state)
{
    (void)state;
    char key[16];
    uint64_t before = refused();
    for (int i = 0; i < PROF_LABEL_DEPTH; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        assert_int_equal(prof_label_push(key, "v"), 0);
    }
    {
        prof_label_scope("one", "more"); /* must not take back what it did not push */
        assert_null(value_now("one"));
    }
    assert_int_equal(refused() - before, 1);
    for (int i = 0; i < PROF_LABEL_DEPTH; i++)
        assert_int_equal(prof_label_pop(), 0);
    assert_int_equal(prof_label_pop(), -EINVAL);
}

static void strings_may_hold_anything_but_not_without_end(void **state)
{
    (void)state;
    static char tags[1 << 16], text[1 << 16], huge[1 << 20];
    char path[64];
    memset(huge, 'x', sizeof huge - 1);
    assert_int_equal(prof_label_push("huge", huge), -ENOMEM);
    assert_int_equal(prof_label_push(huge, "v"), -ENOMEM);
    huge[4096] = '\0';
    assert_int_equal(prof_label_push("huge", huge), 0);
    assert_int_equal(prof_label_pop(), 0);
    assert_int_equal(prof_label_push("odd", "a\xff\"\n\xc3\xa4"), 0);
    write_profile("goroutine", path);
    pprof(tags, sizeof tags, "-tags", path); /* pprof refuses what is not UTF-8 */
    unlink(path);
    int fd = top_file(path);
    assert_int_equal(prof_write("goroutine", fd, 1), 0);
    assert_int_equal(prof_label_pop(), 0);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    unlink(path);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(tags, " odd: Total"));
    assert_non_null(strstr(text, "# labels: {\"odd\":\"a\\xff\\\"\\n\xc3\xa4\"}\n"));
}

static void *push_and_check(void *arg)
{
    char value[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(value, sizeof value, "%d", i % 500);
        if (prof_label_push("shared", value) != 0 || strcmp(value_now("shared"), value) != 0)
            *(atomic_bool *)arg = true;
        prof_label_pop();
    }
    return NULL;
}

/* Equal sets are one, whoever made them first. */
static void threads_make_the_same_sets(void **state)
{
    (void)state;
    pthread_t threads[4];
    atomic_bool wrong = false;
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, push_and_check, &wrong);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_false(wrong);
    assert_int_equal(prof_label_push("shared", "7"), 0);
    const struct prof_labels *first = atomic_load(&prof_self()->labels);
    prof_label_pop();
    assert_int_equal(prof_label_push("shared", "7"), 0);
    assert_ptr_equal(atomic_load(&prof_self()->labels), first);
    prof_label_pop();
}

/* The last test: afterwards there is no room for new sets. */
static void values_without_end_are_refused_and_counted(void **state)
{
    (void)state;
    char value[32];
    int refusals = 0;
    uint64_t before = refused();
    for (int i = 0; i < 70000; i++) {
        snprintf(value, sizeof value, "request-%d", i);
        if (prof_label_push("request", value) == 0)
            prof_label_pop();
        else
            refusals++;
    }
    assert_in_range(refusals, 70000 - 65536, 70000 - 65536 + 2000);
    assert_int_equal(refused() - before, refusals);
    assert_int_equal(prof_label_push("request", "request-1"),
                     0); /* those that are known still work */
    assert_string_equal(value_now("request"), "request-1");
    assert_int_equal(prof_label_pop(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pops_bring_back_what_was),
        cmocka_unit_test(depth_ends),
        cmocka_unit_test(strings_may_hold_anything_but_not_without_end),
        cmocka_unit_test(cpu_time_is_charged_to_labels),
        cmocka_unit_test(allocations_carry_labels),
        cmocka_unit_test(threads_inherit_labels),
        cmocka_unit_test(threads_make_the_same_sets),
        cmocka_unit_test(values_without_end_are_refused_and_counted),
    };
    return cmocka_run_group_tests_name("label", tests, NULL, NULL);
}
