/* The tables of a profile come in any order and refer to each other by number, so the file is
 * walked once for each: strings, functions, mappings, locations, samples. A location becomes the
 * functions of its lines, and a sample its functions: nobody who draws or counts asks for more.
 * Entered through saved_read and saved_open. */
#include "cmd/saved.h"
#include "cmd/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { FRAMES_MAX = 1 << 28 };
static const size_t bytes_max = 1u << 30;

enum { /* profile.proto */
       PROFILE_SAMPLE_TYPE = 1,
       PROFILE_SAMPLE = 2,
       PROFILE_MAPPING = 3,
       PROFILE_LOCATION = 4,
       PROFILE_FUNCTION = 5,
       PROFILE_STRING = 6,
       PROFILE_TIME_NS = 9,
       PROFILE_DURATION_NS = 10,
       PROFILE_DEFAULT_TYPE = 14,
};

struct by_id { /* a function, mapping or location of the file */
    uint64_t id;
    uint32_t function;    /* of a function: its place in functions */
    const char *name;     /* of a mapping: its file */
    struct message lines; /* of a location: the whole of it */
    UT_hash_handle hh;
};

struct by_name {
    const char *name;
    uint32_t function;
    UT_hash_handle hh;
};

struct saved_memory {
    struct message_file file;
    char **strings;
    size_t n_strings;
    uint32_t *frames;
    int64_t *values;
    struct by_id *functions, *mappings, *locations;
    struct by_name *names;
    char **made; /* names that are not in the file */
    size_t n_made;
};

/* Makes room for one more in an array that doubles; array is the address of the pointer to it. */
static int grow(void *array, size_t n, size_t size)
{
    void *old, *more;

    if (n & (n - 1))
        return 0;
    memcpy(&old, array, sizeof old);
    more = realloc(old, (n ? n * 2 : 1) * size);
    if (!more)
        return -ENOMEM;
    memcpy(array, &more, sizeof more);
    return 0;
}

/* Calls fn with every field of that number in the profile. */
static int each(struct saved *s, uint32_t number,
                int (*fn)(struct saved *, const struct message_field *))
{
    struct message m = s->memory->file.message;
    struct message_field f;
    int err = 0;

    while (!err && message_next(&m, &f))
        if (f.number == number)
            err = fn(s, &f);
    return err ? err : message_broken(&m) ? -EBADMSG : 0;
}

/* ---- strings --------------------------------------------------------------------------------- */

static int add_string(struct saved *s, const struct message_field *f)
{
    struct saved_memory *m = s->memory;
    int err = grow(&m->strings, m->n_strings, sizeof *m->strings);

    if (err || f->type != MESSAGE_BYTES)
        return err ? err : -EBADMSG;
    m->strings[m->n_strings] = strndup((const char *)f->bytes.at, message_size(&f->bytes));
    return m->strings[m->n_strings++] ? 0 : -ENOMEM;
}

static const char *string_at(const struct saved *s, uint64_t i)
{
    return i < s->memory->n_strings ? s->memory->strings[i] : NULL;
}

/* The numbers of the fields 1 to n of a message, and whether it is one; what is missing is 0. */
static int read_numbers(struct message m, uint64_t *value, uint32_t n)
{
    struct message_field f;

    memset(value, 0, (n + 1) * sizeof *value);
    while (message_next(&m, &f))
        if (f.number <= n)
            value[f.number] = f.value;
    return message_broken(&m) ? -EBADMSG : 0;
}

static int add_type(struct saved *s, const struct message_field *f)
{
    uint64_t value[3];
    int err = read_numbers(f->bytes, value, 2);

    err = err ? err : grow(&s->types, s->n_types, sizeof *s->types);
    if (err)
        return err;
    struct saved_type *t = &s->types[s->n_types++];
    *t = (struct saved_type){string_at(s, value[1]), string_at(s, value[2])};
    return t->type && t->unit ? 0 : -EBADMSG;
}

/* ---- functions ------------------------------------------------------------------------------- */

/* The place of a function by that name, which must live as long as s. */
static int intern(struct saved *s, const char *name, const char *file, uint32_t *place)
{
    struct saved_memory *m = s->memory;
    struct by_name *e;

    HASH_FIND_STR(m->names, name, e);
    if (!e) {
        int err = grow(&s->functions, s->n_functions, sizeof *s->functions);
        e = err ? NULL : malloc(sizeof *e);
        if (!e)
            return -ENOMEM;
        *e = (struct by_name){.name = name, .function = (uint32_t)s->n_functions};
        s->functions[s->n_functions++] = (struct saved_function){name, file};
        HASH_ADD_KEYPTR(hh, m->names, e->name, strlen(e->name), e);
    }
    *place = e->function;
    return 0;
}

