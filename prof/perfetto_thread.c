/* Who is in a chunk: the process tree and the tracks.
 *
 * A track's uuid is made of the process' id and the thread's, so that chunks agree on it. */
#include "prof/perfetto.h"
#include "prof/thread.h"

#include <errno.h>
#include <fcntl.h>

#include <stdlib.h>
#include <unistd.h>

enum {
    TRACK_UUID = 1,
    TRACK_NAME = 2,
    TRACK_PROCESS = 3,
    TRACK_THREAD = 4,
    TRACK_PARENT = 5,
    TRACK_COUNTER = 8,
};

/* ---- the threads' table ---------------------------------------------------------------------- */

static size_t place_of(const struct thread_entry *table, size_t slots, pid_t tid)
{
    size_t i = (uint32_t)tid * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    while (table[i % slots].tid && table[i % slots].tid != tid)
        i++;
    return i % slots;
}

static bool grow(struct perfetto *p)
{
    size_t slots = p->thread_slots ? p->thread_slots * 2 : 64;
    struct thread_entry *table = calloc(slots, sizeof *table);
    if (!table) {
        p->failed = true;
        return false;
    }
    for (size_t i = 0; i < p->thread_slots; i++)
        if (p->threads[i].tid)
            table[place_of(table, slots, p->threads[i].tid)] = p->threads[i];
    free(p->threads);
    p->threads = table;
    p->thread_slots = slots;
    return true;
}

void perfetto_add_thread(struct perfetto *p, pid_t tid, const char *name)
{
    if (tid <= 0 || (p->nthreads * 2 >= p->thread_slots && !grow(p)))
        return;
    struct thread_entry *e = &p->threads[place_of(p->threads, p->thread_slots, tid)];
    p->nthreads += e->tid == 0;
    e->tid = tid;
    if (name)
        snprintf(e->name, sizeof e->name, "%s", name);
}

void perfetto_add_live_threads(struct perfetto *p)
{
    for (struct prof_thread *t = prof_threads_first(); t; t = t->next)
        perfetto_add_thread(p, atomic_load_explicit(&t->tid, memory_order_relaxed), NULL);
}

/* As they are called now; who is gone has told its name when it went. */
static void find_names(struct perfetto *p)
{
    char folder[40];
    snprintf(folder, sizeof folder, "/proc/%d/task", (int)p->pid);
    int tasks = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < p->thread_slots; i++) {
        struct thread_entry *e = &p->threads[i];
        struct prof_task task;
        if (e->tid && !e->name[0] && prof_task_read(tasks, e->tid, &task))
            memcpy(e->name, task.name, sizeof e->name);
    }
    if (tasks >= 0)
        close(tasks);
}

/* ---- packets --------------------------------------------------------------------------------- */

/* A thread's name may hold anything, readers want UTF-8. */
static void write_name(struct perfetto *p, int field, const char *name)
{
    char clean[16];
    size_t n = 0;
    for (size_t step; name[n] && n < sizeof clean - 1; n += step) {
        step = prof_utf8_sequence((const unsigned char *)name + n, strlen(name + n));
        if (step == 0 || n + step > sizeof clean - 1) {
            clean[n] = '?';
            step = 1;
        } else {
            memcpy(clean + n, name + n, step);
        }
    }
    prof_wire_bytes(p->w, field, n ? clean : "thread", n ? n : strlen("thread"));
}

static void write_process_tree(struct perfetto *p)
{
    enum { TREE_PROCESSES = 1, TREE_THREADS = 2 };
    size_t packet = perfetto_packet_begin(p, p->chunk->generation->begin_ns);
    size_t tree = prof_wire_begin(p->w, PACKET_PROCESS_TREE);
    size_t process = prof_wire_begin(p->w, TREE_PROCESSES);
    prof_wire_uint(p->w, 1, (uint64_t)p->pid);
    prof_wire_uint(p->w, 2, (uint64_t)getppid());
    prof_wire_string(p->w, 3, program_invocation_short_name);
    prof_wire_end(p->w, process);
    for (size_t i = 0; i < p->thread_slots; i++) {
        const struct thread_entry *e = &p->threads[i];
        if (!e->tid)
            continue;
        size_t thread = prof_wire_begin(p->w, TREE_THREADS);
        prof_wire_uint(p->w, 1, (uint64_t)e->tid);
        write_name(p, 2, e->name);
        prof_wire_uint(p->w, 3, (uint64_t)p->pid);
        prof_wire_end(p->w, thread);
    }
    prof_wire_end(p->w, tree);
    prof_wire_end(p->w, packet);
}

