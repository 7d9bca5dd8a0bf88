/* Which names a pattern chooses, by go test's rule: the pattern is split at slashes outside of
 * brackets into one regular expression an element, and at bars outside of brackets into
 * alternatives. Fib/memo runs BenchmarkFib and, within it, what matches memo. The expressions are
 * Perl's (pcre2), which RE2's are nearly all a part of. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "bench/internal.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

struct alternative {
    pcre2_code **element;
    int n;
};

struct bench_matcher {
    struct alternative *alternative;
    int n;
};

/* ---- making ---------------------------------------------------------------------------------- */

static pcre2_code *compile(const char *text, size_t len, int index, char *error, size_t size)
{
    char *raw = strndup(text, len), *clean = raw ? bench_clean_name(raw) : NULL;
    PCRE2_SIZE offset;
    int code = 0;

    pcre2_code *re =
        clean ? pcre2_compile((PCRE2_SPTR)clean, PCRE2_ZERO_TERMINATED, 0, &code, &offset, NULL)
              : NULL;
    if (!re) {
        PCRE2_UCHAR why[128] = "no memory";
        if (clean)
            pcre2_get_error_message(code, why, sizeof(why));
        snprintf(error, size, "element %d (\"%s\"): %s", index, raw ? raw : "", (char *)why);
    }
    free(clean);
    free(raw);
    return re;
}

/* Adds an element to the last alternative. */
static bool add_element(struct bench_matcher *m, const char *text, size_t len, char *error,
                        size_t size)
{
    struct alternative *a = &m->alternative[m->n - 1];
    pcre2_code **element = realloc(a->element, ((size_t)a->n + 1) * sizeof(*element));

    if (!element) {
        snprintf(error, size, "no memory");
        return false;
    }
    a->element = element;
    element[a->n] = compile(text, len, a->n, error, size);
    if (!element[a->n])
        return false;
    a->n++;
    return true;
}

static bool add_alternative(struct bench_matcher *m)
{
    struct alternative *a = realloc(m->alternative, ((size_t)m->n + 1) * sizeof(*a));

    if (!a)
        return false;
    a[m->n++] = (struct alternative){0};
    m->alternative = a;
    return true;
}

/* The length of the text up to the next slash or bar that is not inside [], () or behind a
 * backslash. An unmatched ']' stands for itself. */
static size_t element_length(const char *text)
{
    int square = 0, round = 0;
    size_t i = 0;

    for (; text[i]; i++) {
        if (text[i] == '\\' && text[i + 1])
            i++;
        else if (text[i] == '[')
            square++;
        else if (text[i] == ']')
            square -= square > 0;
        else if (!square && text[i] == '(')
            round++;
        else if (!square && text[i] == ')')
            round--;
        else if (!square && !round && (text[i] == '/' || text[i] == '|'))
            break;
    }
    return i;
}

struct bench_matcher *bench_matcher_new(const char *pattern, bool split, char *error, size_t size)
{
    struct bench_matcher *m = calloc(1, sizeof(*m));
    bool more = pattern != NULL;
    bool ok = m && (!more || add_alternative(m));

    if (!ok)
        snprintf(error, size, "no memory");
    while (ok && more) {
        size_t len = split ? element_length(pattern) : strlen(pattern);
        ok = add_element(m, pattern, len, error, size);
        more = pattern[len] != '\0';
        if (ok && pattern[len] == '|')
            ok = add_alternative(m);
        pattern += len + more;
    }
    if (ok)
        return m;
    bench_matcher_free(m);
    return NULL;
}

void bench_matcher_free(struct bench_matcher *m)
{
    for (int i = 0; m && i < m->n; i++) {
        for (int j = 0; j < m->alternative[i].n; j++)
            pcre2_code_free(m->alternative[i].element[j]);
        free(m->alternative[i].element);
    }
    if (m)
        free(m->alternative);
    free(m);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool matches_element(const pcre2_code *re, const char *text, size_t len)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    int found = data ? pcre2_match(re, (PCRE2_SPTR)text, len, 0, 0, data, NULL) : -1;

    pcre2_match_data_free(data);
    return found >= 0;
}

static bool matches_alternative(const struct alternative *a, const char *name, bool *partial)
{
    int i = 0;

    for (const char *p = name;; i++) {
        size_t len = strcspn(p, "/");
        if (i < a->n && !matches_element(a->element[i], p, len))
            return false;
        if (!p[len])
            break;
        p += len + 1;
    }
    *partial = i + 1 < a->n;
    return true;
}

bool bench_matcher_matches(const struct bench_matcher *m, const char *name, bool *partial)
{
    for (int i = 0; i < m->n; i++)
        if (matches_alternative(&m->alternative[i], name, partial))
            return true;
    return false;
}
