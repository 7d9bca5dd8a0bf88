/* Parameters of a request: numbers with their range, and the query put together again. */
#include "prof/http_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* As Go's strconv.ParseInt in base 10: a sign and digits, nothing before, nothing behind. */
static bool parse_int(const char *s, size_t length, int min, int max, int *out)
{
    char *end;

    if (length == 0 || strlen(s) != length || isspace((unsigned char)*s))
        return false;
    errno = 0;
    long value = strtol(s, &end, 10);
    if (errno || *end || value < min || value > max)
        return false;
    *out = (int)value;
    return true;
}

int http_param_int(struct http_request *r, const char *name, int min, int max, const char *takes,
                   int *out)
{
    const char *value = NULL;
    size_t length = 0;

    if (!MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
                                       &value, &length))
        return 0;
    if (value && parse_int(value, length, min, max, out))
        return 0;
    http_answer_error(&r->answer, MHD_HTTP_BAD_REQUEST, "invalid value for \"%s\" - must be %s",
                      name, takes);
    return -EINVAL;
}

/* Digits, with a point among them or before or behind them; no sign, exponent, infinity. */
static bool parse_seconds(const char *s, size_t length, int max, int64_t *ns)
{
    double value = 0, unit = 1;
    size_t digits = 0;
    bool fraction = false;

    for (size_t i = 0; i < length; i++) {
        if (s[i] == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (!isdigit((unsigned char)s[i]))
            return false;
        digits++;
        unit /= fraction ? 10 : 1;
        value = fraction ? value + (s[i] - '0') * unit : value * 10 + (s[i] - '0');
    }
    *ns = value <= max ? (int64_t)(value * 1e9 + 0.5) : 0;
    return digits > 0 && *ns > 0;
}

int http_param_seconds(struct http_request *r, const char *name, int max, int64_t *ns)
{
    const char *value = NULL;
    size_t length = 0;
    int64_t parsed;

    if (!MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
                                       &value, &length))
        return 0;
    if (value && parse_seconds(value, length, max, &parsed)) {
        *ns = parsed;
        return 0;
    }
    http_answer_error(&r->answer, MHD_HTTP_BAD_REQUEST,
                      "invalid value for \"%s\" - must be a number of seconds such as 5 or 0.5, "
                      "at most %d",
                      name, max);
    return -EINVAL;
}

bool http_param_encode(char *out, size_t size, const char *s, const char *keep)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = strlen(out);

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (n + 4 > size)
            return false;
        if (isalnum(c) || strchr("-._~", c) || strchr(keep, c)) {
            out[n++] = (char)c;
        } else {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
        out[n] = '\0';
    }
    return true;
}

struct query {
    char *out;
    size_t size;
    bool whole;
};

static enum MHD_Result add_pair(void *arg, enum MHD_ValueKind kind, const char *key,
                                const char *value)
{
    struct query *q = arg;
    size_t n = strlen(q->out);

    (void)kind;
    q->whole = n + 2 <= q->size;
    if (!q->whole)
        return MHD_NO;
    q->out[n] = n ? '&' : '?';
    q->out[n + 1] = '\0';
    q->whole = http_param_encode(q->out, q->size, key, "");
    if (q->whole && value && (n = strlen(q->out)) + 2 <= q->size) {
        q->out[n] = '=';
        q->out[n + 1] = '\0';
        q->whole = http_param_encode(q->out, q->size, value, "");
    }
    return q->whole ? MHD_YES : MHD_NO;
}

bool http_param_query(struct http_request *r, char *out, size_t size)
{
    struct query q = {.out = out, .size = size, .whole = true};

    out[0] = '\0';
    MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, add_pair, &q);
    return q.whole;
}
