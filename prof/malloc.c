/* malloc and its family, hooked: counts every call exactly, lets heap.c sample a few of them.
 *
 * The next definition in the loader's order (libc's, tcmalloc's, whatever the program runs on) does
 * the work. Until it is known, calls go to boot_* functions: dlsym may itself allocate, and gets
 * that from a small static block that is never given back. After that the cost of a call is one
 * indirect jump, three additions and, on free, one load of the filter. */
#include "prof/memory.h"
#include "prof/thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static void *boot_malloc(size_t n);
static void *boot_calloc(size_t count, size_t n);
static void *boot_realloc(void *p, size_t n);
static void boot_free(void *p);
static void *boot_aligned_alloc(size_t align, size_t n);
static void *boot_memalign(size_t align, size_t n);
static int boot_posix_memalign(void **out, size_t align, size_t n);
static void *boot_valloc(size_t n);
static void *boot_pvalloc(size_t n);

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
} real = {boot_malloc,   boot_calloc,         boot_realloc, boot_free,   boot_aligned_alloc,
          boot_memalign, boot_posix_memalign, boot_valloc,  boot_pvalloc};

/* ---- before the real ones are known ---------------------------------------------------------- */

static char boot_block[64 << 10] __attribute__((aligned(64)));
static _Atomic size_t boot_used;
static atomic_bool resolving;

static bool from_boot(const void *p)
{
    return (uintptr_t)p - (uintptr_t)boot_block < sizeof boot_block;
}

/* Each block is preceded by its size, for realloc. Zeroed, as nothing is handed out twice. */
static void *boot_alloc(size_t align, size_t n)
{
    size_t head = align < 16 ? 16 : align;
    if (n > sizeof boot_block || head > sizeof boot_block)
        return NULL;
    size_t at = atomic_fetch_add(&boot_used, n + 2 * head + 16);
    if (at + n + 2 * head + 16 > sizeof boot_block) {
        errno = ENOMEM;
        return NULL;
    }
    uintptr_t p = ((uintptr_t)boot_block + at + 16 + head - 1) & ~(uintptr_t)(head - 1);
    ((size_t *)p)[-1] = n;
    prof_live_filter_saturate(p);
    return (void *)p;
}

/* false: this call comes from within the resolution, or from another thread during it. */
static bool resolve(void)
{
    if (atomic_exchange(&resolving, true))
        return false;
    typeof(real) found = {
        .malloc = dlsym(RTLD_NEXT, "malloc"),
        .calloc = dlsym(RTLD_NEXT, "calloc"),
        .realloc = dlsym(RTLD_NEXT, "realloc"),
        .aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc"),
        .memalign = dlsym(RTLD_NEXT, "memalign"),
        .posix_memalign = dlsym(RTLD_NEXT, "posix_memalign"),
        .valloc = dlsym(RTLD_NEXT, "valloc"),
        .pvalloc = dlsym(RTLD_NEXT, "pvalloc"),
        .free = dlsym(RTLD_NEXT, "free"),
    };
    real = found;
    return true;
}

const void *prof_malloc_next(void)
{
    return real.malloc == boot_malloc ? NULL : (const void *)real.malloc;
}

static void *boot_malloc(size_t n)
{
    return resolve() ? real.malloc(n) : boot_alloc(16, n);
}
static void *boot_aligned_alloc(size_t align, size_t n)
{
    return resolve() ? real.aligned_alloc(align, n) : boot_alloc(align, n);
}
static void *boot_memalign(size_t align, size_t n)
{
    return resolve() ? real.memalign(align, n) : boot_alloc(align, n);
}
static void *boot_valloc(size_t n)
{
    return resolve() ? real.valloc(n) : boot_alloc(4096, n);
}
static void *boot_pvalloc(size_t n)
{
    return resolve() ? real.pvalloc(n) : boot_alloc(4096, n);
}

static void *boot_calloc(size_t count, size_t n)
{
    size_t bytes;
    if (resolve())
        return real.calloc(count, n);
    return __builtin_mul_overflow(count, n, &bytes) ? NULL : boot_alloc(16, bytes);
}

