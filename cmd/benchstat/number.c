// number.c: numbers as Go reads and writes them.
//
// The output must agree with Go's to the last digit, and a large file is mostly numbers. Short
// decimals are read exactly with one division (Clinger 1990), fixed-point output is computed
// exactly in 128-bit integers, and strtod and snprintf, which are exact too, do the rest.

#include "cmd/benchstat/benchstat.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char number_syntax[] = "invalid syntax", number_range[] = "value out of range";

const double number_power_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// ---- reading --------------------------------------------------------------------------------

// Plain decimals whose digits and power of ten are both exact in a double.
static bool parse_simple(str s, double *value)
{
    uint64_t digits = 0;
    size_t point = s.n;
    if (s.n == 0 || s.n > NUMBER_SIMPLE_MAX || s.s[s.n - 1] == '.' || s.s[0] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned char)s.s[i] - '0';
        if (digit <= 9)
            digits = digits * 10 + digit;
        else if (s.s[i] == '.' && point == s.n)
            point = i;
        else
            return false;
    }
    if (digits > UINT64_C(1) << 53)
        return false;
    *value = point == s.n ? (double)digits : (double)digits / number_power_of_ten[s.n - 1 - point];
    return true;
}

static bool parse_special(str s, double *value)
{
    bool sign = s.n > 0 && (s.s[0] == '+' || s.s[0] == '-');
    const char *p = s.s + sign;
    size_t n = s.n - sign;
    if ((n == 3 && strncasecmp(p, "inf", n) == 0) || (n == 8 && strncasecmp(p, "infinity", n) == 0))
        *value = s.s[0] == '-' ? -INFINITY : INFINITY;
    else if (!sign && n == 3 && strncasecmp(p, "nan", n) == 0)
        *value = NAN;
    else
        return false;
    return true;
}

static bool is_digit(char c, bool hex)
{
    return hex ? isxdigit((unsigned char)c) : c >= '0' && c <= '9';
}

// Copy s to out without its underscores; false unless each stands between digits.
static bool drop_underscores(str s, char *out)
{
    bool after_digit = false, hex = false;
    size_t i = s.n > 0 && (s.s[0] == '+' || s.s[0] == '-'), n = 0;
    if (i)
        out[n++] = s.s[0];
    if (i + 1 < s.n && s.s[i] == '0' && strchr("bBoOxX", s.s[i + 1])) {
        hex = s.s[i + 1] == 'x' || s.s[i + 1] == 'X';
        after_digit = true;
        out[n++] = s.s[i++];
        out[n++] = s.s[i++];
    }
    for (; i < s.n; i++) {
        if (s.s[i] == '_') {
            if (!after_digit || i + 1 == s.n || !is_digit(s.s[i + 1], hex))
                return false;
            after_digit = false;
            continue;
        }
        after_digit = is_digit(s.s[i], hex);
        out[n++] = s.s[i];
    }
    out[n] = '\0';
    return true;
}

// [sign] digits with at most one point [exponent], which a hexadecimal number must have.
static bool is_number(const char *p)
{
    if (*p == '+' || *p == '-')
        p++;
    bool hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X') && p[2];
    size_t digits = 0, points = 0;
    for (p += hex ? 2 : 0; is_digit(*p, hex) || *p == '.'; p++)
        *p == '.' ? points++ : digits++;
    if (digits == 0 || points > 1)
        return false;
    if ((*p | 0x20) == (hex ? 'p' : 'e')) {
        p++;
        if (*p == '+' || *p == '-')
            p++;
        if (!is_digit(*p, false))
            return false;
        while (is_digit(*p, false))
            p++;
    } else if (hex) {
        return false;
    }
    return *p == '\0';
}

const char *number_parse(str s, double *value)
{
    if (parse_simple(s, value) || parse_special(s, value))
        return NULL;
    char room[64], *text = s.n < sizeof room ? room : mem_grow(NULL, s.n + 1);
    const char *error = number_syntax;
    if (!memchr(s.s, '\0', s.n) && drop_underscores(s, text) && is_number(text)) {
        *value = strtod(text, NULL); // the locale is "C": nobody sets another
        error = isinf(*value) ? number_range : NULL;
    }
    if (text != room)
        free(text);
    return error;
}

