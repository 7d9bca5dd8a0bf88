/* The life of a benchmark, as go test has it: one call with a single iteration, which shows whether
 * it fails, skips or has sub-benchmarks; then, for each element of -cpu and each -count, calls with
 * more and more iterations until one has lasted for -benchtime. That last one is the result. */
#include "bench/internal.h"
#include "prof/trace.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { ITERATIONS_MAX = 1000000000 };

/* ---- what runs now, for watch.c -------------------------------------------------------------- */

static pthread_mutex_t running_lock = PTHREAD_MUTEX_INITIALIZER;
static char running[256]; /* under running_lock */

void bench_running(char *name, size_t size)
{
    pthread_mutex_lock(&running_lock);
    snprintf(name, size, "%s", running);
    pthread_mutex_unlock(&running_lock);
}

static void set_running(const char *name)
{
    pthread_mutex_lock(&running_lock);
    snprintf(running, sizeof(running), "%s", name);
    pthread_mutex_unlock(&running_lock);
}

/* ---- one call -------------------------------------------------------------------------------- */

static void call(struct bench_state *s)
{
    if (setjmp(s->exit) == 0)
        s->fn(&s->public, s->arg);
}

static void check_call(struct bench_state *s)
{
    if (s->finished || s->failed || s->has_sub)
        return;
    if (s->loop_open)
        bench_harness_error(s, "%s left its bench_loop before that returned false", s->name);
    else if (!s->looped)
        bench_harness_error(
            s, "%s never called bench_loop (nor bench_n, bench_parallel, bench_run)", s->name);
}

static void run_n(struct bench_state *s, int64_t n)
{
    PROF_REGION_IN("benchmark", s->name);
    s->n = n;
    s->parallelism = 1;
    s->looped = s->loop_open = false;
    s->public.iterations_left = 0;
    s->thread = pthread_self();
    bench_reset_timer(&s->public);
    bench_start_timer(&s->public);
    call(s);
    bench_stop_timer(&s->public);
    check_call(s);
    s->previous_n = n;
    s->previous_ns = s->duration_ns;
}

/* ---- growing --------------------------------------------------------------------------------- */

int64_t bench_predict(int64_t goal_ns, int64_t previous_n, int64_t previous_ns, int64_t last)
{
    /* Multiply before dividing: fast benchmarks take about one nanosecond an iteration. A fifth
     * more than needed, at most a hundred times the last, in case that was mistimed; at least one
     * more. */
    __int128 n = (__int128)goal_ns * previous_n / (previous_ns > 0 ? previous_ns : 1);

    n += n / 5;
    if (n > (__int128)100 * last)
        n = (__int128)100 * last;
    if (n < last + 1)
        n = last + 1;
    return n > ITERATIONS_MAX ? ITERATIONS_MAX : (int64_t)n;
}

static void run_until_long_enough(struct bench_state *s)
{
    const struct bench_options *o = s->context->options;

    if (o->time_iterations) { /* a single one has been run already */
        if (o->time_iterations > 1)
            run_n(s, o->time_iterations);
        return;
    }
    for (int64_t n = 1;
         !s->failed && !s->finished && s->duration_ns < o->time_ns && n < ITERATIONS_MAX;) {
        n = bench_predict(o->time_ns, s->n, s->duration_ns, n);
        run_n(s, n);
    }
}

/* ---- printing -------------------------------------------------------------------------------- */

static void name_with_procs(char *out, size_t size, const char *name, int procs)
{
    if (procs == 1)
        snprintf(out, size, "%s", name);
    else
        snprintf(out, size, "%s-%d", name, procs);
}

static int suffix_width(int procs)
{
    return procs == 1 ? 0 : snprintf(NULL, 0, "-%d", procs);
}

static void print_header_once(struct bench_context *c)
{
    if (!c->header_printed)
        bench_print_header(stdout);
    c->header_printed = true;
}

/* Longer names move the column a little further than needed, so that it does not move again for
 * each. */
static void widen_names(struct bench_context *c, const char *name)
{
    int width = (int)strlen(name) + c->suffix_width + 1;

    if (width > c->name_width)
        c->name_width = width + 8;
}

/* The first call. False: there is nothing more to do than what was printed here. */
static bool run_first(struct bench_state *s)
{
    widen_names(s->context, s->name);
    run_n(s, 1);
    if (s->failed) {
        bench_print_output(s, "FAIL", s->name, false);
        return false;
    }
    if (!s->has_sub && !s->finished)
        return true;
    if (s->context->options->verbose && (s->output || s->finished))
        bench_print_output(s, s->skipped ? "SKIP" : "BENCH", s->name, true);
    return false;
}

/* ---- -cpu and -count ------------------------------------------------------------------------- */

/* Threads that a benchmark starts by itself are to have no more CPUs than -cpu says either. */
static void set_procs(struct bench_context *c, int procs)
{
    static cpu_set_t all;
    static bool known;
    cpu_set_t some;
    int left = procs;

    c->procs = procs;
    if (!c->options->procs_given || (!known && sched_getaffinity(0, sizeof(all), &all) < 0))
        return;
    known = true;
    CPU_ZERO(&some);
    for (int i = 0; i < CPU_SETSIZE && left > 0; i++) {
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &some);
            left--;
        }
    }
    sched_setaffinity(0, sizeof(some), &some);
}

