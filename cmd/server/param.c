/* Parameters of a request: every one checked, none ignored. A misspelt or impossible parameter is
 * answered with its name and what it takes, for a number silently replaced by a default makes a
 * load test measure something else. */
#include "cmd/server/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    const struct param *params;
    int64_t *values;
    unsigned seen; /* a bit for each */
    struct reply *reply;
};

void reply_set(struct reply *reply, int status, const char *format, ...)
{
    va_list args;

    reply->status = status;
    va_start(args, format);
    vsnprintf(reply->text, sizeof reply->text - 1, format, args);
    va_end(args);
    strcat(reply->text, "\n");
}

static bool read_int(const struct param *p, const char *text, int64_t *value)
{
    char *end;

    if (*text != '-' && (*text < '0' || *text > '9'))
        return false;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return !errno && !*end && *value >= p->min && *value <= p->max;
}

static bool read_bool(const char *text, int64_t *value)
{
    *value = !strcmp(text, "true") || !strcmp(text, "1");
    return *value || !strcmp(text, "false") || !strcmp(text, "0");
}

static bool read_choice(const struct param *p, const char *text, int64_t *value)
{
    for (*value = 0; p->choices[*value]; ++*value)
        if (!strcmp(text, p->choices[*value]))
            return true;
    return false;
}

static bool read_value(const struct param *p, const char *text, int64_t *value)
{
    switch (p->kind) {
    case PARAM_INT:
        return read_int(p, text, value);
    case PARAM_BOOL:
        return read_bool(text, value);
    default:
        return read_choice(p, text, value);
    }
}

/* What the user typed, short and printable. */
static const char *shown(const char *text, char out[48])
{
    size_t n = 0;

    for (; *text && n < 40; text++)
        out[n++] = *text >= ' ' && *text < 127 ? *text : '?';
    strcpy(out + n, *text ? "..." : "");
    return out;
}

static void refuse(struct reply *reply, const struct param *p, const char *text)
{
    char s[48], takes[128] = "";

    if (p->kind == PARAM_INT)
        snprintf(takes, sizeof takes, "a whole number from %" PRId64 " to %" PRId64, p->min,
                 p->max);
    else if (p->kind == PARAM_BOOL)
        strcpy(takes, "true or false");
    else
        for (int i = 0; p->choices[i]; i++) {
            strncat(takes, i == 0 ? "" : p->choices[i + 1] ? ", " : " or ", 5);
            strncat(takes, p->choices[i], 20);
        }
    reply_set(reply, MHD_HTTP_BAD_REQUEST, "%s is \"%s\"; expected %s", p->name, shown(text, s),
              takes);
}

static void refuse_unknown(struct reply *reply, const struct param *params, const char *key)
{
    char s[48], names[160] = "";

    for (int i = 0; params[i].name; i++) {
        strncat(names, i ? ", " : "", 3);
        strncat(names, params[i].name, 20);
    }
    reply_set(reply, MHD_HTTP_BAD_REQUEST, "there is no parameter \"%s\"; expected %s",
              shown(key, s), *names ? names : "none");
}

static enum MHD_Result read_pair(void *arg, enum MHD_ValueKind kind, const char *key,
                                 const char *text)
{
    struct reading *r = arg;
    int i = 0;

    (void)kind;
    while (r->params[i].name && strcmp(r->params[i].name, key) != 0)
        i++;
    if (!r->params[i].name)
        refuse_unknown(r->reply, r->params, key);
    else if (r->seen & 1u << i)
        reply_set(r->reply, MHD_HTTP_BAD_REQUEST, "%s is given twice; expected it once", key);
    else if (!read_value(&r->params[i], text ? text : "", &r->values[i]))
        refuse(r->reply, &r->params[i], text ? text : "");
    r->seen |= 1u << i;
    return r->reply->status ? MHD_NO : MHD_YES;
}

bool params_read(struct MHD_Connection *connection, const struct param *params, int64_t *values,
                 struct reply *reply)
{
    static const struct param none[1];
    struct reading r = {.params = params ? params : none, .values = values, .reply = reply};

    reply->status = 0;
    for (int i = 0; r.params[i].name; i++)
        values[i] = r.params[i].def;
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, read_pair, &r);
    return reply->status == 0;
}
