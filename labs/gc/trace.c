/* The line of GODEBUG=gctrace=1, in the shape that Go prints it:
 *
 *   gc 1 @0.014s 5%: 0.77+1.2+0.17 ms clock, 1.5+1.2/0/0+0.34 ms cpu, 3->3->0 MB, 4 MB goal, 2 P
 *
 *   gc 1        the number of the collection
 *   @0.014s     when it began, since the start of the collector
 *   5%          of the processors' time since then went into collections
 *   ms clock    stop + mark + resume. Go's middle one runs beside the program; here the world
 * stands still for it. The first clears the old marks and stops the threads, the last lets them go,
 * takes back what is wholly free and counts what is live ms cpu      the same in processor time.
 * Stopping and resuming keep every processor from the program, so they count P times, as in Go. Go
 * splits marking into assist (done by the thread that allocates) / background / idle; here the
 * allocating thread does it all 3->3->0 MB  the heap when the collection began, when marking ended,
 * and what of it is live. The second is larger in Go, whose program allocates meanwhile 4 MB goal
 * the heap size at which the collection was due 2 P         processors that the program may use
 *   (forced)    the program asked for it */
#include "labs/gc/gc.h"

#include <inttypes.h>
#include <stdio.h>

/* Go's fmtNSAsMS: whole milliseconds from ten on, else two digits that count, three decimals at
 * most.
 */
static void put_ms(char *out, size_t size, int64_t ns)
{
    int64_t x = ns / 1000;
    int decimals = 3;
    double scale = 1e-3;

    if (ns >= 10000000) {
        snprintf(out, size, "%" PRId64, ns / 1000000);
        return;
    }
    if (x <= 0) {
        snprintf(out, size, "0");
        return;
    }
    for (; x >= 100; x /= 10, scale *= 10)
        decimals--;
    snprintf(out, size, "%.*f", decimals, (double)x * scale);
}

int gc_trace_line(char *out, size_t size, const struct gc_cycle *c, int64_t start_ns, double share,
                  int processors)
{
    const int64_t stop_ns = c->mark_ns - c->begin_ns, resume_ns = c->end_ns - c->marked_ns;
    char stop[24], mark[24], resume[24], stop_cpu[24], mark_cpu[24], resume_cpu[24];

    put_ms(stop, sizeof stop, stop_ns);
    put_ms(mark, sizeof mark, c->marked_ns - c->mark_ns);
    put_ms(resume, sizeof resume, resume_ns);
    put_ms(stop_cpu, sizeof stop_cpu, stop_ns * processors);
    put_ms(mark_cpu, sizeof mark_cpu, c->mark_cpu_ns);
    put_ms(resume_cpu, sizeof resume_cpu, resume_ns * processors);
    return snprintf(out, size,
                    "gc %" PRIu64 " @%.3fs %d%%: %s+%s+%s ms clock, %s+%s/0/0+%s ms cpu, %" PRId64
                    "->%" PRId64 "->%" PRId64 " MB, %" PRId64 " MB goal, %d P%s",
                    c->number, (double)((c->begin_ns - start_ns) / 1000000) / 1e3,
                    (int)(share * 100), stop, mark, resume, stop_cpu, mark_cpu, resume_cpu,
                    c->heap_bytes >> 20, c->heap_bytes >> 20, c->live_bytes >> 20,
                    c->goal_bytes >> 20, processors, c->forced ? " (forced)" : "");
}
