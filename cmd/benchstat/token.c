// token.c: the tokens of filter and projection expressions, and how their errors are shown.
//
// Both languages share words ("bare" or quoted), the operators ( ) : @ , - * and, in filters,
// /patterns/. A parser looks ahead by asking for a token and keeping the position before it.
// The syntax: https://pkg.go.dev/golang.org/x/perf/benchproc/syntax.

#include "cmd/benchstat/benchstat.h"

#include <string.h>

struct tokens tokens_of(struct query *q)
{
    return (struct tokens){q->text, q};
}

// The message, the expression, and below it a caret under the character at offset.
char *syntax_error(str query, size_t offset, const char *message)
{
    int column = 0;
    size_t width;
    for (size_t i = 0; i < query.n && i < offset; i += width)
        column += rune_is_graphic(rune_decode((str){query.s + i, query.n - i}, &width));
    return mem_format("syntax error: %s\n\t%.*s\n\t%*s^", message, (int)query.n, query.s, column,
                      "");
}

static size_t offset_of(const struct tokens *t)
{
    return t->query->text.n - t->rest.n;
}

// Note the error, unless there was one before, and go to the end of the expression.
struct tokens token_error(struct tokens *t, const char *message)
{
    if (!t->query->error)
        t->query->error = syntax_error(t->query->text, offset_of(t), message);
    return (struct tokens){{t->query->text.s + t->query->text.n, 0}, t->query};
}

static struct token fail(struct tokens *t, struct tokens *after, const char *message)
{
    struct token end = {0, offset_of(t), {t->rest.s, 0}, NULL};
    *after = token_error(t, message);
    return end;
}

static struct token make(const struct tokens *t, char kind, str text, size_t length,
                         struct tokens *after)
{
    struct token token = {kind, offset_of(t), text, NULL};
    *after = (struct tokens){{t->rest.s + length, t->rest.n - length}, t->query};
    return token;
}

static bool is_operator(int32_t r)
{
    return r == '(' || r == ')' || r == ':' || r == '@' || r == ',';
}

// - and * are operators only where a word could begin.
static bool is_first_operator(int32_t r)
{
    return is_operator(r) || r == '-' || r == '*';
}

static struct token quoted_word(struct tokens *t, struct tokens *after)
{
    size_t end = 1;
    while (end < t->rest.n && (t->rest.s[end] != '"' || t->rest.s[end - 1] == '\\'))
        end++;
    if (end == t->rest.n)
        return fail(t, after, "missing end quote");
    str word;
    if (!unquote((str){t->rest.s, end + 1}, &word))
        return fail(t, after, "bad escape sequence");
    return make(t, 'q', word, end + 1, after);
}

static struct token bare_word(struct tokens *t, struct tokens *after)
{
    str word = {t->rest.s, 0};
    size_t width;
    for (; word.n < t->rest.n; word.n += width) {
        int32_t r = rune_decode((str){word.s + word.n, t->rest.n - word.n}, &width);
        if (rune_is_space(r) || is_operator(r))
            break;
    }
    char kind = str_equal(word, STR("AND")) ? 'A' : str_equal(word, STR("OR")) ? 'O' : 'w';
    return make(t, kind, word, word.n, after);
}

// The length of the pattern up to the / that ends it: one outside of brackets and parentheses.
static size_t pattern_length(str s)
{
    int brackets = 0, parentheses = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];
        if (c == '/' && brackets == 0 && parentheses == 0)
            return i;
        if (c == '\\')
            i++;
        else if (c == '[')
            brackets++;
        else if (c == ']')
            brackets -= brackets > 0;
        else if (brackets == 0)
            parentheses += (c == '(') - (c == ')');
    }
    return SIZE_MAX;
}

static struct token pattern(struct tokens *t, struct tokens *after)
{
    str inside = {t->rest.s + 1, t->rest.n - 1};
    size_t n = pattern_length(inside);
    if (n == SIZE_MAX)
        return fail(t, after, "missing close \"/\"");
    char *error = NULL;
    struct pattern *compiled = pattern_compile((str){inside.s, n}, &error);
    if (!compiled)
        return fail(t, after, error);
    if (n + 1 < inside.n) {
        unsigned char next = (unsigned char)inside.s[n + 1];
        if (!rune_is_space(next) && !is_first_operator(next)) {
            t->rest = (str){inside.s + n + 1, inside.n - n - 1};
            return fail(t, after,
                        "regexp must be followed by space or an operator (unescaped \"/\"?)");
        }
    }
    struct token token = make(t, 'r', (str){inside.s, n}, n + 2, after);
    token.pattern = compiled;
    return token;
}

static struct token next(struct tokens *t, struct tokens *after, bool patterns)
{
    size_t width;
    while (t->rest.n > 0 && rune_is_space(rune_decode(t->rest, &width)))
        t->rest = (str){t->rest.s + width, t->rest.n - width};
    if (t->rest.n == 0)
        return make(t, 0, t->rest, 0, after);
    char first = *t->rest.s;
    if (is_first_operator(first))
        return make(t, first, (str){t->rest.s, 1}, 1, after);
    if (patterns && first == '/')
        return pattern(t, after);
    return first == '"' ? quoted_word(t, after) : bare_word(t, after);
}

struct token token_next(struct tokens *t, struct tokens *after)
{
    return next(t, after, false);
}

struct token token_value(struct tokens *t, struct tokens *after)
{
    return next(t, after, true);
}
