/* The clock of events: the time stamp counter, which costs half of what clock_gettime does, and the
 * way from it to CLOCK_MONOTONIC.
 *
 * The counter is used where the processor says that it never stops nor changes its pace, and the
 * kernel keeps its own time by it: then it agrees across processors, too. No pace is measured
 * ahead: both clocks are read when recording begins and at the end of each generation, and a time
 * in between is interpolated. So the result follows the adjustments that NTP makes to
 * CLOCK_MONOTONIC, and never runs backwards. */
#include "prof/trace_internal.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { SYNCS_MAX = 4096, READINGS = 7, PACE_FROM_NS = 1000000 };

struct sync {
    uint64_t ticks;
    int64_t ns;
};

atomic_bool prof_ticks_are_tsc;
static _Atomic double pace = 1; /* ns per tick, lately */

/* Who adds holds prof_drain_lock; anybody reads. When one is full the other takes half of it over,
 * and the full one stays as it is for another half an hour, longer than anybody reads in it. */
static struct table {
    _Atomic size_t n;
    struct sync syncs[SYNCS_MAX];
} tables[2];
static _Atomic(struct table *) table = &tables[0];

/* ---- which clock ----------------------------------------------------------------------------- */

#if defined(__x86_64__)
static bool counter_is_invariant(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8);
}

/* Those that are made of the counter; "hpet" or "acpi_pm" means that the kernel found it unfit. */
static bool kernel_trusts_counter(void)
{
    static const char *const by_counter[] = {"tsc\n", "kvm-clock\n",
                                             "hyperv_clocksource_tsc_page\n"};
    char name[64] = "";
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                  O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, name, sizeof name - 1);
    close(fd);
    for (size_t i = 0; n > 0 && i < sizeof by_counter / sizeof by_counter[0]; i++)
        if (strcmp(name, by_counter[i]) == 0)
            return true;
    return false;
}
#else
static bool counter_is_invariant(void)
{
    return true; /* arm64: cntvct is what the kernel's own clock is made of */
}

static bool kernel_trusts_counter(void)
{
    return true;
}
#endif

__thread uint64_t prof_ticks_last __attribute__((tls_model("initial-exec")));

uint64_t prof_ticks_slowly(void)
{
    uint64_t now = (uint64_t)prof_now_ns();
    prof_ticks_last = now > prof_ticks_last ? now : prof_ticks_last + 1;
    return prof_ticks_last;
}

#if defined(__aarch64__)
unsigned prof_ticks_shift;

/* So that there is a tick for each nanosecond at least. */
static void choose_shift(void)
{
    uint64_t hz;
    __asm__("mrs %0, cntfrq_el0" : "=r"(hz));
    while (hz > 0 && hz << prof_ticks_shift < UINT64_C(1000000000))
        prof_ticks_shift++;
}
#else
static void choose_shift(void) {}
#endif

/* ---- to nanoseconds -------------------------------------------------------------------------- */

/* The reading that was interrupted least. */
static struct sync read_both(void)
{
    struct sync best = {0};
    uint64_t narrowest = UINT64_MAX;
    for (int i = 0; i < READINGS; i++) {
        uint64_t before = prof_ticks();
        int64_t ns = prof_now_ns();
        uint64_t width = prof_ticks() - before;
        if (width < narrowest) {
            narrowest = width;
            best = (struct sync){before + width / 2, ns};
        }
    }
    return best;
}

static double pace_between(const struct sync *from, const struct sync *to)
{
    return (double)(to->ns - from->ns) / (double)(to->ticks - from->ticks);
}

static void add(struct table *t, struct sync s)
{
    size_t n = atomic_load_explicit(&t->n, memory_order_relaxed);
    t->syncs[n] = s;
    atomic_store_explicit(&t->n, n + 1, memory_order_release);
}

/* Of hours of readings, every other one of the older half will do. */
static struct table *thin_out(const struct table *full)
{
    struct table *t = &tables[full == &tables[0]];
    atomic_store_explicit(&t->n, 0, memory_order_relaxed);
    for (size_t i = 0; i < SYNCS_MAX; i++)
        if (i >= SYNCS_MAX / 2 || i % 2 == 0)
            add(t, full->syncs[i]);
    atomic_store_explicit(&table, t, memory_order_release);
    return t;
}

void prof_ticks_sync_reset(void)
{
    atomic_store_explicit(&atomic_load(&table)->n, 0, memory_order_relaxed);
    prof_ticks_sync();
    nanosleep(&(struct timespec){.tv_nsec = PACE_FROM_NS}, NULL);
    prof_ticks_sync();
}

void prof_ticks_sync(void)
{
    struct table *t = atomic_load_explicit(&table, memory_order_relaxed);
    size_t n = atomic_load_explicit(&t->n, memory_order_relaxed);
    struct sync now = read_both();
    if (n > 0 && (now.ticks <= t->syncs[n - 1].ticks || now.ns <= t->syncs[n - 1].ns))
        return;
    add(n == SYNCS_MAX ? thin_out(t) : t, now);
    if (n > 0 && prof_ticks_are_tsc)
        atomic_store_explicit(&pace, pace_between(&t->syncs[0], &now), memory_order_relaxed);
}

/* The last reading that is not later, but never the very last. */
static const struct sync *reading_before(const struct table *t, size_t n, uint64_t ticks)
{
    size_t low = 0, high = n - 1;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        *(t->syncs[mid].ticks <= ticks ? &low : &high) = mid;
    }
    return &t->syncs[low];
}

uint64_t prof_ticks_whole(uint64_t ticks, uint64_t near)
{
    enum { HIGH = 64 - PROF_EV_TIME_BITS };
    return near + (uint64_t)((int64_t)((ticks - near) << HIGH) >> HIGH);
}

int64_t prof_ticks_ns(uint64_t ticks)
{
    if (!prof_ticks_are_tsc)
        return (int64_t)prof_ticks_whole(ticks, (uint64_t)prof_now_ns());
    const struct table *t = atomic_load_explicit(&table, memory_order_acquire);
    size_t n = atomic_load_explicit(&t->n, memory_order_acquire);
    if (n < 2)
        return n ? t->syncs[0].ns : 0;
    ticks = prof_ticks_whole(ticks, t->syncs[n - 1].ticks);
    const struct sync *from = reading_before(t, n, ticks), *to = from + 1;
    return from->ns + (int64_t)((double)(int64_t)(ticks - from->ticks) * pace_between(from, to));
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* A first idea of the pace; it gets better as recording goes on. */
static void init_once(void)
{
    choose_shift();
    prof_ticks_are_tsc = counter_is_invariant() && kernel_trusts_counter();
    struct sync from = read_both();
    nanosleep(&(struct timespec){.tv_nsec = PACE_FROM_NS}, NULL);
    struct sync to = read_both();
    if (prof_ticks_are_tsc)
        atomic_store_explicit(&pace, pace_between(&from, &to), memory_order_relaxed);
}

void prof_ticks_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
}

/* ---- lengths --------------------------------------------------------------------------------- */

int64_t prof_ticks_length_ns(uint64_t ticks)
{
    return (int64_t)((double)ticks * atomic_load_explicit(&pace, memory_order_relaxed));
}

int64_t prof_ticks_in(int64_t ns)
{
    double ticks = 0.99 * (double)ns / atomic_load_explicit(&pace, memory_order_relaxed);
    return ticks < 9e18 ? (int64_t)ticks : INT64_MAX - 1;
}
