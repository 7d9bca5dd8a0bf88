/* The walk by rules finds the very stack that libgcc finds, wherever a signal interrupts the
 * program. */
#include "prof/thread.h"
#include "prof/unwind.h"
#include "tests/sanitized.h"

#include <math.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unwind.h>
#include <zlib.h>

#include <cmocka.h>

#if PROF_UNWIND_FAST && !TSAN
#define COMPARE 1

enum { WALKS = 300 };
static volatile int walks, by_rules, different;
static uintptr_t rules_pcs[PROF_MAX_FRAMES], libgcc_pcs[PROF_MAX_FRAMES], bad_pc;

struct walk {
    int n;
    uintptr_t from;
};

static _Unwind_Reason_Code keep(struct _Unwind_Context *c, void *arg)
{
    struct walk *w = arg;
    int exact = 0;
    uintptr_t ip = _Unwind_GetIPInfo(c, &exact);
    if (ip == 0 || w->n == PROF_MAX_FRAMES)
        return _URC_END_OF_STACK;
    if (w->from && ip != w->from)
        return _URC_NO_REASON;
    w->from = 0;
    libgcc_pcs[w->n++] = exact ? ip : ip - 1;
    return _URC_NO_REASON;
}

static void on_alarm(int sig, siginfo_t *info, void *ucontext)
{
    (void)sig, (void)info;
    const greg_t *g = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    struct prof_registers r = {(uintptr_t)g[REG_RIP], (uintptr_t)g[REG_RSP], (uintptr_t)g[REG_RBP]};
    struct walk w = {.from = r.pc};
    walks++;
    int n = prof_unwind(rules_pcs, PROF_MAX_FRAMES, r, 0, prof_self_tls->stack_end);
    if (n < 0)
        return;
    by_rules++;
    _Unwind_Backtrace(keep, &w);
    if (w.n != n || memcmp(rules_pcs, libgcc_pcs, (size_t)n * sizeof rules_pcs[0]) != 0) {
        different++;
        bad_pc = r.pc;
    }
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static __attribute__((noinline)) int recurse(int n, volatile char *deeper)
{
    char block[n % 7 * 16 + 1]; /* a frame whose size the compiler does not know */
    block[0] = *deeper;
    return n == 0 ? block[0] : recurse(n - 1, block) + block[0];
}

/* Code of many compilers' moods: callbacks, assembly, variable frames, tail calls, the C library's
 * insides. */
static void work_once(void)
{
    static int numbers[500];
    static unsigned char in[4096], out[8192], digest[32];
    char text[256];
    regex_t re;
    for (int i = 0; i < 500; i++)
        numbers[i] = (i * 7919) % 1009;
    qsort(numbers, 500, sizeof numbers[0], compare);
    for (int i = 0; i < 20; i++)
        snprintf(text, sizeof text, "%d %s %.17g %p", i, "text", sqrt((double)i) + pow(1.5, i),
                 (void *)text);
    SHA256(in, sizeof in, digest);
    uLongf n = sizeof out;
    compress(out, &n, in, sizeof in);
    if (regcomp(&re, "^([a-z]+ ?)*$", REG_EXTENDED) == 0) {
        regexec(&re, "some words to match", 0, NULL, 0);
        regfree(&re);
    }
    free(realloc(malloc(100), 100000));
    recurse(60, &text[0]);
}

static void set_alarm_us(int us)
{
    struct itimerval when = {{0, us}, {0, us}};
    setitimer(ITIMER_PROF, &when, NULL);
}

static void *work(void *arg)
{
    int64_t end = prof_now_ns() + 60 * INT64_C(1000000000); /* on a very busy machine */
    prof_self();
    while (walks < WALKS && prof_now_ns() < end)
        work_once();
    return arg;
}

static void walk_meanwhile(bool on_a_thread)
{
    struct sigaction sa = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
    pthread_t t;
    walks = by_rules = different = 0;
    sigaction(SIGPROF, &sa, &old);
    set_alarm_us(1000);
    if (on_a_thread) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGPROF);
        pthread_create(&t, NULL, work, NULL);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        pthread_join(t, NULL);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    } else {
        work(NULL);
    }
    set_alarm_us(0);
    sigaction(SIGPROF, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    if (different)
        fail_msg("%d of %d stacks differ from libgcc's, the last at pc %#lx", different, by_rules,
                 (long)bad_pc);
    assert_in_range(walks, WALKS, 100000);
    /* The rest are signal frames, PLT entries and the like. */
    assert_in_range(by_rules * 100 / walks, 80, 100);
}

static void agrees_with_libgcc_on_the_main_thread(void **state)
{
    (void)state;
    walk_meanwhile(false);
}

static void agrees_with_libgcc_on_a_thread(void **state)
{
    (void)state;
    walk_meanwhile(true);
}

static void garbage_is_refused(void **state)
{
    uintptr_t pcs[PROF_MAX_FRAMES], here = (uintptr_t)__builtin_frame_address(0),
                                    end = prof_self_tls->stack_end;
    uintptr_t pc = (uintptr_t)recurse;
    (void)state;
    /* Nothing is mapped at these; a read would crash. */
    assert_int_equal(
        prof_unwind(pcs, PROF_MAX_FRAMES, (struct prof_registers){8, here, here}, 0, end), -1);
    assert_int_equal(
        prof_unwind(pcs, PROF_MAX_FRAMES, (struct prof_registers){pc, end + 4096, 16}, 0, end), -1);
    assert_int_equal(
        prof_unwind(pcs, PROF_MAX_FRAMES, (struct prof_registers){pc + 60, end - 64, 16}, 0, end),
        -1);
    assert_int_equal(
        prof_unwind(pcs, PROF_MAX_FRAMES, (struct prof_registers){pc, end - 3, end - 3}, 0, end),
        -1);
}
#endif

int main(void)
{
#ifdef COMPARE
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_libgcc_on_the_main_thread),
        cmocka_unit_test(agrees_with_libgcc_on_a_thread),
        cmocka_unit_test(garbage_is_refused),
    };
    return cmocka_run_group_tests_name("unwind", tests, NULL, NULL);
#else
    puts("1..1\nok 1 # SKIP unwind: libgcc walks every stack here");
    return 0;
#endif
}
