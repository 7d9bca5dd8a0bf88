// class.c: what stands for one character in a regular expression: escapes and classes.

#include "cmd/benchstat/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

// ---- output ---------------------------------------------------------------------------------

void pattern_emit(struct parser *p, const char *s)
{
    size_t n = strlen(s);
    if (p->n + n + 1 > p->capacity)
        p->out = mem_grow(p->out, p->capacity = (p->n + n) * 2 + 64);
    memcpy(p->out + p->n, s, n + 1);
    p->n += n;
}

void pattern_begin_atom(struct parser *p)
{
    p->has_atom = true;
    p->atom_start = p->n;
    p->atom_repeats = 1;
}

static bool is_surrogate(int32_t r)
{
    return r >= 0xD800 && r <= 0xDFFF;
}

void pattern_emit_literal(struct parser *p, int32_t r)
{
    char text[32];
    snprintf(text, sizeof text, p->flags.fold ? "(?i:\\x{%x})" : "\\x{%x}", (unsigned)r);
    pattern_begin_atom(p);
    pattern_emit(p, is_surrogate(r) ? "(?!)" : text);
}

// A range within brackets; surrogates stand in no text. Returns how many items were written.
static int emit_range(struct parser *p, int32_t lo, int32_t hi)
{
    char text[40];
    lo = is_surrogate(lo) ? 0xE000 : lo;
    hi = is_surrogate(hi) ? 0xD7FF : hi;
    if (lo > hi)
        return 0;
    snprintf(text, sizeof text, "\\x{%x}-\\x{%x}", (unsigned)lo, (unsigned)hi);
    pattern_emit(p, text);
    return 1;
}

// ---- reading --------------------------------------------------------------------------------

bool pattern_fail(struct parser *p, const char *what, const char *from, const char *to)
{
    if (!p->error)
        p->error = mem_format("error parsing regexp: %s: `%.*s`", what, (int)(to - from), from);
    return false;
}

static const char *end_of(const struct parser *p)
{
    return p->rest.s + p->rest.n;
}

void pattern_skip(struct parser *p, size_t n)
{
    p->rest = (str){p->rest.s + n, p->rest.n - n};
}

bool pattern_at(const struct parser *p, size_t i, char c)
{
    return i < p->rest.n && p->rest.s[i] == c;
}

bool pattern_check_utf8(struct parser *p, const char *from, const char *to)
{
    size_t width;
    for (; from < to; from += width)
        if (rune_decode((str){from, (size_t)(to - from)}, &width) == RUNE_ERROR && width == 1)
            return pattern_fail(p, "invalid UTF-8", from, to);
    return true;
}

bool pattern_next_rune(struct parser *p, int32_t *r)
{
    size_t width = 0; // at the end there is an error rune, which is none of the expected ones
    *r = p->rest.n ? rune_decode(p->rest, &width) : RUNE_ERROR;
    if (*r == RUNE_ERROR && width == 1)
        return pattern_fail(p, "invalid UTF-8", p->rest.s, end_of(p));
    pattern_skip(p, width);
    return true;
}

static int hex_value(int32_t r)
{
    if (r >= '0' && r <= '9')
        return r - '0';
    r |= 0x20;
    return r >= 'a' && r <= 'f' ? r - 'a' + 10 : -1;
}

// After \x: two digits, or any number in braces. -1: neither.
static bool hex_escape(struct parser *p, int32_t *r)
{
    int32_t c, value = 0;
    *r = -1;
    if (p->rest.n == 0)
        return true;
    if (!pattern_at(p, 0, '{')) {
        int32_t high, low;
        if (!pattern_next_rune(p, &high) || !pattern_next_rune(p, &low))
            return false;
        if (hex_value(high) >= 0 && hex_value(low) >= 0)
            *r = hex_value(high) * 16 + hex_value(low);
        return true;
    }
    pattern_skip(p, 1);
    for (int n = 0; p->rest.n > 0; n++) {
        if (!pattern_next_rune(p, &c))
            return false;
        if (c == '}') {
            *r = n ? value : -1;
            return true;
        }
        if (hex_value(c) < 0 || (value = value * 16 + hex_value(c)) > 0x10FFFF)
            return true;
    }
    return true;
}

