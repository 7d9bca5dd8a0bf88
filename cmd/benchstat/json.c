// json.c: tables for programs: one object with everything the other formats show, at full
// precision.
//
//   {"tables": [{"config": {...}, "unit": "sec/op", "columns": [...], "rows": [...]}]}
//
// What JSON cannot say, infinity and NaN, is null.

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <string.h>

static void print_string(FILE *to, str s)
{
    char utf8[4];
    size_t width;
    putc('"', to);
    for (; s.n > 0; s.s += width, s.n -= width) {
        int32_t r = rune_decode(s, &width);
        if (r == '"' || r == '\\')
            fprintf(to, "\\%c", r);
        else if (r < ' ')
            fprintf(to, "\\u%04x", (unsigned)r);
        else
            fwrite(utf8, 1, rune_encode(r, utf8), to);
    }
    putc('"', to);
}

static void print_word(FILE *to, const struct word *w)
{
    print_string(to, (str){w->s, w->n});
}

static void print_number(FILE *to, const char *name, double value)
{
    char text[NUMBER_MAX] = "null";
    if (isfinite(value))
        number_shortest(text, value);
    fprintf(to, ", \"%s\": %s", name, text);
}

static void print_key(FILE *to, const struct key *k)
{
    const struct projection *p = k->projection;
    const char *separator = "";
    putc('{', to);
    for (size_t i = 0; i < p->n_flat; i++) {
        if (p->flat[i] == p->unit)
            continue;
        fputs(separator, to);
        print_word(to, p->flat[i]->name);
        fputs(": ", to);
        print_word(to, key_get(k, p->flat[i]));
        separator = ", ";
    }
    putc('}', to);
}

static void print_warnings(FILE *to, const struct word *const *warnings, size_t n)
{
    const char *separator = "";
    fputs(", \"warnings\": [", to);
    for (size_t i = 0; i < n; i++) {
        if (!warnings[i])
            continue;
        fputs(separator, to);
        print_word(to, warnings[i]);
        separator = ", ";
    }
    putc(']', to);
}

static void print_cell(FILE *to, const struct cell *c)
{
    fprintf(to, "{\"column\": %zu, \"n\": %zu", c->col_index, c->n);
    print_number(to, "center", c->center);
    print_number(to, "lo", c->lo);
    print_number(to, "hi", c->hi);
    print_number(to, "confidence", c->confidence);
    if (c->base) {
        print_number(to, "ratio", c->center / c->base->center);
        print_number(to, "p", c->p);
        fprintf(to, ", \"significant\": %s", c->p > c->alpha ? "false" : "true");
    }
    print_warnings(
        to, (const struct word *[]){c->vary_warning, c->summary_warning, c->compare_warning}, 3);
    putc('}', to);
}

static void print_column(FILE *to, const struct column *c)
{
    fputs("{\"key\": ", to);
    print_key(to, c->key);
    print_number(to, "geomean", c->has_summary ? c->summary : NAN);
    print_number(to, "ratio", c->has_ratio ? c->ratio : NAN);
    print_warnings(to, c->warnings, c->n_warnings);
    putc('}', to);
}

static void print_row(FILE *to, const struct table *t, size_t row)
{
    fputs("{\"key\": ", to);
    print_key(to, t->rows.keys[row]);
    fputs(", \"cells\": [", to);
    for (size_t i = t->row_start[row]; i < t->row_start[row + 1]; i++) {
        fputs(i > t->row_start[row] ? ",\n     " : "\n     ", to);
        print_cell(to, t->cells[i]);
    }
    fputs("]}", to);
}

static void print_table(FILE *to, const struct table *t)
{
    fputs("{\"config\": ", to);
    print_key(to, t->key);
    fputs(", \"unit\": ", to);
    print_word(to, t->unit);
    fprintf(to, ", \"assume\": \"%s\",\n  \"columns\": [", t->exact ? "exact" : "nothing");
    for (size_t i = 0; i < t->n_cols; i++) {
        fputs(i ? ",\n    " : "\n    ", to);
        print_column(to, &t->cols[i]);
    }
    fputs("],\n  \"rows\": [", to);
    for (size_t i = 0; i < t->rows.n; i++) {
        fputs(i ? ",\n    " : "\n    ", to);
        print_row(to, t, i);
    }
    fputs("]}", to);
}

void print_json(struct builder *b, FILE *to)
{
    fputs("{\"tables\": [", to);
    for (size_t i = 0; i < b->n_tables; i++) {
        fputs(i ? ",\n " : "\n ", to);
        print_table(to, b->tables[i]);
    }
    fputs("]}\n", to);
}
