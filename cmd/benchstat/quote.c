// quote.c: double-quoted strings of Go: read in filters and projections, written in their errors.

#include "cmd/benchstat/benchstat.h"

#include <string.h>

static const char escapes[] = "a\ab\bf\fn\nr\rt\tv\v"; // letter, byte, ...

static bool is_print(int32_t r)
{
    return rune_is_graphic(r) && (r == ' ' || !rune_is_space(r));
}

// Append one character that must be escaped.
static size_t escape(char *out, int32_t r, size_t width, unsigned char byte)
{
    if (r == '"' || r == '\\')
        return (size_t)sprintf(out, "\\%c", r);
    for (const char *e = escapes; *e; e += 2)
        if (r == e[1])
            return (size_t)sprintf(out, "\\%c", e[0]);
    if (r < ' ' || r == 0x7F || (r == RUNE_ERROR && width == 1))
        return (size_t)sprintf(out, "\\x%02x", byte);
    return (size_t)sprintf(out, r < 0x10000 ? "\\u%04x" : "\\U%08x", r);
}

char *quote(str s)
{
    char *out = mem_alloc(s.n * 10 + 3);
    size_t n = 0, width;
    out[n++] = '"';
    for (; s.n > 0; s.s += width, s.n -= width) {
        int32_t r = rune_decode(s, &width);
        bool invalid = r == RUNE_ERROR && width == 1;
        if (!invalid && r != '"' && r != '\\' && is_print(r)) {
            memcpy(out + n, s.s, width);
            n += width;
        } else {
            n += escape(out + n, r, width, (unsigned char)s.s[0]);
        }
    }
    out[n++] = '"';
    return out;
}

// Read exactly n digits of the base; -1 if there are fewer.
static int64_t digits(str *s, size_t n, int base)
{
    int64_t value = 0;
    if (s->n < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const char *at = strchr("0123456789abcdef", s->s[i] | (s->s[i] >= 'A' ? 0x20 : 0));
        if (!at || !*at || at - "0123456789abcdef" >= base)
            return -1;
        value = value * base + (at - "0123456789abcdef");
    }
    s->s += n;
    s->n -= n;
    return value;
}

// Read what follows a backslash and append what it means; 0 when it means nothing.
static size_t unescape(str *s, char *out)
{
    if (s->n == 0)
        return 0;
    char c = *s->s;
    int64_t value;
    if (c >= '0' && c <= '7') {
        value = digits(s, 3, 8);
        *out = (char)value;
        return value >= 0 && value <= 255;
    }
    s->s++;
    s->n--;
    if (c == 'x') {
        value = digits(s, 2, 16);
        *out = (char)value;
        return value >= 0;
    }
    if (c == 'u' || c == 'U') {
        value = digits(s, c == 'u' ? 4 : 8, 16);
        if (value < 0 || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
            return 0;
        return rune_encode((int32_t)value, out);
    }
    *out = c;
    if (c == '\\' || c == '"')
        return 1;
    for (const char *e = escapes; *e; e += 2)
        if (c == e[0])
            return *out = e[1], 1;
    return 0;
}

bool unquote(str s, str *word)
{
    char *out = mem_alloc(s.n * 3 + 4);
    size_t n = 0, width;
    s = (str){s.s + 1, s.n - 2};
    while (s.n > 0) {
        if (*s.s == '\n' || *s.s == '"')
            return false;
        if (*s.s == '\\') {
            s.s++;
            s.n--;
            size_t got = unescape(&s, out + n);
            if (got == 0)
                return false;
            n += got;
            continue;
        }
        n += rune_encode(rune_decode(s, &width), out + n);
        s.s += width;
        s.n -= width;
    }
    *word = (str){out, n};
    return true;
}
