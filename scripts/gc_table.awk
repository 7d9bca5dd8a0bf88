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

# How surely row a takes another time than row b: the rounds that say so, negative where a takes less; 0: too few do.
function carried(a, b,   i, less, more) {
    for (i = 1; i <= rounds; i++) {
        less += wall[a, i] < wall[b, i]
        more += wall[a, i] > wall[b, i]
    }
    if (less >= wins_needed(rounds) && wall_median[a] < wall_median[b]) return -less
    if (more >= wins_needed(rounds) && wall_median[a] > wall_median[b]) return more
    return 0
}

# "12 % less time (9 of 9 rounds)" of row a against row b, or why there is nothing to say.
function time_words(a, b,   sure, change) {
    sure = carried(a, b)
    change = (wall_median[a] / wall_median[b] - 1) * 100
    if (wins_needed(rounds) > rounds) return rounds " rounds are too few to tell their times apart"
    if (!sure) return "no difference in time that the rounds carry"
    return sprintf("%.0f %% %s time (%d of %d rounds)", sure < 0 ? -change : change, sure < 0 ? "less" : "more",
        sure < 0 ? -sure : sure, rounds)
}

# A way without a collector, against the collector under each setting.
function against_all(way,   r, sure, least, quicker, settings, factor, low, high, low_memory, high_memory) {
    low = low_memory = 1e9
    least = rounds
    for (r = 0; r < nrows; r++) {
        if (collections[r, 1] == "-") continue
        settings++
        sure = carried(way, r)
        if (sure < 0) quicker++
        if (sure < 0 && -sure < least) least = -sure
        factor = wall_median[way] / wall_median[r]
        if (factor < low) low = factor
        if (factor > high) high = factor
        factor = peak_median[way] / peak_median[r]
        if (factor < low_memory) low_memory = factor
        if (factor > high_memory) high_memory = factor
    }
    if (wins_needed(rounds) > rounds)
        return sprintf("%s: %s to %s the collector's memory; %d rounds are too few to tell times apart", names[way], times(low_memory),
            times(high_memory), rounds)
    if (quicker < settings)
        return names[way] ": less time than " quicker + 0 " of the collector's " settings " settings, as far as the rounds carry"
    return sprintf("%s: %.0f to %.0f %% less time than the collector with any setting (at least %d of %d rounds), %s to %s the memory",
        names[way], 100 * (1 - high), 100 * (1 - low), least, rounds, times(low_memory), times(high_memory))
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

function verdict(   low, high, r, d, good, ways, i) {
    low = find("GOGC=50"); high = find("GOGC=200")
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
    split("pool arena", ways, " ")
    for (i = 1; i <= 2; i++)
        print "verdict: " against_all(find(ways[i]))
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
