/* From a file to a model. A file is mapped, so that one of 500 MB needs no second copy; one that is
 * packed is unpacked first. What cannot be a trace is turned away with a word on what it is. */
#include "cmd/trace/foreign.h"
#include "cmd/trace/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a byte of a file takes in memory at most, roughly; and how many bytes are read in any case.
 */
enum { MEMORY_FACTOR = 3, ALWAYS_BYTES = 64 << 20 };
enum { PROGRESS_AFTER_NS = 2000000000 };

typedef void progress_fn(size_t done, size_t size);

static int64_t progress_due_ns;

static void show_progress(size_t done, size_t size)
{
    int64_t now = prof_now_ns();

    if (now < progress_due_ns)
        return;
    progress_due_ns = now + PROGRESS_AFTER_NS;
    fprintf(stderr, "%s: read %zu of %zu MB\n", program_invocation_short_name, done >> 20,
            size >> 20);
}

/* ---- bytes to a model ------------------------------------------------------------------------ */

static struct trace *read_bytes(const void *data, size_t size, progress_fn *progress,
                                char error[TRACE_ERROR_BYTES])
{
    const char *other = foreign_kind(data, size);
    struct reader r;

    if (other) {
        snprintf(error, TRACE_ERROR_BYTES, "%s", other);
        return NULL;
    }
    struct trace *t = array_resize(NULL, 1, sizeof *t);
    *t = (struct trace){.path = "", .file_bytes = size};
    reader_begin(&r, t);
    size_t whole = reader_packets(&r, data, size, progress);
    t->truncated = whole < size;
    if (t->truncated)
        reader_notice(&r,
                      "the file is cut short or damaged after %zu of its %zu bytes; what comes "
                      "before is shown",
                      whole, size);
    reader_end(&r);
    if (t->events == 0 && t->ntracks == 0 && t->nthreads == 0) {
        snprintf(error, TRACE_ERROR_BYTES, "there is no event in it that this program understands");
        trace_close(t);
        return NULL;
    }
    return t;
}

struct trace *trace_read(const void *data, size_t size, char error[TRACE_ERROR_BYTES])
{
    return read_bytes(data, size, NULL, error);
}

/* ---- a file to bytes ------------------------------------------------------------------------- */

/* Kilobytes that can be had without swapping; 0: unknown. */
static uint64_t available_kb(void)
{
    char line[128];
    uint64_t kb = 0;
    FILE *f = fopen("/proc/meminfo", "re");

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %" SCNu64, &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

static bool fits(uint64_t size, char error[TRACE_ERROR_BYTES])
{
    uint64_t need = size * MEMORY_FACTOR >> 20, have = available_kb() >> 10;

    if (size <= ALWAYS_BYTES || have == 0 || need <= have)
        return true;
    snprintf(error, TRACE_ERROR_BYTES,
             "its %" PRIu64 " MB need about %" PRIu64 " MB of memory, and %" PRIu64
             " MB are free; open it on a larger machine, or record a shorter trace",
             size >> 20, need, have);
    return false;
}

static struct trace *open_packed(const char *path, progress_fn *progress,
                                 char error[TRACE_ERROR_BYTES])
{
    struct message_file file;
    int err = message_file_read(&file, path, (size_t)available_kb() * 1024 / (MEMORY_FACTOR + 1));

    if (err) {
        snprintf(error, TRACE_ERROR_BYTES, "%s",
                 err == -EILSEQ  ? "its gzip stream is damaged or cut short"
                 : err == -EFBIG ? "read to its end, or unpacked, it does not fit into memory"
                                 : strerror(-err));
        return NULL;
    }
    struct trace *t = read_bytes(file.message.at, message_size(&file.message), progress, error);
    message_file_free(&file);
    return t;
}

static struct trace *open_plain(int fd, size_t size, progress_fn *progress,
                                char error[TRACE_ERROR_BYTES])
{
    if (!fits(size, error))
        return NULL;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        snprintf(error, TRACE_ERROR_BYTES, "%s", strerror(errno));
        return NULL;
    }
    madvise(data, size, MADV_SEQUENTIAL);
    struct trace *t = read_bytes(data, size, progress, error);
    munmap(data, size);
    return t;
}

static struct trace *open_fd(int fd, const char *path, progress_fn *progress,
                             char error[TRACE_ERROR_BYTES])
{
    unsigned char magic[2] = {0};
    struct stat st;

    if (fstat(fd, &st) < 0)
        snprintf(error, TRACE_ERROR_BYTES, "%s", strerror(errno));
    else if (S_ISDIR(st.st_mode))
        snprintf(error, TRACE_ERROR_BYTES, "is a folder; expected a trace file");
    else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) /* some of them never end */
        snprintf(error, TRACE_ERROR_BYTES,
                 "is a device; expected a trace file, or a pipe that carries one");
    else if (!S_ISREG(st.st_mode) || (pread(fd, magic, 2, 0) == 2 && is_gzip(magic, 2)))
        return open_packed(path, progress, error); /* a pipe is read to its end as well */
    else if (st.st_size == 0)
        snprintf(error, TRACE_ERROR_BYTES, "the file is empty");
    else
        return open_plain(fd, (size_t)st.st_size, progress, error);
    return NULL;
}

struct trace *trace_open(const char *path, bool progress, char error[TRACE_ERROR_BYTES])
{
    if (strcmp(path, "-") == 0)
        path = "/dev/stdin";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        snprintf(error, TRACE_ERROR_BYTES, "%s", strerror(errno));
        return NULL;
    }
    progress_due_ns = prof_now_ns() + PROGRESS_AFTER_NS;
    struct trace *t = open_fd(fd, path, progress ? show_progress : NULL, error);
    close(fd);
    if (t)
        t->path = path;
    return t;
}

void trace_close(struct trace *t)
{
    if (!t)
        return;
    prof_pool_free(&t->strings);
    void *arrays[] = {t->frames, t->stack_frames, t->stacks, t->tracks,   t->threads, t->cpus,
                      t->runs,   t->states,       t->slices, t->instants, t->args,    t->flows,
                      t->tasks,  t->counters,     t->values, t->samples,  t->notices};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(arrays[i]);
    free(t);
}
