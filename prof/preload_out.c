/* Profiles at the end of a process: one file each, in the process' folder, whole or not at all.
 *
 * The host has little left by then that could be relied on. It may have closed every descriptor, so
 * that the next one opened is its standard output; files are opened here, late, and moved out of
 * the way. It may have changed its user: then the folder has to be one that it may write to. It may
 * be in a limit on file sizes, whose signal must not change how the process ends. Entered through
 * prof_out_write. */
#include "prof/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_DESCRIPTOR = 64, FOLDERS_MAX = 100, PAUSE_NS = 10000000 };

static const char *const names[] = {"heap",         "allocs", "goroutine",
                                    "threadcreate", "block",  "mutex"};

enum state { NOT_YET, WRITING, DONE };
static _Atomic enum state state;
static _Atomic int64_t began_ns;
static const int64_t patience_ns = INT64_C(10000000000);

/* ---- complaints ------------------------------------------------------------------------------ */

static struct stat standard_error; /* what it was before main; zero: nothing */

void prof_complain_init(void)
{
    if (fstat(STDERR_FILENO, &standard_error) != 0)
        standard_error = (struct stat){0};
}

void prof_complain(const char *format, ...)
{
    char line[PATH_MAX + 256];
    struct stat now;
    va_list args;
    if (fstat(STDERR_FILENO, &now) != 0 || now.st_ino != standard_error.st_ino ||
        now.st_dev != standard_error.st_dev)
        return;
    int n = snprintf(line, sizeof line - 1, "prof: ");
    va_start(args, format);
    vsnprintf(line + n, sizeof line - 1 - (size_t)n, format, args);
    va_end(args);
    strcat(line, "\n");
    prof_write_all(STDERR_FILENO, line, strlen(line));
}

/* ---- the folder ------------------------------------------------------------------------------ */

static char own_folder[PATH_MAX + 64]; /* "": not made yet */

/* Two processes of one name and id: the kernel has used the id again. */
static int make_own_folder(void)
{
    const struct prof_preload *p = &prof_preload;
    char path[sizeof own_folder];
    for (int i = 1; i <= FOLDERS_MAX; i++) {
        int n = snprintf(path, sizeof path, "%s/%s-%d", p->out, p->name, (int)p->pid);
        if (i > 1)
            snprintf(path + n, sizeof path - (size_t)n, "-%d", i);
        if (mkdir(path, 0777) == 0) {
            strcpy(own_folder, path);
            return 0;
        }
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

/* The descriptor of the folder to write into, or a negative errno. */
static int open_folder(void)
{
    int err = !prof_preload.first && !*own_folder ? make_own_folder() : 0;
    if (err)
        return err;
    int dir =
        open(prof_preload.first ? prof_preload.out : own_folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -errno : dir;
}

/* ---- a file ---------------------------------------------------------------------------------- */

static int write_cpu(const char *unused, int fd)
{
    (void)unused;
    return prof_cpu_whole_stop(fd);
}

static int write_named(const char *name, int fd)
{
    return prof_write(name, fd, 0);
}

/* Threads of the host still run, and print to descriptors that the host closed long ago. */
static int open_hidden(int dir, const char *hidden)
{
    int fd = openat(dir, hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR);
    if (high < 0)
        return fd;
    close(fd);
    return high;
}

static int write_address(const char *address, int fd)
{
    int err = prof_write_all(fd, address, strlen(address));
    return err ? err : prof_write_all(fd, "\n", 1);
}

/* path becomes a file of what write_to(arg, fd) writes. */
static int write_file(int dir, const char *path, const char *arg,
                      int (*write_to)(const char *arg, int fd))
{
    char hidden[96];
    snprintf(hidden, sizeof hidden, ".%s.%d", path, (int)prof_preload.pid);
    int fd = open_hidden(dir, hidden);
    if (fd < 0)
        return fd;
    int err = write_to(arg, fd);
    if (close(fd) != 0 && !err)
        err = -errno;
    if (!err && renameat(dir, hidden, dir, path) != 0)
        err = -errno;
    if (err)
        unlinkat(dir, hidden, 0);
    return err;
}

/* All that can be written are; the first error. */
static int write_files(int dir)
{
    char path[64];
    int first = prof_preload.cpu ? write_file(dir, "cpu.pb.gz", NULL, write_cpu) : 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s.pb.gz", names[i]);
        int err = write_file(dir, path, names[i], write_named);
        first = first ? first : err;
    }
    return first;
}

void prof_out_address(const char *address)
{
    int dir = *prof_preload.out ? open_folder() : -1;
    if (dir < 0)
        return;
    write_file(dir, "address", address, write_address);
    close(dir);
}

/* ---- at the end ------------------------------------------------------------------------------ */

static int write_profiles(void)
{
    int dir = open_folder();
    if (dir < 0)
        return dir;
    int err = write_files(dir);
    close(dir);
    return err;
}

/* The trace first: it is about the program's time, not about that of writing its profiles. */
static void write_all(void)
{
    if (prof_out_traces())
        prof_out_trace_finish();
    int err = *prof_preload.out ? write_profiles() : 0;
    if (err && prof_preload.first)
        prof_complain("cannot write the profiles to %s: %s", prof_preload.out,
                      strerrordesc_np(-err));
}

/* A process that hardly ran has nothing to show, and a program may have thousands of them. */
static bool worth_it(void)
{
    return prof_preload.first || prof_cpu_whole_count() > 0;
}

bool prof_out_in_progress(void)
{
    return atomic_load(&state) == WRITING && prof_now_ns() - atomic_load(&began_ns) < patience_ns;
}

static void wait_for_the_other(void)
{
    while (prof_out_in_progress())
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

/* Nothing wanted costs no system call: a sandbox (seccomp) may kill a program for one. */
bool prof_out_wanted(void)
{
    bool wanted = prof_out_traces() || (*prof_preload.out && worth_it());
    return wanted && getpid() == prof_preload.pid;
}

/* A limit on file sizes may stop a file of ours: its signal is taken back, so that it does not kill
 * a process that ends in another way. */
static void write_within_limits(void)
{
    sigset_t limits, old, pending;
    sigemptyset(&limits);
    sigaddset(&limits, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &limits, &old);
    sigpending(&pending);
    write_all();
    if (!sigismember(&pending, SIGXFSZ))
        sigtimedwait(&limits, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void prof_out_write(void)
{
    enum state expected = NOT_YET;
    int64_t none = 0;
    atomic_compare_exchange_strong(&began_ns, &none, prof_now_ns());
    if (!atomic_compare_exchange_strong(&state, &expected, WRITING)) {
        wait_for_the_other();
        return;
    }
    write_within_limits();
    atomic_store(&state, DONE);
}

bool prof_out_done(void)
{
    return atomic_load(&state) != NOT_YET;
}

void prof_out_fork_child(void)
{
    atomic_store(&state, NOT_YET);
    atomic_store(&began_ns, 0);
    *own_folder = '\0';
    prof_out_trace_forget();
}
