/* The kernel's switch records as sched.c reads them: complete for threads that were there before,
 * that came later, and that these created; counted as the kernel counts; and a clear sentence where
 * they are refused. All of it as an ordinary user may do it, and as the privileged do. Nothing here
 * depends on how long anything takes: what is compared is what the kernel says of the same run. */
#include "prof/sched.h"
#include "prof/thread.h"
#include "tests/host.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 9, MAX_SWITCHES = 1 << 17, MAX_DELAYS = 1 << 14 };

static struct prof_switch switches[MAX_SWITCHES];
static struct prof_delay delays[MAX_DELAYS];
static size_t nswitches, ndelays;

static void read_all(void)
{
    bool all;
    do {
        struct prof_sched_batch b = {
            .switches = switches + nswitches,
            .max_switches = MAX_SWITCHES - nswitches,
            .delays = delays + ndelays,
            .max_delays = MAX_DELAYS - ndelays,
        };
        all = prof_sched_read(&b);
        nswitches += b.nswitches;
        ndelays += b.ndelays;
        assert_true(nswitches < MAX_SWITCHES && ndelays < MAX_DELAYS);
    } while (!all);
}

/* ---- threads that sleep and burn, and say what the kernel counted ---------------------------- */

struct worker {
    pthread_t thread;
    pid_t tid;
    bool creates; /* the next one, when recording has begun */
    struct count {
        int64_t time_ns;
        long switches[2]; /* waiting, preempted */
    } begin, end;
};

static struct worker workers[THREADS];
static atomic_int parked;
static atomic_bool go;

/* The calling thread's. */
static struct count count_switches(void)
{
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    return (struct count){prof_now_ns(), {u.ru_nvcsw, u.ru_nivcsw}};
}

static void sleep_us(long us)
{
    struct timespec t = {.tv_nsec = us * 1000};
    nanosleep(&t, NULL);
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    w->tid = prof_gettid();
    atomic_fetch_add(&parked, 1);
    while (!atomic_load(&go))
        sleep_us(1000);
    w->begin = count_switches();
    if (w->creates)
        assert_int_equal(pthread_create(&w[1].thread, NULL, run_worker, &w[1]), 0);
    for (int i = 0; i < 60; i++) {
        sleep_us(500);
        burn(0.0005);
    }
    w->end = count_switches();
    return NULL;
}

static void check_worker(const struct worker *w)
{
    long out[2] = {0}, in = 0;
    for (size_t i = 0; i < nswitches; i++)
        if (switches[i].tid == w->tid && switches[i].time_ns > w->begin.time_ns &&
            switches[i].time_ns < w->end.time_ns) {
            in += switches[i].kind == PROF_SWITCH_IN;
            out[0] += switches[i].kind == PROF_SWITCH_OUT;
            out[1] += switches[i].kind == PROF_SWITCH_PREEMPTED;
        }
    for (int i = 0; i < 2; i++) {
        long kernel = w->end.switches[i] - w->begin.switches[i];
        /* One may come between the count and its time, at both ends. */
        if (labs(out[i] - kernel) > 2 + kernel / 100)
            fail_msg("thread %d, %s: expected %ld switches as the kernel, got %ld", (int)w->tid,
                     i ? "preempted" : "waiting", kernel, out[i]);
    }
    assert_true(labs(in - out[0] - out[1]) <= 1);
    assert_true(w->end.switches[0] - w->begin.switches[0] >= 50);
}

static void start_or_skip(void)
{
    int err = prof_sched_start();
    nswitches = ndelays = 0;
    if (err == 0)
        return;
    print_message("%s\n", prof_sched_missing());
    assert_true(prof_sched_missing()[0]);
    skip();
}