static int32_t octal_escape(struct parser *p, int32_t first)
{
    int32_t value = first - '0';
    for (int i = 1; i < 3 && p->rest.n && *p->rest.s >= '0' && *p->rest.s <= '7';
         i++, pattern_skip(p, 1))
        value = value * 8 + *p->rest.s - '0';
    return value;
}

bool pattern_is_alnum(int32_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

// A backslash and what stands for one character.
bool pattern_escape(struct parser *p, int32_t *r)
{
    static const char letters[] = "a\af\fn\nr\rt\tv\v";
    const char *start = p->rest.s;
    int32_t c;
    pattern_skip(p, 1);
    if (p->rest.n == 0)
        return pattern_fail(p, "trailing backslash at end of expression", start, start);
    if (!pattern_next_rune(p, &c))
        return false;
    *r = -1;
    if (c < 0x80 && !pattern_is_alnum(c))
        *r = c;
    else if (c == '0' ||
             (c >= '1' && c <= '7' && p->rest.n && *p->rest.s >= '0' && *p->rest.s <= '7'))
        *r = octal_escape(p, c);
    else if (c == 'x' && !hex_escape(p, r))
        return false;
    for (const char *l = letters; *l; l += 2)
        if (c == l[0])
            *r = l[1];
    return *r >= 0 || pattern_fail(p, "invalid escape sequence", start, p->rest.s);
}

// ---- classes --------------------------------------------------------------------------------

static bool is_category(str name)
{
    static const char all[] = " C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf "
                              "Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs Any ";
    char spaced[8];
    if (name.n == 0 || name.n > 3)
        return false;
    snprintf(spaced, sizeof spaced, " %.*s ", (int)name.n, name.s);
    return strstr(all, spaced);
}

static bool known_to_pcre2(const char *class)
{
    int code;
    size_t offset;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR) class, strlen(class), PCRE2_UTF, &code, &offset, NULL);
    pcre2_code_free(compiled);
    return compiled;
}

// \pL, \p{Greek}, \P{^Lu}: emitted as they may stand within brackets too.
static bool unicode_class(struct parser *p)
{
    const char *start = p->rest.s, *close = memchr(start, '}', p->rest.n);
    bool negative = start[1] == 'P';
    str name = {start + 2, 1};
    int32_t c;
    pattern_skip(p, 2);
    if (!pattern_next_rune(p, &c))
        return false;
    name.n = (size_t)(p->rest.s - name.s);
    if (c == '{') {
        if (!close)
            return pattern_check_utf8(p, start, end_of(p)) &&
                   pattern_fail(p, "invalid character class range", start, end_of(p));
        name = (str){start + 3, (size_t)(close - start) - 3};
        if (!pattern_check_utf8(p, name.s, close))
            return false;
        pattern_skip(p, (size_t)(close + 1 - p->rest.s));
    }
    if (name.n && *name.s == '^') {
        negative = !negative;
        name = (str){name.s + 1, name.n - 1};
    }
    char class[64] = "";
    bool category = is_category(name);
    if (category || (name.n > 1 && name.n < 40 && *name.s >= 'A' && *name.s <= 'Z'))
        snprintf(class, sizeof class, "\\%c{%s%.*s}", negative ? 'P' : 'p',
                 category ? "" : "sc:", (int)name.n, name.s);
    if (!*class || !known_to_pcre2(class))
        return pattern_fail(p, "invalid character class range", start, p->rest.s);
    pattern_emit(p, class);
    return true;
}

