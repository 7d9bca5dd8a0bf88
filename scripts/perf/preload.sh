#!/bin/bash
# What it costs a server to run under prof run with every profile on at its default rate: redis, memcached, nginx and
# PostgreSQL, against the same server without. Three of each run at once, two plain and one preloaded, and take the
# same load in turns, so what the machine does besides meets all three. Two servers that are the same differ by what they
# happen to get at their start, so there are several such trios. Reported are the medians of the rounds' ratios: of
# requests a second, and of requests per second of the server's CPU time, which other work on the machine disturbs less.
# The two plain servers against one another say how far the figures can be trusted; page faults and context switches per
# request, whether the same was compared.
#
# Two things that chance decides at a server's start are kept from deciding the figures. The servers have one CPU and the
# load the others: where ten threads happen to run, and which of them have to wake an idle CPU, is worth 30 % and more of
# nginx's time. And glibc's heap never shrinks: else it gives its end back to the kernel and asks for it again with each of
# nginx's buffers where nothing happens to lie behind them, for 0 to 1.4 page faults a request, a tenth of its time.
#
#   scripts/perf/preload.sh [NAME...]      TRIOS=5, ROUNDS=3 and SECONDS_EACH=1.5 in the environment
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/peers.sh
. tests/peers.sh
# shellcheck source=scripts/perf/in_turns.sh
. scripts/perf/in_turns.sh
: "${BIN:=bin}" "${TRIOS:=5}" "${ROUNDS:=3}" "${SECONDS_EACH:=1.5}"
scripts/deps.sh peers
export MALLOC_TRIM_THRESHOLD_=$((1 << 30)) MALLOC_MMAP_THRESHOLD_=$((32 << 20))
redis_io_threads=1 # more of them spin, which two cores shared with the load show as noise

work=$(mktemp -d)
trap 'peers_kill; rm -rf "$work"' EXIT
trap 'echo "preload: failed at line $LINENO: $BASH_COMMAND" >&2' ERR
chmod 755 "$work"
kit=$work/kit # readable for PostgreSQL's user, wherever the sources lie
mkdir -p "$kit/bin" "$kit/lib"
cp "$BIN/prof" "$kit/bin"
cp build/plain/lib/libprof.so build/plain/lib/libprof-http.so "$kit/lib"

mapfile -t cpus < <(/usr/bin/python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep="\n")')
on_one=() on_others=()
if ((${#cpus[@]} > 1)); then
    on_one=(taskset -c "${cpus[-1]}")
    on_others=(taskset -c "$(IFS=,; echo "${cpus[*]:0:${#cpus[@]}-1}")")
fi

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
    redis) "${on_others[@]}" redis-benchmark -p "$2" -t set,get -n 150000 -c 20 -P 8 -d 100 -r 10000 --csv | awk -F'"' '/^"[SG]ET/ { n += 1 / $4 } END { print 2 / n }' ;;
    memcached) "${on_others[@]}" /usr/bin/python3 tests/memcached_load.py "$2" 4 "$SECONDS_EACH" | awk '{ print $2 }' ;;
    nginx) "${on_others[@]}" wrk -t 1 -c 16 -d "${SECONDS_EACH%.*}" "http://127.0.0.1:$2/0" | awk '/^Requests\/sec/ { print $2 }' ;;
    postgres) "${on_others[@]}" "$postgres_bin/pgbench" -h 127.0.0.1 -p "$2" -U bench -n -S -c 4 -j 1 -T 2 postgres 2>/dev/null | awk '/^tps/ { print $3 }' ;;
    esac
}

# The preloaded one first, between and after the plain ones, trio by trio.
start_trio() { # NAME TRIO: sets ports and pids, in the order plain plain preloaded
    local turn i
    ports=()
    pids=()
    for turn in 0 1 2; do
        i=$(((turn + $2) % 3))
        [[ $1 != redis ]] || rm -rf "$work/redis-$i" # else it loads what the trio before has stored, and answers that it does
        ports[i]=$(free_port)
        under=("${on_one[@]}")
        ((i == 2)) && under+=("$kit/bin/prof" run -addr "127.0.0.1:$(free_port)" -o "$work/$1-$i/profiles" --)
        peer_start "$1" "$work/$1-$i" "${ports[i]}" || { echo "preload: $1 does not start" >&2; exit 1; }
        pids[i]=$peer
        if [[ $1 == postgres ]]; then
            "$postgres_bin/pgbench" -h 127.0.0.1 -p "${ports[i]}" -U bench -i -s 1 -q postgres >/dev/null 2>&1
        fi
    done
}

# Prints how many page faults and context switches there have been, in all threads that live.
events() { # PID...
    local pid
    for pid; do
        sed 's/^.*) //' "/proc/$pid/stat" | awk '{ print "faults", $8 + $10 }'
        cat "/proc/$pid/task/"*/status
    done 2>/dev/null | awk '/^faults/ { f += $2 } /ctxt_switches/ { s += $2 } END { print f + 0, s + 0 }'
}

# One burst: a line "requests/s requests/CPU-second" in $work/NAME.N, and beside it one "faults/request switches/request".
burst() { # NAME N
    local before rate start end processes counts
    mapfile -t processes < <(echo "${pids[$2]}"; pgrep -P "${pids[$2]}")
    counts=$(events "${processes[@]}")
    before=$(cpu_s "${processes[@]}")
    start=$EPOCHREALTIME
    rate=$(load "$1" "${ports[$2]}")
    end=$EPOCHREALTIME
    echo "$rate $start $end $before $(cpu_s "${processes[@]}") $counts $(events "${processes[@]}")" |
        awk -v events="$work/$1.events.$2" '{
            n = $1 * ($3 - $2)
            print $1, n / ($5 - $4)
            print ($8 - $6) / n, ($9 - $7) / n >>events
        }' >>"$work/$1.$2"
}

# What was compared: medians over the bursts, of the preloaded server and of the plain ones.
compared() { # NAME WHAT COLUMN
    local median='{ v[NR] = $1 } END { printf "%.2f", v[int((NR + 1) / 2)] }'
    echo "$1 under prof run: $2 per request  $(cut -d' ' -f "$3" "$work/$1.events.2" | sort -g | awk "$median")" \
        " plain: $(cut -d' ' -f "$3" "$work/$1.events."[01] | sort -g | awk "$median")"
}

measure() { # NAME
    local ports pids trio port
    for ((trio = 0; trio < TRIOS; trio++)); do
        start_trio "$1" "$trio"
        for port in "${ports[@]}"; do
            load "$1" "$port" >/dev/null # warm
        done
        in_turns "$1"
        peers_kill
    done
    ratio "$1" "$1 under prof run: requests/s" 1 3
    # A backend of PostgreSQL's lives as long as one burst, and writes its profiles when it ends: not a request's cost.
    [[ $1 != postgres ]] || return 0
    ratio "$1" "$1 under prof run: requests per CPU time" 2 3
    compared "$1" 'page faults' 1
    compared "$1" 'context switches' 2
}

(($#)) || set -- redis memcached nginx postgres
for name; do
    measure "$name"
done
