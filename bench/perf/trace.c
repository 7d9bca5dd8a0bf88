/* What recording costs: an event of the program's, a handover of a lock from thread to thread, and
 * the flight recorder beside work. With and without in turns, on threads that stay.
 *
 * A handover on one CPU costs a switch or two; from CPU to CPU it wakes one that is idle, which in
 * a virtual machine takes twenty times as long. Where the kernel puts the two threads is its choice
 * and changes from round to round, so that medians would compare places, not recorders: each place
 * is measured by itself.
 *
 *   trace -event        only the event, in nanoseconds: what scripts/perf/lttng.sh compares */
#include "prof/trace.h"
#include "bench/perf/measure.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 41, EVENTS = 5000, PIECES = 3000 };

static int devnull(void)
{
    static int fd;
    return fd ? fd : (fd = open("/dev/null", O_WRONLY));
}

/* ---- events ---------------------------------------------------------------------------------- */

static void counter(int i)
{
    prof_trace_counter("bench", "counter", i);
}

static void region(int i)
{
    (void)i;
    prof_region_begin("bench", "region");
    prof_region_end();
}

static void text(int i)
{
    (void)i;
    prof_trace_log("bench", "twenty four bytes of it.");
}

/* The drain empties the ring between two rounds, so that none is full. */
static double event_ns(void (*event)(int), bool on)
{
    static double took[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        double start = measure_ns(CLOCK_MONOTONIC);
        for (int i = 0; i < EVENTS; i++)
            event(i);
        took[r] = (measure_ns(CLOCK_MONOTONIC) - start) / EVENTS;
        if (on)
            usleep(60000);
    }
    return measure_median(took, ROUNDS);
}

static bool report(const char *name, double ns, double bar_ns)
{
    printf("%s  %.1f ns  <= %.0f ns  %s\n", name, ns, bar_ns, ns <= bar_ns ? "ok" : "MISSED");
    return ns <= bar_ns;
}

static bool events(bool only)
{
    struct prof_trace_stats stats;
    double off = event_ns(counter, false);
    prof_trace_start(devnull(), NULL);
    double on = event_ns(counter, true);
    if (only) {
        printf("%.2f\n", on);
        prof_trace_stop();
        return true;
    }
    double region_on = event_ns(region, true), text_on = event_ns(text, true);
    prof_trace_stop();
    prof_trace_stats(&stats);
    bool ok = report("trace: an event while nothing records", off, 2);
    ok &= report("trace: a counter", on, 40);
    ok &= report("trace: a log of 24 bytes", text_on, 60);
    ok &= report("trace: a region, both ends", region_on, 60);
    if (stats.dropped)
        printf("%llu events were dropped: their cost is not what was measured\n",
               (unsigned long long)stats.dropped);
    return ok && stats.dropped == 0;
}

/* ---- handing a lock over --------------------------------------------------------------------- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_barrier_t round;
    int turn, handovers; /* of a round */
    bool apart;          /* on two CPUs */
    atomic_bool end;
} game = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Signalled after the unlock, a handover is one switch. Before it, on one CPU, who is woken often
 * comes at once and then waits for the mutex: as many switches as chance has it, 1.5 to 2. */
static void play(int me)
{
    for (int i = 0; i < game.handovers / 2; i++) {
        pthread_mutex_lock(&game.mutex);
        while (game.turn != me)
            pthread_cond_wait(&game.changed, &game.mutex);
        game.turn = !me;
        pthread_mutex_unlock(&game.mutex);
        pthread_cond_signal(&game.changed);
    }
}

/* To the nth CPU of those that this process may use. false: there are fewer. */
static bool stay_on(int nth)
{
    cpu_set_t all, one;
    CPU_ZERO(&one);
    sched_getaffinity(0, sizeof all, &all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && nth-- == 0)
            CPU_SET(cpu, &one);
    return CPU_COUNT(&one) == 1 && sched_setaffinity(0, sizeof one, &one) == 0;
}

static void *player(void *arg)
{
    int me = arg != NULL;
    stay_on(game.apart ? me : 0);
    for (;;) {
        pthread_barrier_wait(&game.round);
        if (atomic_load(&game.end))
            return NULL;
        play(me);
        pthread_barrier_wait(&game.round);
    }
}

