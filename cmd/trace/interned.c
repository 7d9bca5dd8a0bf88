/* Strings, frames and stacks are written once for each writer and named by number afterwards. Here
 * a writer's numbers are turned into the model's, where equal things are one. Within a message the
 * fields may come in any order, so those that others build upon are read first. */
#include "cmd/trace/reader.h"

#include <string.h>

/* InternedData. */
enum {
    DATA_CATEGORIES = 1,
    DATA_NAMES = 2,
    DATA_ARG_NAMES = 3,
    DATA_FUNCTIONS = 5,
    DATA_FRAMES = 6,
    DATA_STACKS = 7,
    DATA_MODULE_PATHS = 17,
    DATA_SOURCE_PATHS = 18,
    DATA_MAPPINGS = 19,
    DATA_ARG_TEXTS = 29,
};
/* Every entry has its number and, where it is a string, that. */
enum { ENTRY_IID = 1, ENTRY_TEXT = 2 };
enum { MAPPING_PATH_IDS = 7 };
enum { FRAME_FUNCTION = 2, FRAME_MAPPING, FRAME_PC, FRAME_PATH, FRAME_LINE };
enum { STACK_FRAMES = 2 };
enum { INLINE_FRAMES = 1, INLINE_FUNCTION = 1, INLINE_FILE, INLINE_LINE };
enum { MAX_FRAMES = 512 };

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

/* A number's string, or the empty one. */
static uint32_t text_of(const struct id_map *m, uint64_t iid)
{
    uint32_t s = id_map_get(m, iid);
    return s == TRACE_NONE ? KNOWN_EMPTY : s;
}

/* Equal hashes of different things go to the next hash. */
static uint32_t frame_intern(struct reader *r, const struct trace_frame *frame)
{
    struct trace *t = r->t;
    uint64_t hash = mix(mix(frame->function, (uint64_t)frame->file << 32 | frame->line),
                        frame->address ^ (uint64_t)frame->module << 48);

    for (;; hash++) {
        uint32_t i = id_map_get(&r->frame_of, hash);
        if (i == TRACE_NONE)
            break;
        const struct trace_frame *f = &t->frames[i];
        if (f->function == frame->function && f->file == frame->file && f->line == frame->line &&
            f->module == frame->module && f->address == frame->address)
            return i;
    }
    t->frames = array_grow(t->frames, t->nframes, &r->cframes, sizeof *t->frames);
    t->frames[t->nframes] = *frame;
    id_map_set(&r->frame_of, hash, t->nframes);
    return t->nframes++;
}

/* The stack of these frames, leaf first. */
static uint32_t stack_intern(struct reader *r, const uint32_t *frames, uint32_t n)
{
    struct trace *t = r->t;
    uint64_t hash = n;

    if (n == 0)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        hash = mix(hash, frames[i]);
    for (;; hash++) {
        uint32_t i = id_map_get(&r->stack_of, hash);
        if (i == TRACE_NONE)
            break;
        if (t->stacks[i].n == n &&
            memcmp(t->stack_frames + t->stacks[i].first, frames, n * sizeof *frames) == 0)
            return i;
    }
    t->stacks = array_grow(t->stacks, t->nstacks, &r->cstacks, sizeof *t->stacks);
    t->stacks[t->nstacks] = (struct trace_stack){t->nstack_frames, n};
    for (uint32_t i = 0; i < n; i++) {
        t->stack_frames = array_grow(t->stack_frames, t->nstack_frames, &r->cstack_frames,
                                     sizeof *t->stack_frames);
        t->stack_frames[t->nstack_frames++] = frames[i];
    }
    id_map_set(&r->stack_of, hash, t->nstacks);
    return t->nstacks++;
}

/* The file has the outermost frame first. What is deeper than MAX_FRAMES loses its outermost. */
static uint32_t stack_reversed(struct reader *r, uint32_t *frames, uint32_t n)
{
    for (uint32_t i = 0, j = n; i + 1 < j; i++) {
        uint32_t f = frames[i];
        frames[i] = frames[--j];
        frames[j] = f;
    }
    return stack_intern(r, frames, n);
}

static uint32_t push_frame(uint32_t *frames, uint32_t n, uint32_t frame)
{
    if (n == MAX_FRAMES)
        memmove(frames, frames + 1, --n * sizeof *frames);
    frames[n] = frame;
    return n + 1;
}

/* ---- entries --------------------------------------------------------------------------------- */

static void read_text(struct reader *r, struct id_map *to, struct message m)
{
    struct message_field f;
    uint64_t iid = 0;
    uint32_t text = KNOWN_EMPTY;

    while (message_next(&m, &f)) {
        if (f.number == ENTRY_IID)
            iid = f.value;
        else if (f.number == ENTRY_TEXT && f.type == MESSAGE_BYTES)
            text = reader_string(r, &f.bytes);
    }
    id_map_set(to, iid, text);
}

/* A module's path comes in pieces, which are joined by slashes. */
static void add_path(struct reader *r, struct sequence *s, uint64_t id, char *path, size_t size)
{
    const char *piece = trace_text(r->t, text_of(&s->modules, id));
    size_t used = strlen(path);

    if (used + strlen(piece) + 2 < size) {
        if (used && piece[0] != '/')
            path[used++] = '/';
        strcpy(path + used, piece);
    }
}

