#!/bin/bash
# All of it at once: load on every route, the collector at 1 s, every profile at its most costly rate. No request fails,
# and threads, descriptors and memory are afterwards what they were. SOAK_SECONDS=600 for the long version.
# shellcheck disable=SC2119 # what server-lib.sh shares has optional arguments
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh

[[ -x $BIN/server ]] || skip_all "there is no server"
# It frees memory in a new thread before the thread has the state that our hooks, being instrumented, need.
[[ $SAN != thread ]] || skip_all "ThreadSanitizer cannot start threads while nearly every allocation is sampled"
: "${SOAK_SECONDS:=16}"
# The soak's load for the given seconds: slow and fixed of every lab, small enough to come round often.
soak() { # SECONDS
    MIX="/work/cpu?n=2&workers=4 /work/cpu?n=20&workers=4&impl=memo /work/mem?bytes=1024&count=5000&hold=true
        /work/mem?bytes=1024&count=5000&hold=false&impl=pool /work/mem?count=1000&hold=false&impl=arena /work/release
        /work/contention?iter=500&holdNs=2000&workers=4 /work/contention?iter=500&holdNs=2000&workers=4&impl=sharded
        /work/leak?workers=4 /work/leak?workers=4&impl=joined /healthz / /debug/pprof/ /debug/pprof/goroutine?debug=2
        /debug/pprof/block?debug=1 /debug/pprof/allocs?debug=1 /debug/pprof/threadcreate" \
        BASE_URL=http://$at DURATION=$1 CONCURRENCY=6 scripts/load.sh
}
resident_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$pid/status"; }
quiet() { [[ $(curl -s "http://$at/debug/pprof/goroutine?debug=1") != *leak_worker* ]]; }
settle() {
    curl --silent --output /dev/null "http://$at/work/release"
    wait_for 60 quiet
}

start_server PROF_HEAP_RATE=4096 BLOCK_PROFILE_RATE_NS=1 MUTEX_PROFILE_FRACTION=1 PPROF_CPU_HZ=1000 -leak-seconds 1
export TARGET_BASE_URL=http://$at/debug/pprof OUT_DIR=$tmp/profiles INTERVAL_SEC=1 CPU_WINDOW_SEC=1 KEEP=3
scripts/collect-pprof.sh >"$tmp/collector" 2>&1 &
collector=$!
children+=("$collector")

warm_up=$((SOAK_SECONDS / 2 > 60 ? 60 : SOAK_SECONDS / 2))
run soak $warm_up
exits "warm-up: no request failed" 0
settle
fds=$(descriptors "$pid")
tasks=$(threads "$pid")
kb=$(resident_kb)

run soak $((SOAK_SECONDS - warm_up))
exits "no request failed" 0
like "requests were answered" "$out" '^all +[1-9][0-9]+ +0 '
kill "$collector"
wait "$collector"
is "the collector ends well" $? 0
unlike "and had every profile" "$(cat "$tmp/collector")" 'cannot reach|the server answered|not a profile'
for kind in cpu heap block mutex goroutine; do
    file=$(find "$OUT_DIR/$kind" -name '*.pb.gz' | sort | tail -n 1)
    holds "$kind: the last is whole" gzip -t "$file"
    if command -v go >/dev/null; then
        run go tool pprof -raw "$file"
        exits "$kind: pprof reads it" 0
        like "$kind: it is not empty" "$out" '^ +[0-9]+( +[0-9]+)*: [0-9]'
    fi
done
settle
# The collector's connection and thread were counted in, and are gone now.
at_most() { (($1 <= $2)); }
few_tasks() { at_most "$(threads "$pid")" "$tasks"; }
few_fds() { at_most "$(descriptors "$pid")" "$fds"; }
holds "no more threads than before: $tasks" wait_for 30 few_tasks
holds "no more descriptors than before: $fds" wait_for 30 few_fds
if [[ $SAN ]]; then
    skip "memory" "a sanitizer keeps freed memory"
else
    after=$(resident_kb)
    holds "resident memory is flat: $kb KiB, then $after KiB" at_most "$after" $((kb + kb / 5 + 16384))
fi
stop_server
exits "the server stops well" 0
is "and said nothing" "$err" ""
done_testing
