/* The threads of lab 4. A worker does its job and then waits for the next one or for the order to
 * stop. The order exists and is obeyed; whether it is ever given is what slow.c and fixed.c differ
 * in. */
#include "labs/leak/leak.h"
#include "prof/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct leak_crew {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* a job or the order to stop */
    pthread_cond_t idle; /* a worker has finished its job */
    int done;            /* under lock, as the next two */
    uint64_t sum;
    bool stop;
    int64_t forgotten_ns; /* under forgotten_lock, as the next */
    struct leak_crew *next;
    int workers;
    pthread_t thread[];
};

/* A leak of a real program has no such list. This one is kept so that a demonstration can end. */
static pthread_mutex_t forgotten_lock = PTHREAD_MUTEX_INITIALIZER;
static struct leak_crew *forgotten;

static __attribute__((noinline)) uint64_t leak_do_job(void)
{
    PROF_REGION("job");
    uint64_t x = 1;

    for (int i = 0; i < 1000; i++)
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
    return x;
}

/* Where leaked threads stand: the name to look for in their stacks. */
static __attribute__((noinline)) void leak_wait_for_job(struct leak_crew *crew)
{
    PROF_REGION("wait for a job"); /* in a trace of the leak, this slice has no end */
    while (!crew->stop)
        pthread_cond_wait(&crew->wake, &crew->lock);
}

static __attribute__((noinline)) void *leak_worker(void *arg)
{
    struct leak_crew *crew = arg;
    uint64_t x = leak_do_job();

    pthread_mutex_lock(&crew->lock);
    crew->sum += x;
    crew->done++;
    pthread_cond_signal(&crew->idle);
    leak_wait_for_job(crew);
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

static struct leak_crew *crew_new(int workers)
{
    struct leak_crew *crew = calloc(1, sizeof(*crew) + (size_t)workers * sizeof(crew->thread[0]));

    if (!crew)
        return NULL;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->wake, NULL);
    pthread_cond_init(&crew->idle, NULL);
    return crew;
}

int leak_crew_start(int workers, struct leak_crew **out, uint64_t *sum)
{
    if (workers < 1 || workers > LEAK_WORKERS_MAX)
        return -EINVAL;
    struct leak_crew *crew = crew_new(workers);
    if (!crew)
        return -ENOMEM;

    for (; crew->workers < workers; crew->workers++) {
        int err = pthread_create(&crew->thread[crew->workers], NULL, leak_worker, crew);
        if (err) {
            leak_crew_stop(crew);
            return -err;
        }
    }
    pthread_mutex_lock(&crew->lock);
    while (crew->done < workers)
        pthread_cond_wait(&crew->idle, &crew->lock);
    *sum = crew->sum;
    pthread_mutex_unlock(&crew->lock);
    *out = crew;
    return 0;
}

int leak_crew_stop(struct leak_crew *crew)
{
    int workers = crew->workers;

    pthread_mutex_lock(&crew->lock);
    crew->stop = true;
    pthread_cond_broadcast(&crew->wake);
    pthread_mutex_unlock(&crew->lock);
    for (int i = 0; i < workers; i++)
        pthread_join(crew->thread[i], NULL);
    pthread_cond_destroy(&crew->idle);
    pthread_cond_destroy(&crew->wake);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
    return workers;
}

/* ---- the forgotten --------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void leak_crew_forget(struct leak_crew *crew)
{
    pthread_mutex_lock(&forgotten_lock);
    crew->forgotten_ns = now_ns();
    crew->next = forgotten;
    forgotten = crew;
    pthread_mutex_unlock(&forgotten_lock);
}

int lab_leak_count(void)
{
    int threads = 0;

    pthread_mutex_lock(&forgotten_lock);
    for (struct leak_crew *c = forgotten; c; c = c->next)
        threads += c->workers;
    pthread_mutex_unlock(&forgotten_lock);
    return threads;
}

/* Unlinks one crew that is old enough. */
static struct leak_crew *find_forgotten(int64_t age_ns)
{
    pthread_mutex_lock(&forgotten_lock);
    struct leak_crew **link = &forgotten;
    while (*link && now_ns() - (*link)->forgotten_ns < age_ns)
        link = &(*link)->next;
    struct leak_crew *crew = *link;
    if (crew)
        *link = crew->next;
    pthread_mutex_unlock(&forgotten_lock);
    return crew;
}

int lab_leak_stop(int64_t age_ns)
{
    struct leak_crew *crew;
    int threads = 0;

    while ((crew = find_forgotten(age_ns)))
        threads += leak_crew_stop(crew);
    return threads;
}
