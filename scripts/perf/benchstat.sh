#!/bin/bash
# How long benchstat takes for 100,000 lines: 2500 benchmarks, 20 runs each of two implementations, three units.
# Where the Go program is on the PATH as benchstat, the bar is a tenth of its time; else ours is reported against what
# a tenth was when it was measured. Its output is compared too. The best of runs in turns, for a busy machine only adds.
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

# Microseconds that the command took, in $took.
measure() {
    local start end
    start=$(date +%s%N)
    "$@" >"$work/out" 2>&1
    end=$(date +%s%N)
    took=$(((end - start) / 1000))
}

best() { sort -n | awk 'NR == 1 { printf "%.1f", $1 / 1000 }'; }

# report NAME PEER_MS ARGS...: PEER_MS is the Go program's time where there is none to run.
report() {
    local name=$1 peer_ms=$2 ms
    shift 2
    : >"$work/ours"
    : >"$work/peer"
    for _ in {1..7}; do
        measure "$ours" "$@" "$work/results"
        echo "$took" >>"$work/ours"
        mv "$work/out" "$work/expected"
        [[ $peer ]] || continue
        measure "$peer" "$@" "$work/results"
        echo "$took" >>"$work/peer"
        cmp -s "$work/out" "$work/expected" || echo "perf: $peer and $ours print different tables: $*" >&2
    done
    ms=$(best <"$work/ours")
    [[ ! $peer ]] || peer_ms=$(best <"$work/peer")
    awk -v name="$name" -v ms="$ms" -v peer="$peer_ms" 'BEGIN {
        printf "%s  %.1f ms (%.1fx)  a tenth of %.0f ms  %s\n", name, ms, peer / ms, peer, ms * 10 <= peer ? "ok" : "MISSED"
    }'
}

report "benchstat, 100,000 lines, summary" 260
report "benchstat, 100,000 lines, comparison" 1500 -col /impl
