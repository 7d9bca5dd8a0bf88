/* A group has 1 to 16 numbers, and they have to be turned round before they are added up. Where?
 *
 * Allocated, it is right for any size. A variable-length array is as large as need be and costs an
 * instruction; it is also as large as whoever chose the size wants it to be, and a stack that is
 * too short ends the program, at best. A fixed one has a bound that is checked, and is what a
 * reader can reason about. A large fixed one is the same, until it is on the stack of a thread that
 * has less. And who calls often can bring the memory along. */
#include "labs/escape/escape.h"

#include <errno.h>
#include <stdlib.h>

/* The numbers of a group, the last one first, and a sum that minds the order. */
static __attribute__((noinline)) uint64_t turn(uint32_t *v, int n, int group)
{
    uint64_t sum = 0;

    for (int i = 0; i < n; i++)
        v[n - 1 - i] = escape_number(group, i);
    for (int i = 0; i < n; i++)
        sum += v[i] * (2 * (uint64_t)i + 1);
    return sum;
}

/* ---- allocated ------------------------------------------------------------------------------- */

static __attribute__((noinline)) int array_heap(int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++) {
        const int n = escape_size(i);
        uint32_t *v = malloc((size_t)n * sizeof(*v));
        if (!v)
            return -ENOMEM;
        *sum += turn(v, n, i);
        free(v);
    }
    return count < 0 ? -EINVAL : 0;
}

/* ---- variable-length ------------------------------------------------------------------------- */

static __attribute__((noinline)) uint64_t turn_vla(int group, int n)
{
    uint32_t v[n]; /* n is known to be 1 to 16; else this line would be a hole */

    return turn(v, n, group);
}

static __attribute__((noinline)) int array_vla(int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++)
        *sum += turn_vla(i, escape_size(i));
    return count < 0 ? -EINVAL : 0;
}

/* ---- fixed ----------------------------------------------------------------------------------- */

static __attribute__((noinline)) uint64_t turn_fixed(int group, int n)
{
    uint32_t v[ESCAPE_NUMBERS_MAX];

    return n <= ESCAPE_NUMBERS_MAX ? turn(v, n, group) : 0;
}

static __attribute__((noinline)) int array_fixed(int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++)
        *sum += turn_fixed(i, escape_size(i));
    return count < 0 ? -EINVAL : 0;
}

/* Room for 65,536, just in case: 256 KiB of stack, of which a page or two is ever touched. */
static __attribute__((noinline)) uint64_t turn_large(int group, int n)
{
    uint32_t v[ESCAPE_LARGE_MAX];

    return n <= ESCAPE_LARGE_MAX ? turn(v, n, group) : 0;
}

static __attribute__((noinline)) int array_large(int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++)
        *sum += turn_large(i, escape_size(i));
    return count < 0 ? -EINVAL : 0;
}

/* ---- the caller's ---------------------------------------------------------------------------- */

static __attribute__((noinline)) int array_scratch(int count, uint64_t *sum)
{
    uint32_t *scratch = malloc(ESCAPE_NUMBERS_MAX * sizeof(*scratch));

    if (!scratch)
        return -ENOMEM;
    *sum = 0;
    for (int i = 0; i < count; i++)
        *sum += turn(scratch, escape_size(i), i);
    free(scratch);
    return count < 0 ? -EINVAL : 0;
}

const struct escape_impl array_impls[] = {
    {"heap", array_heap},   {"vla", array_vla},         {"fixed", array_fixed},
    {"large", array_large}, {"scratch", array_scratch}, {NULL, NULL},
};
