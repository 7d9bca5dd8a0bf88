#!/bin/bash
# How long benchstat takes for 100,000 lines: 2500 benchmarks, 20 runs each of two implementations, with three units
# and with one. Where the Go program is on the PATH as benchstat, the bar is a tenth of its time, and its output is
# compared too; elsewhere our own time is reported. Medians of runs in turns.
set -euo pipefail
cd "$(dirname "$0")/../.."
ours=$PWD/bin/benchstat
peer=$(type -P benchstat || true)
[[ -z $peer || ! $peer -ef $ours ]] || peer=''

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk 'BEGIN {
    srand(1)
    print "goos: linux\ngoarch: amd64\npkg: labs"
    for (run = 0; run < 20; run++)
        for (i = 0; i < 2500; i++)
            for (impl = 0; impl < 2; impl++)
                printf "BenchmarkWork%d/size=%d/impl=%s-8\t%8d\t%12.1f ns/op\t%8d B/op\t%8d allocs/op\n", i, \
                    2 ^ (i % 12), impl ? "new" : "old", rand() * 1e6, \
                    (1000 + i) * (1 + rand() / 10) * (1 - impl * i / 25000), i * 16, i % 7
}' >"$work/results"

cut -f 1-3 "$work/results" >"$work/results-one"

# Milliseconds of processor time that the command took, in $took: of two busy cores, the wall clock tells little. Bash
# tells them in whole ones, so it is run more than once.
measure() {
    local TIMEFORMAT='%U %S' spent
    spent=$({ time for _ in {1..3}; do "$@" >"$work/out" 2>&1; done; } 2>&1)
    took=$(awk '{ print ($1 + $2) * 1000 / 3 }' <<<"$spent")
}

median() { sort -n | awk '{ x[NR] = $1 } END { if (NR) printf "%.2f", x[int((NR + 1) / 2)] }'; }

# report NAME RESULTS ARGS...
report() {
    local name=$1 results=$work/$2 took
    shift 2
    : >"$work/ours"
    : >"$work/peer"
    for _ in {1..5}; do
        measure "$ours" "$@" "$results"
        echo "$took" >>"$work/ours"
        mv "$work/out" "$work/expected"
        [[ $peer ]] || continue
        measure "$peer" "$@" "$results"
        echo "$took" >>"$work/peer"
        cmp -s "$work/out" "$work/expected" || echo "perf: $peer and $ours print different tables: $*" >&2
    done
    awk -v name="$name" -v ours="$(median <"$work/ours")" -v peer="$(median <"$work/peer")" 'BEGIN {
        if (peer == "")
            printf "%s  %.1f ms  no Go benchstat on the PATH to compare with\n", name, ours
        else
            printf "%s  %.1f ms (%.1fx)  a tenth of %.0f ms  %s\n", name, ours, peer / ours, peer,
                ours * 10 <= peer ? "ok" : "MISSED"
    }'
}

report "benchstat, 100,000 lines, summary" results
report "benchstat, 100,000 lines, comparison" results -col /impl
report "benchstat, 100,000 lines, one unit" results-one
