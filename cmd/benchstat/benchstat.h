// benchstat.h: what the parts of cmd/benchstat share, from the ground up.
//
// A line of input becomes a result (reader.c); the filter (filter.c) and the projections
// (project.c) say which cell of which table its measurements belong to (build.c); each cell is
// summarized and compared with the first of its row (table.c, with stats.c, utest.c and median.c);
// text.c, csv.c, json.c and verdict.c print the tables.
//
// The program is a filter that ends soon: memory comes from an arena and is never given back.

#ifndef CMD_BENCHSTAT_H
#define CMD_BENCHSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// ---- memory and words (word.c) --------------------------------------------------------------

// Bytes that somebody else owns; not terminated.
typedef struct {
    const char *s;
    size_t n;
} str;

#define STR(literal) ((str){literal, sizeof(literal) - 1})

// A string that exists once: equal words are the same pointer. Terminated for printing.
struct word {
    uint64_t hash;
    size_t n;
    void *memo; // what build.c remembers of this benchmark name
    char s[];
};

void *mem_alloc(size_t bytes);           // from the arena, zeroed; exits when there is none
void *mem_grow(void *old, size_t bytes); // realloc that exits when there is none
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2), nonnull(1)));
str mem_join(const str *parts, size_t n); // as they are, zero bytes included
const struct word *word_of(str s);
const struct word *word_z(const char *s);

static inline bool str_equal(str a, str b)
{
    return a.n == b.n && (a.n == 0 || __builtin_memcmp(a.s, b.s, a.n) == 0);
}

static inline bool str_prefix(str s, str prefix)
{
    return s.n >= prefix.n && __builtin_memcmp(s.s, prefix.s, prefix.n) == 0;
}

// What exists once. The hash stands beside the pointer: most of memory need not be looked at.
struct interned {
    struct interned_slot {
        uint64_t hash;
        void *entry;
    } * slots;
    size_t used, size;
};
typedef bool interned_is(const void *entry, const void *wanted, size_t n);
// The place of the entry that is the wanted one; or the one for it, to be stored there: it is NULL.
void **interned_at(struct interned *t, uint64_t hash, interned_is *is, const void *wanted,
                   size_t n);

// A map from a pair of pointers to a pointer; NULL means absent.
struct map {
    struct map_slot *slots;
    size_t used, size;
};
void *map_get(const struct map *m, const void *a, const void *b);
void **map_at(struct map *m, const void *a, const void *b); // inserts; valid until the next call

// ---- text (rune.c, number.c, quote.c) -------------------------------------------------------

#define RUNE_ERROR 0xFFFD

// The first rune of s (s.n > 0) and its width in bytes; an invalid byte is RUNE_ERROR of width 1.
int32_t rune_decode(str s, size_t *width);
size_t rune_count(str s);
size_t rune_encode(int32_t rune, char out[4]);
bool rune_is_space(int32_t rune);
bool rune_is_lower(int32_t rune);
bool rune_is_upper(int32_t rune);
bool rune_is_graphic(int32_t rune);
bool str_is_blank(str s); // nothing but white space

// Why a number is none, in the words of Go's strconv.
extern const char number_syntax[], number_range[];

// Parse s in Go's syntax; NULL or the reason it is none.
const char *number_parse(str s, double *value);
const char *number_parse_count(str s);
// A number of so many digits and a point is one division away, if its digits are exact.
enum { NUMBER_SIMPLE_MAX = 17 };
extern const double number_power_of_ten[23]; // all that are exact

enum { NUMBER_MAX = 400 }; // bytes that hold any formatted number
size_t number_fixed(char *out, double value, int digits, bool plus); // fmt's %.*f and %+.*f
size_t number_shortest(char *out, double value);                     // fmt's %v
const char *number_v(double value);                                  // the same, as a string

char *quote(str s);                  // as Go's strconv.Quote
bool unquote(str quoted, str *word); // the inverse for "..."; false when malformed

// ---- units (unit.c) -------------------------------------------------------------------------

// A unit as a measurement carries it.
struct unit {
    const struct word *name; // in base units ("sec/op") if scaling changed the value
    const struct word *orig; // as written ("ns/op") if it was scaled, else NULL
};

// A unit as it is written in a file.
struct raw_unit {
    const struct word *raw;
    double factor;
    struct unit tidied, plain;
};
const struct raw_unit *unit_of(str raw);

// How the values of a row are scaled: digits after the point, divisor and prefix.
struct scale {
    int digits;
    double factor;
    const char *prefix;
};
bool unit_is_binary(const struct word *unit);
// The scale that shows three significant digits of the smallest value that is not 0.
struct scale scale_for(const double *values, size_t n, bool binary);
size_t scale_format(char *out, struct scale scale, double value);

