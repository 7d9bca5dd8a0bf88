/* What is mapped where in this process, and what ELF images say of themselves in memory.
 *
 * /proc/thread-self/maps is read rather than dl_iterate_phdr, because a profile wants the kernel's
 * ranges, and because code can be mapped without the loader knowing. (/proc/self/maps is empty once
 * the main thread has left by pthread_exit.) Images are read through /proc/thread-self/mem: a
 * module can be unloaded by another thread at any moment, and there a read fails where a pointer
 * would crash. */
#include "prof/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- /proc/thread-self/maps -------------------------------------------------------------------
 */

/* The whole file, NUL-terminated; the caller frees it. */
static char *read_maps(void)
{
    size_t size = 0, capacity = 64 * 1024;
    char *text = malloc(capacity);
    int fd = open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC);
    while (text && fd >= 0) {
        ssize_t n = read(fd, text + size, capacity - size - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        size += (size_t)n;
        if (capacity - size > 4096)
            continue;
        char *more = realloc(text, capacity *= 2);
        if (!more)
            break;
        text = more;
    }
    if (fd >= 0)
        close(fd);
    if (text)
        text[size] = '\0';
    return text;
}

/* The kernel writes a newline in a path as \012, and nothing else differently. */
static void unescape(char *path)
{
    for (char *at = path; (at = strstr(at, "\\012")); at++) {
        *at = '\n';
        memmove(at + 1, at + 4, strlen(at + 4) + 1);
    }
}

static bool parse_line(struct prof_pool *pool, char *line, struct prof_map *m)
{
    static const char deleted[] = " (deleted)";
    unsigned long start, end, offset, inode;
    unsigned major, minor;
    char perms[5];
    int path = 0;
    if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %n", &start, &end, perms, &offset, &major, &minor,
               &inode, &path) < 7)
        return false;
    char *name = line + path;
    size_t n = strlen(name), suffix = sizeof deleted - 1;
    *m = (struct prof_map){.start = start, .end = end, .offset = offset, .inode = inode};
    m->device = (uint64_t)major << 32 | minor;
    m->executable = perms[2] == 'x';
    m->deleted = n > suffix && strcmp(name + n - suffix, deleted) == 0;
    if (m->deleted)
        name[n - suffix] = '\0';
    unescape(name);
    m->path = prof_pool_string(pool, name);
    return true;
}

static bool same_file(const struct prof_map *a, const struct prof_map *b)
{
    return a->inode == b->inode && a->device == b->device && strcmp(a->path, b->path) == 0;
}

/* Where the first page of each file is: the nearest mapping of offset 0 below. */
static void find_images(struct prof_map *maps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!maps[i].path[0])
            continue;
        if (maps[i].offset == 0) {
            maps[i].image = maps[i].start;
            continue;
        }
        /* Anonymous memory (.bss) may lie between; another file ends the search. */
        for (size_t k = i; k-- > 0 && (!maps[k].path[0] || same_file(&maps[k], &maps[i]));)
            if (maps[k].path[0]) {
                maps[i].image = maps[k].image;
                break;
            }
    }
}

size_t prof_maps_read(struct prof_pool *pool, struct prof_map **out)
{
    *out = NULL;
    char *text = read_maps(), *rest = text;
    if (!text)
        return 0;
    size_t lines = 0, n = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    struct prof_map *maps = prof_pool_alloc(pool, lines * sizeof *maps);
    for (char *line; maps && n < lines && (line = strsep(&rest, "\n"));)
        n += parse_line(pool, line, &maps[n]);
    free(text);
    find_images(maps, n);
    *out = maps;
    return n;
}

const struct prof_map *prof_maps_find(const struct prof_map *maps, size_t n, uintptr_t pc)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (maps[mid].end <= pc)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && maps[low].start <= pc ? &maps[low] : NULL;
}

/* ---- images ---------------------------------------------------------------------------------- */

