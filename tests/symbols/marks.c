/* Built in many ways by tests/symbolize_test.c and looked up there: functions that know where they
 * are. */
#include "marks.h"
#include "system.h"

/* The call and the note of its line stand on one line, or the two would differ. Something must
 * follow the call, or it becomes a jump and the frame is gone. */
#define NOTE(m, level, call)                                                                       \
    do {                                                                                           \
        (m)->expected[level] = (struct expectation){__func__, __LINE__};                           \
        call;                                                                                      \
        __asm__ volatile("" ::: "memory");                                                         \
    } while (0)

__attribute__((noinline)) static void take_pc(struct mark *m)
{
    m->pc = (uintptr_t)__builtin_return_address(0) - 1;
    __asm__ volatile("" ::: "memory");
}

static inline __attribute__((always_inline)) void innermost(struct mark *m)
{
    for (int i = 0; i < 2; i++)
        if (i == m->depth - 3)
            NOTE(m, 0, take_pc(m));
}

static inline __attribute__((always_inline)) void middle(struct mark *m)
{
    NOTE(m, 1, innermost(m));
}

__attribute__((noinline)) void mark_inlined(struct mark *m)
{
    m->depth = 3;
    NOTE(m, 2, middle(m));
}

__attribute__((noinline)) static void local_function(struct mark *m)
{
    NOTE(m, 0, take_pc(m));
}

void mark_plain(struct mark *m)
{
    m->depth = 1;
    local_function(m);
    __asm__ volatile("" ::: "memory");
}

/* Exported, so that its name survives stripping. */
__attribute__((noinline)) void mark_exported(struct mark *m)
{
    m->depth = 1;
    NOTE(m, 0, take_pc(m));
}

int declared_first(struct mark *m)
{
    m->depth = 1;
    NOTE(m, 0, take_pc(m));
    return 0;
}

/* Calls another module through the linkage table; its PC is where the stub goes to. */
extern int atoi(const char *text);

__attribute__((noinline)) int call_out(const char *text)
{
    return atoi(text) + 1;
}

/* Hand-written code without sizes: the first reaches up to the second, and the second no further
 * than its size. */
__asm__(".pushsection .text\n"
        ".globl unsized_code\n"
        "unsized_code:\n"
        ".skip 16\n"
        ".globl sized_code\n"
        ".type sized_code, %function\n"
        "sized_code:\n"
        ".skip 8\n"
        ".size sized_code, 8\n"
        ".skip 24\n"
        ".popsection\n");
