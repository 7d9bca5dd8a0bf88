/* The named profiles: snapshots, deltas, and both forms they are written in. The sources here are
 * the test's own, so that every value is known. */
#include "prof/internal.h"
#include "prof/thread.h"
#include "tests/proto.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* ---- sources --------------------------------------------------------------------------------- */

/* What the next snapshot of any of them holds. */
static struct prof_sample stock[16];
static size_t nstock;
static int fill_error;

static int fill(const struct prof_source *self, struct prof_snapshot *s)
{
    (void)self;
    s->period = 524288;
    for (size_t i = 0; i < nstock; i++)
        assert_int_equal(prof_snapshot_add(s, &stock[i]), 0);
    return fill_error;
}

static int64_t count(const struct prof_source *self)
{
    return self->about->nvalues * 100 + (int64_t)nstock;
}

static int write_detail(int fd)
{
    return prof_write_all(fd, "detail\n", 7);
}

#define FOUR_VALUES                                                                                \
    {                                                                                              \
        {"alloc_objects", "count"}, {"alloc_space", "bytes"}, {"inuse_objects", "count"},          \
        {                                                                                          \
            "inuse_space", "bytes"                                                                 \
        }                                                                                          \
    }

static const struct prof_description about_heap = {
    "test_heap", 4, FOUR_VALUES, {"space", "bytes"}, "inuse_space", PROF_TEXT_HEAP};
static const struct prof_description about_count = {
    "test_count", 1, {{"test_count", "count"}}, {"test_count", "count"}, NULL, PROF_TEXT_COUNT};
static const struct prof_description about_block = {
    "test_block",
    2,
    {{"contentions", "count"}, {"delay", "nanoseconds"}},
    {"contentions", "count"},
    NULL,
    PROF_TEXT_CONTENTION};

static const struct prof_source heap = {&about_heap, fill, count, NULL};
static const struct prof_source counting = {&about_count, fill, count, write_detail};
static const struct prof_source block = {&about_block, fill, count, NULL};

static const struct prof_labels two_labels = {
    .n = 2, .labels = {{"endpoint", "/work"}, {"quote", "a\"b\n"}}};
static const struct prof_labels *const labels = &two_labels;

/* PCs of no code, and of code with a name and a line. */
static const uintptr_t low[] = {0x1000, 0x2000, 0x3000};
static uintptr_t known[2];

__attribute__((noinline)) static void known_function(void)
{
    known[0] = (uintptr_t)__builtin_return_address(0) - 1;
    known[1] = (uintptr_t)known_function + 4;
}

static int set_up(void **state)
{
    (void)state;
    memset(stock, 0, sizeof stock);
    nstock = 0;
    fill_error = 0;
    known_function();
    return 0;
}

static struct prof_sample *put(const uintptr_t *pcs, uint32_t npcs)
{
    stock[nstock] = (struct prof_sample){.pcs = pcs, .npcs = npcs};
    return &stock[nstock++];
}

/* ---- reading a profile back ------------------------------------------------------------------ */

enum { MAX_STRINGS = 512 };

struct profile {
    unsigned char *memory;
    struct proto whole;
    char *strings[MAX_STRINGS];
    uint64_t nstrings;
};

static struct profile decode(int fd)
{
    struct profile p = {0};
    struct proto_field f;
    assert_true(proto_gunzip(fd, &p.memory, &p.whole));
    for (struct proto all = p.whole; proto_next(&all, &f);)
        if (f.number == 6) {
            assert_in_range(p.nstrings, 0, MAX_STRINGS - 1);
            p.strings[p.nstrings++] =
                strndup((const char *)f.bytes.at, (size_t)(f.bytes.end - f.bytes.at));
        }
    assert_true(p.nstrings > 0);
    assert_string_equal(p.strings[0], "");
    return p;
}

static void discard(struct profile *p)
{
    for (uint64_t i = 0; i < p->nstrings; i++)
        free(p->strings[i]);
    free(p->memory);
}

/* The nth field of that number in the message; false: there are not so many. */
static bool nth(struct proto message, int number, int n, struct proto_field *out)
{
    while (proto_next(&message, out))
        if (out->number == number && n-- == 0)
            return true;
    return false;
}

