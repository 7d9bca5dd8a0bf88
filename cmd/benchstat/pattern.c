// pattern.c: regular expressions of filters: Go's language on PCRE2's engine.
//
// The two differ where it hurts: PCRE2 takes backreferences, lookaround and possessive repetition,
// ends $ before a newline and means another thing by \v and \s. So the expression is read here by
// the rules of https://pkg.go.dev/regexp/syntax, with the errors that Go's users know, and
// written anew from the few constructs that both agree on. Only whether something matches is ever
// asked, so greediness and captures are dropped. Entered by pattern_compile and pattern_match.

#include "cmd/benchstat/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum { NEST_LIMIT = 1000, REPEAT_LIMIT = 1000 };

struct pattern {
    pcre2_code *code;
    pcre2_match_data *match;
};

static const char *end_of(const struct parser *p)
{
    return p->rest.s + p->rest.n;
}

static void emit_atom(struct parser *p, const char *s)
{
    pattern_begin_atom(p);
    pattern_emit(p, s);
}

// ---- groups and repetition ------------------------------------------------------------------

static bool open_group(struct parser *p)
{
    if (p->depth >= NEST_LIMIT)
        return pattern_fail(p, "expression nests too deeply", p->whole.s, p->whole.s + p->whole.n);
    if (!p->groups)
        p->groups = mem_grow(NULL, NEST_LIMIT * sizeof *p->groups);
    p->groups[p->depth++] = (struct group){p->flags, p->n, p->repeats, p->has_atom};
    pattern_emit(p, "(?:");
    p->has_atom = false;
    p->repeats = 1;
    return true;
}

static bool close_group(struct parser *p)
{
    if (p->depth == 0)
        return pattern_fail(p, "unexpected )", p->whole.s, p->whole.s + p->whole.n);
    struct group *g = &p->groups[--p->depth];
    pattern_emit(p, ")");
    p->has_atom = true;
    p->atom_start = g->start;
    p->atom_repeats = p->repeats;
    p->repeats = g->repeats > p->repeats ? g->repeats : p->repeats;
    p->flags = g->outside;
    pattern_skip(p, 1);
    return true;
}

static bool capture_name(struct parser *p)
{
    const char *start = p->rest.s, *close = memchr(start, '>', p->rest.n);
    if (!close)
        return pattern_check_utf8(p, start, end_of(p)) &&
               pattern_fail(p, "invalid named capture", start, end_of(p));
    if (!pattern_check_utf8(p, start + 4, close))
        return false;
    bool valid = close > start + 4;
    for (const char *c = start + 4; c < close; c++)
        valid &= *c == '_' || pattern_is_alnum((unsigned char)*c);
    if (!valid)
        return pattern_fail(p, "invalid named capture", start, close + 1);
    pattern_skip(p, (size_t)(close + 1 - start));
    return open_group(p);
}

// "(?ims-U)" sets flags, "(?i:...)" is a group with flags of its own.
static bool group_flags(struct parser *p)
{
    const char *start = p->rest.s;
    struct state flags = p->flags;
    bool on = true, saw_flag = false;
    int32_t c;
    pattern_skip(p, 2);
    while (p->rest.n > 0) {
        if (!pattern_next_rune(p, &c))
            return false;
        if (c == 'i')
            flags.fold = on;
        else if (c == 'm')
            flags.multiline = on;
        else if (c == 's')
            flags.dot_newline = on;
        if (c == 'i' || c == 'm' || c == 's' || c == 'U') {
            saw_flag = true;
        } else if (c == '-' && on) {
            on = saw_flag = false;
        } else if ((c == ':' || c == ')') && (on || saw_flag)) {
            if (c == ':' && !open_group(p))
                return false;
            p->flags = flags;
            return true;
        } else {
            break;
        }
    }
    return pattern_fail(p, "invalid or unsupported Perl syntax", start, p->rest.s);
}

static bool group(struct parser *p)
{
    if (!pattern_at(p, 1, '?')) {
        pattern_skip(p, 1);
        return open_group(p);
    }
    bool named = p->rest.n > 4 && pattern_at(p, 2, 'P') && pattern_at(p, 3, '<');
    return named ? capture_name(p) : group_flags(p);
}

