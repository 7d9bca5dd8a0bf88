/* Walks a stack by cached rules: what makes a heap sample or a contention cheap.
 *
 * The cache maps PCs to rules, is shared by all threads and takes no lock: a line is two words, the
 * rule and the PC xor'ed with the rule, so that a line of which another thread has written half
 * matches nothing (Hyatt and Mann, "A lock-less transposition table implementation", 2002). Reads
 * stay between the stack pointer and the stack's end, whatever a rule says, so that even a stale
 * one does no harm; dlclose makes all of them stale. */
#include "prof/unwind.h"

#if PROF_UNWIND_FAST
#include <errno.h>
#include <string.h>

enum { CACHE_LINES = 1 << 12 };

static struct line {
    _Atomic uint64_t key, rule;
} cache[CACHE_LINES];

static struct line *line_of(uintptr_t pc)
{
    return &cache[(pc * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
}

static struct prof_unwind_rule rule_of(uintptr_t pc)
{
    struct line *l = line_of(pc);
    struct prof_unwind_rule rule;
    uint64_t word = atomic_load_explicit(&l->rule, memory_order_relaxed);
    if ((atomic_load_explicit(&l->key, memory_order_relaxed) ^ word) == pc && word != 0) {
        memcpy(&rule, &word, sizeof rule);
        return rule;
    }
    rule = prof_cfi_rule(pc);
    rule.known = 1;
    memcpy(&word, &rule, sizeof word);
    atomic_store_explicit(&l->key, pc ^ word, memory_order_relaxed);
    atomic_store_explicit(&l->rule, word, memory_order_relaxed);
    return rule;
}

/* The stack is not the sanitizers' business: a walk reads what other functions own. */
__attribute__((no_sanitize("address", "thread"))) static uintptr_t read_word(uintptr_t address)
{
    return *(const volatile uintptr_t *)address; /* NOLINT: an address */
}

static bool within(uintptr_t address, uintptr_t low, uintptr_t end)
{
    return address >= low && address < end && end - address >= sizeof(uintptr_t) &&
           address % sizeof(uintptr_t) == 0;
}

/* To the caller's registers. 1: done, 0: there is no caller, -1: this frame takes libgcc. */
static int step(struct prof_registers *r, uintptr_t stack_end)
{
    struct prof_unwind_rule rule = rule_of(r->pc);
    if (rule.kind == PROF_UNWIND_END)
        return 0;
    if (rule.kind == PROF_UNWIND_COMPLEX)
        return -1;
    uintptr_t cfa =
        (rule.kind == PROF_UNWIND_SP ? r->sp : r->fp) + (uintptr_t)(intptr_t)rule.cfa_offset;
    uintptr_t saved_fp = cfa + (uintptr_t)(intptr_t)rule.fp_offset;
    if (cfa <= r->sp || !within(cfa - 8, r->sp, stack_end) ||
        (rule.fp_offset && !within(saved_fp, r->sp, stack_end)))
        return -1;
    uintptr_t back = read_word(cfa - 8);
    if (rule.fp_offset)
        r->fp = read_word(saved_fp);
    r->sp = cfa;
    r->pc = back - 1;
    return back != 0;
}

int prof_unwind(uintptr_t *pcs, int max, struct prof_registers r, uintptr_t from,
                uintptr_t stack_end)
{
    int n = 0, more = 1;
    while (more > 0 && n < max) {
        if (!from || r.pc == from) {
            from = 0;
            pcs[n++] = r.pc;
        }
        more = step(&r, stack_end);
    }
    return more < 0 ? -1 : n;
}

/* Another module may soon lie where this one did. */
PROF_API int dlclose(void *handle)
{
    static int (*_Atomic real)(void *);
    int (*next)(void *) = atomic_load_explicit(&real, memory_order_relaxed);
    if (!next) {
        next = (int (*)(void *))dlsym(RTLD_NEXT, "dlclose");
        atomic_store_explicit(&real, next, memory_order_relaxed);
    }
    int rc = next ? next(handle) : -1;
    for (size_t i = 0; i < CACHE_LINES; i++)
        atomic_store_explicit(&cache[i].rule, 0, memory_order_relaxed);
    return rc;
}
#endif
