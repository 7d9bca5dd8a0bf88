/* A function has a result of 32 bytes. Who provides the memory?
 *
 * A fresh object is an allocation, a free that somebody has to remember, and one more way to fail.
 * By value, the caller sets 32 bytes of its stack aside and the callee writes there: the compiler
 * passes the address without being asked. Into the caller's, the program does the same by hand, and
 * the caller may put it anywhere, into an array, say. */
#include "labs/escape/escape.h"

#include <errno.h>
#include <stdlib.h>

struct summary {
    uint64_t sum, min, max, count;
};

static inline void summary_add(struct summary *s, uint64_t x)
{
    s->sum += x;
    s->min = x < s->min ? x : s->min;
    s->max = x > s->max ? x : s->max;
    s->count++;
}

static inline void summarize(struct summary *s, int group)
{
    *s = (struct summary){.min = UINT64_MAX};
    for (int i = 0; i < ESCAPE_NUMBERS; i++)
        summary_add(s, escape_number(group, i));
}

static inline uint64_t summary_value(const struct summary *s)
{
    return s->sum + 3 * s->min + 5 * s->max + s->count;
}

/* ---- a fresh object -------------------------------------------------------------------------- */

static __attribute__((noinline)) struct summary *summary_new(int group)
{
    struct summary *s = malloc(sizeof(*s));

    if (s)
        summarize(s, group);
    return s;
}

static __attribute__((noinline)) int return_heap(int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++) {
        struct summary *s = summary_new(i);
        if (!s)
            return -ENOMEM;
        *sum += summary_value(s);
        free(s);
    }
    return count < 0 ? -EINVAL : 0;
}

/* ---- by value -------------------------------------------------------------------------------- */

static __attribute__((noinline)) struct summary summary_of(int group)
{
    struct summary s;

    summarize(&s, group);
    return s;
}

static __attribute__((noinline)) int return_value(int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++) {
        struct summary s = summary_of(i);
        *sum += summary_value(&s);
    }
    return count < 0 ? -EINVAL : 0;
}

/* ---- into the caller's ----------------------------------------------------------------------- */

static __attribute__((noinline)) void summary_fill(struct summary *s, int group)
{
    summarize(s, group);
}

static __attribute__((noinline)) int return_caller(int count, uint64_t *sum)
{
    struct summary s;

    *sum = 0;
    for (int i = 0; i < count; i++) {
        summary_fill(&s, i);
        *sum += summary_value(&s);
    }
    return count < 0 ? -EINVAL : 0;
}

/* ---- a fresh object that nobody sees --------------------------------------------------------- */

/* As summary_new, but it may be inlined. Then the compiler sees the malloc and the free together,
 * sees that the address goes nowhere else, and may leave both out. That is C's escape analysis: a
 * courtesy of the optimizer, no promise. */
static inline struct summary *summary_new_inline(int group)
{
    struct summary *s = malloc(sizeof(*s));

    if (s)
        summarize(s, group);
    return s;
}

static __attribute__((noinline)) int return_inlined(int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++) {
        struct summary *s = summary_new_inline(i);
        if (!s)
            return -ENOMEM;
        *sum += summary_value(s);
        free(s);
    }
    return count < 0 ? -EINVAL : 0;
}

const struct escape_impl return_impls[] = {
    {"heap", return_heap},
    {"value", return_value},
    {"caller", return_caller},
    {"inlined", return_inlined},
    {NULL, NULL},
};
