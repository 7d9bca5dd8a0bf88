/* A program with everything built in: endpoints while it runs, a CPU profile of one part, a heap profile at the end. */
#include "prof/http.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The work: random words, sorted, some of them kept. */
static size_t work(int words)
{
    char **list = calloc((size_t)words, sizeof(*list));
    size_t kept = 0;

    for (int i = 0; list && i < words; i++)
        if (asprintf(&list[i], "%08lx", random()) < 0)
            abort();
    qsort(list, (size_t)words, sizeof(*list), compare);
    for (int i = 0; i < words; i++) {
        if (list[i][0] == '7')
            kept++; /* forgotten: the heap profile shows it */
        else
            free(list[i]);
    }
    free(list);
    return kept;
}

static int write_profile(const char *name, const char *file)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int err = fd < 0 ? -1 : prof_write(name, fd, 0);

    if (fd >= 0)
        close(fd);
    return err;
}

int main(void)
{
    struct prof_http *http;

    /* A small program: sample more often than once in 512 KiB. Before the first allocation that matters. */
    prof_set_heap_rate(16 * 1024);
    /* NULL: the address and the password come from the environment, else 127.0.0.1:6060. */
    if (prof_http_start(NULL, &http) != 0)
        fprintf(stderr, "program: no endpoints: %s\n", prof_http_error());

    prof_cpu_start(0);
    size_t kept = work(1000000);
    int fd = open("cpu.pb.gz", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    prof_cpu_stop(fd);
    close(fd);

    write_profile("heap", "heap.pb.gz");
    printf("kept %zu words\n", kept);
    prof_http_free(http);
    return 0;
}
