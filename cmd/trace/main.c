/* trace: looks at the traces that libprof records. */
#include "cmd/trace/page.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    char error[TRACE_ERROR_BYTES];
    struct page_options page = {.open_browser = true};

    if (argc == 3 && strncmp(argv[1], "-http=", 6) == 0)
        page.address = argv[1] + 6;
    else if (argc != 2 || *argv[1] == '-') {
        fputs("usage: trace [-http=HOST:PORT] FILE\n", stderr);
        return 2;
    }
    struct trace *t = trace_open(argv[argc - 1], true, error);
    if (!t) {
        fprintf(stderr, "trace: %s: %s\n", argv[argc - 1], error);
        return 1;
    }
    int status = page_serve(t, &page);
    trace_close(t);
    return status;
}
