/* The endpoints on an address of their own: options, limits, the end of captures, and that the
 * program around them is left in peace. */
#include "prof/http.h"
#include "tests/http_client.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

static char answer[1 << 20];

static int port_of(const struct prof_http *http)
{
    return atoi(strrchr(prof_http_address(http), ':') + 1);
}

static struct prof_http *started(struct prof_http_options options)
{
    struct prof_http *http = NULL;

    options.address = "127.0.0.1:0";
    int err = prof_http_start(&options, &http);
    if (err || !http)
        fail_msg("prof_http_start: %d %s", err, prof_http_error());
    return http;
}

/* Whether the condition comes true within the seconds. */
static bool within(double seconds, bool (*condition)(void))
{
    for (double end = client_now() + seconds; client_now() < end; usleep(5000))
        if (condition())
            return true;
    return condition();
}

static bool cpu_is_free(void)
{
    if (prof_cpu_start(0) != 0)
        return false;
    prof_cpu_stop(-1);
    return true;
}

/* A capture that runs. Looking whether it does takes the profiler for a moment, which may be the
 * moment that the capture wanted it: then it was refused, and asks again. */
static int start_capture(int port)
{
    int fd = client_ask(port, "GET", "/debug/pprof/profile?seconds=600");
    char c;

    for (double end = client_now() + 20; client_now() < end; usleep(20000)) {
        if (recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) >= 0) {
            close(fd);
            fd = client_ask(port, "GET", "/debug/pprof/profile?seconds=600");
        } else if (!cpu_is_free()) {
            return fd;
        }
    }
    fail_msg("the capture does not start");
    return -1;
}

/* ---- options ------------------------------------------------------------------------------------
 */

static void check_refused(const struct prof_http_options *o, int expected, const char *text)
{
    struct prof_http *http = (struct prof_http *)-1;
    int err = prof_http_start(o, &http);

    if (err != expected || http || !strstr(prof_http_error(), text) ||
        strchr(prof_http_error(), '\n'))
        fail_msg("expected %d and \"%s\", got %d and \"%s\"", expected, text, err,
                 prof_http_error());
}

static void test_options_are_checked(void **state)
{
    (void)state;
    check_refused(&(struct prof_http_options){.max_requests = -1}, -EINVAL, "max_requests is -1");
    check_refused(&(struct prof_http_options){.max_requests = 1025}, -EINVAL, "1 to 1024");
    check_refused(&(struct prof_http_options){.max_seconds = 86401}, -EINVAL, "max_seconds");
    check_refused(&(struct prof_http_options){.connection_seconds = -5}, -EINVAL, "connection_sec");
    check_refused(&(struct prof_http_options){.cpu_hz = 10001}, -EINVAL, "cpu_hz is 10001");
    check_refused(&(struct prof_http_options){.user = "a:b"}, -EINVAL, "colon");
    check_refused(&(struct prof_http_options){.address = "no port"}, -EINVAL, "no port");
    check_refused(&(struct prof_http_options){.address = "0.0.0.0:0"}, -EPERM, "PPROF_PASSWORD");
    check_refused(&(struct prof_http_options){.address = "192.0.2.1:0", .password = "x"},
                  -EADDRNOTAVAIL, "cannot listen on 192.0.2.1:0");
}

static void test_address_in_use(void **state)
{
    struct prof_http *http = started((struct prof_http_options){0});

    (void)state;
    check_refused(&(struct prof_http_options){.address = prof_http_address(http)}, -EADDRINUSE,
                  "in use");
    prof_http_free(http);
}

static void test_disabled(void **state)
{
    struct prof_http *http = (struct prof_http *)-1;
    void *request = NULL;

    (void)state;
    setenv("ENABLE_PPROF", "no", 1);
    assert_int_equal(prof_http_start(NULL, &http), 0);
    unsetenv("ENABLE_PPROF");
    assert_null(http);
    assert_int_equal(prof_http_handle(http, NULL, "/debug/pprof/", "GET", NULL, NULL, &request),
                     PROF_HTTP_NOT_MINE);
    assert_false(prof_http_completed(http, &request));
    assert_string_equal(prof_http_address(http), "");
    prof_http_stop(http);
    prof_http_free(http);
}

