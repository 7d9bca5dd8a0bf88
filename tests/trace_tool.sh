#!/bin/bash
# bin/trace without its page: tables, profiles, JSON, what it says of files that are none. The trace is that of
# tests/trace_story.h, whose every figure is known. (The reader itself: tests/trace_model_test.c.)
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

story=$tmp/story.trace
"$LIB/../tests/trace_model_test" -write "$story" || skip_all "tests/trace_model_test.c is not built"
trace=$BIN/trace

# ---- tables ----------------------------------------------------------------------------------------
run "$trace" -summary "$story"
exits "prints a summary" 0
like "names the process" "$out" '^  process +kitchen \(pid 100\)'
like "counts events and drops" "$out" '^  events +45 in .*, 12 dropped'
like "shows notices" "$out" '^  note +12 events were dropped'
like "main thread: running, waiting" "$out" '^  \(main thread\) +1 +50\.0ms +20\.0ms +- +30\.0ms +-$'
like "by start function: running, runnable, system calls" "$out" '^  load +1 +29\.0ms +20\.0ms +1\.00ms +- +8\.00ms$'
like "by start function: lock" "$out" '^  cook +1 +25\.0ms +15\.0ms +2\.00ms +8\.00ms +-$'
like "each kind of wait: total, share, count" "$out" ' mutex lock +8\.00ms +32\.0% +1 +8\.00ms'
like "count, minimum, average, maximum of runs" "$out" '^  load +running +20\.0ms +69\.0% +3 +4\.00ms +6\.67ms +10\.0ms$'
like "each thread" "$out" '^  loader 101 +load +3 +29\.0ms'
like "CPU utilisation" "$out" '^ +0 +35\.0ms +70\.0% +4 +11\.0ms'
like "parallelism" "$out" '^ +2 +16\.0ms +32\.0%'
like "threads that waited for a CPU" "$out" '1\.10 threads ran, and 0\.06 were ready'
like "locks: waits and most at once" "$out" '^  0x1000 +mutex lock +1 +10\.2ms .* 1$'
like "locks: who waited" "$out" 'waited: cook 102 \(1 x, 10\.2ms\)'
like "locks: who held" "$out" 'held by: loader 101 \(1 x, 10\.2ms\)'
like "locks: where" "$out" 'longest at: lock \(main:4\) < cook \(main:3\) < serve'
unlike "no condition without waits" "$out" 'Conditions, semaphores'
unlike "no thread waits to the end" "$out" 'never ran again'
like "tasks" "$out" '^  order +1 +19\.0ms'
like "regions" "$out" '^  fry +1 +- +5\.00ms'
like "a region that did not end" "$out" '^  evening +0 +1 +-'
like "collections" "$out" '^  world stopped +1 +2\.00ms +4\.0%'
like "minimum mutator utilisation" "$out" '^  5\.00ms +60\.0%'
unlike "no colour in a pipe" "$out" $'\e'
unlike "no blanks at line ends" "$out" ' $'

run "$trace" -summary -thread cook "$story"
like "-thread: the chosen one" "$out" '^  cook 102 '
unlike "-thread: and no other" "$out" '^  loader 101 '
run "$trace" -summary -from 10ms -to 0.02s "$story"
like "-from and -to cut what crosses them" "$out" '^  cook +1 +10\.0ms +4\.00ms +6\.00ms +-$'

gzip -k "$story"
run "$trace" -summary "$story.gz"
exits "unpacks what is gzip'd" 0
like "and reads it" "$out" '^  cook 102 '

