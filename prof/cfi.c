/* Call frame information, boiled down: how to get from one PC's frame to its caller's, in one word.
 *
 * .eh_frame describes every register at every instruction; a walk that only wants return addresses
 * needs the stack pointer, the frame pointer and where the return address lies. Nearly all code
 * that a compiler made fits a rule of three numbers; what does not (signal frames, PLT entries,
 * hand-made expressions) is said to be complex and left to libgcc. Formats: DWARF 5, 6.4; Linux
 * Standard Base Core 5.0, 10.6 (.eh_frame, .eh_frame_hdr). Takes no lock (_dl_find_object,
 * glibc 2.35), allocates nothing: entered from signal handlers, through unwind.c. */
#include "prof/unwind.h"

#if PROF_UNWIND_FAST
#include <dlfcn.h>
#include <string.h>

enum { REG_FP = 6, REG_SP = 7, REG_RA = 16 }; /* x86-64 psABI, figure 3.36 */
enum { PE_PCREL_SDATA4 = 0x1b, PE_UDATA4 = 0x03, PE_DATAREL_SDATA4 = 0x3b };
enum { REMEMBER_DEPTH = 8 };

enum where { SAME, AT_CFA, UNDEFINED, ELSEWHERE };

struct saved {
    enum where where;
    int64_t offset;
};

struct row { /* the unwinding table's line for one PC */
    uint64_t cfa_reg;
    int64_t cfa_offset;
    bool cfa_expression;
    struct saved fp, ra;
};

struct program {
    const uint8_t *p, *end;
    uint64_t code_align;
    int64_t data_align;
    bool bad;
};

/* ---- reading --------------------------------------------------------------------------------- */

static uint64_t read_bytes(struct program *c, size_t n)
{
    uint64_t v = 0;
    if ((size_t)(c->end - c->p) < n) {
        c->bad = true;
        return 0;
    }
    memcpy(&v, c->p, n); /* little-endian, as x86-64 is */
    c->p += n;
    return v;
}