static void write_process_track(struct perfetto *p)
{
    size_t packet = perfetto_packet_begin(p, 0);
    size_t track = prof_wire_begin(p->w, PACKET_TRACK_DESCRIPTOR);
    prof_wire_uint(p->w, TRACK_UUID, perfetto_process_track(p));
    size_t process = prof_wire_begin(p->w, TRACK_PROCESS);
    prof_wire_uint(p->w, 1, (uint64_t)p->pid);
    prof_wire_string(p->w, 6, program_invocation_short_name);
    prof_wire_end(p->w, process);
    prof_wire_end(p->w, track);
    prof_wire_end(p->w, packet);
}

static void write_thread_track(struct perfetto *p, const struct thread_entry *e)
{
    size_t packet = perfetto_packet_begin(p, 0);
    size_t track = prof_wire_begin(p->w, PACKET_TRACK_DESCRIPTOR);
    prof_wire_uint(p->w, TRACK_UUID, perfetto_thread_track(p, e->tid));
    prof_wire_uint(p->w, TRACK_PARENT, perfetto_process_track(p));
    size_t thread = prof_wire_begin(p->w, TRACK_THREAD);
    prof_wire_uint(p->w, 1, (uint64_t)p->pid);
    prof_wire_uint(p->w, 2, (uint64_t)e->tid);
    write_name(p, 5, e->name);
    prof_wire_end(p->w, thread);
    prof_wire_end(p->w, track);
    prof_wire_end(p->w, packet);
}

void perfetto_write_threads(struct perfetto *p)
{
    find_names(p);
    write_process_tree(p);
    write_process_track(p);
    for (size_t i = 0; i < p->thread_slots; i++)
        if (p->threads[i].tid)
            write_thread_track(p, &p->threads[i]);
}

uint64_t perfetto_thread_track(const struct perfetto *p, pid_t tid)
{
    return perfetto_process_track(p) | (uint32_t)tid;
}

static size_t track_place(const uint64_t *table, size_t slots, uint64_t uuid)
{
    size_t i = uuid * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    while (table[i % slots] && table[i % slots] != uuid)
        i++;
    return i % slots;
}

/* Whether this is the first time. Without memory it is, again and again: that is only longer. */
static bool is_new_track(struct perfetto *p, uint64_t uuid)
{
    if (p->ntracks * 2 >= p->track_slots) {
        size_t slots = p->track_slots ? p->track_slots * 2 : 64;
        uint64_t *table = calloc(slots, sizeof *table);
        if (!table)
            return true;
        for (size_t i = 0; i < p->track_slots; i++)
            if (p->tracks[i])
                table[track_place(table, slots, p->tracks[i])] = p->tracks[i];
        free(p->tracks);
        p->tracks = table;
        p->track_slots = slots;
    }
    size_t i = track_place(p->tracks, p->track_slots, uuid);
    bool fresh = p->tracks[i] == 0;
    p->ntracks += fresh;
    p->tracks[i] = uuid;
    return fresh;
}

void perfetto_write_track(struct perfetto *p, uint64_t uuid, const char *name, int counter_unit)
{
    if (!is_new_track(p, uuid))
        return;
    size_t packet = perfetto_packet_begin(p, 0);
    size_t track = prof_wire_begin(p->w, PACKET_TRACK_DESCRIPTOR);
    prof_wire_uint(p->w, TRACK_UUID, uuid);
    prof_wire_string(p->w, TRACK_NAME, name);
    prof_wire_uint(p->w, TRACK_PARENT, perfetto_process_track(p));
    if (counter_unit >= 0) {
        size_t counter = prof_wire_begin(p->w, TRACK_COUNTER);
        if (counter_unit)
            prof_wire_uint(p->w, 3, (uint64_t)counter_unit);
        prof_wire_end(p->w, counter);
    }
    prof_wire_end(p->w, track);
    prof_wire_end(p->w, packet);
}
