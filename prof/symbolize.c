/* PCs to functions, files and lines, inline frames included, all in the process.
 *
 * A profile's PCs come at once: sorted, cut into runs that lie in one module, each module opened
 * once and closed again before the next, so that memory holds one module's debug information at a
 * time. What a module's debug information does not know, its symbol table may; what that does not
 * know either keeps its mapping and has no lines. Entered through prof_symbolize. */
#include "prof/symbols.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

struct work {
    struct prof_pool *pool;
    struct prof_target *targets; /* sorted, each PC once */
    size_t n;
    struct prof_map *maps;
    size_t nmaps;
    int *mapping_of; /* by map: its place in out->mappings, -1 for none yet */
    struct prof_symbols *out;
};

static int by_pc(const void *a, const void *b)
{
    uintptr_t x = ((const struct prof_target *)a)->pc, y = ((const struct prof_target *)b)->pc;
    return (x > y) - (x < y);
}

static int by_address(const void *a, const void *b)
{
    uint64_t x = ((const struct prof_target *)a)->address,
             y = ((const struct prof_target *)b)->address;
    return (x > y) - (x < y);
}

static bool take_pcs(struct work *w, const uintptr_t *pcs, size_t n)
{
    struct prof_target *t = calloc(n + 1, sizeof *t);
    if (!t)
        return false;
    for (size_t i = 0; i < n; i++)
        t[i].pc = pcs[i];
    qsort(t, n, sizeof *t, by_pc);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || t[i].pc != t[i - 1].pc)
            t[w->n++] = t[i]; /* w->n <= i: what is compared next is in place still */
    w->targets = t;
    return true;
}

/* ---- mappings -------------------------------------------------------------------------------- */

static int mapping_add(struct work *w, const struct prof_map *map, const struct prof_image *image)
{
    int *at = &w->mapping_of[map - w->maps];
    if (*at < 0) {
        *at = (int)w->out->nmappings++;
        w->out->mappings[*at] = (struct prof_mapping){
            .start = map->start,
            .end = map->end,
            .offset = map->offset,
            .file = map->path,
            .build_id = prof_pool_string(w->pool, image->build_id),
        };
    }
    return *at;
}

/* Viewers take the first mapping for the program itself. */
static void add_program(struct work *w)
{
    struct prof_image image;
    const struct prof_map *map = prof_maps_find(w->maps, w->nmaps, getauxval(AT_ENTRY));
    if (map && map->executable) {
        prof_image_from_memory(map->image, &image);
        mapping_add(w, map, &image);
    }
}

static bool read_maps(struct work *w)
{
    w->nmaps = prof_maps_read(w->pool, &w->maps);
    w->mapping_of = prof_pool_alloc(w->pool, w->nmaps * sizeof *w->mapping_of);
    w->out->mappings = prof_pool_alloc(w->pool, w->nmaps * sizeof *w->out->mappings);
    w->out->locations = prof_pool_alloc(w->pool, w->n * sizeof *w->out->locations);
    if (w->pool->failed)
        return false;
    memset(w->mapping_of, 0xff, w->nmaps * sizeof *w->mapping_of);
    add_program(w);
    return true;
}

/* ---- results
 * -----------------------------------------------------------------------------------------------
 */

static int depth_of(const struct prof_frame *f)
{
    int n = 0;
    for (; f; f = f->parent)
        n++;
    return n;
}

/* Where the function of the frame starts, which is shown in `file`. gcc says of some functions that
 * they start where a header declares them; then the line of the first instruction is as near as one
 * gets. */
static int start_line(const struct prof_target *t, const struct prof_frame *f, const char *file,
                      int line)
{
    if (strcmp(file, f->start_file) == 0)
        return f->start_line;
    bool usable =
        !f->parent && t->entry_line <= line && t->entry_file && strcmp(file, t->entry_file) == 0;
    return usable ? t->entry_line : 0;
}

/* A frame's line is the PC's own in the innermost, and where the next inner one was called in the
 * others. */
static void fill_lines(struct prof_line *lines, const struct prof_target *t)
{
    const char *file = t->file ? t->file : "";
    int line = t->line;
    for (const struct prof_frame *f = t->frame; f; f = f->parent, lines++) {
        *lines = (struct prof_line){f->function, f->linkage_name, file, line,
                                    start_line(t, f, file, line)};
        file = f->call_file;
        line = f->call_line;
    }
    if (!t->frame)
        *lines = (struct prof_line){t->shown_symbol, t->symbol, file, line, 0};
}

