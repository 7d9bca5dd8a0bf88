/* The hooks of condition variables, semaphores, barriers and joins change no result; threads can be
 * cancelled in them, come and go by the thousand, and fork; and while a thread waits, its slot says
 * for what. */
#include "prof/internal.h"
#include "prof/pprof.h"
#include "prof/thread.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/calls.h"

static void rest_ms(int ms)
{
    struct timespec until = in_ms(CLOCK_MONOTONIC, ms);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

/* ---- condition variables --------------------------------------------------------------------- */

struct cond_calls {
    typeof(pthread_cond_wait) *wait;
    typeof(pthread_cond_timedwait) *timedwait;
    typeof(pthread_cond_clockwait) *clockwait;
    typeof(pthread_cond_signal) *signal, *broadcast;
};

static const struct cond_calls hooked_cond = {pthread_cond_wait, pthread_cond_timedwait,
                                              pthread_cond_clockwait, pthread_cond_signal,
                                              pthread_cond_broadcast};

struct stage {
    const struct cond_calls *calls;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int woken, by_time;
};

static void *wait_to_be_woken(void *arg)
{
    struct stage *s = arg;
    struct timespec late = in_ms(CLOCK_REALTIME, 60000), monotonic = in_ms(CLOCK_MONOTONIC, 60000);
    int rc = 0;
    pthread_mutex_lock(&s->mutex);
    int way = s->by_time++ % 3;
    errno = 77;
    while (s->woken == 0 && rc == 0)
        rc = way == 0   ? s->calls->wait(&s->cond, &s->mutex)
             : way == 1 ? s->calls->timedwait(&s->cond, &s->mutex, &late)
                        : s->calls->clockwait(&s->cond, &s->mutex, CLOCK_MONOTONIC, &monotonic);
    s->woken--;
    if (errno != 77)
        rc = -1;
    pthread_mutex_unlock(&s->mutex);
    return (void *)(intptr_t)rc;
}

static void wake_them(struct log *log, struct stage *s, int threads)
{
    pthread_t t[8];
    for (int i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&t[i], NULL, wait_to_be_woken, s), 0);
    for (int woken = 0; woken < threads;) {
        int n = woken + 3 <= threads ? 1 : threads - woken; /* some singly, the last at once */
        rest_ms(2);
        pthread_mutex_lock(&s->mutex);
        errno = 77;
        s->woken += n;
        note(log, (n == 1 ? s->calls->signal : s->calls->broadcast)(&s->cond));
        rest_ms(1);
        pthread_mutex_unlock(&s->mutex);
        woken += n;
    }
    for (int i = 0; i < threads; i++) {
        void *result;
        assert_int_equal(pthread_join(t[i], &result), 0);
        errno = 77;
        note(log, (int)(intptr_t)result);
    }
}

static void play_cond(struct log *log, const struct cond_calls *c, int type)
{
    struct stage s = {.calls = c};
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, type);
    pthread_mutex_init(&s.mutex, &a);
    pthread_cond_init(&s.cond, NULL);
    errno = 77;
    note(log, c->signal(&s.cond));
    note(log, c->broadcast(&s.cond));
    pthread_mutex_lock(&s.mutex);
    struct timespec soon = in_ms(CLOCK_REALTIME, 2), monotonic = in_ms(CLOCK_MONOTONIC, 2);
    errno = 77;
    note(log, c->timedwait(&s.cond, &s.mutex, &past));
    note(log, c->timedwait(&s.cond, &s.mutex, &soon));
    note(log, c->timedwait(&s.cond, &s.mutex, &invalid));
    note(log, c->clockwait(&s.cond, &s.mutex, CLOCK_MONOTONIC, &past));
    note(log, c->clockwait(&s.cond, &s.mutex, CLOCK_MONOTONIC, &monotonic));
    note(log, c->clockwait(&s.cond, &s.mutex, CLOCK_MONOTONIC, &invalid));
    note(log, c->clockwait(&s.cond, &s.mutex, CLOCK_PROCESS_CPUTIME_ID, &past));
    pthread_mutex_unlock(&s.mutex);
    if (type == PTHREAD_MUTEX_ERRORCHECK) { /* not the caller's */
        note(log, c->wait(&s.cond, &s.mutex));
        note(log, c->timedwait(&s.cond, &s.mutex, &past));
    }
    wake_them(log, &s, 6);
    note(log, pthread_cond_destroy(&s.cond));
    note(log, pthread_mutex_destroy(&s.mutex));
}

