// result.c: one benchmark result: the configuration around it and the parts of its name.
//
// The configuration is kept in the order in which its keys appeared (a deleted key's place is
// taken by the last), because the columns of the output follow that order.

#include "cmd/benchstat/benchstat.h"

#include <string.h>

static uint64_t generations;
static struct map config_at; // key -> 1 + its index in the configuration

void result_reset(struct result *r)
{
    for (size_t i = 0; i < r->n_config; i++)
        *map_at(&config_at, r->config[i].key, NULL) = (void *)-1;
    r->n_config = 0;
    r->generation = ++generations;
}

static struct config *find(const struct result *r, const struct word *key)
{
    size_t at = (size_t)(uintptr_t)map_get(&config_at, key, NULL);
    return at - 1 < r->n_config && r->config[at - 1].key == key ? &r->config[at - 1] : NULL;
}

static void set_index(const struct result *r, size_t i)
{
    *map_at(&config_at, r->config[i].key, NULL) = (void *)(uintptr_t)(i + 1);
}

static void delete (struct result *r, struct config *c)
{
    *c = r->config[--r->n_config];
    if (c < r->config + r->n_config)
        set_index(r, (size_t)(c - r->config));
}

void result_set(struct result *r, const struct word *key, str value, bool file)
{
    struct config *c = find(r, key);
    if (c && value.n && c->file == file && str_equal(value, (str){c->value->s, c->value->n}))
        return; // every package repeats goos and goarch
    r->generation = ++generations;
    if (value.n == 0) {
        if (c)
            delete (r, c);
        return;
    }
    if (!c) {
        if ((r->n_config & (r->n_config - 1)) == 0)
            r->config = mem_grow(r->config, (r->n_config * 2 + 1) * sizeof *r->config);
        c = &r->config[r->n_config++];
        c->key = key;
        set_index(r, r->n_config - 1);
    }
    c->value = word_of(value);
    c->file = file;
}

const struct word *result_get(const struct result *r, const struct word *key)
{
    const struct config *c = find(r, key);
    return c ? c->value : word_of(STR(""));
}

// ---- names ----------------------------------------------------------------------------------

// The length of name without its "-N" suffix.
static size_t without_procs(str name)
{
    size_t i = name.n;
    while (i > 0 && name.s[i - 1] >= '0' && name.s[i - 1] <= '9')
        i--;
    return i > 0 && i < name.n && name.s[i - 1] == '-' ? i - 1 : name.n;
}

str name_base(str full)
{
    const char *slash = full.n ? memchr(full.s, '/', full.n) : NULL;
    return (str){full.s, slash ? (size_t)(slash - full.s) : without_procs(full)};
}

size_t name_parts(str full, str *base, str **parts)
{
    static str *list;
    static size_t capacity;
    size_t end = without_procs(full), n = 0, start = 0;
    for (size_t i = 0; i <= end; i++) {
        if (i < end && full.s[i] != '/')
            continue;
        if (n + 2 > capacity)
            list = mem_grow(list, (capacity = capacity * 2 + 8) * sizeof *list);
        list[n++] = (str){full.s + start, i - start};
        start = i;
    }
    if (end < full.n)
        list[n++] = (str){full.s + end, full.n - end};
    *base = list[0];
    *parts = list + 1;
    return n - 1;
}
