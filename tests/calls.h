/* Comparing hooked calls with libc's own: what a scene's calls returned and left in errno, and the
 * way past the hooks. For tests. */
#ifndef TESTS_CALLS_H
#define TESTS_CALLS_H

#include "tests/sanitized.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct log {
    int n, rc[64], error[64];
};

/* errno, too: the hooks leave it as libc does, which is mostly as it was. */
static inline void note(struct log *l, int rc)
{
    assert_true(l->n < 64);
    l->error[l->n] = errno;
    l->rc[l->n++] = rc;
    errno = 77;
}

static inline void tell(char *text, const struct log *l)
{
    *text = '\0';
    for (int i = 0; i < l->n; i++)
        text += sprintf(text, l->error[i] == 77 ? "%d " : "%d(errno %d) ", l->rc[i], l->error[i]);
}

static inline void assert_same(const char *what, const struct log *plain, const struct log *hooked)
{
    char a[1536], b[1536];
    tell(a, plain);
    tell(b, hooked);
    if (strcmp(a, b) != 0)
        fail_msg("%s: expected %s got %s", what, a, b);
}

static inline void *libc_call(const char *name)
{
    static void *libc;
    if (!libc)
        libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *p = dlsym(libc, name);
    if (!p)
        fail_msg("libc has no %s", name);
    return p;
}

static inline struct timespec in_ms(clockid_t clock, int ms)
{
    struct timespec t;
    clock_gettime(clock, &t);
    int64_t ns = t.tv_nsec + (int64_t)ms * 1000000;
    t.tv_sec += ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    return t;
}

static const struct timespec past = {.tv_sec = 1}, invalid = {.tv_nsec = 1000000000};
#endif
