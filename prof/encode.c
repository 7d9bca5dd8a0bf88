/* A snapshot as gzip'd profile.proto.
 *
 * The message is https://github.com/google/pprof/blob/main/proto/profile.proto; what scrapers
 * demand of it beyond its schema is kept here: ids count from 1, the string table starts with "",
 * no value is negative, samples without a value are left out. Entered through prof_encode_proto. */
#include "prof/internal.h"
#include "prof/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Field numbers, by message. */
enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE,
    PROFILE_MAPPING,
    PROFILE_LOCATION,
    PROFILE_FUNCTION,
    PROFILE_STRING_TABLE,
    PROFILE_TIME_NANOS = 9,
    PROFILE_DURATION_NANOS,
    PROFILE_PERIOD_TYPE,
    PROFILE_PERIOD,
    PROFILE_COMMENT,
    PROFILE_DEFAULT_SAMPLE_TYPE,
};
enum { VALUE_TYPE_TYPE = 1, VALUE_TYPE_UNIT };
enum { SAMPLE_LOCATION_ID = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum { LABEL_KEY = 1, LABEL_STR, LABEL_NUM };
enum {
    MAPPING_ID = 1,
    MAPPING_START,
    MAPPING_LIMIT,
    MAPPING_OFFSET,
    MAPPING_FILENAME,
    MAPPING_BUILD_ID,
    MAPPING_HAS_FUNCTIONS,
    MAPPING_HAS_FILENAMES,
    MAPPING_HAS_LINE_NUMBERS,
    MAPPING_HAS_INLINE_FRAMES,
};
enum { LOCATION_ID = 1, LOCATION_MAPPING_ID, LOCATION_ADDRESS, LOCATION_LINE };
enum { LINE_FUNCTION_ID = 1, LINE_LINE };
enum {
    FUNCTION_ID = 1,
    FUNCTION_NAME,
    FUNCTION_SYSTEM_NAME,
    FUNCTION_FILENAME,
    FUNCTION_START_LINE
};

struct function { /* numbers of strings; what makes two functions the same */
    uint32_t name, system_name, file;
    int64_t start_line;
};

struct encoder {
    struct prof_wire wire;
    struct prof_pool strings;
    struct prof_symbols symbols;
    struct function *functions; /* in the order of their ids, which count from 1 */
    uint32_t nfunctions, capacity;
    uint32_t *slots; /* hash table of function ids, 2 * capacity */
};

static uint64_t string(struct encoder *e, const char *text)
{
    return text ? prof_pool_intern(&e->strings, text, strlen(text)) : 0;
}

/* Zero is every field's default, so it is left out. */
static void put(struct encoder *e, int field, uint64_t value)
{
    if (value)
        prof_wire_uint(&e->wire, field, value);
}

static void put_value_type(struct encoder *e, int field, const struct prof_value_type *t)
{
    size_t message = prof_wire_begin(&e->wire, field);
    put(e, VALUE_TYPE_TYPE, string(e, t->type));
    put(e, VALUE_TYPE_UNIT, string(e, t->unit));
    prof_wire_end(&e->wire, message);
}

/* ---- samples --------------------------------------------------------------------------------- */

static void put_label(struct encoder *e, const char *key, const char *text, int64_t number)
{
    size_t message = prof_wire_begin(&e->wire, SAMPLE_LABEL);
    put(e, LABEL_KEY, string(e, key));
    put(e, LABEL_STR, string(e, text));
    put(e, LABEL_NUM, (uint64_t)number);
    prof_wire_end(&e->wire, message);
}

static bool has_values(const struct prof_sample *s, int n)
{
    for (int i = 0; i < n; i++)
        if (s->values[i] > 0)
            return true;
    return false;
}

/* A location's id is its place in the symbols plus one. */
static void put_sample(struct encoder *e, const struct prof_sample *s, int nvalues)
{
    if (!has_values(s, nvalues))
        return;
    uint64_t numbers[PROF_MAX_FRAMES];
    uint32_t npcs = 0;
    for (uint32_t i = 0; i < s->npcs && npcs < PROF_MAX_FRAMES; i++) {
        const struct prof_location *l = prof_symbols_find(&e->symbols, s->pcs[i]);
        if (l)
            numbers[npcs++] = (uint64_t)(l - e->symbols.locations) + 1;
    }
    size_t message = prof_wire_begin(&e->wire, PROFILE_SAMPLE);
    prof_wire_packed(&e->wire, SAMPLE_LOCATION_ID, numbers, npcs);
    for (int i = 0; i < nvalues; i++)
        numbers[i] = s->values[i] > 0 ? (uint64_t)s->values[i] : 0;
    prof_wire_packed(&e->wire, SAMPLE_VALUE, numbers, (size_t)nvalues);
    for (uint32_t i = 0; s->labels && i < s->labels->n; i++)
        put_label(e, s->labels->labels[i].key, s->labels->labels[i].value, 0);
    if (s->bytes > 0)
        put_label(e, "bytes", NULL, s->bytes);
    prof_wire_end(&e->wire, message);
}

/* ---- mappings, locations, functions ---------------------------------------------------------- */

static void put_mapping(struct encoder *e, size_t i)
{
    const struct prof_mapping *m = &e->symbols.mappings[i];
    size_t message = prof_wire_begin(&e->wire, PROFILE_MAPPING);
    put(e, MAPPING_ID, i + 1);
    put(e, MAPPING_START, m->start);
    put(e, MAPPING_LIMIT, m->end);
    put(e, MAPPING_OFFSET, m->offset);
    put(e, MAPPING_FILENAME, string(e, m->file));
    put(e, MAPPING_BUILD_ID, string(e, m->build_id));
    put(e, MAPPING_HAS_FUNCTIONS, m->has_functions);
    put(e, MAPPING_HAS_FILENAMES, m->has_filenames);
    put(e, MAPPING_HAS_LINE_NUMBERS, m->has_line_numbers);
    put(e, MAPPING_HAS_INLINE_FRAMES, m->has_inline_frames);
    prof_wire_end(&e->wire, message);
}

static uint32_t *function_slot(struct encoder *e, const struct function *f)
{
    uint32_t mask = 2 * e->capacity - 1;
    uint64_t h = ((uint64_t)f->name << 32 | f->file) * UINT64_C(0x9e3779b97f4a7c15) ^
                 (uint64_t)f->start_line;
    for (uint32_t i = (uint32_t)(h >> 32) & mask;; i = (i + 1) & mask) {
        uint32_t *slot = &e->slots[i];
        if (!*slot || memcmp(&e->functions[*slot - 1], f, sizeof *f) == 0)
            return slot;
    }
}

static bool functions_grow(struct encoder *e)
{
    uint32_t capacity = e->capacity ? e->capacity * 2 : 256;
    struct function *functions = realloc(e->functions, capacity * sizeof *functions);
    if (functions)
        e->functions = functions;
    uint32_t *slots = calloc(2 * (size_t)capacity, sizeof *slots);
    if (!functions || !slots) {
        free(slots);
        e->strings.failed = true;
        return false;
    }
    free(e->slots);
    e->slots = slots;
    e->capacity = capacity;
    for (uint32_t i = 0; i < e->nfunctions; i++)
        *function_slot(e, &e->functions[i]) = i + 1;
    return true;
}

static uint64_t function_id(struct encoder *e, const struct prof_line *l)
{
    struct function f;
    memset(&f, 0, sizeof f); /* compared as bytes, padding included */
    f.name = (uint32_t)string(e, l->function);
    f.system_name = (uint32_t)string(e, l->system_name);
    f.file = (uint32_t)string(e, l->file);
    f.start_line = l->start_line > 0 ? l->start_line : 0;
    if (e->nfunctions == e->capacity && !functions_grow(e))
        return 0;
    uint32_t *slot = function_slot(e, &f);
    if (!*slot) {
        e->functions[e->nfunctions] = f;
        *slot = ++e->nfunctions;
    }
    return *slot;
}

static void put_location(struct encoder *e, size_t i)
{
    const struct prof_location *l = &e->symbols.locations[i];
    size_t message = prof_wire_begin(&e->wire, PROFILE_LOCATION);
    put(e, LOCATION_ID, i + 1);
    put(e, LOCATION_MAPPING_ID, (uint64_t)(l->mapping + 1));
    put(e, LOCATION_ADDRESS, l->pc);
    for (int k = 0; k < l->nlines; k++) {
        size_t line = prof_wire_begin(&e->wire, LOCATION_LINE);
        put(e, LINE_FUNCTION_ID, function_id(e, &l->lines[k]));
        put(e, LINE_LINE, l->lines[k].line > 0 ? (uint64_t)l->lines[k].line : 0);
        prof_wire_end(&e->wire, line);
    }
    prof_wire_end(&e->wire, message);
}

static void put_function(struct encoder *e, uint32_t i)
{
    const struct function *f = &e->functions[i];
    size_t message = prof_wire_begin(&e->wire, PROFILE_FUNCTION);
    put(e, FUNCTION_ID, i + 1);
    put(e, FUNCTION_NAME, f->name);
    put(e, FUNCTION_SYSTEM_NAME, f->system_name);
    put(e, FUNCTION_FILENAME, f->file);
    put(e, FUNCTION_START_LINE, (uint64_t)f->start_line);
    prof_wire_end(&e->wire, message);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void put_header(struct encoder *e, const struct prof_snapshot *s)
{
    const struct prof_description *about = s->about;
    for (int i = 0; i < about->nvalues; i++)
        put_value_type(e, PROFILE_SAMPLE_TYPE, &about->values[i]);
    put_value_type(e, PROFILE_PERIOD_TYPE, &about->period_type);
    put(e, PROFILE_PERIOD, (uint64_t)s->period);
    put(e, PROFILE_TIME_NANOS, (uint64_t)s->time_ns);
    put(e, PROFILE_DURATION_NANOS, (uint64_t)s->duration_ns);
    put(e, PROFILE_DEFAULT_SAMPLE_TYPE, string(e, about->default_sample_type));
}

static void put_comment(struct encoder *e, uint64_t n, const char *what)
{
    char text[160];
    if (n == 0)
        return;
    snprintf(text, sizeof text, "dropped since start: %" PRIu64 " %s", n, what);
    prof_wire_uint(&e->wire, PROFILE_COMMENT, string(e, text));
}

static void put_comments(struct encoder *e)
{
    struct prof_drops d;
    prof_drops(&d);
    put_comment(e, d.cpu_samples,
                "CPU samples without a stack (no memory, or a thread that blocks SIGPROF)");
    put_comment(e, d.cpu_timers,
                "CPU timers (these threads are not in CPU profiles; see ulimit -i)");
    put_comment(e, d.heap_samples, "heap samples (no memory)");
    put_comment(e, d.lock_samples, "block and mutex samples (no memory)");
    put_comment(e, d.labels, "label sets (no memory)");
    put_comment(e, d.threads, "threads' stacks (they did not answer in time)");
}

static void put_all(struct encoder *e, const struct prof_snapshot *s)
{
    prof_pool_intern(&e->strings, "", 0);
    put_header(e, s);
    put_comments(e);
    for (size_t i = 0; i < s->nsamples; i++)
        put_sample(e, &s->samples[i], s->about->nvalues);
    for (size_t i = 0; i < e->symbols.nmappings; i++)
        put_mapping(e, i);
    for (size_t i = 0; i < e->symbols.nlocations; i++)
        put_location(e, i);
    for (uint32_t i = 0; i < e->nfunctions; i++)
        put_function(e, i);
    for (uint32_t i = 0; i < e->strings.nstrings; i++)
        prof_wire_string(&e->wire, PROFILE_STRING_TABLE, e->strings.strings[i]);
}

int prof_encode_symbolized(const struct prof_snapshot *s, const struct prof_symbols *symbols,
                           int fd)
{
    struct encoder e = {.symbols = *symbols};
    int err = prof_wire_open_gzip(&e.wire, fd);
    if (!err) {
        put_all(&e, s);
        if (e.strings.failed && !e.wire.error)
            e.wire.error = -ENOMEM; /* ends the stream without a valid trailer */
        err = prof_wire_close(&e.wire);
    }
    prof_pool_free(&e.strings);
    free(e.functions);
    free(e.slots);
    return err;
}

int prof_encode_proto(const struct prof_snapshot *s, int fd)
{
    struct prof_symbols symbols;
    int err = prof_snapshot_symbolize(s, &symbols);
    if (err)
        return err;
    err = prof_encode_symbolized(s, &symbols, fd);
    prof_symbols_free(&symbols);
    return err;
}
