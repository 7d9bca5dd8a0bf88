/* What a benchmark says, and what ends it early. It is kept and printed under the result, with -v
 * at once; formatted as go test's: four spaces, file and line, continuation lines four spaces
 * deeper. */
#include "bench/internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* What it is part of has failed, too. */
static void mark_failed(struct bench_state *b)
{
    for (; b; b = b->parent) {
        pthread_mutex_lock(&b->lock);
        b->failed = true;
        pthread_mutex_unlock(&b->lock);
    }
}

bool bench_failed(const struct bench *b)
{
    struct bench_state *s = bench_state(b);

    pthread_mutex_lock(&s->lock);
    bool failed = s->failed;
    pthread_mutex_unlock(&s->lock);
    return failed;
}

const char *bench_name(const struct bench *b)
{
    return bench_state(b)->name;
}

static void append(struct bench_state *b, const char *text)
{
    size_t len = strlen(text);

    pthread_mutex_lock(&b->lock);
    char *output = realloc(b->output, b->output_len + len + 1);
    if (output) {
        memcpy(output + b->output_len, text, len + 1);
        b->output = output;
        b->output_len += len;
    }
    pthread_mutex_unlock(&b->lock);
}

/* Indents the lines of text, without its last newline, and keeps or prints them. */
static void say(struct bench_state *b, const char *place, char *text)
{
    size_t len = strlen(text), size = 0;
    char *all = NULL;
    FILE *out = open_memstream(&all, &size);

    if (!out)
        return;
    if (len && text[len - 1] == '\n')
        text[len - 1] = '\0';
    fprintf(out, "    %s", place);
    for (char *line; (line = strsep(&text, "\n"));)
        fprintf(out, "%s%s", line, text ? "\n        " : "\n");
    fclose(out);
    if (b->context->options->verbose)
        fputs(all, stdout);
    else
        append(b, all);
    free(all);
}

static void vsay(struct bench_state *b, const char *place, const char *format, va_list args)
{
    char *text;

    if (vasprintf(&text, format, args) < 0)
        return;
    say(b, place, text);
    free(text);
}

void bench_harness_error(struct bench_state *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsay(b, "", format, args);
    va_end(args);
    mark_failed(b);
}

/* Ends the calling thread's part in the benchmark. */
static void leave(struct bench_state *b)
{
    if (!pthread_equal(pthread_self(), b->thread))
        pthread_exit(NULL);
    b->finished = true;
    longjmp(b->exit, 1);
}

void bench_say(struct bench *b, enum bench_say what, const char *file, int line, const char *format,
               ...)
{
    struct bench_state *s = bench_state(b);
    char place[256];
    va_list args;

    snprintf(place, sizeof(place), "%s:%d: ", basename(file), line);
    va_start(args, format);
    vsay(s, place, format, args);
    va_end(args);
    if (what == BENCH_SAY_ERROR || what == BENCH_SAY_FATAL)
        mark_failed(s);
    if (what == BENCH_SAY_SKIP)
        s->skipped = true;
    if (what == BENCH_SAY_FATAL || what == BENCH_SAY_SKIP)
        leave(s);
}

/* A benchmark is called many times and may say the same each time: ten lines are enough. */
static void cut_after_ten_lines(char *output)
{
    for (int lines = 0; (output = strchr(output, '\n')); output++)
        if (++lines == 10) {
            *output = '\0';
            return;
        }
}

void bench_print_output(struct bench_state *b, const char *tag, const char *name, bool trim)
{
    printf("--- %s: %s\n", tag, name);
    if (!b->output)
        return;
    if (trim) {
        cut_after_ten_lines(b->output);
        size_t len = strlen(b->output);
        printf("%s%s", b->output, len == b->output_len ? "" : "\n\t... [output truncated]\n");
    } else {
        fputs(b->output, stdout);
    }
}
