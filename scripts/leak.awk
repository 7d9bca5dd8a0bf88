# What has grown, and whether it goes on: two outputs of pprof -top -unit=B with -diff_base, of two intervals with the same
# work in them. The last line is for the script: "culprit NAME", or "culprit" when nothing is.

function mib(bytes) {
    return sprintf("%+.2f MiB", bytes / 1048576)
}
# What may be luck: three standard deviations of a sum of samples that stand for `period` bytes each.
function luck(bytes) {
    return period > 1 ? 3 * sqrt((bytes < 0 ? -bytes : bytes) * period) : 0
}
FNR == 1 { interval++; rows = 0 }
$1 == "flat" && $2 == "flat%" { rows = 1; next }
rows && NF >= 6 {
    name = $6
    grown[name, interval] += $1
    if (!(name in seen)) {
        seen[name] = 1
        names[++n] = name
    }
}
END {
    printf "leak-diff: %s; between the snapshots: %s\n\n", what, work
    for (i = 1; i <= n; i++)
        sum[i] = grown[names[i], 1] + grown[names[i], 2]
    printf "  %-32s %16s %16s\n", "in use, more than before", "1st to 2nd", "2nd to 3rd"
    for (k = 1; k <= 5; k++) {
        best = 0
        for (i = 1; i <= n; i++)
            if (!done[i] && (sum[i] < 0 ? -sum[i] : sum[i]) >= 1024 && (!best || sum[i] > sum[best]))
                best = i
        if (!best)
            break
        done[best] = 1
        shown++
        name = names[best]
        printf "  %-32s %16s %16s\n", name, mib(grown[name, 1]), mib(grown[name, 2])
        a = grown[name, 1]
        b = grown[name, 2]
        if (culprit == "" && a >= 65536 && b >= 65536 && a > luck(a) && b > luck(b) && b > a / 2 && b < a * 2)
            culprit = name
    }
    if (!shown)
        print "  nothing"
    if (culprit != "")
        printf "\nverdict: %s grows with the work: %s, and with as much work again %s. That is a leak, or a cache without a bound.\n",
            culprit, mib(grown[culprit, 1]), mib(grown[culprit, 2])
    else if (shown)
        print "\nverdict: nothing grows with the work, " (period > 1 ? "beyond what sampling explains" : "by 64 KiB or more a time")
    else
        print "\nverdict: nothing grows with the work"
    print "culprit" (culprit != "" ? " " culprit : "")
}
