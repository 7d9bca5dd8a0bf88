/* The files that the page offers: what the command line's options write, into a descriptor. Entered
 * through page_export. */
#include "cmd/trace/analysis.h"
#include "cmd/trace/page.h"

#include <errno.h>
#include <string.h>

static const char pprof_suffix[] = ".pprof";

static int export_profile(const struct trace_view *v, const char *name, size_t length, int fd)
{
    char kind[256];

    if (length >= sizeof kind)
        return -ENOENT;
    memcpy(kind, name, length);
    kind[length] = '\0';
    int err = trace_write_pprof(v, kind, fd);
    return err == -EINVAL ? -ENOENT : err;
}

int page_export(const struct trace *t, const char *name, int fd)
{
    const struct trace_view v = trace_view_all(t);
    size_t length = strlen(name), suffix = sizeof pprof_suffix - 1;

    if (strcmp(name, "trace.json") == 0)
        return trace_write_json(&v, fd);
    if (length > suffix && strcmp(name + length - suffix, pprof_suffix) == 0)
        return export_profile(&v, name, length - suffix, fd);
    return -ENOENT;
}
