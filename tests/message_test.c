/* cmd/message.c: what it reads, and what it refuses. */
#include "cmd/message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static struct message of(const char *bytes, size_t size)
{
    return (struct message){(const unsigned char *)bytes, (const unsigned char *)bytes + size};
}

static void every_type(void **state)
{
    (void)state;
    static const char bytes[] = "\x08\x96\x01"                         /* 1: 150 */
                                "\x11\x08\x07\x06\x05\x04\x03\x02\x01" /* 2: fixed64 */
                                "\x1a\x02hi"                           /* 3: "hi" */
                                "\x25\x01\x00\x00\x80";                /* 4: fixed32 */
    struct message m = of(bytes, sizeof bytes - 1);
    struct message_field f;

    assert_true(message_next(&m, &f));
    assert_int_equal(f.number, 1);
    assert_int_equal(f.value, 150);
    assert_true(message_next(&m, &f));
    assert_int_equal(f.type, MESSAGE_FIXED64);
    assert_int_equal(f.value, 0x0102030405060708);
    assert_true(message_next(&m, &f));
    assert_int_equal(message_size(&f.bytes), 2);
    assert_memory_equal(f.bytes.at, "hi", 2);
    assert_true(message_next(&m, &f));
    assert_int_equal(f.value, 0x80000001);
    assert_false(message_next(&m, &f));
    assert_false(message_broken(&m));
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x08", 1},                                              /* no value */
        {"\x08\xff", 2},                                          /* half a number */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, /* too long a number */
        {"\x1a\x05hi", 4},                                        /* longer than what is there */
        {"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},     /* a length that would wrap */
        {"\x11\x01\x02", 3},                                      /* half a fixed64 */
        {"\x0b", 1},                                              /* a group */
        {"\x02\x00", 2},                                          /* field 0 */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct message m = of(bad[i].bytes, bad[i].size);
        struct message_field f;
        assert_false(message_next(&m, &f));
        assert_true(message_broken(&m));
        assert_false(message_next(&m, &f));
    }
}

static void make_path(char *path)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, 256, "%s/message-test-XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static void files(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    char path[256], *data = malloc(SIZE);
    struct message_file f;
    make_path(path);
    for (int i = 0; i < SIZE; i++)
        data[i] = (char)(rand() & 0xff);

    gzFile z = gzopen(path, "wb");
    assert_int_equal(gzwrite(z, data, SIZE), SIZE);
    gzclose(z);
    assert_int_equal(message_file_read(&f, path, SIZE), 0);
    assert_int_equal(message_size(&f.message), SIZE);
    assert_memory_equal(f.memory, data, SIZE);
    message_file_free(&f);
    assert_int_equal(message_file_read(&f, path, SIZE - 1), -EFBIG);
    assert_int_equal(truncate(path, 200000), 0);
    assert_int_equal(message_file_read(&f, path, SIZE), -EILSEQ);

    FILE *plain = fopen(path, "wb");
    assert_int_equal(fwrite(data, 1, 1000, plain), 1000);
    fclose(plain);
    assert_int_equal(message_file_read(&f, path, SIZE), 0);
    assert_int_equal(message_size(&f.message), 1000);
    message_file_free(&f);
    unlink(path);
    assert_int_equal(message_file_read(&f, path, SIZE), -ENOENT);
    assert_int_equal(message_file_read(&f, "/", SIZE), -EISDIR);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type),
        cmocka_unit_test(refused),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