/* The environment fills what an option leaves at zero, and only that. */
static void test_environment(void **state)
{
    (void)state;
    setenv("PPROF_MAX_SECONDS", "7", 1);
    struct prof_http *http = started((struct prof_http_options){0});
    assert_int_equal(
        client_get(port_of(http), "/debug/pprof/heap?seconds=8", answer, sizeof answer), 400);
    assert_non_null(strstr(answer, "at most 7"));
    prof_http_free(http);
    http = started((struct prof_http_options){.max_seconds = 9});
    unsetenv("PPROF_MAX_SECONDS");
    client_get(port_of(http), "/debug/pprof/heap?seconds=10", answer, sizeof answer);
    assert_non_null(strstr(answer, "at most 9"));
    prof_http_free(http);
}

/* ---- the server of its own
 * ------------------------------------------------------------------------ */

static void test_serves(void **state)
{
    struct prof_http *http = started((struct prof_http_options){0});
    const int port = port_of(http);

    (void)state;
    assert_int_equal(client_get(port, "/debug/pprof/", answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "goroutine"));
    assert_int_equal(client_get(port, "/debug/pprof/heap", answer, sizeof answer), 200);
    assert_int_equal(client_get(port, "/debug/pprof/heap?debug=1", answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "heap profile: "));
    assert_int_equal(client_get(port, "/debug/pprof/profile?seconds=1", answer, sizeof answer),
                     200);
    assert_int_equal(client_get(port, "/debug/pprof/allocs?seconds=1", answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "filename=\"allocs-delta\""));
    assert_int_equal(client_get(port, "/debug/pprof/heap%00", answer, sizeof answer), 404);
    assert_int_equal(client_get(port, "/", answer, sizeof answer), 302);
    assert_int_equal(client_get(port, "/metricsandmore", answer, sizeof answer), 404);
    assert_non_null(strstr(answer, "404 page not found\n"));
    prof_http_free(http);
    assert_int_equal(client_connect(port), -1);
}

/* A program's own profile is listed and served beside the others. */
static void test_custom_profiles(void **state)
{
    struct prof_http *http = started((struct prof_http_options){0});
    const int port = port_of(http);
    struct prof_custom *p;

    (void)state;
    assert_int_equal(prof_custom_new("test.sockets", &p), 0);
    assert_int_equal(prof_custom_add(p, &p, 0), 0);
    assert_int_equal(client_get(port, "/debug/pprof/", answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "data-count='test.sockets'>1<"));
    assert_int_equal(client_get(port, "/debug/pprof/test.sockets?debug=1", answer, sizeof answer),
                     200);
    assert_non_null(strstr(answer, "test.sockets profile: total 1"));
    prof_http_free(http);
}

static void test_client_hangs_up(void **state)
{
    struct prof_http *http = started((struct prof_http_options){0});

    (void)state;
    for (int i = 0; i < 2; i++) {
        close(start_capture(port_of(http)));
        assert_true(within(20, cpu_is_free));
    }
    prof_http_free(http);
}

/* A stop does not wait for captures, and says to their clients why they end. */
static void test_stop_ends_captures(void **state)
{
    struct prof_http *http = started((struct prof_http_options){0});
    int cpu = start_capture(port_of(http));
    int heap = client_ask(port_of(http), "GET", "/debug/pprof/heap?seconds=600");
    double begun = client_now();

    (void)state;
    assert_int_equal(client_get(port_of(http), "/debug/pprof/heap", answer, sizeof answer), 200);
    prof_http_free(http);
    assert_true(client_now() - begun < 60);
    assert_int_equal(client_read(cpu, answer, sizeof answer), 503);
    assert_non_null(strstr(answer, "the server is stopping"));
    assert_int_equal(client_read(heap, answer, sizeof answer), 503);
    assert_true(cpu_is_free());
}

