/* PCs to the names in an ELF symbol table: what is left when there is no debug information, and for
 * functions written in assembly, which debug information does not name.
 *
 * The function symbols are sorted once; each PC is then a binary search. Several symbols can share
 * an address (aliases): the one that covers the PC and is global is the name that people know. */
#include "prof/symbols.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_BACK = 32, /* symbols that start below a PC and may still cover it */ RANK_SIZED = 8 };

struct symbol {
    uint64_t start, end; /* end is the section's when the symbol has no size */
    const char *name;
    uint8_t rank; /* the larger the better among those that cover a PC */
};

struct table {
    struct symbol *symbols;
    size_t n, capacity;
};

/* Sized before unsized, functions before labels, what others can call before what is local. */
static uint8_t rank_of(const GElf_Sym *s)
{
    int bind = GELF_ST_BIND(s->st_info), type = GELF_ST_TYPE(s->st_info);
    return (uint8_t)((s->st_size ? RANK_SIZED : 0) + (type == STT_NOTYPE ? 0 : 4) +
                     (bind == STB_LOCAL ? 0 : 2));
}

static bool is_code(Elf *elf, const GElf_Sym *s, const char *name, GElf_Shdr *section)
{
    int type = GELF_ST_TYPE(s->st_info);
    if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
        return false;
    /* Arm's mapping symbols ($x, $d) are no names. */
    if (!name || !name[0] || name[0] == '$' || s->st_shndx == SHN_UNDEF ||
        s->st_shndx >= SHN_LORESERVE)
        return false;
    Elf_Scn *scn = elf_getscn(elf, s->st_shndx);
    return scn && gelf_getshdr(scn, section) && (section->sh_flags & SHF_EXECINSTR);
}

static bool table_add(struct table *t, const struct symbol *s)
{
    if (t->n == t->capacity) {
        size_t capacity = t->capacity ? t->capacity * 2 : 1024;
        struct symbol *symbols = realloc(t->symbols, capacity * sizeof *symbols);
        if (!symbols)
            return false;
        t->symbols = symbols;
        t->capacity = capacity;
    }
    t->symbols[t->n++] = *s;
    return true;
}

static bool add_section(struct table *t, Elf *elf, Elf_Scn *scn, const GElf_Shdr *header)
{
    Elf_Data *data = elf_getdata(scn, NULL);
    GElf_Sym s;
    if (!data)
        return true;
    for (int i = 1; gelf_getsym(data, i, &s); i++) {
        GElf_Shdr section;
        const char *name = elf_strptr(elf, header->sh_link, s.st_name);
        if (!is_code(elf, &s, name, &section))
            continue;
        uint64_t end = s.st_size ? s.st_value + s.st_size : section.sh_addr + section.sh_size;
        if (!table_add(t, &(struct symbol){s.st_value, end, name, rank_of(&s)}))
            return false;
    }
    return true;
}

/* All symbol tables of one type. */
static bool add_tables(struct table *t, Elf *elf, uint32_t type)
{
    for (Elf_Scn *scn = NULL; elf && (scn = elf_nextscn(elf, scn));) {
        GElf_Shdr header;
        if (gelf_getshdr(scn, &header) && header.sh_type == type &&
            !add_section(t, elf, scn, &header))
            return false;
    }
    return true;
}

static size_t underscores(const char *name)
{
    return strspn(name, "_");
}

/* The best comes last: it is the one that is taken. */
static int by_start_then_rank(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (underscores(x->name) != underscores(y->name)) /* write is __write to its library only */
        return underscores(x->name) > underscores(y->name) ? -1 : 1;
    if (strlen(x->name) != strlen(y->name)) /* free is tc_free and cfree, too */
        return strlen(x->name) > strlen(y->name) ? -1 : 1;
    return strcmp(y->name, x->name);
}

static const struct symbol *lookup(const struct table *t, uint64_t address)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t->symbols[mid].start <= address)
            low = mid + 1;
        else
            high = mid;
    }
    for (size_t i = low; i-- > 0 && low - i <= LOOK_BACK;)
        if (address < t->symbols[i].end && (t->symbols[i].rank & RANK_SIZED))
            return &t->symbols[i];
    /* A symbol without a size reaches to the next one, whatever that is. */
    const struct symbol *last = low ? &t->symbols[low - 1] : NULL;
    return last && !(last->rank & RANK_SIZED) && address < last->end ? last : NULL;
}

/* "memcpy@@GLIBC_2.14" is memcpy. */
static const char *plain_name(struct prof_pool *pool, const char *name)
{
    size_t n = strcspn(name, "@");
    uint32_t i = prof_pool_intern(pool, name, n ? n : strlen(name));
    return i ? pool->strings[i] : NULL;
}

static struct prof_frame *outermost(const struct prof_target *t)
{
    struct prof_frame *f = t->frame;
    while (f && f->parent)
        f = f->parent;
    return f;
}

/* Does the table have something to say of it? Debug information calls functions by their library's
 * inner names, such as ___pthread_mutex_trylock; callers know an alias. */
static bool wanted(const struct prof_target *t)
{
    const struct prof_frame *f = outermost(t);
    return !f || f->function[0] == '_';
}

static bool any_wanted(const struct prof_target *targets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (wanted(&targets[i]))
            return true;
    return false;
}

static void name_target(struct prof_target *t, const struct symbol *s, struct prof_pool *pool)
{
    struct prof_frame *f = outermost(t);
    if (f && (s->start != t->entry || underscores(s->name) >= underscores(f->function)))
        return;
    const char *name = plain_name(pool, s->name);
    if (!name)
        return;
    if (f) {
        f->function = f->linkage_name = name;
        return;
    }
    t->symbol = name;
    t->shown_symbol = prof_shown_name(pool, name);
    t->entry = s->start;
}

void prof_elfsym_resolve(const struct prof_module *m, struct prof_target *targets, size_t n,
                         struct prof_pool *pool)
{
    struct table t = {0};
    if (!any_wanted(targets, n))
        return;
    bool ok = add_tables(&t, m->elf, SHT_SYMTAB) &&
              (t.n || add_tables(&t, m->debug_elf, SHT_SYMTAB)) &&
              (t.n || add_tables(&t, m->elf, SHT_DYNSYM));
    if (!ok)
        pool->failed = true;
    if (t.n)
        qsort(t.symbols, t.n, sizeof t.symbols[0], by_start_then_rank);
    for (size_t i = 0; i < n; i++) {
        const struct symbol *s = wanted(&targets[i]) ? lookup(&t, targets[i].address) : NULL;
        if (s)
            name_target(&targets[i], s, pool);
    }
    free(t.symbols);
}
