// project.c: projections: which fields of a result make its table, row or column.
//
// "-row .name,/size@num" makes a key of two fields from each result. Two keys are groups: .config
// stands for all configuration of the files and grows fields as keys appear, .fullname for the
// whole name; what any projection of the command line names explicitly is left out of both.

#include "cmd/benchstat/benchstat.h"

#include <stdlib.h>
#include <string.h>

// ---- extraction -----------------------------------------------------------------------------

static const struct word *sub_name(str full, const struct word *key)
{
    str base, *parts;
    size_t n = name_parts(full, &base, &parts);
    if (strcmp(key->s, "/gomaxprocs") == 0 && n > 0 && *parts[n - 1].s == '-')
        return word_of((str){parts[n - 1].s + 1, parts[n - 1].n - 1});
    for (size_t i = 0; i < n; i++)
        if (parts[i].n > key->n && parts[i].s[key->n] == '=' &&
            memcmp(parts[i].s, key->s, key->n) == 0)
            return word_of((str){parts[i].s + key->n + 1, parts[i].n - key->n - 1});
    return word_of(STR(""));
}

const struct word *extract(const struct result *r, const struct word *key)
{
    if (key->s[0] == '/')
        return sub_name(r->name, key);
    if (strcmp(key->s, ".name") == 0)
        return word_of(name_base(r->name));
    if (strcmp(key->s, ".fullname") == 0)
        return word_of(r->name);
    return result_get(r, key);
}

static bool part_is_named(const struct projector *by, str part)
{
    for (size_t i = 0; i < by->n_name_keys; i++) {
        str key = by->name_keys[i];
        if (part.n > key.n && part.s[key.n] == '=' && str_prefix(part, key))
            return true;
        if (*part.s == '-' && str_equal(key, STR("/gomaxprocs")))
            return true;
    }
    return false;
}

// The full name without the parts that are projected by themselves.
static const struct word *rest_of_name(const struct projector *by, str full)
{
    if (by->n_name_keys == 0)
        return word_of(full);
    static char *out;
    static size_t capacity;
    str base, *parts;
    size_t n_parts = name_parts(full, &base, &parts), n = 0;
    for (size_t i = 0; i < by->n_name_keys; i++)
        if (str_equal(by->name_keys[i], STR(".name")))
            base = STR("*");
    if (full.n + 1 > capacity)
        out = mem_grow(out, capacity = full.n * 2 + 64);
    memcpy(out, base.s, base.n);
    n = base.n;
    for (size_t i = 0; i < n_parts; i++) {
        if (part_is_named(by, parts[i]))
            continue;
        memcpy(out + n, parts[i].s, parts[i].n);
        n += parts[i].n;
    }
    return word_of((str){out, n});
}

// ---- fields ---------------------------------------------------------------------------------

static void *append(void *list, size_t n, const void *element)
{
    void **grown = list;
    if ((n & (n - 1)) == 0) {
        grown = mem_alloc((n * 2 + 1) * sizeof *grown);
        if (n)
            memcpy(grown, list, n * sizeof *grown);
    }
    grown[n] = (void *)element;
    return grown;
}

static struct field *add_field(struct projection *p, struct field *group, const struct word *name,
                               bool is_group)
{
    struct field *f = mem_alloc(sizeof *f);
    f->name = name;
    f->index = is_group ? -1 : (int)p->n_fields;
    if (!is_group)
        p->row = append(p->row, p->n_fields++, word_of(STR("")));
    if (group)
        group->sub = append(group->sub, group->n_sub++, f);
    else
        p->top = append(p->top, p->n_top++, f);
    return f;
}

// Each configuration key of the result gets a field, unless another projection names it.
static void fill_config(struct projection *p, struct field *group, const struct result *r)
{
    for (size_t i = 0; i < r->n_config; i++) {
        const struct config *c = &r->config[i];
        if (!c->file)
            continue;
        struct field *f = map_get(&p->config_fields, group, c->key);
        if (!f) {
            if (map_get(&p->projector->config_keys, c->key, NULL))
                continue;
            f = add_field(p, group, c->key, false);
            f->order = group->order;
            *map_at(&p->config_fields, group, c->key) = f;
        }
        p->row[f->index] = c->value;
    }
}

void projection_fill(struct projection *p, const struct result *r)
{
    const struct word *empty = word_of(STR(""));
    for (size_t i = 0; i < p->n_fields; i++)
        p->row[i] = empty;
    for (size_t i = 0; i < p->n_top; i++) {
        struct field *f = p->top[i];
        if (f->index < 0)
            fill_config(p, f, r);
        else if (strcmp(f->name->s, ".fullname") == 0)
            p->row[f->index] = rest_of_name(p->projector, r->name);
        else if (f != p->unit)
            p->row[f->index] = extract(r, f->name);
    }
}

// ---- parsing --------------------------------------------------------------------------------

struct field_syntax {
    str key, order;
    size_t key_offset, order_offset;
    bool fixed;
    str *values;
    size_t n_values;
};