static void finish(struct work *w, const struct prof_target *t, int mapping)
{
    struct prof_location *l = &w->out->locations[w->out->nlocations++];
    *l = (struct prof_location){.pc = t->pc, .mapping = mapping};
    int n = t->frame ? depth_of(t->frame) : t->symbol ? 1 : 0;
    struct prof_line *lines = n ? prof_pool_alloc(w->pool, (size_t)n * sizeof *lines) : NULL;
    if (lines) {
        fill_lines(lines, t);
        l->lines = lines;
        l->nlines = n;
        l->entry = t->pc - (t->address - t->entry);
    }
    if (mapping < 0 || !lines)
        return;
    struct prof_mapping *m = &w->out->mappings[mapping];
    m->has_functions = true;
    m->has_filenames |= lines[0].file[0] != '\0';
    m->has_line_numbers |= lines[0].line > 0;
    m->has_inline_frames |= t->debug_info;
}

/* ---- modules
 * -----------------------------------------------------------------------------------------------
 */

static uint64_t lowest_code(const struct prof_image *image)
{
    uint64_t lowest = UINT64_MAX;
    for (int i = 0; i < image->nsegments; i++)
        if (image->segments[i].address < lowest)
            lowest = image->segments[i].address;
    return lowest;
}

/* The address in the file's terms; 0, which no code has, when it cannot be told. */
static void set_addresses(struct work *w, const struct prof_image *image,
                          struct prof_target *targets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct prof_map *map = prof_maps_find(w->maps, w->nmaps, targets[i].pc);
        if (!prof_image_address(image, targets[i].pc - map->start + map->offset,
                                &targets[i].address))
            targets[i].address = 0;
    }
}

static int look_into(const struct prof_map *map, struct prof_image *image, struct work *w,
                     struct prof_target *targets, size_t n)
{
    struct prof_module module;
    int err = 0;
    prof_module_open(&module, map, image);
    if (!image->nsegments && module.elf && prof_image_from_file(module.elf, image))
        set_addresses(w, image, targets, n);
    qsort(targets, n, sizeof *targets, by_address);
    for (size_t i = 0; i < n; i++)
        targets[i].debug_info = module.dwarf != NULL;
    if (module.dwarf)
        err = prof_dwarf_resolve(&module, lowest_code(image), targets, n, w->pool);
    if (!err && module.elf) {
        prof_elfsym_resolve(&module, targets, n, w->pool);
        prof_plt_resolve(&module, targets, n, w->pool);
    }
    if (!err && module.elf && !w->pool->failed)
        prof_cache_put(image->build_id, targets, n);
    prof_module_close(&module);
    return err;
}

/* Targets that lie in one module: those of `map`, and of its file's other mappings. */
static int resolve_module(struct work *w, const struct prof_map *map, struct prof_target *targets,
                          size_t n)
{
    struct prof_image image;
    int err = 0;
    prof_image_from_memory(map->image, &image);
    set_addresses(w, &image, targets, n);
    size_t known = prof_cache_get(image.build_id, targets, n, w->pool);
    if (known < n)
        err = look_into(map, &image, w, targets + known, n - known);
    if (err)
        return err;
    qsort(targets, n, sizeof *targets, by_pc);
    for (size_t i = 0; i < n; i++) {
        const struct prof_map *at = prof_maps_find(w->maps, w->nmaps, targets[i].pc);
        finish(w, &targets[i], mapping_add(w, at, &image));
    }
    return 0;
}

static const struct prof_map *map_of(const struct work *w, const struct prof_target *t)
{
    const struct prof_map *map = prof_maps_find(w->maps, w->nmaps, t->pc);
    return map && map->executable ? map : NULL;
}

static int resolve_all(void *arg)
{
    struct work *w = arg;
    size_t end;
    for (size_t i = 0; i < w->n; i = end) {
        const struct prof_map *map = map_of(w, &w->targets[i]), *other;
        end = i + 1;
        if (!map) {
            finish(w, &w->targets[i], -1);
            continue;
        }
        while (end < w->n && (other = map_of(w, &w->targets[end])) &&
               (other == map || (map->image && other->image == map->image)))
            end++;
        int err = resolve_module(w, map, &w->targets[i], end - i);
        if (err)
            return err;
    }
    return w->pool->failed ? -ENOMEM : 0;
}

int prof_symbolize(const uintptr_t *pcs, size_t n, struct prof_symbols *out)
{
    *out = (struct prof_symbols){0};
    struct prof_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return -ENOMEM;
    out->memory = pool;
    struct work w = {.pool = pool, .out = out};
    int err = take_pcs(&w, pcs, n) && read_maps(&w) ? prof_with_room(resolve_all, &w) : -ENOMEM;
    free(w.targets);
    if (err)
        prof_symbols_free(out);
    return err;
}

const struct prof_location *prof_symbols_find(const struct prof_symbols *s, uintptr_t pc)
{
    size_t low = 0, high = s->nlocations;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->locations[mid].pc < pc)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->nlocations && s->locations[low].pc == pc ? &s->locations[low] : NULL;
}

void prof_symbols_free(struct prof_symbols *s)
{
    if (s->memory)
        prof_pool_free(s->memory);
    free(s->memory);
    *s = (struct prof_symbols){0};
}
