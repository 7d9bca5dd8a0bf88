/* Equal stacks with equal labels are one entry. A frame is an address to the encoder of profiles:
 * here frame number i of the trace has the address i + 1, and the word number w one behind all
 * frames; what stands there is the trace's to say, so nothing is looked up anywhere else. */
#include "cmd/trace/samples.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void samples_begin(struct samples *s, const struct trace *t, const char *const keys[SAMPLE_LABELS])
{
    *s = (struct samples){.t = t};
    memcpy(s->keys, keys, sizeof s->keys);
    prof_pool_intern(&s->pool, "", 0);
}

void samples_free(struct samples *s)
{
    free(s->entries);
    free(s->all_pcs);
    id_map_free(&s->entry_of);
    prof_pool_free(&s->pool);
}

static void push(struct samples *s, uintptr_t pc)
{
    if (s->npcs < PROF_MAX_FRAMES)
        s->pcs[s->npcs++] = pc;
}

void samples_push_word(struct samples *s, uint32_t string)
{
    if (string)
        push(s, (uintptr_t)s->t->nframes + 1 + string);
}

void samples_push_stack(struct samples *s, uint32_t stack)
{
    const struct trace_stack *k = &s->t->stacks[stack];

    for (uint32_t i = 0; i < k->n; i++)
        push(s, (uintptr_t)s->t->stack_frames[k->first + i] + 1);
}

static bool equal(const struct samples *s, const struct samples_entry *e,
                  const uint32_t labels[SAMPLE_LABELS])
{
    return e->npcs == s->npcs && memcmp(e->labels, labels, sizeof e->labels) == 0 &&
           memcmp(s->all_pcs + e->first, s->pcs, s->npcs * sizeof *s->pcs) == 0;
}

static struct samples_entry *new_entry(struct samples *s, uint64_t hash,
                                       const uint32_t labels[SAMPLE_LABELS])
{
    s->entries = array_grow(s->entries, s->n, &s->capacity, sizeof *s->entries);
    struct samples_entry *e = &s->entries[s->n];
    *e = (struct samples_entry){.first = s->nall_pcs, .npcs = s->npcs};
    memcpy(e->labels, labels, sizeof e->labels);
    for (uint32_t i = 0; i < s->npcs; i++) {
        s->all_pcs = array_grow(s->all_pcs, s->nall_pcs, &s->call_pcs, sizeof *s->all_pcs);
        s->all_pcs[s->nall_pcs++] = s->pcs[i];
    }
    id_map_set(&s->entry_of, hash, s->n++);
    return e;
}

