/* The heap's size over time, for scripts/gc_plot.awk: a line before and one after each collection,
 * and one at either end. Between them the heap grows evenly, as the work is even. */
#include "cmd/mem_hot/mem_hot.h"
#include "cmd/options.h"
#include "cmd/outfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct moment {
    int64_t stop_ns, resume_ns, heap_bytes, live_bytes;
};

static struct {
    struct outfile file;
    const char *path; /* NULL: nobody wants it */
    int64_t start_ns;
    struct moment *moment;
    size_t n, capacity;
} history;

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static _Noreturn void give_up(int err)
{
    fprintf(stderr, "%s: -gclog %s: cannot write there: %s\n", program_invocation_short_name,
            history.path, strerror(-err));
    outfile_discard(&history.file);
    exit(1);
}

static void remember(const struct gc_cycle *c, void *arg)
{
    (void)arg;
    if (history.n == history.capacity) {
        const size_t capacity = history.capacity ? 2 * history.capacity : 256;
        struct moment *bigger = reallocarray(history.moment, capacity, sizeof *bigger);
        if (!bigger)
            return;
        history.moment = bigger;
        history.capacity = capacity;
    }
    history.moment[history.n++] =
        (struct moment){c->stop_ns, c->resume_ns, c->heap_bytes, c->live_bytes};
}

void history_start(const char *path)
{
    if (!path)
        return;
    history.path = path;
    int err = outfile_open(&history.file, path);
    if (err)
        give_up(err);
    history.start_ns = now_ns();
    gc_on_cycle(remember, NULL);
}

static void put(FILE *f, int64_t at_ns, int64_t bytes, const char *what)
{
    fprintf(f, "%.3f %" PRId64 " %s\n", (double)(at_ns - history.start_ns) / 1e6, bytes, what);
}

void history_write(const char *title, const struct gc_stats *at_end)
{
    const int64_t end_ns = now_ns();

    if (!history.path)
        return;
    gc_on_cycle(NULL, NULL);
    FILE *f = fdopen(dup(history.file.fd), "w");
    if (!f)
        give_up(-errno);
    fprintf(f, "# %s\n# ms bytes what\n0 0 begin\n", title);
    for (size_t i = 0; i < history.n; i++) {
        put(f, history.moment[i].stop_ns, history.moment[i].heap_bytes, "full");
        put(f, history.moment[i].resume_ns, history.moment[i].live_bytes, "collected");
    }
    put(f, end_ns, at_end->heap_bytes, "end");
    int err = fclose(f) ? -errno : outfile_commit(&history.file);
    if (err)
        give_up(err);
    free(history.moment);
}
