/* What the stacks of 2,000 threads take, and what a label costs. */
#include "prof/pprof.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 2000, ROUNDS = 21, LABELS = 1000000 };

static double now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, ascending);
    return v[ROUNDS / 2];
}

static void *park(void *arg)
{
    sem_wait(arg);
    return NULL;
}

static double goroutine_ms(void)
{
    static pthread_t threads[THREADS];
    pthread_attr_t attr;
    sem_t parked;
    double took[ROUNDS];
    int n = 0, fd = open("/dev/null", O_WRONLY);
    sem_init(&parked, 0, 0);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 << 10);
    while (n < THREADS && pthread_create(&threads[n], &attr, park, &parked) == 0)
        n++;
    for (int i = 0; i < ROUNDS; i++) {
        double start = now_ns();
        prof_write("goroutine", fd, 0);
        took[i] = (now_ns() - start) / 1e6;
    }
    for (int i = 0; i < n; i++)
        sem_post(&parked);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    close(fd);
    return n == THREADS ? median(took) : 1e9;
}

static double label_ns(void)
{
    double took[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        double start = now_ns();
        for (int k = 0; k < LABELS / ROUNDS; k++)
            if (prof_label_push("endpoint", "/work/cpu") == 0)
                prof_label_pop();
        took[i] = (now_ns() - start) / (LABELS / ROUNDS);
    }
    return median(took);
}

int main(void)
{
    double ms = goroutine_ms(), ns = label_ns();
    printf("goroutine profile of %d threads  %.0f ms  < 1000 ms  %s\n", THREADS, ms,
           ms < 1000 ? "ok" : "MISSED");
    printf("label push and pop  %.0f ns  < 200 ns  %s\n", ns, ns < 200 ? "ok" : "MISSED");
    return ms < 1000 && ns < 200 ? 0 : 1;
}