static void test_too_many_requests(void **state)
{
    struct prof_http *http = started((struct prof_http_options){.max_requests = 2});
    int first = client_ask(port_of(http), "GET", "/debug/pprof/heap?seconds=600");
    int second = client_ask(port_of(http), "GET", "/debug/pprof/allocs?seconds=600");
    int status = 0;

    (void)state;
    for (double end = client_now() + 20; status != 503 && client_now() < end;)
        status = client_get(port_of(http), "/debug/pprof/heap", answer, sizeof answer);
    assert_int_equal(status, 503);
    assert_non_null(strstr(answer, "X-Go-Pprof: 1"));
    close(first);
    for (double end = client_now() + 20; status != 200 && client_now() < end;)
        status = client_get(port_of(http), "/debug/pprof/heap", answer, sizeof answer);
    assert_int_equal(status, 200);
    close(second);
    prof_http_free(http);
}

/* A client that sends a byte now and then keeps no connection for ever, nor does one that sends
 * nothing. */
static void test_slow_clients_are_cut(void **state)
{
    struct prof_http *http = started((struct prof_http_options){.connection_seconds = 1});
    int idle = client_connect(port_of(http)), slow = client_connect(port_of(http));
    double begun = client_now();
    char c;

    (void)state;
    while (send(slow, "G", 1, MSG_NOSIGNAL) == 1 && client_now() - begun < 30)
        usleep(100000);
    assert_true(client_now() - begun < 30);
    assert_true(recv(idle, &c, 1, 0) <= 0);
    assert_true(client_now() - begun < 30);
    close(idle);
    close(slow);
    /* A capture is longer than that, and is not cut. */
    assert_int_equal(
        client_get(port_of(http), "/debug/pprof/heap?seconds=2", answer, sizeof answer), 200);
    prof_http_free(http);
}

/* A connection that has been served once and stays open. */
static int stay_connected(int port)
{
    static const char request[] = "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int fd = client_connect(port);
    char c;

    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    assert_int_equal(recv(fd, &c, 1, 0), 1);
    return fd;
}

/* With all connections taken one more client waits, and is served when one of them ends. */
static void test_all_connections_taken(void **state)
{
    enum { CONNECTIONS = 17 }; /* one request, and 16 to spare */
    struct prof_http *http = started((struct prof_http_options){.max_requests = 1});
    int taken[CONNECTIONS], waiting;

    (void)state;
    for (int i = 0; i < CONNECTIONS; i++)
        taken[i] = stay_connected(port_of(http));
    waiting = client_ask(port_of(http), "GET", "/debug/pprof/heap");
    close(taken[0]);
    assert_int_equal(client_read(waiting, answer, sizeof answer), 200);
    for (int i = 1; i < CONNECTIONS; i++)
        close(taken[i]);
    prof_http_free(http);
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* With no descriptor left to take a client with, the server neither spins nor gives up. */
static void test_out_of_descriptors(void **state)
{
    struct prof_http *http = started((struct prof_http_options){0});
    struct rlimit old, low;
    int last = dup(0), client;

    (void)state;
    close(last);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = (struct rlimit){.rlim_cur = (rlim_t)last + 1, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    client = client_ask(port_of(http), "GET", "/debug/pprof/heap");
    double begun = cpu_seconds();
    usleep(600000);
    double used = cpu_seconds() - begun;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(client, last);
    if (used > 0.2)
        fail_msg("expected the server to wait; in 0.6 s it used %.3f s of CPU time", used);
    assert_int_equal(client_read(client, answer, sizeof answer), 200);
    prof_http_free(http);
}

static void *hammer(void *arg)
{
    static const char *const paths[] = {
        "/debug/pprof/heap",   "/debug/pprof/goroutine?debug=1", "/debug/pprof/",
        "/debug/pprof/nosuch", "/debug/pprof/allocs?debug=1",    "/debug/pprof/symbol?0x1234"};
    char *page = malloc(1 << 20);
    long bad = 0;

    for (int i = 0; i < 30; i++) {
        int status = client_get(*(int *)arg, paths[i % 6], page, 1 << 20);
        if (status != (i % 6 == 3 ? 404 : 200)) {
            fprintf(stderr, "# %s: %d %.200s\n", paths[i % 6], status, page);
            bad++;
        }
    }
    free(page);
    return (void *)bad;
}

/* Threads and descriptors are what they were before. */
static void test_leaves_nothing(void **state)
{
    int fds = 0, threads = 0;

    (void)state;
    for (int round = 0; round < 6; round++) {
        struct prof_http *http = started((struct prof_http_options){0});
        int port = port_of(http);
        pthread_t clients[4];
        for (int i = 0; i < 4; i++)
            pthread_create(&clients[i], NULL, hammer, &port);
        for (int i = 0; i < 10; i++)
            close(client_ask(port, "GET", "/debug/pprof/heap?seconds=600"));
        for (int i = 0; i < 4; i++) {
            void *bad;
            pthread_join(clients[i], &bad);
            assert_null(bad);
        }
        prof_http_free(http);
        if (round == 0) {
            fds = count_entries("/proc/self/fd");
            threads = count_entries("/proc/self/task");
        }
    }
    assert_int_equal(count_entries("/proc/self/fd"), fds);
    assert_true(count_entries("/proc/self/task") <= threads);
}

/* ---- the program around it
 * ---------------------------------------------------------------------------- */

/* The blocked signals of the thread with the name, or 0. */
static uint64_t blocked_signals(const char *name)
{
    DIR *d = opendir("/proc/self/task");
    uint64_t blocked = 0;

    for (struct dirent *e; (e = readdir(d));) {
        char path[300], line[256];
        unsigned long long mask = 0;
        bool found = false;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
        while (f && fgets(line, sizeof line, f)) {
            found |= !strncmp(line, "Name:", 5) && strstr(line, name);
            sscanf(line, "SigBlk: %llx", &mask);
        }
        if (f)
            fclose(f);
        if (found)
            blocked = mask;
    }
    closedir(d);
    return blocked;
}

static void test_threads_take_no_signals(void **state)
{
    struct prof_http *http = started((struct prof_http_options){0});
    int fd = start_capture(port_of(http));
    const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGPIPE};

    (void)state;
    uint64_t server = blocked_signals("prof-http"), capture = blocked_signals("prof-capture");
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        assert_true(server & UINT64_C(1) << (signals[i] - 1));
        assert_true(capture & UINT64_C(1) << (signals[i] - 1));
    }
    close(fd);
    prof_http_free(http);
}

