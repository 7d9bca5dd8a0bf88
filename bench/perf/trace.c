/* What recording costs: an event of the program's, a handover of a lock from thread to thread, and
 * the flight recorder beside work. With and without in turns, on threads that stay.
 *
 *   trace -event        only the event, in nanoseconds: what scripts/perf/lttng.sh compares */
#include "prof/trace.h"
#include "bench/perf/measure.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 41, EVENTS = 5000, HANDOVERS = 4000, PIECES = 3000 };

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
    int turn;
    atomic_bool end;
} game = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void play(int me)
{
    for (int i = 0; i < HANDOVERS / 2; i++) {
        pthread_mutex_lock(&game.mutex);
        while (game.turn != me)
            pthread_cond_wait(&game.changed, &game.mutex);
        game.turn = !me;
        pthread_cond_signal(&game.changed);
        pthread_mutex_unlock(&game.mutex);
    }
}

static void *player(void *arg)
{
    int me = arg != NULL;
    for (;;) {
        pthread_barrier_wait(&game.round);
        if (atomic_load(&game.end))
            return NULL;
        play(me);
        pthread_barrier_wait(&game.round);
    }
}

static bool handover(const char *name, double traced_ns, double plain_ns)
{
    double more = 100 * (traced_ns / plain_ns - 1);
    printf("%s  %.0f ns (plain %.0f ns, %+.1f %%)  <= +30 %%  %s\n", name, traced_ns, plain_ns,
           more, more <= 30 ? "ok" : "MISSED");
    return more <= 30;
}

static double round_ns(void)
{
    pthread_barrier_wait(&game.round);
    double start = measure_ns(CLOCK_MONOTONIC);
    pthread_barrier_wait(&game.round);
    return (measure_ns(CLOCK_MONOTONIC) - start) / HANDOVERS;
}

/* The kernel's records of context switches are most of the price, and can be left out: each
 * handover is two switches. */
static bool ping_pong(void)
{
    static const struct prof_trace_options no_switches = {.without = PROF_TRACE_SCHED};
    static double off[ROUNDS], on[ROUNDS], without[ROUNDS];
    pthread_t players[2];
    pthread_barrier_init(&game.round, NULL, 3);
    for (int i = 0; i < 2; i++)
        pthread_create(&players[i], NULL, player, i ? &game : NULL);
    for (int r = 0; r < ROUNDS; r++) {
        off[r] = round_ns();
        prof_trace_start(devnull(), NULL);
        on[r] = round_ns();
        prof_trace_stop();
        prof_trace_start(devnull(), &no_switches);
        without[r] = round_ns();
        prof_trace_stop();
    }
    atomic_store(&game.end, true);
    pthread_barrier_wait(&game.round);
    for (int i = 0; i < 2; i++)
        pthread_join(players[i], NULL);
    double plain = measure_median(off, ROUNDS);
    bool ok = handover("trace: a mutex handed over", measure_median(on, ROUNDS), plain);
    return handover("trace: the same without context switches", measure_median(without, ROUNDS),
                    plain) &&
           ok;
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
    ok &= ping_pong();
    ok &= flight();
    return !ok;
}
