/* A result as a line of Go's benchmark format (https://golang.org/design/14313-benchmark-format),
 * column for column as Go's testing package prints it. */
#include "bench/internal.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(__x86_64__)
#define ARCH "amd64"
#elif defined(__aarch64__)
#define ARCH "arm64"
#else
#error "bench/ knows x86-64 and arm64"
#endif

/* The name the processor gives itself, "" where it gives none: what Go prints. */
static void cpu_name(char name[static 49])
{
    memset(name, 0, 49);
#if defined(__x86_64__)
    unsigned r[12] = {0};
    if ((unsigned)__get_cpuid_max(0x80000000, NULL) < 0x80000004) /* an int with clang */
        return;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
    memcpy(name, r, sizeof(r));
    memmove(name, name + strspn(name, " "), 48 - strspn(name, " "));
#endif
}

void bench_print_header(FILE *out)
{
    char cpu[49];

    cpu_name(cpu);
    fprintf(out, "goos: linux\ngoarch: " ARCH "\npkg: %s\n", bench_package());
    if (*cpu)
        fprintf(out, "cpu: %s\n", cpu);
}

/* Four significant digits below 1000, with the points of all magnitudes in one column. */
void bench_print_value(FILE *out, double value, const char *unit)
{
    static const double limits[] = {999.95,   99.995,    9.9995,    0.99995,
                                    0.099995, 0.0099995, 0.00099995};
    double size = fabs(value);
    int places = 0;

    if (!isfinite(value)) { /* Go's names for them */
        fprintf(out, "%*s %s", isnan(value) ? 18 : 10,
                isnan(value) ? "NaN"
                : value < 0  ? "-Inf"
                             : "+Inf",
                unit);
        return;
    }
    while (size != 0 && places < 7 && size < limits[places])
        places++;
    fprintf(out, "%*.*f %s", 10 + places + (places > 0), places, value, unit);
}

static const struct bench_metric *find_metric(const struct bench_state *b, const char *unit)
{
    for (int i = 0; i < b->nmetrics; i++)
        if (strcmp(b->metrics[i].unit, unit) == 0)
            return &b->metrics[i];
    return NULL;
}

static double megabytes_per_second(const struct bench_state *b)
{
    const struct bench_metric *m = find_metric(b, "MB/s");

    if (m)
        return m->value;
    if (b->bytes <= 0 || b->duration_ns <= 0)
        return 0;
    return (double)b->bytes * (double)b->n / 1e6 / ((double)b->duration_ns / 1e9);
}

static int64_t per_op(const struct bench_state *b, const char *unit, uint64_t total)
{
    const struct bench_metric *m = find_metric(b, unit);

    return m ? (int64_t)m->value : (int64_t)total / b->n;
}

static bool is_built_in(const char *unit)
{
    return strcmp(unit, "ns/op") == 0 || strcmp(unit, "MB/s") == 0 || strcmp(unit, "B/op") == 0 ||
           strcmp(unit, "allocs/op") == 0;
}

static int by_unit(const void *a, const void *b)
{
    return strcmp(((const struct bench_metric *)a)->unit, ((const struct bench_metric *)b)->unit);
}

static void print_metrics(FILE *out, const struct bench_state *b)
{
    struct bench_metric sorted[BENCH_METRICS_MAX];

    memcpy(sorted, b->metrics, sizeof(sorted));
    qsort(sorted, (size_t)b->nmetrics, sizeof(sorted[0]), by_unit);
    for (int i = 0; i < b->nmetrics; i++) {
        if (is_built_in(sorted[i].unit))
            continue;
        fputc('\t', out);
        bench_print_value(out, sorted[i].value, sorted[i].unit);
    }
}

static void print_columns(FILE *out, const struct bench_state *b)
{
    const struct bench_metric *m = find_metric(b, "ns/op");
    double ns = m ? m->value : (double)b->duration_ns / (double)b->n;
    double mbs = megabytes_per_second(b);

    fprintf(out, "%8ld", (long)b->n);
    if (ns != 0) {
        fputc('\t', out);
        bench_print_value(out, ns, "ns/op");
    }
    if (mbs != 0)
        fprintf(out, "\t%7.2f MB/s", mbs);
    print_metrics(out, b);
    if (b->context->options->memory || b->report_allocs)
        fprintf(out, "\t%8ld B/op\t%8ld allocs/op", (long)per_op(b, "B/op", b->alloc_bytes),
                (long)per_op(b, "allocs/op", b->allocs));
}

/* With a point in its decimals, whatever language the program has set. */
void bench_print_result(FILE *out, const struct bench_state *b)
{
    locale_t point = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    locale_t host = uselocale(point);

    print_columns(out, b);
    uselocale(host);
    freelocale(point);
}