"$LIB/../tests/trace_make" 20000 8 >"$tmp/shop.trace"
run "$trace" -summary "$tmp/shop.trace"
like "a thread that never comes back" "$out" '^  leak +1 +cond wait '
like "locks are one table" "$(sed -n '/^Locks$/,/^$/p' <<<"$out")" '^  0x55d0c0ffee40 '
# ---- profiles --------------------------------------------------------------------------------------
pprof=(pprof)
command -v pprof >/dev/null || pprof=(go tool pprof)
profile() { # KIND ARGS...: what pprof says of it
    local kind=$1
    shift
    "$trace" "-pprof=$kind" -o "$tmp/p" "$story" && "${pprof[@]}" "$@" "$tmp/p" 2>&1
}
if command -v "${pprof[0]}" >/dev/null; then
    like "sync: time at the lock" "$(profile sync -top)" ' 10\.20ms .*10\.20ms +25\.25%  lock'
    like "sync: tags tell the lock" "$(profile sync -tags)" '10\.2ms .*: 0x1000'
    like "sync: who calls it" "$(profile sync -peek '^lock$')" '10\.20ms +100% \| +cook'
    like "syscall" "$(profile syscall -top)" '8\.20ms +100% .* rest'
    like "sched: behind the wait" "$(profile sched -top)" ' 2ms 66\.67% .* lock'
    like "sched: by state" "$(profile sched -tags)" '1\.0ms .*: preempted'
    like "cpu: samples" "$(profile cpu -top)" ' 2 66\.67% .* load'
    like "region: own time and that of inner ones" "$(profile region -top)" ' 4ms .* 5ms .* fry'
    like "region: waits in it" "$(profile region -top)" '30ms .* join'
    like "region:NAME: nothing else" "$(profile region:fry -top)" 'Total samples = 5ms'
    like "the window is the duration" "$(profile sync -raw)" 'Duration: 50|Duration: 0\.05|Duration: 50ms'
else
    skip "profiles" "there is no pprof, and no go"
fi
run "$trace" -pprof=sync "$story"
exits "a profile on standard output" 0
is "is gzip'd" "$(head -c 2 "$tmp/.out" | od -An -tx1 | tr -d ' ')" 1f8b
run "$trace" -pprof=region:nothing "$story"
exits "a region that is not there" 1
one_line "says so" "$err"
like "and what to do" "$err" "no region of that name.*-summary"
run "$trace" -pprof=sync -o "$tmp/none/p" "$story"
exits "cannot write there" 1
one_line "one line about it" "$err"

# ---- JSON ------------------------------------------------------------------------------------------
"$trace" -export=json "$story" >"$tmp/story.json"
events() { # FILTER: how many events it lets through
    jq "[.traceEvents[] | select($1)] | length" "$tmp/story.json"
}
holds "JSON is valid" jq -e .traceEvents "$tmp/story.json"
is "slices" "$(events '.ph == "X" and .pid == 100')" 8
is "tasks" "$(events '.ph == "b" and .id == 1 and .ts == 12000')-$(events '.ph == "e" and .id == 1 and .ts == 31000')" 1-1
is "runs on CPUs" "$(events '.ph == "X" and .pid == 0')" 7
is "flow: from" "$(events '.ph == "s" and .tid == 101 and .ts == 22000')" 1
is "flow: to" "$(events '.ph == "f" and .tid == 102')" 1
is "counters" "$(events '.ph == "C" and .args.value == 4096')" 1
is "names of threads" "$(events '.name == "thread_name" and .args.name == "cook"')" 1
is "the lock, its holder and who ended the wait" \
    "$(events '.args.lock == "0x1000" and .args.holder == "loader 101" and .args.woken_by == "loader 101"')" 1
is "a log with quotes in it" "$(events '.name == "all done \"now\""')" 1
is "stacks" "$(jq -r '.traceEvents[] | select(.name == "sleep") | .args.stack[0]' "$tmp/story.json")" "rest (main:3)"
run "$trace" -export=json -o "$tmp/out.json" "$story"
exits "-o" 0
holds "the same in a file" cmp "$tmp/story.json" "$tmp/out.json"
ln -s out.json "$tmp/link.json"
: >"$tmp/out.json"
run "$trace" -export=json -o "$tmp/link.json" "$story"
holds "a link is followed" cmp "$tmp/story.json" "$tmp/out.json"
holds "and stays a link" test -L "$tmp/link.json"

# ---- a trace that was recorded ---------------------------------------------------------------------
if [[ $SAN ]]; then
    skip "a recorded trace" "a sanitizer's program cannot be preloaded into"
