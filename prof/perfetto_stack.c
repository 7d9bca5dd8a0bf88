/* A chunk's strings and stacks: each is written once, with a number (an iid) that events refer to.
 *
 * What a chunk needs is gathered first, then all its program counters are resolved at once;
 * symbolize.c remembers those of the chunks before. A frame's iid is that of its location's first
 * line plus the line's place, so that inlined functions are frames of their own. */
#include "prof/perfetto.h"
#include "prof/symbols.h"

#include <errno.h>
#include <stdlib.h>

enum { /* InternedData */
       INTERNED_CATEGORIES = 1,
       INTERNED_NAMES = 2,
       INTERNED_ANNOTATIONS = 3,
       INTERNED_FUNCTIONS = 5,
       INTERNED_FRAMES = 6,
       INTERNED_CALLSTACKS = 7,
       INTERNED_BUILD_IDS = 16,
       INTERNED_MAPPING_PATHS = 17,
       INTERNED_SOURCE_PATHS = 18,
       INTERNED_MAPPINGS = 19,
       STRING_IID = 1,
       STRING_TEXT = 2,
};

static const char *const fixed_names[] = {
    [NAME_UNLOCK] = "unlock", [NAME_SIGNAL] = "signal", [NAME_BROADCAST] = "broadcast",
    [NAME_POST] = "post",     [NAME_ARRIVE] = "arrive", [NAME_EXIT] = "exit",
    [NAME_START] = "start",   [NAME_GC] = "GC",         [NAME_STOP_THE_WORLD] = "stop the world",
};
static const char *const fixed_categories[CATEGORIES] = {
    [CATEGORY_BLOCK] = "block",   [CATEGORY_SYSCALL] = "syscall", [CATEGORY_WAKE] = "wake",
    [CATEGORY_REGION] = "region", [CATEGORY_LOG] = "log",         [CATEGORY_TASK] = "task",
    [CATEGORY_THREAD] = "thread", [CATEGORY_COUNTER] = "counter", [CATEGORY_GC] = "gc",
    [CATEGORY_NOTICE] = "notice",
};
static const char *const annotations[ANNOTATIONS] = {
    [ANNOTATION_LOCK] = "lock",         [ANNOTATION_HOLDER] = "holder",
    [ANNOTATION_WOKEN_BY] = "woken_by", [ANNOTATION_FD] = "fd",
    [ANNOTATION_TASK] = "task",         [ANNOTATION_CATEGORY] = "category",
    [ANNOTATION_PARENT] = "parent",     [ANNOTATION_START_FUNCTION] = "start_function",
    [ANNOTATION_CREATOR] = "creator",   [ANNOTATION_NUMBER] = "number",
    [ANNOTATION_LIVE] = "live",         [ANNOTATION_GOAL] = "goal",
    [ANNOTATION_DROPPED] = "dropped",
};

/* ---- gathering ------------------------------------------------------------------------------- */

static size_t place_of(const struct prof_bucket **table, size_t slots, const struct prof_bucket *b)
{
    size_t i = (uintptr_t)b * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    while (table[i % slots] && table[i % slots] != b)
        i++;
    return i % slots;
}

static bool grow_stacks(struct perfetto *p)
{
    size_t slots = p->stack_slots ? p->stack_slots * 2 : 256;
    const struct prof_bucket **table = calloc(slots, sizeof *table);
    if (!table) {
        p->failed = true;
        return false;
    }
    for (size_t i = 0; i < p->stack_slots; i++)
        if (p->stacks[i])
            table[place_of(table, slots, p->stacks[i])] = p->stacks[i];
    free(p->stacks);
    p->stacks = table;
    p->stack_slots = slots;
    return true;
}

void perfetto_add_stack(struct perfetto *p, const struct prof_bucket *stack)
{
    if (!stack || (p->nstacks * 2 >= p->stack_slots && !grow_stacks(p)))
        return;
    size_t i = place_of(p->stacks, p->stack_slots, stack);
    p->nstacks += !p->stacks[i];
    p->stacks[i] = stack;
}

