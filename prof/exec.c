/* Hooks of the exec family: another program must not inherit a timer of libprof's.
 *
 * The kernel deletes a thread's timers when the process becomes another program, but keeps the
 * process-wide one, which serves when there can be no others (cpu.c); its signal would kill a
 * program that knows nothing of it. libc's functions call one another past the hooks, so each has
 * its own. */
#include "prof/wait.h"

#include <stdarg.h>
#include <stdlib.h>

#define ATTEMPT(call)                                                                              \
    ({                                                                                             \
        prof_cpu_before_exec();                                                                    \
        int rc_ = (call);                                                                          \
        int saved_ = errno;                                                                        \
        prof_cpu_after_exec();                                                                     \
        errno = saved_;                                                                            \
        rc_;                                                                                       \
    })

PROF_API int execve(const char *path, char *const argv[], char *const envp[])
{
    return ATTEMPT(PROF_REAL(execve)(path, argv, envp));
}

PROF_API int execv(const char *path, char *const argv[])
{
    return ATTEMPT(PROF_REAL(execv)(path, argv));
}

PROF_API int execvp(const char *file, char *const argv[])
{
    return ATTEMPT(PROF_REAL(execvp)(file, argv));
}

PROF_API int execvpe(const char *file, char *const argv[], char *const envp[])
{
    return ATTEMPT(PROF_REAL(execvpe)(file, argv, envp));
}

PROF_API int fexecve(int fd, char *const argv[], char *const envp[])
{
    return ATTEMPT(PROF_REAL(fexecve)(fd, argv, envp));
}

/* ---- with the arguments one by one ----------------------------------------------------------- */

/* The arguments up to and with the NULL. A child of vfork may call these, so: on the stack. */
static size_t count_arguments(va_list from)
{
    va_list ap;
    size_t n = 2;
    va_copy(ap, from);
    while (va_arg(ap, char *))
        n++;
    va_end(ap);
    return n;
}

static void take_arguments(char **argv, const char *first, va_list *ap)
{
    size_t n = 0;
    argv[n++] = (char *)(uintptr_t)first;
    while ((argv[n++] = va_arg(*ap, char *)))
        ;
}

#define WITH_ARGUMENTS(first, argv, call)                                                          \
    ({                                                                                             \
        va_list ap_;                                                                               \
        va_start(ap_, first);                                                                      \
        char *argv[count_arguments(ap_)];                                                          \
        take_arguments(argv, first, &ap_);                                                         \
        int result_ = (call);                                                                      \
        va_end(ap_);                                                                               \
        result_;                                                                                   \
    })

PROF_API int execl(const char *path, const char *arg, ...)
{
    return WITH_ARGUMENTS(arg, argv, execv(path, argv));
}

PROF_API int execlp(const char *file, const char *arg, ...)
{
    return WITH_ARGUMENTS(arg, argv, execvp(file, argv));
}

/* The environment follows the NULL. */
PROF_API int execle(const char *path, const char *arg, ...)
{
    return WITH_ARGUMENTS(arg, argv, execve(path, argv, va_arg(ap_, char **)));
}
