// unit.c: units of measurement: brought to base units, scaled for reading, described by the input.
//
// "123 ns/op" is stored as 1.23e-07 sec/op, so that a prefix can be put in front of it; the unit
// of a value that scaling leaves alone (0, infinity) stays as written. Units that count bytes get
// binary prefixes, all others decimal ones.

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <string.h>

// ---- the parts of a unit: tokens separated by * / - and space -------------------------------

struct part {
    str rest, token;
    bool denominator;
};

static bool is_separator(int32_t r)
{
    return r == '*' || r == '/' || r == '-' || rune_is_space(r);
}

static bool next_part(struct part *p)
{
    size_t width;
    for (; p->rest.n > 0; p->rest.s += width, p->rest.n -= width) {
        int32_t r = rune_decode(p->rest, &width);
        if (!is_separator(r))
            break;
        if (r == '*' || r == '/')
            p->denominator = r == '/';
    }
    p->token = (str){p->rest.s, 0};
    while (p->rest.n > 0 && !is_separator(rune_decode(p->rest, &width))) {
        p->rest.s += width;
        p->rest.n -= width;
        p->token.n += width;
    }
    return p->token.n > 0;
}

bool unit_is_binary(const struct word *unit)
{
    struct part p = {.rest = {unit->s, unit->n}};
    while (next_part(&p))
        if (!p.denominator && (str_equal(p.token, STR("B")) || str_equal(p.token, STR("MB")) ||
                               str_equal(p.token, STR("bytes"))))
            return true;
    return false;
}

static struct raw_unit *tidy(const struct word *raw)
{
    struct raw_unit *u = mem_alloc(sizeof *u);
    char *name = mem_alloc(raw->n * 2 + 4), *end = name;
    const char *copied = raw->s;
    struct part p = {.rest = {raw->s, raw->n}};
    u->factor = 1;
    while (next_part(&p)) {
        bool ns = str_equal(p.token, STR("ns")), mb = str_equal(p.token, STR("MB"));
        if (p.denominator || (!ns && !mb))
            continue;
        end = mempcpy(end, copied, (size_t)(p.token.s - copied));
        end = stpcpy(end, ns ? "sec" : "B");
        copied = p.token.s + p.token.n;
        u->factor = ns ? u->factor / 1e9 : u->factor * 1e6;
    }
    end = mempcpy(end, copied, raw->n - (size_t)(copied - raw->s));
    u->raw = raw;
    u->tidied = (struct unit){word_of((str){name, (size_t)(end - name)}), raw};
    u->plain = (struct unit){raw, NULL};
    return u;
}

const struct raw_unit *unit_of(str raw)
{
    static struct map units;
    const struct word *word = word_of(raw);
    void **u = map_at(&units, word, NULL);
    if (!*u)
        *u = tidy(word);
    return *u;
}

// ---- metadata -------------------------------------------------------------------------------

static struct map metadata; // (tidied unit, key) -> value

const struct word *unit_metadata(const struct word *unit, const struct word *key)
{
    return map_get(&metadata, unit_of((str){unit->s, unit->n})->tidied.name, key);
}

const struct word *unit_set_metadata(const struct raw_unit *u, str key, str value)
{
    const struct word *have = map_get(&metadata, u->tidied.name, word_of(key));
    if (!have)
        *map_at(&metadata, u->tidied.name, word_of(key)) = (void *)word_of(value);
    return have;
}

// ---- scaling --------------------------------------------------------------------------------

static const struct scale decimal[] = {{0, 1e12, "T"}, {0, 1e9, "G"}, {0, 1e6, "M"},
                                       {0, 1e3, "k"},  {0, 1, ""},    {0, 1e-3, "m"},
                                       {0, 1e-6, "µ"}, {0, 1e-9, "n"}};
static const struct scale binary[] = {
    {0, 0x1p40, "Ti"}, {0, 0x1p30, "Gi"}, {0, 0x1p20, "Mi"}, {0, 0x1p10, "Ki"}, {0, 1, ""}};

// What rounds to 100.0, 10.00 and 1.000 in each decimal scale. The products of the binary scales
// are exact, these would not be.
static const double decimal_from[][3] = {
    {99.995e12, 9.9995e12, .99995e12}, {99.995e9, 9.9995e9, .99995e9},
    {99.995e6, 9.9995e6, .99995e6},    {99.995e3, 9.9995e3, .99995e3},
    {99.995, 9.9995, .99995},          {99.995e-3, 9.9995e-3, .99995e-3},
    {99.995e-6, 9.9995e-6, .99995e-6}, {99.995e-9, 9.9995e-9, .99995e-9}};

// The scale of a value below the smallest: more digits, up to ten.
static struct scale tiny(struct scale s, double least)
{
    static const double from[] = {9.9995e-1, 9.9995e-2, 9.9995e-3, 9.9995e-4,
                                  9.9995e-5, 9.9995e-6, 9.9995e-7};
    s.digits = 3;
    for (size_t i = 0; i < sizeof from / sizeof *from && !(least / s.factor >= from[i]); i++)
        s.digits++;
    return s;
}

struct scale scale_for(const double *values, size_t n, bool bytes)
{
    double least = 0;
    for (size_t i = 0; i < n; i++)
        if (values[i] != 0 && (least == 0 || fabs(values[i]) < least))
            least = fabs(values[i]);
    if (least == 0)
        return (struct scale){3, 1, ""};
    const struct scale *scales = bytes ? binary : decimal;
    size_t count = bytes ? sizeof binary / sizeof *binary : sizeof decimal / sizeof *decimal;
    for (size_t i = 0; i < count; i++)
        for (int j = 0; j < 3; j++) {
            // 0x1.9p6 - 0.005 and so on, as written in base 10
            static const double from[] = {99.995, 9.9995, .99995};
            if (least >= (bytes ? from[j] * scales[i].factor : decimal_from[i][j]))
                return (struct scale){j + 1, scales[i].factor, scales[i].prefix};
        }
    return tiny(scales[count - 1], least);
}

size_t scale_format(char *out, struct scale scale, double value)
{
    size_t n = number_fixed(out, value / scale.factor, scale.digits, false);
    return (size_t)(stpcpy(out + n, scale.prefix) - out);
}
