#!/bin/bash
# Profiles of a server for those who have none yet: starts one on a free port, loads it, captures, stops it. What the steps do
# by hand in two terminals. `make record` calls this for steps 3, 6 and 8 when profiles/ has nothing of them.
#
#   scripts/class/serve.sh server      5 s of CPU under load, then heap, block, mutex and threads
#   scripts/class/serve.sh collect     two rounds of scripts/collect-pprof.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../lib.sh"

[[ $# == 1 && $1 =~ ^(server|collect)$ ]] || misuse "usage: scripts/class/serve.sh server|collect"
make_work
server=''
load=''
clean_up() {
    local id
    for id in $load $server; do kill "$id" 2>/dev/null || true; done
    wait
}

start_server() {
    for _ in {1..20}; do
        address=127.0.0.1:$((20000 + RANDOM % 12000))
        BLOCK_PROFILE_RATE_NS=1000 MUTEX_PROFILE_FRACTION=5 "$BIN/server" -addr "$address" >"$work/server" 2>&1 &
        server=$!
        ! await "$server" curl --silent --output /dev/null --max-time 5 "http://$address/healthz" || return 0
        kill "$server" 2>/dev/null || true
        server=''
    done
    fail "the server did not start: $(tail -n 1 "$work/server")"
}

start_load() { # SECONDS
    BASE_URL=http://$address DURATION=${1}s scripts/load.sh >"$work/load" 2>&1 &
    load=$!
}

command -v curl >/dev/null || fail "curl is not on the PATH; run: scripts/deps.sh"
start_server
if [[ $1 == server ]]; then
    say "a server on $address under load, 5 s"
    start_load 8
    for kind in cpu heap block mutex goroutine; do
        SERVER=http://$address UI=0 scripts/server-profile.sh "$kind" 5s >"$work/out" 2>&1 || fail "$(tail -n 1 "$work/out")"
        grep '^profiles/' "$work/out"
    done
else
    say "a server on $address under load, two rounds of profiles"
    start_load 8
    for _ in 1 2; do
        env TARGET_BASE_URL="http://$address/debug/pprof" OUT_DIR="$PROFILES" PROFILES="cpu heap block mutex goroutine" ONCE=1 \
            CPU_WINDOW_SEC=2 scripts/collect-pprof.sh
        sleep 1.1 # their names are of the second
    done
fi