static void conditions_answer_as_without_hooks(void **state)
{
    (void)state;
    static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
                                PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ADAPTIVE_NP};
    if (TSAN)
        skip(); /* it does not see what libc is called for past it */
    struct cond_calls plain = {libc_call("pthread_cond_wait"), libc_call("pthread_cond_timedwait"),
                               libc_call("pthread_cond_clockwait"),
                               libc_call("pthread_cond_signal"),
                               libc_call("pthread_cond_broadcast")};
    for (int i = 0; i < 4; i++) {
        char what[64];
        struct log expected = {0}, got = {0};
        sprintf(what, "condition variable with a mutex of type %d", types[i]);
        play_cond(&expected, &plain, types[i]);
        play_cond(&got, &hooked_cond, types[i]);
        assert_same(what, &expected, &got);
    }
}

/* ---- semaphores, barriers, joins ------------------------------------------------------------- */

struct sem_calls {
    typeof(sem_wait) *wait;
    typeof(sem_timedwait) *timedwait;
    typeof(sem_clockwait) *clockwait;
};

static void play_sem(struct log *log, const struct sem_calls *c)
{
    sem_t s;
    struct timespec soon = in_ms(CLOCK_REALTIME, 2), monotonic = in_ms(CLOCK_MONOTONIC, 2);
    sem_init(&s, 0, 4);
    errno = 77;
    note(log, c->wait(&s));
    note(log, c->timedwait(&s, &past));
    note(log, c->timedwait(&s, &invalid));
    note(log, c->clockwait(&s, CLOCK_MONOTONIC, &past));
    note(log, c->clockwait(&s, CLOCK_PROCESS_CPUTIME_ID, &past));
    note(log, c->clockwait(&s, CLOCK_MONOTONIC, &invalid));
    while (sem_trywait(&s) == 0)
        ;
    errno = 77;
    note(log, c->timedwait(&s, &past));
    note(log, c->timedwait(&s, &soon));
    note(log, c->timedwait(&s, &invalid));
    note(log, c->clockwait(&s, CLOCK_MONOTONIC, &past));
    note(log, c->clockwait(&s, CLOCK_MONOTONIC, &monotonic));
    note(log, c->clockwait(&s, CLOCK_PROCESS_CPUTIME_ID, &past));
    sem_destroy(&s);
}

static void semaphores_answer_as_without_hooks(void **state)
{
    (void)state;
    static const struct sem_calls hooked = {sem_wait, sem_timedwait, sem_clockwait};
    if (TSAN)
        skip();
    struct sem_calls plain = {libc_call("sem_wait"), libc_call("sem_timedwait"),
                              libc_call("sem_clockwait")};
    struct log expected = {0}, got = {0};
    play_sem(&expected, &plain);
    play_sem(&got, &hooked);
    assert_same("semaphore", &expected, &got);
}

static pthread_barrier_t barrier;

static void *meet(void *arg)
{
    return (void *)(intptr_t)(arg ? pthread_barrier_wait(&barrier) : 0);
}

static void a_barrier_names_one_of_the_threads(void **state)
{
    (void)state;
    enum { N = 5 };
    for (int round = 0; round < 20; round++) {
        pthread_t t[N];
        int serial = 0;
        pthread_barrier_init(&barrier, NULL, N);
        for (int i = 0; i < N; i++)
            assert_int_equal(pthread_create(&t[i], NULL, meet, &barrier), 0);
        for (int i = 0; i < N; i++) {
            void *rc;
            assert_int_equal(pthread_join(t[i], &rc), 0);
            assert_true((intptr_t)rc == 0 || (intptr_t)rc == PTHREAD_BARRIER_SERIAL_THREAD);
            serial += (intptr_t)rc != 0;
        }
        assert_int_equal(serial, 1);
        pthread_barrier_destroy(&barrier);
    }
}