static uint64_t value(struct proto message, int number)
{
    struct proto_field f;
    return nth(message, number, 0, &f) ? f.value : 0;
}

static const char *text(const struct profile *p, struct proto message, int number)
{
    uint64_t i = value(message, number);
    assert_true(i < p->nstrings);
    return p->strings[i];
}

static int how_many(struct proto message, int number)
{
    struct proto_field f;
    int n = 0;
    while (nth(message, number, n, &f))
        n++;
    return n;
}

/* Ids count from 1 in the order of the file, and everything that is referred to is there. */
static void check_ids(const struct profile *p)
{
    struct proto_field f, line;
    uint64_t mappings = (uint64_t)how_many(p->whole, 3),
             functions = (uint64_t)how_many(p->whole, 5);
    for (int kind = 3; kind <= 5; kind++)
        for (int i = 0; nth(p->whole, kind, i, &f); i++)
            assert_int_equal(value(f.bytes, 1), i + 1);
    for (int i = 0; nth(p->whole, 4, i, &f); i++) {
        assert_in_range(value(f.bytes, 2), 0, mappings);
        for (int k = 0; nth(f.bytes, 4, k, &line); k++)
            assert_in_range(value(line.bytes, 1), 1, functions);
    }
    for (int i = 0; nth(p->whole, 5, i, &f); i++)
        assert_true(*text(p, f.bytes, 2) != '\0');
}

/* Packed numbers of the nth sample. */
static int numbers(const struct profile *p, int sample, int field, uint64_t *out)
{
    struct proto_field s, f;
    int n = 0;
    assert_true(nth(p->whole, 2, sample, &s));
    if (nth(s.bytes, field, 0, &f))
        while (f.bytes.at < f.bytes.end)
            assert_true(proto_varint(&f.bytes, &out[n++]));
    return n;
}

static struct profile write_and_decode(const char *name)
{
    int fd = memfd_create("profile", 0);
    assert_int_equal(prof_write(name, fd, 0), 0);
    struct profile p = decode(fd);
    close(fd);
    check_ids(&p);
    return p;
}

/* ---- profile.proto --------------------------------------------------------------------------- */

static void header(void **state)
{
    (void)state;
    static const char *const types[] = {"alloc_objects", "alloc_space", "inuse_objects",
                                        "inuse_space"};
    static const char *const units[] = {"count", "bytes", "count", "bytes"};
    struct timespec now;
    struct profile p = write_and_decode("test_heap");
    struct proto_field f;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int i = 0; i < 4; i++) {
        assert_true(nth(p.whole, 1, i, &f));
        assert_string_equal(text(&p, f.bytes, 1), types[i]);
        assert_string_equal(text(&p, f.bytes, 2), units[i]);
    }
    assert_int_equal(how_many(p.whole, 1), 4);
    assert_true(nth(p.whole, 11, 0, &f));
    assert_string_equal(text(&p, f.bytes, 1), "space");
    assert_string_equal(text(&p, f.bytes, 2), "bytes");
    assert_int_equal(value(p.whole, 12), 524288);
    assert_string_equal(text(&p, p.whole, 14), "inuse_space");
    int64_t age_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec - (int64_t)value(p.whole, 9);
    assert_true(age_ns >= 0 && age_ns < INT64_C(60000000000));
    assert_int_equal(value(p.whole, 10), 0); /* not a window */
    discard(&p);
}

static void samples(void **state)
{
    (void)state;
    uint64_t n[8];
    struct prof_sample *s = put(known, 2);
    s->values[0] = 3;
    s->values[1] = 3 * 64;
    s->bytes = 64;
    s->labels = labels;
    put(low, 3); /* nothing in it: left out */
    s = put(low, 1);
    s->values[2] = -5; /* viewers refuse negative values */
    s->values[3] = 7;
    struct profile p = write_and_decode("test_heap");
    assert_int_equal(how_many(p.whole, 2), 2);
    assert_int_equal(numbers(&p, 0, 2, n), 4);
    assert_true(n[0] == 3 && n[1] == 192 && n[2] == 0 && n[3] == 0);
    assert_int_equal(numbers(&p, 1, 2, n), 4);
    assert_true(n[0] == 0 && n[1] == 0 && n[2] == 0 && n[3] == 7);
    discard(&p);
}

