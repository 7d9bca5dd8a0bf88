#!/bin/bash
# Puts a server under load: several curl loops over a mix of requests, a live count while they run, a table at the end.
# Exit 0 when every request was answered 200, else 1.
#
#   BASE_URL=http://localhost:6060   the server
#   DURATION=30s           how long; requests begun are let end
#   CONCURRENCY=4          requests at once, 1 to 64
#   IMPL=slow              or fixed: which variants of the labs; both: in turns
#   MIX="cpu mem contention"   also leak, and whole paths: MIX="cpu cpu /work/cpu?n=5&workers=2"; what is named twice
#                          comes twice as often
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/duration.sh
. scripts/duration.sh
set +e -f

: "${BASE_URL:=http://localhost:6060}"
: "${DURATION:=30s}"
: "${CONCURRENCY:=4}"
: "${IMPL:=slow}"
: "${MIX:=cpu mem contention}"

# ---- settings ---------------------------------------------------------------------------------------
if (($#)); then
    sed -n '2,/^# shellcheck/s/^# \{0,1\}//p' "$0" | head -n -1 || exit 1
    [[ $1 == -h || $1 == --help ]] && exit 0
    misuse "unexpected argument '$1'; settings are environment variables"
fi
[[ $BASE_URL =~ ^https?://[^/[:space:]]+/*$ ]] || misuse "BASE_URL is '$BASE_URL'; expected http://HOST:PORT"
read_duration DURATION "$DURATION" 3600
if ! [[ $CONCURRENCY =~ ^[1-9][0-9]?$ ]] || ((CONCURRENCY > 64)); then
    misuse "CONCURRENCY is '$CONCURRENCY'; expected a whole number from 1 to 64"
fi
while [[ $BASE_URL == */ ]]; do BASE_URL=${BASE_URL%/}; done

# Adds the lab's request, slow or fixed, to paths.
add_lab() { # QUERY FIXED_IMPL
    [[ $IMPL == fixed ]] || paths+=("/work/$1")
    [[ $IMPL == slow ]] || paths+=("/work/$1$([[ $1 == *\?* ]] && echo '&' || echo '?')impl=$2")
}
paths=()
[[ $IMPL == slow || $IMPL == fixed || $IMPL == both ]] || misuse "IMPL is '$IMPL'; expected slow, fixed or both"
for name in $MIX; do
    case $name in
    cpu) add_lab 'cpu?n=10&workers=4' memo ;;
    mem) add_lab 'mem?bytes=2048&count=50000&hold=false' pool ;;
    contention) add_lab 'contention?iter=10000&holdNs=5000&workers=4' sharded ;;
    leak) add_lab 'leak?workers=10' joined ;;
    /*) paths+=("$name") ;;
    *) misuse "MIX has '$name'; expected some of: cpu mem contention leak, or a path that begins with /" ;;
    esac
done
((${#paths[@]})) || misuse "MIX is empty; expected some of: cpu mem contention leak"
command -v curl >/dev/null || fail "curl is not on the PATH; run: scripts/deps.sh"
curl --silent --output /dev/null --max-time 10 "$BASE_URL/healthz" ||
    fail "no server answers at $BASE_URL; start one with: make run-server"

# ---- the loops ----------------------------------------------------------------------------------------
work=$(mktemp -d)
loops=()
stopped=0
finish() {
    ((${#loops[@]} == 0)) || kill "${loops[@]}" 2>/dev/null
    wait
    rm -rf "$work"
}
trap finish EXIT
trap 'stopped=1; : >"$work/stop"' INT TERM

over() {
    ((${EPOCHREALTIME//[^0-9]/} >= end_us))
}

# One loop's results: a line a request, `status milliseconds path`. Status 000: no answer. Each loop asks once at least: on a
# machine that is busy its first turn may come late.
loop() { # N
    local i=$1
    trap '' INT
    while :; do
        local path=${paths[i++ % ${#paths[@]}]}
        curl --silent --output /dev/null --max-time 120 \
            --write-out "%{http_code} %{time_total} $path\n" "$BASE_URL$path" >>"$work/loop.$1"
        [[ -e $work/stop ]] || over && break
    done
}

live() {
    find "$work" -name "loop.*" -exec cat {} + | awk -v left=$(((end_us - ${EPOCHREALTIME//[^0-9]/}) / 1000000)) '
        { n++; sum += $2; if ($1 != 200) bad++; if ($2 > max) max = $2 }
        END { printf "%d requests, %d failed, mean %.0f ms, slowest %.0f ms, %d s left",
                     n, bad, n ? 1000 * sum / n : 0, 1000 * max, left < 0 ? 0 : left }'
}

elapsed() {
    awk -v from="$begun" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.3f", to - from }'
}

table() {
    find "$work" -name "loop.*" -exec cat {} + | sort -k3,3 -k2,2g | awk -v took="$(elapsed)" '
        function row(name, i) {
            printf "%-52s %8d %7d %8.1f %8.0f %8.0f %8.0f\n", name, n, bad, n / took,
                   1000 * t[int((n + 1) / 2)], 1000 * t[int(n * 0.95 + 0.5)], 1000 * t[n]
        }
        BEGIN {
            printf "%-52s %8s %7s %8s %8s %8s %8s\n", "request", "count", "failed", "per s", "p50 ms", "p95 ms", "max ms"
        }
        $3 != last { if (n) row(last); n = bad = 0; last = $3 }
        { t[++n] = $2; total++; if ($1 != 200) { bad++; all_bad++; why[$1]++ } }
        END {
            if (n) row(last)
            printf "%-52s %8d %7d %8.1f\n", "all", total, all_bad, total / took
            for (s in why) printf "failed: %d %s\n", why[s], s == "000" ? "without an answer" : "with status " s
            exit all_bad > 0 || total == 0
        }'
}

begun=$EPOCHREALTIME
end_us=$((${EPOCHREALTIME//[^0-9]/} + seconds * 1000000)) # SECONDS counts the clock's full seconds: the first may be short
say "$CONCURRENCY at a time for $seconds s on $BASE_URL: ${paths[*]}"
for ((i = 0; i < CONCURRENCY; i++)); do
    loop "$i" &
    loops+=($!)
done
while ((!stopped)) && ! over; do
    progress "$(live)"
    sleep 0.5
done
((stopped)) || progress "$(live), waiting for the last answers"
wait "${loops[@]}" 2>/dev/null
wait "${loops[@]}" 2>/dev/null # again, when a signal cut it short
loops=()
clear_progress
table