static int add_by_id(struct by_id **table, struct by_id value)
{
    struct by_id *e;

    HASH_FIND(hh, *table, &value.id, sizeof value.id, e);
    if (e)
        return -EBADMSG;
    e = malloc(sizeof *e);
    if (!e)
        return -ENOMEM;
    *e = value;
    HASH_ADD(hh, *table, id, sizeof e->id, e);
    return 0;
}

static int add_function(struct saved *s, const struct message_field *f)
{
    uint64_t value[5];
    uint32_t place;
    int err = read_numbers(f->bytes, value, 4);
    const char *name = string_at(s, value[2]), *system_name = string_at(s, value[3]);
    const char *file = string_at(s, value[4]);

    if (err || !name || !system_name || !file)
        return -EBADMSG;
    if (!*name)
        name = *system_name ? system_name : "?";
    err = intern(s, name, file, &place);
    return err ? err
               : add_by_id(&s->memory->functions,
                           (struct by_id){.id = value[1], .function = place});
}

static int add_mapping(struct saved *s, const struct message_field *f)
{
    uint64_t value[6];
    int err = read_numbers(f->bytes, value, 5);
    const char *name = string_at(s, value[5]);

    if (err || !name)
        return -EBADMSG;
    const char *slash = strrchr(name, '/');
    return add_by_id(&s->memory->mappings,
                     (struct by_id){.id = value[1], .name = slash ? slash + 1 : name});
}

static int add_location(struct saved *s, const struct message_field *f)
{
    uint64_t value[4];
    int err = read_numbers(f->bytes, value, 3);

    return err ? err
               : add_by_id(&s->memory->locations,
                           (struct by_id){.id = value[1], .lines = f->bytes});
}

/* ---- samples --------------------------------------------------------------------------------- */

static int add_frame(struct saved *s, size_t *n, uint32_t function)
{
    if (*n >= FRAMES_MAX)
        return -EFBIG;
    int err = grow(&s->memory->frames, *n, sizeof *s->memory->frames);
    if (!err)
        s->memory->frames[(*n)++] = function;
    return err;
}

/* A place without a function goes by its module, else by its address. */
static int add_unknown(struct saved *s, size_t *n, struct message location)
{
    struct saved_memory *m = s->memory;
    struct by_id *mapping;
    uint64_t value[4];
    uint32_t place;
    char *name;
    int err = read_numbers(location, value, 3);

    err = err ? err : grow(&m->made, m->n_made, sizeof *m->made);
    if (err)
        return err;
    HASH_FIND(hh, m->mappings, &value[2], sizeof value[2], mapping);
    int made = mapping && *mapping->name ? asprintf(&name, "[%s]", mapping->name)
                                         : asprintf(&name, "0x%" PRIx64, value[3]);
    if (made < 0)
        return -ENOMEM;
    m->made[m->n_made++] = name;
    err = intern(s, name, "", &place);
    return err ? err : add_frame(s, n, place);
}

/* The functions of a location: the innermost line comes first in the file, too. */
static int add_frames(struct saved *s, size_t *n, uint64_t id)
{
    struct saved_memory *m = s->memory;
    struct by_id *location, *function;
    struct message_field f;
    uint64_t value[2];
    size_t before = *n;
    int err = 0;

    HASH_FIND(hh, m->locations, &id, sizeof id, location);
    if (!location)
        return -EBADMSG;
    struct message lines = location->lines;
    while (!err && message_next(&lines, &f)) {
        if (f.number != 4)
            continue;
        err = read_numbers(f.bytes, value, 1);
        if (err)
            break;
        HASH_FIND(hh, m->functions, &value[1], sizeof value[1], function);
        err = function ? add_frame(s, n, function->function) : -EBADMSG;
    }
    return err || *n > before ? err : add_unknown(s, n, location->lines);
}

/* Where the arrays still move, samples hold numbers of places; saved_read turns them into pointers.
 */
struct counts {
    size_t frames, values;
};

static int add_values(struct saved *s, struct counts *c, struct message_field *f)
{
    uint64_t value = f->value;
    int err = 0;

    if (f->type == MESSAGE_VARINT) {
        err = grow(&s->memory->values, c->values, sizeof *s->memory->values);
        if (!err)
            s->memory->values[c->values++] = (int64_t)value;
        return err;
    }
    while (!err && message_varint(&f->bytes, &value)) {
        err = grow(&s->memory->values, c->values, sizeof *s->memory->values);
        if (!err)
            s->memory->values[c->values++] = (int64_t)value;
    }
    return err ? err : message_broken(&f->bytes) ? -EBADMSG : 0;
}

