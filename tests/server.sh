#!/bin/bash
# The demo server: its work, slow and fixed, its bounds, and how it stops.
# shellcheck disable=SC2119 # what server-lib.sh shares has optional arguments
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh

[[ -x $BIN/server ]] || skip_all "there is no server"

start_server -hold-limit 64 -leak-seconds 4
is "one line on start" "$(cat "$server_log")" "listening on $at (pprof endpoints at /debug/pprof)"

# ---- work: every variant does the same
same() { # ROUTE QUERY NUMBER_REGEX IMPL...
    local route=$1 query=$2 regex=$3 impl first=''
    shift 3
    for impl; do
        get "/work/$route?$query&impl=$impl"
        answers "/work/$route impl=$impl" 200 "impl=$impl"
        local got
        got=$(grep -Eo "$regex" <<<"$body")
        : "${first:=$got}"
        is "with the same result" "$got" "$first"
    done
    is "$route: $1 is the default" "$(curl -s "http://$at/work/$route?$query")" "$(curl -s "http://$at/work/$route?$query&impl=$1")"
}
same cpu 'n=5&workers=2' 'total=[0-9]+' recursive memo iterative
same mem 'bytes=64&count=100&hold=false' 'allocated=[0-9]+' plain pool arena
same contention 'iter=100&holdNs=100&workers=4' 'data=[0-9]+' single narrow sharded atomic
get '/work/cpu?n=5&workers=2'
answers "cpu: F(30) to F(34), twice" 200 '^cpu ok total=27168166 \(impl=recursive\)$'
get '/work/contention?iter=10&holdNs=0'
answers "contention: one worker unless told" 200 'data=10 \(workers=1,'
get /healthz
is "healthz" "$status $body" "200 ok"
get /
answers "the page lists the routes" 200 '/work/contention'
like "with curl lines for this address" "$body" "curl 'http://$at/work/mem\\?bytes=2048&amp;count=50000&amp;hold=true'"
like "and every parameter" "$body" '<code>holdNs</code>'
unlike "and needs no network" "$body" '(src|href)=.?(https?:)?//'

# ---- parameters
bad() { # ROUTE QUERY REGEX
    get "/work/$1?$2"
    answers "/work/$1?$2: 400" 400 "^$3\$"
}
number() { # ROUTE NAME MIN MAX
    local value
    for value in $(($3 - 1)) $(($4 + 1)) -1 abc '' 1.5 1e9 99999999999999999999 -99999999999999999999 0x10 %201 1%20 +1; do
        [[ $value == -1 && $3 == 0 ]] && continue
        bad "$1" "$2=$value" "$2 is \".*\"; expected a whole number from $3 to $4"
    done
}
number cpu n 1 1000
number cpu workers 1 64
number mem bytes 32 16777216
number mem count 1 1000000
number contention iter 1 10000000
number contention holdNs 0 1000000000
number contention workers 1 64
number leak workers 1 1000
for value in yes TRUE '' 2; do
    bad mem "hold=$value" "hold is \"$value\"; expected true or false"
done
bad cpu impl=fast 'impl is "fast"; expected recursive, memo or iterative'
bad mem impl= 'impl is ""; expected plain, pool or arena'
bad contention impl=Single 'impl is "Single"; expected single, narrow, sharded or atomic'
bad leak impl=x 'impl is "x"; expected leaky or joined'
bad cpu N=5 'there is no parameter "N"; expected n, workers, impl'
bad cpu 'n=5&worker=2' 'there is no parameter "worker"; expected n, workers, impl'
bad cpu "n=5&$(printf 'x%.0s' {1..200})=2" 'there is no parameter "x{40}\.\.\."; expected n, workers, impl'
bad cpu 'n=5&n=6' 'n is given twice; expected it once'
bad cpu n 'n is ""; expected a whole number from 1 to 1000'
bad cpu 'n=%3Cscript%3E%0a' 'n is "<script>\?"; expected .*'
bad release all=true 'there is no parameter "all"; expected none'
bad cpu 'n=1000&workers=2' 'n times workers is 2000; expected at most 1000'
bad mem 'bytes=16777216&count=1000000' 'bytes times count is [0-9]+; expected at most 536870912'
bad contention 'iter=10000000&workers=64' 'iter times workers times \(holdNs \+ 500\) is [0-9]+; expected at most 20000000000'