static void sample_labels(void **state)
{
    (void)state;
    struct prof_sample *s = put(low, 3);
    s->values[0] = 1;
    s->bytes = 64;
    s->labels = labels;
    struct profile p = write_and_decode("test_heap");
    struct proto_field sample, f;
    assert_true(nth(p.whole, 2, 0, &sample));
    for (int i = 0; i < 2; i++) {
        assert_true(nth(sample.bytes, 3, i, &f));
        assert_string_equal(text(&p, f.bytes, 1), labels->labels[i].key);
        assert_string_equal(text(&p, f.bytes, 2), labels->labels[i].value);
    }
    assert_true(nth(sample.bytes, 3, 2, &f));
    assert_string_equal(text(&p, f.bytes, 1), "bytes");
    assert_int_equal(value(f.bytes, 3), 64);
    assert_int_equal(how_many(sample.bytes, 3), 3);
    discard(&p);
}

static void locations(void **state)
{
    (void)state;
    put(known, 2)->values[0] = 1;
    put(low, 1)->values[0] = 1;
    struct profile p = write_and_decode("test_count");
    struct proto_field location, line, function, mapping;
    uint64_t ids[8];
    assert_int_equal(numbers(&p, 0, 1, ids), 2);
    assert_true(nth(p.whole, 4, (int)ids[1] - 1, &location));
    assert_int_equal(value(location.bytes, 3), known[1]);
    assert_true(nth(location.bytes, 4, 0, &line));
    assert_true(nth(p.whole, 5, (int)value(line.bytes, 1) - 1, &function));
    assert_string_equal(text(&p, function.bytes, 2), "known_function");
    assert_non_null(strstr(text(&p, function.bytes, 4), "tests/profile_test.c"));
    assert_true(value(function.bytes, 5) > 0 && value(line.bytes, 2) >= value(function.bytes, 5));
    assert_true(nth(p.whole, 3, (int)value(location.bytes, 2) - 1, &mapping));
    assert_true(value(mapping.bytes, 2) <= known[1] && known[1] < value(mapping.bytes, 3));
    for (int flag = 7; flag <= 10; flag++)
        assert_int_equal(value(mapping.bytes, flag), 1);
    assert_int_equal(numbers(&p, 1, 1, ids), 1);
    assert_true(nth(p.whole, 4, (int)ids[0] - 1, &location));
    assert_int_equal(value(location.bytes, 2), 0); /* in no mapping */
    assert_int_equal(how_many(location.bytes, 4), 0);
    discard(&p);
}

/* Equal entries are one sample, whatever the source hands over. */
static void summed(void **state)
{
    (void)state;
    uint64_t n[8];
    uintptr_t copy[] = {0x1000, 0x2000};
    put(low, 2)->values[0] = 1;
    put(copy, 2)->values[0] = 10;
    put(low, 3)->values[0] = 100;
    struct prof_sample *s = put(low, 2);
    s->values[0] = 1000;
    s->labels = labels;
    struct profile p = write_and_decode("test_count");
    assert_int_equal(how_many(p.whole, 2), 3);
    assert_int_equal(numbers(&p, 0, 2, n), 1);
    assert_int_equal(n[0], 11);
    discard(&p);
}

/* A valid profile all the same: scrapers refuse an empty body. */
static void empty(void **state)
{
    (void)state;
    struct profile p = write_and_decode("test_heap");
    assert_int_equal(how_many(p.whole, 2), 0);
    assert_int_equal(how_many(p.whole, 1), 4);
    discard(&p);
}

/* ---- names and errors ------------------------------------------------------------------------ */

