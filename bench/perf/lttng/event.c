/* The cost of an event in LTTng-UST, in nanoseconds: the loop of bench/perf/trace.c, event for
 * event. Built and run by scripts/perf/lttng.sh within a session that records. */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include <stdint.h>

#include "event.h"

#include "bench/perf/measure.h"

#include <stdio.h>
#include <unistd.h>

enum { ROUNDS = 41, EVENTS = 10000 };

int main(void)
{
    static double took[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        double start = measure_ns(CLOCK_MONOTONIC);
        for (int i = 0; i < EVENTS; i++)
            lttng_ust_tracepoint(kit, counter, "counter", i);
        took[r] = (measure_ns(CLOCK_MONOTONIC) - start) / EVENTS;
        usleep(20000);
    }
    printf("%.2f\n", measure_median(took, ROUNDS));
    return 0;
}