const char *number_parse_count(str s)
{
    bool negative = s.n > 0 && s.s[0] == '-';
    size_t i = s.n > 0 && (s.s[0] == '+' || s.s[0] == '-');
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
    bool overflow = false;
    if (i == s.n)
        return number_syntax;
    for (; i < s.n; i++) {
        unsigned digit = (unsigned char)s.s[i] - '0';
        if (digit > 9)
            return overflow ? number_range : number_syntax;
        if (overflow || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            overflow = true;
    }
    return overflow || value > limit ? number_range : NULL;
}

// ---- writing --------------------------------------------------------------------------------

static size_t put(char *out, const char *s)
{
    size_t n = strlen(s);
    memcpy(out, s, n + 1);
    return n;
}

static bool put_special(char *out, double v, bool plus, size_t *n)
{
    if (isfinite(v))
        return false;
    *n = put(out, isnan(v) ? (plus ? "+NaN" : "NaN") : v < 0 ? "-Inf" : "+Inf");
    return true;
}

// |v| * 10^digits rounded half to even, if it fits.
static bool scaled_integer(double v, int digits, unsigned __int128 *result)
{
    int exponent;
    uint64_t mantissa = (uint64_t)ldexp(frexp(fabs(v), &exponent), 53);
    unsigned __int128 product = (unsigned __int128)mantissa * (uint64_t)number_power_of_ten[digits];
    exponent -= 53;
    if (exponent > 10)
        return false;
    if (exponent >= 0) {
        *result = product << exponent;
    } else if (exponent <= -128) {
        *result = 0; // product < 2^87: not even half a unit
    } else {
        unsigned __int128 half = (unsigned __int128)1 << (-exponent - 1);
        unsigned __int128 rest = product & (half * 2 - 1);
        *result = exponent == -128 ? 0 : product >> -exponent;
        if (rest > half || (rest == half && (*result & 1)))
            ++*result;
    }
    return true;
}

size_t number_fixed(char *out, double v, int digits, bool plus)
{
    size_t n = 0;
    unsigned __int128 integer;
    if (put_special(out, v, plus, &n))
        return n;
    if (digits > 15 || !scaled_integer(v, digits, &integer))
        return (size_t)snprintf(out, NUMBER_MAX, plus ? "%+.*f" : "%.*f", digits, v);
    char reversed[64];
    int count = 0;
    for (; integer >> 64; integer /= 10)
        reversed[count++] = (char)('0' + (int)(integer % 10));
    for (uint64_t small = (uint64_t)integer; small; small /= 10)
        reversed[count++] = (char)('0' + small % 10);
    while (count <= digits)
        reversed[count++] = '0';
    if (signbit(v))
        out[n++] = '-';
    else if (plus)
        out[n++] = '+';
    while (count > digits)
        out[n++] = reversed[--count];
    if (digits > 0)
        out[n++] = '.';
    while (count > 0)
        out[n++] = reversed[--count];
    out[n] = '\0';
    return n;
}

// The shortest decimal that reads back as v > 0, as digits and the exponent of the first.
static size_t shortest_digits(double v, char *digits, int *exponent)
{
    char text[40];
    for (int n = 0; n < 17; n++) {
        snprintf(text, sizeof text, "%.*e", n, v);
        if (strtod(text, NULL) != v) {
            // Below a power of two the gap is half as wide, so that the next decimal up may read
            // back though the nearest does not.
            char *last = strchr(text, 'e') - 1;
            if (*last == '9')
                continue;
            ++*last;
            if (strtod(text, NULL) != v)
                continue;
        }
        digits[0] = text[0];
        memcpy(digits + 1, text + 2, (size_t)n);
        *exponent = atoi(strchr(text, 'e') + 1);
        return (size_t)n + 1;
    }
    return 0; // not reached: 17 digits always read back
}

size_t number_shortest(char *out, double v)
{
    size_t n = 0;
    if (put_special(out, v, false, &n))
        return n;
    if (v == 0)
        return put(out, signbit(v) ? "-0" : "0");
    char d[20];
    int exponent = 0;
    size_t count = shortest_digits(fabs(v), d, &exponent);
    if (v < 0)
        out[n++] = '-';
    if (exponent < -4 || exponent >= 6) {
        out[n++] = d[0];
        if (count > 1)
            out[n++] = '.';
        memcpy(out + n, d + 1, count - 1);
        n += count - 1;
        return n + (size_t)sprintf(out + n, "e%+03d", exponent);
    }
    if (exponent < 0) {
        n += put(out + n, "0.");
        for (int i = exponent; i < -1; i++)
            out[n++] = '0';
    }
    for (int i = 0; i < (int)count || i <= exponent; i++) {
        out[n++] = i < (int)count ? d[i] : '0';
        if (i == exponent && i + 1 < (int)count)
            out[n++] = '.';
    }
    out[n] = '\0';
    return n;
}

const char *number_v(double value)
{
    char text[NUMBER_MAX];
    number_shortest(text, value);
    return mem_format("%s", text);
}