bool prof_memory_read(uintptr_t from, void *to, size_t bytes)
{
    int fd = open("/proc/thread-self/mem", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = pread(fd, to, bytes, (off_t)from);
        close(fd);
        return n == (ssize_t)bytes;
    }
    /* Not dumpable (set-user-ID, PR_SET_DUMPABLE): the file belongs to root, this still
     * works. */
    struct iovec local = {to, bytes}, remote = {(void *)from, bytes};
    return process_vm_readv(gettid(), &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

static void build_id_hex(struct prof_image *image, const unsigned char *id, size_t size)
{
    if (2 * size >= sizeof image->build_id)
        return;
    for (size_t i = 0; i < size; i++)
        snprintf(image->build_id + 2 * i, 3, "%02x", id[i]);
}

/* Notes are a header, a name and a description, the latter two padded to 4 (or to 8: `align`). */
static void take_notes(struct prof_image *image, const unsigned char *notes, size_t size,
                       size_t align)
{
    size_t pad = align == 8 ? 7 : 3;
    for (size_t at = 0; size >= sizeof(Elf64_Nhdr) && at <= size - sizeof(Elf64_Nhdr);) {
        Elf64_Nhdr h;
        memcpy(&h, notes + at, sizeof h);
        size_t name = at + sizeof h, desc = (name + h.n_namesz + pad) & ~pad;
        if (h.n_namesz > size || h.n_descsz > size || desc > size || h.n_descsz > size - desc)
            return;
        if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && memcmp(notes + name, "GNU", 4) == 0) {
            build_id_hex(image, notes + desc, h.n_descsz);
            return;
        }
        at = (desc + h.n_descsz + pad) & ~pad;
    }
}

static void take_segment(struct prof_image *image, uint32_t flags, uint64_t offset, uint64_t size,
                         uint64_t address)
{
    if ((flags & PF_X) && image->nsegments < PROF_MAX_SEGMENTS)
        image->segments[image->nsegments++] = (struct prof_segment){offset, size, address};
}

bool prof_image_from_memory(uintptr_t at, struct prof_image *out)
{
    Elf64_Ehdr ehdr;
    Elf64_Phdr phdrs[64];
    unsigned char notes[4096];
    *out = (struct prof_image){0};
    if (!at || !prof_memory_read(at, &ehdr, sizeof ehdr) ||
        memcmp(ehdr.e_ident, ELFMAG, SELFMAG) != 0 || ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
        ehdr.e_phnum > 64 || ehdr.e_phentsize != sizeof phdrs[0] ||
        !prof_memory_read(at + ehdr.e_phoff, phdrs, ehdr.e_phnum * sizeof phdrs[0]))
        return false;
    for (int i = 0; i < ehdr.e_phnum; i++) {
        const Elf64_Phdr *p = &phdrs[i];
        if (p->p_type == PT_LOAD)
            take_segment(out, p->p_flags, p->p_offset, p->p_filesz, p->p_vaddr);
        if (p->p_type == PT_NOTE && !out->build_id[0] && p->p_filesz <= sizeof notes &&
            prof_memory_read(at + p->p_offset, notes, p->p_filesz))
            take_notes(out, notes, p->p_filesz, p->p_align);
    }
    return true;
}

bool prof_image_from_file(Elf *elf, struct prof_image *out)
{
    size_t n;
    *out = (struct prof_image){0};
    if (elf_getphdrnum(elf, &n) != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        GElf_Phdr p;
        if (!gelf_getphdr(elf, (int)i, &p))
            continue;
        if (p.p_type == PT_LOAD)
            take_segment(out, p.p_flags, p.p_offset, p.p_filesz, p.p_vaddr);
        Elf_Data *notes = NULL;
        if (p.p_type == PT_NOTE && !out->build_id[0] && p.p_filesz <= 1 << 20)
            notes = elf_getdata_rawchunk(elf, (off_t)p.p_offset, p.p_filesz, ELF_T_BYTE);
        if (notes && notes->d_buf)
            take_notes(out, notes->d_buf, notes->d_size, p.p_align);
    }
    return true;
}

bool prof_image_address(const struct prof_image *image, uint64_t offset, uint64_t *address)
{
    for (int i = 0; i < image->nsegments; i++) {
        const struct prof_segment *s = &image->segments[i];
        if (offset >= s->offset && offset - s->offset < s->size) {
            *address = s->address + (offset - s->offset);
            return true;
        }
    }
    return false;
}