// A number without leading zeros at s; its length, or 0. Very large ones count as -1.
static size_t repeat_number(str s, int *value)
{
    size_t n = 0;
    *value = 0;
    if (s.n >= 2 && s.s[0] == '0' && s.s[1] >= '0' && s.s[1] <= '9')
        return 0;
    for (; n < s.n && s.s[n] >= '0' && s.s[n] <= '9'; n++)
        if (*value >= 0)
            *value = *value >= 100000000 ? -1 : *value * 10 + s.s[n] - '0';
    return n;
}

// "{2}", "{2,}" or "{2,5}": its length, or 0 if this brace is an ordinary character.
static size_t repeat_braces(str s, int *min, int *max)
{
    size_t n = 1 + repeat_number((str){s.s + 1, s.n - 1}, min), digits;
    if (n == 1 || n >= s.n)
        return 0;
    *max = *min;
    if (s.s[n] == ',') {
        *max = -1;
        digits = repeat_number((str){s.s + n + 1, s.n - n - 1}, max);
        if (digits == 0)
            *max = -1;
        else if (*max < 0)
            *min = -1;
        n += 1 + digits;
    }
    return n < s.n && s.s[n] == '}' ? n + 1 : 0;
}

// Repeat the last atom; *last is the repetition before this one, if it follows immediately.
static bool repeat(struct parser *p, size_t length, int min, int max, const char **last)
{
    const char *start = p->rest.s, *previous = *last;
    char text[40];
    pattern_skip(p, length);
    if (length > 1 &&
        (min < 0 || min > REPEAT_LIMIT || max > REPEAT_LIMIT || (max >= 0 && min > max)))
        return pattern_fail(p, "invalid repeat count", start, p->rest.s);
    if (pattern_at(p, 0, '?'))
        pattern_skip(p, 1); // not greedy: the same text matches
    if (previous)
        return pattern_fail(p, "invalid nested repetition operator", previous, p->rest.s);
    if (!p->has_atom)
        return pattern_fail(p, "missing argument to repetition operator", start, p->rest.s);
    if (length > 1) {
        int times = max < 0 ? min : max;
        p->atom_repeats = max == 0 ? 0 : p->atom_repeats * (times ? times : 1);
        if ((min >= 2 || max >= 2) && p->atom_repeats > REPEAT_LIMIT)
            return pattern_fail(p, "invalid repeat count", start, p->rest.s);
    }
    pattern_emit(p, "(?:"); // makes room; the atom moves behind it
    memmove(p->out + p->atom_start + 3, p->out + p->atom_start, p->n - p->atom_start - 3);
    memcpy(p->out + p->atom_start, "(?:", 3);
    snprintf(text, sizeof text, max < 0 ? "){%d,}" : "){%d,%d}", min, max);
    pattern_emit(p, text);
    if (p->atom_repeats > p->repeats)
        p->repeats = p->atom_repeats;
    *last = start;
    return true;
}

// ---- the expression -------------------------------------------------------------------------

// \Q...\E: all literal.
static bool literals(struct parser *p)
{
    pattern_skip(p, 2);
    const char *end = memmem(p->rest.s, p->rest.n, "\\E", 2);
    str behind = {end ? end + 2 : end_of(p), 0};
    behind.n = (size_t)(end_of(p) - behind.s);
    p->rest.n = (size_t)((end ? end : end_of(p)) - p->rest.s);
    for (int32_t r; p->rest.n > 0; pattern_emit_literal(p, r))
        if (!pattern_next_rune(p, &r))
            return false;
    p->rest = behind;
    return true;
}

static bool backslash(struct parser *p)
{
    static const char assertions[] = "AbBz";
    int32_t r;
    if (p->rest.n >= 2 && strchr(assertions, p->rest.s[1]) && p->rest.s[1]) {
        emit_atom(p, (char[]){'\\', p->rest.s[1], '\0'});
        pattern_skip(p, 2);
        return true;
    }
    if (pattern_at(p, 1, 'Q'))
        return literals(p);
    if (pattern_at(p, 1, 'C'))
        return pattern_fail(p, "invalid escape sequence", p->rest.s, p->rest.s + 2);
    if (p->rest.n >= 2 && p->rest.s[1] && strchr("pPdDsSwW", p->rest.s[1]))
        return pattern_named_class(p);
    if (!pattern_escape(p, &r))
        return false;
    pattern_emit_literal(p, r);
    return true;
}

