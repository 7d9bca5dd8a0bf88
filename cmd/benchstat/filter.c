// filter.c: which measurements count: the language of -filter.
//
// An expression is a tree of AND, OR and NOT over terms such as "/size:4k" or "pkg:/net/". Terms on
// .unit choose single measurements, all others whole results; a result's answer is therefore a
// verdict, or a mask with a bit for each measurement.

#include "cmd/benchstat/benchstat.h"

#include <stdlib.h>
#include <string.h>

enum { NEST_LIMIT = 1000 };

enum op { OP_AND, OP_OR, OP_NOT, OP_MATCH, OP_UNIT, OP_ONE_OF };

struct node {
    enum op op;
    struct node **sub;
    size_t n_sub;
    const struct word *key; // of the terms
    str literal;
    struct pattern *pattern; // instead of the literal
    size_t offset;
    const struct map *allowed; // of OP_ONE_OF
};

struct filter {
    struct node *root;
};

// ---- parsing --------------------------------------------------------------------------------

static struct node *parse_or(struct tokens *t);
static struct node *parse_match(struct tokens *t);

static struct node *node_of(enum op op)
{
    struct node *n = mem_alloc(sizeof *n);
    n->op = op;
    return n;
}

static void add_sub(struct node *n, struct node *sub)
{
    if ((n->n_sub & (n->n_sub - 1)) == 0) {
        struct node **grown = mem_alloc((n->n_sub * 2 + 1) * sizeof *grown);
        if (n->n_sub)
            memcpy(grown, n->sub, n->n_sub * sizeof *grown);
        n->sub = grown;
    }
    n->sub[n->n_sub++] = sub;
}

// A list of one is its element.
static struct node *simplified(struct node *n)
{
    return n->n_sub == 1 ? n->sub[0] : n;
}

static struct node *term(size_t offset, str key, const struct token *value)
{
    struct node *n = node_of(str_equal(key, STR(".unit")) ? OP_UNIT : OP_MATCH);
    n->key = word_of(key);
    n->literal = value->text;
    n->pattern = value->pattern;
    n->offset = offset;
    return n;
}

static bool is_value(char kind)
{
    return kind == 'w' || kind == 'q' || kind == 'r';
}

// key:(a OR b OR /c/), after the parenthesis.
static struct node *parse_values(struct tokens *t, const struct token *key)
{
    struct node *any = node_of(OP_OR);
    for (;;) {
        struct tokens after;
        struct token value = token_value(t, &after);
        if (!is_value(value.kind)) {
            *t = token_error(t, "expected value");
            return NULL;
        }
        add_sub(any, term(key->offset, key->text, &value));
        *t = after;
        struct token separator = token_value(t, &after);
        if (separator.kind != ')' && separator.kind != 'O') {
            *t = token_error(t, "value list must be separated by OR");
            return NULL;
        }
        *t = after;
        if (separator.kind == ')')
            return any;
    }
}

static struct node *parse_term(struct tokens *start, struct tokens after, const struct token *key)
{
    struct tokens rest;
    struct token colon = token_next(&after, &rest);
    if (colon.kind == ':') {
        struct tokens behind;
        struct token value = token_value(&rest, &behind);
        if (is_value(value.kind) || value.kind == '(')
            *start = behind;
        if (is_value(value.kind))
            return term(key->offset, key->text, &value);
        if (value.kind == '(')
            return parse_values(start, key);
    }
    *start = token_error(start, "expected key:value");
    return NULL;
}

// A term, or what stands in its place: (...), -x or *.
static struct node *parse_nested(struct tokens *t)
{
    struct tokens after;
    struct token token = token_next(t, &after);
    struct node *n;
    switch (token.kind) {
    case '(':
        *t = after;
        n = parse_or(t);
        if (token_next(t, &after).kind == ')')
            *t = after;
        else
            *t = token_error(t, "missing \")\"");
        return n;
    case '-':
        n = node_of(OP_NOT);
        *t = after;
        add_sub(n, parse_match(t));
        return n;
    case '*':
        *t = after;
        return node_of(OP_AND);
    case 'w':
    case 'q':
        return parse_term(t, after, &token);
    }
    *t = token_error(t, "expected key:value or subexpression");
    return NULL;
}

static struct node *parse_match(struct tokens *t)
{
    struct query *q = t->query;
    if (q->depth == NEST_LIMIT) {
        *t = token_error(t, "expression nests too deeply");
        return NULL;
    }
    q->depth++;
    struct node *n = parse_nested(t);
    q->depth--;
    return n;
}

static struct node *parse_and(struct tokens *t)
{
    struct node *all = node_of(OP_AND);
    add_sub(all, parse_match(t));
    for (;;) {
        struct tokens after;
        struct token token = token_next(t, &after);
        if (token.kind == 'A')
            *t = after; // the same as no operator
        else if (token.kind && strchr("(-*wq", token.kind))
            add_sub(all, parse_match(t));
        else if (token.kind == ')' || token.kind == 'O' || token.kind == 0)
            return simplified(all);
        else
            *t = token_error(t, mem_format("unexpected %s", quote(token.text)));
    }
}

