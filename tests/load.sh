#!/bin/bash
# The load script: it does what it says, counts what happens, and ends when it should.
# shellcheck disable=SC2119 # what server-lib.sh shares has optional arguments
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh

[[ -x $BIN/server ]] || skip_all "there is no server"

misused() { # NAME REGEX VARIABLE=VALUE...
    local name=$1 regex=$2
    shift 2
    run timeout 20 env "$@" scripts/load.sh
    exits "$name: exit 2" 2
    one_line "$name: one line" "$err"
    like "$name: what it takes" "$err" "$regex"
}
for value in 0 0s -1 abc 1h 3601 '1.5s' 's' 99999999s; do
    misused "DURATION=$value" "^load: DURATION is '$value'; expected" DURATION="$value"
done
for value in 0 65 -1 many 100; do
    misused "CONCURRENCY=$value" 'expected a whole number from 1 to 64' CONCURRENCY="$value"
done
misused "IMPL=best" 'expected slow, fixed or both' IMPL=best
misused "MIX=disk" "MIX has 'disk'; expected some of: cpu mem" MIX='cpu disk'
misused "MIX empty" 'MIX is empty' MIX=' '
misused "BASE_URL" "BASE_URL is 'localhost'; expected http://HOST:PORT" BASE_URL=localhost
run scripts/load.sh --help
exits "--help" 0
like "--help lists the settings" "$out" 'CONCURRENCY=4'
BASE_URL=http://127.0.0.1:$(free_port) run timeout 60 scripts/load.sh
exits "no server: exit 1" 1
one_line "no server: one line" "$err"
like "no server: what to do" "$err" '^load: no server answers at http://.*; start one with: make run-server$'

start_server
export BASE_URL=http://$at/
columns() { awk -v row="$1" '$1 == row { print $2, $3 }' <<<"$out"; }
small='/work/cpu?n=1&workers=2 /work/mem?count=100&hold=false&impl=pool /healthz'
MIX=$small DURATION=2s CONCURRENCY=3 run timeout 100 scripts/load.sh
exits "all answered: exit 0" 0
like "says what it does" "$out" "^3 at a time for 2 s on http://$at: /work/cpu"
like "a table" "$out" '^request +count +failed +per s +p50 ms +p95 ms +max ms$'
is "its lines line up" "$(grep -E '^(request|/)' <<<"$out" | awk '{ print length }' | sort -u | wc -l)" 1
total=0
for path in $small; do
    read -r count failed <<<"$(columns "$path")"
    holds "$path was asked" test "${count:-0}" -gt 0
    is "and answered" "$failed" 0
    total=$((total + count))
done
is "the last line is the sum" "$(columns all)" "$total 0"

MIX='/healthz /nowhere' DURATION=1 CONCURRENCY=2 run timeout 100 scripts/load.sh
exits "a failed request: exit 1" 1
like "failures are counted" "$out" '^failed: [0-9]+ with status 404$'
holds "and told apart" test "$(columns /healthz | cut -d' ' -f2)" = 0

# Not the leak: a quick machine has its limit of leaked threads within the second.
for impl in slow fixed both; do
    IMPL=$impl MIX='mem mem' DURATION=1s CONCURRENCY=2 run timeout 100 scripts/load.sh
    exits "IMPL=$impl" 0
    is "asks for the right variants" "$(grep -Eo '^/work/mem[^ ]*' <<<"$out" | sort -u | sed 's/.*hold=false//' | paste -sd' ')" \
        "$(case $impl in slow) echo '' ;; fixed) echo '&impl=pool' ;; *) echo ' &impl=pool' ;; esac)"
done

for signal in INT TERM; do
    set -m # else a background child ignores SIGINT
    MIX=/healthz DURATION=10m CONCURRENCY=2 scripts/load.sh >"$tmp/out" 2>&1 &
    load=$!
    set +m
    wait_for 20 grep -q 'at a time' "$tmp/out"
    sleep 0.5
    kill -$signal "$load"
    wait "$load"
    is "SIG$signal: ends, exit 0" $? 0
    out=$(cat "$tmp/out")
    like "with the table so far" "$out" '^all +[1-9][0-9]* +0 '
done

MIX=/healthz DURATION=3s CONCURRENCY=2 start scripts/load.sh
load=$pid
wait_for 20 grep -q 'at a time' "$tmp/start.out"
pid=${children[0]}
stop_server KILL # at once: the load may not end before the server
wait "$load"
is "the server goes away: exit 1" $? 1
like "and is missed" "$(cat "$tmp/start.out")" '^failed: [0-9]+ without an answer$'
done_testing
