// rune.c: UTF-8 and the few classes of characters that the formats speak of.
//
// The benchmark format asks for lower-case keys and Unicode white space, the text table counts
// characters, and error messages count visible ones. Input may be anything: a byte that is no
// UTF-8 counts as one character. The large Unicode tables are PCRE2's.

#include "cmd/benchstat/benchstat.h"

#include <string.h>

int32_t rune_decode(str s, size_t *width)
{
    const unsigned char *p = (const unsigned char *)s.s;
    *width = 1;
    if (p[0] < 0x80)
        return p[0];
    // The length from the lead byte, and the range that rules out overlong forms and surrogates.
    size_t n = p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    if (n == 0 || s.n < n)
        return RUNE_ERROR;
    unsigned char lo = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char hi = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < lo || p[1] > hi)
        return RUNE_ERROR;
    int32_t rune = p[0] & (0xFF >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return RUNE_ERROR;
        rune = rune << 6 | (p[i] & 0x3F);
    }
    *width = n;
    return rune;
}

size_t rune_count(str s)
{
    size_t i = 0;
    for (uint64_t x; i + sizeof x <= s.n; i += sizeof x) {
        memcpy(&x, s.s + i, sizeof x);
        if (x & UINT64_C(0x8080808080808080))
            break;
    }
    while (i < s.n && (unsigned char)s.s[i] < 0x80)
        i++;
    size_t count = i, width;
    for (; i < s.n; i += width, count++)
        rune_decode((str){s.s + i, s.n - i}, &width);
    return count;
}

size_t rune_encode(int32_t r, char out[4])
{
    if (r < 0 || r > 0x10FFFF || (r >= 0xD800 && r <= 0xDFFF))
        r = RUNE_ERROR;
    if (r < 0x80) {
        out[0] = (char)r;
        return 1;
    }
    size_t n = r < 0x800 ? 2 : r < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, r >>= 6)
        out[i] = (char)(0x80 | (r & 0x3F));
    out[0] = (char)(0xF00 >> n | r);
    return n;
}

bool rune_is_space(int32_t r)
{
    switch (r) {
    case '\t' ... '\r':
    case ' ':
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x2000 ... 0x200A:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
        return true;
    }
    return false;
}

bool str_is_blank(str s)
{
    size_t width;
    for (; s.n > 0; s.s += width, s.n -= width)
        if (!rune_is_space(rune_decode(s, &width)))
            return false;
    return true;
}

static bool in_class(int32_t r, const char *class, struct pattern **compiled)
{
    char *error = NULL, bytes[4];
    if (!*compiled)
        *compiled = pattern_compile((str){class, strlen(class)}, &error);
    return pattern_match(*compiled, (str){bytes, rune_encode(r, bytes)});
}

bool rune_is_lower(int32_t r)
{
    static struct pattern *lower;
    if (r < 0x80)
        return r >= 'a' && r <= 'z';
    return in_class(r, "\\p{Ll}", &lower);
}

bool rune_is_upper(int32_t r)
{
    static struct pattern *upper;
    if (r < 0x80)
        return r >= 'A' && r <= 'Z';
    return in_class(r, "\\p{Lu}", &upper);
}

bool rune_is_graphic(int32_t r)
{
    static struct pattern *graphic;
    if (r < 0x80)
        return r >= ' ' && r < 0x7F;
    return in_class(r, "[\\pL\\pM\\pN\\pP\\pS\\p{Zs}]", &graphic);
}
