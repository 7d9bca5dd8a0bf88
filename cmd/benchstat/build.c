// build.c: results into the cells of tables.
//
// A result's table, row, column and what is left of it follow from its name and configuration
// alone, so they are worked out once per name and remembered with it: nearly every line of a large
// file repeats a name. Entered by builder_add, once per result.

#include "cmd/benchstat/benchstat.h"

#include <stdlib.h>
#include <string.h>

// What is known about a benchmark name under one state of the configuration: where the
// measurement at each place of its lines goes, by its unit.
struct place {
    const struct unit *unit;
    struct cell *cell; // NULL: filtered out
};
struct plan {
    uint64_t generation;
    struct word *next; // the name that followed the last time
    size_t n, capacity;
    struct place *places;
};

static void grow_values(struct cell *c)
{
    c->capacity = c->capacity ? c->capacity * 2 : 10;
    double *grown = mem_alloc(c->capacity * sizeof *grown);
    if (c->n)
        memcpy(grown, c->values, c->n * sizeof *grown);
    c->values = grown;
}

static inline void add_value(struct cell *c, double value)
{
    if (c->n == c->capacity)
        grow_values(c);
    c->values[c->n++] = value;
}

static bool follow_plan(const struct plan *plan, const struct result *r)
{
    if (plan->generation != r->generation || plan->n < r->n_values)
        return false;
    for (size_t i = 0; i < r->n_values; i++)
        if (plan->places[i].unit != r->values[i].unit)
            return false;
    for (size_t i = 0; i < r->n_values; i++)
        if (plan->places[i].cell)
            add_value(plan->places[i].cell, r->values[i].value);
    return true;
}

// The measurements that the filter kept are a subsequence of all: match them up by address order.
static void make_plan(struct plan *plan, uint64_t generation, const struct measurement *all,
                      size_t n)
{
    if (n > plan->capacity) {
        plan->places = mem_alloc(n * sizeof *plan->places);
        plan->capacity = n;
    }
    plan->generation = generation;
    plan->n = n;
    for (size_t i = 0; i < n; i++)
        plan->places[i] = (struct place){all[i].unit, NULL};
}

static struct table *table_for(struct builder *b, struct key *key, const struct word *unit)
{
    void **slot = map_at(&b->table_of, key, NULL);
    if (*slot)
        return *slot;
    struct table *t = mem_alloc(sizeof *t);
    t->key = key;
    t->unit = unit;
    if ((b->n_tables & (b->n_tables - 1)) == 0)
        b->tables = mem_grow(b->tables, (b->n_tables * 2 + 1) * sizeof *b->tables);
    b->tables[b->n_tables++] = t;
    *slot = t;
    return t;
}

static struct cell *cell_for(struct table *t, struct key *row, struct key *col)
{
    void **slot = map_at(&t->cell_of, row, col);
    if (*slot)
        return *slot;
    struct cell *c = mem_alloc(sizeof *c);
    c->row = row;
    c->col = col;
    *slot = c;
    if (t->n_cells == t->cells_capacity) {
        t->cells_capacity = t->cells_capacity * 2 + 16;
        t->cells = mem_grow(t->cells, t->cells_capacity * sizeof *t->cells);
    }
    return t->cells[t->n_cells++] = c;
}

static void add_rest(struct cell *c, struct key *rest)
{
    if (!c->rest)
        c->rest = rest;
    if (c->rest == rest)
        return;
    if (!c->rests) {
        c->rests = mem_alloc(sizeof *c->rests);
        key_set_add(c->rests, c->rest);
    }
    key_set_add(c->rests, rest);
}

// Put the measurements that passed the filter where they belong, noting it in the plan, whose
// places still are in the order of the line.
static void place_values(struct builder *b, const struct result *r, struct plan *plan)
{
    struct key **tables = mem_grow(NULL, r->n_values * sizeof *tables);
    projection_fill(b->table, r);
    for (size_t i = 0; i < r->n_values; i++) {
        b->table->row[b->table->unit->index] = r->values[i].unit->name;
        tables[i] = key_of_row(b->table);
    }
    projection_fill(b->row, r);
    struct key *row = key_of_row(b->row);
    projection_fill(b->col, r);
    struct key *col = key_of_row(b->col);
    projection_fill(b->residue, r);
    struct key *residue = key_of_row(b->residue);
    for (size_t i = 0, at = 0; i < r->n_values; i++, at++) {
        struct cell *c = cell_for(table_for(b, tables[i], r->values[i].unit->name), row, col);
        add_rest(c, residue);
        add_value(c, r->values[i].value);
        while (plan->places[at].unit != r->values[i].unit)
            at++;
        plan->places[at].cell = c;
    }
    free(tables);
}

// Benchmarks are run several times in a row or in rounds, so that the name mostly is the one before
// or the one that followed it the last time: cheaper than a look-up.
static struct word *look_up(const struct word *last, str name)
{
    if (last) {
        struct word *next = ((struct plan *)last->memo)->next;
        if (str_equal(name, (str){last->s, last->n}))
            return (struct word *)last;
        if (next && str_equal(name, (str){next->s, next->n}))
            return next;
    }
    struct word *word = (struct word *)word_of(name);
    if (!word->memo)
        word->memo = mem_alloc(sizeof(struct plan));
    return word;
}

// The plan for a result's name; and the name to expect, which the reader need not even take apart.
static struct plan *plan_of(struct builder *b, struct result *r)
{
    struct word *last = b->last;
    struct word *name = r->as_expected ? (struct word *)r->expected : look_up(last, r->name);
    struct plan *plan = name->memo;
    if (last && name != last)
        ((struct plan *)last->memo)->next = name;
    r->expected = name == last ? name : plan->next;
    b->last = name;
    return plan;
}

void builder_add(void *builder, struct result *r)
{
    struct builder *b = builder;
    struct plan *plan = plan_of(b, r);
    if (follow_plan(plan, r))
        return;
    make_plan(plan, r->generation, r->values, r->n_values);
    if (filter_apply(b->filter, r))
        place_values(b, r, plan);
}
