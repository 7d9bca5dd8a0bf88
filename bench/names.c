/* The names of sub-benchmarks: printable, without white space (benchstat splits lines at it), and
 * no two the same. */
#include "bench/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct bench_names {
    char *name;
    int times; /* that it was asked for */
    UT_hash_handle hh;
};

char *bench_clean_name(const char *name)
{
    char *clean = malloc(4 * strlen(name) + 1), *out = clean;

    for (; clean && *name; name++) {
        unsigned char c = (unsigned char)*name;
        if (isspace(c))
            *out++ = '_';
        else if (c < ' ' || c == 0x7f)
            out += sprintf(out, "\\x%02x", c);
        else
            *out++ = (char)c;
    }
    if (clean)
        *out = '\0';
    return clean;
}

static struct bench_names *find_or_add(struct bench_names **names, const char *name)
{
    struct bench_names *e;

    HASH_FIND_STR(*names, name, e);
    if (e)
        return e;
    e = calloc(1, sizeof(*e));
    if (e && !(e->name = strdup(name))) {
        free(e);
        e = NULL;
    }
    if (e)
        HASH_ADD_KEYPTR(hh, *names, e->name, strlen(e->name), e);
    return e;
}

/* The first time a name comes it stays as it is; then #01 and so on, leaving out those that were
 * taken as such. */
static char *number_name(struct bench_names **names, const char *base, bool empty)
{
    struct bench_names *b = find_or_add(names, base), *numbered;
    char *name;

    if (!b)
        return NULL;
    if (b->times++ == 0 && !empty)
        return strdup(base);
    for (int i = b->times - 1;; i++) {
        if (asprintf(&name, "%s#%02d", base, i) < 0)
            return NULL;
        numbered = find_or_add(names, name);
        if (!numbered || numbered->times++ == 0)
            break;
        free(name);
    }
    if (numbered)
        return name;
    free(name);
    return NULL;
}

char *bench_names_add(struct bench_names **names, const char *parent, const char *sub)
{
    char *clean = bench_clean_name(sub), *base = NULL, *name = NULL;

    if (clean && asprintf(&base, "%s/%s", parent, clean) >= 0)
        name = number_name(names, base, !*clean);
    free(base);
    free(clean);
    return name;
}

void bench_names_free(struct bench_names **names)
{
    struct bench_names *e, *next;

    HASH_ITER(hh, *names, e, next)
    {
        HASH_DEL(*names, e);
        free(e->name);
        free(e);
    }
}
