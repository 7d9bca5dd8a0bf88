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
    size_t n, capacity;
    struct place *places;
};

static void add_value(struct cell *c, double value)
{
    if (c->n == c->capacity) {
        double *grown = mem_alloc((c->capacity = c->capacity * 2 + 6) * sizeof *grown);
        if (c->n)
            memcpy(grown, c->values, c->n * sizeof *grown);
        c->values = grown;
    }
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
    key_set_add(&t->rows, row);
    key_set_add(&t->col_keys, col);
    if (t->n_cells == t->cells_capacity) {
        t->cells_capacity = t->cells_capacity * 2 + 16;
        t->cells = mem_grow(t->cells, t->cells_capacity * sizeof *t->cells);
    }
    return t->cells[t->n_cells++] = c;
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
        if (c->residue.n != 1 || c->residue.keys[0] != residue)
            key_set_add(&c->residue, residue);
        add_value(c, r->values[i].value);
        while (plan->places[at].unit != r->values[i].unit)
            at++;
        plan->places[at].cell = c;
    }
    free(tables);
}

void builder_add(void *builder, struct result *r)
{
    struct builder *b = builder;
    struct word *name = (struct word *)word_of(r->name);
    if (!name->memo)
        name->memo = mem_alloc(sizeof(struct plan));
    struct plan *plan = name->memo;
    if (follow_plan(plan, r))
        return;
    make_plan(plan, r->generation, r->values, r->n_values);
    if (filter_apply(b->filter, r))
        place_values(b, r, plan);
}