void perfetto_add_pc(struct perfetto *p, uintptr_t pc)
{
    if (p->npcs == p->pcs_capacity) {
        size_t capacity = p->pcs_capacity ? p->pcs_capacity * 2 : 1024;
        uintptr_t *more = realloc(p->pcs, capacity * sizeof *more);
        if (!more) {
            p->failed = true;
            return;
        }
        p->pcs = more;
        p->pcs_capacity = capacity;
    }
    p->pcs[p->npcs++] = pc;
}

void perfetto_add_name(struct perfetto *p, uint32_t iid)
{
    p->names_used[iid] = true;
}

void perfetto_add_category(struct perfetto *p, uint32_t iid)
{
    p->categories_used[iid] = true;
}

uint64_t perfetto_stack_iid(const struct perfetto *p, const struct prof_bucket *stack)
{
    if (!stack || !p->stack_slots)
        return 0;
    size_t i = place_of(p->stacks, p->stack_slots, stack);
    return p->stacks[i] == stack ? i + 1 : 0;
}

/* ---- strings --------------------------------------------------------------------------------- */

/* Readers refuse bytes that are no UTF-8. */
static void write_text(struct perfetto *p, int field, struct prof_pool *pool, const char *text)
{
    uint32_t i = prof_pool_intern(pool, text, strlen(text));
    prof_wire_string(p->w, field, pool->strings ? pool->strings[i] : "");
}

static void write_string(struct perfetto *p, int field, uint64_t iid, const char *text,
                         struct prof_pool *pool)
{
    size_t at = prof_wire_begin(p->w, field);
    prof_wire_uint(p->w, STRING_IID, iid);
    write_text(p, STRING_TEXT, pool, text);
    prof_wire_end(p->w, at);
}

