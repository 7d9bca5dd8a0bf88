/* prof_symbolize: PCs of functions that know their own name and line, in modules built in many
 * ways. */
#include "tests/symbols/modules.h"

#include <gnu/libc-version.h>

/* ---- debug information in the module --------------------------------------------------------- */

static void each_way_with(const char *cc)
{
    static const char *const ways[] = {
        "-g -O0",
        "-g -O2",
        "-gdwarf-4 -O2",
        "-gdwarf-5 -O2",
        "-gdwarf-5 -O1 -gz",
        "-g -O2 -ffunction-sections",
        "-g -O2 -gsplit-dwarf",
        "-gdwarf-4 -O2 -gsplit-dwarf",
        "-g -O2 -flto",
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char how[128];
        snprintf(how, sizeof how, "%s %s", cc, ways[i]);
        if (strcmp(cc, "clang") == 0 && strstr(ways[i], "-flto"))
            continue; /* takes a linker plugin that need not be there */
        check_all(build(cc, ways[i]), how);
    }
}

static void gcc_modules(void **state)
{
    (void)state;
    if (!have("gcc"))
        skip();
    each_way_with("gcc");
}

static void clang_modules(void **state)
{
    (void)state;
    if (!have("clang"))
        skip();
    each_way_with("clang");
}

/* gcc's -g1 has functions, lines and inlined calls, but no variables and no types. */
static void little_debug_info(void **state)
{
    (void)state;
    check_all(build("cc", "-g1 -O2"), "-g1");
}

/* The same module from a folder that does not matter: names must not depend on the working
 * directory. */
static void relative_sources(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/relative.so", dir);
    assert_true(shell("cd tests/symbols/../../prof && cc -g -O2 -fPIC -shared -Wl,--build-id -o %s "
                      "../tests/./symbols/marks.c",
                      path));
    check_all(path, "compiled elsewhere");
}

/* clang then calls the source its file 0. */
static void from_the_root(void **state)
{
    (void)state;
    char path[128];
    if (!have("clang"))
        skip();
    snprintf(path, sizeof path, "%s/root.so", dir);
    assert_true(shell("s=$PWD/tests/symbols/marks.c; cd / && clang -g -O2 -fPIC -shared "
                      "-fno-omit-frame-pointer -Wl,--build-id -o %s $s",
                      path));
    check_all(path, "compiled in /");
}

/* ---- debug information elsewhere ------------------------------------------------------------- */

static void separate_file(void **state)
{
    (void)state;
    static const char *const places[] = {"", ".debug/"};
    if (!have("objcopy"))
        skip();
    for (size_t i = 0; i < 2; i++) {
        const char *path = build("cc", "-g -O2");
        char debug[256];
        snprintf(debug, sizeof debug, "%s/%sseparate%zu.debug", dir, places[i], i);
        assert_true(shell("mkdir -p %s/.debug && objcopy --only-keep-debug %s %s && objcopy -S "
                          "--add-gnu-debuglink=%s %s",
                          dir, path, debug, debug, path));
        check_all(path, places[i]);
    }
}

/* As distributions do it: what several files have in common is moved to one that all refer to. */
static void common_file(void **state)
{
    (void)state;
    char first[128], second[128];
    if (!have("dwz"))
        skip();
    snprintf(first, sizeof first, "%s", build("gcc", "-g -O2"));
    snprintf(second, sizeof second, "%s", build("gcc", "-g -O1 -DSECOND"));
    assert_true(shell("cd %s && dwz -m common.dwz %s %s 2>/dev/null", dir, first, second));
    if (!shell("test -f %s/common.dwz", dir))
        skip(); /* too little in common to be worth a file */
    check_all(first, "with a common file");
    check_all(second, "with a common file");
}

/* Of another build: its lines would be wrong, so it must not be used. */
static void wrong_separate_file(void **state)
{
    (void)state;
    char other[128];
    if (!have("objcopy"))
        skip();
    snprintf(other, sizeof other, "%s", build("cc", "-g -O0"));
    const char *path = build("cc", "-g -O2");
    assert_true(shell("objcopy -S --add-gnu-debuglink=%s %s", other, path));
    void *module = load(path);
    struct prof_symbols s;
    struct mark m = mark(module, "mark_exported");
    const struct prof_location *l = one(&s, m.pc);
    assert_int_equal(l->nlines, 1);
    assert_string_equal(l->lines[0].function, "mark_exported");
    assert_int_equal(l->lines[0].line, 0);
    prof_symbols_free(&s);
    dlclose(module);
}