else
    run "$BIN/prof" run -trace "$tmp/real.trace" -- "$BIN/cpu_hot" -n 20 -workers 3
    exits "records a run" 0
    run "$trace" -summary "$tmp/real.trace"
    exits "its summary" 0
    like "its three workers" "$out" '^  [a-z_]+ +3 '
    unlike "no thread has a number that is none" "$out" ' -1 |thread -1'
    like "its main thread joins them" "$out" '^  \(main thread\) +1 '
    unlike "nothing was damaged or lost" "$out" 'note .*(cut short|could not be read|left out)'
    run "$BIN/prof" run -trace "$tmp/name.trace" -- python3 -c "import ctypes; ctypes.CDLL(None).prctl(15, b'a\\x1b[1m\\nb', 0, 0, 0)"
    run "$trace" -summary "$tmp/name.trace"
    like "a name's control characters do not reach the terminal" "$out" '^  a\?\[1m\?b [0-9]+ '
    is "a join waits for a thread, not for a lock" "$("$trace" -export=json "$tmp/real.trace" |
        jq '[.traceEvents[] | select(.name == "join" and .ph == "X") | .args | has("lock")] | unique | tostring')" '"[false]"'
    holds "its JSON is valid" sh -c '"$1" -export=json "$2" | jq -e .traceEvents' - "$trace" "$tmp/real.trace"
fi

# ---- files that are none -----------------------------------------------------------------------------
no_trace() { # NAME FILE REGEX
    refuses "$1" 1 "^trace: .*$3" "$trace" -summary "$2"
}
: >"$tmp/empty"
no_trace "an empty file" "$tmp/empty" empty
no_trace "a program" "$trace" ELF
no_trace "text" README.md "is text"
echo '{"traceEvents": []}' >"$tmp/chrome.json"
no_trace "JSON" "$tmp/chrome.json" JSON
no_trace "a folder" "$tmp" folder
no_trace "a device that never ends" /dev/zero 'is a device; expected a trace file, or a pipe'
no_trace "a device that is empty" /dev/null 'is a device'
no_trace "no file" "$tmp/nowhere" "No such file"
"$trace" -pprof=sync -o "$tmp/sync.pprof" "$story"
no_trace "a profile" "$tmp/sync.pprof" 'pprof'
head -c 1000 "$story.gz" >"$tmp/short.gz"
no_trace "a gzip stream that is cut short" "$tmp/short.gz" "cut short"
head -c 3 "$story" >"$tmp/three"
no_trace "three bytes" "$tmp/three" "cut short"

head -c $(($(stat -c %s "$story") - 300)) "$story" >"$tmp/cut.trace"
run "$trace" -summary "$tmp/cut.trace"
exits "a trace that is cut short is shown" 0
like "and called so" "$out" 'note +the file is cut short'
run "$trace" -summary <(cat "$story")
exits "a pipe is read to its end" 0
is "standard input" "$("$trace" -summary - <"$story" | grep -c '^  cook 102 ')" 1

# ---- flags -----------------------------------------------------------------------------------------
misuse() { # NAME REGEX ARGS...
    local name=$1 regex=$2
    shift 2
    run "$trace" "$@"
    exits "$name: usage" 2
    one_line "$name: one line" "$err"
    like "$name: says what was expected" "$err" "$regex"
}
misuse "no file" "usage: trace"
misuse "two files" "unexpected argument" "$story" "$story"
misuse "two things to do" "choose one" -summary -pprof=sync "$story"
misuse "an unknown profile" "expected sync, syscall" -pprof=heap "$story"
misuse "an unknown format" "expected json" -export=xml "$story"
misuse "an unknown flag" "unknown flag" -nothing "$story"
misuse "a time that is none" "expected a time" -summary -from soon "$story"
misuse "a time beyond the end" "is 0.050 s long" -summary -from 2s "$story"
misuse "a window without length" "not after -from" -summary -from 20ms -to 10ms "$story"
misuse "a thread that is not there" "no thread" -summary -thread nobody "$story"
misuse "-o without something to write" "-o goes with" -summary -o "$tmp/x" "$story"
run "$trace" -h
exits "help" 0
like "help shows how it is used" "$out" "^usage: trace"

done_testing
