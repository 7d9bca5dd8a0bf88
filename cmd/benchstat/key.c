// key.c: keys: the values of a projection's fields for a result, each kept once.
//
// Equal keys are the same pointer, and they are sorted field by field: in the order in which values
// were first seen, in a fixed order, by the alphabet or by number.

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- interning ------------------------------------------------------------------------------

static uint64_t row_hash(const struct word *const *values, size_t n)
{
    uint64_t h = n;
    for (size_t i = 0; i < n; i++)
        h = (h ^ values[i]->hash) * UINT64_C(0x9E3779B97F4A7C15) + (h >> 31);
    return h ^ h >> 29;
}

static bool key_is(const void *entry, const void *values, size_t n)
{
    const struct key *k = entry;
    return k->n == n && (n == 0 || memcmp(k->values, values, n * sizeof *k->values) == 0);
}

// Remember in which order the values of each field were seen. The fields below .config do not
// take part: they sort by the alphabet.
static void observe(struct projection *p, const struct key *k)
{
    for (size_t i = 0; i < p->n_top; i++) {
        struct field *f = p->top[i];
        if (f->index < 0 || f->order != ORDER_FIRST)
            continue;
        void **rank = map_at(&f->rank, key_get(k, f), NULL);
        if (!*rank)
            *rank = (void *)(uintptr_t)f->rank.used;
    }
}

struct key *key_of_row(struct projection *p)
{
    size_t n = p->n_fields;
    while (n > 0 && p->row[n - 1]->n == 0)
        n--; // a key is the same before and after its projection has grown
    void **slot = interned_at(&p->keys, row_hash(p->row, n), key_is, p->row, n);
    if (*slot)
        return *slot;
    struct key *k = mem_alloc(sizeof *k + n * sizeof *k->values);
    k->projection = p;
    k->n = n;
    if (n)
        memcpy(k->values, p->row, n * sizeof *k->values);
    observe(p, k);
    return *slot = k;
}

void key_list_add(struct key_list *list, struct key *k)
{
    if ((list->n & (list->n - 1)) == 0)
        list->keys = mem_grow(list->keys, (list->n * 2 + 1) * sizeof *list->keys);
    list->keys[list->n++] = k;
}

void key_set_add(struct key_set *set, struct key *k)
{
    void **seen = map_at(&set->seen, k, NULL);
    if (!*seen)
        key_list_add(&set->list, *seen = k);
}

// ---- reading a key --------------------------------------------------------------------------

const struct word *key_get(const struct key *k, const struct field *f)
{
    return (size_t)f->index < k->n ? k->values[f->index] : word_of(STR(""));
}

void projection_flatten(struct projection *p)
{
    p->flat = mem_alloc((p->n_fields + 1) * sizeof *p->flat);
    p->n_flat = 0;
    for (size_t i = 0; i < p->n_top; i++) {
        struct field *f = p->top[i];
        if (f->index >= 0)
            p->flat[p->n_flat++] = f;
        for (size_t j = 0; j < f->n_sub; j++)
            p->flat[p->n_flat++] = f->sub[j];
    }
}

// The values that are not empty, separated by spaces.
str key_label(const struct key *k)
{
    const struct projection *p = k->projection;
    size_t length = 0;
    for (size_t i = 0; i < k->n; i++)
        length += k->values[i]->n + 1;
    char *out = mem_alloc(length + 1);
    size_t n = 0;
    for (size_t i = 0; i < p->n_flat; i++) {
        const struct word *value = key_get(k, p->flat[i]);
        if (value->n == 0)
            continue;
        if (n > 0)
            out[n++] = ' ';
        memcpy(out + n, value->s, value->n);
        n += value->n;
    }
    return (str){out, n};
}

// ---- order ----------------------------------------------------------------------------------

static int compare_words(const struct word *a, const struct word *b)
{
    size_t n = a->n < b->n ? a->n : b->n;
    int c = memcmp(a->s, b->s, n);
    return c ? c : (a->n > b->n) - (a->n < b->n);
}

// The first number in s with its prefix: "4k", "size=1MiB". False if it has none.
static bool scaled_number(str s, double *value)
{
    static const char prefixes[] = "KMGTPEZY";
    static const double decimal[] = {1, 1e3, 1e6, 1e9, 1e12, 1e15, 1e18, 1e21, 1e24};
    size_t start = 0, end;
    while (start < s.n && (s.s[start] < '0' || s.s[start] > '9') && s.s[start] != '.')
        start++;
    for (end = start; end < s.n && ((s.s[end] >= '0' && s.s[end] <= '9') || s.s[end] == '.');)
        end++;
    if (number_parse((str){s.s + start, end - start}, value))
        return false;
    const char *at = end < s.n && s.s[end] ? strchr(prefixes, s.s[end] == 'k' ? 'K' : s.s[end]) : 0;
    if (at) {
        long power = at - prefixes + 1;
        bool iec = end + 1 < s.n && s.s[end + 1] == 'i';
        *value *= iec ? ldexp(1, (int)power * 10) : decimal[power];
    }
    return true;
}

static bool fuzzy_number(const struct word *w, double *value)
{
    str s = {w->s, w->n};
    return !number_parse(s, value) || scaled_number(s, value);
}

// Numbers before NaN before what is no number.
static int compare_numbers(const struct word *a, const struct word *b)
{
    double x, y;
    bool is_x = fuzzy_number(a, &x), is_y = fuzzy_number(b, &y);
    if (!is_x || !is_y)
        return is_y - is_x;
    if (x < y || (!isnan(x) && isnan(y)))
        return -1;
    return x > y || (isnan(x) && !isnan(y));
}

static int rank(const struct field *f, const struct word *w)
{
    int at = (int)(uintptr_t)map_get(&f->rank, w, NULL);
    return at ? at - 1 : 0;
}

static int order_compare(const struct field *f, const struct word *a, const struct word *b)
{
    int c = 0;
    switch (f->order) {
    case ORDER_FIRST:
    case ORDER_FIXED:
        c = rank(f, a) - rank(f, b);
        break;
    case ORDER_NUM:
        c = compare_numbers(a, b);
        break;
    case ORDER_ALPHA:
        break;
    }
    return c ? c : compare_words(a, b);
}

bool key_less(const struct key *a, const struct key *b)
{
    const struct projection *p = a->projection;
    for (size_t i = 0; i < p->n_flat; i++) {
        const struct word *x = key_get(a, p->flat[i]), *y = key_get(b, p->flat[i]);
        if (x != y)
            return order_compare(p->flat[i], x, y) < 0;
    }
    return false;
}

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = *(struct key *const *)a, *y = *(struct key *const *)b;
    return x == y ? 0 : key_less(x, y) ? -1 : 1;
}

void keys_sort(struct key **keys, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (key_less(keys[i], keys[i - 1])) {
            qsort(keys, n, sizeof *keys, compare_keys);
            break;
        }
    for (size_t i = 0; i < n; i++)
        keys[i]->rank = i;
}
