/* The benchmarks of a program. BENCH() enters each before main, from a constructor, in whatever
 * order the linker chose; they are kept in the order of their files and lines, which is the order
 * go test runs them in. */
#include "bench/internal.h"

#include <errno.h>
#include <string.h>

static struct bench_entry *entries;
static const char *package;

static int compare(const struct bench_entry *a, const struct bench_entry *b)
{
    int order = strcmp(a->file, b->file);

    return order ? order : a->line - b->line;
}

void bench_register(struct bench_entry *entry)
{
    struct bench_entry **link = &entries;

    while (*link && compare(*link, entry) <= 0)
        link = &(*link)->next;
    entry->next = *link;
    *link = entry;
}

const struct bench_entry *bench_entries(void)
{
    return entries;
}

void bench_set_package(const char *name)
{
    package = name;
}

const char *bench_package(void)
{
    return package ? package : program_invocation_short_name;
}
