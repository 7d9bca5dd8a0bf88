/* Lab 7: heap or stack. In Go the compiler decides where a value lives, and -gcflags=-m tells. In C
 * you decide, with every line, and the compiler may still improve on it. Three places where that is
 * decided, each with the ways there are:
 *
 *   return.c     a result: a fresh object, by value, into the caller's
 *   array.c      room for as many numbers as come: allocated, a variable-length array, a fixed one,
 * the caller's callback.c   what a callback has to know: allocated, on the caller's stack, in
 * registers input.c      the numbers, the same for all
 *
 * Look first: `make escape` shows every line with what the compiler made of it: bytes of stack,
 * calls to the allocator, what was inlined. Which malloc in the sources is not in the program? Then
 * `make compare-escape`, `compare-array` and `compare-callback` say what each way costs, with
 * allocs/op.
 *
 * Hint: the stack is not free, it is short: 8 MiB for most main threads, 128 KiB for a thread of
 * musl's. */
#ifndef LABS_ESCAPE_H
#define LABS_ESCAPE_H

#include <stddef.h>
#include <stdint.h>

enum {
    ESCAPE_COUNT = 1000,
    ESCAPE_NUMBERS = 2,
    ESCAPE_NUMBERS_MAX = 16,
    ESCAPE_LARGE_MAX = 65536
};

/* All take `count` groups of numbers one after the other; *sum becomes the sum of what came out,
 * the same for all of one table. From any thread. 0, -EINVAL for a negative count, or -ENOMEM. */
struct escape_impl {
    const char *name;
    int (*run)(int count, uint64_t *sum);
};
extern const struct escape_impl
    return_impls[]; /* heap value caller inlined; ends with a NULL name */
extern const struct escape_impl array_impls[];    /* heap vla fixed large scratch */
extern const struct escape_impl callback_impls[]; /* heap stack inlined */

/* NULL: there is no such implementation in the table. */
const struct escape_impl *escape_impl_find(const struct escape_impl *table, const char *name);

/* ---- input.c --------------------------------------------------------------------------------- */

/* The i-th number of a group. */
static inline uint32_t escape_number(int group, int i)
{
    return (uint32_t)(group * 2654435761U + (unsigned)i * 40503U) >> 8;
}

/* How many numbers a group has: 1 to ESCAPE_NUMBERS_MAX. */
int escape_size(int group);

#endif
