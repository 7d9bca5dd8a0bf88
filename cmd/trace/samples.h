/* Samples on their way into a profile: stacks of the trace's frames, and of frames made of words.
 */
#ifndef CMD_TRACE_SAMPLES_H
#define CMD_TRACE_SAMPLES_H

#include "cmd/trace/analysis.h"
#include "cmd/trace/array.h"

enum { SAMPLE_LABELS = 3 };

struct sample_label {
    const char *key, *value; /* NULL: none */
};

struct samples {
    const struct trace *t;
    uintptr_t pcs[PROF_MAX_FRAMES]; /* of the stack under construction, leaf first */
    uint32_t npcs;

    struct samples_entry {
        uint32_t first, npcs;           /* into all_pcs */
        uint32_t labels[SAMPLE_LABELS]; /* values, strings of the pool; 0: none */
        int64_t values[2];              /* how many, nanoseconds */
    } * entries;
    uint32_t n, capacity;
    uintptr_t *all_pcs;
    uint32_t nall_pcs, call_pcs;
    const char *keys[SAMPLE_LABELS];
    struct id_map entry_of;
    struct prof_pool pool;
};

/* keys: the labels' names, in the order of the alphabet; NULL from where there are no more. */
void samples_begin(struct samples *s, const struct trace *t, const char *const keys[SAMPLE_LABELS]);
void samples_free(struct samples *s);

/* Outwards, a frame made of a word, or a stack of the trace. */
void samples_push_word(struct samples *s, uint32_t string);
void samples_push_stack(struct samples *s, uint32_t stack);

/* Ends the stack under construction: it counts once more, with so much time. values: of the labels.
 */
void samples_add(struct samples *s, const char *const values[SAMPLE_LABELS], int64_t ns);

/* Writes them. about: the profile's description; one value is the count, two are count and time. */
int samples_write(const struct samples *s, const struct trace_view *v,
                  const struct prof_description *about, int fd);

/* regions.c: time in regions, by what their threads were doing. name NULL: of all regions. */
void add_regions(struct samples *s, const struct trace_view *v, const char *name);

#endif
