#!/bin/bash
# Records an execution trace, says in a few lines what it shows, and opens it: `make trace` and its like call this.
#
#   scripts/trace.sh fib                 the fib benchmark
#   scripts/trace.sh mutex|alloc|leak    a lab, slow and fixed: two traces to hold side by side
#   scripts/trace.sh server [DURATION]   the demo server under load
#
# Traces are kept under profiles/trace. Environment: BENCH_TIME (0.3s), BEFORE and AFTER (variants), SERVER
# (http://localhost:6060; when nobody answers there, a server is started for the time), IMPL (of the load: slow, fixed or
# both), PORT_TRACE (18085) and PORT_TRACE_AFTER (18088), UI=0 (prints how to open the traces).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/duration.sh
. scripts/duration.sh

: "${PORT_TRACE:=18085}" "${PORT_TRACE_AFTER:=18088}" "${SERVER:=http://localhost:6060}"
time=${BENCH_TIME:-0.3s}

server=''
clean_up() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    wait
}

# ---- recording -------------------------------------------------------------------------------------
record_benchmark() { # IMPL FILE
    bench_variant "$1" -benchtime="$time" -trace="$work/trace" >"$work/out" 2>&1 ||
        fail "$BIN/bench failed on $1: $(tail -n 1 "$work/out")"
    keep "$work/trace" "$2"
}

# As many crews as show that their threads stay; a thread that waits costs the trace nothing.
record_leak() { # IMPL FILE
    "$BIN/leak_hot" -impl="$1" -ops=25 -trace="$work/trace" >"$work/out" 2>&1 || fail "$(tail -n 1 "$work/out")"
    keep "$work/trace" "$2"
}

answers() {
    curl --silent --fail --max-time 5 --output /dev/null "$SERVER/healthz"
}