// `Unit name key=value` lines.
const struct word *unit_metadata(const struct word *unit, const struct word *key);
// NULL when it is set now, else the value that it already has.
const struct word *unit_set_metadata(const struct raw_unit *u, str key, str value);

// ---- results (reader.c, result.c) -----------------------------------------------------------

struct measurement {
    double value;
    const struct unit *unit;
};

struct config {
    const struct word *key, *value;
    bool file; // from the input itself, not from the command line
};

struct result {
    struct config *config;
    size_t n_config;
    uint64_t generation;         // another number whenever the configuration has changed
    str name;                    // full name without "Benchmark"; valid until the next line
    const struct word *expected; // the name that comes next, the receiver guesses; NULL: no idea
    bool as_expected;            // name is what was expected
    struct measurement *values;
    size_t n_values;
};

void result_reset(struct result *r);
void result_set(struct result *r, const struct word *key, str value, bool file);
const struct word *result_get(const struct result *r, const struct word *key);
str name_base(str full);
// Split into the base and its parts ("/size=4k", "-8"); returns how many, *parts is reused.
size_t name_parts(str full, str *base, str **parts);

typedef void result_fn(void *to, struct result *r);
// Read all inputs in order. Malformed lines are reported on stderr as `file:line: message`.
// Returns NULL, or the reason why reading ended early.
const char *read_inputs(char **paths, size_t n, result_fn *fn, void *to);

// ---- expressions (token.c, pattern.c, filter.c) ---------------------------------------------

struct token {
    char
        kind; // 'w' word, 'q' quoted word, 'r' pattern, 'A' AND, 'O' OR, an operator, or 0: the end
    size_t offset;
    str text;
    struct pattern *pattern;
};
struct tokens {
    str rest;
    struct query *query;
};
struct query {
    str text;
    char *error;  // the first error found
    size_t depth; // of nested filters
};
struct tokens tokens_of(struct query *q);
struct token token_next(struct tokens *t, struct tokens *after); // skips spaces in *t
struct token token_value(struct tokens *t,
                         struct tokens *after); // the same, but /.../ is a pattern
struct tokens token_error(struct tokens *t, const char *message);
char *syntax_error(str query, size_t offset, const char *message);

struct pattern *pattern_compile(str expr, char **error);
bool pattern_match(const struct pattern *p, str subject);

struct filter;
struct filter *filter_parse(str text, char **error);
// Also require that key's value be one of a fixed set (words, as keys of the map).
void filter_restrict(struct filter *f, const struct word *key, const struct map *allowed);
// Remove the measurements that do not match; false when none remain.
bool filter_apply(const struct filter *f, struct result *r);

// ---- projections (project.c, key.c, order.c) ------------------------------------------------

enum order { ORDER_FIRST, ORDER_FIXED, ORDER_ALPHA, ORDER_NUM };

struct field {
    const struct word *name;
    int index; // in a key's values; -1 for the .config group
    enum order order;
    struct map rank; // word -> 1 + position, for FIRST and FIXED
    struct field **sub;
    size_t n_sub;
};

struct key {
    struct projection *projection;
    const struct table *listed; // the last table that has listed it
    size_t rank;                // its position there, once it is sorted
    size_t n;
    const struct word *values[]; // by field index; trailing empty ones are cut off
};

struct key_list {
    struct key **keys;
    size_t n;
};

// Distinct keys, in the order in which they appeared.
struct key_set {
    struct key_list list;
    struct map seen;
};

struct projection {
    struct projector *projector;
    struct field **top;
    size_t n_top;
    size_t n_fields;
    struct field *unit;
    const struct word **row; // the key under construction
    struct interned keys;
    struct field **flat; // the fields with .config spread out, in comparison order
    size_t n_flat;
    struct map config_fields;
};

// The projections of one command line: what one names explicitly, the groups of the others omit.
struct projector {
    struct map config_keys;
    str *name_keys;
    size_t n_name_keys;
    bool have_config, have_fullname;
    struct filter *filter; // fixed orders are filters too
};
struct projection *projection_parse(struct projector *by, str text, bool with_unit, char **error);
struct projection *projection_residue(struct projector *by);
const struct word *extract(const struct result *r, const struct word *key);

void projection_fill(struct projection *p, const struct result *r);
struct key *key_of_row(struct projection *p);
const struct word *key_get(const struct key *k, const struct field *f);
str key_label(const struct key *k);
void key_list_add(struct key_list *list, struct key *k);
void key_set_add(struct key_set *set, struct key *k);
void projection_flatten(struct projection *p);
bool key_less(const struct key *a, const struct key *b);
void keys_sort(struct key **keys, size_t n);

// ---- statistics -----------------------------------------------------------------------------

