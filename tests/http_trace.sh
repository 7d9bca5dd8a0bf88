#!/bin/bash
# Execution traces over HTTP: Go's contract for /debug/pprof/trace, snapshots of the flight recorder, and what is answered
# to what cannot be had.
# shellcheck disable=SC2119 # what they share has optional arguments
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh

[[ -x $BIN/server ]] || skip_all "there is no server"
trace=/debug/pprof/trace
snapshot=/debug/trace/snapshot

# A Perfetto trace is nothing but packets: field 1, length-delimited. What is in them is for tests/trace*_test.c.
is_trace() { # NAME
    is "$1" "$(head -c 1 "$tmp/body" | od -An -tx1 | tr -d ' ')" 0a
}

mentions() { # NAME TEXT
    if grep -Fqa -- "$2" "$tmp/body"; then ok "$1"; else not_ok "$1" "expected the trace to mention: $2"; fi
}

bad() { # STATUS BODY_REGEX PATH [CURL OPTION...]
    local expected=$1 regex=$2
    shift 2
    get "$@"
    answers "$*: $expected" "$expected" "$regex"
    header "it is an error for pprof" x-go-pprof 1
    unlike "and no file" "$head" '^[Cc]ontent-[Dd]isposition'
    one_line "in one line" "$body"
}

start_server

# ---- trace
get "$trace?seconds=0.2"
is "a trace" "$status" 200
header "its type" content-type application/octet-stream
header "its name" content-disposition 'attachment; filename="trace"'
header "nosniff" x-content-type-options nosniff
is_trace "it is Perfetto's"
while :; do
    curl -s "http://$at/work/contention?iter=300&holdNs=5000&workers=4&impl=single"
done >"$tmp/work" &
children+=($!)
get "$trace"
kill $! && wait $! 2>/dev/null
is "one second unless told" "$status" 200
mentions "it has the requests' endpoint" /work/contention
get "$trace?seconds=5" --head
is "HEAD costs no trace" "$status" 200
header "and says what GET would" content-disposition 'attachment; filename="trace"'
for value in 0 -1 abc '' 0.0 1e3 +1 %201 inf nan 0x10 1s 3601 3600.5 . 1..5 1,5 99999999999999999999 1%00 0.0000000001; do
    bad 400 '^invalid value for "seconds" - must be a number of seconds such as 5 or 0.5, at most 3600$' \
        "$trace?seconds=$value"
done
for value in .1 00.1 0.1000000000000000000001; do
    get "$trace?seconds=$value"
    is "seconds=$value is one" "$status" 200
done
bad 405 '^Method not allowed' "$trace" -X POST --data-binary x=1
bad 404 '^Unknown profile$' "$trace/x"

# ---- one at a time
first=''
running() { # it may itself have come first
    if [[ -z $first ]] || ! kill -0 "$first" 2>/dev/null; then
        curl -s --max-time 60 "http://$at$trace?seconds=30" -o "$tmp/first" &
        first=$!
        sleep 0.2
    fi
    get "$trace?seconds=0.001"
    [[ $status == 500 ]] && kill -0 "$first"
}
wait_for 20 running
bad 500 '^Could not enable tracing: tracing is already enabled$' "$trace?seconds=0.1"
kill "$first"
wait "$first" 2>/dev/null
free() {
    get "$trace?seconds=0.001"
    [[ $status == 200 ]]
}
if wait_for 20 free; then ok "a trace ends when its client hangs up"; else not_ok "a trace ends when its client hangs up" "$body"; fi

# ---- the flight recorder, off
bad 404 '^The flight recorder is not running - start the program with PROF_FLIGHT=1, or call prof_flight_start$' "$snapshot"
get /debug/pprof/
like "the page offers traces" "$body" "href='trace\?seconds=1'"
like "and says how to turn the recorder on" "$body" 'Off. PROF_FLIGHT=1'
stop_server
exits "the server stops" 0

