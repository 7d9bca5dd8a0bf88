/* prof/wire.c: what it writes reads back as what was put in. prof/pool.c: strings once each, valid
 * UTF-8. */
#include "prof/internal.h"
#include "tests/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static const uint64_t interesting[] = {
    0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, UINT64_C(1) << 32, INT64_MAX, UINT64_MAX,
};
enum { INTERESTING = sizeof interesting / sizeof interesting[0] };

static struct proto reader(const struct prof_wire *w)
{
    return (struct proto){w->data, w->data + w->size};
}

static void exact_bytes(void **state)
{
    (void)state;
    /* The examples of the format's own documentation: 150 in field 1, "testing" in field 2. */
    static const unsigned char expected[] = "\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01";
    struct prof_wire w;
    prof_wire_open(&w);
    prof_wire_uint(&w, 1, 150);
    prof_wire_string(&w, 2, "testing");
    size_t m = prof_wire_begin(&w, 3);
    prof_wire_uint(&w, 1, 150);
    prof_wire_end(&w, m);
    assert_int_equal(prof_wire_close(&w), 0);
    assert_int_equal(w.size, sizeof expected - 1);
    assert_memory_equal(w.data, expected, w.size);
    free(w.data);
}

static void numbers(void **state)
{
    (void)state;
    static const int fields[] = {1, 15, 16, 2047, 2048, 536870911};
    struct prof_wire w;
    struct proto_field f;
    prof_wire_open(&w);
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++)
        for (int i = 0; i < INTERESTING; i++)
            prof_wire_uint(&w, fields[k], interesting[i]);
    struct proto p = reader(&w);
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++)
        for (int i = 0; i < INTERESTING; i++) {
            assert_true(proto_next(&p, &f));
            assert_int_equal(f.number, fields[k]);
            assert_int_equal(f.value, interesting[i]);
        }
    assert_false(proto_next(&p, &f));
    free(w.data);
}

static void packed(void **state)
{
    (void)state;
    struct prof_wire w;
    struct proto_field f;
    prof_wire_open(&w);
    prof_wire_packed(&w, 4, interesting, INTERESTING);
    prof_wire_packed(&w, 5, interesting, 0);
    struct proto p = reader(&w);
    assert_true(proto_next(&p, &f));
    assert_int_equal(f.number, 4);
    for (int i = 0; i < INTERESTING; i++) {
        uint64_t value;
        assert_true(proto_varint(&f.bytes, &value));
        assert_int_equal(value, interesting[i]);
    }
    assert_ptr_equal(f.bytes.at, f.bytes.end);
    assert_false(proto_next(&p, &f));
    free(w.data);
}

/* Lengths around those that need another byte, within a message within a message. */
static void nested(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,   1,   120,   125,   126,     127,
                                   128, 129, 16380, 16384, 2097150, 2097160};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct prof_wire w;
        struct proto_field outer, inner, leaf, after;
        char *text = malloc(sizes[i] + 1);
        memset(text, 'x', sizes[i]);
        prof_wire_open(&w);
        size_t a = prof_wire_begin(&w, 1), b = prof_wire_begin(&w, 2);
        prof_wire_bytes(&w, 3, text, sizes[i]);
        prof_wire_end(&w, b);
        prof_wire_end(&w, a);
        prof_wire_uint(&w, 9, 42);
        struct proto p = reader(&w);
        assert_true(proto_next(&p, &outer) && outer.number == 1);
        assert_true(proto_next(&outer.bytes, &inner) && inner.number == 2);
        assert_true(proto_next(&inner.bytes, &leaf) && leaf.number == 3);
        assert_int_equal(leaf.bytes.end - leaf.bytes.at, sizes[i]);
        assert_memory_equal(leaf.bytes.at, text, sizes[i]);
        assert_true(proto_next(&p, &after) && after.number == 9 && after.value == 42);
        free(text);
        free(w.data);
    }
}

