// reader.c: the benchmark format, line by line.
//
// Lines are results ("BenchmarkName 100 12.3 ns/op"), unit metadata ("Unit ns/op better=lower"),
// configuration ("key: value"), or noise to be skipped. The format's definition:
// https://golang.org/design/14313-benchmark-format. Reading is most of the work for a large file,
// so fields are cut eight bytes at a time and the units of the line before are tried first.
// Entered by read_inputs.

#include "cmd/benchstat/benchstat.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    LINE_LIMIT_BYTES = 64 * 1024, // a longer line is an error
    SLACK_BYTES = 8               // fields are read in words, past the end of a line
};
static const uint64_t EIGHT_SPACES = UINT64_C(0x2020202020202020);

struct reader {
    const char *file;
    int line;
    struct result result;
    size_t values_capacity;
    const struct raw_unit **unit_at; // the unit that stood last at each place of a line
    size_t unit_at_capacity;
    result_fn *fn;
    void *to;
};

static void report_str(const struct reader *r, str message)
{
    fprintf(stderr, "%s:%d: ", r->file, r->line);
    fwrite(message.s, 1, message.n, stderr);
    putc('\n', stderr);
}

static void report(const struct reader *r, const char *message)
{
    report_str(r, (str){message, strlen(message)});
}

// ---- fields ------------------------------------------------------------------------------------
//
// A position within a line and the line's end travel as two pointers, for they stay in registers.
// Behind every line stands a newline, be it a borrowed one, so that the loops over its ordinary
// bytes need not look for the end.

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_printable_ascii(unsigned char c)
{
    return c > ' ' && c < 0x7F;
}

// The width of the white space at p, or 0.
static size_t space_width(const char *p, const char *end)
{
    if (p >= end)
        return 0;
    unsigned char c = (unsigned char)*p;
    if (c < 0x80)
        return is_space(c);
    size_t width;
    return rune_is_space(rune_decode((str){p, (size_t)(end - p)}, &width)) ? width : 0;
}

static const char *skip_any_space(const char *p, const char *end)
{
    for (size_t width; (width = space_width(p, end)) > 0;)
        p += width;
    return p;
}

// Columns are aligned with a tab, with spaces, or with a tab and spaces.
static inline const char *skip_space(const char *p, const char *end)
{
    uint64_t x = 0;
    if (p == end)
        return p;
    for (p += *p == '\t'; memcpy(&x, p, sizeof x), (x ^= EIGHT_SPACES) == 0;)
        p += sizeof x;           // not beyond the newline at the end
    p += __builtin_ctzll(x) / 8; // little-endian: the first byte that is no space
    return is_printable_ascii((unsigned char)*p) ? p : skip_any_space(p, end);
}

// The first byte from p on that is not printable ASCII, or some place behind the end.
static inline const char *skip_plain(const char *p, const char *end)
{
    for (uint64_t x; p < end; p += sizeof x) {
        memcpy(&x, p, sizeof x); // within the slack behind the buffer
        uint64_t odd = ((x - UINT64_C(0x2121212121212121)) | x) & UINT64_C(0x8080808080808080);
        if (odd)
            return p + __builtin_ctzll(odd) / 8; // little-endian: the first such byte
    }
    return p;
}

// The end of the word at p.
static inline const char *skip_word(const char *p, const char *end)
{
    for (;;) {
        p = skip_plain(p, end);
        if (p >= end)
            return end;
        if (*p == ' ' || *p == '\t' || space_width(p, end))
            return p;
        size_t width;
        rune_decode((str){p, (size_t)(end - p)}, &width);
        p += width;
    }
}

// Cut the first field off *rest, and the white space behind it.
static str take_field(str *rest)
{
    const char *end = rest->s + rest->n, *word_end = skip_word(rest->s, end);
    str field = {rest->s, (size_t)(word_end - rest->s)};
    rest->s = skip_space(word_end, end);
    rest->n = (size_t)(end - rest->s);
    return field;
}

