#!/bin/bash
# What it costs a server to run under prof run with every profile on at its default rate: redis, memcached, nginx and
# PostgreSQL, against the same server without. Three of each run at once, two plain and one preloaded, and take the
# same load in turns, so what the machine does besides meets all three. Reported are the medians of the rounds' ratios:
# of requests a second, and of requests per second of the server's CPU time, which other work on the machine disturbs less.
# The two plain servers against one another say how far the figures can be trusted.
#
#   scripts/perf/preload.sh [NAME...]      ROUNDS=9 and SECONDS_EACH=1.5 in the environment
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/peers.sh
. tests/peers.sh
# shellcheck source=scripts/perf/in_turns.sh
. scripts/perf/in_turns.sh
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

# Nanoseconds of CPU time that a server and its processes have used, thread by thread.
cpu_ns() { # PID
    local pid
    for pid in "$1" $(pgrep -P "$1"); do
        cat "/proc/$pid/task/"*/schedstat 2>/dev/null
    done | awk '{ n += $1 } END { printf "%d\n", n }'
}

# One burst: a line "requests/s requests/CPU-second" in $work/NAME.N.
burst() { # NAME N
    local before rate start took
    before=$(cpu_ns "${pids[$2]}")
    start=${EPOCHREALTIME/./}
    rate=$(load "$1" "${ports[$2]}")
    took=$((${EPOCHREALTIME/./} - start))
    echo "$rate" $(($(cpu_ns "${pids[$2]}") - before)) "$took" |
        awk '{ print $1, $1 * $3 * 1000 / ($2 > 0 ? $2 : 1) }' >>"$work/$1.$2"
}

measure() { # NAME
    local ports pids i
    start_three "$1"
    for i in 0 1 2; do
        load "$1" "${ports[i]}" >/dev/null # warm
        : >"$work/$1.$i"
    done
    in_turns "$1"
    peers_kill
    ratio "$1" "$1 under prof run: requests/s" 1 3
    # A backend of PostgreSQL's lives as long as one burst, and writes its profiles when it ends: not a request's cost.
    [[ $1 == postgres ]] || ratio "$1" "$1 under prof run: requests per CPU time" 2 3
}

(($#)) || set -- redis memcached nginx postgres
for name; do
    measure "$name"
done
