/* Collected objects in the heap profile. An object that libprof has sampled (one in 512 KiB) is
 * watched with a disappearing link, which libgc clears when it finds the object out of reach; after
 * each collection the profile is told which are gone. Unlike a finalizer that keeps nothing alive.
 */
#include "labs/gc/internal.h"

#include "prof/pprof.h"

#include <gc/gc.h>
#include <sys/mman.h>

enum { CHUNK_SAMPLES = 256 };

struct sample {
    void *link;        /* the object's address, not to be read as one; NULL: it is gone */
    uintptr_t address; /* the same; 0: nothing is watched here */
    struct sample *free;
};

/* From malloc, where the collector does not look for pointers; never moved, for libgc knows the
 * links' addresses. */
struct chunk {
    struct chunk *next;
    struct sample sample[CHUNK_SAMPLES];
};

static struct {
    pthread_mutex_t lock; /* may be taken under libgc's lock, so never the other way round */
    struct chunk *chunks;
    struct sample *free;
} samples = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void add_chunk_locked(void)
{
    struct chunk *c =
        mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (c == MAP_FAILED)
        return;
    c->next = samples.chunks;
    samples.chunks = c;
    for (int i = 0; i < CHUNK_SAMPLES; i++) {
        c->sample[i].free = samples.free;
        samples.free = &c->sample[i];
    }
}

static struct sample *take(const void *p)
{
    pthread_mutex_lock(&samples.lock);
    if (!samples.free)
        add_chunk_locked();
    struct sample *s = samples.free;
    if (s) {
        samples.free = s->free;
        s->link = (void *)~(uintptr_t)p;
        s->address = ~(uintptr_t)p;
    }
    pthread_mutex_unlock(&samples.lock);
    return s;
}

static void forget_locked(struct sample *s)
{
    prof_heap_freed((const void *)~s->address); /* NOLINT: an address */
    s->address = 0;
    s->free = samples.free;
    samples.free = s;
}

void gc_sample_add(const void *p)
{
    struct sample *s = take(p);

    if (!s) {
        prof_heap_freed(p);
        return;
    }
    if (GC_general_register_disappearing_link(&s->link, p) != GC_SUCCESS) {
        pthread_mutex_lock(&samples.lock);
        forget_locked(s);
        pthread_mutex_unlock(&samples.lock);
    }
}

void gc_sample_sweep(void)
{
    pthread_mutex_lock(&samples.lock);
    for (struct chunk *c = samples.chunks; c; c = c->next)
        for (int i = 0; i < CHUNK_SAMPLES; i++)
            if (c->sample[i].address && !c->sample[i].link)
                forget_locked(&c->sample[i]);
    pthread_mutex_unlock(&samples.lock);
}
