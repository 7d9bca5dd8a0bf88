/* PCs to functions, inlined calls and lines, by debug information.
 *
 * Asking libdw about one PC at a time walks a unit's whole tree each time: 14 s for 10,000 PCs.
 * Here all PCs of a module come at once and sorted. First the units whose ranges hold none of them
 * are set aside; then each unit that is left is walked once, from its functions down into inlined
 * calls, descending only where a range holds a PC; every PC ends at the innermost frame that claims
 * it. Its line comes from the unit's line table. Whatever is broken in the file costs names and
 * lines, nothing else: all reading goes through libdw's checked accessors, and depth is bounded.
 * Entered through prof_dwarf_resolve. */
#include "prof/symbols.h"

#include <dwarf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEPTH = 128, /* of nested scopes; compilers stay below 50 */
    LINE_ROWS_KEPT =
        400000, /* libdw keeps every line table it has read: about 20 MB, then begin anew */
    LINE_ZERO_LOOK_BACK =
        64, /* rows without a line (compiler-made code) before the one that counts */
};

struct walk {
    struct prof_module *module;
    struct prof_target *targets;
    size_t n;
    struct prof_pool *pool;
    uint64_t lowest;       /* code below is what the linker has thrown away */
    Dwarf_Files *files;    /* of the unit at hand */
    const char *directory; /* where it was compiled */
    bool plain_c;          /* its language has no functions in scopes */
    size_t line_rows;      /* read since libdw last began */
};

