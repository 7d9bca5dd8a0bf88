# The table of compare_gc.sh and the sentences that its numbers carry.
#
#   awk -v title=TEXT -v picks=FILE -f scripts/gc_table.awk NAMES RUNS
#
# NAMES: the rows' names. RUNS: lines `row round checksum wall_ms peak_mib collections predicted pause_total pause_longest`
# with - for what a row does not have. picks: gets `row round` of the run with the median time of each row.
# Exit: 0 the verdict holds, 1 it does not, 2 the runs did not do the same work.

# The median of a row's n values; sets where[row] to the round it is from, the lower one of two.
function median(values, row, n,   i, j, order, t) {
    for (i = 1; i <= n; i++) order[i] = i
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && values[row, order[j]] < values[row, order[j - 1]]; j--) {
            t = order[j]; order[j] = order[j - 1]; order[j - 1] = t
        }
    where[row] = order[int((n + 1) / 2)]
    return n % 2 ? values[row, order[(n + 1) / 2]] : (values[row, order[n / 2]] + values[row, order[n / 2 + 1]]) / 2
}

# Of how many rounds one row has to win to be called faster: the chance that it does so by luck is at most 5 %, both ways.
function wins_needed(n,   k, sum, term) {
    term = 1 / 2 ^ n
    for (k = n; k >= 0; k--) {
        sum += term
        if (2 * sum > 0.05) return k + 1
        term = term * k / (n - k + 1)
    }
    return n + 1
}

# "time 12 % less (9 of 9 rounds)" of row a against row b, or that there is no difference.
function time_words(a, b,   i, less, more, change) {
    if (wins_needed(rounds) > rounds)
        return sprintf("%d rounds are too few to tell their times apart", rounds)
    for (i = 1; i <= rounds; i++) {
        less += wall[a, i] < wall[b, i]
        more += wall[a, i] > wall[b, i]
    }
    change = (wall_median[a] / wall_median[b] - 1) * 100
    if (less >= wins_needed(rounds) && change < 0)
        return sprintf("%.0f %% less time (%d of %d rounds)", -change, less, rounds)
    if (more >= wins_needed(rounds) && change > 0)
        return sprintf("%.0f %% more time (%d of %d rounds)", change, more, rounds)
    return "no difference in time that the rounds carry"
}

function times(x) { return sprintf(x < 10 ? "%.1fx" : "%.0fx", x) }
function find(name,   i) {
    for (i in names) if (names[i] == name) return i
    return -1
}

NR == FNR { names[FNR - 1] = $0; nrows = FNR; next }
{
    if (checksum == "") checksum = $3
    if ($3 != checksum) mixed = 1
    wall[$1, $2] = $4; peak[$1, $2] = $5; pause[$1, $2] = $8; longest[$1, $2] = $9
    collections[$1, $2] = $6; predicted[$1, $2] = $7
    if ($2 > rounds) rounds = $2
}

function cell(width, value, format) { return value == "-" ? sprintf("  %*s", width, "-") : sprintf("  %*s", width, sprintf(format, value)) }

function print_row(r,   has) {
    has = collections[r, 1] != "-"
    printf "  %-24s%s%s%s%s%s%s\n", names[r], cell(11, has ? runs_median[r] : "-", "%d"), cell(9, predicted[r, 1], "%d"),
        cell(12, has ? pause_median[r] : "-", "%.1f ms"), cell(11, has ? longest_median[r] : "-", "%.2f ms"),
        cell(10, wall_median[r], "%.0f ms"), cell(10, peak_median[r], "%.1f MiB")
}

function verdict(   low, high, off, r, d, good, best, way, names_of_ways, i) {
    low = find("GOGC=50"); high = find("GOGC=200"); off = find("GOGC=off")
    good = 1
    for (r = 0; r < nrows; r++)
        if (predicted[r, 1] != "-") {
            d = runs_median[r] - predicted[r, 1]
            if (d * d > (predicted[r, 1] / 10) ^ 2) good = 0
        }
    if (!good) {
        print "verdict: inconclusive: the collections are not those of the formula; is the work too little? GC_COUNT sets it"
        return 1
    }
    if (runs_median[high] == 0 || runs_median[low] <= runs_median[high] || peak_median[high] <= peak_median[low]) {
        print "verdict: inconclusive: too little is allocated for the knobs to differ; GC_COUNT sets how much"
        return 1
    }
    printf "verdict: GOGC=200 instead of 50: %s fewer collections (%d instead of %d) for %s the memory; %s\n",
        times(runs_median[low] / runs_median[high]), runs_median[high], runs_median[low],
        times(peak_median[high] / peak_median[low]), time_words(high, low)
    best = low
    for (r = 0; r < nrows; r++)
        if (collections[r, 1] != "-" && wall_median[r] < wall_median[best]) best = r
    split("pool arena", names_of_ways, " ")
    for (i = 1; i <= 2; i++) {
        way = find(names_of_ways[i])
        printf "verdict: %s, against the collector's quickest setting (%s): %s, %s the memory\n", names_of_ways[i], names[best],
            time_words(way, best), times(peak_median[way] / peak_median[best])
    }
    return 0
}

END {
    if (mixed || !rounds) {
        print "the runs did not do the same work: their checksums differ"
        exit 2
    }
    for (r = 0; r < nrows; r++) {
        pause_median[r] = median(pause, r, rounds)
        longest_median[r] = median(longest, r, rounds)
        peak_median[r] = median(peak, r, rounds)
        runs_median[r] = median(collections, r, rounds)
        wall_median[r] = median(wall, r, rounds)
        print r, where[r] > picks
    }
    printf "compare gc: %s; medians of %d rounds\n\n", title, rounds
    printf "  %-24s  %11s  %9s  %12s  %11s  %10s  %10s\n", "memory from", "collections", "formula", "all pauses", "the longest", "wall time",
        "peak memory"
    for (r = 0; r < nrows; r++) {
        if (collections[r, 1] == "-" && !parted++) print ""
        print_row(r)
    }
    print ""
    exit verdict()
}
