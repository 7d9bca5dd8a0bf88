/* prof_symbolize: PCs of functions that know their own name and line, in modules built in many
 * ways. */
#include "prof/internal.h"
#include "tests/symbols/marks.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/symbolize_test.XXXXXX";

/* ---- building and loading -------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static bool shell(const char *format, ...)
{
    char command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return system(command) == 0;
}

static bool have(const char *program)
{
    return shell("command -v %s >/dev/null", program);
}

/* A fresh module each time: the loader and the page cache would give an old one of the same name.
 */
static const char *build(const char *cc, const char *flags)
{
    static char path[128];
    static int n;
    snprintf(path, sizeof path, "%s/marks%d.so", dir, n++);
    /* From there: with -gsplit-dwarf clang leaves its files where it runs. */
    if (!shell("s=$PWD/tests/symbols/marks.c; cd %s && %s %s -fPIC -shared -fno-omit-frame-pointer "
               "-Wl,--build-id -o %s $s",
               dir, cc, flags, path))
        fail_msg("cannot build the fixture: %s %s", cc, flags);
    return path;
}

static void *load(const char *path)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        fail_msg("%s", dlerror());
    return module;
}

static struct mark mark(void *module, const char *function)
{
    struct mark m = {0};
    void (*take)(struct mark *) = (void (*)(struct mark *))dlsym(module, function);
    assert_non_null(take);
    take(&m);
    assert_true(m.pc != 0);
    return m;
}

static const struct prof_location *one(struct prof_symbols *s, uintptr_t pc)
{
    assert_int_equal(prof_symbolize(&pc, 1, s), 0);
    const struct prof_location *l = prof_symbols_find(s, pc);
    assert_non_null(l);
    return l;
}

/* ---- checks
 * -----------------------------------------------------------------------------------------------
 */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

static void check_frames(const struct prof_location *l, const struct mark *m, const char *how)
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

static void check_mark(void *module, const char *function, const char *how)
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

static void check_all(const char *path, const char *how)
{
    void *module = load(path);
    check_mark(module, "mark_plain", how);
    check_mark(module, "mark_exported", how);
    check_mark(module, "mark_inlined", how);
    dlclose(module);
}

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

/* ---- broken files ---------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static unsigned char *slurp(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    unsigned char *data = malloc((size_t)st.st_size);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    close(fd);
    *size = (size_t)st.st_size;
    return data;
}

static void spit(const char *path, const unsigned char *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    close(fd);
}

/* Loads a module whose debug information is in a separate file, and gives that file's path. */
static void *load_with_separate(char *debug, size_t size, struct mark *m)
{
    const char *path = build("cc", "-g -O2");
    snprintf(debug, size, "%s.debug", path);
    assert_true(shell("objcopy --only-keep-debug %s %s && objcopy -S --add-gnu-debuglink=%s %s",
                      path, debug, debug, path));
    void *module = load(path);
    *m = mark(module, "mark_inlined");
    return module;
}

static void look_up(uintptr_t pc)
{
    struct prof_symbols s;
    uintptr_t pcs[] = {pc, pc + 1, pc - 40};
    assert_int_equal(prof_symbolize(pcs, 3, &s), 0);
    prof_symbols_free(&s);
}

static void corrupted_debug_info(void **state)
{
    (void)state;
    if (!have("objcopy"))
        skip();
    struct mark m;
    char debug[256];
    void *module = load_with_separate(debug, sizeof debug, &m);
    size_t size;
    unsigned char *good = slurp(debug, &size), *bad = malloc(size);
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 400; i++) {
        memcpy(bad, good, size);
        for (int k = 0; k <= i % 16; k++)
            bad[next_random(&random) % size] = (unsigned char)next_random(&random);
        spit(debug, bad, size);
        look_up(m.pc);
    }
    for (size_t cut = 0; cut < size; cut += size / 60 + 1) {
        spit(debug, good, cut);
        look_up(m.pc);
    }
    spit(debug, good, size); /* the search for it has not been broken on the way */
    struct prof_symbols s;
    check_frames(one(&s, m.pc), &m, "restored");
    prof_symbols_free(&s);
    free(good);
    free(bad);
    dlclose(module);
}

