/* What a host program does while it is profiled goes on as if it were not: children, other
 * programs, libraries and threads that come and go, memory that ends. */
#include "prof/thread.h"
#include "tests/host.h"

#include <dlfcn.h>
#include <spawn.h>

/* ---- children and other programs ----------------------------------------------------------- */

static void *write_until_stopped(void *arg)
{
    int fd = devnull();
    while (!stop)
        write_every_profile(fd);
    close(fd);
    return arg;
}

static void *push_until_stopped(void *arg)
{
    char value[16];
    for (int i = 0; !stop; i++) {
        snprintf(value, sizeof value, "%d", i % 1000);
        prof_label_push("i", value);
        free(malloc(100));
        prof_label_pop();
    }
    return arg;
}

static void use_everything_in_child(void)
{
    int fd = devnull();
    pthread_t thread;
    alarm(60);
    stop = false;
    CHECK_INT(prof_cpu_stop(-1), -EINVAL); /* the parent's profile is not the child's */
    CHECK_INT(prof_cpu_start(1000), 0);
    CHECK_INT(pthread_create(&thread, NULL, burn_until_stopped, NULL), 0);
    CHECK_INT(prof_label_push("child", "yes"), 0);
    burn(0.02);
    CHECK_INT(prof_label_pop(), 0);
    stop = true;
    pthread_join(thread, NULL);
    write_every_profile(fd);
    stop_with_samples();
    prof_set_heap_rate(1 << 20);
    _exit(0);
}

static void forks(void)
{
    pthread_t threads[4];
    CHECK_INT(prof_cpu_start(1000), 0);
    prof_set_heap_rate(4096);
    pthread_create(&threads[0], NULL, burn_until_stopped, NULL);
    pthread_create(&threads[1], NULL, write_until_stopped, NULL);
    pthread_create(&threads[2], NULL, push_until_stopped, NULL);
    pthread_create(&threads[3], NULL, write_until_stopped, NULL);
    for (int i = 0; i < 15; i++) {
        pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0)
            use_everything_in_child();
        check_exit(child);
    }
    stop = true;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    stop_with_samples();
}

static void after_exec(void)
{
    burn(0.3);
}

static void exec_during_profile(void)
{
    CHECK_INT(prof_cpu_start(1000), 0);
    burn(0.05);
    execl("/proc/self/exe", "host_test", "after_exec", NULL);
    CHECK(false, "execl: %s", strerror(errno));
}

/* The process-wide timer, which then serves, is one that exec keeps. */
static void exec_without_timers(void)
{
    no_signals_may_wait();
    exec_during_profile();
}

/* An attempt that fails leaves everything as it was, the timer too. */
static void failed_exec_without_timers(void)
{
    no_signals_may_wait();
    CHECK_INT(prof_cpu_start(1000), 0);
    CHECK_INT(execl("/nonexistent", "x", "y", NULL), -1);
    CHECK_INT(errno, ENOENT);
    CHECK_INT(execlp("nonexistent", "x", NULL), -1);
    CHECK_INT(execle("/nonexistent", "x", "y", NULL, environ), -1);
    burn(0.2);
    stop_with_samples();
}

/* Every argument arrives, and the environment. */
static void exec_arguments(void)
{
    char *environment[] = {"A=one", "B=two", NULL}, *none[] = {NULL};
    pid_t child = fork();
    if (child == 0)
        execle("/bin/sh", "sh", "-c", "test \"$A$B$1$2\" = onetwothreefour", "0", "three", "four",
               NULL, environment);
    check_exit(child);
    child = fork();
    if (child == 0)
        execlp("sh", "sh", "-c", "test \"$0$1\" = ab", "a", "b", NULL);
    check_exit(child);
    child = fork();
    if (child == 0)
        execvpe("true", (char *[]){"true", NULL}, none);
    check_exit(child);
}

static void spawns(void)
{
    pthread_t thread;
    char *argv[] = {"true", NULL};
    CHECK_INT(prof_cpu_start(1000), 0);
    pthread_create(&thread, NULL, burn_until_stopped, NULL);
    for (int i = 0; i < 100; i++) {
        pid_t child;
        CHECK_INT(posix_spawnp(&child, "true", NULL, NULL, argv, environ), 0);
        check_exit(child);
        child = vfork();
        if (child == 0) {
            execvp("true", argv);
            _exit(127);
        }
        check_exit(child);
    }
    for (int i = 0; i < 10; i++)
        CHECK_INT(system("exit 7"), 7 << 8);
    stop = true;
    pthread_join(thread, NULL);
    CHECK_INT(prof_cpu_stop(-1), 0);
}

/* ---- libraries and threads that come and go ------------------------------------------------ */

static void libraries(void)
{
    pthread_t thread;
    int fd = devnull();
    CHECK_INT(prof_cpu_start(1000), 0);
    prof_set_heap_rate(1);
    pthread_create(&thread, NULL, burn_until_stopped, NULL);
    double end = seconds(CLOCK_MONOTONIC) + 2;
    for (int i = 0; seconds(CLOCK_MONOTONIC) < end; i++) {
        void *library = dlopen("libthread_db.so.1", RTLD_LAZY);
        CHECK(library, "%s", dlerror());
        int (*init)(void) = (int (*)(void))dlsym(library, "td_init");
        CHECK(init && init() == 0, "td_init");
        if (i % 64 == 0)
            prof_dump_free(prof_dump_take());
        CHECK_INT(dlclose(library), 0);
    }
    stop = true;
    pthread_join(thread, NULL);
    CHECK_INT(prof_write("heap", fd, 0), 0); /* with stacks whose library has gone */
    CHECK_INT(prof_cpu_stop(fd), 0);
}