// Does a word end at p <= end for certain?
static inline bool ends_word(const char *p, const char *end)
{
    return p == end || *p == ' ' || *p == '\t';
}

// ---- results -----------------------------------------------------------------------------------

static const struct raw_unit **unit_at(struct reader *r, size_t place)
{
    if (place >= r->unit_at_capacity) {
        size_t grown = place * 2 + 4;
        r->unit_at = mem_grow(r->unit_at, grown * sizeof *r->unit_at);
        memset(r->unit_at + place, 0, (grown - place) * sizeof *r->unit_at);
        r->unit_at_capacity = grown;
    }
    return &r->unit_at[place];
}

static inline bool starts_with(const char *p, const char *end, const struct word *w)
{
    uint64_t x, head;
    if ((size_t)(end - p) < w->n)
        return false;
    if (w->n > sizeof x)
        return memcmp(p, w->s, w->n) == 0;
    memcpy(&x, p, sizeof x); // words end in zeros up to the eighth byte
    memcpy(&head, w->s, sizeof head);
    return (x ^ head) << (64 - 8 * w->n) == 0; // no word is empty here
}

// Cut off the unit; NULL if there is none. It mostly is the one that stood there last.
static inline const struct raw_unit *take_unit(struct reader *r, const char **p, const char *end)
{
    const struct raw_unit **last = unit_at(r, r->result.n_values), *u = *last;
    if (u && starts_with(*p, end, u->raw) && ends_word(*p + u->raw->n, end)) {
        *p = skip_space(*p + u->raw->n, end);
        return u;
    }
    str rest = {*p, (size_t)(end - *p)}, name = take_field(&rest);
    *p = rest.s;
    return name.n ? (*last = unit_of(name)) : NULL;
}

static void add_value(struct reader *r, double value, const struct raw_unit *unit)
{
    struct result *res = &r->result;
    if (res->n_values == r->values_capacity) {
        r->values_capacity = r->values_capacity * 2 + 8;
        res->values = mem_grow(res->values, r->values_capacity * sizeof *res->values);
    }
    // 0 and infinity stay what they are, and so does their unit.
    double tidied = value * unit->factor;
    res->values[res->n_values++] = tidied == value ? (struct measurement){value, &unit->plain}
                                                   : (struct measurement){tidied, &unit->tidied};
}

static inline const char *skip_digits(const char *p)
{
    for (uint64_t x;; p += sizeof x) {
        memcpy(&x, p, sizeof x);
        x ^= UINT64_C(0x3030303030303030); // a digit's byte is its value now
        uint64_t odd = ((x + UINT64_C(0x7676767676767676)) | x) & UINT64_C(0x8080808080808080);
        if (odd)
            return p + __builtin_ctzll(odd) / 8;
    }
}

static inline const char *take_digits(const char *p, uint64_t *value)
{
    for (unsigned digit; (digit = (unsigned)(unsigned char)*p - '0') <= 9; p++)
        *value = *value * 10 + digit;
    return p;
}

// Digits and at most one point, both parts exact in a double, are most numbers.
static inline bool take_simple_number(const char **p, const char *end, double *value)
{
    uint64_t digits = 0;
    const char *start = *p, *at = take_digits(start, &digits), *point = at;
    if (at == start)
        return false;
    if (*at == '.') {
        at = take_digits(at + 1, &digits);
        if (at == point + 1)
            return false;
    }
    if (at - start > NUMBER_SIMPLE_MAX || digits > UINT64_C(1) << 53 || !ends_word(at, end))
        return false;
    *value = (double)digits;
    if (at > point)
        *value /= number_power_of_ten[at - point - 1];
    *p = skip_space(at, end);
    return true;
}

static const char *take_number(const char **p, const char *end, double *value)
{
    if (take_simple_number(p, end, value))
        return NULL;
    str rest = {*p, (size_t)(end - *p)};
    const char *error = number_parse(take_field(&rest), value);
    *p = rest.s;
    return error;
}

