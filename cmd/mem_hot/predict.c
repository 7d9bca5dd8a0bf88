/* How often the collector should run, from the formula alone: no clock, no collector. The program
 * prints it beside what was counted, so that nobody has to believe either. */
#include "cmd/mem_hot/mem_hot.h"

static double next_goal(double live, int percent)
{
    const double factor = percent / 100.0;
    const double goal = live * (1 + factor), minimum = GC_HEAP_MINIMUM_BYTES * factor;

    return goal > minimum ? goal : minimum;
}

int64_t predict_collections(const struct prediction *p)
{
    int64_t collections = 0, made = 0;
    double live = 0;

    if (p->percent == GC_PERCENT_OFF || p->object_bytes <= 0)
        return 0;
    for (;;) {
        const double room = next_goal(live, p->percent) - live;
        const int64_t more = (int64_t)(room / p->object_bytes) + 1;
        if (more > p->count - made)
            return collections;
        made += more;
        collections++;
        live = (double)(made < p->keep ? made : p->keep) * p->object_bytes;
    }
}
