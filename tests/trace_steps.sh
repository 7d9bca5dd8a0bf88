#!/bin/bash
# make trace and its like: what is recorded shows what the lab is about, and every mistake is told before the work.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -x $BIN/trace && -x $BIN/bench ]] || skip_all "there is no bin/trace or no bin/bench"
[[ ! $SAN ]] || skip_all "the steps are the plain build's"
export PROFILES=$tmp/profiles UI=0 BENCH_TIME=2x NO_COLOR=1

summary() { # FILE
    run "$BIN/trace" -summary "$1"
    exits "$(basename "$1") can be read" 0
}

run scripts/trace.sh fib
exits "fib" 0
like "it says where the trace is" "$out" "^the benchmark: $PROFILES/trace/fib.trace\$"
like "how many threads ran" "$out" 'on average [0-9.]+ threads ran'
like "and how to look at it" "$out" "^  .*/trace -http 127.0.0.1:18085 $PROFILES/trace/fib.trace\$"
summary "$PROFILES/trace/fib.trace"
like "a region for each benchmark" "$out" 'BenchmarkFib/impl=recursive'

run scripts/trace.sh mutex
exits "mutex" 0
like "both sides" "$out" '^sharded: '
summary "$PROFILES/trace/mutex_single.trace"
like "the threads of single queue" "$out" 'mutex lock'
like "on one lock, several at once" "$out" '^  0x[0-9a-f]+ +mutex lock +.* [2-4]$'
like "with a holder" "$out" 'held by: bench'

run scripts/trace.sh leak
exits "leak" 0
like "the threads are counted" "$out" 'threads of leak_worker: 100,'
# The last ones may not have come to their wait when the program ends.
is "and those that leak, on one side only" "$(grep -cE '^  (100|[89][0-9]) threads of leak_worker began, then waited and never ran again$' <<<"$out")" 1
# The conditions that nobody signals are waited at far longer than any lock is.
longest=$(sed -n '/^joined:/q; s/.*the lock waited for longest: \(0x[0-9a-f]*\),.*/\1/p' <<<"$out")
summary "$PROFILES/trace/leak_leaky.trace"
if [[ $longest ]]; then
    like "a condition is no lock" "$(sed -n '/^Locks/,/^Regions/p' <<<"$out")" "^  $longest +mutex lock "
else
    unlike "a condition is no lock" "$out" '^  0x[0-9a-f]+ +mutex lock '
fi
like "they wait for a job" "$out" 'wait for a job'

run scripts/trace.sh alloc
exits "alloc" 0
summary "$PROFILES/trace/alloc_pool.trace"
like "the pool's regions" "$out" 'give back'

port=$(free_port)
MIX='/work/cpu?n=2&workers=2&impl=memo' SERVER=http://localhost:$port run scripts/trace.sh server 1s
exits "server" 0
like "with the load's table" "$out" '^all +[0-9]+ +0 '
summary "$(find "$PROFILES/trace" -name 'server_*.trace')"
like "its requests are tasks" "$out" '/work/cpu'
gone() { ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
holds "the server it started is gone" gone
is "nothing half-written is left" "$(find "$PROFILES" -name '.work*')" ""

script_refuses() { # STATUS REGEX ARGUMENT...
    refuses "${*:3}" "$1" "^trace: $2" scripts/trace.sh "${@:3}"
}
script_refuses 2 'usage: scripts/trace.sh fib'
script_refuses 2 'usage: ' garbage
BENCH_TIME=often script_refuses 2 'BENCH_TIME=often: expected a duration' fib
AFTER=none script_refuses 2 "lab mutex has no variant 'none'" mutex
BEFORE=sharded script_refuses 2 "before and after are both 'sharded'" mutex
script_refuses 2 'DURATION is .x.' server x
SERVER=http://example.invalid:1 script_refuses 1 'no server answers at http://example.invalid:1; start one' server 1s
SERVER=http://localhost:99999 script_refuses 1 'server: .*99999' server 1s
PROFILES=/proc/none script_refuses 1 'cannot write to /proc/none' fib
done_testing
