/* A chunk's context switches, as the kernel's ftrace would tell them: per CPU, in the order of
 * time.
 *
 * The kernel tells of this process' threads only, one record when a thread stops and one when it
 * begins. Where one of them follows another at once, that is one switch; otherwise the CPU goes to,
 * or comes from, somebody else, who is pid 0. When a thread was woken is not among them: it is
 * known from the locks' side (who unlocked, and when), and written as a waking that was inferred.
 * Times are BOOTTIME's, as ftrace's are. */
#include "prof/perfetto.h"

#include <stdlib.h>

enum {
    BUNDLE_CPU = 1,
    BUNDLE_EVENT = 2,
    FTRACE_TIMESTAMP = 1,
    FTRACE_PID = 2,
    FTRACE_SWITCH = 4,
    FTRACE_WAKING = 20,
    PRIORITY = 120, /* an ordinary thread's; nobody asks */
};
/* A switch itself takes half of that. What lies longer between two was somebody else's. */
enum { AT_ONCE_NS = 1000, BUNDLE_STEPS = 1000 };

/* A switch of the kernel's, or a waking. */
struct step {
    int64_t ns;
    pid_t tid, waker;
    uint16_t cpu;
    uint8_t kind; /* enum prof_switch_kind, or WAKING */
};
enum { WAKING = PROF_SWITCH_PREEMPTED + 1 };

/* A thread that stops comes before the one that begins at the same time. */
static int order_of(const struct step *s)
{
    return s->kind == PROF_SWITCH_IN ? WAKING + 1 : s->kind;
}

static int by_cpu_and_time(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    if (x->cpu != y->cpu)
        return x->cpu < y->cpu ? -1 : 1;
    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    return order_of(x) - order_of(y);
}

void perfetto_add_switched_threads(struct perfetto *p)
{
    const struct prof_generation *g = p->chunk->generation;
    pid_t last = 0;
    for (const struct prof_switches *s = g->switches; s; s = s->next)
        for (size_t i = 0; i < s->nswitches; i++)
            if (s->switches[i].tid != last)
                perfetto_add_thread(p, last = s->switches[i].tid, NULL);
    for (size_t i = 0; p->chunk->first && i < g->nrunning; i++)
        perfetto_add_thread(p, g->running[i].tid, NULL);
}

/* ---- gathering ------------------------------------------------------------------------------- */

/* In one piece: switches, delays, known wakes, room for what is inferred from them, and steps. */
struct work {
    struct prof_switch *switches;
    struct prof_delay *delays;
    struct prof_wakeup *known, *wakes;
    struct step *steps;
    size_t nswitches, ndelays, nknown, nwakes, nsteps;
};

static bool make_room(struct work *k, const struct perfetto *p)
{
    const struct prof_generation *g = p->chunk->generation;
    k->switches = malloc((g->nswitches + 1) * sizeof *k->switches);
    k->delays = malloc((g->ndelays + 1) * sizeof *k->delays);
    k->known = malloc((p->nrefs + 1) * sizeof *k->known);
    k->wakes = malloc((g->nswitches + 1) * sizeof *k->wakes);
    k->steps = malloc((2 * g->nswitches + g->nrunning + 1) * sizeof *k->steps);
    return k->switches && k->delays && k->known && k->wakes && k->steps;
}

static void drop(struct work *k)
{
    free(k->switches);
    free(k->delays);
    free(k->known);
    free(k->wakes);
    free(k->steps);
}

static void take_switches(struct work *k, const struct perfetto *p)
{
    for (const struct prof_switches *s = p->chunk->generation->switches; s; s = s->next) {
        memcpy(k->switches + k->nswitches, s->switches, s->nswitches * sizeof s->switches[0]);
        memcpy(k->delays + k->ndelays, s->delays, s->ndelays * sizeof s->delays[0]);
        k->nswitches += s->nswitches;
        k->ndelays += s->ndelays;
    }
}

static void take_known_wakes(struct work *k, const struct perfetto *p)
{
    for (size_t i = 0; i < p->nrefs; i++)
        if (p->refs[i].phase == PHASE_WAKE)
            k->known[k->nknown++] =
                (struct prof_wakeup){.time_ns = p->refs[i].ns,
                                     .tid = p->refs[i].tid,
                                     .waker = (pid_t)(p->refs[i].slot[1].word[2] >> 32)};
}

static void infer_wakes(struct work *k, const struct perfetto *p)
{
    struct prof_wake_input in = {.switches = k->switches,
                                 .nswitches = k->nswitches,
                                 .delays = k->delays,
                                 .ndelays = k->ndelays,
                                 .known = k->known,
                                 .nknown = k->nknown,
                                 .begin_ns = p->chunk->generation->begin_ns};
    ssize_t n = p->chunk->wakes ? prof_wake_infer(p->chunk->wakes, &in, k->wakes) : 0;
    k->nwakes = n > 0 ? (size_t)n : 0;
}

/* The kernel has no tid any more for a thread in its last moments. Whoever stops is the one that
 * ran there; what begins and ends without a name is left out. */
static void name_the_dead(struct work *k)
{
    pid_t running = 0;
    size_t n = 0;
    for (size_t i = 0; i < k->nsteps; i++) {
        struct step s = k->steps[i];
        if (i > 0 && s.cpu != k->steps[i - 1].cpu)
            running = 0;
        if (s.kind != WAKING && s.kind != PROF_SWITCH_IN && s.tid < 0)
            s.tid = running;
        if (s.kind != WAKING)
            running = s.kind == PROF_SWITCH_IN && s.tid > 0 ? s.tid : 0;
        if (s.tid > 0)
            k->steps[n++] = s;
    }
    k->nsteps = n;
}

