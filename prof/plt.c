/* PCs in the procedure linkage table: the stubs through which a module calls others.
 *
 * They have neither symbols nor debug information, and a program that calls a library in a tight
 * loop spends a visible share there. A stub jumps through a slot of the global offset table, and
 * the relocation of that slot names the function; so the stub's own instructions are read. They are
 * shown as "memcpy@plt". */
#include "prof/symbols.h"

#include <stdio.h>
#include <string.h>

#ifdef __aarch64__
enum { PLT_HEADER_BYTES = 32 };
#else
enum { PLT_HEADER_BYTES = 16 };
#endif

struct stub {
    uint64_t address; /* of its first instruction */
    unsigned char code[16];
};

/* The table's section that holds the address, and the stub there. False: the address is not in such
 * a table. */
static bool find_stub(Elf *elf, uint64_t address, struct stub *out)
{
    size_t names;
    GElf_Shdr h;
    if (elf_getshdrstrndx(elf, &names) != 0)
        return false;
    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
        if (!gelf_getshdr(scn, &h) || address < h.sh_addr || address - h.sh_addr >= h.sh_size ||
            h.sh_type != SHT_PROGBITS)
            continue;
        const char *name = elf_strptr(elf, names, h.sh_name);
        if (!name || strncmp(name, ".plt", 4) != 0)
            continue;
        uint64_t size = h.sh_entsize >= 8 && h.sh_entsize <= 32 ? h.sh_entsize : sizeof out->code;
        uint64_t header = strcmp(name, ".plt") == 0 ? PLT_HEADER_BYTES : 0;
        if (address - h.sh_addr < header)
            return false;
        uint64_t at = header + (address - h.sh_addr - header) / size * size;
        Elf_Data *data = elf_getdata(scn, NULL);
        if (!data || !data->d_buf || data->d_size < at + 8)
            return false;
        size_t n = data->d_size - at < sizeof out->code ? data->d_size - at : sizeof out->code;
        *out = (struct stub){.address = h.sh_addr + at};
        memcpy(out->code, (const char *)data->d_buf + at, n);
        return true;
    }
    return false;
}

/* The address of the slot that the stub jumps through; 0: this is no stub that we know. */
#if defined(__x86_64__)
static uint64_t slot_of(const struct stub *s)
{
    for (size_t i = 0; i + 6 <= sizeof s->code; i++)
        if (s->code[i] == 0xff && s->code[i + 1] == 0x25) { /* jmp *displacement(%rip) */
            int32_t displacement;
            memcpy(&displacement, s->code + i + 2, sizeof displacement);
            return s->address + i + 6 + (uint64_t)(int64_t)displacement;
        }
    return 0;
}
#elif defined(__aarch64__)
static uint64_t slot_of(const struct stub *s)
{
    uint32_t code[4];
    memcpy(code, s->code, sizeof code);
    for (int i = 0; i < 3; i++)
        if ((code[i] & 0x9f00001f) == 0x90000010 && (code[i + 1] & 0xffc003ff) == 0xf9400211) {
            /* adrp x16, page; ldr x17, [x16, offset] */
            int64_t page = (int64_t)((uint64_t)(code[i] >> 5 & 0x7ffff) << 45) >> 31;
            page |= (int64_t)(code[i] >> 29 & 3) << 12;
            uint64_t here = (s->address + 4 * (uint64_t)i) & ~UINT64_C(0xfff);
            return here + (uint64_t)page + (code[i + 1] >> 10 & 0xfff) * 8;
        }
    return 0;
}
#else
static uint64_t slot_of(const struct stub *s)
{
    (void)s;
    return 0;
}
#endif

static const char *symbol_name(Elf *elf, uint32_t table, uint64_t index)
{
    Elf_Scn *scn = elf_getscn(elf, table);
    Elf_Data *data = scn ? elf_getdata(scn, NULL) : NULL;
    GElf_Shdr h;
    GElf_Sym s;
    if (!data || !gelf_getshdr(scn, &h) || index == 0 || index > INT32_MAX ||
        !gelf_getsym(data, (int)index, &s))
        return NULL;
    return elf_strptr(elf, h.sh_link, s.st_name);
}

/* What the relocation of this slot names; NULL: none does. */
static const char *name_of_slot(Elf *elf, uint64_t slot)
{
    GElf_Shdr h;
    GElf_Rela r;
    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
        Elf_Data *data =
            gelf_getshdr(scn, &h) && h.sh_type == SHT_RELA ? elf_getdata(scn, NULL) : NULL;
        for (int i = 0; data && gelf_getrela(data, i, &r); i++)
            if (r.r_offset == slot)
                return symbol_name(elf, h.sh_link, GELF_R_SYM(r.r_info));
    }
    return NULL;
}

static void resolve(Elf *elf, struct prof_target *t, struct prof_pool *pool)
{
    struct stub stub;
    char shown[512];
    uint64_t slot = find_stub(elf, t->address, &stub) ? slot_of(&stub) : 0;
    const char *name = slot ? name_of_slot(elf, slot) : NULL;
    if (!name || !name[0])
        return;
    snprintf(shown, sizeof shown, "%.*s@plt", (int)strcspn(name, "@"), name);
    t->symbol = t->shown_symbol = prof_pool_string(pool, shown);
    t->entry = stub.address;
}

void prof_plt_resolve(const struct prof_module *m, struct prof_target *targets, size_t n,
                      struct prof_pool *pool)
{
    for (size_t i = 0; i < n; i++)
        if (!targets[i].frame && !targets[i].symbol)
            resolve(m->elf, &targets[i], pool);
}