// \d \s \w and their opposites. Go's \s knows no vertical tab.
static bool perl_class(struct parser *p)
{
    if (!pattern_at(p, 0, '\\') || p->rest.n < 2)
        return false;
    char text[] = {'\\', p->rest.s[1], '\0'};
    switch (p->rest.s[1]) {
    case 's':
        pattern_emit(p, "\\t\\n\\f\\r\\x{20}");
        break;
    case 'S':
        pattern_emit(p, "\\x{0}-\\x{8}\\x{b}\\x{e}-\\x{1f}\\x{21}-\\x{10ffff}");
        break;
    case 'd':
    case 'D':
    case 'w':
    case 'W':
        pattern_emit(p, text);
        break;
    default:
        return false;
    }
    pattern_skip(p, 2);
    return true;
}

// [:alpha:] and the like. False if there is none here, or with an error.
static bool posix_class(struct parser *p)
{
    static const char all[] = " alnum alpha ascii blank cntrl digit graph lower print punct space "
                              "upper word xdigit ";
    const char *close = p->rest.n > 2 ? memmem(p->rest.s + 2, p->rest.n - 2, ":]", 2) : NULL;
    if (!pattern_at(p, 0, '[') || !pattern_at(p, 1, ':') || !close)
        return false;
    const char *name = p->rest.s + 2;
    int n = (int)(close - name), negative = n > 0 && *name == '^';
    char spaced[16] = "?", text[20];
    if (n - negative > 0 && n - negative < 10)
        snprintf(spaced, sizeof spaced, " %.*s ", n - negative, name + negative);
    if (!strstr(all, spaced))
        return pattern_fail(p, "invalid character class range", p->rest.s, close + 2);
    snprintf(text, sizeof text, "[:%.*s:]", n, name);
    pattern_emit(p, text);
    pattern_skip(p, (size_t)n + 4);
    return true;
}

static bool class_char(struct parser *p, const char *class, int32_t *r)
{
    if (p->rest.n == 0)
        return pattern_fail(p, "missing closing ]", class, end_of(p));
    return pattern_at(p, 0, '\\') ? pattern_escape(p, r) : pattern_next_rune(p, r);
}

// One member of a class: a named class, a character, or a range. Adds to *items what it wrote.
static bool class_item(struct parser *p, const char *class, int *items)
{
    const char *start = p->rest.s;
    if (posix_class(p) || perl_class(p))
        return ++*items;
    if (p->error)
        return false;
    if (pattern_at(p, 0, '\\') && (pattern_at(p, 1, 'p') || pattern_at(p, 1, 'P')))
        return ++*items, unicode_class(p);
    int32_t lo, hi;
    if (!class_char(p, class, &lo))
        return false;
    hi = lo;
    if (pattern_at(p, 0, '-') && p->rest.n >= 2 && !pattern_at(p, 1, ']')) {
        pattern_skip(p, 1);
        if (!class_char(p, class, &hi))
            return false;
        if (hi < lo)
            return pattern_fail(p, "invalid character class range", start, p->rest.s);
    }
    *items += emit_range(p, lo, hi);
    return true;
}

bool pattern_class(struct parser *p)
{
    const char *start = p->rest.s;
    bool negative = pattern_at(p, 1, '^');
    int items = 0;
    pattern_begin_atom(p);
    pattern_emit(p, p->flags.fold ? "(?i:[" : "(?:[");
    pattern_emit(p, negative ? "^" : "");
    pattern_skip(p, 1 + negative);
    for (bool first = true; first || !pattern_at(p, 0, ']'); first = false)
        if (!class_item(p, start, &items))
            return false;
    pattern_skip(p, 1);
    if (items == 0) { // only surrogates
        p->n = p->atom_start;
        pattern_emit(p, negative ? "(?s:." : "(?:(?!)");
    } else {
        pattern_emit(p, "]");
    }
    pattern_emit(p, ")");
    return true;
}

bool pattern_named_class(struct parser *p)
{
    pattern_begin_atom(p);
    pattern_emit(p, p->flags.fold ? "(?i:[" : "(?:[");
    if (!perl_class(p) && !unicode_class(p))
        return false;
    pattern_emit(p, "])");
    return true;
}