static void errors(void **state)
{
    (void)state;
    struct prof_snapshot *s;
    char out[16] = "";
    int fd = memfd_create("profile", 0);
    assert_int_equal(prof_write("no such", fd, 0), -ENOENT);
    assert_int_equal(prof_count("no such"), -ENOENT);
    assert_int_equal(prof_snapshot_take("no such", &s), -ENOENT);
    assert_int_equal(prof_write("test_heap", fd, 2), -EINVAL);
    assert_int_equal(prof_write("test_heap", fd, -1), -EINVAL);
    assert_int_equal(prof_write("test_heap", -1, 0), -EBADF);
    assert_int_equal(prof_write("test_heap", -1, 1), -EBADF);
    assert_int_equal(prof_source_register(&heap), -EEXIST);
    fill_error = -ENOMEM;
    assert_int_equal(prof_write("test_heap", fd, 0), -ENOMEM);
    assert_int_equal(prof_snapshot_take("test_heap", &s), -ENOMEM);
    assert_int_equal(lseek(fd, 0, SEEK_END), 0); /* nothing was written */
    assert_int_equal(prof_write("test_count", fd, 2), 0);
    assert_int_equal(pread(fd, out, sizeof out, 0), 7);
    assert_string_equal(out, "detail\n");
    put(low, 1);
    assert_int_equal(prof_count("test_heap"), 401);
    prof_snapshot_free(NULL);
    close(fd);
}

/* ---- deltas
 * ------------------------------------------------------------------------------------------------------
 */

static void subtract(void **state)
{
    (void)state;
    struct prof_snapshot *before, *after, *other;
    put(low, 1)->values[0] = 10; /* grows */
    put(low, 2)->values[0] = 5;  /* stays */
    put(low, 3)->values[3] = 9;  /* shrinks */
    assert_int_equal(prof_snapshot_take("test_heap", &before), 0);
    stock[0].values[0] = 14;
    stock[0].values[1] = 3;
    stock[2].values[3] = 4;
    struct prof_sample *s = put(low, 1); /* new: the same stack, another size */
    s->bytes = s->tag = 32;
    s->values[0] = 1;
    s = put(low, 1); /* new: other labels */
    s->labels = labels;
    s->values[0] = 2;
    assert_int_equal(prof_snapshot_take("test_heap", &after), 0);
    assert_int_equal(prof_snapshot_take("test_count", &other), 0);
    assert_int_equal(prof_snapshot_subtract(after, other), -EINVAL);
    int64_t between_ns = after->taken_ns - before->taken_ns;
    assert_int_equal(prof_snapshot_subtract(after, before), 0);
    assert_int_equal(after->nsamples, 3);
    assert_int_equal(after->samples[0].values[0], 4);
    assert_int_equal(after->samples[0].values[1], 3);
    assert_int_equal(after->samples[1].bytes, 32);
    assert_int_equal(after->samples[1].values[0], 1);
    assert_ptr_equal(after->samples[2].labels, labels);
    assert_int_equal(after->samples[2].values[0], 2);
    assert_true(between_ns > 0);
    assert_int_equal(after->duration_ns, between_ns);
    int fd = memfd_create("profile", 0);
    assert_int_equal(prof_snapshot_write(after, fd, 0), 0);
    struct profile p = decode(fd);
    assert_int_equal(value(p.whole, 10), between_ns);
    assert_int_equal(how_many(p.whole, 2), 3);
    discard(&p);
    close(fd);
    prof_snapshot_free(before);
    prof_snapshot_free(after);
    prof_snapshot_free(other);
}

/* ---- text
 * -------------------------------------------------------------------------------------------------------
 */

static char *write_text(const char *name)
{
    int fd = memfd_create("profile", 0);
    assert_int_equal(prof_write(name, fd, 1), 0);
    off_t size = lseek(fd, 0, SEEK_END);
    char *out = calloc(1, (size_t)size + 1);
    assert_int_equal(pread(fd, out, (size_t)size, 0), size);
    close(fd);
    return out;
}

static void starts_with(const char *text, const char *expected)
{
    size_t n = strlen(expected);
    if (strncmp(text, expected, n) != 0)
        fail_msg("expected the start:\n%s\ngot:\n%.*s", expected, (int)n + 100, text);
}

static void text_count(void **state)
{
    (void)state;
    put(low, 2)->values[0] = 3;
    struct prof_sample *s = put(low, 1);
    s->values[0] = 40;
    s->labels = labels;
    char *out = write_text("test_count");
    starts_with(
        out,
        "test_count profile: total 43\n"
        "40 @ 0x1001\n# labels: {\"endpoint\":\"/work\", \"quote\":\"a\\\"b\\n\"}\n#\t0x1000\n\n"
        "3 @ 0x1001 0x2001\n#\t0x1000\n#\t0x2000\n\n\n--- Memory map: ---\n");
    free(out);
}

