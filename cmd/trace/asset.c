/* The files of the page, as they lie in cmd/trace/page/, put into this program by the assembler:
 * the program is all that is needed to look at a trace. The Makefile knows that this file depends
 * on them. Entered through page_asset. */
#include "cmd/trace/page.h"
#include "prof/http_style.h"

#include <string.h>

/* `name` as a C identifier, the file, its type. */
#define EMBED(id, file)                                                                            \
    __asm__(".section .rodata,\"a\"\n"                                                             \
            "page_" #id ":\n.incbin \"cmd/trace/page/" file "\"\n"                                 \
            "page_end_" #id ":\n.byte 0\n.previous\n");                                            \
    extern const char page_##id[], page_end_##id[];

#define HTML   "text/html; charset=utf-8"
#define CSS    "text/css; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"

#define FILES(X)                                                                                   \
    X(index, "index.html", HTML)                                                                   \
    X(style, "trace.css", CSS)                                                                     \
    X(collections, "collections.js", SCRIPT)                                                       \
    X(counter, "counter.js", SCRIPT)                                                               \
    X(details, "details.js", SCRIPT)                                                               \
    X(dom, "dom.js", SCRIPT)                                                                       \
    X(draw, "draw.js", SCRIPT)                                                                     \
    X(files, "files.js", SCRIPT)                                                                   \
    X(findings, "findings.js", SCRIPT)                                                             \
    X(format, "format.js", SCRIPT)                                                                 \
    X(fragment, "fragment.js", SCRIPT)                                                             \
    X(histogram, "histogram.js", SCRIPT)                                                           \
    X(hit, "hit.js", SCRIPT)                                                                       \
    X(input, "input.js", SCRIPT)                                                                   \
    X(labels, "labels.js", SCRIPT)                                                                 \
    X(lanes, "lanes.js", SCRIPT)                                                                   \
    X(load, "load.js", SCRIPT)                                                                     \
    X(locks, "locks.js", SCRIPT)                                                                   \
    X(main, "main.js", SCRIPT)                                                                     \
    X(overview, "overview.js", SCRIPT)                                                             \
    X(paint, "paint.js", SCRIPT)                                                                   \
    X(palette, "palette.js", SCRIPT)                                                               \
    X(search, "search.js", SCRIPT)                                                                 \
    X(search_sorted, "search_sorted.js", SCRIPT)                                                   \
    X(table, "table.js", SCRIPT)                                                                   \
    X(tasks, "tasks.js", SCRIPT)                                                                   \
    X(threads, "threads.js", SCRIPT)                                                               \
    X(timeline, "timeline.js", SCRIPT)                                                             \
    X(totals, "totals.js", SCRIPT)                                                                 \
    X(trace, "trace.js", SCRIPT)

#define EMBED_ONE(id, file, type) EMBED(id, file)
FILES(EMBED_ONE)

static const struct embedded {
    const char *name, *type, *from, *to;
} embedded[] = {
#define LIST_ONE(id, file, type) {file, type, page_##id, page_end_##id},
    FILES(LIST_ONE)};

const struct page_asset *page_asset(const char *name)
{
    static _Thread_local struct page_asset found;

    if (!strcmp(name, "base.css")) { /* the look of the profiles' index page */
        found = (struct page_asset){"base.css", CSS, http_style, strlen(http_style)};
        return &found;
    }
    if (!*name)
        name = "index.html";
    for (size_t i = 0; i < sizeof embedded / sizeof *embedded; i++) {
        const struct embedded *e = &embedded[i];
        if (strcmp(name, e->name) == 0) {
            found = (struct page_asset){e->name, e->type, e->from, (size_t)(e->to - e->from)};
            return &found;
        }
    }
    return NULL;
}
