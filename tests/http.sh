#!/bin/bash
# The endpoints as clients see them: every row of the contract, through curl and Go's own pprof.
# shellcheck disable=SC2119 # what they share has optional arguments
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh

[[ -x $BIN/server ]] || skip_all "there is no server"
command -v go >/dev/null || skip_all "there is no go"
pprof() { run go tool pprof "$@"; }

start_server PROF_HEAP_RATE=65536 BLOCK_PROFILE_RATE_NS=1 MUTEX_PROFILE_FRACTION=1 PPROF_MAX_SECONDS=900
d=/debug/pprof

# Something for every profile to show.
get '/work/mem?bytes=4096&count=5000&hold=true'
answers "work for the heap profiles" 200
get '/work/contention?iter=500&holdNs=20000&workers=4'
answers "work for the lock profiles" 200
get '/work/leak?workers=3'
answers "work for the thread profiles" 200

# ---- named profiles: headers, decoded by pprof, text
heap_types='alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes'
named() { # NAME FILE_NAME SAMPLE_TYPES PERIOD_TYPE TEXT_REGEX FUNCTION
    if ! has_profile "$1"; then
        skip "$1" "this library does not record it"
        return
    fi
    get "$d/$1"
    answers "$1 is answered" 200
    header "$1: content type" content-type application/octet-stream
    header "$1: nosniff" x-content-type-options nosniff
    header "$1: file name" content-disposition "attachment; filename=\"$1\""
    header "$1: is no error" x-go-pprof ''
    holds "$1: gzip'd" gzip -t "$tmp/body"

    pprof -raw "http://$at$d/$1"
    exits "$1: pprof fetches and reads it" 0
    like "$1: sample types" "$out" "^$3\$"
    like "$1: period type" "$out" "^PeriodType: $4\$"
    like "$1: its time" "$out" '^Time: 20[2-9][0-9]-'
    like "$1: functions, files and lines of the work" "$out" " $6 .*/labs/[a-z]+/[a-z]+\\.c:[0-9]+"
    unlike "$1: no value below zero" "$out" '^ *-[0-9]+ '

    get "$d/$1?debug=1"
    answers "$1: text" 200 "$5"
    header "$1: text's type" content-type 'text/plain; charset=utf-8'
    header "$1: text is no attachment" content-disposition ''
    like "$1: text names the work" "$body" "^#"$'\t'"0x[0-9a-f]+"$'\t'"$6\\+0x[0-9a-f]+"$'\t'".*\\.c:[0-9]+"
}
named heap heap "$heap_types" 'space bytes' '^heap profile: [0-9]+: [0-9]+ \[[0-9]+: [0-9]+\] @ heap/131072$' alloc_plain
named allocs allocs "${heap_types/alloc_space\/bytes/alloc_space/bytes\\[dflt\\]}" 'space bytes' '^heap profile: ' alloc_plain
named goroutine goroutine 'goroutine/count' 'goroutine count' '^goroutine profile: total [0-9]+$' leak_worker
named thread goroutine 'goroutine/count' 'goroutine count' '^goroutine profile: total [0-9]+$' leak_worker
named threadcreate threadcreate 'threadcreate/count' 'threadcreate count' '^threadcreate profile: total [0-9]+$' leak_crew_start
named block block 'contentions/count delay/nanoseconds' 'contentions count' '^cycles/second=[0-9]+$' mutex_single_worker
named mutex mutex 'contentions/count delay/nanoseconds' 'contentions count' '^sampling period=1$' mutex_single_worker