static bool simple(struct parser *p, const char *atom)
{
    emit_atom(p, atom);
    pattern_skip(p, 1);
    return true;
}

static bool element(struct parser *p, const char **last)
{
    int min, max;
    int32_t r;
    switch (*p->rest.s) {
    case '(':
        return group(p);
    case ')':
        return close_group(p);
    case '|':
        pattern_emit(p, "|");
        p->has_atom = false;
        pattern_skip(p, 1);
        return true;
    case '^':
        return simple(p, p->flags.multiline ? "(?m:^)" : "\\A");
    case '$':
        return simple(p, p->flags.multiline ? "(?m:$)" : "\\z");
    case '.':
        return simple(p, p->flags.dot_newline ? "(?s:.)" : "[^\\n]");
    case '[':
        return pattern_class(p);
    case '*':
        return repeat(p, 1, 0, -1, last);
    case '+':
        return repeat(p, 1, 1, -1, last);
    case '?':
        return repeat(p, 1, 0, 1, last);
    case '\\':
        return backslash(p);
    case '{':;
        size_t n = repeat_braces(p->rest, &min, &max);
        if (n)
            return repeat(p, n, min, max, last);
    }
    if (!pattern_next_rune(p, &r))
        return false;
    pattern_emit_literal(p, r);
    return true;
}

static bool translate(struct parser *p)
{
    const char *last = NULL;
    pattern_emit(p, "");
    while (p->rest.n > 0) {
        const char *repetition = last, *before = last;
        if (!element(p, &repetition))
            return false;
        last = repetition != before ? repetition : NULL;
    }
    if (p->depth > 0)
        return pattern_fail(p, "missing closing )", p->whole.s, p->whole.s + p->whole.n);
    return true;
}

static pcre2_code *compile(const char *text, size_t n)
{
    int code;
    size_t offset;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    pcre2_set_parens_nest_limit(context, 4 * NEST_LIMIT);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)text, n, PCRE2_UTF | PCRE2_NO_AUTO_CAPTURE,
                                         &code, &offset, context);
    pcre2_compile_context_free(context);
    if (compiled)
        pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    return compiled;
}

struct pattern *pattern_compile(str expr, char **error)
{
    struct parser p = {.whole = expr, .rest = expr, .repeats = 1};
    struct pattern *pattern = NULL;
    if (translate(&p)) {
        pattern = mem_alloc(sizeof *pattern);
        pattern->code = compile(p.out, p.n);
        if (pattern->code)
            pattern->match = pcre2_match_data_create_from_pattern(pattern->code, NULL);
        else
            pattern = NULL, pattern_fail(&p, "too large", expr.s, expr.s + expr.n);
    }
    *error = p.error;
    free(p.out);
    free(p.groups);
    return pattern;
}

// The subject with each invalid byte replaced, as Go sees it.
static str valid_utf8(str s)
{
    char *out = mem_alloc(s.n * 3 + 1);
    size_t n = 0, width;
    for (; s.n > 0; s.s += width, s.n -= width)
        n += rune_encode(rune_decode(s, &width), out + n);
    return (str){out, n};
}

bool pattern_match(const struct pattern *p, str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.s[i] >= 0x80) {
            s = valid_utf8(s);
            break;
        }
    int got = pcre2_match(p->code, (PCRE2_SPTR)s.s, s.n, 0, 0, p->match, NULL);
    if (got < 0 && got != PCRE2_ERROR_NOMATCH) {
        // Too much backtracking: this one keeps all alternatives at once.
        static int workspace[100000];
        got = pcre2_dfa_match(p->code, (PCRE2_SPTR)s.s, s.n, 0, PCRE2_DFA_SHORTEST, p->match, NULL,
                              workspace, sizeof workspace / sizeof *workspace);
    }
    return got >= 0;
}