void samples_add(struct samples *s, const char *const values[SAMPLE_LABELS], int64_t ns)
{
    uint32_t labels[SAMPLE_LABELS], i;

    if (s->npcs == 0)
        push(s, (uintptr_t)s->t->nframes + 1); /* the empty word */
    uint64_t hash = s->npcs;
    for (int k = 0; k < SAMPLE_LABELS; k++) {
        const char *value = values[k] ? values[k] : "";
        labels[k] = prof_pool_intern(&s->pool, value, strlen(value));
        hash = (hash ^ labels[k]) * UINT64_C(0x9e3779b97f4a7c15);
    }
    for (uint32_t k = 0; k < s->npcs; k++)
        hash = (hash ^ hash >> 31 ^ s->pcs[k]) * UINT64_C(0x9e3779b97f4a7c15);
    while ((i = id_map_get(&s->entry_of, hash)) != TRACE_NONE && !equal(s, &s->entries[i], labels))
        hash++;
    struct samples_entry *e = i != TRACE_NONE ? &s->entries[i] : new_entry(s, hash, labels);
    e->values[0]++;
    e->values[1] = add_ns(e->values[1], ns);
    s->npcs = 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static const struct prof_labels *entry_labels(const struct samples *s,
                                              const struct samples_entry *e, struct prof_pool *pool)
{
    struct prof_labels *labels =
        prof_pool_alloc(pool, sizeof *labels + SAMPLE_LABELS * sizeof labels->labels[0]);

    for (int i = 0; labels && i < SAMPLE_LABELS; i++)
        if (e->labels[i])
            labels->labels[labels->n++] =
                (struct prof_label){s->keys[i], s->pool.strings[e->labels[i]]};
    return labels;
}

static int compare_pcs(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

static struct prof_line line_of(const struct trace *t, uintptr_t pc)
{
    if (pc > t->nframes) {
        const char *word = trace_text(t, (uint32_t)(pc - t->nframes - 1));
        if (!*word)
            word = "unknown";
        return (struct prof_line){.function = word, .system_name = word, .file = ""};
    }
    const struct trace_frame *f = &t->frames[pc - 1];
    const char *name = trace_text(t, f->function);
    if (!*name)
        name = trace_text(t, f->module);
    return (struct prof_line){.function = *name ? name : "unknown",
                              .system_name = *name ? name : "unknown",
                              .file = trace_text(t, f->file),
                              .line = f->line};
}

/* A location for each address in use, in order. */
static int make_symbols(const struct samples *s, struct prof_symbols *out, struct prof_pool *pool)
{
    uintptr_t *pcs = array_resize(NULL, s->nall_pcs, sizeof *pcs);
    size_t n = 0;

    memcpy(pcs, s->all_pcs, s->nall_pcs * sizeof *pcs);
    qsort(pcs, s->nall_pcs, sizeof *pcs, compare_pcs);
    for (uint32_t i = 0; i < s->nall_pcs; i++)
        if (n == 0 || pcs[n - 1] != pcs[i])
            pcs[n++] = pcs[i];
    struct prof_line *lines = prof_pool_alloc(pool, n * sizeof *lines);
    out->locations = prof_pool_alloc(pool, n * sizeof *out->locations);
    out->mappings = prof_pool_alloc(pool, sizeof *out->mappings);
    if (lines && out->locations && out->mappings) {
        out->nlocations = n;
        out->nmappings = 1;
        *out->mappings = (struct prof_mapping){.start = 1,
                                               .end = n ? pcs[n - 1] + 1 : 2,
                                               .file = trace_text(s->t, s->t->process_name),
                                               .build_id = "",
                                               .has_functions = true,
                                               .has_filenames = true,
                                               .has_line_numbers = true,
                                               .has_inline_frames = true};
        for (size_t i = 0; i < n; i++) {
            lines[i] = line_of(s->t, pcs[i]);
            out->locations[i] =
                (struct prof_location){.pc = pcs[i], .mapping = 0, .nlines = 1, .lines = &lines[i]};
        }
    }
    free(pcs);
    return pool->failed ? -ENOMEM : 0;
}

int samples_write(const struct samples *s, const struct trace_view *v,
                  const struct prof_description *about, int fd)
{
    struct prof_pool pool = {0};
    struct prof_symbols symbols = {0};
    struct prof_snapshot snap = {
        .about = about,
        .time_ns = v->t->wall_ns ? v->t->wall_ns + (v->from_ns - v->t->start_ns) : 0,
        .duration_ns = v->to_ns - v->from_ns};
    int err = s->pool.failed ? -ENOMEM : make_symbols(s, &symbols, &pool);

    for (uint32_t i = 0; !err && i < s->n; i++) {
        const struct samples_entry *e = &s->entries[i];
        struct prof_sample sample = {.pcs = s->all_pcs + e->first,
                                     .npcs = e->npcs,
                                     .labels = entry_labels(s, e, &pool),
                                     .values = {e->values[0], e->values[1]}};
        err = prof_snapshot_add(&snap, &sample);
    }
    if (!err && pool.failed)
        err = -ENOMEM;
    if (!err)
        err = prof_encode_symbolized(&snap, &symbols, fd);
    free(snap.samples);
    prof_pool_free(&pool);
    return err;
}