static void forget_run(struct bench_state *s)
{
    free(s->output);
    s->output = NULL;
    s->output_len = 0;
    s->previous_n = s->previous_ns = s->bytes = 0;
    s->report_allocs = s->failed = s->finished = s->skipped = false;
}

/* Go pads by characters, printf by bytes. */
static void print_name(const struct bench_context *c, const char *name)
{
    int width = c->name_width;

    for (const char *p = name; *p; p++)
        width += (*p & 0xc0) == 0x80;
    printf("%-*s\t", width, name);
}

static void measure(struct bench_state *s, int procs, bool first)
{
    bool verbose = s->context->options->verbose;
    char *name = NULL;
    int width = asprintf(&name, "%s-%d", s->name, procs);

    if (width < 0)
        return;
    name_with_procs(name, (size_t)width + 1, s->name, procs);
    if (!verbose)
        print_name(s->context, name);
    fflush(stdout);
    if (!first)
        forget_run(s);
    if (first || run_first(s)) {
        run_until_long_enough(s);
        if (s->failed) {
            bench_print_output(s, "FAIL", name, false);
        } else if (s->finished) {
            bench_print_output(s, s->skipped ? "SKIP" : "BENCH", name, true);
        } else {
            if (verbose)
                print_name(s->context, name);
            bench_print_result(stdout, s);
            putchar('\n');
            if (s->output)
                bench_print_output(s, "BENCH", name, true);
        }
    }
    fflush(stdout);
    free(name);
}

static void measure_all(struct bench_state *s)
{
    const struct bench_options *o = s->context->options;
    bool any_failed = false;

    print_header_once(s->context);
    for (int i = 0; i < o->nprocs; i++) {
        for (int64_t j = 0; j < o->count; j++) {
            set_procs(s->context, o->procs[i]);
            measure(s, o->procs[i], i == 0 && j == 0);
            any_failed = any_failed || s->failed;
        }
    }
    s->failed = any_failed;
}

/* ---- one benchmark and its parts ------------------------------------------------------------- */

/* Takes the name. False: it failed. */
static bool run_benchmark(struct bench_state *s, bool partial)
{
    struct bench_context *c = s->context;
    char before[sizeof(running)];

    bench_running(before, sizeof(before));
    set_running(s->name);
    s->has_sub = partial; /* only what is in it was asked for */
    c->matched += !partial;
    pthread_mutex_init(&s->lock, NULL);
    if (c->options->verbose) {
        print_header_once(c);
        printf("%s\n", s->name);
        fflush(stdout);
    }
    set_procs(c, c->options->procs[0]);
    if (run_first(s))
        measure_all(s);
    fflush(stdout);
    set_running(before);
    bool ok = !s->failed;
    pthread_mutex_destroy(&s->lock);
    free(s->output);
    free(s->name);
    free(s);
    return ok;
}

static struct bench_state *new_benchmark(struct bench_context *c, char *name, bench_fn *fn,
                                         void *arg)
{
    struct bench_state *s = name ? calloc(1, sizeof(*s)) : NULL;

    if (!s) {
        free(name);
        return NULL;
    }
    s->context = c;
    s->name = name;
    s->fn = fn;
    s->arg = arg;
    return s;
}

bool bench_run(struct bench *b, const char *name, bench_fn *fn, void *arg)
{
    struct bench_state *parent = bench_state(b);
    struct bench_context *c = parent->context;
    char *full = bench_names_add(&c->names, parent->name, name);
    bool partial = false;

    parent->has_sub = true;
    if (full && !bench_matcher_matches(c->matcher, full, &partial)) {
        free(full);
        return true;
    }
    struct bench_state *s = new_benchmark(c, full, fn, arg);
    if (!s) {
        bench_harness_error(parent, "bench_run(\"%s\"): no memory", name);
        return false;
    }
    s->parent = parent;
    return run_benchmark(s, partial);
}

static void call_entry(struct bench *b, void *arg)
{
    const struct bench_entry *e = arg;

    e->fn(b);
}

bool bench_run_all(struct bench_context *c)
{
    bool ok = true, partial;
    int procs_max = 1;

    for (int i = 0; i < c->options->nprocs; i++)
        if (c->options->procs[i] > procs_max)
            procs_max = c->options->procs[i];
    c->suffix_width = suffix_width(procs_max);
    for (const struct bench_entry *e = bench_entries(); e; e = e->next) {
        int width = (int)strlen(e->name) + 2 * c->suffix_width + 1;
        if (width > c->name_width && bench_matcher_matches(c->matcher, e->name, &partial))
            c->name_width = width;
    }
    for (const struct bench_entry *e = bench_entries(); e; e = e->next) {
        if (!bench_matcher_matches(c->matcher, e->name, &partial))
            continue;
        struct bench_state *s = new_benchmark(c, strdup(e->name), call_entry, (void *)e);
        ok = s && run_benchmark(s, partial) && ok;
    }
    return ok;
}
