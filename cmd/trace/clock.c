/* Timestamps name their clock, and snapshots say what several clocks showed at one moment; the
 * model has CLOCK_MONOTONIC only. Clocks from 64 on belong to one writer, and may count from one
 * packet to the next. */
#include "cmd/trace/reader.h"

#include <stdlib.h>

enum { SNAPSHOT_CLOCKS = 1 };
enum { CLOCK_ID = 1, CLOCK_TIMESTAMP, CLOCK_IS_INCREMENTAL, CLOCK_UNIT_NS };
enum { REALTIME = 1, MONOTONIC = 3, BOOTTIME = 6, FIRST_OWN = 64, SNAPSHOT_MAX = 16 };
/* Two readings of clocks that go alike differ by what it takes to read them; more is a machine that
 * slept, or a clock that was set. */
enum { JITTER_NS = 1000000 };

struct reading {
    uint64_t id, timestamp, unit_ns;
    bool incremental;
};

static struct reading read_one(struct message m)
{
    struct reading c = {.unit_ns = 1};
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.number == CLOCK_ID)
            c.id = f.value;
        else if (f.number == CLOCK_TIMESTAMP)
            c.timestamp = f.value;
        else if (f.number == CLOCK_IS_INCREMENTAL)
            c.incremental = f.value != 0;
        else if (f.number == CLOCK_UNIT_NS && f.value)
            c.unit_ns = f.value;
    }
    return c;
}

static struct clock *own_clock(struct sequence *s, uint64_t id)
{
    for (int i = 0; i < CLOCKS_OWN; i++)
        if (s->clocks[i].id == id)
            return &s->clocks[i];
    return NULL;
}

static void set_clock(struct reader *r, struct sequence *s, const struct reading *c, uint64_t now)
{
    uint64_t then = c->timestamp * c->unit_ns;
    int64_t offset = (int64_t)(now - then);

    if (c->id < CLOCK_IDS) {
        int64_t old = r->offset_ns[c->id];
        if (!r->has_offset[c->id] || offset > old + JITTER_NS || offset < old - JITTER_NS)
            r->offset_ns[c->id] = offset;
        r->has_offset[c->id] = true;
        return;
    }
    struct clock *own = own_clock(s, c->id);
    if (!own)
        own = own_clock(s, 0);
    if (own)
        *own = (struct clock){c->id, offset, c->unit_ns, then, c->incremental};
}

/* What CLOCK_MONOTONIC showed, from the best clock of the snapshot. */
static uint64_t snapshot_now(struct reader *r, const struct reading *clocks, int n)
{
    uint64_t now = 0;
    int best = 0;

    for (int i = 0; i < n; i++) {
        const struct reading *c = &clocks[i];
        int rank = c->id == MONOTONIC ? 3 : c->id == BOOTTIME ? 2 : c->id < CLOCK_IDS ? 1 : 0;
        if (rank > best) {
            best = rank;
            now = c->timestamp + (rank == 3 ? 0 : (uint64_t)r->offset_ns[c->id]);
        }
    }
    return now;
}

void read_clock_snapshot(struct reader *r, struct sequence *s, struct message m)
{
    struct reading clocks[SNAPSHOT_MAX];
    struct message_field f;
    int n = 0;

    while (n < SNAPSHOT_MAX && message_next(&m, &f))
        if (f.number == SNAPSHOT_CLOCKS && f.type == MESSAGE_BYTES)
            clocks[n++] = read_one(f.bytes);
    uint64_t now = snapshot_now(r, clocks, n);
    for (int i = 0; i < n; i++)
        if (clocks[i].id)
            set_clock(r, s, &clocks[i], now);
}

int64_t clock_time(struct reader *r, struct sequence *s, uint64_t clock, uint64_t timestamp)
{
    if (clock == 0)
        clock = BOOTTIME;
    if (clock < FIRST_OWN)
        return (int64_t)(timestamp + (uint64_t)r->offset_ns[clock]);
    struct clock *own = own_clock(s, clock);
    if (!own)
        return (int64_t)timestamp;
    uint64_t then = timestamp * own->unit_ns;
    if (own->incremental)
        then = own->now += then;
    return (int64_t)(then + (uint64_t)own->offset_ns);
}
