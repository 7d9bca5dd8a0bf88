/* Memory for records, straight from the kernel: what a malloc hook or a signal handler may allocate
 * from.
 *
 * A chunk is handed out by one atomic add. A full chunk is replaced by a fresh one, twice as large
 * up to a limit, by whoever notices; who loses that race gives its chunk back and uses the
 * winner's. Single records are never freed, an arena is dropped as a whole. */
#include "prof/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHUNK_BYTES_MIN = 64 << 10, CHUNK_BYTES_MAX = 4 << 20, ALIGN = 16 };

struct prof_arena_chunk {
    struct prof_arena_chunk *older;
    size_t bytes;
    _Atomic size_t used;
    size_t unused; /* keeps the records aligned to 16 */
};

static _Atomic uint64_t held_bytes;

uint64_t prof_pages_held(void)
{
    return atomic_load_explicit(&held_bytes, memory_order_relaxed);
}

/* The raw calls: libc's mmap may be somebody's hook. The thread sanitizer's is welcome: it has to
 * learn that the same addresses are another's memory now. */
#ifdef __SANITIZE_THREAD__
static long map(size_t bytes)
{
    return (long)mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void unmap(void *p, size_t bytes)
{
    munmap(p, bytes);
}
#else
static long map(size_t bytes)
{
    return syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                   0);
}

static void unmap(void *p, size_t bytes)
{
    syscall(SYS_munmap, p, bytes);
}
#endif

void *prof_pages_alloc(size_t bytes)
{
    int saved = errno;
    long p = map(bytes);
    if (p == -1) {
        errno = saved;
        return NULL;
    }
    atomic_fetch_add_explicit(&held_bytes, bytes, memory_order_relaxed);
    return (void *)p; /* NOLINT: an address */
}

void prof_pages_free(void *p, size_t bytes)
{
    int saved = errno;
    if (p) {
        unmap(p, bytes);
        atomic_fetch_sub_explicit(&held_bytes, bytes, memory_order_relaxed);
    }
    errno = saved;
}

static size_t chunk_bytes(const struct prof_arena_chunk *full, size_t want)
{
    size_t bytes = full ? full->bytes * 2 : CHUNK_BYTES_MIN;
    if (bytes > CHUNK_BYTES_MAX)
        bytes = CHUNK_BYTES_MAX;
    while (bytes < want + sizeof(struct prof_arena_chunk))
        bytes *= 2;
    return bytes;
}

/* Replaces `full` unless somebody already has. false: no memory. */
static bool replace_chunk(struct prof_arena *a, struct prof_arena_chunk *full, size_t want)
{
    size_t bytes = chunk_bytes(full, want);
    struct prof_arena_chunk *fresh = prof_pages_alloc(bytes);
    if (!fresh)
        return false;
    fresh->older = full;
    fresh->bytes = bytes;
    atomic_init(&fresh->used, sizeof *fresh);
    if (!atomic_compare_exchange_strong_explicit(&a->chunk, &full, fresh, memory_order_acq_rel,
                                                 memory_order_relaxed))
        prof_pages_free(fresh, bytes);
    return true;
}

void *prof_arena_alloc(struct prof_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    bytes = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    for (;;) {
        struct prof_arena_chunk *c = atomic_load_explicit(&a->chunk, memory_order_acquire);
        if (c && atomic_load_explicit(&c->used, memory_order_relaxed) + bytes <= c->bytes) {
            size_t at = atomic_fetch_add_explicit(&c->used, bytes, memory_order_relaxed);
            if (at + bytes <= c->bytes)
                return (char *)c + at;
        }
        if (!replace_chunk(a, c, bytes))
            return NULL;
    }
}

void prof_arena_drop(struct prof_arena *a)
{
    struct prof_arena_chunk *c = atomic_exchange(&a->chunk, NULL);
    while (c) {
        struct prof_arena_chunk *older = c->older;
        prof_pages_free(c, c->bytes);
        c = older;
    }
}
