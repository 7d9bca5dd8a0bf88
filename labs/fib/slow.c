/* Lab 1, before: the definition of a Fibonacci number, typed in as it stands in the book. It is
 * right, and it is exponential: F(33) is computed twice, F(32) three times, F(31) five times, and
 * so on down. */
#include "labs/fib/fib.h"

__attribute__((noinline)) uint64_t fib_recursive(int n)
{
    if (n < 2)
        return n < 0 ? 0 : (uint64_t)n;
    return fib_recursive(n - 1) + fib_recursive(n - 2);
}