static void text_contention(void **state)
{
    (void)state;
    struct prof_sample *s = put(low, 2);
    s->values[0] = 3;
    s->values[1] = 1500;
    s = put(low, 1);
    s->values[0] = 1;
    s->values[1] = 9000;
    char *out = write_text("test_block");
    starts_with(out, "--- contention:\ncycles/second=1000000000\n"
                     "9000 1 @ 0x1001\n#\t0x1000\n\n"
                     "1500 3 @ 0x1001 0x2001\n#\t0x1000\n#\t0x2000\n\n");
    free(out);
}

/* Five seen of 4 KiB stand for 5 / (1 - exp(-4096 / 524288)) of them; readers do that sum
 * themselves. */
static void text_heap(void **state)
{
    (void)state;
    double scale = 1 / (1 - exp(-4096.0 / 524288));
    struct prof_sample *s = put(low, 1);
    s->values[0] = (int64_t)(5 * scale);
    s->values[1] = s->values[0] * 4096;
    s = put(low, 2);
    s->values[0] = s->values[2] = (int64_t)(2 * scale);
    s->values[1] = s->values[3] = s->values[0] * 4096;
    char *out = write_text("test_heap");
    starts_with(out, "heap profile: 2: 8192 [7: 28672] @ heap/1048576\n"
                     "2: 8192 [2: 8192] @ 0x1001 0x2001\n#\t0x1000\n#\t0x2000\n\n"
                     "0: 0 [5: 20480] @ 0x1001\n#\t0x1000\n\n\n# runtime.MemStats\n");
    assert_non_null(strstr(out, "\n# MaxRSS = "));
    free(out);
}

/* `#`, PC, function+offset, file:line, in columns that tabs align. */
static void text_functions(void **state)
{
    (void)state;
    uintptr_t pc;
    unsigned offset;
    int line, after = 0;
    put(known, 2)->values[0] = 1;
    char *out = write_text("test_count"), file[256];
    const char *at = strstr(out, "known_function+");
    assert_non_null(at);
    while (at[-1] != '\n')
        at--;
    assert_int_equal(
        sscanf(at, "#\t%lx\tknown_function+%x\t%255[^:]:%d\n%n", &pc, &offset, file, &line, &after),
        4);
    assert_true(after > 0);
    assert_int_equal(pc, known[1]);
    assert_int_equal(offset, known[1] - (uintptr_t)known_function);
    assert_non_null(strstr(file, "tests/profile_test.c"));
    assert_true(line > 0);
    free(out);
}

/* ---- at once
 * ------------------------------------------------------------------------------------------------------
 */

static void *write_often(void *arg)
{
    (void)arg;
    int fd = memfd_create("profile", 0);
    for (int i = 0; i < 20; i++)
        if (prof_write("test_heap", fd, i % 2) != 0)
            return "failed";
    close(fd);
    return NULL;
}

static void two_writers(void **state)
{
    (void)state;
    pthread_t threads[2];
    put(known, 2)->values[0] = 1;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, NULL), 0);
    for (int i = 0; i < 2; i++) {
        void *said;
        pthread_join(threads[i], &said);
        assert_null(said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(header, set_up),
        cmocka_unit_test_setup(samples, set_up),
        cmocka_unit_test_setup(sample_labels, set_up),
        cmocka_unit_test_setup(locations, set_up),
        cmocka_unit_test_setup(summed, set_up),
        cmocka_unit_test_setup(empty, set_up),
        cmocka_unit_test_setup(errors, set_up),
        cmocka_unit_test_setup(subtract, set_up),
        cmocka_unit_test_setup(text_count, set_up),
        cmocka_unit_test_setup(text_contention, set_up),
        cmocka_unit_test_setup(text_heap, set_up),
        cmocka_unit_test_setup(text_functions, set_up),
        cmocka_unit_test_setup(two_writers, set_up),
    };
    if (prof_source_register(&heap) != 0 || prof_source_register(&counting) != 0 ||
        prof_source_register(&block) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
