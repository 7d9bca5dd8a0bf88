/* Memory for a thread that must leave the program's allocator alone.
 *
 * A profile that is written from a signal handler, or from _exit, comes at a moment when this very
 * thread may be inside malloc with a lock held. Between prof_private_begin and prof_private_end the
 * hooks of malloc.c serve the thread from here: blocks behind one another in a region of their own.
 * The latest block can grow and be given back; the others stay until the process ends, which is
 * near. One thread at a time allocates; what it leaves behind (a trace's blocks) may be freed by
 * another, so that all of them take malloc.c's slow way. */
#include "prof/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { HEAD = 16 };
static const size_t region_max = (size_t)1 << 30, region_min = (size_t)1 << 24;

__thread bool prof_private_tls;

static uintptr_t region, region_bytes;
static uintptr_t top; /* the first free byte */

/* Only what is touched becomes memory, so the size hardly matters, unless the process is limited.
 */
bool prof_private_begin(void)
{
    for (size_t n = region_max; !region && n >= region_min; n /= 2) {
        void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                       -1, 0);
        if (p == MAP_FAILED)
            continue;
        region = top = (uintptr_t)p;
        region_bytes = n;
    }
    prof_private_tls = region != 0;
    return prof_private_tls;
}

void prof_private_end(void)
{
    prof_private_tls = false;
}

bool prof_is_private(const void *p)
{
    return (uintptr_t)p - region < region_bytes;
}

static size_t *size_of(void *p)
{
    return (size_t *)((uintptr_t)p - HEAD);
}

size_t prof_private_size(void *p)
{
    return *size_of(p);
}

static bool is_latest(void *p)
{
    return (uintptr_t)p + *size_of(p) == top;
}

static bool fits(uintptr_t at, size_t n)
{
    uintptr_t end = region + region_bytes;
    return at <= end && n <= end - at;
}

/* Not always zeroed: a block that was given back is handed out again. */
void *prof_private_alloc(size_t align, size_t n)
{
    size_t size = (n + HEAD - 1) & ~(size_t)(HEAD - 1);
    uintptr_t p = (top + HEAD + align - 1) & ~(uintptr_t)(align - 1);
    if (size < n || !fits(p, size)) {
        errno = ENOMEM;
        return NULL;
    }
    *size_of((void *)p) = size;
    top = p + size;
    prof_live_filter_saturate(p);
    return (void *)p;
}

/* The host's blocks are left as they are. */
void prof_private_free(void *p)
{
    if (prof_is_private(p) && is_latest(p))
        top = (uintptr_t)p - HEAD;
}

/* p is private, or NULL. */
void *prof_private_realloc(void *p, size_t n)
{
    if (!p)
        return prof_private_alloc(HEAD, n);
    if (is_latest(p) && n < region_bytes && fits((uintptr_t)p, n + HEAD)) {
        *size_of(p) = (n + HEAD - 1) & ~(size_t)(HEAD - 1);
        top = (uintptr_t)p + *size_of(p);
        return p;
    }
    size_t old = *size_of(p);
    void *q = prof_private_alloc(HEAD, n);
    return q ? memcpy(q, p, old < n ? old : n) : NULL;
}
