// utest.c: the Mann-Whitney U test: do two samples come from the same distribution?
//
// U counts the pairs in which the first sample's value is the greater, ties half. Its distribution
// under "the same" depends on nothing but the sample sizes and the ties, so no assumption about
// the values is needed. It is exact for small samples:
//   H. Mann, D. Whitney, "On a Test of Whether one of Two Random Variables is Stochastically
//   Larger than the Other", 1947: the recurrence without ties;
//   Y. Cheung, J. Klotz, "The Mann Whitney Wilcoxon Distribution Using Linked Lists", 1997: with.
// For large ones it is the normal approximation with tie and continuity corrections.

#include "cmd/benchstat/benchstat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXACT_LIMIT = 50, EXACT_TIES_LIMIT = 25 };

static const char all_equal[] = "all samples are equal";

// ---- without ties ---------------------------------------------------------------------------

// cumulative[u] = P(U <= u) for all u up to half of n*m, with n <= m.
static double *distribution(int n, int m)
{
    size_t size = (size_t)(n * m / 2 + 1);
    // p[i] is the distribution for samples of i and j values; j grows from row to row. A row
    // overwrites the one before from its largest u down, reading only what it has yet to write.
    double **p = mem_alloc((size_t)(n + 1) * sizeof *p);
    for (int i = 0; i <= n; i++)
        p[i] = mem_grow(NULL, size * sizeof **p), memset(p[i], 0, size * sizeof **p);
    p[0][0] = 1;
    for (int j = 1; j <= m; j++)
        for (int i = 1; i <= n && i <= j; i++) {
            const double *fewer_j = i < j ? p[i] : p[i - 1]; // by symmetry
            int most = i * j < (int)size - 1 ? i * j : (int)size - 1;
            for (int u = most; u >= 0; u--) {
                double from_i = u >= j ? i * p[i - 1][u - j] : 0;
                p[i][u] = (from_i + j * fewer_j[u]) / (i + j);
            }
        }
    double *cumulative = mem_alloc(size * sizeof *cumulative), sum = 0;
    for (size_t u = 0; u < size; u++)
        cumulative[u] = sum += p[n][u];
    for (int i = 0; i <= n; i++)
        free(p[i]);
    return cumulative;
}

static double exact_p(int n1, int n2, double u)
{
    static double *known[EXACT_LIMIT + 1][EXACT_LIMIT + 1];
    int n = n1 < n2 ? n1 : n2, m = n1 < n2 ? n2 : n1;
    if (!known[n][m])
        known[n][m] = distribution(n, m);
    return known[n][m][(int)u] * 2;
}

// ---- with ties ------------------------------------------------------------------------------

// The values in order form ranks; tie[k] values share rank k. How often does a choice of n1 values
// have at most a given U? Counted recursively over how many are taken of the highest rank. All U
// are doubled, to be whole.
struct count {
    const int *tie;
    int n1_size, twice_u_size;
    int below[2 * EXACT_TIES_LIMIT + 1]; // [k]: how many values stand in the ranks before k
    struct bounds {
        int least,
            greatest; // 2U of n1 values out of the first k ranks: all as low or high as can be
        double all;   // how many choices there are; 0: not yet known
    } bounds[2 * EXACT_TIES_LIMIT + 1][EXACT_TIES_LIMIT + 1]; // [k][n1]
    double *memo; // [k][n1][twice u]; negative: not yet known
};

static int coefficient(const struct count *c, int rank)
{
    return 2 * c->below[rank] + c->tie[rank];
}

// Take n1 values from ranks first, first + step, ... as long as there are any.
static int extreme(const struct count *c, int n1, int first, int step)
{
    int twice_u = -n1 * n1;
    for (int rank = first; n1 > 0; rank += step) {
        int taken = n1 < c->tie[rank] ? n1 : c->tie[rank];
        twice_u += taken * coefficient(c, rank);
        n1 -= taken;
    }
    return twice_u;
}

static void set_bounds(struct count *c, int ranks)
{
    for (int i = 0; i < ranks; i++)
        c->below[i + 1] = c->below[i] + c->tie[i];
    for (int k = 2; k <= ranks; k++)
        for (int n1 = 0; n1 < c->n1_size && n1 <= c->below[k]; n1++)
            c->bounds[k][n1] = (struct bounds){extreme(c, n1, 0, 1), extreme(c, n1, k - 1, -1), 0};
}

// The end of the recursion. A U below the least possible one, which the other sample's may be if
// the ties are lopsided, rounds to some ways instead of none: the Go program has it so.
static double count_two(const struct count *c, int n1, int twice_u)
{
    int first = n1 > c->tie[0] ? n1 - c->tie[0] : 0;
    int last = (twice_u - n1 * (c->tie[0] - n1)) / (c->tie[0] + c->tie[1]);
    double sum = 0;
    for (int taken = first; taken <= last; taken++)
        sum += choose(c->tie[0], n1 - taken) * choose(c->tie[1], taken);
    return sum;
}

static double count_first(struct count *c, int k, int n1, int twice_u);

// As count_first, for what may lie outside of the possible U.
static double count_any(struct count *c, int k, int n1, int twice_u)
{
    struct bounds *b = &c->bounds[k][n1];
    if (twice_u < b->least)
        return 0;
    if (twice_u <= b->greatest)
        return count_first(c, k, n1, twice_u);
    if (b->all == 0)
        b->all = choose(c->below[k], n1);
    return b->all;
}

