/* Who the tracks, the threads and the process are. A descriptor is written again for every chunk,
 * so most of them say what is known. A tid may be given to a new thread when its thread is gone:
 * each track is a thread of its own, and those of one tid form a list. */
#include "cmd/trace/reader.h"

#include <string.h>

enum {
    TRACK_UUID = 1,
    TRACK_NAME = 2,
    TRACK_PROCESS = 3,
    TRACK_THREAD = 4,
    TRACK_PARENT = 5,
    TRACK_COUNTER = 8,
    TRACK_STATIC_NAME = 10,
};
enum { PROCESS_PID = 1, PROCESS_CMDLINE, PROCESS_NAME = 6 };
enum { THREAD_PID = 1, THREAD_TID = 2, THREAD_NAME = 5 };
enum { COUNTER_UNIT = 3, COUNTER_UNIT_NAME = 6 };
enum { TREE_PROCESSES = 1, TREE_THREADS };
enum { TREE_PROCESS_PID = 1, TREE_PROCESS_CMDLINE = 3 };
enum { TREE_THREAD_TID = 1, TREE_THREAD_NAME, TREE_THREAD_TGID };

uint32_t add_thread(struct reader *r, int32_t tid)
{
    struct trace *t = r->t;

    t->threads = array_grow(t->threads, t->nthreads, &r->cthreads, sizeof *t->threads);
    t->threads[t->nthreads] =
        (struct trace_thread){.tid = tid,
                              .creator = TRACE_NONE,
                              .track = TRACE_NONE,
                              .start_ns = INT64_MIN,
                              .end_ns = INT64_MAX,
                              .older = id_map_get(&r->thread_of, (uint32_t)tid)};
    id_map_set(&r->thread_of, (uint32_t)tid, t->nthreads);
    return t->nthreads++;
}

uint32_t track_of(struct reader *r, uint64_t uuid)
{
    struct trace *t = r->t;
    uint32_t i = id_map_get(&r->track_of, uuid);

    if (i != TRACE_NONE)
        return i;
    t->tracks = array_grow(t->tracks, t->ntracks, &r->ctracks, sizeof *t->tracks);
    t->tracks[t->ntracks] =
        (struct trace_track){.uuid = uuid, .parent = TRACE_NONE, .thread = TRACE_NONE};
    id_map_set(&r->track_of, uuid, t->ntracks);
    return t->ntracks++;
}

/* The latest that began before that moment, or that comes after one which had ended: what the
 * kernel says of a thread comes a little before the thread's own word that it has begun. */
uint32_t thread_at(struct reader *r, int32_t tid, int64_t ns)
{
    if (tid == 0)
        return TRACE_NONE;
    uint32_t i = id_map_get(&r->thread_of, (uint32_t)tid);
    if (i == TRACE_NONE)
        return add_thread(r, tid);
    const struct trace_thread *threads = r->t->threads;
    for (uint32_t older; threads[i].start_ns > ns; i = older) {
        older = threads[i].older;
        if (older == TRACE_NONE || (threads[older].exited && threads[older].end_ns < ns))
            break;
    }
    return i;
}

static void set_text(uint32_t *to, uint32_t text)
{
    if (text != KNOWN_EMPTY)
        *to = text;
}

static void read_thread(struct reader *r, uint32_t track, struct message m)
{
    struct trace *t = r->t;
    int32_t pid = 0, tid = 0;
    uint32_t name = KNOWN_EMPTY, thread = t->tracks[track].thread;
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.number == THREAD_PID)
            pid = (int32_t)f.value;
        else if (f.number == THREAD_TID)
            tid = (int32_t)f.value;
        else if (f.number == THREAD_NAME)
            name = reader_string(r, &f.bytes);
    }
    if (thread == TRACE_NONE) {
        thread = id_map_get(&r->thread_of, (uint32_t)tid);
        if (thread == TRACE_NONE || t->threads[thread].track != TRACE_NONE)
            thread = add_thread(r, tid);
        t->threads[thread].track = track;
        t->tracks[track].thread = thread;
        t->tracks[track].kind = TRACE_TRACK_THREAD;
    }
    t->threads[thread].pid = pid;
    set_text(&t->threads[thread].name, name);
}