// (a b c), after the parenthesis.
static void parse_fixed(struct tokens *t, struct field_syntax *f)
{
    f->fixed = true;
    for (;;) {
        struct tokens after;
        struct token value = token_next(t, &after);
        if (value.kind == 'w' || value.kind == 'q') {
            if ((f->n_values & (f->n_values - 1)) == 0) {
                str *grown = mem_alloc((f->n_values * 2 + 1) * sizeof *grown);
                if (f->n_values)
                    memcpy(grown, f->values, f->n_values * sizeof *grown);
                f->values = grown;
            }
            f->values[f->n_values++] = value.text;
            *t = after;
            continue;
        }
        if (value.kind != ')')
            *t = token_error(t, "missing )");
        else if (f->n_values == 0)
            *t = token_error(t, "nothing to match");
        else
            *t = after;
        return;
    }
}

// key, key@order or key@(a b c)
static bool parse_field(struct tokens *t, struct field_syntax *f)
{
    struct tokens after;
    struct token key = token_next(t, &after);
    *f = (struct field_syntax){.order = STR("first")};
    if (key.kind != 'w' && key.kind != 'q') {
        *t = token_error(t, "expected key");
        return false;
    }
    f->key = key.text;
    f->key_offset = key.offset;
    f->order_offset = key.offset + key.text.n;
    *t = after;
    if (token_next(t, &after).kind != '@')
        return true;
    *t = after;
    struct token order = token_next(t, &after);
    f->order_offset = order.offset;
    if (order.kind == 'w' || order.kind == 'q') {
        f->order = order.text;
        f->fixed = str_equal(order.text, STR("fixed"));
        *t = after;
    } else if (order.kind == '(') {
        *t = after;
        parse_fixed(t, f);
    } else {
        *t = token_error(t, "expected named sort order or parenthesized list");
    }
    return true;
}

static bool order_of(const struct field_syntax *s, enum order *order)
{
    if (s->fixed)
        *order = ORDER_FIXED;
    else if (str_equal(s->order, STR("first")))
        *order = ORDER_FIRST;
    else if (str_equal(s->order, STR("alpha")))
        *order = ORDER_ALPHA;
    else if (str_equal(s->order, STR("num")))
        *order = ORDER_NUM;
    else
        return false;
    return true;
}

static void exclude_from_groups(struct projector *by, const struct word *key)
{
    if (strcmp(key->s, ".name") != 0 && key->s[0] != '/') {
        *map_at(&by->config_keys, key, NULL) = (void *)key;
        return;
    }
    str *grown = mem_alloc((by->n_name_keys + 1) * sizeof *grown);
    if (by->n_name_keys)
        memcpy(grown, by->name_keys, by->n_name_keys * sizeof *grown);
    grown[by->n_name_keys++] = (str){key->s, key->n};
    by->name_keys = grown;
}

// The result's own value must be one of the field's; a later position of a value counts.
static void restrict_to_fixed(struct field *f, const struct field_syntax *s)
{
    for (size_t i = 0; i < s->n_values; i++)
        *map_at(&f->rank, word_of(s->values[i]), NULL) = (void *)(uintptr_t)(i + 1);
}

static char *build_field(struct projection *p, str text, const struct field_syntax *s)
{
    enum order order;
    bool config = str_equal(s->key, STR(".config"));
    if (!order_of(s, &order))
        return syntax_error(text, s->order_offset, mem_format("unknown order %s", quote(s->order)));
    if (config && order == ORDER_FIXED)
        return syntax_error(text, s->order_offset, "fixed order not allowed for .config");
    if (str_equal(s->key, STR(".unit")))
        return syntax_error(text, s->key_offset, ".unit is only allowed in filters");
    if (s->key.n == 0)
        return syntax_error(text, s->key_offset, "key must not be empty");
    const struct word *key = word_of(s->key);
    bool fullname = str_equal(s->key, STR(".fullname"));
    p->projector->have_config |= config;
    p->projector->have_fullname |= fullname;
    if (!config && !fullname)
        exclude_from_groups(p->projector, key);
    struct field *f = add_field(p, NULL, key, config);
    f->order = order;
    restrict_to_fixed(f, s);
    return NULL;
}

static struct projection *new_projection(struct projector *by)
{
    struct projection *p = mem_alloc(sizeof *p);
    p->projector = by;
    return p;
}

static char *build(struct projection *p, str text)
{
    struct query q = {.text = text};
    struct tokens t = tokens_of(&q), after;
    struct field_syntax *fields = NULL;
    size_t n = 0;
    for (struct token token; (token = token_next(&t, &after)).kind;) {
        if (token.kind == ',' && n > 0)
            t = after;
        fields = mem_grow(fields, (n + 1) * sizeof *fields);
        parse_field(&t, &fields[n++]);
    }
    char *error = q.error;
    for (size_t i = 0; i < n && !error; i++)
        error = build_field(p, text, &fields[i]);
    free(fields);
    return error;
}

struct projection *projection_parse(struct projector *by, str text, bool with_unit, char **error)
{
    struct projection *p = new_projection(by);
    *error = build(p, text);
    for (size_t i = p->n_top; i-- > 0 && !*error;)
        if (p->top[i]->order == ORDER_FIXED)
            filter_restrict(by->filter, p->top[i]->name, &p->top[i]->rank);
    if (with_unit)
        p->unit = add_field(p, NULL, word_of(STR(".unit")), false);
    return p;
}

// What no other projection has: used to warn of results that differ and yet share a cell.
struct projection *projection_residue(struct projector *by)
{
    struct projection *p = new_projection(by);
    if (!by->have_config)
        add_field(p, NULL, word_of(STR(".config")), true);
    if (!by->have_fullname)
        add_field(p, NULL, word_of(STR(".fullname")), false);
    return p;
}
