#!/bin/bash
# What a program prints arrives, or the program says that it did not: help and results to a full disk, in every program.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -w /dev/full ]] || skip_all "there is no /dev/full"

# lost NAME COMMAND...: ends with 1 and says why in one line when nothing of what it prints can be written.
lost() {
    local status
    "${@:2}" >/dev/full 2>"$tmp/lost" </dev/null
    status=$?
    is "$1 ends with 1" $status 1
    one_line "$1: one line" "$(cat "$tmp/lost")"
    like "$1: says what could not be written" "$(cat "$tmp/lost")" 'standard output|stdout|write error'
}

# benchstat prints its help where Go's does, on standard error.
for program in "$BIN"/*; do
    name=$(basename "$program")
    run "$program" -h
    exits "$name -h" 0
    [[ $name == benchstat ]] || lost "$name -h" "$program" -h
done
"$BIN/benchstat" -h 2>/dev/full
is "benchstat -h ends with 1" $? 1
lost "prof help run" "$BIN/prof" help run
lost "prof run -h" "$BIN/prof" run -h
for script in deps load collect-pprof; do
    run scripts/$script.sh -h
    exits "$script.sh -h" 0
    scripts/$script.sh -h >/dev/full 2>"$tmp/lost"
    is "$script.sh -h to a full disk ends with 1" $? 1
    like "$script.sh -h: says what could not be written" "$(cat "$tmp/lost")" 'write error|stdout'
done

# ---- results -------------------------------------------------------------------------------------------
"$BIN/cpu_hot" -n 1 -workers 1 -cpuprofile "$tmp/cpu.pprof" -trace "$tmp/cpu.trace" >"$tmp/out" || not_ok "cpu_hot"
lost "cpu_hot" "$BIN/cpu_hot" -n 1 -workers 1
lost "mem_hot" "$BIN/mem_hot" -count 1
lost "leak_hot" "$BIN/leak_hot" -ops 1 -impl joined
lost "grow_hot" "$BIN/grow_hot" -rounds 1
lost "frag_hot" "$BIN/frag_hot" -threads 1 -slots 10 -ops 10
lost "top" "$BIN/top" "$tmp/cpu.pprof"
lost "trace -summary" "$BIN/trace" -summary "$tmp/cpu.trace"

# A stream that is closed is no better than a full one.
"$BIN/cpu_hot" -h >&- 2>"$tmp/lost"
is "a closed standard output" "$? $(cat "$tmp/lost")" "1 cpu_hot: standard output: Bad file descriptor"

done_testing