static sem_t may_end;

static void *end_when_told(void *arg)
{
    sem_wait(&may_end);
    return arg;
}

static void joins_answer(void **state)
{
    (void)state;
    pthread_t t;
    void *result = NULL;
    struct timespec soon = in_ms(CLOCK_REALTIME, 2), late = in_ms(CLOCK_MONOTONIC, 60000);
    if (TSAN)
        skip(); /* it misses that a thread was joined by clockjoin */
    sem_init(&may_end, 0, 0);
    assert_int_equal(pthread_join(pthread_self(), NULL), EDEADLK);
    assert_int_equal(pthread_create(&t, NULL, end_when_told, &may_end), 0);
    assert_int_equal(pthread_tryjoin_np(t, &result), EBUSY);
    assert_int_equal(pthread_timedjoin_np(t, &result, &past), ETIMEDOUT);
    assert_int_equal(pthread_timedjoin_np(t, &result, &soon), ETIMEDOUT);
    assert_int_equal(pthread_clockjoin_np(t, &result, CLOCK_MONOTONIC, &past), ETIMEDOUT);
    sem_post(&may_end);
    assert_int_equal(pthread_clockjoin_np(t, &result, CLOCK_MONOTONIC, &late), 0);
    assert_ptr_equal(result, &may_end);
    assert_int_equal(pthread_create(&t, NULL, end_when_told, &late), 0);
    sem_post(&may_end);
    assert_int_equal(pthread_join(t, &result), 0);
    assert_ptr_equal(result, &late);
    assert_int_equal(pthread_create(&t, NULL, end_when_told, NULL), 0);
    assert_int_equal(pthread_detach(t), 0);
    assert_int_equal(pthread_join(t, NULL), EINVAL);
    sem_post(&may_end);
}

/* ---- a thread that waits --------------------------------------------------------------------- */

static struct {
    pthread_mutex_t mutex, held;
    pthread_rwlock_t written;
    pthread_cond_t cond;
    pthread_barrier_t barrier;
    sem_t sem;
    pthread_t forever;
    _Atomic pid_t tid;
    int cleaned;
} here = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .held = PTHREAD_MUTEX_INITIALIZER,
          .written = PTHREAD_RWLOCK_INITIALIZER,
          .cond = PTHREAD_COND_INITIALIZER};

static void in_cond(void)
{
    pthread_cond_wait(&here.cond, &here.mutex);
}
static void in_timed_cond(void)
{
    struct timespec t = in_ms(CLOCK_REALTIME, 60000);
    pthread_cond_timedwait(&here.cond, &here.mutex, &t);
}
static void in_sem(void)
{
    sem_wait(&here.sem);
}
static void in_sleep(void)
{
    sleep(60);
}
static void in_poll(void)
{
    poll(NULL, 0, 60000);
}
static void in_pause(void)
{
    pause();
}
static void in_join(void)
{
    pthread_join(here.forever, NULL);
}
static void in_mutex(void)
{
    pthread_mutex_lock(&here.held);
    pthread_mutex_unlock(&here.held);
}
static void in_rwlock(void)
{
    pthread_rwlock_rdlock(&here.written);
    pthread_rwlock_unlock(&here.written);
}
static void in_barrier(void)
{
    pthread_barrier_wait(&here.barrier);
}