static uint32_t read_process(struct reader *r, uint32_t track, struct message m)
{
    struct trace *t = r->t;
    uint32_t name = KNOWN_EMPTY;
    int32_t pid = 0;
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.number == PROCESS_PID)
            pid = (int32_t)f.value;
        else if (f.number == PROCESS_NAME)
            name = reader_string(r, &f.bytes);
    }
    t->tracks[track].kind = TRACE_TRACK_PROCESS;
    if (!t->pid) {
        t->pid = pid;
        set_text(&t->process_name, name);
    }
    return name;
}

/* The unit is a number for the common ones, else a name. */
static void read_counter(struct reader *r, uint32_t track, struct message m)
{
    static const char *const units[] = {"", "ns", "", "bytes"};
    struct trace *t = r->t;
    const char *unit = "";
    struct message_field f;

    t->tracks[track].kind = TRACE_TRACK_COUNTER;
    while (message_next(&m, &f)) {
        if (f.number == COUNTER_UNIT_NAME)
            t->tracks[track].unit = reader_string(r, &f.bytes);
        else if (f.number == COUNTER_UNIT && f.value < sizeof units / sizeof units[0])
            unit = units[f.value];
    }
    if (*unit)
        t->tracks[track].unit = prof_pool_intern(&t->strings, unit, strlen(unit));
}

static void read_kind(struct reader *r, uint32_t track, const struct message_field *f)
{
    struct trace_track *to = &r->t->tracks[track];

    if (f->number == TRACK_NAME || f->number == TRACK_STATIC_NAME)
        set_text(&to->name, reader_string(r, &f->bytes));
    else if (f->number == TRACK_PROCESS)
        set_text(&to->name, read_process(r, track, f->bytes));
    else if (f->number == TRACK_THREAD)
        read_thread(r, track, f->bytes);
    else if (f->number == TRACK_COUNTER)
        read_counter(r, track, f->bytes);
}

void read_track_descriptor(struct reader *r, struct message m)
{
    uint64_t uuid = 0, parent = 0;
    struct message_field f;

    for (struct message all = m; message_next(&all, &f);) {
        if (f.number == TRACK_UUID)
            uuid = f.value;
        else if (f.number == TRACK_PARENT)
            parent = f.value;
    }
    uint32_t track = track_of(r, uuid);
    if (parent && parent != uuid) {
        uint32_t above = track_of(r, parent);
        r->t->tracks[track].parent = above;
    }
    while (message_next(&m, &f))
        if (f.type == MESSAGE_BYTES)
            read_kind(r, track, &f);
}

/* ---- ProcessTree ----------------------------------------------------------------------------- */

static void read_tree_thread(struct reader *r, struct message m)
{
    int32_t tid = 0, pid = 0;
    uint32_t name = KNOWN_EMPTY;
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.number == TREE_THREAD_TID)
            tid = (int32_t)f.value;
        else if (f.number == TREE_THREAD_NAME)
            name = reader_string(r, &f.bytes);
        else if (f.number == TREE_THREAD_TGID)
            pid = (int32_t)f.value;
    }
    uint32_t i = thread_at(r, tid, INT64_MAX);
    if (i == TRACE_NONE)
        return;
    r->t->threads[i].pid = pid;
    if (r->t->threads[i].name == KNOWN_EMPTY)
        r->t->threads[i].name = name;
}

static void read_tree_process(struct reader *r, struct message m)
{
    uint32_t name = KNOWN_EMPTY;
    int32_t pid = 0;
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.number == TREE_PROCESS_PID)
            pid = (int32_t)f.value;
        else if (f.number == TREE_PROCESS_CMDLINE && name == KNOWN_EMPTY)
            name = reader_string(r, &f.bytes);
    }
    if (!r->t->pid)
        r->t->pid = pid;
    if (r->t->process_name == KNOWN_EMPTY && r->t->pid == pid)
        r->t->process_name = name;
}

void read_process_tree(struct reader *r, struct message m)
{
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.type != MESSAGE_BYTES)
            continue;
        if (f.number == TREE_PROCESSES)
            read_tree_process(r, f.bytes);
        else if (f.number == TREE_THREADS)
            read_tree_thread(r, f.bytes);
    }
}
