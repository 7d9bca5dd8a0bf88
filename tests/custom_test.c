/* Custom profiles: handles with the stacks that made them. */
#include "prof/pprof.h"
#include "tests/sanitized.h"
#include "tests/top.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>

#include <cmocka.h>

static char handles[100000]; /* their addresses serve as handles */

static __attribute__((noinline)) int open_connection(struct prof_custom *p, const void *handle,
                                                     int skip)
{
    int rc = prof_custom_add(p, handle, skip);
    __asm__ volatile(""); /* no tail call */
    return rc;
}

static __attribute__((noinline)) int serve(struct prof_custom *p, const void *handle, int skip)
{
    int rc = open_connection(p, handle, skip);
    __asm__ volatile("");
    return rc;
}

static void counts_handles_by_stack(void **state)
{
    (void)state;
    static struct top t;
    struct prof_custom *p;
    char path[64];
    assert_int_equal(prof_custom_new("test.connections", &p), 0);
    for (int i = 0; i < 30; i++)
        assert_int_equal(serve(p, &handles[i], 0), 0);
    for (int i = 30; i < 35; i++)
        assert_int_equal(serve(p, &handles[i], 1), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(prof_custom_remove(p, &handles[i]), 0);
    assert_int_equal(prof_custom_count(p), 25);
    assert_int_equal(prof_count("test.connections"), 25);
    int fd = top_file(path);
    assert_int_equal(prof_write("test.connections", fd, 0), 0);
    close(fd);
    assert_true(top_read(&t, path, "test.connections", "count"));
    assert_int_equal(top_of(&t, "open_connection").flat, 20);
    assert_int_equal(top_of(&t, "serve").flat, 5);
    assert_int_equal(top_of(&t, "serve").cum, 25);
}

static void text_is_as_of_any_count(void **state)
{
    (void)state;
    struct prof_custom *p;
    char path[64], text[4096] = "";
    assert_int_equal(prof_custom_new("test.text", &p), 0);
    volatile int two = 2; /* one place, not a loop laid out flat */
    for (int i = 0; i < two; i++)
        assert_int_equal(serve(p, &handles[i], 0), 0);
    int fd = top_file(path);
    assert_int_equal(prof_write("test.text", fd, 1), 0);
    assert_int_equal(prof_write("test.text", fd, 2), -EINVAL);
    assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
    close(fd);
    unlink(path);
    assert_int_equal(strncmp(text, "test.text profile: total 2\n2 @ 0x", 33), 0);
    assert_non_null(strstr(text, "open_connection+0x"));
}

static void misuse_is_refused(void **state)
{
    (void)state;
    struct prof_custom *p;
    assert_int_equal(prof_custom_new("test.misuse", &p), 0);
    assert_int_equal(prof_custom_add(p, &handles[0], 0), 0);
    assert_int_equal(prof_custom_add(p, &handles[0], 0), -EEXIST);
    assert_int_equal(prof_custom_count(p), 1);
    assert_int_equal(prof_custom_remove(p, &handles[1]), -ENOENT);
    assert_int_equal(prof_custom_remove(p, &handles[0]), 0);
    assert_int_equal(prof_custom_remove(p, &handles[0]), -ENOENT);
    assert_int_equal(prof_custom_add(p, NULL, 0), -EINVAL);
    assert_int_equal(prof_custom_add(p, &handles[0], -1), -EINVAL);
    assert_int_equal(prof_custom_add(NULL, &handles[0], 0), -EINVAL);
    assert_int_equal(prof_custom_remove(NULL, &handles[0]), -EINVAL);
    assert_int_equal(prof_custom_count(NULL), -EINVAL);
    assert_int_equal(prof_custom_add(p, &handles[0], 1000000), 0); /* the outermost frame stays */
    assert_int_equal(prof_custom_count(p), 1);
}

static void names_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "two words", "new\nline", "a<b", "a&b", "a?b",  "a#b",
                                      "a%b", "/etc",      "../up",     "\"",  "ä",   "a\\b", NULL};
    static const char *const taken[] = {"heap",    "goroutine", "thread", "block", "threadcreate",
                                        "profile", "cmdline",   "symbol", "trace", "mutex"};
    struct prof_custom *p = (struct prof_custom *)handles;
    char name[102];
    for (int i = 0; bad[i]; i++)
        assert_int_equal(prof_custom_new(bad[i], &p), -EINVAL);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        assert_int_equal(prof_custom_new(taken[i], &p), -EEXIST);
    assert_null(p);
    assert_int_equal(prof_custom_new(NULL, &p), -EINVAL);
    assert_int_equal(prof_custom_new("test.null", NULL), -EINVAL);
    memset(name, 'n', sizeof name);
    name[101] = '\0';
    assert_int_equal(prof_custom_new(name, &p), -EINVAL);
    name[100] = '\0';
    assert_int_equal(prof_custom_new(name, &p), 0);
    assert_int_equal(prof_custom_new("test.once", &p), 0);
    assert_int_equal(prof_custom_new("test.once", &p), -EEXIST);
    assert_int_equal(prof_count("test.never"), -ENOENT);
}

static void a_minus_does_not_reach_the_sample_type(void **state)
{
    (void)state;
    static struct top t;
    struct prof_custom *p;
    char path[64];
    assert_int_equal(prof_custom_new("test.with-minus", &p), 0);
    assert_int_equal(serve(p, &handles[0], 0), 0);
    int fd = top_file(path);
    assert_int_equal(prof_write("test.with-minus", fd, 0), 0);
    close(fd);
    assert_true(top_read(&t, path, "test.with_minus", "count"));
    assert_int_equal(top_of(&t, "serve").cum, 1);
}

/* Each thread has handles of its own, adds them all, and removes two of three. */
enum { FORKS = TSAN ? 0 : 20 };
enum { THREADS = 8, EACH = 3000 };
static struct prof_custom *shared;

static void *add_and_remove(void *arg)
{
    const char *mine = arg;
    intptr_t wrong = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < EACH; i++)
            wrong += serve(shared, mine + i, 0) != (round && i % 3 == 0 ? -EEXIST : 0);
        for (int i = 0; i < EACH; i++)
            wrong += i % 3 != 0 && prof_custom_remove(shared, mine + i) != 0;
    }
    return (void *)wrong;
}

static void threads_do_not_meet(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    assert_int_equal(prof_custom_new("test.threads", &shared), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_remove, handles + i * EACH), 0);
    /* A child that is born meanwhile finds no lock held. The thread sanitizer would miss its
     * threads. */
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        int status;
        if (child == 0) {
            alarm(20);
            static char own;
            _exit(prof_custom_add(shared, &own, 0) == 0 && prof_custom_remove(shared, &own) == 0
                      ? 0
                      : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(prof_custom_count(shared), THREADS * EACH / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_handles_by_stack),
        cmocka_unit_test(text_is_as_of_any_count),
        cmocka_unit_test(misuse_is_refused),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(threads_do_not_meet),
        cmocka_unit_test(a_minus_does_not_reach_the_sample_type),
    };
    return cmocka_run_group_tests_name("custom", tests, NULL, NULL);
}
