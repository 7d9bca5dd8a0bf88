/* What the files behind prof_symbolize know of one another: symbolize.c asks maps.c where a PC
 * lies, module.c for the files that describe that place, dwarf.c and then elfsym.c what the PC is
 * in there. */
#ifndef PROF_SYMBOLS_H
#define PROF_SYMBOLS_H

#include "prof/internal.h"

#include <elfutils/libdw.h>
#include <gelf.h>

/* ---- maps.c: what is mapped, and the ELF image in memory ------------------------------------- */

struct prof_map { /* a line of /proc/self/maps */
    uintptr_t start, end;
    uint64_t offset;
    uint64_t device, inode;
    const char *
        path; /* without " (deleted)"; "" for anonymous memory, "[vdso]" and the like as they are */
    bool executable, deleted;
    uintptr_t image; /* where the file's first page is mapped, 0 when it is not */
};

/* By address. They live in the pool; 0 when /proc cannot be read. */
size_t prof_maps_read(struct prof_pool *pool, struct prof_map **out);
const struct prof_map *prof_maps_find(const struct prof_map *maps, size_t n, uintptr_t pc);

/* Copies this process' memory, which may be unmapped at any moment. False: not all of it is there.
 */
bool prof_memory_read(uintptr_t from, void *to, size_t bytes);

enum { PROF_MAX_SEGMENTS = 16 };

/* What the program headers say, from memory or from the file. */
struct prof_image {
    struct prof_segment {
        uint64_t offset, size, address;
    } segments[PROF_MAX_SEGMENTS]; /* PT_LOAD, executable */
    int nsegments;
    char build_id[2 * 64 + 1]; /* hex; "" when there is none */
};

/* The image whose first page is at `at`. False: no ELF image there. */
bool prof_image_from_memory(uintptr_t at, struct prof_image *out);
bool prof_image_from_file(Elf *elf, struct prof_image *out);
/* File offset to the address that the ELF file and its debug information speak of. */
bool prof_image_address(const struct prof_image *image, uint64_t offset, uint64_t *address);

/* ---- module.c: a mapped file opened, with the files of its debug information ----------------- */

struct prof_module {
    Elf *elf;         /* NULL: neither file nor memory could be read */
    Dwarf *dwarf;     /* NULL: no debug information */
    Elf *debug_elf;   /* the separate file, where there is one */
    int fd, debug_fd; /* -1: none */
    void *memory;     /* the copied image of [vdso] */
};

void prof_module_open(struct prof_module *m, const struct prof_map *map,
                      const struct prof_image *image);
/* Forgets what libdw has gathered so far. False: it cannot be had again. */
bool prof_module_reopen_dwarf(struct prof_module *m);
void prof_module_close(struct prof_module *m);

/* ---- demangle.c ------------------------------------------------------------------------------ */

/* What to show for a symbol or linkage name: without what names a copy of a function, C++ demangled
 * if it can be. */
const char *prof_shown_name(struct prof_pool *pool, const char *name);

/* ---- dwarf.c, elfsym.c, plt.c ---------------------------------------------------------------- */

struct prof_frame {            /* a function, or a call inlined into the function of the parent */
    struct prof_frame *parent; /* NULL: a function that has its own code */
    const char *function, *linkage_name;
    const char *call_file; /* where in the parent */
    const char *start_file;
    int call_line, start_line;
};

struct prof_target { /* a PC to be resolved */
    uintptr_t pc;
    uint64_t address;         /* in the file's terms */
    uint64_t entry;           /* where the code of its function starts, likewise; 0: not found */
    struct prof_frame *frame; /* innermost; NULL: not found */
    const char *file;
    int line;               /* 0: not found */
    const char *entry_file; /* of `entry`, likewise */
    int entry_line;
    const char *symbol, *shown_symbol; /* elfsym.c; NULL: not found */
    bool debug_info;                   /* there was some to look into */
};

/* They fill in what they find for targets, which are sorted by address; strings go to the pool. */
int prof_dwarf_resolve(struct prof_module *m, uint64_t lowest, struct prof_target *targets,
                       size_t n, struct prof_pool *pool);
void prof_elfsym_resolve(const struct prof_module *m, struct prof_target *targets, size_t n,
                         struct prof_pool *pool);
/* For those that are nothing else. */
void prof_plt_resolve(const struct prof_module *m, struct prof_target *targets, size_t n,
                      struct prof_pool *pool);

/* ---- cache.c --------------------------------------------------------------------------------- */

/* Fills in the targets that are known and moves them to the front. How many. */
size_t prof_cache_get(const char *build_id, struct prof_target *targets, size_t n,
                      struct prof_pool *pool);
void prof_cache_put(const char *build_id, const struct prof_target *targets, size_t n);
void prof_cache_drop(void);

#endif