static struct node *parse_or(struct tokens *t)
{
    struct node *any = node_of(OP_OR);
    for (;;) {
        add_sub(any, parse_and(t));
        struct tokens after;
        if (token_next(t, &after).kind != 'O')
            return simplified(any);
        *t = after;
    }
}

// Keys that make no sense in a filter.
static bool check_keys(const struct node *n, struct query *q)
{
    for (size_t i = 0; i < n->n_sub; i++)
        if (!check_keys(n->sub[i], q))
            return false;
    if (n->op == OP_MATCH && strcmp(n->key->s, ".config") == 0)
        q->error = syntax_error(q->text, n->offset, ".config is only allowed in projections");
    else if (n->op == OP_MATCH && n->key->n == 0)
        q->error = syntax_error(q->text, n->offset, "key must not be empty");
    return !q->error;
}

struct filter *filter_parse(str text, char **error)
{
    struct query q = {.text = text};
    struct tokens t = tokens_of(&q), after;
    struct filter *f = mem_alloc(sizeof *f);
    f->root = parse_or(&t);
    struct token rest = token_next(&t, &after);
    if (rest.kind)
        token_error(&t, mem_format("unexpected %s", quote(rest.text)));
    if (!q.error)
        check_keys(f->root, &q);
    *error = q.error;
    return f;
}

void filter_restrict(struct filter *f, const struct word *key, const struct map *allowed)
{
    struct node *both = node_of(OP_AND), *one_of = node_of(OP_ONE_OF);
    one_of->key = key;
    one_of->allowed = allowed;
    add_sub(both, one_of);
    add_sub(both, f->root);
    f->root = both;
}

// ---- matching -------------------------------------------------------------------------------

// With bits == NULL the verdict is on the whole result.
struct answer {
    uint64_t *bits;
    bool verdict;
};

static struct answer match(const struct node *n, const struct result *r);

static bool term_matches(const struct node *n, const struct word *value)
{
    str s = {value->s, value->n};
    return n->pattern ? pattern_match(n->pattern, s) : str_equal(n->literal, s);
}

static size_t mask_words(const struct result *r)
{
    return r->n_values / 64 + 1;
}

static struct answer match_units(const struct node *n, const struct result *r)
{
    struct answer a = {mem_grow(NULL, mask_words(r) * sizeof *a.bits), false};
    memset(a.bits, 0, mask_words(r) * sizeof *a.bits);
    for (size_t i = 0; i < r->n_values; i++) {
        const struct unit *u = r->values[i].unit;
        if (term_matches(n, u->name) || (u->orig && term_matches(n, u->orig)))
            a.bits[i / 64] |= UINT64_C(1) << i % 64;
    }
    return a;
}

// AND ends at the first verdict "no", OR at the first "yes"; otherwise the masks decide.
static struct answer match_list(const struct node *n, const struct result *r)
{
    bool is_and = n->op == OP_AND;
    struct answer all = {NULL, is_and};
    for (size_t i = 0; i < n->n_sub; i++) {
        struct answer one = match(n->sub[i], r);
        if (!one.bits && one.verdict != is_and) {
            free(all.bits);
            return one;
        }
        if (!one.bits || !all.bits) {
            all.bits = one.bits ? one.bits : all.bits;
            continue;
        }
        for (size_t j = 0; j < mask_words(r); j++)
            all.bits[j] = is_and ? all.bits[j] & one.bits[j] : all.bits[j] | one.bits[j];
        free(one.bits);
    }
    return all;
}

static struct answer match(const struct node *n, const struct result *r)
{
    struct answer a = {NULL, false};
    switch (n->op) {
    case OP_AND:
    case OP_OR:
        return match_list(n, r);
    case OP_NOT:
        a = match(n->sub[0], r);
        a.verdict = !a.verdict;
        for (size_t i = 0; a.bits && i < mask_words(r); i++)
            a.bits[i] = ~a.bits[i];
        return a;
    case OP_UNIT:
        return match_units(n, r);
    case OP_MATCH:
        a.verdict = term_matches(n, extract(r, n->key));
        return a;
    case OP_ONE_OF:
        a.verdict = map_get(n->allowed, extract(r, n->key), NULL) != NULL;
        return a;
    }
    return a;
}

bool filter_apply(const struct filter *f, struct result *r)
{
    struct answer a = match(f->root, r);
    size_t kept = 0;
    for (size_t i = 0; i < r->n_values; i++)
        if (a.bits ? a.bits[i / 64] >> i % 64 & 1 : a.verdict)
            r->values[kept++] = r->values[i];
    free(a.bits);
    r->n_values = kept;
    return kept > 0;
}