static int boot_posix_memalign(void **out, size_t align, size_t n)
{
    if (resolve())
        return real.posix_memalign(out, align, n);
    *out = boot_alloc(align, n);
    return *out ? 0 : ENOMEM;
}

static void *boot_realloc(void *p, size_t n)
{
    if (resolve())
        return real.realloc(p, n);
    void *q = boot_alloc(16, n);
    if (q && p)
        memcpy(q, p, ((size_t *)p)[-1] < n ? ((size_t *)p)[-1] : n);
    return q;
}

static void boot_free(void *p)
{
    if (resolve())
        real.free(p);
}

/* ---- counting and sampling ------------------------------------------------------------------- */

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* The owner alone writes, so a plain load and store do; others may read at any time. */
static inline uint64_t bump(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t sum = atomic_load_explicit(counter, memory_order_relaxed) + by;
    atomic_store_explicit(counter, sum, memory_order_relaxed);
    return sum;
}

/* Counts a block that the real allocator has just given (NULL: it gave none) and samples it when
 * due. */
static void *allocated(void *p, size_t n, const void *caller)
{
    struct prof_thread *t = prof_hook_self();
    if (!p || !t)
        return p;
    bump(&t->mallocs, 1);
    uint64_t bytes = bump(&t->alloc_bytes, n);
    if (bytes >= atomic_load_explicit(&t->sample_at, memory_order_relaxed))
        prof_heap_sample(t, p, n, caller);
    return p;
}

/* Most calls are counted before they are made, so that the hook ends in a jump: nothing to save,
 * nothing to return through. false: a sample is due, the thread is new, or the caller is libprof;
 * then `allocated` sorts it out afterwards. A small allocation that fails has then been counted;
 * one of PROF_HEAP_STRIDE bytes or more never is. */
static inline __attribute__((always_inline)) bool count_ahead(size_t n)
{
    struct prof_thread *t = prof_hook_tls;
    if (unlikely(!t))
        return false;
    uint64_t bytes = atomic_load_explicit(&t->alloc_bytes, memory_order_relaxed) + n;
    if (unlikely(bytes >= atomic_load_explicit(&t->sample_at, memory_order_relaxed)))
        return false;
    atomic_store_explicit(&t->alloc_bytes, bytes, memory_order_relaxed);
    bump(&t->mallocs, 1);
    return true;
}

static inline __attribute__((always_inline)) bool maybe_sampled(void *p)
{
    uint32_t i = prof_live_filter_index(prof_live_hash((uintptr_t)p));
    return atomic_load_explicit(&prof_live_filter[i], memory_order_relaxed) != 0;
}

#define CALLER __builtin_return_address(0)

static __attribute__((noinline)) void *malloc_slowly(size_t n, const void *caller)
{
    if (unlikely(prof_private_tls))
        return prof_private_alloc(16, n);
    return allocated(real.malloc(n), n, caller);
}