/* The first target at or above address. */
static size_t first_target(const struct walk *w, uint64_t address)
{
    size_t low = 0, high = w->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (w->targets[mid].address < address)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct ranges { /* those of a DIE that hold targets, one after the other */
    Dwarf_Die *die;
    ptrdiff_t next;
    Dwarf_Addr base, start;
    size_t first, end; /* the targets within */
};

static bool ranges_next(const struct walk *w, struct ranges *r)
{
    Dwarf_Addr end;
    while ((r->next = dwarf_ranges(r->die, r->next, &r->base, &r->start, &end)) > 0) {
        if (r->start < w->lowest || end <= r->start)
            continue;
        r->first = r->end = first_target(w, r->start);
        while (r->end < w->n && w->targets[r->end].address < end)
            r->end++;
        if (r->first < r->end)
            return true;
    }
    return false;
}

/* ---- file names ------------------------------------------------------------------------------ */

/* Appends path to what stands from clean to `to`, element by element: /a/./b/../c is /a/c.
 * Compilers join names without looking. */
static char *append_clean(char *clean, char *to, const char *path)
{
    bool rooted = path[0] == '/' || (to > clean && clean[0] == '/');
    for (size_t n; *path; path += n + (path[n] == '/')) {
        n = strcspn(path, "/");
        char *slash = to > clean ? memrchr(clean, '/', (size_t)(to - clean)) : NULL;
        const char *last = slash ? slash + 1 : clean;
        bool up = n == 2 && memcmp(path, "..", 2) == 0,
             last_up = to - last == 2 && memcmp(last, "..", 2) == 0;
        if (up && to > clean && !last_up) {
            to = slash ? slash : clean;
        } else if (n > 0 && !(n == 1 && path[0] == '.') && !(up && rooted)) {
            if (to > clean || rooted)
                *to++ = '/';
            to = mempcpy(to, path, n);
        }
    }
    return to;
}

/* Absolute wherever the unit says where it was compiled. Reproducible builds say "./libfoo", and
 * their file names then start at the sources' root already, unless they climb. */
static const char *file_name(const struct walk *w, const char *path)
{
    if (!path || !*path)
        return "";
    bool join = path[0] != '/' && (w->directory[0] == '/' || strncmp(path, "../", 3) == 0);
    size_t size = strlen(path) + strlen(w->directory) + 3;
    char stack[1024];
    char *clean = size <= sizeof stack ? stack : prof_pool_alloc(w->pool, size), *to = clean;
    if (!clean)
        return "";
    if (join)
        to = append_clean(clean, to, w->directory);
    *append_clean(clean, to, path) = '\0';
    return prof_pool_string(w->pool, clean);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static const char *string_attribute(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute a;
    return dwarf_formstring(dwarf_attr_integrate(die, name, &a));
}

/* 0 when there is none or it makes no sense as a line or an index. */
static int number(Dwarf_Attribute *a)
{
    Dwarf_Word value;
    return a && dwarf_formudata(a, &value) == 0 && value < 1 << 30 ? (int)value : 0;
}

static const char *call_file(const struct walk *w, Dwarf_Die *die)
{
    Dwarf_Attribute a;
    Dwarf_Attribute *found = dwarf_attr(die, DW_AT_call_file, &a);
    if (!found || !w->files)
        return "";
    return file_name(w, dwarf_filesrc(w->files, (size_t)number(found), NULL, NULL));
}

/* DWARF 5 counts files from 0, the unit's own; libdw's dwarf_decl_file still takes 0 for none.
 * clang writes it for a source file outside of the folder it was started in. */
static const char *start_file(const struct walk *w, Dwarf_Die *die)
{
    Dwarf_Attribute a;
    Dwarf_Die unit;
    Dwarf_Files *files;
    const char *name = dwarf_decl_file(die);
    if (!name && dwarf_attr_integrate(die, DW_AT_decl_file, &a) && number(&a) == 0 &&
        dwarf_cu_die(a.cu, &unit, NULL, NULL, NULL, NULL, NULL, NULL) &&
        dwarf_getsrcfiles(&unit, &files, NULL) == 0)
        name = dwarf_filesrc(files, 0, NULL, NULL);
    return file_name(w, name);
}

static struct prof_frame *make_frame(const struct walk *w, Dwarf_Die *die,
                                     struct prof_frame *parent)
{
    struct prof_frame *f = prof_pool_alloc(w->pool, sizeof *f);
    if (!f)
        return NULL;
    Dwarf_Attribute a;
    const char *linkage = string_attribute(die, DW_AT_linkage_name);
    if (!linkage)
        linkage = string_attribute(die, DW_AT_MIPS_linkage_name);
    const char *name = dwarf_diename(die);
    f->parent = parent;
    /* In C a linkage name is an alias made by an asm label; the name is what was written. */
    bool mangled = linkage && (linkage[0] == '_' && (linkage[1] == 'Z' || linkage[1] == 'R'));
    f->function = mangled || !name ? prof_shown_name(w->pool, linkage ? linkage : "")
                                   : prof_pool_string(w->pool, name);
    f->linkage_name = prof_pool_string(w->pool, linkage ? linkage : name);
    f->start_line = number(dwarf_attr_integrate(die, DW_AT_decl_line, &a));
    f->start_file = start_file(w, die);
    if (parent) {
        f->call_line = number(dwarf_attr(die, DW_AT_call_line, &a));
        f->call_file = call_file(w, die);
    }
    return f;
}

/* Gives the frame of this function or inlined call to the targets that lie in it, as far as they
 * are the parent's (NULL: nobody's). NULL: there are none. */
static struct prof_frame *claim(const struct walk *w, Dwarf_Die *die, struct prof_frame *parent)
{
    struct prof_frame *frame = NULL;
    for (struct ranges r = {.die = die}; ranges_next(w, &r);)
        for (size_t i = r.first; i < r.end; i++) {
            if (w->targets[i].frame != parent)
                continue;
            if (!frame)
                frame = make_frame(w, die, parent);
            if (!frame)
                return NULL;
            w->targets[i].frame = frame;
            if (!parent)
                w->targets[i].entry = r.start;
        }
    return frame;
}

static bool holds_targets(const struct walk *w, Dwarf_Die *die)
{
    return ranges_next(w, &(struct ranges){.die = die});
}

static void walk_children(const struct walk *w, Dwarf_Die *die, struct prof_frame *parent,
                          int depth);

static void visit(const struct walk *w, Dwarf_Die *die, struct prof_frame *parent, int depth)
{
    struct prof_frame *frame = NULL;
    switch (dwarf_tag(die)) {
    case DW_TAG_subprogram:
        frame = claim(w, die, NULL);
        break;
    case DW_TAG_inlined_subroutine:
        frame = parent ? claim(w, die, parent) : NULL;
        break;
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
        frame = parent && holds_targets(w, die) ? parent : NULL;
        break;
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
        if (!parent && !w->plain_c)
            walk_children(w, die, NULL, depth);
        return;
    default:
        return;
    }
    if (frame)
        walk_children(w, die, frame, depth);
}

static void walk_children(const struct walk *w, Dwarf_Die *die, struct prof_frame *parent,
                          int depth)
{
    Dwarf_Die child;
    if (depth >= MAX_DEPTH || dwarf_child(die, &child) != 0)
        return;
    for (;;) {
        Dwarf_Off here = dwarf_dieoffset(&child);
        visit(w, &child, parent, depth + 1);
        /* A sibling lies further on; a broken file could lead in circles. */
        if (dwarf_siblingof(&child, &child) != 0 || dwarf_dieoffset(&child) <= here)
            return;
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static uint64_t row_address(Dwarf_Lines *lines, size_t i)
{
    Dwarf_Addr address = 0;
    dwarf_lineaddr(dwarf_onesrcline(lines, i), &address);
    return address;
}

/* The last row at or below address; n: none. */
static size_t row_of(Dwarf_Lines *lines, size_t n, uint64_t address)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (row_address(lines, mid) <= address)
            low = mid + 1;
        else
            high = mid;
    }
    return low ? low - 1 : n;
}

/* The first of the rows at address: the function's opening line, where other lines begin there too.
 */
static size_t first_row_of(Dwarf_Lines *lines, size_t n, uint64_t address)
{
    size_t row = row_of(lines, n, address);
    bool end = false;
    while (row < n && row > 0 && row_address(lines, row - 1) == address &&
           dwarf_lineendsequence(dwarf_onesrcline(lines, row - 1), &end) == 0 && !end)
        row--;
    return row;
}

/* The row that names a line, at or before the one given; NULL: none does. */
static Dwarf_Line *line_of(Dwarf_Lines *lines, size_t n, size_t row, int *number)
{
    for (int back = 0; row < n && back < LINE_ZERO_LOOK_BACK; row--, back++) {
        Dwarf_Line *line = dwarf_onesrcline(lines, row);
        bool end = true;
        *number = 0;
        if (dwarf_lineendsequence(line, &end) != 0 || end)
            return NULL;
        dwarf_lineno(line, number);
        if (*number > 0)
            return line;
    }
    return NULL;
}

static void resolve_line(const struct walk *w, Dwarf_Lines *lines, size_t n, struct prof_target *t)
{
    int number;
    Dwarf_Line *line = line_of(lines, n, row_of(lines, n, t->address), &number);
    if (!line)
        return;
    t->line = number;
    t->file = file_name(w, dwarf_linesrc(line, NULL, NULL));
    line = t->entry ? line_of(lines, n, first_row_of(lines, n, t->entry), &number) : NULL;
    if (!line)
        return;
    t->entry_line = number;
    t->entry_file = file_name(w, dwarf_linesrc(line, NULL, NULL));
}

static void resolve_lines(struct walk *w, Dwarf_Die *unit)
{
    Dwarf_Lines *lines;
    size_t n;
    if (dwarf_getsrclines(unit, &lines, &n) != 0)
        return;
    w->line_rows += n;
    for (struct ranges r = {.die = unit}; ranges_next(w, &r);)
        for (size_t i = r.first; i < r.end; i++)
            if (!w->targets[i].line)
                resolve_line(w, lines, n, &w->targets[i]);
}

/* ---- units ----------------------------------------------------------------------------------- */

static bool is_plain_c(Dwarf_Die *unit)
{
    switch (dwarf_srclang(unit)) {
    case DW_LANG_C:
    case DW_LANG_C89:
    case DW_LANG_C99:
    case DW_LANG_C11:
    case DW_LANG_Mips_Assembler:
        return true;
    default:
        return false;
    }
}

static void resolve_unit(struct walk *w, Dwarf_Die *unit)
{
    Dwarf_Die split;
    Dwarf_Die *tree = unit;
    uint8_t type;
    size_t nfiles;
    /* -gsplit-dwarf: functions are in another file, which libdw finds; lines are here. */
    if (dwarf_cu_info(unit->cu, NULL, &type, NULL, &split, NULL, NULL, NULL) == 0 &&
        type == DW_UT_skeleton && split.addr)
        tree = &split;
    w->plain_c = is_plain_c(tree);
    if (dwarf_getsrcfiles(tree, &w->files, &nfiles) != 0)
        w->files = NULL;
    Dwarf_Attribute a;
    w->directory = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &a));
    if (!w->directory)
        w->directory = "";
    walk_children(w, tree, NULL, 0);
    resolve_lines(w, unit);
}