// Log and exp to the last bit as Go computes them on x86-64 (elementary.c).
double go_log(double x);
double go_exp(double x);
double choose(int n, int k);

void sort_values(double *x, size_t n); // NaN first
// Puts where sorting would put them the values at places from to to < n; the others are lost.
void select_values(double *x, size_t n, size_t from, size_t to);
double median_of(const double *sorted, size_t n);
double normal_cdf(double z);
double normal_quantile(double p);

// A geometric mean under construction: NaN if a value is not positive, or there is none.
struct geomean {
    double mean;
    size_t n;
    bool bad;
};
void geomean_add(struct geomean *g, double x);
double geomean_value(const struct geomean *g);

// The order statistics, from 1, that bound the confidence interval of the median; 0 and n+1 when
// the sample does not bound it.
struct interval {
    long lo, hi;
    double confidence;
};
struct interval median_interval(size_t n, double confidence);
const char *median_samples_needed(double confidence, int *n); // ">=" or ">"

// Mann-Whitney U test, two-sided. Returns NULL, or why there is no answer.
const char *u_test(const double *x1, size_t n1, const double *x2, size_t n2, double *p);
size_t u_test_interval(size_t n1, size_t n2, double confidence); // see verdict.c
const char *u_test_samples_needed(double alpha, int *n);

// ---- tables (build.c, table.c) --------------------------------------------------------------

struct cell {
    double *values;
    size_t n, capacity;
    struct key *row, *col;
    size_t col_index;
    struct key *rest;      // of the first result here: what no projection shows of it
    struct key_set *rests; // all of them, if there are others

    double center, lo, hi, confidence;
    struct cell *base; // the cell to compare with, or NULL
    bool is_base;
    double p, alpha;
    const struct word *vary_warning, *summary_warning, *compare_warning;
};

struct column {
    struct key *key;
    bool has_summary, has_ratio;
    double summary, ratio;
    const struct word *warnings[3];
    size_t n_warnings;
};

struct table {
    struct key *key;
    const struct word *unit;
    bool exact;
    struct cell **cells; // by row, then by column, once table_finish has run
    size_t n_cells, cells_capacity;
    struct map cell_of;
    struct key_list rows, col_keys; // sorted, once table_finish has run
    size_t *row_start;              // cells of row i: row_start[i] to row_start[i + 1]
    struct column *cols;
    size_t n_cols;
};

struct options {
    const char *table, *row, *col, *ignore, *filter, *format, *sort;
    double alpha, confidence;
    bool verdict, has_noise;
    double noise_percent;
    char **inputs;
    size_t n_inputs;
};

struct builder {
    struct projection *table, *row, *col, *residue;
    const struct filter *filter;
    struct word *last; // the name of the result before
    struct map table_of;
    struct table **tables;
    size_t n_tables;
};
void builder_add(void *builder, struct result *r);
void tables_finish(struct builder *b, const struct options *o);
void tables_sort_rows(struct builder *b, const char *order);

// "∞", "?", "0%" or a percentage; "~" or "+1.23%"; "p=0.123 n=10". Each returns the length.
size_t cell_range(char *out, const struct cell *c);
size_t cell_delta(char *out, const struct cell *c);
size_t cell_comparison(char *out, const struct cell *c);
size_t column_delta(char *out, const struct column *c);

// ---- output ---------------------------------------------------------------------------------

// A text table with columns as narrow as their cells allow (grid.c).
enum align { ALIGN_LEFT, ALIGN_CENTER, ALIGN_RIGHT };
struct grid {
    struct grid_cell *cells;
    size_t n, capacity;
    char *text; // of all cells
    size_t n_text, text_capacity;
    size_t row, col, n_cols;
    bool *shrink;
    size_t n_shrink;
};
void grid_reset(struct grid *g); // empty, keeping its memory
void grid_row(struct grid *g);
void grid_span(struct grid *g, size_t cols, str text, enum align align, const char *margin);
void grid_cell(struct grid *g, str text, enum align align);
void grid_shrink(struct grid *g, size_t col);
void grid_print(struct grid *g, FILE *to);

void print_text(struct builder *b, FILE *to);
void print_csv(struct builder *b, FILE *to, FILE *warnings);
void print_json(struct builder *b, FILE *to);
// Calls header for each line of table configuration, "" between tables, and then table.
typedef void header_fn(void *to, const struct word *name, const struct word *value);
void tables_walk(struct builder *b, void *to, header_fn *header,
                 void (*table)(void *to, const struct table *t));

// Print a sentence for each comparison; true when the last column of sec/op is proven faster.
bool print_verdict(struct builder *b, const struct options *o, FILE *to);

// Parse the command line; exits with usage. (flags.c)
void flags_parse(struct options *o, int argc, char **argv);

#endif