static int add_locations(struct saved *s, struct counts *c, struct message_field *f)
{
    uint64_t id = f->value;
    int err = 0;

    if (f->type == MESSAGE_VARINT)
        return add_frames(s, &c->frames, id);
    while (!err && message_varint(&f->bytes, &id))
        err = add_frames(s, &c->frames, id);
    return err ? err : message_broken(&f->bytes) ? -EBADMSG : 0;
}

static int add_sample(struct saved *s, struct counts *c, struct message m)
{
    struct message_field f;
    struct counts before = *c;
    int err = 0;

    while (!err && message_next(&m, &f)) {
        if (f.number == 1)
            err = add_locations(s, c, &f);
        else if (f.number == 2)
            err = add_values(s, c, &f);
    }
    if (err || message_broken(&m) || c->values - before.values != s->n_types)
        return err ? err : -EBADMSG;
    err = grow(&s->samples, s->n_samples, sizeof *s->samples);
    if (!err)
        s->samples[s->n_samples++] = (struct saved_sample){.n_frames = c->frames - before.frames};
    return err;
}

static int add_samples(struct saved *s)
{
    struct message m = s->memory->file.message;
    struct message_field f;
    struct counts c = {0};
    int err = 0;

    while (!err && message_next(&m, &f)) {
        if (f.number == PROFILE_SAMPLE)
            err = add_sample(s, &c, f.bytes);
        else if (f.number == PROFILE_TIME_NS)
            s->time_ns = (int64_t)f.value;
        else if (f.number == PROFILE_DURATION_NS)
            s->duration_ns = (int64_t)f.value;
    }
    const uint32_t *frames = s->memory->frames;
    for (size_t i = 0; i < s->n_samples; i++) {
        s->samples[i].frames = frames;
        s->samples[i].values = s->memory->values + i * s->n_types;
        frames += s->samples[i].n_frames;
    }
    return err;
}

/* The type that the file says; else the last, as pprof takes it. */
static int choose_default(struct saved *s, const struct message_field *f)
{
    const char *name = string_at(s, f->value);
    int i = name && *name ? saved_type_index(s, name) : -1;

    if (i >= 0)
        s->default_type = (size_t)i;
    return 0;
}

static int read_tables(struct saved *s)
{
    int err = each(s, PROFILE_STRING, add_string);

    err = err ? err : each(s, PROFILE_SAMPLE_TYPE, add_type);
    if (!err && (s->n_types == 0 || s->memory->n_strings == 0))
        err = -EBADMSG;
    if (err)
        return err;
    s->default_type = s->n_types - 1;
    err = each(s, PROFILE_DEFAULT_TYPE, choose_default);
    err = err ? err : each(s, PROFILE_FUNCTION, add_function);
    err = err ? err : each(s, PROFILE_MAPPING, add_mapping);
    err = err ? err : each(s, PROFILE_LOCATION, add_location);
    return err ? err : add_samples(s);
}

int saved_read(struct saved *s, const char *path)
{
    *s = (struct saved){.memory = calloc(1, sizeof *s->memory)};
    if (!s->memory)
        return -ENOMEM;
    int err = message_file_read(&s->memory->file, path, bytes_max);
    err = err ? err : read_tables(s);
    if (err)
        saved_free(s);
    return err;
}

void saved_hide(struct saved *s, const char *prefix)
{
    size_t length = strlen(prefix);

    for (size_t i = 0; i < s->n_samples; i++) {
        struct saved_sample *sample = &s->samples[i];
        uint32_t *frames = s->memory->frames + (sample->frames - s->memory->frames);
        size_t kept = 0;
        for (size_t j = 0; j < sample->n_frames; j++)
            if (strncmp(s->functions[frames[j]].name, prefix, length) != 0)
                frames[kept++] = frames[j];
        sample->n_frames = kept;
    }
}

static void free_table(struct by_id **table)
{
    struct by_id *e, *next;

    HASH_ITER(hh, *table, e, next)
    {
        HASH_DEL(*table, e);
        free(e);
    }
}

void saved_free(struct saved *s)
{
    struct saved_memory *m = s->memory;
    struct by_name *e, *next;

    if (!m)
        return;
    HASH_ITER(hh, m->names, e, next)
    {
        HASH_DEL(m->names, e);
        free(e);
    }
    free_table(&m->functions);
    free_table(&m->mappings);
    free_table(&m->locations);
    for (size_t i = 0; i < m->n_strings; i++)
        free(m->strings[i]);
    for (size_t i = 0; i < m->n_made; i++)
        free(m->made[i]);
    message_file_free(&m->file);
    free(m->strings);
    free(m->made);
    free(m->frames);
    free(m->values);
    free(m);
    free(s->types);
    free(s->functions);
    free(s->samples);
    *s = (struct saved){0};
}