static void every_thread_is_recorded(void **state)
{
    (void)state;
    atomic_store(&parked, 0);
    atomic_store(&go, false);
    memset(workers, 0, sizeof workers);
    for (int i = 0; i < 6; i += 2) { /* three that were there, each of which creates another */
        workers[i].creates = true;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    }
    while (atomic_load(&parked) < 3)
        sleep_us(1000);
    start_or_skip();
    atomic_store(&go, true);
    for (int i = 6; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    for (int i = 0; i < THREADS; i += 2)
        pthread_join(workers[i].thread, NULL);
    for (int i = 1; i < THREADS; i += 2)
        pthread_join(workers[i].thread, NULL);
    read_all();
    prof_sched_stop();
    assert_string_equal(prof_sched_missing(), "");
    assert_int_equal(prof_sched_lost(), 0);
    for (int i = 0; i < THREADS; i++)
        check_worker(&workers[i]);
}

/* ---- order, and a thread that never stops running -------------------------------------------- */

static void records_are_in_order(void **state)
{
    (void)state;
    start_or_skip();
    for (int round = 0; round < 20; round++) {
        sleep_us(2000);
        read_all();
    }
    prof_sched_stop();
    assert_true(nswitches >= 40);
    for (size_t i = 1; i < nswitches; i++)
        assert_true(switches[i - 1].time_ns <= switches[i].time_ns);
}

static void *burn_until_told(void *arg)
{
    atomic_int *tid = arg;
    atomic_store(tid, prof_gettid());
    while (!atomic_load(&stop))
        ;
    return NULL;
}

/* It ran before the recording and runs on: its first record must say that it runs, though the
 * kernel had no reason to write one. */
static void a_thread_that_runs_is_told(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_int tid = 0;
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&thread, NULL, burn_until_told, &tid), 0);
    while (!atomic_load(&tid))
        sleep_us(1000);
    start_or_skip();
    sleep_us(20000);
    read_all();
    const struct prof_switch *first = NULL, *self = NULL;
    for (size_t i = 0; i < nswitches; i++) {
        if (!first && switches[i].tid == atomic_load(&tid))
            first = &switches[i];
        if (!self && switches[i].tid == prof_gettid())
            self = &switches[i];
    }
    struct prof_switch running[64];
    size_t n = prof_sched_running(running, 64);
    prof_sched_stop();
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    /* On a loaded machine it may just have been without a CPU all the time. */
    if (!first)
        skip();
    assert_int_equal(first->kind, PROF_SWITCH_IN);
    assert_non_null(self);
    assert_int_equal(self->kind, PROF_SWITCH_IN); /* this thread called start */
    assert_true(n > 0 && n <= (size_t)sysconf(_SC_NPROCESSORS_CONF) + 1);
}

static void *end_at_once(void *arg)
{
    return arg;
}

/* An ordinary user's records do not tell a thread's end. */
static void ended_threads_run_no_more(void **state)
{
    (void)state;
    struct prof_switch running[64];
    start_or_skip();
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, end_at_once, NULL), 0);
        pthread_join(thread, NULL);
    }
    read_all();
    size_t n = prof_sched_running(running, 64);
    prof_sched_stop();
    assert_true(nswitches >= 200);
    if (n > (size_t)sysconf(_SC_NPROCESSORS_CONF))
        fail_msg("expected at most one thread running on each CPU, got %zu", n);
}

/* ---- begin, end, fork ------------------------------------------------------------------------ */

static void starts_nest_and_repeat(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        start_or_skip();
        assert_int_equal(prof_sched_start(), 0);
        prof_sched_stop();
        sleep_us(200);
        read_all();
        assert_true(nswitches > 0);
        prof_sched_stop();
    }
    prof_sched_stop(); /* one too many does nothing */
}

static int count_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void nothing_is_left_open(void **state)
{
    (void)state;
    int before = count_descriptors();
    start_or_skip();
    assert_true(count_descriptors() > before);
    pid_t child = fork();
    if (child == 0)
        _exit(count_descriptors() == before ? prof_sched_start() != 0 : 9);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    prof_sched_stop();
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(count_descriptors(), before);
}

/* ---- refused --------------------------------------------------------------------------------- */

