/* The trigger: somebody is called when a region, or whatever the program measures, took too long.
 *
 * A thread that finds itself slow must not become slower: it only leaves a note of what it saw, and
 * wakes a thread of libprof's, which calls the program's function. What is slow while that runs, or
 * too soon after it, is not noted. */
#include "prof/thread.h"
#include "prof/trace_internal.h"

#include <errno.h>
#include <stdlib.h>

static const int64_t EVERY_DEFAULT_NS = 60 * INT64_C(1000000000);

_Atomic int64_t prof_flight_threshold_ticks = INT64_MAX;

static struct prof_lock set_lock;          /* one change at a time */
static struct prof_flight_trigger trigger; /* constant while the thread runs */
static _Atomic(const char *) only;         /* trigger.name */
static unsigned long thread;
static bool has_thread;
static atomic_bool ending;
static _Atomic uint32_t notes; /* changes with every note, and at the end */

/* The note. */
enum { EMPTY, BEING_WRITTEN, WRITTEN };
static _Atomic int note_state;
static struct prof_slow note;
static char note_name[PROF_NAME_BYTES_MAX + 1];
static _Atomic int64_t not_before_ns;

/* ---- noting ---------------------------------------------------------------------------------- */

static void leave_note(const char *name, int64_t took_ns)
{
    int state = EMPTY;
    int64_t now = prof_now_ns();
    if (now < atomic_load_explicit(&not_before_ns, memory_order_relaxed) || !prof_flight_active())
        return;
    if (!atomic_compare_exchange_strong(&note_state, &state, BEING_WRITTEN))
        return;
    snprintf(note_name, sizeof note_name, "%s", name);
    note = (struct prof_slow){
        .name = note_name, .took_ns = took_ns, .end_ns = now, .tid = prof_gettid()};
    atomic_store(&note_state, WRITTEN);
    atomic_fetch_add(&notes, 1);
    prof_futex_wake(&notes);
}

/* names are compared here, not at each region's end: few are slow. */
static bool is_meant(const char *name)
{
    const char *wanted = atomic_load_explicit(&only, memory_order_acquire);
    return !wanted || strcmp(wanted, name) == 0;
}

/* The threshold in ticks is a little too low, so that nothing is missed; nanoseconds decide. */
void prof_flight_slow(const char *name, uint64_t took_ticks)
{
    int64_t took_ns = prof_ticks_length_ns(took_ticks);
    if (took_ns >= trigger.threshold_ns && is_meant(name))
        leave_note(name, took_ns);
}

void prof_trace_took_(const char *name, int64_t took_ns)
{
    if (atomic_load_explicit(&prof_flight_threshold_ticks, memory_order_acquire) != INT64_MAX &&
        took_ns >= trigger.threshold_ns && is_meant(name ? name : ""))
        leave_note(name ? name : "", took_ns);
}

/* ---- calling --------------------------------------------------------------------------------- */

static void *call(void *arg)
{
    (void)arg;
    prof_enter();
    while (!atomic_load(&ending)) {
        uint32_t seen = atomic_load(&notes);
        if (atomic_load(&note_state) == WRITTEN) {
            trigger.fn(&note, trigger.arg);
            atomic_store(&not_before_ns,
                         prof_now_ns() + (trigger.at_most_every_ns ? trigger.at_most_every_ns
                                                                   : EVERY_DEFAULT_NS));
            atomic_store(&note_state, EMPTY);
        } else {
            prof_futex_wait(&notes, seen, INT64_C(3600) * 1000000000);
        }
    }
    return NULL;
}

static void clear_locked(void)
{
    atomic_store(&prof_flight_threshold_ticks, INT64_MAX);
    if (!has_thread)
        return;
    atomic_store(&ending, true);
    atomic_fetch_add(&notes, 1);
    prof_futex_wake(&notes);
    prof_own_join(thread);
    has_thread = false;
    atomic_store(&note_state, EMPTY);
}

static int set_locked(const struct prof_flight_trigger *t)
{
    clear_locked();
    if (!t)
        return 0;
    trigger = *t;
    struct prof_name *name = t->name ? prof_name_of(t->name) : NULL; /* kept for ever */
    if (t->name && !name)
        return -ENOMEM;
    atomic_store(&only, name ? name->text : NULL);
    atomic_store(&not_before_ns, 0);
    atomic_store(&ending, false);
    int rc = prof_own_thread(&thread, "prof trigger", call, NULL);
    if (rc < 0)
        return rc;
    has_thread = true;
    atomic_store_explicit(&prof_flight_threshold_ticks, prof_ticks_in(t->threshold_ns),
                          memory_order_release);
    return 0;
}

int prof_flight_set_trigger(const struct prof_flight_trigger *t)
{
    if (t && (t->threshold_ns < 1 || !t->fn || t->at_most_every_ns < 0))
        return -EINVAL;
    int saved = errno;
    prof_init();
    prof_enter();
    prof_ticks_init();
    prof_lock(&set_lock);
    int rc = set_locked(t);
    prof_unlock(&set_lock);
    prof_leave();
    errno = saved;
    return rc;
}

void prof_trigger_fork_child(void)
{
    atomic_store(&prof_flight_threshold_ticks, INT64_MAX);
    set_lock = (struct prof_lock){0};
    has_thread = false;
    atomic_store(&note_state, EMPTY);
}