static double round_ns(void)
{
    pthread_barrier_wait(&game.round);
    double start = measure_ns(CLOCK_MONOTONIC);
    pthread_barrier_wait(&game.round);
    return (measure_ns(CLOCK_MONOTONIC) - start) / game.handovers;
}

/* What CAP_PERFMON allows makes the kernel's records cheaper. on: as this process was started. */
static void privilege(bool on)
{
    static struct __user_cap_data_struct all[2];
    static bool known;
    struct __user_cap_header_struct self = {_LINUX_CAPABILITY_VERSION_3, 0};
    if (!known)
        known = syscall(SYS_capget, &self, all) == 0;
    struct __user_cap_data_struct some[2] = {all[0], all[1]};
    if (!on) {
        some[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
        some[CAP_TO_INDEX(CAP_PERFMON)].effective &= ~CAP_TO_MASK(CAP_PERFMON);
    }
    syscall(SYS_capset, &self, some);
}

enum way { PLAIN, TRACED, ORDINARY, NO_SWITCHES, WAYS };

static double round_in(enum way way)
{
    const struct prof_trace_options options = {.without =
                                                   way == NO_SWITCHES ? PROF_TRACE_SCHED : 0};
    if (way == PLAIN)
        return round_ns();
    privilege(way != ORDINARY);
    prof_trace_start(devnull(), &options);
    privilege(true);
    double ns = round_ns();
    prof_trace_stop();
    return ns;
}

static bool handover(enum way way, double traced_ns, double plain_ns)
{
    static const char *const names[WAYS] = {
        [TRACED] = "", [ORDINARY] = ", ordinary user", [NO_SWITCHES] = ", without switches"};
    double more = 100 * (traced_ns / plain_ns - 1);
    printf("trace: mutex handover, %s%s  %.0f ns (plain %.0f ns, %+.1f %%)  <= +30 %%  %s\n",
           game.apart ? "two CPUs" : "one CPU", names[way], traced_ns, plain_ns, more,
           more <= 30 ? "ok" : "MISSED");
    return more <= 30;
}

static bool ping_pong(bool apart)
{
    static double took[WAYS][ROUNDS];
    pthread_t players[2];
    bool ok = true;
    game.apart = apart;
    game.handovers = apart ? 800 : 4000;
    atomic_store(&game.end, false);
    pthread_barrier_init(&game.round, NULL, 3);
    for (int i = 0; i < 2; i++)
        pthread_create(&players[i], NULL, player, i ? &game : NULL);
    for (int r = 0; r < ROUNDS; r++)
        for (enum way way = 0; way < WAYS; way++)
            took[way][r] = round_in(way);
    atomic_store(&game.end, true);
    pthread_barrier_wait(&game.round);
    for (int i = 0; i < 2; i++)
        pthread_join(players[i], NULL);
    double plain = measure_median(took[PLAIN], ROUNDS);
    for (enum way way = TRACED; way < WAYS; way++)
        ok &= handover(way, measure_median(took[way], ROUNDS), plain);
    return ok;
}

/* ---- the flight recorder beside work --------------------------------------------------------- */

/* A piece of some 20 us, in a region, with a line of text: a busy server's requests. */
static double work_ns(void)
{
    double start = measure_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < PIECES; i++) {
        PROF_REGION("piece");
        prof_trace_log("bench", "a piece begins");
        for (volatile int k = 0; k < 60000; k++)
            ;
    }
    return (measure_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / PIECES;
}

static bool flight(void)
{
    static double off[ROUNDS], on[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        off[r] = work_ns();
        prof_flight_start(NULL);
        on[r] = work_ns();
        prof_flight_stop();
    }
    double plain = measure_median(off, ROUNDS), recorded = measure_median(on, ROUNDS);
    double more = 100 * (recorded / plain - 1);
    printf("flight recorder beside work  %+.2f %%  <= 2 %%  %s\n", more,
           more <= 2 ? "ok" : "MISSED");
    return more <= 2;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "-event") == 0)
        return !events(true);
    bool ok = events(false);
    ok &= ping_pong(false);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
        ok &= ping_pong(true);
    ok &= flight();
    return !ok;
}
