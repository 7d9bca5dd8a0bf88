/* When the next collection is due. No collector is needed to understand it, nor to test it.
 *
 * GOGC trades memory for time: with 100 the heap may double before it is collected, so at most half
 * of it is garbage, and each byte allocated costs the marking of one live byte. With 0 there is
 * always something due, as in Go, where a collection then follows the other. GOMEMLIMIT turns
 * that around where memory runs out: collect as often as it takes, up to half of the time. Without
 * that last clause a live heap as large as the limit would be collected for ever and the program
 * would do nothing else; Go calls that a death spiral and caps it, too. */
#include "labs/gc/gc.h"

/* A part of the limit is never planned with: the collector gets memory in pieces. */
enum { HEADROOM_DIVISOR = 16 };
/* How far collecting may get ahead. Go gives a second of each processor's time; the labs are done
 * by then. */
enum { CREDIT_NS_MAX = 100000000 };

static int64_t percent_of(int64_t bytes, int percent)
{
    int64_t product;

    if (__builtin_mul_overflow(bytes, percent, &product))
        return INT64_MAX;
    return product / 100;
}

int64_t gc_pacer_percent_goal(const struct gc_pacer *p)
{
    const int percent = p->settings.percent;
    int64_t goal;

    if (percent == GC_PERCENT_OFF)
        return INT64_MAX;
    const int64_t minimum = percent_of(GC_HEAP_MINIMUM_BYTES, percent);
    if (__builtin_add_overflow(p->live_bytes, percent_of(p->live_bytes, percent), &goal))
        return INT64_MAX;
    return goal > minimum ? goal : minimum;
}

int64_t gc_pacer_limit_goal(const struct gc_pacer *p)
{
    const int64_t limit = p->settings.limit_bytes;

    if (limit == GC_LIMIT_NONE)
        return INT64_MAX;
    const int64_t goal = limit - limit / HEADROOM_DIVISOR - p->overhead_bytes;
    return goal > 0 ? goal : 0;
}

int64_t gc_pacer_goal(const struct gc_pacer *p)
{
    const int64_t percent = gc_pacer_percent_goal(p), limit = gc_pacer_limit_goal(p);

    return percent < limit ? percent : limit;
}

/* Collecting makes a debt, as long as it takes; the program works it off in the same time. */
static int64_t debt_now(const struct gc_pacer *p, int64_t worked_ns)
{
    const int64_t since_ns = worked_ns - p->worked_ns;

    return p->debt_ns > since_ns ? p->debt_ns - since_ns : 0;
}

void gc_pacer_collected(struct gc_pacer *p, int64_t cost_ns, int64_t worked_ns)
{
    p->debt_ns = debt_now(p, worked_ns) + cost_ns;
    p->worked_ns = worked_ns;
}

bool gc_pacer_due(const struct gc_pacer *p, int64_t heap_bytes, int64_t pending_bytes,
                  int64_t worked_ns)
{
    const int64_t part_ns = worked_ns / 20;
    const int64_t credit_ns = part_ns < CREDIT_NS_MAX ? part_ns : CREDIT_NS_MAX;
    const bool grown = heap_bytes >= gc_pacer_percent_goal(p);

    if (grown && p->settings.percent > 0)
        return true;
    return (grown || heap_bytes + pending_bytes >= gc_pacer_limit_goal(p)) &&
           debt_now(p, worked_ns) <= credit_ns;
}
