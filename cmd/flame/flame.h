/* Flame graphs: the tree of calls, and its picture. */
#ifndef FLAME_H
#define FLAME_H

#include "cmd/saved.h"

#include <stdbool.h>
#include <stdio.h>

/* A function as called along one path from the root. Of two profiles, [0] is the base's. */
struct node {
    const char *name, *file;
    double total[2]; /* with what it calls; per operation where operations are given */
    double width; /* of the frame: the larger total of both, or more where its callees need more */
    int depth;    /* 0: the root */
    uint32_t folded; /* calls of itself that are drawn as one with it */
    struct node *parent, **child;
    size_t n_children;
};

struct tree {
    struct node *root;
    const char *unit;
    bool difference; /* of two profiles */
    int depth;       /* of the deepest node */
};

struct tree_options {
    int type;          /* of value */
    int side;          /* 0: the base, 1 */
    double operations; /* values are divided by that */
    bool fold;         /* a function that calls itself directly is one frame */
    const char *from; /* only what the innermost frame of that name calls, with itself; NULL: all */
};

/* Adds a profile. -ENOMEM. */
int tree_add(struct tree *t, const struct saved *s, const struct tree_options *o);

/* Once all is added: how wide each frame is. -ENOMEM. */
int tree_finish(struct tree *t);
void tree_free(struct tree *t);

struct picture {
    const char *title, *subtitle;
    const char *per;              /* after each value: "", " an operation" */
    int width;                    /* of the picture in CSS pixels */
    double least_width;           /* frames narrower than that are left out, and counted */
    const char *base_name, *name; /* of a difference: what is compared */
};

/* Writes the picture. The same tree gives the same bytes. */
void svg_write(FILE *out, const struct tree *t, const struct picture *p);

#endif
