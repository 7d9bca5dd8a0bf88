#!/bin/bash
# The main job: how long a clean build takes, how long `make compare-fib` takes after it, and what the labs' fixes bring.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../lib.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL BEFORE AFTER BENCH_TIME BENCH_COUNT
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r Makefile prof labs bench cmd scripts profiles "$copy"

seconds() { # COMMAND...: sets took, in seconds with one decimal; the output goes to $copy/log
    local start=${EPOCHREALTIME/./}
    status=0
    "$@" >"$copy/log" 2>&1 || status=$?
    took=$(awk -v us="$((${EPOCHREALTIME/./} - start))" 'BEGIN { printf "%.1f", us / 1e6 }')
}

row() { # NAME MEASURED BAR OK: 1 or 0
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$( (($4)) && echo ok || echo MISSED)"
}

below() { awk -v a="$1" -v b="$2" 'BEGIN { print a < b }'; }

seconds make -C "$copy" -j2 DEPS=0 build
((status == 0)) || fail "the build failed: $(tail -n 1 "$copy/log")"
row "clean build, two jobs" "$took s" "< 30 s" "$(below "$took" 30)"

export PROFILES=$copy/kept UI=0 BIN=$copy/bin
for lab in fib alloc mutex; do
    seconds scripts/compare.sh $lab
    row "compare-$lab, after the build" "$took s" "< 60 s" "$(below "$took" 60)"
    verdict=$(grep -E ' is .* (faster|slower) than |^inconclusive' "$copy/log" | tail -n 1)
    if [[ $lab == fib ]]; then
        times=$(sed -nE 's/^memo is ([0-9,.]+)x faster.*/\1/p' <<<"$verdict" | tr -d ,)
        row "fib: memo over recursive" "${times:-0}x" "> 1000x" "$(below 1000 "${times:-0}")"
    else
        row "$lab: the fix is proven faster" "${verdict%%[:(]*}" "p < 0.05" "$((status == 0))"
    fi
done