/* More than any buffer holds, so that data leaves while more comes. */
static void gzipped(void **state)
{
    (void)state;
    int fd = memfd_create("wire", 0);
    struct prof_wire w;
    struct proto_field f;
    struct proto p;
    unsigned char *memory;
    enum { N = 200000 };
    assert_int_equal(prof_wire_open_gzip(&w, fd), 0);
    for (uint64_t i = 0; i < N; i++) {
        size_t m = prof_wire_begin(&w, 1);
        prof_wire_uint(&w, 1, i * 2654435761u);
        prof_wire_end(&w, m);
    }
    assert_int_equal(prof_wire_close(&w), 0);
    assert_true(proto_gunzip(fd, &memory, &p));
    for (uint64_t i = 0; i < N; i++) {
        struct proto_field value;
        assert_true(proto_next(&p, &f) && proto_next(&f.bytes, &value));
        assert_int_equal(value.value, i * 2654435761u);
    }
    assert_false(proto_next(&p, &f));
    assert_int_equal(fcntl(fd, F_GETFD) >= 0, 1); /* the descriptor is still the caller's */
    free(memory);
    close(fd);
}

static void full_disk(void **state)
{
    (void)state;
    int fd = open("/dev/full", O_WRONLY);
    struct prof_wire w;
    assert_int_equal(prof_wire_open_gzip(&w, fd), 0);
    for (int i = 0; i < 100000; i++)
        prof_wire_uint(&w, 1, (uint64_t)i * 2654435761u);
    assert_int_equal(prof_wire_close(&w), -ENOSPC);
    close(fd);
    assert_int_equal(prof_wire_open_gzip(&w, -1), 0);
    assert_int_equal(prof_wire_close(&w), -EBADF);
}

static void strings_once(void **state)
{
    (void)state;
    struct prof_pool p = {0};
    char text[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 5000; i++) {
            snprintf(text, sizeof text, "string %d", i);
            assert_int_equal(prof_pool_intern(&p, text, strlen(text)), i + 1);
        }
    assert_int_equal(p.nstrings, 5001);
    assert_string_equal(p.strings[0], "");
    assert_string_equal(p.strings[4711], "string 4710");
    assert_ptr_equal(prof_pool_string(&p, "string 7"), p.strings[8]);
    assert_int_equal(prof_pool_intern(&p, "string 77", 8), 8);
    assert_int_equal(prof_pool_intern(&p, "", 0), 0);
    assert_string_equal(prof_pool_string(&p, NULL), "");
    assert_false(p.failed);
    prof_pool_free(&p);
    prof_pool_free(&p);
}

static void only_utf8(void **state)
{
    (void)state;
#define R "\xef\xbf\xbd"
    static const char *const texts[][2] = {
        {"plain", "plain"},
        {"\xc3\xa9 \xe3\x81\x82 \xf0\x9f\x98\x80", "\xc3\xa9 \xe3\x81\x82 \xf0\x9f\x98\x80"},
        {"\xff"
         "a\xfe",
         R "a" R},
        {"\xc3", R}, /* cut off */
        {"\xe3\x81", R R},
        {"\xc0\xaf", R R}, /* overlong */
        {"\xe0\x80\xaf", R R R},
        {"\xf0\x80\x80\xaf", R R R R},
        {"\xed\xa0\x80", R R R},       /* a surrogate */
        {"\xf4\x90\x80\x80", R R R R}, /* beyond U+10FFFF */
        {"\xc3(", R "("},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    };
#undef R
    struct prof_pool p = {0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_string_equal(prof_pool_string(&p, texts[i][0]), texts[i][1]);
    prof_pool_free(&p);
}

static void pool_memory(void **state)
{
    (void)state;
    struct prof_pool p = {0};
    for (size_t i = 1; i < 300000; i = i * 3 + 1) {
        unsigned char *a = prof_pool_alloc(&p, i), *b = prof_pool_alloc(&p, i);
        assert_int_equal((uintptr_t)a % 16, 0);
        for (size_t k = 0; k < i; k++)
            assert_int_equal(a[k] | b[k], 0);
        memset(a, 0xff, i);
        memset(b, 0xff, i);
    }
    assert_null(prof_pool_alloc(&p, SIZE_MAX - 8));
    assert_true(p.failed);
    prof_pool_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_bytes),  cmocka_unit_test(numbers),   cmocka_unit_test(packed),
        cmocka_unit_test(nested),       cmocka_unit_test(gzipped),   cmocka_unit_test(full_disk),
        cmocka_unit_test(strings_once), cmocka_unit_test(only_utf8), cmocka_unit_test(pool_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
