#!/bin/bash
# What the flight recorder costs the demo server under load: three servers at once, two plain and one with -flight, take
# the same load in turns, so what the machine does besides meets all three. Where a server's memory happens to lie makes a
# fifth of a difference to requests that are all memory, so there are several such trios. Reported are the medians of the
# rounds' ratios, of requests a second and of requests per second of the server's CPU time, which other work on the machine
# disturbs less; and the two plain servers against one another, which says how far the figures can be trusted.
#
#   scripts/perf/flight.sh        TRIOS=4 ROUNDS=4 in the environment
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/perf/in_turns.sh
. scripts/perf/in_turns.sh
: "${BIN:=bin}" "${TRIOS:=4}" "${ROUNDS:=4}"

work=$(mktemp -d)
pids=() ports=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'echo "flight: failed at line $LINENO: $BASH_COMMAND" >&2' ERR

start_trio() {
    local i flags
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
}

end_trio() {
    kill "${pids[@]}"
    wait "${pids[@]}" 2>/dev/null || true
    pids=()
}

# Four clients at once, each with so many requests, one after another and each on a connection, so a thread, of its own: a
# line "requests/s requests/CPU-second" in $work/NAME.N.
burst() { # NAME N PATH REQUESTS
    local before start
    before=$(cpu_s "${pids[$2]}")
    start=$EPOCHREALTIME
    printf '%s\n' 1 2 3 4 |
        xargs -P 4 -I{} curl -s -o /dev/null -H 'Connection: close' "http://127.0.0.1:${ports[$2]}$3#[1-$4]"
    echo "$start $EPOCHREALTIME $before $(cpu_s "${pids[$2]}")" |
        awk -v n="$4" '{ print 4 * n / ($2 - $1), 4 * n / ($4 - $3) }' >>"$work/$1.$2"
}

measure() { # NAME PATH REQUESTS
    local i
    for i in 0 1 2; do
        burst warm "$i" "$2" "$3"
    done
    in_turns "$@"
}

# What scripts/load.sh asks for, and a request that does next to nothing.
for ((trio = 0; trio < TRIOS; trio++)); do
    start_trio
    measure cpu '/work/cpu?n=10&workers=4' 1
    measure memory '/work/mem?bytes=2048&count=50000&hold=false' 1
    measure locks '/work/contention?iter=10000&holdNs=5000&workers=4' 1
    measure short '/work/cpu?n=1&workers=1' 100
    end_trio
done
for name in cpu memory locks short; do
    ratio "$name" "flight recorder, $name: requests/s" 1 2
    ratio "$name" "flight recorder, $name: requests per CPU time" 2 2
done
