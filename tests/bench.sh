#!/bin/bash
# bin/bench, the labs' benchmarks: names that pair up, profiles that are whole or not there, an end that leaves nothing
# behind. The harness itself is tested in bench_test.c and bench_run_test.c.
. "$(dirname "$0")/lib.sh"

bench=$BIN/bench

# ---- names ----
run "$bench" -bench . -benchtime 1x -benchmem
exits "runs every benchmark once" 0
for name in Fib/impl={recursive,memo,iterative} Allocate/impl={plain,pool,arena} \
    HotMutex/impl={single,narrow,sharded,atomic} Leak/impl={leaky,joined}; do
    like "has $name" "$out" "^Benchmark$name(-[0-9]+)? +	 +1	 *[0-9.]+ ns/op	.*[0-9]+ B/op	 +[0-9]+ allocs/op\$"
done
like "names the package" "$out" '^pkg: c-prof-labs/bench$'
like "says PASS" "$out" '^PASS$'
like "ends as go test does" "$out" '^ok  	c-prof-labs/bench	[0-9]+\.[0-9]{3}s$'

leaky=$(grep -o 'Leak/impl=leaky.*' <<<"$out")
joined=$(grep -o 'Leak/impl=joined.*' <<<"$out")
like "the leaky crew leaves its four threads" "$leaky" '	 +4\.000 threads-left/op'
like "the joined crew leaves none" "$joined" '	 +0 threads-left/op'

# ---- allocations ----
per_op() { # BENCHMARK UNIT
    awk -v name="Benchmark$1" -v unit="$2" \
        '$1 ~ "^" name "(-[0-9]+)?$" { for (i = 3; i <= NF; i++) if ($i == unit) print $(i - 1) }' <<<"$out"
}
run "$bench" -bench Allocate -benchtime 20x -benchmem
is "plain allocates each buffer, the list and its head" "$(per_op Allocate/impl=plain allocs/op)" 1002
is "plain asks for the bytes of all of them" \
    "$(($(per_op Allocate/impl=plain B/op) - 1000 * 1024 - 1001 * 8 < 200))" 1
is "the pool allocates nothing once it is filled" "$(per_op Allocate/impl=pool allocs/op)" 0
is "the pool asks for no bytes" "$(per_op Allocate/impl=pool B/op)" 0
is "the arena allocates one block, the list and its head" "$(per_op Allocate/impl=arena allocs/op)" 3

# ---- profiles ----
run "$bench" -bench Fib/impl=recursive -benchtime 200ms -cpuprofile "$tmp/cpu.pb.gz" -memprofile "$tmp/mem.pb.gz"
exits "writes profiles" 0
for kind in cpu mem; do
    holds "the $kind profile is gzip'd and whole" gzip -t "$tmp/$kind.pb.gz"
done
if pprof=$(command -v pprof || command -v go); then
    [[ $pprof == */go ]] && pprof="$pprof tool pprof"
    run $pprof -top "$tmp/cpu.pb.gz"
    if [[ $SAN == thread ]]; then
        skip "the CPU profile shows the hot function" "the thread sanitizer holds signals back until a system call"
    else
        like "the CPU profile shows the hot function" "$out" 'fib_recursive'
    fi
    run "$bench" -bench Allocate/impl=plain -benchtime 10x -memprofilerate 1 -memprofile "$tmp/mem.pb.gz"
    exits "writes every allocation at rate 1" 0
    run $pprof -top -sample_index=alloc_space "$tmp/mem.pb.gz"
    like "the memory profile shows who allocates" "$(sed -n 1,8p <<<"$out")" 'alloc_plain'
else
    skip "pprof reads the profiles" "no pprof and no go on the PATH"
fi

run "$bench" -bench HotMutex/impl=single -benchtime 1x -blockprofile "$tmp/block.pb.gz" -mutexprofile "$tmp/mutex.pb.gz"
exits "writes the profiles of the locks" 0
for kind in block mutex; do
    holds "the $kind profile is gzip'd and whole" gzip -t "$tmp/$kind.pb.gz"
    if [[ $SAN == thread ]]; then
        skip "the $kind profile shows the lock" "the thread sanitizer has the functions of locks to itself"
    elif [[ $pprof ]]; then
        run $pprof -top -sample_index=delay "$tmp/$kind.pb.gz"
        like "the $kind profile shows the lock" "$out" 'mutex_single_worker'
    fi
done

