/* Programs whose main thread leaves by pthread_exit: the last thread of theirs ends the process,
 * though threads of libprof's are there, and not before; what is recorded keeps its names. */
#include "prof/trace.h"
#include "tests/host.h"

enum { PATIENCE_SECONDS = 60 };

static int told; /* the child's end of a pipe */

static void tell(char what)
{
    CHECK_INT(write(told, &what, 1), 1);
}

static void tell_of_exit(void)
{
    tell('e');
}

static void *work(void *arg)
{
    burn(0.005);
    tell('w');
    return arg;
}

/* The child's status; killed when it does not end. */
static int status_within(pid_t child)
{
    int status;
    for (double end = seconds(CLOCK_MONOTONIC) + PATIENCE_SECONDS; seconds(CLOCK_MONOTONIC) < end;
         usleep(5000))
        if (waitpid(child, &status, WNOHANG) == child)
            return status;
    kill(child, SIGKILL);
    CHECK_INT(waitpid(child, &status, 0), child);
    return status;
}

/* What main told on a pipe while it ran in a child, which must have ended with 0. */
static void check_told(void (*main)(void), const char *expected)
{
    char got[64] = "";
    int ends[2];
    CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        told = ends[1];
        atexit(tell_of_exit);
        main();
    }
    close(ends[1]);
    CHECK_INT(status_within(child), 0);
    CHECK(read(ends[0], got, sizeof got - 1) >= 0, "%s", strerror(errno));
    close(ends[0]);
    CHECK(strcmp(got, expected) == 0, "expected \"%s\", got \"%s\"", expected, got);
}

static void start_trace(void)
{
    CHECK_INT(prof_trace_start(devnull(), NULL), 0);
}

static void leave_alone(void)
{
    start_trace();
    pthread_exit(NULL);
}

static void leave_workers(void)
{
    pthread_t thread;
    start_trace();
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&thread, NULL, work, NULL), 0);
    pthread_exit(NULL);
}

/* Without threads of libprof's, as well: libprof's exit comes a little before libc's. */
static void leave_a_newborn(void)
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, work, NULL), 0);
    pthread_exit(NULL);
}

static void the_last_thread_ends_the_process(void)
{
    check_told(leave_alone, "e");
    check_told(leave_workers, "wwwwe");
    for (int i = 0; i < 50; i++)
        check_told(leave_a_newborn, "we");
}

/* ---- names ----------------------------------------------------------------------------------- */

static pthread_t main_thread;

static __attribute__((noinline)) void *allocate_without_main(void)
{
    void *volatile p = malloc(1000000); /* no tail call: the frame is looked for */
    return p;
}

static void *write_without_main(void *arg)
{
    char text[1 << 16];
    FILE *f = tmpfile();
    pthread_join(main_thread, NULL);
    void *p = allocate_without_main();
    CHECK_INT(prof_write("heap", fileno(f), 1), 0);
    rewind(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    CHECK(strstr(text, "allocate_without_main"), "got %s", text);
    CHECK(!strstr(text, "MaxRSS = 0\n"), "got %s", text);
    free(p);
    fclose(f);
    tell('n');
    return arg;
}

static void leave_a_writer(void)
{
    pthread_t thread;
    prof_set_heap_rate(1);
    main_thread = pthread_self();
    CHECK_INT(pthread_create(&thread, NULL, write_without_main, NULL), 0);
    pthread_exit(NULL);
}

static void names_are_known_without_main(void)
{
    check_told(leave_a_writer, "ne");
}

/* Not under the address sanitizer: its search for leaks at the end stops every thread, and the main
 * thread, which is no more, cannot be stopped. */
static const struct scenario scenarios[] = {
    {"the_last_thread_ends_the_process", the_last_thread_ends_the_process, .asan = false},
    {"names_are_known_without_main", names_are_known_without_main, .asan = false},
};

int main(int argc, char **argv)
{
    (void)argc;
    return host_main("own", scenarios, sizeof scenarios / sizeof scenarios[0], argv);
}