static void unreadable_debug_info(void **state)
{
    (void)state;
    if (!have("objcopy"))
        skip();
    struct mark m;
    char debug[256];
    void *module = load_with_separate(debug, sizeof debug, &m);
    assert_int_equal(unlink(debug), 0);
    look_up(m.pc);
    assert_int_equal(mkdir(debug, 0700), 0);
    look_up(m.pc);
    assert_int_equal(rmdir(debug), 0);
    assert_int_equal(mkfifo(debug, 0600), 0); /* opening one would wait for a writer */
    look_up(m.pc);
    dlclose(module);
}

/* ---- many
 * ----------------------------------------------------------------------------------------------------
 */

static void *symbolize_often(void *arg)
{
    const struct mark *m = arg;
    for (int i = 0; i < 20; i++) {
        struct prof_symbols s;
        uintptr_t pcs[] = {(uintptr_t)gnu_get_libc_version + 1, m->pc,
                           (uintptr_t)symbolize_often + 8};
        if (prof_symbolize(pcs, 3, &s) != 0)
            return "failed";
        const struct prof_location *l = prof_symbols_find(&s, m->pc);
        bool right = l->nlines == 3 && l->lines[0].line == m->expected[0].line;
        prof_symbols_free(&s);
        if (!right)
            return "wrong";
    }
    return NULL;
}

static void two_threads(void **state)
{
    (void)state;
    pthread_t threads[2];
    void *module = load(build("cc", "-g -O2"));
    struct mark m = mark(module, "mark_inlined");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, symbolize_often, &m), 0);
    for (int i = 0; i < 2; i++) {
        void *said;
        pthread_join(threads[i], &said);
        assert_null(said);
    }
    dlclose(module);
}

/* libdw takes some 200 KB of stack. */
static void small_stack(void **state)
{
    (void)state;
    pthread_attr_t attr;
    pthread_t thread;
    void *said, *module = load(build("cc", "-g -O2"));
    struct mark m = mark(module, "mark_inlined");
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    assert_int_equal(pthread_create(&thread, &attr, symbolize_often, &m), 0);
    pthread_join(thread, &said);
    assert_null(said);
    pthread_attr_destroy(&attr);
    dlclose(module);
}

/* In a child, because what is limited stays limited. */
static int symbolize_within(uintptr_t pc, size_t extra_bytes)
{
    struct rlimit limit = {0};
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%lu", &pages) != 1)
        return 100;
    fclose(f);
    limit.rlim_cur = limit.rlim_max = pages * (size_t)sysconf(_SC_PAGESIZE) + extra_bytes;
    setrlimit(RLIMIT_AS, &limit);
    struct prof_symbols s;
    int err = prof_symbolize(&pc, 1, &s);
    if (err)
        return err == -ENOMEM ? 1 : 101;
    prof_symbols_free(&s);
    return 0;
}

static void too_little_memory(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* the sanitizer itself ends the process when it gets no memory */
#endif
    void *module = load(build("cc", "-g -O2"));
    struct mark m = mark(module, "mark_inlined");
    for (size_t kb = 0; kb < 2048; kb += 64) {
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit(symbolize_within(m.pc, kb * 1024));
        assert_true(child > 0 && waitpid(child, &status, 0) == child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
            fail_msg("with %zu KB: expected success or -ENOMEM, got status %#x", kb, status);
    }
    dlclose(module);
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

static void leaves_nothing_open(void **state)
{
    (void)state;
    int before = open_descriptors();
    look_up((uintptr_t)leaves_nothing_open);
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gcc_modules),
        cmocka_unit_test(clang_modules),
        cmocka_unit_test(little_debug_info),
        cmocka_unit_test(relative_sources),
        cmocka_unit_test(separate_file),
        cmocka_unit_test(wrong_separate_file),
        cmocka_unit_test(symbol_table_only),
        cmocka_unit_test(stripped),
        cmocka_unit_test(deleted_file),
        cmocka_unit_test(replaced_file),
        cmocka_unit_test(unloaded_module),
        cmocka_unit_test(vdso),
        cmocka_unit_test(nowhere),
        cmocka_unit_test(program_first),
        cmocka_unit_test(corrupted_debug_info),
        cmocka_unit_test(unreadable_debug_info),
        cmocka_unit_test(two_threads),
        cmocka_unit_test(small_stack),
        cmocka_unit_test(too_little_memory),
        cmocka_unit_test(leaves_nothing_open),
    };
    if (!mkdtemp(dir))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    shell("rm -rf %s", dir);
    return failed;
}
