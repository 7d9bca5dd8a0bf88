/* A profile that was saved (profile.proto, packed or not), in memory: who was where, and how much
 * of what. What prof/encode.c writes can be read, and so can other programs' profiles. */
#ifndef CMD_SAVED_H
#define CMD_SAVED_H

#include <stddef.h>
#include <stdint.h>

struct saved_type {
    const char *type, *unit; /* "cpu", "nanoseconds" */
};

struct saved_function {
    const char *name; /* never empty: where nothing is known, the address */
    const char *file; /* "": not known */
};

struct saved_sample {
    const uint32_t *frames; /* functions, innermost first, inlined ones as well */
    size_t n_frames;
    const int64_t *values; /* one of each type */
};

struct saved {
    struct saved_type *types;
    size_t n_types, default_type;
    struct saved_function *functions; /* each name once, in no order */
    size_t n_functions;
    struct saved_sample *samples;
    size_t n_samples;
    int64_t time_ns, duration_ns; /* 0: not said */
    struct saved_memory *memory;  /* what the others point into */
};

/* Reads the profile at path. -EBADMSG: it is none, or one that contradicts itself. -EFBIG: it is
 * larger than 1 GiB. -EILSEQ: packed and damaged. Else what open(2) or read(2) said. After an error
 * there is nothing to free. */
int saved_read(struct saved *s, const char *path);
void saved_free(struct saved *s);

/* Takes the functions whose names begin with prefix out of all stacks: what they used is then their
 * callers'. */
void saved_hide(struct saved *s, const char *prefix);

/* The index of a sample type; NULL: of the default. As in pprof, "cpu" and "alloc_space" are names.
 * -1: none. */
int saved_type_index(const struct saved *s, const char *name);

/* For programs: saved_read, and saved_type_index; what goes wrong is said in one line that names
 * the file, and ends the program with 1. */
int saved_open(struct saved *s, const char *path, const char *type);

/* A value as people read it: "1.25 s", "512 MiB", "12,345". Returns buffer. */
const char *saved_format(char *buffer, size_t size, double value, const char *unit);

#endif
