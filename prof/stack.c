/* Captures a stack with libgcc's unwinder, from hooks and from signal handlers alike.
 *
 * The unwinder follows the call frame information that every distribution's binaries carry, so host
 * code needs no frame pointers. With glibc 2.35 or newer it finds that information through
 * _dl_find_object, which takes no lock, not even while this very thread is inside dlopen. Cost,
 * measured: see `make perf`. */
#include "prof/internal.h"

#include <errno.h>
#include <ucontext.h>
#include <unwind.h>

struct walk {
    uintptr_t *pcs;
    int n, max;
    uintptr_t from; /* frames are kept from the one with this IP on; 0: keep */
};

static _Unwind_Reason_Code keep_frame(struct _Unwind_Context *ctx, void *arg)
{
    struct walk *w = arg;
    int exact = 0;
    uintptr_t ip = _Unwind_GetIPInfo(ctx, &exact);
    if (ip == 0)
        return _URC_END_OF_STACK;
    if (w->from && ip != w->from)
        return _URC_NO_REASON;
    w->from = 0;
    /* A return address may already be the next line's, or the next function's. */
    w->pcs[w->n++] = exact ? ip : ip - 1;
    return w->n < w->max ? _URC_NO_REASON : _URC_END_OF_STACK;
}

int prof_stack(uintptr_t *pcs, int max, const void *from)
{
    struct walk w = {.pcs = pcs, .max = max, .from = (uintptr_t)from};
    _Unwind_Backtrace(keep_frame, &w);
    if (w.n == 0 && from &&
        max > 0) /* the walk did not get that far: one frame is better than none */
        pcs[w.n++] = (uintptr_t)from - 1;
    return w.n;
}

static uintptr_t interrupted_pc(const ucontext_t *uc)
{
#if defined(__x86_64__)
    return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)uc->uc_mcontext.pc;
#else
#error "prof/stack.c: x86-64 and arm64 only"
#endif
}

int prof_stack_signal(uintptr_t *pcs, int max, const void *ucontext)
{
    uintptr_t pc = interrupted_pc(ucontext);
    struct walk w = {.pcs = pcs, .max = max, .from = pc};
    _Unwind_Backtrace(keep_frame, &w);
    if (w.n == 0 && max > 0)
        pcs[w.n++] = pc;
    return w.n;
}