/* ---- less than debug information ------------------------------------------------------------- */

static void symbol_table_only(void **state)
{
    (void)state;
    void *module = load(build("cc", "-O2 -g0"));
    struct prof_symbols s;
    struct mark m = mark(module, "mark_plain");
    const struct prof_location *l = one(&s, m.pc);
    assert_int_equal(l->nlines, 1);
    assert_string_equal(l->lines[0].function, "local_function");
    assert_string_equal(l->lines[0].file, "");
    assert_int_equal(l->lines[0].line, 0);
    const struct prof_mapping *map = &s.mappings[l->mapping];
    assert_true(map->has_functions);
    assert_false(map->has_filenames || map->has_line_numbers || map->has_inline_frames);
    prof_symbols_free(&s);
    dlclose(module);
}

static void stripped(void **state)
{
    (void)state;
    const char *path = build("cc", "-O2 -s");
    void *module = load(path);
    struct prof_symbols s;
    struct mark m = mark(module, "mark_exported");
    const struct prof_location *l = one(&s, m.pc);
    assert_int_equal(l->nlines, 1);
    assert_string_equal(l->lines[0].function, "mark_exported");
    prof_symbols_free(&s);
    m = mark(module,
             "mark_plain"); /* a static function: no name is left, the nearest one would be a lie */
    l = one(&s, m.pc);
    assert_int_equal(l->nlines, 0);
    assert_string_equal(s.mappings[l->mapping].file, path);
    assert_false(s.mappings[l->mapping].has_functions);
    prof_symbols_free(&s);
    dlclose(module);
}

static void check_name(uintptr_t pc, const char *expected)
{
    struct prof_symbols s;
    const struct prof_location *l = one(&s, pc);
    const char *got = l->nlines ? l->lines[0].function : "";
    if (strcmp(got, expected) != 0)
        fail_msg("expected \"%s\", got \"%s\"", expected, got);
    prof_symbols_free(&s);
}

static void assembly(void **state)
{
    (void)state;
    void *module = load(build("cc", "-O2 -s"));
    uintptr_t unsized = (uintptr_t)dlsym(module, "unsized_code");
    check_name(unsized, "unsized_code");
    check_name(unsized + 15, "unsized_code");
    check_name(unsized + 16, "sized_code");
    check_name(unsized + 23, "sized_code");
    check_name(unsized + 24, ""); /* nobody's, and not the first one's again */
    dlclose(module);
}

/* Every stub of the table: their addresses are what `objdump` would say, found here by looking at
 * all of it. */
static void linkage_table(void **state)
{
    (void)state;
    static const char *const ways[] = {"-O2", "-O2 -fcf-protection=none", "-O2 -Wl,-z,now"};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct prof_symbols s;
        void *module = load(build("cc", ways[i]));
        uintptr_t call_out = (uintptr_t)dlsym(module, "call_out"),
                  start = call_out & ~UINT64_C(4095);
        uintptr_t *pcs = malloc(4096 * sizeof *pcs);
        bool found = false;
        for (size_t k = 0; k < 4096; k++)
            pcs[k] = start + k;
        assert_int_equal(prof_symbolize(pcs, 4096, &s), 0);
        for (size_t k = 0; k < s.nlocations; k++)
            found |=
                s.locations[k].nlines && strcmp(s.locations[k].lines[0].function, "atoi@plt") == 0;
        if (!found)
            fail_msg("%s: expected atoi@plt near call_out", ways[i]);
        free(pcs);
        prof_symbols_free(&s);
        dlclose(module);
    }
}

static void deleted_file(void **state)
{
    (void)state;
    const char *path = build("cc", "-g -O2");
    void *module = load(path);
    assert_int_equal(unlink(path), 0);
    struct prof_symbols s;
    struct mark m = mark(module, "mark_inlined");
    const struct prof_location *l = one(&s, m.pc);
    assert_string_equal(s.mappings[l->mapping].file, path);
    assert_int_equal(strlen(s.mappings[l->mapping].build_id), 40);
    if (l->nlines) /* the file can still be reached through /proc, by root */
        check_frames(l, &m, "deleted");
    prof_symbols_free(&s);
    dlclose(module);
}

