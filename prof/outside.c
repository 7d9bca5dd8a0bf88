/* The stack of a thread that sleeps and cannot be asked, walked from outside by the rules of its
 * call frame information.
 *
 * Where it sleeps is known: its system call's stack pointer and PC from /proc, or the frame of the
 * hook that it waits in. The stack is copied first, by a call that fails instead of crashing, for
 * the thread may wake up and end. The frame pointer is not known behind a system call; a frame that
 * needs it ends the walk, as nothing is ever guessed. Entered from dump.c. */
#include "prof/unwind.h"

#include <sys/uio.h>
#include <unistd.h>

#if PROF_UNWIND_FAST

enum { COPY_BYTES = 64 << 10 };

struct walk {
    uintptr_t low, end; /* what the copy is of */
    const char *copy;
    struct prof_registers r;
    bool fp_known;
};

static bool read_word(const struct walk *w, uintptr_t at, uintptr_t *out)
{
    if (at < w->low || at >= w->end || w->end - at < sizeof *out || at % sizeof *out)
        return false;
    __builtin_memcpy(out, w->copy + (at - w->low), sizeof *out);
    return true;
}

static size_t copy_stack(struct walk *w, char *to, uintptr_t end)
{
    size_t want = end - w->low < COPY_BYTES ? end - w->low : COPY_BYTES;
    struct iovec from = {.iov_base = (void *)w->low, .iov_len = want}; /* NOLINT: an address */
    struct iovec into = {.iov_base = to, .iov_len = want};
    ssize_t n = process_vm_readv(getpid(), &into, 1, &from, 1, 0);
    w->copy = to;
    w->end = w->low + (n > 0 ? (size_t)n : 0);
    return n > 0 ? (size_t)n : 0;
}

/* To the caller's registers; false: there is none, or no way to it. *whole: there is none. */
static bool step(struct walk *w, bool *whole)
{
    struct prof_unwind_rule rule = prof_cfi_rule(w->r.pc);
    uintptr_t back, fp = w->r.fp;
    *whole = rule.kind == PROF_UNWIND_END;
    if (*whole || rule.kind == PROF_UNWIND_COMPLEX || (rule.kind == PROF_UNWIND_FP && !w->fp_known))
        return false;
    uintptr_t cfa =
        (rule.kind == PROF_UNWIND_SP ? w->r.sp : w->r.fp) + (uintptr_t)(intptr_t)rule.cfa_offset;
    if (cfa <= w->r.sp || !read_word(w, cfa - 8, &back) || back == 0)
        return false;
    if (rule.fp_offset && !read_word(w, cfa + (uintptr_t)(intptr_t)rule.fp_offset, &fp))
        return false;
    w->fp_known |= rule.fp_offset != 0;
    w->r = (struct prof_registers){.pc = back - 1, .sp = cfa, .fp = fp};
    return true;
}

/* From the frame of a hook, which is in the classic layout. */
static bool enter_hook_caller(struct walk *w, uintptr_t frame)
{
    uintptr_t back;
    if (!read_word(w, frame, &w->r.fp) || !read_word(w, frame + 8, &back) || back == 0)
        return false;
    w->r.pc = back - 1;
    w->r.sp = frame + 16;
    w->fp_known = true;
    return true;
}

int prof_stack_outside(const struct prof_outside *t, uintptr_t *pcs, int max, bool *whole)
{
    int n = 0;
    bool more = false;
    char *copy = prof_pages_alloc(COPY_BYTES);
    struct walk w = {.low = t->sp, .r = {.pc = t->pc, .sp = t->sp}};
    *whole = false;
    if (copy && t->sp && t->sp < t->stack_end && copy_stack(&w, copy, t->stack_end) > 0) {
        pcs[n++] = t->pc;
        more = t->hook_frame ? enter_hook_caller(&w, t->hook_frame) : step(&w, whole);
    }
    while (more && n < max) {
        pcs[n++] = w.r.pc;
        more = step(&w, whole);
    }
    prof_pages_free(copy, COPY_BYTES);
    return n;
}

#else

int prof_stack_outside(const struct prof_outside *t, uintptr_t *pcs, int max, bool *whole)
{
    (void)t, (void)pcs, (void)max;
    *whole = false;
    return 0;
}

#endif
