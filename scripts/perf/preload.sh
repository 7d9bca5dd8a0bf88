#!/bin/bash
# What it costs a server to run under prof run with every profile on at its default rate: redis, memcached, nginx and
# PostgreSQL, against the same server without. Three of each run at once, two plain and one preloaded, and take the
# same load in turns, so what the machine does besides meets all three. Reported are the medians of the rounds' ratios
# of requests a second and of CPU time a request, which other work on the machine disturbs less; the two plain servers
# against one another say how far such a median can be trusted.
#
#   scripts/perf/preload.sh [NAME...]      ROUNDS=9 and SECONDS_EACH=1.5 in the environment
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/peers.sh
. tests/peers.sh
: "${BIN:=bin}" "${ROUNDS:=9}" "${SECONDS_EACH:=1.5}"
scripts/deps.sh peers
redis_io_threads=1 # more of them spin, which two cores shared with the load show as noise

work=$(mktemp -d)
trap 'peers_kill; rm -rf "$work"' EXIT
trap 'echo "preload: failed at line $LINENO: $BASH_COMMAND" >&2' ERR
chmod 755 "$work"
kit=$work/kit # readable for PostgreSQL's user, wherever the sources lie
mkdir -p "$kit/bin" "$kit/lib"
cp "$BIN/prof" "$kit/bin"
cp build/plain/lib/libprof.so build/plain/lib/libprof-http.so "$kit/lib"

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        tcp_answers "$port" || break
    done
    echo "$port"
}

# Prints requests a second.
load() { # NAME PORT
    case $1 in
    redis) redis-benchmark -p "$2" -t set,get -n 150000 -c 20 -P 8 -d 100 -r 10000 --csv | awk -F'"' '/^"[SG]ET/ { n += 1 / $4 } END { print 2 / n }' ;;
    memcached) /usr/bin/python3 tests/memcached_load.py "$2" 4 "$SECONDS_EACH" | awk '{ print $2 }' ;;
    nginx) wrk -t 1 -c 16 -d "${SECONDS_EACH%.*}" "http://127.0.0.1:$2/0" | awk '/^Requests\/sec/ { print $2 }' ;;
    postgres) "$postgres_bin/pgbench" -h 127.0.0.1 -p "$2" -U bench -n -S -c 4 -j 1 -T 2 postgres 2>/dev/null | awk '/^tps/ { print $3 }' ;;
    esac
}

median() {
    sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

start_three() { # NAME: sets ports and pids, in the order plain plain preloaded
    local i
    ports=()
    pids=()
    for i in 0 1 2; do
        ports[i]=$(free_port)
        under=()
        ((i == 2)) && under=("$kit/bin/prof" run -addr "127.0.0.1:$(free_port)" -o "$work/$1-$i/profiles" --)
        peer_start "$1" "$work/$1-$i" "${ports[i]}" || { echo "preload: $1 does not start" >&2; exit 1; }
        pids[i]=$peer
        if [[ $1 == postgres ]]; then
            "$postgres_bin/pgbench" -h 127.0.0.1 -p "${ports[i]}" -U bench -i -s 1 -q postgres >/dev/null 2>&1
        fi
    done
}

# Ticks of CPU time that a server and its processes have used, those that have ended too.
cpu_ticks() { # PID
    cat "/proc/$1/stat" $(pgrep -P "$1" | sed 's,.*,/proc/&/stat,') 2>/dev/null |
        awk -v root="$1" '{ pid = $1; sub(/.*\) /, ""); n += $12 + $13 + (pid == root ? $14 + $15 : 0) } END { print n }'
}

# One burst: a line "requests/s requests/tick" in $work/NAME.N.
burst() { # NAME N
    local before rate start took
    before=$(cpu_ticks "${pids[$2]}")
    start=${EPOCHREALTIME/./}
    rate=$(load "$1" "${ports[$2]}")
    took=$((${EPOCHREALTIME/./} - start))
    echo "$rate" $(($(cpu_ticks "${pids[$2]}") - before)) "$took" |
        awk '{ print $1, $1 * $3 / ($2 > 0 ? $2 : 1) }' >>"$work/$1.$2"
}

report() { # NAME WHAT COLUMN
    local -r by="{ split(\$0, v); print 100 * (1 - 2 * v[4 + $3] / (v[$3] + v[2 + $3])) }"
    paste -d ' ' "$work/$1".[012] | awk "$by" | median >"$work/loss"
    paste -d ' ' "$work/$1".[01] | awk "{ print 100 * (\$(2 + $3) / \$$3 - 1) }" | median >"$work/noise"
    awk -v what="$1 under prof run: $2" -v loss="$(cat "$work/loss")" -v noise="$(cat "$work/noise")" '
        BEGIN { printf "%s  %+.1f%% (plain: %+.1f%%)  3%% less  %s\n", what, -loss, noise, loss <= 3 ? "ok" : "MISSED" }'
}

measure() { # NAME
    local ports pids round i
    start_three "$1"
    for i in 0 1 2; do
        load "$1" "${ports[i]}" >/dev/null # warm
        : >"$work/$1.$i"
    done
    for ((round = 0; round < ROUNDS; round++)); do
        for ((i = 0; i < 3; i++)); do # another one begins each round
            burst "$1" $(((i + round) % 3))
        done
    done
    peers_kill
    report "$1" "requests/s" 1
    # A backend of PostgreSQL's lives as long as one burst, and writes its profiles when it ends: not a request's cost.
    [[ $1 == postgres ]] || report "$1" "requests per CPU time" 2
}

(($#)) || set -- redis memcached nginx postgres
for name; do
    measure "$name"
done