static atomic_int ran;

static void *run_briefly(void *arg)
{
    free(malloc(10));
    atomic_fetch_add(&ran, 1);
    return arg;
}

static void short_threads(void)
{
    pthread_t threads[10];
    struct rusage before, after;
    CHECK_INT(prof_cpu_start(1000), 0);
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 1000; i++) {
        for (int k = 0; k < 10; k++)
            CHECK_INT(pthread_create(&threads[k], NULL, run_briefly, NULL), 0);
        for (int k = 0; k < 10; k++)
            pthread_join(threads[k], NULL);
    }
    getrusage(RUSAGE_SELF, &after);
    CHECK_INT(ran, 10000);
    int slots = 0;
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        slots++;
    CHECK(slots < 100, "%d slots for 11 threads at a time", slots);
    if (!TSAN && !ASAN)
        CHECK(after.ru_maxrss - before.ru_maxrss < 20000, "grew by %ld KiB",
              after.ru_maxrss - before.ru_maxrss);
    struct prof_drops d;
    prof_drops(&d);
    CHECK_INT(d.cpu_timers, 0);
    CHECK_INT(prof_cpu_stop(-1), 0);
}

static pthread_key_t late_key;
static pthread_mutex_t late_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_int late_runs;

/* Runs in every round that there is, until after libprof's own. */
static void allocate_and_lock(void *arg)
{
    pthread_mutex_lock(&late_mutex);
    void *p = malloc(1000);
    late_runs++;
    pthread_mutex_unlock(&late_mutex);
    prof_label_push("late", "yes");
    free(realloc(p, 100000));
    pthread_setspecific(late_key, arg);
}

static void *leave_late(void *arg)
{
    pthread_setspecific(late_key, &late_key);
    return arg;
}

static void thread_destructors(void)
{
    prof_set_heap_rate(1);
    prof_set_block_rate_ns(1);
    prof_set_mutex_fraction(1);
    pthread_key_create(&late_key, allocate_and_lock);
    CHECK_INT(prof_cpu_start(1000), 0);
    pthread_t threads[4];
    for (int i = 0; i < 50; i++) {
        for (int k = 0; k < 4; k++)
            CHECK_INT(pthread_create(&threads[k], NULL, leave_late, NULL), 0);
        for (int k = 0; k < 4; k++)
            pthread_join(threads[k], NULL);
    }
    CHECK(late_runs >= 200, "%d runs", late_runs);
    CHECK_INT(prof_cpu_stop(-1), 0);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* The address space ends: the host's allocations fail as they would anyway, libprof's own do no
 * harm. */
static void no_memory(void)
{
    static void *blocks[100000];
    struct rlimit limit;
    int fd = devnull(), n = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    CHECK(f && fscanf(f, "%lu", &pages) == 1, "statm");
    fclose(f);
    prof_set_heap_rate(1);
    write_every_profile(fd); /* once with memory */
    CHECK_INT(prof_cpu_start(1000), 0);
    getrlimit(RLIMIT_AS, &limit);
    CHECK_INT(setrlimit(RLIMIT_AS, &(struct rlimit){(pages + 4096) * 4096, limit.rlim_max}), 0);
    while (n < 100000 && (blocks[n] = malloc(1000 + (size_t)n % 977)))
        n++;
    CHECK(n > 1000, "only %d blocks", n);
    pthread_t thread;
    for (int i = 0; i < 10; i++)
        if (pthread_create(&thread, NULL, run_briefly, NULL) == 0)
            pthread_join(thread, NULL);
    for (int i = 0; i < 1000; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        if (prof_label_push("i", value) == 0)
            CHECK_INT(prof_label_pop(), 0);
    }
    int rc = prof_write("heap", fd, 0);
    CHECK(rc == 0 || rc == -ENOMEM, "prof_write: %d", rc);
    rc = prof_write("goroutine", fd, 1);
    CHECK(rc == 0 || rc == -ENOMEM, "prof_write: %d", rc);
    burn(0.05);
    CHECK_INT(setrlimit(RLIMIT_AS, &limit), 0);
    for (int i = 0; i < n; i++)
        free(blocks[i]);
    write_every_profile(fd);
    CHECK_INT(prof_cpu_stop(fd), 0);
}

/* ---- the scenarios --------------------------------------------------------------------------- */

static const struct scenario scenarios[] = {
    {"after_exec", after_exec, true, true},
    /* The address sanitizer of gcc 12 forks without its allocator's locks: a child whose parent's
     * other threads allocate may wait for one for ever, in its malloc. */
    {"forks", forks, false, false},
    {"exec_during_profile", exec_during_profile, true, true},
    {"exec_without_timers", exec_without_timers, true, true},
    {"failed_exec_without_timers", failed_exec_without_timers, false, true},
    {"exec_arguments", exec_arguments, true, true},
    {"spawns", spawns, true, true},
    {"libraries", libraries, true, true},
    {"short_threads", short_threads, true, true},
    {"thread_destructors", thread_destructors, false, true},
    {"no_memory", no_memory, false, false},
};

int main(int argc, char **argv)
{
    (void)argc;
    return host_main("host", scenarios, sizeof scenarios / sizeof scenarios[0], argv);
}
