/* The goroutine and threadcreate profiles as text: what Go's tools and people's eyes expect. */
#include "prof/pprof.h"
#include "tests/sanitized.h"
#include "tests/top.h"
#include "tests/until_waiting.h"

#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>

#include <cmocka.h>

enum { WORKERS = 3 };
static pthread_barrier_t there;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static char text[1 << 18];

static __attribute__((noinline)) void wait_at_gate(void)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
}

static void *work(void *arg)
{
    prctl(PR_SET_NAME, "a \"worker\"");
    prof_label_push("pool", "blue");
    pthread_barrier_wait(&there);
    wait_at_gate();
    return arg;
}

static __attribute__((noinline)) void start_workers(pthread_t *threads)
{
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
}

/* Everybody waits at the gate, which this thread holds. */
static void write_text(const char *name, int debug)
{
    pthread_t threads[WORKERS];
    char path[64];
    int fd = top_file(path);
    pthread_barrier_init(&there, NULL, WORKERS + 1);
    pthread_mutex_lock(&gate);
    start_workers(threads);
    pthread_barrier_wait(&there);
    until_waiting(WORKERS, PROF_WAIT_MUTEX);
    int rc = prof_write(name, fd, debug);
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    unlink(path);
    assert_int_equal(rc, 0);
    assert_true(n > 0);
    text[n] = '\0';
}

/* Newlines are ordinary characters in the pattern. */
static void check_like(const char *pattern)
{
    regex_t re;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int rc = regexec(&re, text, 0, NULL, 0);
    regfree(&re);
    if (rc != 0)
        fail_msg("expected something like\n%s\ngot\n%.3000s", pattern, text);
}

static void by_stack(void **state)
{
    (void)state;
    if (TSAN)
        skip();
    write_text("thread", 1); /* the alias */
    assert_int_equal(strncmp(text, "goroutine profile: total ", 25), 0);
    check_like("\n3 @( 0x[0-9a-f]+)+\n# labels: [{]\"pool\":\"blue\"[}]\n(#\t[^\n]*\n)*"
               "#\t0x[0-9a-f]+\twait_at_gate[+]0x[0-9a-f]+\t+[^\n]*goroutine_text_test.c:[0-9]+\n");
}

static void by_thread(void **state)
{
    (void)state;
    if (TSAN)
        skip();
    write_text("goroutine", 2);
    assert_int_equal(strncmp(text, "goroutine ", 10), 0);
    check_like("\n\ngoroutine [0-9]+ [[]sleeping, waiting: mutex 0x[0-9a-f]+, for [0-9.]+ m?s, "
               "name \"a .\"worker.\"\", labels [{]\"pool\":\"blue\"[}][^\n]*[]]:\n");
    check_like("\nwait_at_gate[(][.]{3}[)]\n\t[^\n]*goroutine_text_test.c:[0-9]+ [+]0x[0-9a-f]+\n");
    check_like("\ncreated by start_workers\n\t[^\n]*goroutine_text_test.c:[0-9]+ [+]0x[0-9a-f]+\n");
}

static void creators(void **state)
{
    (void)state;
    write_text("threadcreate", 1);
    check_like("^threadcreate profile: total [0-9]+\n");
    check_like("\n[0-9]+ @( 0x[0-9a-f]+)+\n#\t0x[0-9a-f]+\tstart_workers[+]0x");
    check_like("\n1 @ 0x[0-9a-f]+\n#\t0x[0-9a-f]+\t_start[+]0x"); /* the first thread */
}

static void other_levels_are_refused(void **state)
{
    (void)state;
    assert_int_equal(prof_write("goroutine", 2, 3), -EINVAL);
    assert_int_equal(prof_write("goroutine", 2, -1), -EINVAL);
    assert_int_equal(prof_write("threadcreate", 2, 2), -EINVAL);
    assert_int_equal(prof_write("goroutines", 2, 0), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_stack),
        cmocka_unit_test(by_thread),
        cmocka_unit_test(creators),
        cmocka_unit_test(other_levels_are_refused),
    };
    return cmocka_run_group_tests_name("goroutine_text", tests, NULL, NULL);
}
