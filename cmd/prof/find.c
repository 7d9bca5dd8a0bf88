/* Where things are: the program as execvp would find it, and libprof beside this program. */
#include "cmd/prof/prof.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define TRIPLET "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define TRIPLET "aarch64-linux-gnu"
#endif

static int check_program(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return errno;
    if (S_ISDIR(st.st_mode))
        return EISDIR;
    return access(path, X_OK) == 0 ? 0 : errno;
}

/* As execvp does: a file that may not be executed is passed over, and only told of when nothing
 * else is there. */
int find_program(const char *name, char *path, size_t size)
{
    const char *folders = getenv("PATH");
    int found = ENOENT;

    if (!*name)
        return ENOENT;
    if (strchr(name, '/')) {
        snprintf(path, size, "%s", name);
        return check_program(path);
    }
    for (const char *p = folders ? folders : "/bin:/usr/bin"; p;) {
        int length = (int)strcspn(p, ":");
        snprintf(path, size, "%.*s%s%s", length, p, length ? "/" : "", name);
        int err = check_program(path);
        if (err == 0)
            return 0;
        if (err != ENOENT && err != ENOTDIR)
            found = err;
        p = p[length] ? p + length + 1 : NULL;
    }
    return found;
}

/* Installed, and in a sanitizer's build: bin/ beside lib/. In the source tree: bin/ beside
 * build/plain/lib/. */
bool find_library_folder(char *path, size_t size)
{
    static const char *const folders[] = {"../lib", "../build/plain/lib", ("../lib/" TRIPLET),
                                          "../lib64"};
    char self[PATH_MAX], candidate[PATH_MAX + 64], resolved[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(candidate, sizeof candidate, "%s/%s/libprof.so", self, folders[i]);
        if (access(candidate, R_OK) != 0 || !realpath(candidate, resolved))
            continue;
        *strrchr(resolved, '/') = '\0';
        snprintf(path, size, "%s", resolved);
        return true;
    }
    snprintf(path, size, "%s/../lib", self);
    return false;
}
