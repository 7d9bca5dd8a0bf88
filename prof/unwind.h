/* Between stack.c and its two ways to walk: cfi.c's rules, applied by unwind.c. Not public. */
#ifndef PROF_UNWIND_H
#define PROF_UNWIND_H

#include "prof/internal.h"

#include <dlfcn.h>

/* The walk by rules is written for x86-64 and needs glibc's lock-free _dl_find_object; libgcc walks
 * everywhere else. */
#if defined(__x86_64__) && defined(DLFO_STRUCT_HAS_EH_DBASE)
#define PROF_UNWIND_FAST 1
#else
#define PROF_UNWIND_FAST 0
#endif

#pragma GCC visibility push(hidden)

enum prof_unwind_kind {
    PROF_UNWIND_COMPLEX, /* not said by a rule: libgcc must do it */
    PROF_UNWIND_END,     /* the outermost frame */
    PROF_UNWIND_SP,      /* the canonical frame address is the stack pointer + cfa_offset */
    PROF_UNWIND_FP,      /* ... the frame pointer + cfa_offset */
};

/* The return address is at CFA - 8; the caller's frame pointer at CFA + fp_offset, or, if that is
 * 0, still in its register. */
struct prof_unwind_rule {
    int32_t cfa_offset;
    int16_t fp_offset;
    uint8_t kind;
    uint8_t known; /* distinguishes any rule from an empty cache line */
};

struct prof_registers {
    uintptr_t pc, sp, fp;
};

/* What .eh_frame says of pc, which lies within its instruction. Async-signal-safe. */
struct prof_unwind_rule prof_cfi_rule(uintptr_t pc);

/* Walks from r, whose pc is as PCs are stored, outward; frames are kept from the one whose pc is
 * `from` on (0: all). Reads no memory but [r.sp, stack_end). The number of frames kept, or -1: it
 * takes libgcc. Async-signal-safe. */
int prof_unwind(uintptr_t *pcs, int max, struct prof_registers r, uintptr_t from,
                uintptr_t stack_end);

#pragma GCC visibility pop
#endif
