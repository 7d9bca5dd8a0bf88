/* prof_symbolize where things are against it: broken files, no memory, small stacks, several
 * threads, a full cache. */
#include "tests/sanitized.h"
#include "tests/symbols/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

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
    prof_cache_drop(); /* or only the first would be looked up in the file */
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
    prof_cache_drop();
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
    if (ASAN || TSAN)
        skip(); /* the sanitizer itself ends the process when it gets no memory */
    void *module = load(build("cc", "-g -O2"));
    struct mark m = mark(module, "mark_inlined");
    for (size_t kb = 0; kb < 2048; kb += 64) {
        int status = 0;
        pid_t child = fork();
        if (child == 0)
            _exit(symbolize_within(m.pc, kb * 1024));
        assert_true(child > 0 && waitpid(child, &status, 0) == child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
            fail_msg("with %zu KB: expected success or -ENOMEM, got status %#x", kb, status);
    }
    dlclose(module);
}

/* What has been found stays, though the file goes; without a build id nothing may stay. */
static void found_again(void **state)
{
    (void)state;
    struct prof_symbols s;
    char *path = strdup(build("cc", "-g -O2"));
    void *module = load(path);
    check_mark(module, "mark_inlined", "from the file");
    assert_true(shell("mv %s %s.away", path, path));
    check_mark(module, "mark_inlined", "from the cache");
    struct mark m = mark(module, "mark_exported");
    m.pc++; /* another PC of the module: it is not there yet, and must not be taken for one that is
             */
    one(&s, m.pc);
    prof_symbols_free(&s);
    dlclose(module);
    free(path);
    path = strdup(build("cc", "-g -O2 -Wl,--build-id=none"));
    module = load(path);
    m = mark(module, "mark_inlined");
    const struct prof_location *l = one(&s, m.pc);
    check_frames(l, &m, "without a build id");
    assert_string_equal(s.mappings[l->mapping].build_id, "");
    prof_symbols_free(&s);
    assert_true(shell("mv %s %s.away", path, path));
    assert_true(one(&s, m.pc)->nlines == 0 || geteuid() == 0);
    prof_symbols_free(&s);
    dlclose(module);
    free(path);
}

/* More PCs than the cache holds, so that it starts anew. */
static void more_than_the_cache(void **state)
{
    (void)state;
    enum { N = 20000 };
    void *module = load(build("cc", "-g -O2"));
    struct mark m = mark(module, "mark_inlined");
    uintptr_t *pcs = malloc(N * sizeof *pcs), code = (uintptr_t)gnu_get_libc_version;
    for (int round = 0; round < 3; round++) {
        struct prof_symbols s;
        for (int i = 0; i < N; i++)
            pcs[i] = code + (uintptr_t)(round * N + i);
        pcs[0] = m.pc;
        assert_int_equal(prof_symbolize(pcs, N, &s), 0);
        check_frames(prof_symbols_find(&s, m.pc), &m, "among many");
        prof_symbols_free(&s);
    }
    free(pcs);
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
        cmocka_unit_test_setup(corrupted_debug_info, forget),
        cmocka_unit_test_setup(unreadable_debug_info, forget),
        cmocka_unit_test_setup(two_threads, forget),
        cmocka_unit_test_setup(found_again, forget),
        cmocka_unit_test_setup(more_than_the_cache, forget),
        cmocka_unit_test_setup(small_stack, forget),
        cmocka_unit_test_setup(too_little_memory, forget),
        cmocka_unit_test_setup(leaves_nothing_open, forget),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
