/* Lab 1: a hot CPU. One number, three ways to it.
 *
 *   slow.c    fib_recursive   calls itself twice: 30 million calls for F(35)
 *   fixed.c   fib_memo        remembers what it has computed, in a map behind a mutex
 *             fib_iterative   needs no memory at all (the bonus)
 *   burn.c    lab_burn_cpu    the same functions on many threads, for as long as you like
 *
 * Look first: take a CPU profile of `Fib/impl=recursive` and read `top`. Which function has all the
 * flat time? Then `list fib_recursive`: more than 100 % cum, so it stands on each stack many times.
 * A function that calls itself twice computes things again.
 *
 * Hint: how many different arguments does fib_recursive(35) ever see? */
#ifndef LABS_FIB_H
#define LABS_FIB_H

#include <stdint.h>

/* The n-th Fibonacci number, F(0) = 0 and F(1) = 1; n below 0 counts as 0. Right up to F(93), the
 * largest that fits. Each can be called from any thread. */
uint64_t fib_recursive(int n);
uint64_t fib_memo(int n); /* with a fresh memo for every call */
uint64_t fib_iterative(int n);

struct fib_impl {
    const char *name; /* as in -bench Fib/impl=NAME and ?impl=NAME */
    uint64_t (*fib)(int n);
};
extern const struct fib_impl fib_impls[]; /* slowest first; ends with a NULL name */
/* NULL: there is no such implementation. */
const struct fib_impl *fib_impl_find(const char *name);

/* Keeps `workers` threads busy: each computes n numbers, F(30) to F(34) in turn, and all of them
 * are added up to *total (the same for every implementation). 0, -EINVAL for n < 0 or workers < 1,
 * or why a thread could not be started. */
int lab_burn_cpu(int n, int workers, const struct fib_impl *impl, uint64_t *total);

#endif
