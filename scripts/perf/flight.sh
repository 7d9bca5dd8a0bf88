#!/bin/bash
# What the flight recorder costs the demo server under load: three servers at once, two plain and one with -flight, take
# the same load in turns, so what the machine does besides meets all three. Reported are the medians of the rounds'
# ratios, of requests a second and of requests per second of the server's CPU time, which other work on the machine disturbs
# less; and the two plain servers against one another, which says how far the figures can be trusted.
#
#   scripts/perf/flight.sh        ROUNDS=11 in the environment
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${BIN:=bin}" "${ROUNDS:=11}"

work=$(mktemp -d)
pids=() ports=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'echo "flight: failed at line $LINENO: $BASH_COMMAND" >&2' ERR

for i in 0 1 2; do
    flags=()
    : >"$work/log.$i"
    ((i < 2)) || flags=(-flight)
    "$BIN/server" -addr 127.0.0.1:0 "${flags[@]}" >"$work/log.$i" 2>&1 &
    pids[i]=$!
    for _ in {1..100}; do
        ports[i]=$(sed -n 's/^listening on [^ ]*:\([0-9]*\) .*/\1/p' "$work/log.$i")
        [[ ${ports[i]} ]] && break
        sleep 0.1
    done
done


# The CPU time of a whole process, ended threads too, in seconds: its CPU clock, as clock_getcpuclockid(3) makes its id.
cpu_s() { # PID
    /usr/bin/python3 -c 'import sys, time; print(time.clock_gettime(~int(sys.argv[1]) << 3 | 2))' "$1"
}

# Four requests at once, of those that scripts/load.sh makes: a line "requests/s requests/CPU-second" in $work/NAME.N.
burst() { # NAME N PATH
    local before start
    before=$(cpu_s "${pids[$2]}")
    start=$EPOCHREALTIME
    printf '%s\n' 1 2 3 4 | xargs -P 4 -I{} curl -s -o /dev/null "http://127.0.0.1:${ports[$2]}$3"
    echo "$start $EPOCHREALTIME $before $(cpu_s "${pids[$2]}")" | awk '{ print 4 / ($2 - $1), 4 / ($4 - $3) }' >>"$work/$1.$2"
}

report() { # NAME WHAT COLUMN
    paste -d' ' "$work/$1".[012] | awk -v what="flight recorder, $1: $2" -v column="$3" '
        function median(v, n,    i, j, t) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
            return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
        }
        { a = $column; b = $(2 + column); c = $(4 + column) }
        a > 0 && b > 0 { n++; ratio[n] = 2 * c / (a + b); noise[n] = b / a }
        END {
            change = 100 * (median(ratio, n) - 1)
            printf "%s  %+.1f%% (plain: %+.1f%%)  2%% less  %s\n", what, change, 100 * (median(noise, n) - 1), (change >= -2 ? "ok" : "MISSED")
        }'
}

measure() { # NAME PATH
    local round i
    for i in 0 1 2; do
        : >"$work/$1.$i"
        curl -s -o /dev/null "http://127.0.0.1:${ports[i]}$2"
    done
    for ((round = 0; round < ROUNDS; round++)); do
        for ((i = 0; i < 3; i++)); do # another one begins each round
            burst "$1" $(((i + round) % 3)) "$2"
        done
    done
    report "$1" "requests/s" 1
    report "$1" "requests per CPU time" 2
}

measure cpu '/work/cpu?n=10&workers=4'
measure memory '/work/mem?bytes=2048&count=50000&hold=false'
measure locks '/work/contention?iter=10000&holdNs=5000&workers=4'