struct units { /* offsets of the units that hold targets */
    Dwarf_Off *offsets;
    size_t n, capacity;
};

static bool units_add(struct units *u, Dwarf_Off offset)
{
    if (u->n == u->capacity) {
        size_t capacity = u->capacity ? u->capacity * 2 : 64;
        Dwarf_Off *offsets = realloc(u->offsets, capacity * sizeof *offsets);
        if (!offsets)
            return false;
        u->offsets = offsets;
        u->capacity = capacity;
    }
    u->offsets[u->n++] = offset;
    return true;
}

/* By the units' own ranges: .debug_aranges would be quicker, but clang writes none. */
static bool find_units(const struct walk *w, struct units *u)
{
    Dwarf_CU *cu = NULL;
    Dwarf_Die unit;
    uint8_t type;
    while (dwarf_get_units(w->module->dwarf, cu, &cu, NULL, &type, &unit, NULL) == 0)
        if ((type == DW_UT_compile || type == DW_UT_skeleton) && holds_targets(w, &unit) &&
            !units_add(u, dwarf_dieoffset(&unit)))
            return false;
    return true;
}

/* libdw's own way out of a failed allocation is to end the process. */
static _Thread_local jmp_buf *out_of_memory;

static __attribute__((noreturn)) void on_out_of_memory(void)
{
    longjmp(*out_of_memory, 1);
}

static int resolve_units(struct walk *w, struct units *u)
{
    jmp_buf back;
    if (setjmp(back))
        return -ENOMEM;
    out_of_memory = &back;
    dwarf_new_oom_handler(w->module->dwarf, on_out_of_memory);
    if (!find_units(w, u))
        return -ENOMEM;
    for (size_t i = 0; i < u->n; i++) {
        Dwarf_Die unit;
        if (w->line_rows > LINE_ROWS_KEPT) {
            w->line_rows = 0;
            if (!prof_module_reopen_dwarf(w->module))
                return 0;
            dwarf_new_oom_handler(w->module->dwarf, on_out_of_memory);
        }
        if (dwarf_offdie(w->module->dwarf, u->offsets[i], &unit))
            resolve_unit(w, &unit);
    }
    return 0;
}

int prof_dwarf_resolve(struct prof_module *m, uint64_t lowest, struct prof_target *targets,
                       size_t n, struct prof_pool *pool)
{
    struct walk w = {.module = m, .targets = targets, .n = n, .pool = pool, .lowest = lowest};
    struct units u = {0};
    int err = resolve_units(&w, &u);
    free(u.offsets);
    return err;
}