pprof -raw "http://$at$d/heap"
like "heap: its period is the sampling rate" "$out" '^Period: 65536$'
like "heap: the bytes of an object are a label" "$out" 'bytes:\[4096\]|bytes:\[[0-9]+\]'
like "heap: labels of the request" "$out" 'endpoint:\[/work/mem\]'
pprof -top -sample_index=inuse_space "http://$at$d/heap"
like "heap: what is held is in use, about 20 MB" "$out" '^ *(1[6-9]|2[0-3])(\.[0-9]+)?MB .* (alloc_plain|buffers_)'
get "$d/heap?gc=1"
answers "heap takes gc=1" 200
if has_profile goroutine; then
    get "$d/goroutine?debug=2"
    answers "goroutine: debug=2 shows thread by thread" 200 'leak_wait_for_job'
fi

seen() { # NAME TEXT REGEX: what only a signal that comes in time can show
    if [[ $SAN == thread ]]; then
        skip "$1" "this sanitizer hands signals on later, elsewhere"
    else
        like "$@"
    fi
}

# ---- CPU
get "$d/profile?seconds=1&debug=1" & # debug is ignored
load=$!
curl --silent --output /dev/null "http://$at/work/cpu?n=40&workers=2"
wait "$load"
get "$d/profile?seconds=1" &
load=$!
curl --silent --output /dev/null "http://$at/work/cpu?n=40&workers=2"
wait "$load"
curl --silent --output /dev/null "http://$at/work/cpu?n=60&workers=2" &
pprof -raw -seconds 1 "http://$at$d/profile"
wait $!
exits "profile: pprof fetches and reads it" 0
like "profile: sample types" "$out" '^samples/count cpu/nanoseconds$'
like "profile: period" "$out" '^PeriodType: cpu nanoseconds$'
like "profile: 100 Hz" "$out" '^Period: 10000000$'
like "profile: its duration" "$out" '^Duration: (1|2)(\.[0-9]+)?'
seen "profile: the work" "$out" ' fib_recursive .*/labs/fib/slow\.c:[0-9]+'
like "profile: labels" "$out" 'endpoint:\[/work/cpu\]'
get "$d/profile?seconds=1"
answers "profile is answered" 200
header "profile: content type" content-type application/octet-stream
header "profile: nosniff" x-content-type-options nosniff
header "profile: file name" content-disposition 'attachment; filename="profile"'
holds "profile: gzip'd" gzip -t "$tmp/body"

# ---- deltas
delta() { # NAME REQUEST FUNCTION
    if ! has_profile "$1"; then
        skip "$1: delta" "this library does not record it"
        return
    fi
    # Again and again: on a busy machine nobody knows when the second of the delta begins.
    while curl --silent --output /dev/null "http://$at$2"; do sleep 0.2; done &
    local load=$!
    get "$d/$1?seconds=1"
    kill "$load"
    wait "$load" 2>/dev/null
    answers "$1: delta" 200
    header "$1: delta's file name" content-disposition "attachment; filename=\"$1-delta\""
    header "$1: delta's type" content-type application/octet-stream
    cp "$tmp/body" "$tmp/delta"
    pprof -raw "$tmp/delta"
    like "$1: delta has a duration" "$out" '^Duration: (1|2|3)(\.[0-9]+)?'
    if [[ $1 == goroutine ]]; then
        seen "$1: delta shows what happened in it" "$out" " $3 "
    else
        like "$1: delta shows what happened in it" "$out" " $3 "
    fi
    unlike "$1: delta has no value below zero" "$out" '^ *-[0-9]+ '
}
delta heap '/work/mem?bytes=4096&count=5000&hold=true&impl=arena' alloc_arena
delta allocs '/work/mem?bytes=4096&count=5000&hold=true&impl=arena' alloc_arena
delta block '/work/contention?iter=500&holdNs=20000&workers=4' mutex_single_worker
delta mutex '/work/contention?iter=500&holdNs=20000&workers=4' mutex_single_worker
delta threadcreate '/work/leak?workers=3' leak_crew_start
delta goroutine '/work/leak?workers=3' leak_worker
pprof -raw -seconds 1 "http://$at$d/heap"
unlike "a delta leaves out what did not change" "$out" ' alloc_plain '