static void write_names(struct perfetto *p, struct prof_pool *pool)
{
    for (uint32_t i = 0; i < FIXED_IID; i++) {
        if (p->names_used[i])
            write_string(p, INTERNED_NAMES, i, prof_name_text(i), pool);
        if (p->categories_used[i])
            write_string(p, INTERNED_CATEGORIES, i, prof_name_text(i), pool);
    }
    for (uint32_t i = 0; i < NAMES; i++)
        if (p->names_used[FIXED_IID + i])
            write_string(p, INTERNED_NAMES, FIXED_IID + i,
                         i < PROF_WHATS ? prof_what_names[i] : fixed_names[i], pool);
    for (uint32_t i = 0; i < CATEGORIES; i++)
        if (p->categories_used[FIXED_IID + i])
            write_string(p, INTERNED_CATEGORIES, FIXED_IID + i, fixed_categories[i], pool);
    for (uint32_t i = 1; i < ANNOTATIONS; i++)
        write_string(p, INTERNED_ANNOTATIONS, i, annotations[i], pool);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

/* What prof_symbolize gives, without names: the modules that the program counters are in.
 * Everything is in one pool. */
static int place(const uintptr_t *pcs, size_t n, struct prof_symbols *out)
{
    struct prof_pool *pool = calloc(1, sizeof *pool);
    struct prof_map *maps;
    size_t nmaps = pool ? prof_maps_read(pool, &maps) : 0;
    uintptr_t *sorted = nmaps ? prof_pool_alloc(pool, n * sizeof *sorted) : NULL;
    *out = (struct prof_symbols){.memory = pool};
    if (sorted) {
        out->mappings = prof_pool_alloc(pool, nmaps * sizeof *out->mappings);
        out->locations = prof_pool_alloc(pool, n * sizeof *out->locations);
    }
    if (!sorted || !out->mappings || !out->locations)
        return -ENOMEM;
    memcpy(sorted, pcs, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, ascending);
    for (size_t i = 0; i < nmaps; i++)
        out->mappings[i] = (struct prof_mapping){
            maps[i].start, maps[i].end, maps[i].offset, maps[i].path, "", 0, 0, 0, 0};
    out->nmappings = nmaps;
    for (size_t i = 0; i < n; i++) {
        const struct prof_map *m = prof_maps_find(maps, nmaps, sorted[i]);
        if (i == 0 || sorted[i] != sorted[i - 1])
            out->locations[out->nlocations++] =
                (struct prof_location){.pc = sorted[i], .mapping = m ? (int)(m - maps) : -1};
    }
    return 0;
}

static void resolve(struct perfetto *p)
{
    for (size_t i = 0; i < p->stack_slots; i++)
        for (uint32_t k = 0; p->stacks[i] && k < p->stacks[i]->npcs; k++)
            perfetto_add_pc(p, p->stacks[i]->pcs[k]);
    if (p->npcs == 0)
        return;
    if ((p->chunk->without_symbols ? place : prof_symbolize)(p->pcs, p->npcs, &p->symbols) != 0)
        p->symbols = (struct prof_symbols){0};
    p->first_frame = calloc(p->symbols.nlocations + 1, sizeof *p->first_frame);
    p->failed |= !p->first_frame;
}

const char *perfetto_function(const struct perfetto *p, uintptr_t pc)
{
    const struct prof_location *l =
        p->symbols.nlocations ? prof_symbols_find(&p->symbols, pc) : NULL;
    return l && l->nlines ? l->lines[l->nlines - 1].function : "";
}

/* iids are numbers in the pool plus one; told[] which have been written. */
struct strings {
    struct prof_pool pool;
    uint32_t told;
};

static uint64_t string_iid(struct perfetto *p, struct strings *s, int field, const char *text)
{
    uint32_t i = prof_pool_intern(&s->pool, text, strlen(text));
    if (i == 0 || !s->pool.strings)
        return 0;
    if (i > s->told) {
        size_t at = prof_wire_begin(p->w, field);
        prof_wire_uint(p->w, STRING_IID, i);
        prof_wire_string(p->w, STRING_TEXT, s->pool.strings[i]);
        prof_wire_end(p->w, at);
        s->told = i;
    }
    return i;
}

/* Where nothing is known of a program counter: its module and the offset in the file. */
static const char *place_text(const struct perfetto *p, const struct prof_location *l, char *buffer,
                              size_t bytes)
{
    if (l->mapping < 0) {
        snprintf(buffer, bytes, "0x%lx", (unsigned long)l->pc);
        return buffer;
    }
    const struct prof_mapping *m = &p->symbols.mappings[l->mapping];
    const char *slash = strrchr(m->file, '/');
    snprintf(buffer, bytes, "%s+0x%lx", slash ? slash + 1 : m->file,
             (unsigned long)(l->pc - m->start + m->offset));
    return buffer;
}

struct tables {
    struct strings functions, paths, files, build_ids;
};

static void write_frame(struct perfetto *p, struct tables *t, const struct prof_location *l,
                        int line)
{
    enum { FRAME_IID = 1, FRAME_FUNCTION, FRAME_MAPPING, FRAME_REL_PC, FRAME_PATH, FRAME_LINE };
    char place[300];
    const struct prof_line *at_line = l->nlines ? &l->lines[line] : NULL;
    const char *name =
        at_line && *at_line->function ? at_line->function : place_text(p, l, place, sizeof place);
    uint64_t function = string_iid(p, &t->functions, INTERNED_FUNCTIONS, name), path = 0;
    if (at_line && *at_line->file)
        path = string_iid(p, &t->paths, INTERNED_SOURCE_PATHS, at_line->file);
    size_t at = prof_wire_begin(p->w, INTERNED_FRAMES);
    prof_wire_uint(p->w, FRAME_IID, ++p->nframes);
    prof_wire_uint(p->w, FRAME_FUNCTION, function);
    if (l->mapping >= 0) {
        const struct prof_mapping *m = &p->symbols.mappings[l->mapping];
        prof_wire_uint(p->w, FRAME_MAPPING, (uint64_t)l->mapping + 1);
        prof_wire_uint(p->w, FRAME_REL_PC, l->pc - m->start + m->offset);
    }
    if (path)
        prof_wire_uint(p->w, FRAME_PATH, path);
    if (at_line && at_line->line > 0)
        prof_wire_uint(p->w, FRAME_LINE, (uint64_t)at_line->line);
    prof_wire_end(p->w, at);
}

static void write_mapping(struct perfetto *p, struct tables *t, size_t i)
{
    enum {
        MAPPING_IID = 1,
        MAPPING_BUILD_ID,
        MAPPING_START_OFFSET,
        MAPPING_START,
        MAPPING_END,
        MAPPING_PATH = 7,
        MAPPING_OFFSET
    };
    const struct prof_mapping *m = &p->symbols.mappings[i];
    uint64_t file = string_iid(p, &t->files, INTERNED_MAPPING_PATHS, m->file);
    uint64_t build_id = string_iid(p, &t->build_ids, INTERNED_BUILD_IDS, m->build_id);
    size_t at = prof_wire_begin(p->w, INTERNED_MAPPINGS);
    prof_wire_uint(p->w, MAPPING_IID, i + 1);
    if (build_id)
        prof_wire_uint(p->w, MAPPING_BUILD_ID, build_id);
    prof_wire_uint(p->w, MAPPING_OFFSET, m->offset);
    prof_wire_uint(p->w, MAPPING_START, m->start);
    prof_wire_uint(p->w, MAPPING_END, m->end);
    if (file)
        prof_wire_uint(p->w, MAPPING_PATH, file);
    prof_wire_end(p->w, at);
}

static void write_frames(struct perfetto *p)
{
    struct tables t = {0};
    for (size_t i = 0; i < p->symbols.nmappings; i++)
        write_mapping(p, &t, i);
    for (size_t i = 0; i < p->symbols.nlocations && p->first_frame; i++) {
        const struct prof_location *l = &p->symbols.locations[i];
        p->first_frame[i] = p->nframes + 1;
        for (int line = 0; line < (l->nlines ? l->nlines : 1); line++)
            write_frame(p, &t, l, line);
    }
    p->failed |= t.functions.pool.failed || t.paths.pool.failed;
    prof_pool_free(&t.functions.pool);
    prof_pool_free(&t.paths.pool);
    prof_pool_free(&t.files.pool);
    prof_pool_free(&t.build_ids.pool);
}

/* The outermost frame first. */
static void write_callstack(struct perfetto *p, size_t i)
{
    enum { CALLSTACK_IID = 1, CALLSTACK_FRAMES };
    const struct prof_bucket *b = p->stacks[i];
    size_t at = prof_wire_begin(p->w, INTERNED_CALLSTACKS);
    prof_wire_uint(p->w, CALLSTACK_IID, i + 1);
    for (uint32_t k = b->npcs; k-- > 0;) {
        const struct prof_location *l = prof_symbols_find(&p->symbols, b->pcs[k]);
        uint32_t first = l ? p->first_frame[l - p->symbols.locations] : 0;
        for (int line = l && l->nlines ? l->nlines : 1; first && line-- > 0;)
            prof_wire_uint(p->w, CALLSTACK_FRAMES, first + (uint32_t)line);
    }
    prof_wire_end(p->w, at);
}

void perfetto_write_interned(struct perfetto *p)
{
    struct prof_pool pool = {0};
    resolve(p);
    size_t packet = perfetto_packet_begin(p, 0);
    size_t at = prof_wire_begin(p->w, PACKET_INTERNED_DATA);
    write_names(p, &pool);
    write_frames(p);
    for (size_t i = 0; i < p->stack_slots && p->symbols.nlocations && p->first_frame; i++)
        if (p->stacks[i])
            write_callstack(p, i);
    prof_wire_end(p->w, at);
    prof_wire_end(p->w, packet);
    prof_pool_free(&pool);
}

void perfetto_stacks_free(struct perfetto *p)
{
    prof_symbols_free(&p->symbols);
    free(p->stacks);
    free(p->pcs);
    free(p->first_frame);
}
