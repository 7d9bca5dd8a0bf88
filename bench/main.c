/* The program around the benchmarks: flags, what to run, profiles, and the last lines with the exit
 * status. */
#include "bench/internal.h"

#include <string.h>

void bench_print_end(bool ok, int64_t start_ns)
{
    double seconds = (double)(bench_now_ns() - start_ns) / 1e9;

    printf("%s\n%s\t%s\t%.3fs\n", ok ? "PASS" : "FAIL\nexit status 1", ok ? "ok  " : "FAIL",
           bench_package(), seconds);
}

static int compile(const char *flag, const char *pattern, bool split, struct bench_matcher **out)
{
    char error[256];

    *out = bench_matcher_new(pattern, split, error, sizeof(error));
    return *out ? 0 : bench_complain(2, "invalid regular expression for %s: %s", flag, error);
}

/* The status, unless what was printed went nowhere. */
static int written(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return bench_complain(1, "what was printed could not be written to standard output");
    return status;
}

static int list(const struct bench_options *o, int64_t start_ns)
{
    struct bench_matcher *m;
    bool partial;
    int status = compile("-list", o->list, false, &m);

    if (status)
        return status;
    for (const struct bench_entry *e = bench_entries(); e; e = e->next)
        if (bench_matcher_matches(m, e->name, &partial))
            puts(e->name);
    bench_matcher_free(m);
    printf("ok  \t%s\t%.3fs\n", bench_package(), (double)(bench_now_ns() - start_ns) / 1e9);
    return written(0);
}

static int complain_no_match(const struct bench_options *o)
{
    return bench_complain(2, "no benchmark matches -bench %s: %s", o->bench,
                          strchr(o->bench, '/')
                              ? "-list . names all, without what stands behind a slash, "
                                "which -bench NAME -benchtime 1x prints"
                              : "-list . names them all");
}

static bool any_matches(const struct bench_matcher *m)
{
    bool partial;

    for (const struct bench_entry *e = bench_entries(); e; e = e->next)
        if (bench_matcher_matches(m, e->name, &partial))
            return true;
    return false;
}

/* Everything between the flags and the last lines. */
static int run(struct bench_context *c, int64_t start_ns)
{
    const struct bench_options *o = c->options;

    if (o->bench && !any_matches(c->matcher))
        return complain_no_match(o);
    int status = bench_profiles_check(o);
    if (!status)
        status = bench_watch_start(o, start_ns);
    if (!status)
        status = bench_profiles_start(o);
    if (status)
        return status;
    if (!o->bench)
        bench_complain(0,
                       "nothing to run: choose benchmarks with -bench REGEXP (-bench . runs all)");
    bool ok = bench_run_all(c);
    bench_watch_lift_limit();
    if (o->bench && !c->matched && ok) {
        bench_watch_stop();
        return complain_no_match(o);
    }
    status = bench_profiles_write(o);
    bench_watch_stop();
    bench_print_end(ok && !status, start_ns);
    return ok && !status ? 0 : 1;
}

int bench_main(int argc, char **argv)
{
    int64_t start_ns = bench_now_ns();
    struct bench_options o;
    struct bench_matcher *unused = NULL;
    int status = bench_parse_flags(argc, argv, &o);

    if (status)
        return status;
    if (o.help) {
        bench_print_help(stdout);
        return written(0);
    }
    if (o.list)
        return list(&o, start_ns);
    struct bench_context c = {.options = &o};
    status = compile("-run", o.run, true, &unused);
    bench_matcher_free(unused);
    if (!status)
        status = compile("-bench", o.bench, true, &c.matcher);
    if (!status)
        status = run(&c, start_ns);
    bench_matcher_free(c.matcher);
    bench_names_free(&c.names);
    return written(status);
}