static uint64_t read_uleb(struct program *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = read_bytes(c, 1);
        v |= (byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    c->bad = true;
    return 0;
}

static int64_t read_sleb(struct program *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = read_bytes(c, 1);
        v |= (byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return (int64_t)(byte & 0x40 && shift < 57 ? v | ~UINT64_C(0) << (shift + 7) : v);
    }
    c->bad = true;
    return 0;
}

static void skip_block(struct program *c)
{
    uint64_t n = read_uleb(c);
    if (n > (uint64_t)(c->end - c->p))
        c->bad = true;
    else
        c->p += n;
}

/* ---- the unwinding table --------------------------------------------------------------------- */

static void set_register(struct row *r, uint64_t reg, enum where where, int64_t offset)
{
    struct saved s = {where, offset};
    if (reg == REG_FP)
        r->fp = s;
    else if (reg == REG_RA)
        r->ra = s;
}

static void restore_register(struct row *r, const struct row *initial, uint64_t reg)
{
    const struct saved *s = reg == REG_FP ? &initial->fp : &initial->ra;
    set_register(r, reg, s->where, s->offset);
}

/* The instructions that change a row and take operands of their own; DW_CFA_* by number. */
static void run_extended(struct program *c, uint8_t op, struct row *r, const struct row *initial)
{
    uint64_t reg;
    switch (op) {
    case 0x00: /* nop */
        break;
    case 0x05: /* offset_extended */
        reg = read_uleb(c);
        set_register(r, reg, AT_CFA, (int64_t)read_uleb(c) * c->data_align);
        break;
    case 0x06: /* restore_extended */
        restore_register(r, initial, read_uleb(c));
        break;
    case 0x07: /* undefined */
        set_register(r, read_uleb(c), UNDEFINED, 0);
        break;
    case 0x08: /* same_value */
        set_register(r, read_uleb(c), SAME, 0);
        break;
    case 0x09: /* register */
        set_register(r, read_uleb(c), ELSEWHERE, 0);
        read_uleb(c);
        break;
    case 0x0c: /* def_cfa */
        r->cfa_reg = read_uleb(c);
        r->cfa_offset = (int64_t)read_uleb(c);
        r->cfa_expression = false;
        break;
    case 0x0d: /* def_cfa_register */
        r->cfa_reg = read_uleb(c);
        r->cfa_expression = false;
        break;
    case 0x0e: /* def_cfa_offset */
        r->cfa_offset = (int64_t)read_uleb(c);
        break;
    case 0x0f: /* def_cfa_expression */
        r->cfa_expression = true;
        skip_block(c);
        break;
    case 0x10: /* expression */
    case 0x16: /* val_expression */
        set_register(r, read_uleb(c), ELSEWHERE, 0);
        skip_block(c);
        break;
    case 0x11: /* offset_extended_sf */
        reg = read_uleb(c);
        set_register(r, reg, AT_CFA, read_sleb(c) * c->data_align);
        break;
    case 0x2e: /* GNU_args_size */
        read_uleb(c);
        break;
    default: /* set_loc, the _sf and val_ forms and what is yet to come: rare enough for libgcc */
        c->bad = true;
    }
}

/* Advances the location, or gives -1 when op is something else. */
static int64_t advance(struct program *c, uint8_t op)
{
    if (op >> 6 == 1)
        return (int64_t)((op & 0x3f) * c->code_align);
    if (op < 0x02 || op > 0x04)
        return -1;
    return (int64_t)(read_bytes(c, (size_t)1 << (op - 2)) * c->code_align);
}

/* Runs the program up to the row of the PC that lies `distance` bytes after the function's start.
 */
static void run(struct program *c, struct row *r, const struct row *initial, uint64_t distance)
{
    struct row remembered[REMEMBER_DEPTH];
    int depth = 0;
    uint64_t at = 0;
    while (c->p < c->end && !c->bad) {
        uint8_t op = (uint8_t)read_bytes(c, 1);
        int64_t step = advance(c, op);
        if (step >= 0) {
            at += (uint64_t)step;
            if (at > distance)
                return;
        } else if (op >> 6 == 2) { /* offset */
            set_register(r, op & 0x3f, AT_CFA, (int64_t)read_uleb(c) * c->data_align);
        } else if (op >> 6 == 3) { /* restore */
            restore_register(r, initial, op & 0x3f);
        } else if (op == 0x0a && depth < REMEMBER_DEPTH) {
            remembered[depth++] = *r;
        } else if (op == 0x0b && depth > 0) {
            *r = remembered[--depth];
        } else {
            run_extended(c, op, r, initial);
        }
    }
}

/* ---- CIE and FDE ----------------------------------------------------------------------------- */

static struct program entry_at(const uint8_t *p)
{
    struct program c = {.p = p, .end = p + 4};
    uint64_t length = read_bytes(&c, 4);
    if (length == 0 || length == 0xffffffff) /* a terminator; 64-bit DWARF, which nobody emits */
        c.bad = true;
    c.end = c.p + (c.bad ? 0 : length);
    return c;
}

/* Leaves c at the CIE's instructions. Signal frames and unheard-of augmentations are bad. */
static void read_cie(struct program *c)
{
    uint64_t id = read_bytes(c, 4), version = read_bytes(c, 1);
    const char *augmentation = (const char *)c->p;
    while (read_bytes(c, 1) && !c->bad)
        ;
    c->code_align = read_uleb(c);
    c->data_align = read_sleb(c);
    uint64_t ra = version == 1 ? read_bytes(c, 1) : read_uleb(c);
    if (id != 0 || (version != 1 && version != 3) || ra != REG_RA || *augmentation++ != 'z') {
        c->bad = true;
        return;
    }
    uint64_t n = read_uleb(c);
    const uint8_t *data = c->p;
    for (; *augmentation && !c->bad; augmentation++) {
        uint8_t encoding = *augmentation == 'B' ? 0 : (uint8_t)read_bytes(c, 1);
        if (*augmentation == 'P') /* the personality: a pointer in the encoding's size */
            read_bytes(c, (encoding & 7) == 3 ? 4 : (encoding & 7) == 2 ? 2 : 8);
        else if (*augmentation == 'R' ? encoding != PE_PCREL_SDATA4 : *augmentation != 'L')
            c->bad = true;
    }
    if (n <= (uint64_t)(c->end - data))
        c->p = data + n;
    else
        c->bad = true;
}

static bool row_of(const uint8_t *fde, uintptr_t pc, struct row *r, bool *covered)
{
    struct program f = entry_at(fde);
    const uint8_t *id = f.p;
    uint64_t to_cie = read_bytes(&f, 4);
    if (f.bad || to_cie == 0)
        return false;
    struct program c = entry_at(id - to_cie);
    read_cie(&c);
    uintptr_t start = (uintptr_t)f.p;
    start += (uintptr_t)(int64_t)(int32_t)read_bytes(&f, 4);
    uint64_t range = read_bytes(&f, 4);
    skip_block(&f); /* augmentation data: where exceptions land */
    *covered = pc - start < range;
    if (c.bad || f.bad || !*covered)
        return false;
    f.code_align = c.code_align;
    f.data_align = c.data_align;
    struct row initial = {0};
    run(&c, &initial, &initial, UINT64_MAX);
    *r = initial;
    run(&f, r, &initial, pc - start);
    return !c.bad && !f.bad;
}

/* The FDE that may cover pc, by the sorted table in .eh_frame_hdr; NULL: none, or a table of
 * another kind. */
static const uint8_t *find_fde(const uint8_t *header, uintptr_t pc)
{
    struct entry {
        int32_t pc, fde; /* relative to the header */
    };
    if (header[0] != 1 || header[1] != PE_PCREL_SDATA4 || header[2] != PE_UDATA4 ||
        header[3] != PE_DATAREL_SDATA4)
        return NULL;
    uint32_t n;
    memcpy(&n, header + 8, sizeof n);
    const struct entry *table = (const struct entry *)(const void *)(header + 12);
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((uintptr_t)header + (uintptr_t)(int64_t)table[middle].pc <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? NULL : header + table[low - 1].fde;
}

static struct prof_unwind_rule boil_down(const struct row *r)
{
    struct prof_unwind_rule rule = {.kind = PROF_UNWIND_COMPLEX};
    if (r->ra.where == UNDEFINED) { /* how the first function of a thread is marked */
        rule.kind = PROF_UNWIND_END;
        return rule;
    }
    if (r->cfa_expression || (r->cfa_reg != REG_SP && r->cfa_reg != REG_FP) ||
        r->ra.where != AT_CFA || r->ra.offset != -8 || r->fp.where == ELSEWHERE ||
        r->cfa_offset < 8 || r->cfa_offset > INT32_MAX || r->fp.offset < INT16_MIN ||
        r->fp.offset > 0)
        return rule;
    rule.kind = r->cfa_reg == REG_SP ? PROF_UNWIND_SP : PROF_UNWIND_FP;
    rule.cfa_offset = (int32_t)r->cfa_offset;
    rule.fp_offset = r->fp.where == AT_CFA ? (int16_t)r->fp.offset : 0;
    return rule;
}

struct prof_unwind_rule prof_cfi_rule(uintptr_t pc)
{
    struct prof_unwind_rule none = {.kind = PROF_UNWIND_COMPLEX};
    struct dl_find_object object;
    struct row r;
    bool covered = true;
    if (_dl_find_object((void *)pc, &object) != 0 || !object.dlfo_eh_frame)
        return none;
    const uint8_t *fde = find_fde(object.dlfo_eh_frame, pc);
    return fde && row_of(fde, pc, &r, &covered) ? boil_down(&r) : none;
}
#endif
