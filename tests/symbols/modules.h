/* Modules built on the spot in many ways, loaded, and asked where they are: shared by the tests of
 * prof_symbolize. */
#ifndef TESTS_SYMBOLS_MODULES_H
#define TESTS_SYMBOLS_MODULES_H

#include "prof/symbols.h"
#include "tests/symbols/marks.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/symbolize_test.XXXXXX";

/* ---- building and loading -------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static inline bool shell(const char *format, ...)
{
    char command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return system(command) == 0;
}

static inline bool have(const char *program)
{
    return shell("command -v %s >/dev/null", program);
}

/* A fresh module each time: the loader and the page cache would give an old one of the same name.
 */
static inline const char *build(const char *cc, const char *flags)
{
    static char path[128];
    static int n;
    snprintf(path, sizeof path, "%s/marks%d.so", dir, n++);
    /* From there: with -gsplit-dwarf clang leaves its files where it runs. */
    if (!shell("s=$PWD/tests/symbols/marks.c; cd %s && %s -fPIC -shared -fno-omit-frame-pointer "
               "-Wl,--build-id %s -o %s $s",
               dir, cc, flags, path))
        fail_msg("cannot build the fixture: %s %s", cc, flags);
    return path;
}

static inline void *load(const char *path)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        fail_msg("%s", dlerror());
    return module;
}

static inline struct mark mark(void *module, const char *function)
{
    struct mark m = {0};
    void (*take)(struct mark *) = (void (*)(struct mark *))dlsym(module, function);
    assert_non_null(take);
    take(&m);
    assert_true(m.pc != 0);
    return m;
}

static inline const struct prof_location *one(struct prof_symbols *s, uintptr_t pc)
{
    assert_int_equal(prof_symbolize(&pc, 1, s), 0);
    const struct prof_location *l = prof_symbols_find(s, pc);
    assert_non_null(l);
    return l;
}

/* ---- checks
 * -----------------------------------------------------------------------------------------------
 */

static inline bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

static inline void check_frames(const struct prof_location *l, const struct mark *m,
                                const char *how)
{
    if (l->nlines != m->depth)
        fail_msg("%s: expected %d frames, got %d", how, m->depth, l->nlines);
    for (int i = 0; i < m->depth; i++) {
        const struct prof_line *line = &l->lines[i];
        if (strcmp(line->function, m->expected[i].function) != 0 ||
            line->line != m->expected[i].line)
            fail_msg("%s: frame %d: expected %s:%d, got %s:%d", how, i, m->expected[i].function,
                     m->expected[i].line, line->function, (int)line->line);
        if (line->file[0] != '/' || !ends_with(line->file, "/tests/symbols/marks.c"))
            fail_msg("%s: frame %d: expected an absolute path of marks.c, got %s", how, i,
                     line->file);
        if (line->start_line <= 0 || line->start_line >= line->line)
            fail_msg("%s: frame %d: line %d cannot start at %d", how, i, (int)line->line,
                     (int)line->start_line);
    }
}

static inline void check_mark(void *module, const char *function, const char *how)
{
    struct prof_symbols s;
    struct mark m = mark(module, function);
    const struct prof_location *l = one(&s, m.pc);
    check_frames(l, &m, how);
    assert_true(l->entry != 0 && l->entry <= l->pc);
    const struct prof_mapping *map = &s.mappings[l->mapping];
    assert_true(map->start <= m.pc && m.pc < map->end);
    assert_true(map->has_functions && map->has_filenames && map->has_line_numbers &&
                map->has_inline_frames);
    assert_int_equal(strlen(map->build_id), 40);
    prof_symbols_free(&s);
}

static inline void check_all(const char *path, const char *how)
{
    void *module = load(path);
    check_mark(module, "mark_plain", how);
    check_mark(module, "mark_exported", how);
    check_mark(module, "mark_inlined", how);
    check_mark(module, "declared_first", how);
    dlclose(module);
}

/* Equal modules have equal build ids, and what one test has found must not help the next. */
static inline int forget(void **state)
{
    (void)state;
    prof_cache_drop();
    return 0;
}

static inline int make_folder(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    (void)state;
    return shell("rm -rf %s", dir) ? 0 : -1;
}

#endif