// The choices of n1 values from the first k >= 2 ranks with at most this 2U.
static double count_first(struct count *c, int k, int n1, int twice_u)
{
    double *memo = &c->memo[(k * c->n1_size + n1) * c->twice_u_size + twice_u];
    if (*memo >= 0)
        return *memo;
    if (k == 2)
        return *memo = count_two(c, n1, twice_u);
    int rank = k - 1, left = n1 - c->below[rank];
    double sum = 0;
    for (int taken = left > 0 ? left : 0; taken <= n1 && taken <= c->tie[rank]; taken++) {
        int rest = twice_u - taken * (coefficient(c, rank) - 2 * n1 + taken);
        sum += count_any(c, k - 1, n1 - taken, rest) * choose(c->tie[rank], taken);
    }
    return *memo = sum;
}

static double exact_ties_p(int n1, int n2, const int *tie, int ranks, double u)
{
    static struct count c;
    int twice_u = (int)(2 * u);
    c.tie = tie;
    c.n1_size = n1 + 1;
    c.twice_u_size = twice_u + 1;
    set_bounds(&c, ranks);
    size_t size = (size_t)((ranks + 1) * c.n1_size * c.twice_u_size);
    c.memo = mem_grow(NULL, size * sizeof *c.memo);
    for (size_t i = 0; i < size; i++)
        c.memo[i] = -1;
    double count = count_first(&c, ranks, n1, twice_u);
    free(c.memo);
    return count / choose(n1 + n2, n1) * 2;
}

// ---- the test -------------------------------------------------------------------------------

struct ranking {
    double rank_sum; // of the first sample
    int *tie;        // how many values share each rank
    size_t n;
    bool has_ties;
    double correction; // sum of t^3 - t
};

// Merge both sorted samples and rank them; values that are equal share the mean of their ranks.
static void rank_samples(struct ranking *r, const double *x1, size_t n1, const double *x2,
                         size_t n2)
{
    size_t i = 0, j = 0;
    uint64_t correction = 0;
    while (i < n1 || j < n2) {
        double value = j == n2 || (i < n1 && x1[i] < x2[j]) ? x1[i] : x2[j];
        size_t first = i + j, own = i;
        while (i < n1 && x1[i] == value)
            i++;
        while (j < n2 && x2[j] == value)
            j++;
        own = i - own;
        if (own)
            r->rank_sum += (double)(i + j + first + 1) / 2 * (double)own;
        uint64_t shared = i + j - first;
        r->tie[r->n++] = (int)shared;
        r->has_ties |= shared > 1;
        correction += shared * shared * shared - shared;
    }
    r->correction = (double)(int64_t)correction;
}

static const char *approximate_p(const struct ranking *r, double n1, double n2, double u, double *p)
{
    double n = n1 + n2, mean = n1 * n2 / 2;
    double sigma = sqrt(n1 * n2 * ((n + 1) - r->correction / (n * (n - 1))) / 12);
    if (sigma == 0)
        return all_equal;
    double numerator = u - mean;
    numerator -= numerator > 0 ? 0.5 : numerator < 0 ? -0.5 : 0;
    double tail = normal_cdf(numerator / sigma);
    *p = 2 * fmin(tail, 1 - tail);
    return NULL;
}

const char *u_test(const double *x1, size_t n1, const double *x2, size_t n2, double *p)
{
    // NaN sorts first. It is neither more nor less than anything, so that it has no rank.
    if (isnan(x1[0]) || isnan(x2[0]))
        return "a sample contains NaN";
    struct ranking r = {.tie = mem_grow(NULL, (n1 + n2) * sizeof *r.tie)};
    rank_samples(&r, x1, n1, x2, n2);
    double pairs = (double)n1 * (double)n2;
    double u1 = r.rank_sum - (double)(n1 * (n1 + 1)) / 2, u2 = pairs - u1;
    size_t limit = r.has_ties ? EXACT_TIES_LIMIT : EXACT_LIMIT;
    const char *error = NULL;
    if (n1 > limit || n2 > limit)
        error = approximate_p(&r, (double)n1, (double)n2, u1, p);
    else if (r.n == 1)
        error = all_equal;
    else if (u1 == u2)
        *p = 1; // the distribution is symmetric: twice a half would count the middle twice
    else if (r.has_ties)
        *p = exact_ties_p((int)n1, (int)n2, r.tie, (int)r.n, fmin(u1, u2));
    else
        *p = exact_p((int)n1, (int)n2, fmin(u1, u2));
    free(r.tie);
    return error;
}

// The smallest equal sample sizes whose most extreme outcome is significant: p = 2 / (2n choose n).
const char *u_test_samples_needed(double alpha, int *n)
{
    static const double least_p[] = {0,
                                     1,
                                     0.3333333333333333,
                                     0.1,
                                     0.02857142857142857,
                                     0.007936507936507936,
                                     0.0021645021645021645,
                                     0.0005827505827505828,
                                     0.0001554001554001554,
                                     4.113533525298231e-05};
    int count = sizeof least_p / sizeof *least_p;
    for (*n = 1; *n < count; ++*n)
        if (least_p[*n] <= alpha)
            return ">=";
    return ">";
}

// The k for which the k-th smallest and the k-th largest of all pairs bound the difference with
// the given confidence; 0 if the samples are too small. Ties make the interval only wider.
size_t u_test_interval(size_t n1, size_t n2, double confidence)
{
    double tail = (1 - confidence) / 2, pairs = (double)n1 * (double)n2;
    if (n1 > EXACT_LIMIT || n2 > EXACT_LIMIT) {
        double sigma = sqrt(pairs * ((double)n1 + (double)n2 + 1) / 12);
        double k = floor(pairs / 2 + normal_quantile(tail) * sigma);
        return k > 0 ? (size_t)k : 0;
    }
    size_t k = 0;
    while (k <= (size_t)pairs / 2 && exact_p((int)n1, (int)n2, (double)k) / 2 <= tail)
        k++;
    return k;
}
