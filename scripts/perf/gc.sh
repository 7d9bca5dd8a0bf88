#!/bin/bash
# What the collector of labs/gc promises about time: a heap that does not fit its limit costs at most twice the wall time
# of the same run without a limit, because the collector may take half of it at most; a limit that fits is kept. Runs in
# turns, medians of seven.
set -euo pipefail
cd "$(dirname "$0")/../.."
unset GOGC GOMEMLIMIT GODEBUG
rounds=7

# run LIMIT: wall time, memory from the kernel, the collector's share and the collections; some 20 MiB are live.
run() {
    bin/mem_hot -gc -gomemlimit "$1" -count "${2:-1000000}" -hold=false -keep 20000 | tr ' ' '\n' | awk -F= '
        $1 == "wall_ms" || $1 == "system_peak_mib" || $1 == "share" { sub(/%/, ""); v[$1] = $2 }
        END { print v["wall_ms"], v["system_peak_mib"], v["share"] }'
}

for ((i = 0; i < rounds; i++)); do
    for count in 200000 1000000; do
        free=$(run off $count)
        echo "$count" "$free" "$(run 10MiB $count)" "$(run 32MiB $count)"
    done
done | awk '
    function median(v, n,   i, j, t) {
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        return v[int((n + 1) / 2)]
    }
    function put(name, value, format, bar, most) {
        printf "%s  " format "  %s  %s\n", name, value, bar, value <= most ? "ok" : "MISSED"
    }
    $1 == 200000 { short_[++n] = $5 / $2 }
    $1 == 1000000 { long_[++m] = $5 / $2; share[m] = $7; peak[m] = $9 }
    END {
        put("GOMEMLIMIT of half the live heap, 0.1 s", median(short_, n), "%.2f x wall", "2 x wall", 2)
        put("GOMEMLIMIT of half the live heap, 0.5 s", median(long_, m), "%.2f x wall", "2 x wall", 2)
        put("the collector in it", median(share, m), "%.0f %% of the time", "52 %", 52)
        put("GOMEMLIMIT=32MiB, 20 MiB live: memory", median(peak, m), "%.1f MiB", "32 MiB", 32)
    }'