static const struct place {
    void (*wait)(void);
    int kind;
    const void *object; /* NULL: any */
    bool cancellable;
} places[] = {
    {in_cond, PROF_WAIT_COND, &here.cond, true},
    {in_timed_cond, PROF_WAIT_COND, &here.cond, true},
    {in_sem, PROF_WAIT_SEMAPHORE, &here.sem, true},
    {in_sleep, PROF_WAIT_SLEEP, NULL, true},
    {in_poll, PROF_WAIT_POLL, NULL, true},
    {in_pause, PROF_WAIT_SIGNAL, NULL, true},
    {in_join, PROF_WAIT_JOIN, NULL, true},
    {in_mutex, PROF_WAIT_MUTEX, &here.held, false},
    {in_rwlock, PROF_WAIT_RWLOCK, &here.written, false},
    {in_barrier, PROF_WAIT_BARRIER, &here.barrier, false},
};
enum { PLACES = sizeof places / sizeof places[0] };

static void unlock_and_count(void *arg)
{
    (void)arg;
    here.cleaned++;
    pthread_mutex_unlock(&here.mutex);
}

static void *wait_there(void *arg)
{
    const struct place *p = arg;
    pthread_mutex_lock(&here.mutex);
    atomic_store(&here.tid, gettid());
    if (p->kind != PROF_WAIT_COND)
        pthread_mutex_unlock(&here.mutex);
    pthread_cleanup_push(unlock_and_count, NULL);
    p->wait();
    pthread_cleanup_pop(0);
    if (p->kind == PROF_WAIT_COND)
        pthread_mutex_unlock(&here.mutex);
    return NULL;
}

static struct prof_thread *slot_of(pid_t tid)
{
    struct prof_thread *t = prof_threads_first();
    while (t && atomic_load(&t->tid) != tid)
        t = t->next;
    return t;
}

/* Until the thread says that it waits; then where. */
static struct prof_thread *wait_for_it(const struct place *p)
{
    for (int i = 0; i < 20000; i++) {
        pid_t tid = atomic_load(&here.tid);
        struct prof_thread *t = tid ? slot_of(tid) : NULL;
        if (t && atomic_load(&t->wait_kind) == p->kind)
            return t;
        rest_ms(1);
    }
    fail_msg("place %d: the thread does not say that it waits", (int)(p - places));
    return NULL;
}

static void prepare_places(void)
{
    sem_init(&here.sem, 0, 0);
    pthread_barrier_init(&here.barrier, NULL, 2);
    pthread_mutex_lock(&here.held);
    pthread_rwlock_wrlock(&here.written);
}

static void let_go(const struct place *p)
{
    if (p->kind == PROF_WAIT_MUTEX)
        pthread_mutex_unlock(&here.held);
    else if (p->kind == PROF_WAIT_RWLOCK)
        pthread_rwlock_unlock(&here.written);
    else
        pthread_barrier_wait(&here.barrier);
}

/* For cancellation points by cancelling; a thread that was cancelled left the locks as POSIX says.
 */
static void a_waiting_thread_says_so_and_can_be_cancelled(void **state)
{
    (void)state;
    prepare_places();
    here.forever = pthread_self();
    for (int i = 0; i < PLACES; i++) {
        const struct place *p = &places[i];
        pthread_t t;
        void *result;
        int64_t before_ns = prof_now_ns();
        if (TSAN && p->kind == PROF_WAIT_JOIN)
            continue; /* its join does not take being cancelled */
        atomic_store(&here.tid, 0);
        here.cleaned = 0;
        assert_int_equal(pthread_create(&t, NULL, wait_there, (void *)p), 0);
        struct prof_thread *slot = wait_for_it(p);
        if (p->object)
            assert_ptr_equal(atomic_load(&slot->wait_object), p->object);
        assert_in_range(atomic_load(&slot->wait_since_ns), before_ns, prof_now_ns());
        assert_true(prof_wait_name(p->kind)[0] != '\0');
        if (p->cancellable)
            assert_int_equal(pthread_cancel(t), 0);
        else
            let_go(p);
        assert_int_equal(pthread_join(t, &result), 0);
        assert_int_equal(atomic_load(&slot->wait_kind), PROF_WAIT_NONE);
        if (p->cancellable) {
            assert_ptr_equal(result, PTHREAD_CANCELED);
            assert_int_equal(here.cleaned, 1);
            assert_int_equal(pthread_mutex_trylock(&here.mutex), 0);
            pthread_mutex_unlock(&here.mutex);
        }
    }
}

