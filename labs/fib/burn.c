/* Lab 1 on many threads: what cmd/cpu_hot and the server's /work/cpu run. Every worker does the
 * same, so a CPU profile shows one function on all of them; the arguments vary a little so that no
 * two samples need look alike. */
#include "labs/fib/fib.h"
#include "prof/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct burner {
    pthread_t thread;
    const struct fib_impl *impl;
    int n;
    uint64_t sum;
};

static void *burn(void *arg)
{
    struct burner *w = arg;

    for (int i = 0; i < w->n; i++) {
        PROF_REGION("fib"); /* a slice for each number, in a trace */
        w->sum += w->impl->fib(30 + i % 5);
    }
    return NULL;
}

int lab_burn_cpu(int n, int workers, const struct fib_impl *impl, uint64_t *total)
{
    if (n < 0 || workers < 1)
        return -EINVAL;
    struct burner *w = calloc((size_t)workers, sizeof(*w));
    if (!w)
        return -ENOMEM;

    int started = 0, err = 0;
    for (; started < workers && !err; started += !err) {
        w[started].impl = impl;
        w[started].n = n;
        err = pthread_create(&w[started].thread, NULL, burn, &w[started]);
    }
    *total = 0;
    for (int i = 0; i < started; i++) {
        pthread_join(w[i].thread, NULL);
        *total += w[i].sum;
    }
    free(w);
    return -err;
}