start_server() {
    local address=${SERVER#http://}
    [[ $SERVER =~ ^http://(localhost|127\.[0-9.]+):[0-9]+$ ]] ||
        fail "no server answers at $SERVER; start one there with: make run-server"
    "$BIN/server" -addr "${address/localhost/127.0.0.1}" >"$work/server" 2>&1 &
    server=$!
    await "$server" answers && return
    kill -0 "$server" 2>/dev/null || fail "$(tail -n 1 "$work/server")"
    fail "the server does not answer at $SERVER"
}

record_server() { # SECONDS FILE
    local load status
    answers || start_server
    BASE_URL=$SERVER DURATION=$(($1 + 1))s scripts/load.sh >"$work/load" 2>&1 &
    load=$!
    until [[ -s $work/load ]] || ! kill -0 "$load" 2>/dev/null; do sleep 0.05; done # its first line, or why there is none
    status=$(curl --silent --max-time $(($1 + 60)) --output "$work/trace" --write-out '%{http_code}' \
        "$SERVER/debug/pprof/trace?seconds=$1") || [[ $status != 000 ]] || fail "the server at $SERVER is gone"
    [[ $status == 200 ]] || fail "$SERVER/debug/pprof/trace answered $status: $(head -n 1 "$work/trace")"
    wait "$load" || true
    keep "$work/trace" "$2"
}

# ---- what it shows ---------------------------------------------------------------------------------
# From the summary: how many threads ran at once, and where they waited longest.
digest() { # NAME FILE
    "$BIN/trace" -summary "$2" >"$work/summary" || fail "$BIN/trace cannot read $2"
    printf '%s: %s\n' "$1" "$2"
    sed -n '/^Parallelism$/,/^$/{ /^  on average/p }; s/^  note  *\(.*dropped.*\)/  \1/p' "$work/summary"
    awk '/^(Locks$|The [0-9]+ locks )/ { while ($1 != "lock" && (getline) > 0 && NF) continue; getline; if (NF) print "  the lock waited for longest: " $1 ", " $(NF - 5) ($(NF - 5) == 1 ? " wait, " : " waits, ") $(NF - 4) " in all"; exit }' \
        "$work/summary"
}

# The threads of the lab, and those that wait for ever: their last wait has no end.
digest_leak() { # NAME FILE
    digest "$1" "$2"
    awk '/^Threads by start function$/ { getline; while ((getline line) > 0 && line != "") { n = split(line, f, " "); if (f[1] == "leak_worker") print "  threads of leak_worker: " f[2] ", alive for " f[3] " in all, running for " f[4] } }' "$work/summary"
    awk '/^Threads that began, then waited/ { getline; while ((getline line) > 0 && line != "") { split(line, f, " "); print "  " f[2] " threads of " f[1] " began, then waited and never ran again" } }' "$work/summary"
}

show() { # FILE [FILE]
    if ! with_ui; then
        echo "to look at them:"
        local file port=$PORT_TRACE
        for file; do
            echo "  $BIN/trace -http 127.0.0.1:$port $file"
            port=$PORT_TRACE_AFTER
        done
        return
    fi
    trap : INT # Ctrl-C is for the pages
    [[ ! ${2:-} ]] || "$BIN/trace" -http "127.0.0.1:$PORT_TRACE_AFTER" "$2" &
    "$BIN/trace" -http "127.0.0.1:$PORT_TRACE" "$1" || true
}

check_ports() { # VARIABLE...
    local name
    for name; do
        check_port "$name" "${!name}"
    done
    with_ui || return 0
    for name; do
        require_port "$name" "${!name}"
    done
}

check_time() {
    [[ $time =~ ^[0-9]+x$|^([0-9]*\.?[0-9]+(ns|us|µs|ms|s|m|h))+$ ]] ||
        misuse "BENCH_TIME=$time: expected a duration as 0.3s or 1m30s, or a number of iterations as 100x"
}

# ---- the targets -----------------------------------------------------------------------------------
trace_both() { # LAB
    local side impl
    set_lab "$1"
    check_ports PORT_TRACE PORT_TRACE_AFTER
    check_time
    check_variants "$work/check"
    for side in before after; do
        impl=${!side}
        file[$side]=$PROFILES/trace/${lab}_$impl.trace
        progress "recording: $impl"
        if [[ $lab == leak ]]; then
            record_leak "$impl" "${file[$side]}"
            digest_leak "$impl" "${file[$side]}"
        else
            record_benchmark "$impl" "${file[$side]}"
            digest "$impl" "${file[$side]}"
        fi
    done
    hint "$lab"
    show "${file[before]}" "${file[after]}"
}

hint() { # LAB
    case $1 in
    mutex) echo "look for: before, one thread runs while the others wait for the same lock; after, as many run as there are CPUs" ;;
    alloc) echo "look for: how long the slices \"checksum\" are, and what lies between them" ;;
    leak) echo "look for: before, threads that ran once and then wait to the end, a row for each; after, rows that end" ;;
    esac
}

trace_fib() {
    set_lab fib
    check_ports PORT_TRACE
    check_time
    file[before]=$PROFILES/trace/fib.trace
    "$BIN/bench" -bench='^BenchmarkFib$' -benchtime="$time" -trace="$work/trace" || fail "the benchmark failed"
    keep "$work/trace" "${file[before]}"
    digest "the benchmark" "${file[before]}"
    show "${file[before]}"
}

trace_server() { # DURATION
    read_duration DURATION "$1" 600
    check_ports PORT_TRACE
    file[before]=$PROFILES/trace/server_$(stamp).trace
    say "tracing $SERVER for $seconds s under load"
    record_server "$seconds" "${file[before]}"
    digest "the server" "${file[before]}"
    cat "$work/load"
    show "${file[before]}"
}

declare -A file
require_bench
make_work
case ${1:-} in
fib) trace_fib ;;
mutex | alloc | leak) trace_both "$1" ;;
server) trace_server "${2:-5s}" ;;
*) misuse "usage: scripts/trace.sh fib | mutex | alloc | leak | server [DURATION]" ;;
esac
