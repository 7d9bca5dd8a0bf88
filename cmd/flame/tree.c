/* The tree of calls: samples enter at the root with their outermost frame and walk down to the
 * innermost. A frame of a difference is as wide as the larger of its two sides, so that what is
 * gone is still seen. Entered through tree_add. */
#include "cmd/flame/flame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct node *new_node(struct node *parent, const struct saved_function *f)
{
    struct node *n = calloc(1, sizeof *n);

    if (!n)
        return NULL;
    n->name = f->name;
    n->file = f->file;
    n->parent = parent;
    n->depth = parent ? parent->depth + 1 : 0;
    return n;
}

/* Where the child of that name is, or belongs. */
static size_t place_of(const struct node *n, const char *name, bool *found)
{
    size_t low = 0, high = n->n_children;

    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(n->child[middle]->name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The child for a function, made when it is not there. NULL: no memory. */
static struct node *child_of(struct node *n, const struct saved_function *f)
{
    bool found;
    size_t at = place_of(n, f->name, &found);

    if (found)
        return n->child[at];
    struct node **more = realloc(n->child, (n->n_children + 1) * sizeof *more);
    if (!more)
        return NULL;
    n->child = more;
    struct node *child = new_node(n, f);
    if (!child)
        return NULL;
    memmove(more + at + 1, more + at, (n->n_children - at) * sizeof *more);
    more[at] = child;
    n->n_children++;
    return child;
}

/* Enters the innermost n_frames of a sample. */
static int add_sample(struct tree *t, const struct saved *s, const struct saved_sample *sample,
                      size_t n_frames, const struct tree_options *o)
{
    double value = (double)sample->values[o->type] / o->operations;
    struct node *n = t->root;
    uint32_t folded = 0;

    n->total[o->side] += value;
    for (size_t i = n_frames; i-- > 0;) {
        const struct saved_function *f = &s->functions[sample->frames[i]];
        if (o->fold && n->parent && strcmp(n->name, f->name) == 0) {
            if (++folded > n->folded)
                n->folded = folded;
            continue;
        }
        folded = 0;
        n = child_of(n, f);
        if (!n)
            return -ENOMEM;
        n->total[o->side] += value;
        if (n->depth > t->depth)
            t->depth = n->depth;
    }
    return 0;
}

/* How many frames are within the innermost one of that name; 0: it is not there. */
static size_t frames_from(const struct saved *s, const struct saved_sample *sample,
                          const char *name)
{
    for (size_t i = 0; i < sample->n_frames; i++)
        if (strcmp(s->functions[sample->frames[i]].name, name) == 0)
            return i + 1;
    return 0;
}

int tree_add(struct tree *t, const struct saved *s, const struct tree_options *o)
{
    static const struct saved_function root = {.name = "all", .file = ""};

    if (!t->root)
        t->root = new_node(NULL, &root);
    if (!t->root)
        return -ENOMEM;
    t->unit = s->types[o->type].unit;
    int err = 0;
    for (size_t i = 0; i < s->n_samples && !err; i++) {
        const struct saved_sample *sample = &s->samples[i];
        size_t n_frames = o->from ? frames_from(s, sample, o->from) : sample->n_frames;
        if (sample->values[o->type] > 0 && (n_frames > 0 || !o->from))
            err = add_sample(t, s, sample, n_frames, o);
    }
    return err;
}

/* As deep as the deepest stack, which its reader has bounded by the size of the file: so without
 * recursion, from the last child up. */
int tree_finish(struct tree *t)
{
    struct node *n = t->root;
    size_t *next = calloc((size_t)t->depth + 1, sizeof *next);

    if (!next)
        return -ENOMEM;
    while (n) {
        if (next[n->depth] < n->n_children) {
            struct node *child = n->child[next[n->depth]++];
            next[child->depth] = 0;
            n = child;
            continue;
        }
        double own = n->total[0] > n->total[1] ? n->total[0] : n->total[1];
        n->width = n->width > own ? n->width : own;
        if (n->parent)
            n->parent->width += n->width;
        n = n->parent;
    }
    free(next);
    return 0;
}

void tree_free(struct tree *t)
{
    struct node *n = t->root;

    while (n) {
        if (n->n_children > 0) {
            n = n->child[--n->n_children];
            continue;
        }
        struct node *parent = n->parent;
        free(n->child);
        free(n);
        n = parent;
    }
    *t = (struct tree){0};
}