# ---- what is held is bounded, and released
hold='/work/mem?bytes=1024&count=40000'
get "$hold"
answers "40 MiB are held" 200 'hold=true, impl=plain, held now: 39 MiB'
get "$hold"
answers "twice is above -hold-limit" 503 '^full: 39 MiB are held or being allocated, of at most 64 MiB; free them with /work/release$'
get "$hold&hold=false&impl=arena"
answers "also when it would not be held" 503 '^full: '
get /work/release
is "release frees them" "$status $body" "200 release ok freed=40960000"
get "$hold&hold=false&impl=pool"
answers "then there is room" 200
get /work/release
is "what was not held is not released" "$body" "release ok freed=0"

# ---- leaked threads are seen, bounded, and end
before=$(threads "$pid")
get '/work/leak?workers=50&impl=joined'
answers "joined" 200 '^leak avoided \(50 threads started and joined\)$'
get /work/leak
answers "leaky" 200 '^leak started \(auto stop after ~4s\)$'
# The threads of connections come and go: a few may have been counted in.
holds "100 threads more" test "$(threads "$pid")" -ge $((before + 90))
few() { (($(threads "$pid") < before + 50)); }
holds "which end by themselves" wait_for 30 few

# ---- HEAD does no work
get '/work/leak?workers=77' --head
answers "HEAD" 200
get '/work/cpu?n=x' --head
answers "HEAD of what is wrong" 400

# ---- too much at once. Each request that is admitted works on though its client leaves, so one is refused at last.
busy() {
    get '/work/contention?iter=600000&holdNs=10000&workers=3&impl=narrow' --max-time 0.3
    [[ $status == 503 ]]
}
holds "work for more than a minute is refused" wait_for 30 busy
answers "with how much there is" 503 '^busy: work for [0-9]+ s of CPU time is in hand, of at most 60 s; try again later$'
holds "health is not asked to wait" serving

# ---- stop at once: a second signal does not wait
kill -INT "$pid"
gone() { ! curl --silent --output /dev/null --max-time 5 "http://$at/healthz"; }
holds "stopping: new connections are refused" wait_for 20 gone
stop_server INT
exits "a second signal ends it at once" 1

# ---- leaked threads are bounded: those of this server stay until it ends, however long it takes to start them
if [[ $SAN ]]; then
    skip "leaked threads are bounded" "thousands of threads are too much for a sanitizer"
else
    start_server -leak-seconds 600
    get '/work/leak?workers=1000'
    answers "1000 threads are leaked" 200
    get '/work/leak?workers=1000'
    answers "2000 in all" 200
    get '/work/leak?workers=1'
    answers "but no more" 503 '^full: 2000 leaked threads are there, of at most 2000; they end about 600 s after their start$'
    stop_server INT
    exits "they do not keep it from ending" 0
fi

# ---- stop when all is done
start_server
get '/work/mem?bytes=1024&count=1000'
get '/work/mem?bytes=1024&count=1000&impl=pool&hold=false'
get '/work/leak?workers=20'
curl --silent --output "$tmp/slow" --max-time 100 "http://$at/work/cpu?n=120&workers=2" &
slow=$!
curl --silent --output "$tmp/capture" --max-time 100 --write-out '%{http_code}' "http://$at/debug/pprof/heap?seconds=600" >"$tmp/capture.status" &
capture=$!
at_work() {
    local stacks
    stacks=$(curl -s "http://$at/debug/pprof/goroutine?debug=1")
    # By its label, and by where a capture waits: this question has the frames of any other request itself.
    [[ $stacks == *'"/work/cpu"'* && $stacks == *http_wait* ]]
}
holds "both are at work" wait_for 10 at_work
stop_server TERM
exits "SIGTERM: exit 0" 0
is "nothing on standard error, of a leak checker either" "$err" ""
# Both, or one if the capture has ended by then, or three: the question is let go of after its answer is read.
like "it says what it waits for" "$out" '^stopping, requests in flight: [123]$'
wait "$slow"
like "the request in flight was answered" "$(cat "$tmp/slow")" '^cpu ok total='
wait "$capture"
is "the capture was ended" "$(cat "$tmp/capture.status")" 503

start_server
stop_server INT
exits "SIGINT without requests: exit 0" 0
is "and nothing to say" "$out$err" "listening on $at (pprof endpoints at /debug/pprof)"
done_testing