static void *private_calloc(size_t count, size_t n)
{
    size_t bytes;
    void *p = __builtin_mul_overflow(count, n, &bytes) ? NULL : prof_private_alloc(16, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

static __attribute__((noinline)) void *calloc_slowly(size_t count, size_t n, const void *caller)
{
    if (unlikely(prof_private_tls))
        return private_calloc(count, n);
    return allocated(real.calloc(count, n), count * n, caller); /* an overflow gave NULL */
}

PROF_API void *malloc(size_t n)
{
    return likely(count_ahead(n)) ? real.malloc(n) : malloc_slowly(n, CALLER);
}

PROF_API void *calloc(size_t count, size_t n)
{
    size_t bytes;
    if (unlikely(__builtin_mul_overflow(count, n, &bytes)) || unlikely(!count_ahead(bytes)))
        return calloc_slowly(count, n, CALLER);
    return real.calloc(count, n);
}

PROF_API void *aligned_alloc(size_t align, size_t n)
{
    if (unlikely(prof_private_tls))
        return prof_private_alloc(align, n);
    return allocated(real.aligned_alloc(align, n), n, CALLER);
}
PROF_API void *memalign(size_t align, size_t n)
{
    if (unlikely(prof_private_tls))
        return prof_private_alloc(align, n);
    return allocated(real.memalign(align, n), n, CALLER);
}
PROF_API void *valloc(size_t n)
{
    return allocated(real.valloc(n), n, CALLER);
}
PROF_API void *pvalloc(size_t n)
{
    return allocated(real.pvalloc(n), n, CALLER);
}

PROF_API int posix_memalign(void **out, size_t align, size_t n)
{
    if (unlikely(prof_private_tls))
        return (*out = prof_private_alloc(align, n)) ? 0 : ENOMEM;
    int rc = real.posix_memalign(out, align, n);
    if (rc == 0)
        allocated(*out, n, CALLER);
    return rc;
}

/* ---- free and realloc ------------------------------------------------------------------------ */

/* The thread is new, or p is perhaps a sampled block; a boot block and a private one always are. */
static __attribute__((noinline)) void free_slowly(void *p)
{
    struct prof_live was;
    if (from_boot(p))
        return;
    if (unlikely(prof_private_tls)) {
        prof_private_free(p);
        return;
    }
    /* What the thread that ends a trace has handed to the thread that writes it. */
    if (unlikely(prof_is_private(p)))
        return;
    struct prof_thread *t = prof_hook_self();
    if (t)
        bump(&t->frees, 1);
    /* Before the block goes back: afterwards another thread may own the address. A thread that its
     * sanitizer does not know yet cannot look it up. */
    if (maybe_sampled(p) && (t || PROF_HOOKS_REGISTER))
        prof_heap_forget(p, &was);
    real.free(p);
}

PROF_API void free(void *p)
{
    if (unlikely(!p))
        return;
    struct prof_thread *t = prof_hook_tls;
    if (unlikely(!t) || unlikely(maybe_sampled(p))) {
        free_slowly(p);
    } else {
        bump(&t->frees, 1);
        real.free(p);
    }
}

static void *leave(const void *p, size_t old, size_t n)
{
    void *q = real.malloc(n);
    return q ? memcpy(q, p, old < n ? old : n) : NULL;
}

/* A block of the host's stays where it is, and its content moves here. */
static void *private_resize(void *p, size_t n)
{
    if (!p || prof_is_private(p))
        return prof_private_realloc(p, n);
    size_t old = from_boot(p) ? ((size_t *)p)[-1] : malloc_usable_size(p);
    void *q = prof_private_alloc(16, n);
    return q ? memcpy(q, p, old < n ? old : n) : NULL;
}

/* realloc(p, 0) frees p and gives NULL in glibc, frees p and gives a block in others. */
static __attribute__((noinline)) void *resize(void *p, size_t n, const void *caller)
{
    struct prof_live was;
    if (unlikely(prof_private_tls))
        return private_resize(p, n);
    if (!p)
        return allocated(real.realloc(NULL, n), n, caller);
    if (from_boot(p))
        return allocated(leave(p, ((size_t *)p)[-1], n), n, caller);
    if (prof_is_private(p))
        return allocated(leave(p, prof_private_size(p), n), n, caller);
    bool sampled = maybe_sampled(p) && prof_heap_forget(p, &was);
    void *q = real.realloc(p, n);
    if (!q && n) {
        if (sampled)
            prof_heap_restore(&was);
        return NULL;
    }
    struct prof_thread *t = prof_hook_self();
    if (t)
        bump(&t->frees, 1);
    return allocated(q, n, caller);
}

/* The usual case ends in a jump as malloc does; should it fail, one allocation and one free too
 * many have been counted. */
PROF_API void *realloc(void *p, size_t n)
{
    if (likely(p) && likely(n) && likely(!maybe_sampled(p)) && likely(count_ahead(n))) {
        bump(&prof_hook_tls->frees, 1);
        return real.realloc(p, n);
    }
    return resize(p, n, CALLER);
}

PROF_API void *reallocarray(void *p, size_t count, size_t n)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, n, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return resize(p, bytes, CALLER);
}

void prof_alloc_counts(struct prof_alloc_counts *out)
{
    *out = (struct prof_alloc_counts){0};
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next) {
        out->mallocs += atomic_load_explicit(&t->mallocs, memory_order_relaxed);
        out->frees += atomic_load_explicit(&t->frees, memory_order_relaxed);
        out->alloc_bytes += atomic_load_explicit(&t->alloc_bytes, memory_order_relaxed);
    }
}