// Value and unit pairs up to the end of the line; NULL or what is wrong.
static const char *take_values(struct reader *r, const char *p, const char *end)
{
    r->result.n_values = 0;
    while (p < end) {
        double value;
        const char *error = take_number(&p, end, &value);
        if (error)
            return mem_format("parsing measurement: %s", error);
        const struct raw_unit *unit = take_unit(r, &p, end);
        if (!unit)
            return "missing units";
        add_value(r, value, unit);
    }
    return r->result.n_values ? NULL : "missing measurements";
}

// The number of iterations is checked, and not used.
static const char *take_count(const char **p, const char *end)
{
    const char *at = skip_digits(*p);
    if (at > *p && at - *p < 19 && ends_word(at, end)) {
        *p = skip_space(at, end);
        return NULL;
    }
    str rest = {*p, (size_t)(end - *p)}, field = take_field(&rest);
    *p = rest.s;
    if (field.n == 0)
        return "missing iteration count";
    const char *error = number_parse_count(field);
    return error ? mem_format("parsing iteration count: %s", error) : NULL;
}

static void take_result(struct reader *r, str line)
{
    const char *end = line.s + line.n, *p;
    const struct word *expected = r->result.expected;
    r->result.as_expected = expected && expected->n > 0 && starts_with(line.s, end, expected) &&
                            ends_word(line.s + expected->n, end);
    p = r->result.as_expected ? line.s + expected->n : skip_word(line.s, end);
    r->result.name = (str){line.s, (size_t)(p - line.s)};
    if (p == end)
        return; // `go test -v` announces a benchmark with its name alone
    p = skip_space(p, end);
    const char *error = take_count(&p, end);
    if (!error)
        error = take_values(r, p, end);
    if (error)
        report(r, error);
    else
        r->fn(r->to, &r->result);
}

// ---- unit metadata and configuration --------------------------------------------------------

static void take_metadata(struct reader *r, str line)
{
    str name = take_field(&line);
    if (name.n == 0) {
        report(r, "missing unit");
        return;
    }
    const struct raw_unit *unit = unit_of(name);
    for (str field; (field = take_field(&line)).n > 0;) {
        const char *equals = memchr(field.s, '=', field.n);
        if (!equals || equals == field.s) {
            report(r, "expected key=value");
            continue;
        }
        str key = {field.s, (size_t)(equals - field.s)};
        str value = {equals + 1, field.n - key.n - 1};
        const struct word *have = unit_set_metadata(unit, key, value);
        if (have && !str_equal(value, (str){have->s, have->n})) {
            str parts[] = {STR("metadata "),  key, STR(" of unit "), name, STR(" already set to "),
                           {have->s, have->n}};
            report_str(r, mem_join(parts, sizeof parts / sizeof *parts));
        }
    }
}

// The length of the key before the colon; 0 if the line does not begin with a key. A key begins
// with a lower-case letter and has neither white space nor upper case in it.
static size_t key_length(str line)
{
    size_t width;
    for (size_t i = 0; i < line.n; i += width) {
        int32_t rune = rune_decode((str){line.s + i, line.n - i}, &width);
        if ((i == 0 && !rune_is_lower(rune)) || rune_is_space(rune) || rune_is_upper(rune))
            return 0;
        if (rune == ':')
            return i;
    }
    return 0;
}

static void take_config(struct reader *r, str line)
{
    size_t n = key_length(line);
    if (n == 0)
        return;
    str value = {line.s + n + 1, line.n - n - 1};
    bool separated = value.n == 0;
    for (; value.n > 0 && (*value.s == ' ' || *value.s == '\t'); value.s++, value.n--)
        separated = true;
    if (separated)
        result_set(&r->result, word_of((str){line.s, n}), value, true);
}