/* The child has no endpoints, may free what it inherited, and does not keep the port when the
 * parent lets it go. */
static void test_fork(void **state)
{
    struct prof_http *http = started((struct prof_http_options){0});
    const int port = port_of(http);
    int go[2], stopped[2];
    char c;
    int capture = client_ask(port, "GET", "/debug/pprof/heap?seconds=600");

    (void)state;
    assert_int_equal(pipe(stopped), 0);
    assert_int_equal(client_get(port, "/debug/pprof/heap", answer, sizeof answer), 200);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        prof_http_stop(http);
        prof_http_free(http);
        _exit(write(stopped[1], "", 1) == 1 && read(go[0], &c, 1) == 1 ? 7 : 1);
    }
    close(go[0]);
    /* Until then the listening socket is the child's, too. */
    assert_int_equal(read(stopped[0], &c, 1), 1);
    assert_int_equal(client_get(port, "/debug/pprof/heap", answer, sizeof answer), 200);
    prof_http_free(http);
    assert_int_equal(client_connect(port), -1);
    assert_int_equal(client_read(capture, answer, sizeof answer), 503);
    assert_int_equal(write(go[1], "", 1), 1);
    close(go[1]);
    close(stopped[0]);
    close(stopped[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_are_checked),
        cmocka_unit_test(test_address_in_use),
        cmocka_unit_test(test_disabled),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_serves),
        cmocka_unit_test(test_custom_profiles),
        cmocka_unit_test(test_client_hangs_up),
        cmocka_unit_test(test_stop_ends_captures),
        cmocka_unit_test(test_too_many_requests),
        cmocka_unit_test(test_slow_clients_are_cut),
        cmocka_unit_test(test_all_connections_taken),
        cmocka_unit_test(test_out_of_descriptors),
        cmocka_unit_test(test_leaves_nothing),
        cmocka_unit_test(test_threads_take_no_signals),
        cmocka_unit_test(test_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
