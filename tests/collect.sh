#!/bin/bash
# The collector: whole files only, whatever the server does, and nothing left behind.
# shellcheck disable=SC2119 # what server-lib.sh shares has optional arguments
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh

[[ -x $BIN/server ]] || skip_all "there is no server"
export OUT_DIR=$tmp/profiles CPU_WINDOW_SEC=1
collect=scripts/collect-pprof.sh
stamped='_20[0-9]{6}-[0-9]{6}\.pb\.gz$'
kept() { find "$OUT_DIR/$1" -name "$1_*.pb.gz" | wc -l; }
partial() { find "$OUT_DIR" -type f ! -name '*.pb.gz'; }

# ---- settings
misused() { # NAME REGEX VARIABLE=VALUE... [ARGUMENT]
    local name=$1 regex=$2
    shift 2
    run timeout 20 env "$@"
    exits "$name: exit 2" 2
    one_line "$name: one line" "$err"
    like "$name: what it takes" "$err" "$regex"
}
for value in 0 -1 abc 1.5 99999999 1s; do
    misused "INTERVAL_SEC=$value" '^collect: INTERVAL_SEC is .*; expected a whole number from 1 to 86400' INTERVAL_SEC="$value" $collect
    misused "CPU_WINDOW_SEC=$value" 'expected a whole number from 1 to 3600' CPU_WINDOW_SEC="$value" $collect
    misused "KEEP=$value" 'expected a whole number from 1 to 1000000' KEEP="$value" $collect
done
misused "ONCE=yes" 'expected a whole number from 0 to 1' ONCE=yes $collect
misused "a profile that there is not" "PROFILES has 'disk'; expected some of" PROFILES='cpu disk' $collect
misused "no profile" 'PROFILES is empty' PROFILES=' ' $collect
misused "no address" "TARGET_BASE_URL is 'localhost:6060'; expected http://" TARGET_BASE_URL=localhost:6060 $collect
misused "a folder that cannot be" "OUT_DIR is '/proc/x': cannot write" OUT_DIR=/proc/x $collect
run $collect --help
exits "--help" 0
like "--help lists the settings" "$out" 'INTERVAL_SEC=60'
run $collect now
exits "an argument is not taken" 2

# ---- one round
start_server BLOCK_PROFILE_RATE_NS=1 MUTEX_PROFILE_FRACTION=1
export TARGET_BASE_URL=http://$at/debug/pprof
curl --silent --output /dev/null "http://$at/work/mem?count=5000"
ONCE=1 run timeout 100 $collect
exits "ONCE=1" 0
said=$out
for kind in cpu heap block mutex goroutine; do
    is "one file of $kind" "$(kept $kind)" 1
    file=$(find "$OUT_DIR/$kind" -type f)
    like "$kind: named by its time" "$file" "/$kind/$kind$stamped"
    holds "$kind: whole" gzip -t "$file"
    like "$kind: said where it is" "$said" "^\\[collect\\] [0-9:]{8} $kind -> $file$"
    if command -v go >/dev/null; then
        run go tool pprof -raw "$file"
        exits "$kind: pprof reads it" 0
    fi
done
is "nothing else" "$(partial)" ""
rm -r "$OUT_DIR"
TARGET_BASE_URL=$TARGET_BASE_URL// PROFILES='heap allocs threadcreate' ONCE=1 run timeout 100 $collect
exits "a base address with slashes at its end, other profiles" 0
is "they are there" "$(kept heap) $(kept allocs) $(kept threadcreate)" "1 1 1"

# ---- what is no profile is not kept
rm -r "$OUT_DIR"
TARGET_BASE_URL=http://$at/nowhere PROFILES=heap ONCE=1 run timeout 100 $collect
exits "404: exit 1" 1
like "404: said" "$out" 'heap: the server answered 404: 404 page not found'
TARGET_BASE_URL="http://$at/debug/pprof/heap?debug=1&x=" PROFILES=heap ONCE=1 run timeout 100 $collect
exits "text: exit 1" 1
like "text: said" "$out" 'heap: what came is not a profile; is TARGET_BASE_URL right\?'
curl --silent --output /dev/null "$TARGET_BASE_URL/profile?seconds=600" &
other=$!
busy() { [[ $(curl -s "http://$at/debug/pprof/goroutine?debug=1") == *http_profile_run* ]]; }
wait_for 20 busy
PROFILES='cpu heap' ONCE=1 run timeout 100 $collect
exits "the CPU profile is taken: exit 1" 1
like "said in the server's words" "$out" 'cpu: the server answered 500: Could not enable CPU profiling: cpu profiling already in use'
is "the others are kept" "$(kept cpu) $(kept heap)" "0 1"
kill $other
is "nothing else" "$(partial)" ""
stop_server

# ---- a server that is down, comes, goes and asks for a password
rm -r "$OUT_DIR"
ONCE=1 run timeout 100 $collect
exits "no server: exit 1" 1
like "no server: said" "$out" "cpu: cannot reach http://$at/debug/pprof: .*[Cc]onnect"
port=${at##*:}
PROFILES=heap INTERVAL_SEC=1 KEEP=2 PPROF_PASSWORD='a"b\c' start $collect
collector=$pid
said() { grep -Eq -- "$1" "$tmp/start.out"; }
holds "it goes on without" wait_for 20 said 'will try again in [01] s'
start_server PPROF_PASSWORD='a"b\c' -addr "127.0.0.1:$port"
stamps() { find "$OUT_DIR/heap" -name '*.pb.gz' | sort | tail -n 1; }
holds "when the server comes, profiles come" wait_for 30 said '^\[collect\] .* heap -> '
first=$(stamps)
newer() { [[ $(stamps) > $1 ]]; }
holds "round after round" wait_for 30 newer "$first"
second=$(stamps)
holds "and more" wait_for 30 newer "$second"
third=$(stamps)
holds "and more still" wait_for 30 newer "$third"
two() { (($(kept heap) == 2)); } # the third is there before the first is taken away
holds "KEEP=2 keeps two" wait_for 10 two
holds "not the oldest" test ! -e "$first"
stop_server
: >"$tmp/start.out"
holds "when it goes, that is said" wait_for 20 said 'heap: cannot reach'
is "and the files stay" "$(kept heap)" 2
kill -TERM "$collector"
wait "$collector"
is "SIGTERM: exit 0" $? 0
holds "it says where the files are" said "stopped; [0-9]+ profiles are in $OUT_DIR"
is "nothing else" "$(partial)" ""
like "the password is not told" "$(grep -c 'a"b' "$tmp/start.out")" '^0$'

# ---- stopped in the middle of a capture
start_server
for signal in INT TERM HUP; do
    # A shell's background children ignore SIGINT unless job control gives them a group of their own.
    rm -rf "$OUT_DIR"
    set -m
    TARGET_BASE_URL=http://$at/debug/pprof CPU_WINDOW_SEC=600 $collect >"$tmp/out" 2>&1 &
    collector=$!
    set +m
    holds "a capture runs" wait_for 20 busy
    kill -$signal "$collector"
    wait "$collector"
    is "SIG$signal ends it: exit 0" $? 0
    is "no file is left" "$(find "$OUT_DIR" -type f)" ""
    free() { ! busy; }
    holds "and the server's profiler is free" wait_for 20 free
done
TARGET_BASE_URL=http://$at/debug/pprof PROFILES=heap INTERVAL_SEC=1 timeout 60 $collect 2>&1 | head -n 1 >"$tmp/out"
is "without a reader it ends, too" "${PIPESTATUS[0]}" 0
is "and leaves nothing else" "$(partial)" ""
stop_server
exits "the server is well" 0
done_testing
