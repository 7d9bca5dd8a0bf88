/* A callback needs to know something: a limit, and where to add up. C has no closures, so the
 * program makes one: a function and a pointer to what it captures. Where does that live?
 *
 * It has to live as long as the callback may be called. Where that is only during the call, the
 * caller's stack is right. Where it is kept (a timer, an event loop), it has to be allocated, and
 * somebody has to know when to free it. And where the compiler can see both the loop and the
 * callback, it needs no memory: what was captured is in registers.
 *
 * Hint: try AFTER=stack, too. A good allocator's malloc and free hide behind the calls, so the
 * stack alone gains little; what costs is a sum that goes through memory, and a call that is not
 * known. */
#include "labs/escape/escape.h"

#include <errno.h>
#include <stdlib.h>

typedef void visit_fn(void *arg, uint32_t x);

struct captured {
    uint32_t limit;
    uint64_t sum;
};

static void add_capped(void *arg, uint32_t x)
{
    struct captured *c = arg;

    c->sum += x < c->limit ? x : c->limit;
}

/* ---- allocated ------------------------------------------------------------------------------- */

struct closure {
    visit_fn *fn;
    struct captured captured;
};

static __attribute__((noinline)) struct closure *closure_new(uint32_t limit)
{
    struct closure *c = malloc(sizeof(*c));

    if (c)
        *c = (struct closure){.fn = add_capped, .captured = {.limit = limit}};
    return c;
}

/* Not inlined: it might as well be a library's. */
static __attribute__((noinline)) void visit(int group, visit_fn *fn, void *arg)
{
    for (int i = 0; i < ESCAPE_NUMBERS; i++)
        fn(arg, escape_number(group, i));
}

static __attribute__((noinline)) int callback_heap(int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++) {
        struct closure *c = closure_new(escape_number(i, 3));
        if (!c)
            return -ENOMEM;
        visit(i, c->fn, &c->captured);
        *sum += c->captured.sum;
        free(c);
    }
    return count < 0 ? -EINVAL : 0;
}

/* ---- on the caller's stack ------------------------------------------------------------------- */

static __attribute__((noinline)) int callback_stack(int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++) {
        struct captured c = {.limit = escape_number(i, 3)};
        visit(i, add_capped, &c);
        *sum += c.sum;
    }
    return count < 0 ? -EINVAL : 0;
}

/* ---- inlined --------------------------------------------------------------------------------- */

/* The loop in the header, as C++'s templates have it: where it is inlined, so is the callback. */
static inline __attribute__((always_inline)) void visit_inline(int group, visit_fn *fn, void *arg)
{
    for (int i = 0; i < ESCAPE_NUMBERS; i++)
        fn(arg, escape_number(group, i));
}

static __attribute__((noinline)) int callback_inlined(int count, uint64_t *sum)
{
    *sum = 0;
    for (int i = 0; i < count; i++) {
        struct captured c = {.limit = escape_number(i, 3)};
        visit_inline(i, add_capped, &c);
        *sum += c.sum;
    }
    return count < 0 ? -EINVAL : 0;
}

const struct escape_impl callback_impls[] = {
    {"heap", callback_heap},
    {"stack", callback_stack},
    {"inlined", callback_inlined},
    {NULL, NULL},
};