/* Another build under the old name: its symbols are not the running code's. */
static void replaced_file(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s", build("cc", "-O2 -s"));
    void *module = load(path);
    assert_int_equal(rename(build("cc", "-g -O0"), path), 0);
    struct prof_symbols s;
    struct mark m = mark(module, "mark_exported");
    const struct prof_location *l = one(&s, m.pc);
    if (l->nlines) {
        assert_string_equal(l->lines[0].function, "mark_exported");
        assert_int_equal(l->lines[0].line, 0);
    }
    prof_symbols_free(&s);
    dlclose(module);
}

static void unloaded_module(void **state)
{
    (void)state;
    void *module = load(build("cc", "-g -O2"));
    struct mark m = mark(module, "mark_plain");
    dlclose(module);
    struct prof_symbols s;
    const struct prof_location *l = one(&s, m.pc);
    assert_int_equal(l->mapping, -1);
    assert_int_equal(l->nlines, 0);
    prof_symbols_free(&s);
}

static void vdso(void **state)
{
    (void)state;
    void *module = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
    void *f = module ? dlsym(module, "__vdso_clock_gettime") : NULL;
    if (!f) { /* arm64 has another name */
        f = module ? dlsym(module, "__kernel_clock_gettime") : NULL;
        if (!f)
            skip();
    }
    struct prof_symbols s;
    const struct prof_location *l = one(&s, (uintptr_t)f + 1);
    assert_int_equal(l->nlines, 1);
    assert_non_null(strstr(l->lines[0].function, "clock_gettime"));
    assert_string_equal(s.mappings[l->mapping].file, "[vdso]");
    prof_symbols_free(&s);
}

static void nowhere(void **state)
{
    (void)state;
    int on_stack;
    uintptr_t pcs[] = {0, 1, UINTPTR_MAX, (uintptr_t)&on_stack, 1, 0};
    struct prof_symbols s;
    assert_int_equal(prof_symbolize(pcs, 6, &s), 0);
    assert_int_equal(s.nlocations, 4);
    for (size_t i = 0; i < s.nlocations; i++) {
        assert_int_equal(s.locations[i].nlines, 0);
        assert_int_equal(s.locations[i].mapping, -1);
    }
    assert_null(prof_symbols_find(&s, 2));
    prof_symbols_free(&s);
    assert_int_equal(prof_symbolize(NULL, 0, &s), 0);
    assert_int_equal(s.nlocations, 0);
    prof_symbols_free(&s);
}

/* The program comes first, because viewers take the first mapping for it. */
static void program_first(void **state)
{
    (void)state;
    struct prof_symbols s;
    one(&s, (uintptr_t)gnu_get_libc_version + 1); /* one that no sanitizer replaces */
    char program[256] = "";
    assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    assert_string_equal(s.mappings[0].file, program);
    assert_int_equal(s.nmappings, 2);
    assert_non_null(strstr(s.mappings[1].file, "libc"));
    prof_symbols_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(gcc_modules, forget),
        cmocka_unit_test_setup(clang_modules, forget),
        cmocka_unit_test_setup(little_debug_info, forget),
        cmocka_unit_test_setup(relative_sources, forget),
        cmocka_unit_test_setup(from_the_root, forget),
        cmocka_unit_test_setup(separate_file, forget),
        cmocka_unit_test_setup(common_file, forget),
        cmocka_unit_test_setup(wrong_separate_file, forget),
        cmocka_unit_test_setup(symbol_table_only, forget),
        cmocka_unit_test_setup(stripped, forget),
        cmocka_unit_test_setup(assembly, forget),
        cmocka_unit_test_setup(linkage_table, forget),
        cmocka_unit_test_setup(deleted_file, forget),
        cmocka_unit_test_setup(replaced_file, forget),
        cmocka_unit_test_setup(unloaded_module, forget),
        cmocka_unit_test_setup(vdso, forget),
        cmocka_unit_test_setup(nowhere, forget),
        cmocka_unit_test_setup(program_first, forget),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