/* A waking counts for the thread that is woken: which CPU its waker was on is not worth finding
 * out. */
static void make_steps(struct work *k, const struct perfetto *p)
{
    const struct prof_generation *g = p->chunk->generation;
    for (size_t i = 0; p->chunk->first && i < g->nrunning; i++)
        k->steps[k->nsteps++] = (struct step){
            .ns = g->running[i].time_ns, .tid = g->running[i].tid, .cpu = g->running[i].cpu};
    for (size_t i = 0; i < k->nswitches; i++) {
        const struct prof_switch *s = &k->switches[i];
        k->steps[k->nsteps++] =
            (struct step){.ns = s->time_ns, .tid = s->tid, .cpu = s->cpu, .kind = s->kind};
    }
    for (size_t i = 0; i < k->nwakes; i++) {
        const struct prof_wakeup *w = &k->wakes[i];
        k->steps[k->nsteps++] =
            (struct step){.ns = w->time_ns, .tid = w->tid, .waker = w->waker, .kind = WAKING};
    }
    qsort(k->steps, k->nsteps, sizeof *k->steps, by_cpu_and_time);
    name_the_dead(k);
}

/* ---- packets --------------------------------------------------------------------------------- */

static const char *name_of(const struct perfetto *p, pid_t tid)
{
    for (size_t i = 0, at = (uint32_t)tid * UINT64_C(0x9e3779b97f4a7c15) >> 32;
         tid && i < p->thread_slots; i++) {
        const struct thread_entry *e = &p->threads[(at + i) % p->thread_slots];
        if (e->tid == tid)
            return e->name;
        if (!e->tid)
            break;
    }
    return "";
}

static void write_switch(struct perfetto *p, int64_t ns, pid_t from, bool preempted, pid_t to)
{
    struct prof_wire *w = p->w;
    size_t event = prof_wire_begin(w, BUNDLE_EVENT);
    prof_wire_uint(w, FTRACE_TIMESTAMP, (uint64_t)(ns + p->boot_ns));
    prof_wire_uint(w, FTRACE_PID, (uint64_t)from);
    size_t at = prof_wire_begin(w, FTRACE_SWITCH);
    prof_wire_string(w, 1, name_of(p, from));
    prof_wire_uint(w, 2, (uint64_t)from);
    prof_wire_uint(w, 3, PRIORITY);
    prof_wire_uint(w, 4, from && !preempted);
    prof_wire_string(w, 5, name_of(p, to));
    prof_wire_uint(w, 6, (uint64_t)to);
    prof_wire_uint(w, 7, PRIORITY);
    prof_wire_end(w, at);
    prof_wire_end(w, event);
}

static void write_waking(struct perfetto *p, const struct step *s)
{
    struct prof_wire *w = p->w;
    size_t event = prof_wire_begin(w, BUNDLE_EVENT);
    prof_wire_uint(w, FTRACE_TIMESTAMP, (uint64_t)(s->ns + p->boot_ns));
    prof_wire_uint(w, FTRACE_PID, (uint64_t)s->waker);
    size_t at = prof_wire_begin(w, FTRACE_WAKING);
    prof_wire_string(w, 1, name_of(p, s->tid));
    prof_wire_uint(w, 2, (uint64_t)s->tid);
    prof_wire_uint(w, 3, PRIORITY);
    prof_wire_uint(w, 4, 1);
    prof_wire_uint(w, 5, s->cpu);
    prof_wire_end(w, at);
    prof_wire_end(w, event);
}

/* One CPU's steps, from `from` on: as many as there are, but no more than a file that is cut short
 * within them may lose. Where to go on. */
static size_t write_cpu(struct perfetto *p, const struct step *s, size_t from, size_t n)
{
    size_t packet = perfetto_packet_begin(p, 0), i = from;
    size_t bundle = prof_wire_begin(p->w, PACKET_FTRACE_EVENTS);
    prof_wire_uint(p->w, BUNDLE_CPU, s[from].cpu);
    for (; i < n && s[i].cpu == s[from].cpu && i - from < BUNDLE_STEPS; i++) {
        bool joined = i + 1 < n && s[i + 1].cpu == s[i].cpu && s[i + 1].kind == PROF_SWITCH_IN &&
                      s[i + 1].ns - s[i].ns < AT_ONCE_NS;
        if (s[i].kind == WAKING)
            write_waking(p, &s[i]);
        else if (s[i].kind == PROF_SWITCH_IN)
            write_switch(p, s[i].ns, 0, false, s[i].tid);
        else if (joined)
            write_switch(p, s[i].ns, s[i].tid, s[i].kind == PROF_SWITCH_PREEMPTED, s[i + 1].tid),
                i++;
        else
            write_switch(p, s[i].ns, s[i].tid, s[i].kind == PROF_SWITCH_PREEMPTED, 0);
    }
    prof_wire_end(p->w, bundle);
    prof_wire_end(p->w, packet);
    return i;
}

void perfetto_write_switches(struct perfetto *p)
{
    struct work k = {0};
    const struct prof_generation *g = p->chunk->generation;
    if (g->nswitches == 0 && (g->nrunning == 0 || !p->chunk->first))
        return;
    if (make_room(&k, p)) {
        take_switches(&k, p);
        take_known_wakes(&k, p);
        infer_wakes(&k, p);
        make_steps(&k, p);
        for (size_t i = 0; i < k.nsteps;)
            i = write_cpu(p, k.steps, i, k.nsteps);
    } else {
        p->failed = true;
    }
    drop(&k);
}
