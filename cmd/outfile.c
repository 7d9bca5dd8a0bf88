/* A program that writes a profile for a minute must not leave half of one when it is stopped, and
 * must not find out at the end that it may not write there. So the file is opened first, without a
 * name where the file system can do that (O_TMPFILE: a killed program leaves nothing), else with a
 * hidden one, and gets its name last. */
#include "cmd/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder that path lies in: its length in path, 0 for the current one. */
static int folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (int)(slash - path) + 1 : 0;
}

static mode_t default_mode(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* *fd becomes path itself when it is there and is not a regular file, else -1. */
static int open_special(const char *path, int *fd)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (S_ISREG(st.st_mode))
        return access(path, W_OK) < 0 ? -errno : 0;
    *fd = open(path, O_WRONLY | O_CLOEXEC);
    return *fd < 0 ? -errno : 0;
}

static void forget(struct outfile *f)
{
    free(f->hidden);
    free(f->target);
    *f = (struct outfile){.fd = -1, .path = f->path}; /* for who says what went wrong */
}

/* A file in f->target's folder, which gets that name later. */
static int open_hidden(struct outfile *f)
{
    char folder[4096];
    int len = folder_length(f->target);

    if (f->target[len] == '\0')
        return -EISDIR;
    if (len >= (int)sizeof(folder))
        return -ENAMETOOLONG;
    snprintf(folder, sizeof(folder), "%.*s", len ? len : 1, len ? f->target : ".");
    if (asprintf(&f->hidden, "%.*s.%s.XXXXXX", len, f->target, f->target + len) < 0) {
        f->hidden = NULL;
        return -ENOMEM;
    }
    f->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, default_mode());
    if (f->fd >= 0)
        return 0;
    f->fd = mkostemp(f->hidden, O_CLOEXEC);
    if (f->fd < 0)
        return -errno;
    fchmod(f->fd, default_mode());
    return 0;
}

int outfile_open(struct outfile *f, const char *path)
{
    *f = (struct outfile){.fd = -1, .path = path};
    if (!*path)
        return -ENOENT;
    int err = open_special(path, &f->fd);
    if (err || f->fd >= 0)
        return err;
    f->target = realpath(path, NULL);
    if (!f->target) /* it is not there yet */
        f->target = strdup(path);
    err = f->target ? open_hidden(f) : -ENOMEM;
    if (err)
        forget(f);
    else
        f->replaces = 1;
    return err;
}

/* Gives a nameless file its hidden name. A file that has one already is left alone. */
static int name_hidden(struct outfile *f)
{
    char self[64];
    struct stat st;

    if (fstat(f->fd, &st) < 0)
        return -errno;
    if (st.st_nlink > 0)
        return 0;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
    size_t len = strlen(f->hidden);
    for (unsigned i = 0; i < 100; i++) {
        char digits[7];
        snprintf(digits, sizeof(digits), "%06u", (unsigned)(getpid() + (int)i) % 1000000U);
        memcpy(f->hidden + len - 6, digits, 6);
        if (linkat(AT_FDCWD, self, AT_FDCWD, f->hidden, AT_SYMLINK_FOLLOW) == 0)
            return 0;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

int outfile_commit(struct outfile *f)
{
    int err = 0;

    if (f->replaces) {
        err = name_hidden(f);
        if (!err && rename(f->hidden, f->target) < 0)
            err = -errno;
    }
    if (err) {
        outfile_discard(f);
        return err;
    }
    if (close(f->fd) < 0)
        err = -errno;
    forget(f);
    return err;
}

void outfile_discard(struct outfile *f)
{
    struct stat st;

    if (f->fd < 0)
        return;
    if (f->replaces && fstat(f->fd, &st) == 0 && st.st_nlink > 0)
        unlink(f->hidden);
    close(f->fd);
    forget(f);
}
