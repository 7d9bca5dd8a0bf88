/* LTTng-UST's description of one event, a counter with a name: what it is compared by. Read several
 * times by LTTng's macros. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER kit

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./event.h"

#if !defined(BENCH_PERF_LTTNG_EVENT_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define BENCH_PERF_LTTNG_EVENT_H

#include <lttng/tracepoint.h>

LTTNG_UST_TRACEPOINT_EVENT(
    kit, counter, LTTNG_UST_TP_ARGS(const char *, name, int64_t, value),
    LTTNG_UST_TP_FIELDS(lttng_ust_field_string(name, name)
                            lttng_ust_field_integer(int64_t, value, value)))

#endif

#include <lttng/tracepoint-event.h>
