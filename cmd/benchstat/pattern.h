// pattern.h: what reading a regular expression shares: pattern.c has the grammar, class.c what
// stands for one character.

#ifndef CMD_BENCHSTAT_PATTERN_H
#define CMD_BENCHSTAT_PATTERN_H

#include "cmd/benchstat/benchstat.h"

struct state {
    bool fold, multiline, dot_newline;
};

struct group {
    struct state outside; // the flags to return to
    size_t start;         // in the output
    int repeats;          // of what stands before the group in its own group
    bool has_atom;
};

struct parser {
    str whole, rest;
    char *out;
    size_t n, capacity;
    struct state flags;
    bool has_atom;     // something that can be repeated stands before us,
    size_t atom_start; // here in the output,
    int atom_repeats;  // repeating its parts so many times at most
    int repeats;       // the most in this group
    struct group *groups;
    size_t depth;
    char *error;
};

// Writing the expression anew.
void pattern_emit(struct parser *p, const char *s);
void pattern_begin_atom(struct parser *p);
void pattern_emit_literal(struct parser *p, int32_t r);

// Reading it. All but pattern_at return false after an error.
bool pattern_fail(struct parser *p, const char *what, const char *from, const char *to);
void pattern_skip(struct parser *p, size_t n);
bool pattern_at(const struct parser *p, size_t i, char c); // is c the i-th byte from here?
bool pattern_check_utf8(struct parser *p, const char *from, const char *to);
bool pattern_next_rune(struct parser *p, int32_t *r);
bool pattern_is_alnum(int32_t c);

// At a backslash: one character.
bool pattern_escape(struct parser *p, int32_t *r);
// At "[": a whole class.
bool pattern_class(struct parser *p);
// At a backslash and one of pPdDsSwW: a class that needs no brackets.
bool pattern_named_class(struct parser *p);

#endif