/* In a child, whose perf_event_open fails with this error. */
static void refuse(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = 4, .filter = code};
    CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

static void check_refused(int error, const char *advice)
{
    pid_t child = fork();
    if (child == 0) {
        refuse(error);
        int before = count_descriptors();
        CHECK_INT(prof_sched_start(), -error);
        CHECK(strstr(prof_sched_missing(), strerrorname_np(error)) ||
                  strstr(prof_sched_missing(), "perf_event_paranoid"),
              "%s", prof_sched_missing());
        CHECK(strstr(prof_sched_missing(), advice) != NULL ||
                  strstr(prof_sched_missing(), "perf_event_paranoid"),
              "%s: expected it to say '%s'", prof_sched_missing(), advice);
        CHECK_INT(count_descriptors(), before);
        prof_sched_stop();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_refusal_is_explained(void **state)
{
    (void)state;
    check_refused(EACCES, "--cap-add PERFMON");
    check_refused(EPERM, "--cap-add PERFMON");
    check_refused(ENOSYS, "no such call");
    check_refused(EMFILE, "ulimit -n");
}

static void few_descriptors_cost_threads_not_the_trace(void **state)
{
    (void)state;
    pid_t child;
    start_or_skip();
    prof_sched_stop();
    child = fork();
    if (child == 0) {
        struct rlimit l;
        int next = dup(0);
        close(next);
        getrlimit(RLIMIT_NOFILE, &l);
        l.rlim_cur = (rlim_t)next + 8 + 2 * (rlim_t)sysconf(_SC_NPROCESSORS_CONF);
        setrlimit(RLIMIT_NOFILE, &l);
        atomic_store(&go, false);
        for (int i = 0; i < THREADS; i++)
            CHECK_INT(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
        CHECK_INT(prof_sched_start(), 0);
        CHECK(strstr(prof_sched_missing(), "no switch records of") &&
                  strstr(prof_sched_missing(), "ulimit -n"),
              "%s", prof_sched_missing());
        int fd = dup(0);
        CHECK(fd >= 0, "no descriptor is left to the program");
        prof_sched_stop();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- with and without the privilege ---------------------------------------------------------- */

static struct __user_cap_data_struct privileges[2];

static int set_privileges(const struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct self = {_LINUX_CAPABILITY_VERSION_3, 0};
    return syscall(SYS_capset, &self, data) == 0 ? 0 : -1;
}

/* For this thread, which is the one that starts; its threads to come have what it has. */
static int become_ordinary(void **state)
{
    struct __user_cap_header_struct self = {_LINUX_CAPABILITY_VERSION_3, 0};
    (void)state;
    if (syscall(SYS_capget, &self, privileges) != 0)
        return -1;
    struct __user_cap_data_struct fewer[2] = {privileges[0], privileges[1]};
    fewer[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
    fewer[CAP_TO_INDEX(CAP_PERFMON)].effective &= ~CAP_TO_MASK(CAP_PERFMON);
    return set_privileges(fewer);
}

static int become_privileged(void **state)
{
    (void)state;
    return set_privileges(privileges);
}

#define ORDINARY(test)                                                                             \
    {                                                                                              \
#test ", ordinary user", (test), become_ordinary, become_privileged, NULL                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_is_recorded),
        ORDINARY(every_thread_is_recorded),
        cmocka_unit_test(records_are_in_order),
        ORDINARY(records_are_in_order),
        cmocka_unit_test(a_thread_that_runs_is_told),
        ORDINARY(a_thread_that_runs_is_told),
        cmocka_unit_test(ended_threads_run_no_more),
        ORDINARY(ended_threads_run_no_more),
        cmocka_unit_test(starts_nest_and_repeat),
        ORDINARY(starts_nest_and_repeat),
        cmocka_unit_test(nothing_is_left_open),
        ORDINARY(nothing_is_left_open),
        cmocka_unit_test(a_refusal_is_explained),
        ORDINARY(few_descriptors_cost_threads_not_the_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
