# The table and the sentences of compare-malloc. The first file names each setting's analogue in Go, a line a setting; the
# second has a line a run: index, allocator, name, CPU ns/op, peak MiB, held MiB, failed, ops/s, checksum, "live kept ops".

function sort_values(v, n,    i, j, x) {
    for (i = 2; i <= n; i++) {
        x = v[i]
        for (j = i - 1; j >= 1 && v[j] > x; j--)
            v[j + 1] = v[j]
        v[j + 1] = x
    }
}
function median(s, what,    i, n, v) {
    n = runs[s]
    for (i = 1; i <= n; i++)
        v[i] = value[s, what, i]
    sort_values(v, n)
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
# How many of the orders of m and n values have u inversions.
function orders(u, m, n) {
    if (u < 0 || u > m * n)
        return 0
    if (m == 0 || n == 0)
        return u == 0
    if (!((u, m, n) in known))
        known[u, m, n] = orders(u - n, m - 1, n) + orders(u, m, n - 1)
    return known[u, m, n]
}
# The probability of two sets of runs as far apart as these, or further, when nothing differs but luck.
function p_value(a, b, what,    i, j, u, m, n, tail, all) {
    m = runs[a]
    n = runs[b]
    u = 0
    for (i = 1; i <= m; i++)
        for (j = 1; j <= n; j++)
            u += value[a, what, i] > value[b, what, j] ? 1 : value[a, what, i] == value[b, what, j] ? 0.5 : 0
    u = int(u < m * n / 2 ? u + 0.5 : m * n - u + 0.5)
    for (i = 0; i <= m * n; i++)
        all += orders(i, m, n)
    for (i = 0; i <= u; i++)
        tail += orders(i, m, n)
    return 2 * tail / all > 1 ? 1 : 2 * tail / all
}
function differs(s, what) {
    return p_value(s, base[s], what) < 0.01
}
function ratio(s, what) {
    return median(s, what) / median(base[s], what)
}
# A value, and how far from the defaults' it is.
function cell(s, what, format, width,    text, change) {
    text = sprintf(format, median(s, what))
    change = ""
    if (s != base[s] && !differs(s, what))
        change = "~"
    else if (s != base[s])
        change = ratio(s, what) >= 2 ? sprintf("%.1fx", ratio(s, what)) : sprintf("%+.0f%%", 100 * ratio(s, what) - 100)
    return sprintf("%" width "s %6s", text, change)
}
function thousands(n,    text) {
    for (text = ""; n >= 1000; n = int(n / 1000))
        text = sprintf(",%03d", n % 1000) text
    return n text
}
function percent_less(s, what) {
    return sprintf("%.0f%% less", 100 - 100 * ratio(s, what))
}
function conclude_peak(    s) {
    for (s = 0; s < n_settings; s++)
        if (runs[s] && s != base[s] && differs(s, "peak") && ratio(s, "peak") <= 0.8)
            printf "peak: %s needs %s than the defaults\n", name[s], percent_less(s, "peak")
}
function conclude_failures(    s, i, always) {
    for (s = 0; s < n_settings; s++) {
        always = runs[s]
        for (i = 1; i <= runs[s]; i++)
            always = always && value[s, "failed", i] > 0
        if (always)
            printf "limit: %s refused %s of %s allocations, though no more than %s MiB were in use: GOMEMLIMIT would not\n",
                name[s], thousands(median(s, "failed")), thousands(most_ops), live
    }
}
# What is done once, at the end. False: not all of it frees half of what is held.
function conclude_end(    s, wrong) {
    for (s = 0; s < n_settings; s++) {
        if (!runs[s] || name[s] !~ /at the end/)
            continue
        if (differs(s, "held") && ratio(s, "held") <= 0.5)
            printf "held: %s leaves %s, and takes %.0f ms\n", name[s], percent_less(s, "held"), median(s, "release")
        else
            wrong = 1
    }
    return !wrong
}
# What is done all the time: the settings that give memory back in every free. False: not all of it costs half as much again.
function conclude_eager(    s, wrong) {
    for (s = 0; s < n_settings; s++) {
        if (!runs[s] || name[s] !~ /trim_threshold|mmap_threshold|DECOMMIT/)
            continue
        if (differs(s, "cpu") && ratio(s, "cpu") >= 1.5)
            printf "CPU:  %s takes %.1f times the CPU time of the defaults\n", name[s], ratio(s, "cpu")
        else
            wrong = 1
    }
    return !wrong
}

FNR == NR { in_go[n_settings++] = $0; next }
{
    s = $1
    allocator[s] = $2
    name[s] = $3
    i = ++runs[s]
    value[s, "cpu", i] = $4
    value[s, "peak", i] = $5
    value[s, "held", i] = $6
    value[s, "failed", i] = $7
    value[s, "speed", i] = $8 / 1e6
    value[s, "release", i] = $11
    split($10, work, " ")
    if (!$7 && checksum != "" && checksum != $9) {
        print "the work was not the same in all settings: checksums " checksum " and " $9 " (" name[s] ")"
        exit failed = 1
    }
    if (!$7) {
        checksum = $9
        live = work[1]
        kept = work[2]
        most_ops = work[3]
    }
    if (!($2 in first))
        first[$2] = s
    base[s] = first[$2]
}
END {
    if (failed)
        exit 1
    printf "\nthe load: 4 threads have %s MiB in use at most and %s MiB at the end; checksum %s in every run that got what it asked for\n", live, kept, checksum
    printf "\n%-48s %13s   %15s   %15s   %8s %7s   %s\n", "", "CPU/op", "peak", "held at the end", "failed", "ops/s", "in Go"
    for (s = 0; s < n_settings; s++) {
        if (!runs[s])
            continue
        if (s == base[s])
            print allocator[s]
        line = sprintf("  %-46s %s   %s   %s   %8d %6.1fM   %s", name[s], cell(s, "cpu", "%d ns", 7), cell(s, "peak", "%.0f MiB", 8),
            cell(s, "held", "%.0f MiB", 8), median(s, "failed"), median(s, "speed"), in_go[s])
        sub(/ +$/, "", line)
        print line
    }
    print "\nmedians; the change is against the same allocator's defaults, ~ where these runs do not show one. failed: allocations"
    print "that gave NULL. glibc adjusts its two thresholds by itself until one of them is set. GOGC has no analogue: it says how"
    print "much garbage may pile up, and here nothing does; what it trades, memory for time, is traded here by the memory that"
    print "caches keep and by how soon free pages go back to the kernel, which in Go the scavenger does, beside the program."

    print ""
    if (runs[0] < 5) {
        print "verdict: none from " runs[0] " run" (runs[0] > 1 ? "s" : "") " of each; BENCH_COUNT=5 or more can carry one"
        exit
    }
    conclude_peak()
    conclude_failures()
    once = conclude_end()
    eager = conclude_eager()
    if (once && eager)
        print "\nverdict: to give free memory back once, when it will not be needed, frees more than half of what is held, in\n" \
            "milliseconds; settings that make the allocator give it back all the time are paid for by every allocation."
    else
        print "\nverdict: none that these runs carry"
}