# ---- symbol and cmdline
get "$d/heap?debug=1"
read -r _ pc name _ <<<"$(grep -m 1 alloc_plain <<<"$body" | tr '\t' ' ')"
name=${name%+*}
get "$d/symbol?$pc"
answers "symbol: by query" 200 "^$pc alloc_plain$"
header "symbol: type" content-type 'text/plain; charset=utf-8'
is "symbol: the first line" "$(head -n 1 <<<"$body")" "num_symbols: 1"
get "$d/symbol" --data-binary "$pc+0x1+$((pc))"
answers "symbol: by POST" 200 "^$pc alloc_plain$"
is "symbol: addresses in decimal too, unknown ones left out" "$body" "num_symbols: 1"$'\n'"$pc alloc_plain"$'\n'"$pc alloc_plain"
get "$d/symbol" --data-binary ""
is "symbol: nothing asked" "$body" "num_symbols: 1"
pprof -symbolize=force:remote -top -sample_index=alloc_space "http://$at$d/heap"
exits "symbol: pprof asks it" 0
like "symbol: and shows what it was told" "$out" ' alloc_plain'
get "$d/cmdline"
answers "cmdline is answered" 200
header "cmdline: type" content-type 'text/plain; charset=utf-8'
is "cmdline: arguments joined by NUL" "$(tr '\0' '|' <"$tmp/body")" "$BIN/server|-addr|127.0.0.1:0"

# ---- index
get "$d/"
answers "the index is a page" 200 '<!DOCTYPE html>'
header "the index: type" content-type 'text/html; charset=utf-8'
for name in profile heap allocs; do
    like "the index lists $name" "$body" "<td class='?name'?>$name<"
done
like "the index has live counts" "$body" "data-count='heap'>[1-9][0-9]*<"
like "the index has the command to copy, with the address asked for" "$body" "go tool pprof .*http://$at/debug/pprof/heap"
unlike "the index needs no network" "$body" '(src|href)=.?(https?:)?//'
get "$d/" -H 'Host: <script>alert(1)</script>'
unlike "the index escapes the host" "$body" '<script>alert'
get "$d"
answers "without its slash it is redirected" 301
header "to the index" location /debug/pprof/
get "$d//heap?debug=1&x=a%20b"
answers "a doubled slash is redirected" 301
header "to the clean path, query kept" location "/debug/pprof/heap?debug=1&x=a%20b"
get "$d/%68eap"
answers "percent-encoded names are names" 200

# ---- HEAD costs no capture
begun=$SECONDS
get "$d/profile?seconds=60" --head
answers "HEAD of a profile" 200
header "HEAD: file name" content-disposition 'attachment; filename="profile"'
holds "HEAD: at once" test $((SECONDS - begun)) -lt 30
get "$d/heap" --head
answers "HEAD of a snapshot" 200

# ---- one capture at a time, that blocks nobody, and ends with its client
capture() {
    curl --silent --output /dev/null "http://$at$d/profile?seconds=600" &
    capture=$!
    sleep 0.3
}
capture
busy() {
    # It was refused itself if the question below came first.
    kill -0 "$capture" 2>/dev/null || capture
    get "$d/profile?seconds=1"
    [[ $status == 500 ]]
}
holds "a second CPU profile is refused" wait_for 10 busy
answers "in Go's words" 500 '^Could not enable CPU profiling: cpu profiling already in use$'
header "as an error" x-go-pprof 1
header "without a file name" content-disposition ''
get "$d/heap"
answers "other profiles are answered meanwhile" 200
get "$d/heap?seconds=1"
answers "deltas too" 200
holds "and the server's own requests" serving
kill "$capture"
wait "$capture" 2>/dev/null
free() {
    get "$d/profile?seconds=1"
    [[ $status == 200 ]]
}
holds "when the client hangs up the profile ends" wait_for 10 free

stop_server
exits "the server stops" 0
done_testing