static void read_mapping(struct reader *r, struct sequence *s, struct message m)
{
    char path[4096] = "";
    struct message_field f;
    uint64_t iid = 0, id;

    while (message_next(&m, &f)) {
        if (f.number == ENTRY_IID)
            iid = f.value;
        else if (f.number == MAPPING_PATH_IDS && f.type == MESSAGE_VARINT)
            add_path(r, s, f.value, path, sizeof path);
        else if (f.number == MAPPING_PATH_IDS)
            while (message_varint(&f.bytes, &id))
                add_path(r, s, id, path, sizeof path);
    }
    id_map_set(&s->mappings, iid, prof_pool_intern(&r->t->strings, path, strlen(path)));
}

static void read_frame(struct reader *r, struct sequence *s, struct message m)
{
    struct trace_frame frame = {0};
    struct message_field f;
    uint64_t iid = 0;

    while (message_next(&m, &f)) {
        switch (f.number) {
        case ENTRY_IID:
            iid = f.value;
            break;
        case FRAME_FUNCTION:
            frame.function = text_of(&s->functions, f.value);
            break;
        case FRAME_MAPPING:
            frame.module = text_of(&s->mappings, f.value);
            break;
        case FRAME_PC:
            frame.address = f.value;
            break;
        case FRAME_PATH:
            frame.file = text_of(&s->paths, f.value);
            break;
        case FRAME_LINE:
            frame.line = (uint32_t)f.value;
            break;
        }
    }
    id_map_set(&s->frames, iid, frame_intern(r, &frame));
}

static void read_stack(struct reader *r, struct sequence *s, struct message m)
{
    uint32_t frames[MAX_FRAMES], n = 0;
    struct message_field f;
    uint64_t iid = 0, id;

    while (message_next(&m, &f)) {
        if (f.number == ENTRY_IID) {
            iid = f.value;
        } else if (f.number == STACK_FRAMES && f.type == MESSAGE_VARINT) {
            uint32_t frame = id_map_get(&s->frames, f.value);
            if (frame != TRACE_NONE)
                n = push_frame(frames, n, frame);
        } else if (f.number == STACK_FRAMES) {
            while (message_varint(&f.bytes, &id))
                if (id_map_get(&s->frames, id) != TRACE_NONE)
                    n = push_frame(frames, n, id_map_get(&s->frames, id));
        }
    }
    id_map_set(&s->stacks, iid, stack_reversed(r, frames, n));
}

/* ---- the whole ------------------------------------------------------------------------------- */

static struct id_map *texts_of(struct sequence *s, uint32_t field)
{
    switch (field) {
    case DATA_CATEGORIES:
        return &s->categories;
    case DATA_NAMES:
        return &s->names;
    case DATA_ARG_NAMES:
        return &s->arg_names;
    case DATA_ARG_TEXTS:
        return &s->arg_texts;
    case DATA_FUNCTIONS:
        return &s->functions;
    case DATA_SOURCE_PATHS:
        return &s->paths;
    case DATA_MODULE_PATHS:
        return &s->modules;
    default:
        return NULL;
    }
}

static void read_texts(struct reader *r, struct sequence *s, struct message m)
{
    struct message_field f;

    while (message_next(&m, &f)) {
        struct id_map *texts = texts_of(s, f.number);
        if (texts && f.type == MESSAGE_BYTES)
            read_text(r, texts, f.bytes);
    }
}

static void read_entries(struct reader *r, struct sequence *s, struct message m, uint32_t field,
                         void (*read)(struct reader *, struct sequence *, struct message))
{
    struct message_field f;

    while (message_next(&m, &f))
        if (f.number == field && f.type == MESSAGE_BYTES)
            read(r, s, f.bytes);
}

void read_interned(struct reader *r, struct sequence *s, struct message m)
{
    read_texts(r, s, m);
    read_entries(r, s, m, DATA_MAPPINGS, read_mapping);
    read_entries(r, s, m, DATA_FRAMES, read_frame);
    read_entries(r, s, m, DATA_STACKS, read_stack);
}

static uint32_t read_inline_frame(struct reader *r, struct message m)
{
    struct trace_frame frame = {0};
    struct message_field f;

    while (message_next(&m, &f)) {
        if (f.number == INLINE_FUNCTION)
            frame.function = reader_string(r, &f.bytes);
        else if (f.number == INLINE_FILE)
            frame.file = reader_string(r, &f.bytes);
        else if (f.number == INLINE_LINE)
            frame.line = (uint32_t)f.value;
    }
    return frame_intern(r, &frame);
}

uint32_t read_inline_stack(struct reader *r, struct message m)
{
    uint32_t frames[MAX_FRAMES], n = 0;
    struct message_field f;

    while (message_next(&m, &f))
        if (f.number == INLINE_FRAMES && f.type == MESSAGE_BYTES)
            n = push_frame(frames, n, read_inline_frame(r, f.bytes));
    return stack_reversed(r, frames, n);
}

/* ---- a writer's numbers ---------------------------------------------------------------------- */

static void each_map(struct sequence *s, void (*fn)(struct id_map *))
{
    struct id_map *maps[] = {&s->categories, &s->names, &s->arg_names, &s->arg_texts,
                             &s->functions,  &s->paths, &s->modules,   &s->mappings,
                             &s->frames,     &s->stacks};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        fn(maps[i]);
}

void sequence_clear(struct sequence *s)
{
    each_map(s, id_map_clear);
    s->default_clock = s->default_track = 0;
    s->has_state = true;
}

void sequence_free(struct sequence *s)
{
    each_map(s, id_map_free);
}
