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
    READ_BYTES = 256 * 1024,
    LINE_LIMIT_BYTES = 64 * 1024, // a longer line is an error
    SLACK_BYTES = 8               // fields are read in words, past the end of a line
};

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

static void report(const struct reader *r, const char *message)
{
    fprintf(stderr, "%s:%d: %s\n", r->file, r->line, message);
}

// ---- fields
// --------------------------------------------------------------------------------------

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

// The width of the white space at s (s.n > 0), or 0.
static size_t space_width(str s)
{
    unsigned char c = (unsigned char)*s.s;
    if (c < 0x80)
        return is_space(c);
    size_t width;
    return rune_is_space(rune_decode(s, &width)) ? width : 0;
}

// How many bytes of s certainly belong to a word: printable ASCII.
static size_t plain_prefix(str s)
{
    size_t i = 0;
    for (uint64_t x; i < s.n; i += sizeof x) {
        memcpy(&x, s.s + i, sizeof x); // within the slack behind the buffer
        uint64_t odd = ((x - UINT64_C(0x2121212121212121)) | x) & UINT64_C(0x8080808080808080);
        if (odd) {
            i += (size_t)__builtin_ctzll(odd) / 8; // little-endian: the first such byte
            break;
        }
    }
    return i < s.n ? i : s.n;
}

// Cut the first field off *rest, and the white space behind it.
static str take_field(str *rest)
{
    str field = {rest->s, 0};
    size_t i = 0, width = 0;
    for (;;) {
        i += plain_prefix((str){rest->s + i, rest->n - i});
        if (i == rest->n || (width = space_width((str){rest->s + i, rest->n - i})))
            break;
        rune_decode((str){rest->s + i, rest->n - i}, &width);
        i += width;
    }
    field.n = i;
    while (i < rest->n && (width = space_width((str){rest->s + i, rest->n - i})))
        i += width;
    *rest = (str){rest->s + i, rest->n - i};
    return field;
}

// ---- results
// -------------------------------------------------------------------------------------

static const struct raw_unit *unit_at(struct reader *r, size_t place, str name)
{
    if (place >= r->unit_at_capacity) {
        size_t grown = place * 2 + 4;
        r->unit_at = mem_grow(r->unit_at, grown * sizeof *r->unit_at);
        memset(r->unit_at + place, 0, (grown - place) * sizeof *r->unit_at);
        r->unit_at_capacity = grown;
    }
    const struct raw_unit *u = r->unit_at[place];
    if (!u || u->raw->n != name.n || memcmp(u->raw->s, name.s, name.n) != 0)
        u = r->unit_at[place] = unit_of(name);
    return u;
}

static void add_value(struct reader *r, double value, str unit_name)
{
    struct result *res = &r->result;
    const struct raw_unit *unit = unit_at(r, res->n_values, unit_name);
    if (res->n_values == r->values_capacity) {
        r->values_capacity = r->values_capacity * 2 + 8;
        res->values = mem_grow(res->values, r->values_capacity * sizeof *res->values);
    }
    // 0 and infinity stay what they are, and so does their unit.
    double tidied = value * unit->factor;
    res->values[res->n_values++] = tidied == value ? (struct measurement){value, &unit->plain}
                                                   : (struct measurement){tidied, &unit->tidied};
}

// Value and unit pairs up to the end of the line; NULL or what is wrong.
static const char *take_values(struct reader *r, str line)
{
    r->result.n_values = 0;
    for (;;) {
        str number = take_field(&line);
        if (number.n == 0)
            return r->result.n_values ? NULL : "missing measurements";
        double value;
        const char *error = number_parse(number, &value);
        if (error)
            return mem_format("parsing measurement: %s", error);
        str unit = take_field(&line);
        if (unit.n == 0)
            return "missing units";
        add_value(r, value, unit);
    }
}

static void take_result(struct reader *r, str line)
{
    str rest = line;
    r->result.name = take_field(&rest);
    if (r->result.name.n == line.n)
        return; // `go test -v` announces a benchmark with its name alone
    str count = take_field(&rest);
    const char *error = "missing iteration count";
    if (count.n > 0) {
        error = number_parse_count(count);
        if (error)
            error = mem_format("parsing iteration count: %s", error);
        else
            error = take_values(r, rest);
    }
    if (error)
        report(r, error);
    else
        r->fn(r->to, &r->result);
}

// ---- unit metadata and configuration
// ---------------------------------------------------------------

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
        if (have && !str_equal(value, (str){have->s, have->n}))
            report(r, mem_format("metadata %.*s of unit %.*s already set to %s", (int)key.n, key.s,
                                 (int)name.n, name.s, have->s));
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

// ---- files
// ---------------------------------------------------------------------------------------

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
