#!/bin/bash
# bin/cpu_hot and bin/mem_hot: flags, the same result from every variant, profiles that appear whole or not at all.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
cpu_hot=$BIN/cpu_hot
mem_hot=$BIN/mem_hot

# ---- results -------------------------------------------------------------------------------------------
# Two threads, six numbers each: F(30) ... F(34) and F(30) again.
for impl in recursive memo iterative; do
    run "$cpu_hot" -n 6 -workers=2 --impl=$impl
    is "cpu_hot -impl $impl adds up" "$rc $out" "0 total=$((2 * (2 * 832040 + 1346269 + 2178309 + 3524578 + 5702887)))"
done
run "$cpu_hot" -n 0
is "cpu_hot with nothing to do" "$rc $out" "0 total=0"

run "$mem_hot" -bytes 100 -count 1000 -hold=false
same=$out
like "mem_hot counts its buffers" "$out" '^allocated items=1000 checksum=[0-9a-f]{16}$'
for impl in plain pool arena; do
    run "$mem_hot" -bytes 100 -count 1000 -hold -impl "$impl"
    is "mem_hot -impl $impl -hold has the same bytes in its buffers" "$rc $out" "0 $same"
done

# ---- profiles --------------------------------------------------------------------------------------------
run "$cpu_hot" -n 8 -workers 2 -hz 1000 -cpuprofile "$tmp/cpu.pprof"
exits "cpu_hot -cpuprofile" 0
run scripts/pprof -top "$tmp/cpu.pprof"
if [[ $SAN == thread ]]; then
    skip "the profile shows fib_recursive" "this sanitizer hands signals on later, elsewhere"
else
    like "the profile shows fib_recursive" "$out" ' fib_recursive'
    if [[ $SAN ]]; then
        skip "-disasm shows the machine's instructions" "the sanitizers' builds are position-independent"
    else
        run scripts/pprof -disasm=fib_recursive "$tmp/cpu.pprof"
        like "-disasm shows the machine's instructions" "$out" 'CALL fib_recursive|bl fib_recursive'
    fi
fi
run "$cpu_hot" -n 2 -workers 3 -trace "$tmp/cpu.trace"
exits "cpu_hot -trace" 0
run "$BIN/trace" -summary "$tmp/cpu.trace"
like "the trace has a region for each number" "$out" ' fib +6 '
like "and a thread for each worker" "$out" '^  burn +3 '
run "$mem_hot" -bytes 100 -count 100 -trace "$tmp/mem.trace" -memprofile "$tmp/mem.pprof"
exits "mem_hot -trace" 0
run "$BIN/trace" -summary "$tmp/mem.trace"
like "the trace has the lab's regions" "$out" 'checksum'
run "$BIN/leak_hot" -ops 2 -trace "$tmp/leak.trace"
like "leak_hot -trace" "$rc $out" '^0 threads before='
run "$BIN/trace" -summary "$tmp/leak.trace"
like "the trace has the threads that wait for ever" "$out" '^  leak_worker +8 '
run "$mem_hot" -bytes 1000 -count 5000 -memprofilerate 1 -memprofile "$tmp/heap.pprof"
exits "mem_hot -memprofile" 0
if [[ $SAN == address || $SAN == thread ]]; then
    skip "heap profiles" "this sanitizer's allocator stands in for ours"
else
    run scripts/pprof -top -unit=B -sample_index=inuse_space "$tmp/heap.pprof"
    like "at rate 1 what is held is exact" "$out" '^ *5000000B .* alloc_plain'
    run "$mem_hot" -bytes 1000 -count 5000 -hold=false -memprofilerate 1 -memprofile "$tmp/heap.pprof"
    run scripts/pprof -top -unit=B -sample_index=inuse_space "$tmp/heap.pprof"
    unlike "what is not held is not in use" "$out" 'alloc_plain'
    run scripts/pprof -top -unit=B -sample_index=alloc_space "$tmp/heap.pprof"
    like "but was allocated" "$out" '^ *5000000B .* alloc_plain'
fi

# ---- misuse ----------------------------------------------------------------------------------------------
refuses "a number that is none" 2 "^cpu_hot: -n 'many': expected a whole number from 0" "$cpu_hot" -n many
refuses "a number out of range" 2 "^cpu_hot: -workers '0': expected a whole number from 1" "$cpu_hot" -workers=0
refuses "a number too long" 2 'expected a whole number' "$cpu_hot" -n 99999999999999999999
refuses "a flag without its value" 2 '^cpu_hot: -n needs a value' "$cpu_hot" -n
refuses "an unknown flag" 2 '^cpu_hot: unknown flag -frequency' "$cpu_hot" -frequency 5
refuses "an argument" 2 "^mem_hot: unexpected argument 'big'" "$mem_hot" big
refuses "an unknown variant" 2 "^mem_hot: -impl 'fast': expected plain, pool or arena" "$mem_hot" -impl fast
refuses "half a truth" 2 '^mem_hot: -hold=perhaps: expected true or false' "$mem_hot" -hold=perhaps
refuses "buffers too small for a digest" 2 '^mem_hot: -bytes' "$mem_hot" -bytes 31

# The path is looked at before the work: -n 1000000000 would take hours.
refuses "a folder that is not there" 1 '^cpu_hot: -cpuprofile .*/none/x: .*No such file' \
    timeout 10 "$cpu_hot" -n 1000000000 -cpuprofile "$tmp/none/x"
refuses "a folder instead of a file" 1 '^cpu_hot: -cpuprofile .*Is a directory' \
    timeout 10 "$cpu_hot" -n 1000000000 -cpuprofile "$tmp"
refuses "a full disk" 1 '^mem_hot: -memprofile /dev/full: .*No space left' "$mem_hot" -count 10 -memprofile /dev/full

# ---- whole or not at all -----------------------------------------------------------------------------------
mkdir "$tmp/whole"
echo old >"$tmp/whole/cpu.pprof"
refuses "a trace in a folder that is not there" 1 '^cpu_hot: -trace .*/none/x: .*No such file' \
    timeout 10 "$cpu_hot" -n 1000000000 -trace "$tmp/none/x"
refuses "a trace without a file" 2 '^mem_hot: -trace needs a value' timeout 10 "$mem_hot" -trace
start "$cpu_hot" -n 1000000000 -cpuprofile "$tmp/whole/cpu.pprof"
# The profile is open once the threads run.
threads_run() { (($(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l) > 1)); }
wait_for 30 threads_run
kill -TERM "$pid"
wait "$pid" 2>/dev/null
is "a program that is killed leaves what was there" "$(cat "$tmp/whole/cpu.pprof")" old
run "$cpu_hot" -n 1 -cpuprofile "$tmp/whole/cpu.pprof"
holds "one that is not replaces it" gzip -t "$tmp/whole/cpu.pprof"
is "and nothing else is left there" "$(ls -A "$tmp/whole")" cpu.pprof

done_testing
