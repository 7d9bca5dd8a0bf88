/* The endpoints mounted on daemons of every kind that libmicrohttpd has. */
#include "prof/http.h"
#include "tests/http_client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

static char answer[1 << 20];
static struct prof_http *http;
static atomic_int completed_mine, completed_other;

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **request)
{
    static char mark;
    int mine =
        prof_http_handle(http, connection, url, method, upload_data, upload_data_size, request);

    (void)arg, (void)version;
    if (mine != PROF_HTTP_NOT_MINE)
        return (enum MHD_Result)mine;
    if (!*request) {
        *request = &mark;
        return MHD_YES;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(4, "mine", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static void completed(void *arg, struct MHD_Connection *connection, void **request,
                      enum MHD_RequestTerminationCode why)
{
    (void)arg, (void)connection, (void)why;
    if (!*request)
        return;
    if (prof_http_completed(http, request))
        completed_mine++;
    else
        completed_other++;
}

static struct MHD_Daemon *daemon_start(unsigned flags, unsigned pool, int *port)
{
    char address[64];

    assert_int_equal(prof_http_mount(NULL, &http), 0);
    int fd = prof_http_listen(http, "127.0.0.1:0", address, sizeof address);
    assert_true(fd >= 0);
    *port = atoi(strrchr(address, ':') + 1);
    completed_mine = completed_other = 0;
    return MHD_start_daemon(flags, 0, NULL, NULL, handle, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                            MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
                            MHD_OPTION_THREAD_POOL_SIZE, pool, MHD_OPTION_END);
}

static void daemon_stop(struct MHD_Daemon *daemon)
{
    prof_http_stop(http);
    MHD_stop_daemon(daemon);
    prof_http_free(http);
    http = NULL;
}

/* What does not take long is answered in every mode. */
static void check_snapshots(int port)
{
    assert_int_equal(client_get(port, "/hello", answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "mine"));
    assert_int_equal(client_get(port, "/debug/pprof/", answer, sizeof answer), 200);
    assert_int_equal(client_get(port, "/debug/pprof/heap", answer, sizeof answer), 200);
    assert_int_equal(client_get(port, "/debug/pprof/goroutine?debug=2", answer, sizeof answer),
                     200);
    assert_int_equal(client_get(port, "/debug/pprof/nosuch", answer, sizeof answer), 404);
    assert_int_equal(client_get(port, "/debug/pprofx", answer, sizeof answer), 200);
    assert_int_equal(
        client_read(client_ask(port, "DELETE", "/debug/pprof/heap"), answer, sizeof answer), 405);
}

/* A capture runs while others are answered. */
static void check_captures(int port)
{
    int cpu = client_ask(port, "GET", "/debug/pprof/profile?seconds=2");
    int heap = client_ask(port, "GET", "/debug/pprof/heap?seconds=2");
    double begun = client_now();

    check_snapshots(port);
    if (client_now() - begun < 1.5) { /* else the machine is too busy to tell */
        char c;
        assert_int_equal(recv(cpu, &c, 1, MSG_DONTWAIT), -1);
        assert_int_equal(recv(heap, &c, 1, MSG_DONTWAIT), -1);
    }
    assert_int_equal(client_read(cpu, answer, sizeof answer), 200);
    assert_int_equal(client_read(heap, answer, sizeof answer), 200);
}

static void check_mode(unsigned flags, unsigned pool)
{
    int port;
    struct MHD_Daemon *daemon = daemon_start(flags, pool, &port);

    assert_non_null(daemon);
    check_captures(port);
    int last = client_ask(port, "GET", "/debug/pprof/profile?seconds=600");
    assert_int_equal(client_get(port, "/hello", answer, sizeof answer), 200);
    daemon_stop(daemon); /* ends it */
    assert_true(client_read(last, answer, sizeof answer) != 200);
    /* Seven of check_captures, and the last unless the stop came before it was read. */
    assert_in_range(completed_mine, 7, 8);
    assert_int_equal(completed_other, 3);
}

enum { SUSPEND = MHD_ALLOW_SUSPEND_RESUME, THREAD = MHD_USE_INTERNAL_POLLING_THREAD };

static void test_thread_per_connection(void **state)
{
    (void)state;
    check_mode(THREAD | MHD_USE_THREAD_PER_CONNECTION, 0);
}

static void test_thread_per_connection_suspending(void **state)
{
    (void)state;
    check_mode(THREAD | MHD_USE_THREAD_PER_CONNECTION | SUSPEND, 0);
}

static void test_select(void **state)
{
    (void)state;
    check_mode(THREAD | SUSPEND, 0);
}

static void test_poll(void **state)
{
    (void)state;
    check_mode(THREAD | MHD_USE_POLL | SUSPEND, 0);
}

static void test_epoll(void **state)
{
    (void)state;
    check_mode(THREAD | MHD_USE_EPOLL | SUSPEND, 0);
}

static void test_pool(void **state)
{
    (void)state;
    check_mode(THREAD | MHD_USE_EPOLL | SUSPEND, 2);
}

/* Where captures would block everybody they are refused, and the rest is answered. */
static void test_without_suspension(void **state)
{
    int port;
    struct MHD_Daemon *daemon = daemon_start(THREAD, 0, &port);

    (void)state;
    assert_non_null(daemon);
    check_snapshots(port);
    assert_int_equal(client_get(port, "/debug/pprof/profile?seconds=1", answer, sizeof answer),
                     503);
    assert_non_null(strstr(answer, "MHD_ALLOW_SUSPEND_RESUME"));
    assert_int_equal(client_get(port, "/debug/pprof/heap?seconds=1", answer, sizeof answer), 503);
    daemon_stop(daemon);
}

static atomic_bool loop_end;

static void *external_loop(void *daemon)
{
    while (!loop_end)
        MHD_run_wait(daemon, 50);
    return NULL;
}

static void test_external_loop(void **state)
{
    int port;
    struct MHD_Daemon *daemon = daemon_start(MHD_USE_EPOLL | SUSPEND, 0, &port);
    pthread_t thread;

    (void)state;
    assert_non_null(daemon);
    loop_end = false;
    assert_int_equal(pthread_create(&thread, NULL, external_loop, daemon), 0);
    check_captures(port);
    prof_http_stop(http);
    loop_end = true;
    pthread_join(thread, NULL);
    daemon_stop(daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thread_per_connection),
        cmocka_unit_test(test_thread_per_connection_suspending),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_poll),
        cmocka_unit_test(test_epoll),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_without_suspension),
        cmocka_unit_test(test_external_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