static sigjmp_buf out;

static void jump_out(int sig)
{
    siglongjmp(out, sig);
}

/* A handler may leave a wait by a jump; the slot says so from the next wait on. */
static void a_wait_that_was_left_is_over(void **state)
{
    (void)state;
    struct sigaction jump = {.sa_handler = jump_out}, before;
    timer_t timer;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec in = {.it_value = {.tv_nsec = 20000000}};
    assert_int_equal(sigaction(SIGALRM, &jump, &before), 0);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &e, &timer), 0);
    if (sigsetjmp(out, 1) == 0) {
        timer_settime(timer, 0, &in, NULL);
        poll(NULL, 0, 60000);
        fail_msg("poll was not left");
    }
    rest_ms(1);
    assert_int_equal(atomic_load(&prof_self()->wait_kind), PROF_WAIT_NONE);
    timer_delete(timer);
    sigaction(SIGALRM, &before, NULL);
}

/* ---- many threads, and processes ------------------------------------------------------------- */

static void *touch_locks(void *arg)
{
    pthread_mutex_lock(&here.mutex);
    pthread_mutex_unlock(&here.mutex);
    sem_post(arg);
    return NULL;
}

static void short_threads_in_thousands(void **state)
{
    (void)state;
    enum { THREADS = 10000, AT_ONCE = 20 };
    sem_t done;
    sem_init(&done, 0, 0);
    for (int i = 0; i < THREADS / AT_ONCE; i++) {
        pthread_t t[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++)
            assert_int_equal(pthread_create(&t[k], NULL, touch_locks, &done), 0);
        for (int k = 0; k < AT_ONCE; k++)
            assert_int_equal(pthread_join(t[k], NULL), 0);
    }
    int value;
    sem_getvalue(&done, &value);
    assert_int_equal(value, THREADS);
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        assert_int_equal(atomic_load(&t->wait_kind), PROF_WAIT_NONE);
}

static void *hold_and_wait(void *arg)
{
    pthread_mutex_lock(&here.held);
    pthread_cond_wait(&here.cond, &here.held);
    pthread_mutex_unlock(&here.held);
    return arg;
}

static int child(void)
{
    pthread_t t;
    for (struct prof_thread *s = prof_threads_first(); s; s = s->next)
        if (atomic_load(&s->wait_kind) != PROF_WAIT_NONE)
            return 1;
    if (prof_count("block") != 0 || prof_count("mutex") != 0)
        return 2;
    if (TSAN)
        return 0; /* it allows no new thread there */
    sem_t done;
    sem_init(&done, 0, 0);
    if (pthread_create(&t, NULL, touch_locks, &done) != 0 || pthread_join(t, NULL) != 0 ||
        sem_wait(&done) != 0)
        return 3;
    return 0;
}

static void a_child_waits_for_nothing(void **state)
{
    (void)state;
    pthread_t t;
    assert_true(prof_count("block") > 0); /* of the tests before */
    assert_int_equal(pthread_create(&t, NULL, hold_and_wait, NULL), 0);
    rest_ms(20);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child());
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    pthread_mutex_lock(&here.held);
    pthread_cond_broadcast(&here.cond);
    pthread_mutex_unlock(&here.held);
    assert_int_equal(pthread_join(t, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_answer_as_without_hooks),
        cmocka_unit_test(semaphores_answer_as_without_hooks),
        cmocka_unit_test(a_barrier_names_one_of_the_threads),
        cmocka_unit_test(joins_answer),
        cmocka_unit_test(a_waiting_thread_says_so_and_can_be_cancelled),
        cmocka_unit_test(a_wait_that_was_left_is_over),
        cmocka_unit_test(short_threads_in_thousands),
        cmocka_unit_test(a_child_waits_for_nothing),
    };
    prof_set_block_rate_ns(1);
    prof_set_mutex_fraction(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
