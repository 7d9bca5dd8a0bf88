/* A mapped file, opened, together with its debug information wherever that lies.
 *
 * The file on disk can be another one than the file that runs (a package upgraded under a running
 * program), and symbols of another file are worse than none: a file is taken only when its build id
 * is the one in memory. Debug information is looked for where gdb looks: in the file, under
 * /usr/lib/debug/.build-id, and by the file's .gnu_debuglink; libdw follows the links to dwz's
 * common files by itself. */
#include "prof/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define DEBUG_ROOT "/usr/lib/debug"

/* ---- files ----------------------------------------------------------------------------------- */

/* An ELF file, or NULL; *fd is then -1. Not blocked by a FIFO of that name. */
static Elf *open_elf(const char *path, int *fd)
{
    struct stat st;
    Elf *elf = NULL;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return NULL;
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
        elf = elf_begin(*fd, ELF_C_READ_MMAP, NULL);
    if (elf && elf_kind(elf) == ELF_K_ELF)
        return elf;
    elf_end(elf);
    close(*fd);
    *fd = -1;
    return NULL;
}

static void close_elf(Elf **elf, int *fd)
{
    elf_end(*elf);
    *elf = NULL;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool build_id_is(Elf *elf, const char *wanted)
{
    struct prof_image image;
    return prof_image_from_file(elf, &image) && strcmp(image.build_id, wanted) == 0;
}

/* Takes the file at path when it is the mapped one. `certain`: the kernel says so, whatever the
 * build id. */
static bool try_file(struct prof_module *m, const char *path, const struct prof_image *image,
                     bool certain)
{
    m->elf = open_elf(path, &m->fd);
    if (m->elf && !certain && image->nsegments && !build_id_is(m->elf, image->build_id))
        close_elf(&m->elf, &m->fd);
    return m->elf != NULL;
}

static bool open_file(struct prof_module *m, const struct prof_map *map,
                      const struct prof_image *image)
{
    char path[80];
    if (!map->deleted && try_file(m, map->path, image, false))
        return true;
    /* The file itself, though its name is gone or another's: by range (for root only), or as the
     * program. */
    snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (unsigned long)map->start,
             (unsigned long)map->end);
    if (try_file(m, path, image, true))
        return true;
    return image->build_id[0] && try_file(m, "/proc/thread-self/exe", image, false);
}

/* The kernel's own code is in no file. */
static void open_vdso(struct prof_module *m, const struct prof_map *map)
{
    size_t size = map->end - map->start;
    m->memory = size <= 1 << 20 ? malloc(size) : NULL;
    if (m->memory && prof_memory_read(map->start, m->memory, size))
        m->elf = elf_memory(m->memory, size);
}

/* ---- debug information ----------------------------------------------------------------------- */

static Elf_Scn *find_section(Elf *elf, const char *name)
{
    size_t names;
    if (elf_getshdrstrndx(elf, &names) != 0)
        return NULL;
    for (Elf_Scn *s = NULL; (s = elf_nextscn(elf, s));) {
        GElf_Shdr h;
        const char *have = gelf_getshdr(s, &h) ? elf_strptr(elf, names, h.sh_name) : NULL;
        if (have && strcmp(have, name) == 0 && h.sh_type != SHT_NOBITS)
            return s;
    }
    return NULL;
}

static bool has_debug_info(Elf *elf)
{
    return find_section(elf, ".debug_info") || find_section(elf, ".zdebug_info");
}

static bool crc_is(int fd, uint32_t wanted)
{
    unsigned char buffer[16 * 1024];
    uLong crc = crc32(0, NULL, 0);
    off_t at = 0;
    for (ssize_t n; (n = pread(fd, buffer, sizeof buffer, at)) > 0; at += n)
        crc = crc32(crc, buffer, (uInt)n);
    return crc == wanted;
}

/* With a build id, a debug file must carry the same; without one, its checksum must be the link's.
 */
static bool try_debug(struct prof_module *m, const char *path, const char *build_id,
                      const uint32_t *crc)
{
    m->debug_elf = open_elf(path, &m->debug_fd);
    if (!m->debug_elf)
        return false;
    bool same =
        build_id[0] ? build_id_is(m->debug_elf, build_id) : crc && crc_is(m->debug_fd, *crc);
    if (!same || !has_debug_info(m->debug_elf))
        close_elf(&m->debug_elf, &m->debug_fd);
    return m->debug_elf != NULL;
}

static bool try_build_id(struct prof_module *m, const char *build_id)
{
    char path[PATH_MAX];
    if (strlen(build_id) < 3)
        return false;
    snprintf(path, sizeof path, DEBUG_ROOT "/.build-id/%.2s/%s.debug", build_id, build_id + 2);
    return try_debug(m, path, build_id, NULL);
}

static bool try_link(struct prof_module *m, const char *of, const char *build_id)
{
    static const char *const places[] = {"%.*s/%s", "%.*s/.debug/%s", DEBUG_ROOT "%.*s/%s"};
    Elf_Scn *section = find_section(m->elf, ".gnu_debuglink");
    Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
    const char *slash = strrchr(of, '/');
    if (!data || !data->d_buf || data->d_size < 8 || !slash)
        return false;
    const char *name = data->d_buf;
    size_t length = strnlen(name, data->d_size - 4);
    uint32_t crc;
    memcpy(&crc, name + data->d_size - 4, 4);
    if (length == 0 || length >= data->d_size - 4 || strchr(name, '/'))
        return false;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, places[i], (int)(slash - of), of, name);
        if (n < (int)sizeof path && try_debug(m, path, build_id, &crc))
            return true;
    }
    return false;
}

static void open_dwarf(struct prof_module *m, const struct prof_map *map)
{
    struct prof_image image;
    Elf *elf = m->elf;
    if (!has_debug_info(elf)) {
        prof_image_from_file(elf, &image);
        if (!try_build_id(m, image.build_id) && !try_link(m, map->path, image.build_id))
            return;
        elf = m->debug_elf;
    }
    m->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
}

void prof_module_open(struct prof_module *m, const struct prof_map *map,
                      const struct prof_image *image)
{
    *m = (struct prof_module){.fd = -1, .debug_fd = -1};
    elf_version(EV_CURRENT);
    if (strcmp(map->path, "[vdso]") == 0)
        open_vdso(m, map);
    else if (map->path[0] == '/')
        open_file(m, map, image);
    if (m->elf && !m->memory)
        open_dwarf(m, map);
}

bool prof_module_reopen_dwarf(struct prof_module *m)
{
    dwarf_end(m->dwarf);
    m->dwarf = dwarf_begin_elf(m->debug_elf ? m->debug_elf : m->elf, DWARF_C_READ, NULL);
    return m->dwarf != NULL;
}

void prof_module_close(struct prof_module *m)
{
    dwarf_end(m->dwarf);
    close_elf(&m->debug_elf, &m->debug_fd);
    close_elf(&m->elf, &m->fd);
    free(m->memory);
}
