/* What the tests of the recorder share: a trace into a file without a name, read back and checked
 * as a file (trace_wire.h) and as what it says (cmd/trace's model). */
#ifndef TESTS_TRACE_HOST_H
#define TESTS_TRACE_HOST_H

#include "cmd/trace/model.h"
#include "prof/trace.h"
#include "tests/sanitized.h"
#include "tests/trace_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

enum { TRACE_SANITIZED = ASAN || TSAN };

/* The thread sanitizer lets a forked child of a process with threads make no threads. */
static inline void trace_skip_if_no_fork(void)
{
    if (TSAN) {
        print_message("[  NOTE    ] no threads after fork under the thread sanitizer\n");
        skip();
    }
}

/* Where libprof's threads allocate beside the fork, and the child allocates and makes threads. */
static inline void trace_skip_if_no_fork_beside_threads(void)
{
    trace_skip_if_no_fork();
    if (ASAN) {
        print_message("[  NOTE    ] the address sanitizer forks with its allocator's locks held\n");
        skip();
    }
}

/* A test that fails leaves nothing on for the next. */
static inline int trace_all_off(void **state)
{
    (void)state;
    prof_flight_set_trigger(NULL);
    prof_flight_stop();
    prof_trace_stop();
    return 0;
}
#define TEST(name) cmocka_unit_test_teardown(name, trace_all_off)

static inline int trace_file_new(void)
{
    int fd = memfd_create("trace", MFD_CLOEXEC);
    if (fd < 0)
        fail_msg("memfd_create: %s", strerror(errno));
    return fd;
}

static inline void trace_begin(int fd, const struct prof_trace_options *options)
{
    int rc = prof_trace_start(fd, options);
    if (rc)
        fail_msg("prof_trace_start: expected 0, got %d", rc);
}

/* Reads what is in fd, closes it. chunks: how many there are; NULL: nobody asks. */
static inline struct trace *trace_load(int fd, size_t *chunks)
{
    struct stat st;
    char error[TRACE_ERROR_BYTES] = "";
    if (fstat(fd, &st) != 0 || st.st_size == 0)
        fail_msg("the trace is empty");
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        fail_msg("mmap: %s", strerror(errno));
    struct tw_check *c = tw_check(data, (size_t)st.st_size);
    if (c->error[0])
        fail_msg("the file is not as it should be: %s", c->error);
    if (chunks)
        *chunks = c->chunks;
    free(c);
    struct trace *t = trace_read(data, (size_t)st.st_size, error);
    if (!t)
        fail_msg("the reader refuses it: %s", error);
    munmap(data, (size_t)st.st_size);
    close(fd);
    return t;
}

static inline struct trace *trace_end(int fd)
{
    int rc = prof_trace_stop();
    if (rc)
        fail_msg("prof_trace_stop: expected 0, got %d", rc);
    return trace_load(fd, NULL);
}

static inline bool trace_is(const struct trace *t, uint32_t string, const char *text)
{
    return strcmp(trace_text(t, string), text) == 0;
}

/* The next slice of this name, from *from on; NULL: there is none left. */
static inline const struct trace_slice *trace_next(const struct trace *t, const char *name,
                                                   uint32_t *from)
{
    while (*from < t->nslices)
        if (trace_is(t, t->slices[(*from)++].name, name))
            return &t->slices[*from - 1];
    return NULL;
}

static inline size_t trace_count(const struct trace *t, const char *name)
{
    size_t n = 0;
    for (uint32_t from = 0; trace_next(t, name, &from);)
        n++;
    return n;
}

static inline const struct trace_slice *trace_only(const struct trace *t, const char *name)
{
    uint32_t from = 0;
    const struct trace_slice *s = trace_next(t, name, &from);
    if (!s || trace_next(t, name, &from))
        fail_msg("expected one slice '%s', got %zu", name, trace_count(t, name));
    return s;
}

static inline const struct trace_thread *trace_thread_of(const struct trace *t, pid_t tid)
{
    for (uint32_t i = 0; i < t->nthreads; i++)
        if (t->threads[i].tid == tid)
            return &t->threads[i];
    fail_msg("thread %d is not in the trace", (int)tid);
    return NULL;
}

/* Slices of one track nest: what begins within another ends within it. */
static inline void trace_assert_nested(const struct trace *t)
{
    for (uint32_t k = 0; k < t->ntracks; k++) {
        const struct trace_range r = t->tracks[k].slices;
        int64_t ends[256];
        int depth = 0;
        for (uint32_t i = r.first; i < r.first + r.n; i++) {
            const struct trace_slice *s = &t->slices[i];
            while (depth > 0 && ends[depth - 1] <= s->start_ns)
                depth--;
            if (depth > 0 && s->end_ns > ends[depth - 1] && !(s->flags & TRACE_NO_END))
                fail_msg("slice '%s' ends %lld ns after the one that it lies in",
                         trace_text(t, s->name), (long long)(s->end_ns - ends[depth - 1]));
            if (s->flags & TRACE_NO_BEGIN)
                fail_msg("slice '%s' ends without having begun", trace_text(t, s->name));
            ends[depth < 255 ? depth++ : 254] = s->end_ns;
        }
    }
}

static inline void trace_pause_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}
#endif