static void take_line(struct reader *r, str line)
{
    r->line++;
    if (line.n > 0 && line.s[line.n - 1] == '\r')
        line.n--;
    if (str_prefix(line, STR("Benchmark"))) {
        take_result(r, (str){line.s + 9, line.n - 9});
        return;
    }
    str rest = line;
    if (line.n > 0 && line.s[0] == 'U' && str_equal(take_field(&rest), STR("Unit")))
        take_metadata(r, rest);
    else
        take_config(r, line);
}

// ---- files ----------------------------------------------------------------------------------

// Go's wording of an error: as strerror's, without the capital.
static const char *error_text(int error)
{
    char *text = mem_format("%s", strerror(error));
    text[0] = (char)tolower((unsigned char)text[0]);
    return text;
}

static const char *too_long(const struct reader *r)
{
    return mem_format("%s:%d: bufio.Scanner: token too long", r->file, r->line);
}

// Handle all complete lines of buffer; what is left of it is moved to its front.
static const char *take_lines(struct reader *r, char *buffer, size_t *used, bool at_end)
{
    char *line = buffer, *end = buffer + *used, *newline;
    while (line < end) {
        newline = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((newline ? newline : end) - line);
        if (n >= LINE_LIMIT_BYTES)
            return too_long(r);
        if (!newline && !at_end)
            break;
        take_line(r, (str){line, n});
        line = newline ? newline + 1 : end;
    }
    *used = (size_t)(end - line);
    memmove(buffer, line, *used);
    return NULL;
}

static const char *read_file(struct reader *r, int fd)
{
    static char buffer[LINE_LIMIT_BYTES + READ_BYTES + SLACK_BYTES];
    size_t used = 0;
    for (;;) {
        ssize_t got = read(fd, buffer + used, READ_BYTES);
        int error = errno;
        if (got < 0 && error == EINTR)
            continue;
        used += got > 0 ? (size_t)got : 0;
        buffer[used] = '\n'; // for the loops over a last line that has none
        const char *why = take_lines(r, buffer, &used, got <= 0);
        if (!why && got < 0)
            why = mem_format("%s:%d: read %s: %s", r->file, r->line,
                             fd == STDIN_FILENO ? "/dev/stdin" : r->file, error_text(error));
        if (why || got <= 0)
            return why;
    }
}

struct input {
    const char *path;
    str label;
};

// "label=path", or a path that labels itself; the same path again gets "#0", "#1" and so on.
static struct input *label_inputs(char **paths, size_t n)
{
    struct input *inputs = mem_alloc(n * sizeof *inputs);
    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(paths[i], '=');
        inputs[i].path = equals ? equals + 1 : paths[i];
        inputs[i].label = (str){paths[i], equals ? (size_t)(equals - paths[i]) : strlen(paths[i])};
        if (equals)
            continue;
        size_t before = 0, all = 0;
        for (size_t j = 0; j < n; j++) {
            bool same = strcmp(paths[j], paths[i]) == 0;
            all += same;
            before += same && j < i;
        }
        if (all > 1) {
            char *label = mem_format("%s#%zu", paths[i], before);
            inputs[i].label = (str){label, strlen(label)};
        }
    }
    return inputs;
}

const char *read_inputs(char **paths, size_t n, result_fn *fn, void *to)
{
    static struct reader r;
    r.fn = fn;
    r.to = to;
    struct input *inputs = label_inputs(paths, n);
    for (size_t i = 0; i < n; i++) {
        bool is_stdin = strcmp(inputs[i].path, "-") == 0;
        int fd = is_stdin ? STDIN_FILENO : open(inputs[i].path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return mem_format("open %s: %s", inputs[i].path, error_text(errno));
        r.file = inputs[i].path;
        r.line = 0;
        result_reset(&r.result);
        result_set(&r.result, word_of(STR(".file")), inputs[i].label, false);
        const char *why = read_file(&r, fd);
        if (!is_stdin)
            close(fd);
        if (why)
            return why;
    }
    return NULL;
}
