/* Will the loader preload a library into this program? It reads LD_PRELOAD only if there is a
 * loader (the program is not static), only for libraries of the program's own machine, and not when
 * the program gains rights as it starts. It says nothing when it does not. A script is as good as
 * its interpreter. */
#include "cmd/prof/prof.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SCRIPTS_MAX = 5 }; /* interpreters that are scripts themselves: the kernel's limit */

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#endif

static bool gains_rights(const char *path, const struct stat *st)
{
    struct statvfs fs;
    bool user = st->st_mode & S_ISUID && st->st_uid != getuid();
    bool group =
        (st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st->st_gid != getgid();
    bool capabilities = getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;

    if (!user && !group && !capabilities)
        return false;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return false;
    return statvfs(path, &fs) != 0 || !(fs.f_flag & ST_NOSUID);
}

/* The loader that the program asks for, in `name`. false: none. */
static bool read_loader(int fd, const Elf64_Ehdr *header, char *name, size_t size)
{
    for (int i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        off_t at = (off_t)(header->e_phoff + (uint64_t)i * header->e_phentsize);
        if (pread(fd, &segment, sizeof segment, at) != sizeof segment)
            return false;
        if (segment.p_type != PT_INTERP)
            continue;
        ssize_t n = pread(fd, name, segment.p_filesz < size ? segment.p_filesz : size - 1,
                          (off_t)segment.p_offset);
        name[n > 0 ? n : 0] = '\0';
        return n > 0;
    }
    return false;
}

static const char *check_elf(int fd, const unsigned char *start)
{
    Elf64_Ehdr header;
    char loader[PATH_MAX];

    if (start[EI_CLASS] != ELFCLASS64)
        return "it is a 32-bit program, and libprof.so is built for 64 bits";
    if (pread(fd, &header, sizeof header, 0) != sizeof header)
        return NULL; /* the kernel will say it better */
    if (header.e_machine != MACHINE)
        return "it is built for another processor";
    if (!read_loader(fd, &header, loader, sizeof loader))
        return "it is statically linked, so nothing can be preloaded; link it dynamically";
    if (!strstr(loader, "/ld-linux"))
        return "it does not run on the GNU C library, which libprof.so needs";
    return NULL;
}

/* The path after "#!"; false: there is none. */
static bool interpreter_of(const char *head, char *path, size_t size)
{
    const char *p = head + 2 + strspn(head + 2, " \t");
    size_t n = strcspn(p, " \t\n");

    if (n == 0 || n >= size)
        return false;
    memcpy(path, p, n);
    path[n] = '\0';
    return true;
}

const char *why_not_preloadable(const char *path)
{
    char head[PATH_MAX + 1], next[PATH_MAX];
    const char *why = NULL;
    struct stat st;

    for (int depth = 0; depth < SCRIPTS_MAX; depth++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) != 0) /* may be executed, not read */
            return NULL;
        ssize_t n = pread(fd, head, sizeof head - 1, 0);
        head[n > 0 ? n : 0] = '\0';
        bool script =
            n > 2 && head[0] == '#' && head[1] == '!' && interpreter_of(head, next, sizeof next);
        if (!script && gains_rights(path, &st))
            why = "it is setuid, setgid or has file capabilities, and the loader preloads nothing "
                  "into such programs";
        else if (n >= EI_NIDENT && !memcmp(head, ELFMAG, SELFMAG))
            why = check_elf(fd, (unsigned char *)head);
        close(fd);
        if (!script)
            return why;
        path = next;
    }
    return NULL;
}