# ---- on
start_server PROF_FLIGHT=1 PROF_FLIGHT_SECONDS=5 PROF_FLIGHT_BYTES=4000000
curl -s "http://$at/work/contention?iter=3000&holdNs=5000&workers=4&impl=single" >"$tmp/work"
get "$snapshot"
is "a snapshot" "$status" 200
header "its type" content-type application/octet-stream
header "its name" content-disposition 'attachment; filename="trace-snapshot"'
is_trace "it is Perfetto's"
mentions "it has what came before it" /work/contention
get "$trace?seconds=0.1"
is "a trace beside the recorder" "$status" 200
is_trace "is one"
get "$snapshot" --head
is "HEAD" "$status" 200
bad 405 '^Method not allowed' "$snapshot" -X PUT --data-binary x
get /debug/pprof/
like "the page links to the snapshot" "$body" "href='../trace/snapshot'"
for path in /debug/trace /debug/trace/ /debug/trace/snapshots /debug/trace/x; do
    get "$path"
    is "$path is nobody's" "$status" 404
done
seq 8 | xargs -P 4 -I{} curl -s -o /dev/null -w '%{http_code}\n' "http://$at$snapshot" >"$tmp/codes"
is "many at once are answered, or told to try again" "$(grep -cEv '^(200|503)$' "$tmp/codes")" 0
like "some of them with a snapshot" "$(cat "$tmp/codes")" '^200$'
stop_server
exits "the server stops with its recorder on" 0

# ---- requests that are slow
mkdir "$tmp/slow"
start_server -trace-slower-than 1ms -trace-dir "$tmp/slow" -trace-tail 100ms
get '/work/contention?iter=3000&holdNs=5000&workers=4'
written() { grep -q '^/work/contention took ' "$server_log"; }
if wait_for 20 written; then ok "a slow request is said"; else not_ok "a slow request is said" "$(cat "$server_log" "$server_log.err")"; fi
get '/work/contention?iter=3000&holdNs=5000&workers=4'
stop_server
exits "the server stops" 0
like "with its time and the trace's name" "$out" "^/work/contention took [0-9]+ ms: $tmp/slow/slow-[0-9]{8}-[0-9]{6}.trace$"
is "there is one trace, at most one a minute" "$(find "$tmp/slow" -type f | wc -l)" 1
cp "$tmp"/slow/*.trace "$tmp/body"
is_trace "it is Perfetto's"
mentions "with the request" /work/contention
start_server -trace-slower-than 10ms -trace-dir "$tmp/slow" -trace-tail 60s
get '/work/contention?iter=20000&holdNs=5000&workers=4'
stop_server
exits "a stop does not wait for the tail" 0
server_refuses() { # STATUS REGEX FLAG...
    refuses "${*:3}" "$1" "^server: .*$2" timeout 10 "$BIN/server" -addr 127.0.0.1:0 "${@:3}"
}
for value in 0s 1 x '' -1s +1s 0x1s 1e3s nans infs 2h 3601s ' 1s' 1s1; do
    server_refuses 2 'expected a time such as 200ms or 1.5s, at most 3600s' -trace-slower-than "$value"
done
server_refuses 2 'at most 60s' -trace-tail 61s
server_refuses 2 'needs a value' -trace-dir
server_refuses 1 'No such file or directory; expected a folder to write to' -trace-slower-than 1s -trace-dir "$tmp/none"

# ---- the environment
start_server PROF_FLIGHT=yes PROF_FLIGHT_BYTES=1 PROF_SCHEDTRACE=often
holds "it serves all the same" serving
stop_server
like "a bad PROF_FLIGHT is named" "$err" "^prof: PROF_FLIGHT is 'yes'; expected a whole number from 0 to 1; it is not heeded$"
like "a bad PROF_SCHEDTRACE is named" "$err" "^prof: PROF_SCHEDTRACE is 'often'; expected a whole number from 1 to 3600000"
start_server PROF_SCHEDTRACE=50
curl -s "http://$at/work/contention?iter=3000&holdNs=5000&workers=4" >"$tmp/work"
line='^SCHED [0-9]+ms: threads=[0-9]+ running=[0-9.]+ runnable=[0-9.]+ blocked=[0-9.]+( [a-z]+=[0-9]+)* switches=[0-9]+$'
schedtraced() { (($(grep -Ec "$line" "$server_log.err") >= 3)); }
if wait_for 20 schedtraced; then ok "PROF_SCHEDTRACE prints lines"; else not_ok "PROF_SCHEDTRACE prints lines" "$(cat "$server_log.err")"; fi
stop_server
unlike "and nothing else" "$(grep -Ev "$line" <<<"$err")" .
like "with what threads wait for" "$err" ' (mutex|cond|poll|join)=[1-9]'
done_testing
