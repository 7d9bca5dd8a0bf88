/* Captures a stack, from hooks and from signal handlers alike.
 *
 * Two ways, one result. unwind.c walks by cached rules, some 10 ns a frame; a stack with a frame
 * that it has no rule for (a signal frame, a PLT entry, a thread whose stack's end is unknown,
 * another architecture) is walked by libgcc from the start, some 80 ns a frame. Both follow the
 * call frame information that every distribution's binaries carry, so host code needs no frame
 * pointers, and with glibc 2.35 or newer both find it through _dl_find_object, which takes no lock,
 * not even while this very thread is inside dlopen. */
#include "prof/thread.h"
#include "prof/twin.h"
#include "prof/unwind.h"

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

static int walk_with_libgcc(uintptr_t *pcs, int max, uintptr_t from)
{
    struct walk w = {.pcs = pcs, .max = max, .from = from};
    _Unwind_Backtrace(keep_frame, &w);
    return w.n;
}

/* 0: not this way. */
static int walk_by_rules(uintptr_t *pcs, int max, struct prof_registers r, uintptr_t from)
{
#if PROF_UNWIND_FAST
    struct prof_thread *t = prof_self_tls;
    if (t && r.sp < t->stack_end) {
        int n = prof_unwind(pcs, max, r, from, t->stack_end);
        return n < 0 ? 0 : n;
    }
#endif
    (void)pcs, (void)max, (void)r, (void)from;
    return 0;
}

/* A frame in the classic layout: the caller's frame pointer, the return address, the caller's
 * stack. */
static struct prof_registers caller_of(const uintptr_t *frame)
{
    return (struct prof_registers){
        .pc = frame[1] - 1, .sp = (uintptr_t)(frame + 2), .fp = frame[0]};
}

/* What the walk by rules could not do, libgcc does from its own frame on, to the one of `back`. */
static int walk_from(const uintptr_t *frame, uintptr_t *pcs, int max, uintptr_t back)
{
    int n = walk_by_rules(pcs, max, caller_of(frame), back - 1);
    if (n == 0)
        n = walk_with_libgcc(pcs, max, back);
    if (n == 0) /* the walk did not get that far: one frame is better than none */
        pcs[n++] = back - 1;
    return prof_twin_skip(pcs, n);
}

int prof_stack_of(const uintptr_t *frame, uintptr_t *pcs, int max)
{
    return walk_from(frame, pcs, max, frame[1]);
}

__attribute__((noinline)) int prof_stack(uintptr_t *pcs, int max, const void *from)
{
    /* Asking for its address makes this such a frame. */
    const uintptr_t *frame = __builtin_frame_address(0);
    return walk_from(frame, pcs, max, (uintptr_t)(from ? from : __builtin_return_address(0)));
}

static struct prof_registers interrupted(const ucontext_t *uc)
{
#if defined(__x86_64__)
    const greg_t *r = uc->uc_mcontext.gregs;
    return (struct prof_registers){(uintptr_t)r[REG_RIP], (uintptr_t)r[REG_RSP],
                                   (uintptr_t)r[REG_RBP]};
#elif defined(__aarch64__)
    const mcontext_t *r = &uc->uc_mcontext;
    return (struct prof_registers){(uintptr_t)r->pc, (uintptr_t)r->sp, (uintptr_t)r->regs[29]};
#else
#error "prof/stack.c: x86-64 and arm64 only"
#endif
}

int prof_stack_signal(uintptr_t *pcs, int max, const void *ucontext)
{
    struct prof_registers r = interrupted(ucontext);
    int n = walk_by_rules(pcs, max, r, 0);
    if (n == 0)
        n = walk_with_libgcc(pcs, max, r.pc);
    if (n == 0)
        pcs[n++] = r.pc;
    return n;
}
