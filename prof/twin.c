/* Two libprofs in one process: `prof run` on a program that is linked with libprof.a.
 *
 * The program's hooks come first in the loader's order and call the preloaded ones as they would
 * libc's, so to these a hook is who called. The program's libprof tells the preloaded one where its
 * code is (the Makefile gives the archive's code a section of its own, whose bounds the linker
 * knows), and that leaves its frames out. Entered from prof_init, and with each stack of a hook. */
#include "prof/twin.h"

#include <dlfcn.h>
#include <string.h>

extern const char __start_prof_text[] __attribute__((weak, visibility("hidden")));
extern const char __stop_prof_text[] __attribute__((weak, visibility("hidden")));

_Atomic uintptr_t prof_twin_begin, prof_twin_bytes;
static _Atomic(void *(*)(void *)) twin_main;

/* Found by its name, as the twin may be of another version: it must stay as it is. */
PROF_API void prof_twin_tell(const void *begin, const void *end, void *(*thread_main)(void *));
void prof_twin_tell(const void *begin, const void *end, void *(*thread_main)(void *))
{
    atomic_store(&twin_main, thread_main);
    atomic_store(&prof_twin_begin, (uintptr_t)begin);
    atomic_store(&prof_twin_bytes, (uintptr_t)end - (uintptr_t)begin);
}

void prof_twin_find(void *(*thread_main)(void *))
{
    typeof(prof_twin_tell) *tell =
        __start_prof_text ? (typeof(tell))dlsym(RTLD_NEXT, "prof_twin_tell") : NULL;
    if (tell)
        tell(__start_prof_text, __stop_prof_text, thread_main);
    else
        dlerror(); /* the program's next one is not about this */
}

int prof_twin_skip_slowly(uintptr_t *pcs, int n)
{
    int skip = 0;
    while (skip < n - 1 && prof_twin_has(pcs[skip]))
        skip++;
    memmove(pcs, pcs + skip, (size_t)(n - skip) * sizeof *pcs);
    return n - skip;
}

void *prof_twin_start_routine(void *(*start_routine)(void *), void *arg)
{
    void *(*known)(void *) = atomic_load_explicit(&twin_main, memory_order_relaxed);
    return known && start_routine == known ? *(void **)arg : (void *)start_routine;
}