echo old >"$tmp/kept"
chmod 644 "$tmp/kept"
run "$bench" -bench 'Leak/impl=joined' -benchtime 5x -trace "$tmp/run.trace" -cpuprofile "$tmp/beside.pb.gz"
exits "-trace" 0
run "$BIN/trace" -summary "$tmp/run.trace"
exits "the trace can be read" 0
like "it has a region for the benchmark" "$out" 'BenchmarkLeak/impl=joined'
like "and its threads" "$out" 'leak_worker'
holds "and there is a CPU profile beside it" test -s "$tmp/beside.pb.gz"
run "$bench" -bench Nothing -cpuprofile "$tmp/kept"
exits "an unknown benchmark ends with 2" 2
one_line "and with one line" "$err"
is "a profile that was there stays as it was" "$(cat "$tmp/kept")" old

for flag in -cpuprofile -memprofile -blockprofile -mutexprofile -trace; do
    run "$bench" -bench Fib -benchtime 10s "$flag" "$tmp/no/such/folder/p"
    exits "$flag into a folder that is not there ends with 2" 2
    one_line "$flag: and with one line" "$err"
    is "$flag: before anything ran" "$out" ""
    run "$bench" -bench Fib -benchtime 10s "$flag" "$tmp"
    exits "$flag onto a folder ends with 2" 2
done
run "$bench" -bench Fib/impl=iterative -benchtime 10x -cpuprofile /dev/null
exits "a profile may go to a device" 0
holds "which stays a device" test -c /dev/null
echo old >"$tmp/target"
ln -s target "$tmp/link"
run "$bench" -bench Fib/impl=iterative -benchtime 10x -cpuprofile "$tmp/link"
holds "a link stays a link" test -L "$tmp/link"
holds "and what it names becomes the profile" gzip -t "$tmp/target"

# ---- ends ----
mkdir "$tmp/ends"
start env --default-signal=INT "$bench" -bench Leak/impl=joined -benchtime 60s -cpuprofile "$tmp/ends/cpu"
holds "runs until it is stopped" wait_for 10 grep -q '^cpu\|^pkg' "$tmp/start.out"
# The heading comes a moment before the benchmark: until that has worked for 200 ms.
worked() { (($(awk '{ print $14 + $15 }' "/proc/$pid/stat") >= 20)); }
wait_for 20 worked
kill -INT "$pid" # which bash had made a background command ignore
wait "$pid"
is "Ctrl-C ends it as Ctrl-C does" $? 130
like "and says so" "$(cat "$tmp/start.err")" '^bench: Interrupt while Benchmark.* ran: no profile was written$'
is "and leaves no file" "$(ls -A "$tmp/ends")" ""
rm "$tmp/start.out" # or the line that is waited for might be the last one's
start env --default-signal=INT "$bench" -bench Leak/impl=joined -benchtime 60s
holds "runs without a profile until it is stopped" wait_for 10 grep -q '^cpu\|^pkg' "$tmp/start.out"
kill -INT "$pid"
wait "$pid"
is "which ends it, too" $? 130
like "without a word about profiles" "$(cat "$tmp/start.err")" '^bench: Interrupt while .* ran$'

run "$bench" -bench Fib/impl=recursive -benchtime 60s -timeout 1s -cpuprofile "$tmp/ends/cpu"
exits "a time limit ends with 1" 1
like "and names the benchmark" "$err" 'timed out after 1s \(-timeout\): BenchmarkFib/impl=recursive was running'
holds "and still writes the profile" gzip -t "$tmp/ends/cpu"
is "and nothing else" "$(ls -A "$tmp/ends")" cpu
run "$bench" -bench Fib/impl=memo -benchtime 60s -timeout 1ns
exits "so does one that ends before anything ran" 1
like "and says that nothing did" "$err" '\(-timeout\): (no benchmark|BenchmarkFib[^ ]*) was running'
run "$bench" -bench= -benchtime 1x
exits "an empty -bench runs nothing, as in Go" 0
like "and says what would" "$err" '^bench: nothing to run: choose benchmarks with -bench REGEXP'

"$bench" -bench 'Fib/impl=(memo|iter)' -benchtime 1x >/dev/full 2>"$tmp/full.err"
is "results that cannot be written end with 1" $? 1
one_line "and with one line" "$(cat "$tmp/full.err")"
"$bench" -list . >/dev/full 2>"$tmp/full.err"
is "so does a list" "$? $(cat "$tmp/full.err")" "1 bench: what was printed could not be written to standard output"

done_testing
