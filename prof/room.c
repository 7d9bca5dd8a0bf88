/* Room on the stack for work that needs much of it.
 *
 * libdw takes some 200 KB of stack for a line table. A profile may be written from any thread, and
 * programs give threads stacks of 64 KB; coroutines have less. Where there is too little, the work
 * goes to a thread of its own for as long as it takes. Entered through prof_with_room. */
#include "prof/internal.h"
#include "prof/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { ROOM_BYTES = 512 * 1024, STACK_BYTES = 2 * ROOM_BYTES };

struct work {
    int (*fn)(void *arg);
    void *arg;
    int result;
};

/* On a stack made for the work, of which libc knows nothing. */
static __thread bool roomy_tls __attribute__((tls_model("initial-exec")));

static bool enough_here(void)
{
    if (roomy_tls)
        return true;
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return false;
    pthread_attr_getstack(&attr, &low, &size);
    pthread_attr_destroy(&attr);
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), bottom = (uintptr_t)low;
    return here > bottom && here - bottom <= size && here - bottom > ROOM_BYTES;
}

static void *run(void *arg)
{
    struct work *w = arg;
    prof_enter();
    w->result = w->fn(w->arg);
    prof_leave();
    return NULL;
}

/* With every signal blocked, so that none of the program's handlers runs on a thread that it does
 * not know. */
static int run_elsewhere(struct work *w)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int err = pthread_create(&thread, &attr, run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (err)
        return -ENOMEM;
    pthread_join(thread, NULL);
    return w->result;
}

int prof_with_room(int (*fn)(void *arg), void *arg)
{
    struct work w = {fn, arg, 0};
    return enough_here() ? fn(arg) : run_elsewhere(&w);
}

/* ---- without a thread ------------------------------------------------------------------------ */

static struct work own;
static ucontext_t back;

static void run_own(void)
{
    own.result = own.fn(own.arg);
}

/* A signal handler may not start a thread, but may change its stack. One caller at a time. */
int prof_with_own_room(int (*fn)(void *arg), void *arg)
{
    static ucontext_t there;
    if (enough_here())
        return fn(arg);
    void *stack =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED || getcontext(&there) != 0)
        return -ENOMEM;
    own = (struct work){fn, arg, -ENOMEM};
    there.uc_stack = (stack_t){.ss_sp = stack, .ss_size = STACK_BYTES};
    there.uc_link = &back;
    makecontext(&there, run_own, 0);
    roomy_tls = true;
    swapcontext(&back, &there);
    roomy_tls = false;
    munmap(stack, STACK_BYTES);
    return own.result;
}
