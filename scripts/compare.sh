#!/bin/bash
# Is the fix faster, by how much, how sure is that, and where did the time go? `make compare-fib` and its like call this.
#
#   scripts/compare.sh [--table] fib|alloc|mutex|leak|slice|cache|escape|array|callback
#
# The steps: the slow variant against itself (the noise floor), slow and fixed in turns (A B A B ..., so that what drifts on
# the machine drifts for both), benchstat's table, one verdict, a profile of each, one after the other, and the hottest
# functions side by side. Results and profiles are kept under profiles/. Exit: 0 the fix is proven faster, 1 it is not.
# --table stops after the table.
#
# Environment: BENCH_TIME (0.2s), BENCH_COUNT (10), BEFORE and AFTER (variants), PROFILE_SECONDS (1.5), PROFILES (profiles),
# UI=0, PORT_*.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/capture.sh
. scripts/capture.sh

count=${BENCH_COUNT:-10}
time=${BENCH_TIME:-0.2s}

check_arguments() {
    [[ $count =~ ^[1-9][0-9]{0,3}$ ]] || misuse "BENCH_COUNT=$count: expected the number of runs of each, 1 to 9999"
    [[ $time =~ ^[0-9]+x$|^([0-9]*\.?[0-9]+(ns|us|µs|ms|s|m|h))+$ ]] ||
        misuse "BENCH_TIME=$time: expected a duration as 0.2s or 1m30s, or a number of iterations as 100x"
}

# Measures two variants in turns: one run of each a turn, each in a process of its own. The results go to two files.
take_turns() { # WHAT IMPL FILE IMPL FILE
    local i
    for ((i = 1; i <= count; i++)); do
        progress "$1: $i/$count  $2"
        run_once "$2" "$3"
        progress "$1: $i/$count  $4"
        run_once "$4" "$5"
    done
    clear_progress
}

# One run, appended. Of the lines that say where it ran, one copy is enough.
run_once() { # IMPL FILE
    bench_variant "$1" -benchtime="$time" ${memory:+-benchmem} >"$work/run.txt" 2>"$work/run.err" ||
        fail "the benchmark failed on $1: $(tail -n 1 "$work/run.err" "$work/run.txt" | tr '\n' ' ')"
    if [[ -s $2 ]]; then
        grep '^Benchmark' "$work/run.txt" >>"$2" || fail "no result of $1: $(tail -n 1 "$work/run.txt")"
    else
        grep -E '^(Benchmark|[a-z][^ ]*: )' "$work/run.txt" >>"$2" || fail "no result of $1: $(tail -n 1 "$work/run.txt")"
    fi
}

measure_noise() {
    say "noise floor: $before against itself, $count+$count runs in turns"
    take_turns "noise floor" "$before" "$work/noise_a.txt" "$before" "$work/noise_b.txt"
    noise=$(awk -f scripts/noise.awk "$work/noise_a.txt" "$work/noise_b.txt")
    say "             $noise%: what differs by less is not a difference on this machine now"
}

measure_both() {
    say "comparing:   $before and $after, $count+$count runs in turns"
    take_turns "comparing" "$before" "$work/before.results" "$after" "$work/after.results"
    cp "$work/before.results" "$work/results.txt"
    grep '^Benchmark' "$work/after.results" >>"$work/results.txt"
}

print_table() {
    echo
    "$BIN/benchstat" -col /impl "$work/results.txt" | tee -a "$work/report.txt"
}

# The verdict is the last line of benchstat's, and decides the exit status.
print_verdict() {
    local verdict colour=$yellow
    status=0
    verdict=$("$BIN/benchstat" -verdict -noise "$noise" -col /impl "$work/results.txt" | tail -n 1) || status=1
    ((status)) || colour=$green
    printf '\n%s%s%s%s\n' "$bold" "$colour" "$verdict" "$reset"
    printf '\n%s\n' "$verdict" >>"$work/report.txt"
    [[ $verdict != inconclusive* ]] ||
        echo "again, with more: make compare-$lab BENCH_COUNT=$((count < 5 ? 10 : 2 * count)) BENCH_TIME=1s, and nothing else running"
}

# What one kind of profile says on both sides. QUANTUM: the value of one sample; 0 when everything was recorded.
side_by_side() { # WHAT KIND SAMPLE_INDEX UNIT QUANTUM [PPROF_FLAG...]
    local what=$1 kind=$2 index=$3 unit=$4 quantum=$5
    shift 5
    if ! flat_values "$index" "$unit" "$work/before.$kind" "$@" >"$work/before.top" ||
        ! flat_values "$index" "$unit" "$work/after.$kind" "$@" >"$work/after.top"; then
        say "no viewer for the profiles here; scripts/deps.sh ui installs it"
        return
    fi
    echo
    # shellcheck disable=SC2154 # the operations are set by capture
    LC_ALL=C awk -f scripts/top.awk -v what="$what" -v unit="$unit" -v before="$before" -v after="$after" \
        -v before_ops="$before_ops" -v after_ops="$after_ops" -v quantum="$quantum" "${more[@]}" \
        "$work/before.top" "$work/after.top"
}

capture_both() {
    progress "profiling $before for $PROFILE_SECONDS s"
    capture before "$before" "$(least_ns "$before" "$work/results.txt")"
    progress "profiling $after for $PROFILE_SECONDS s"
    capture after "$after" "$(least_ns "$after" "$work/results.txt")"
    clear_progress
}

show_functions() {
    local more=()
    case $lab in
    fib) side_by_side "CPU time" cpu cpu ns 1e7 ;;
    alloc | escape | array | callback)
        side_by_side "CPU time" cpu cpu ns 1e7
        side_by_side "Memory allocated" heap alloc_space B 524288
        ;;
    mutex)
        # Who waits uses no CPU time: the cure is not less work, but more cores at it, and less waiting.
        more=(-v before_ns="$(least_ns "$before" "$work/before.txt")" -v after_ns="$(least_ns "$after" "$work/after.txt")")
        side_by_side "CPU time" cpu cpu ns 1e7
        more=(-v whole=Waiting)
        side_by_side "Waiting for locks, all threads," block delay ns 0 -focus='^pthread_mutex_lock$' -hide='^pthread_mutex'
        ;;
    esac
}

# Everything is complete: now it may be seen under its names.
keep_all() {
    local at
    at=$(stamp)
    keep "$work/results.txt" "$PROFILES/bench/${lab}_$at.txt"
    keep "$work/report.txt" "$PROFILES/bench/${lab}_${at}_report.txt"
    cat "$work/noise_a.txt" "$work/noise_b.txt" >"$work/noise.txt"
    keep "$work/noise.txt" "$PROFILES/bench/${lab}_${at}_noise.txt"
    keep_profiles "$at"
    echo
    echo "kept: $PROFILES/bench/${lab}_$at.txt (and _noise, _report)"
    printf '      %s\n' "${kept[@]}"
}

table_only=0
if [[ ${1:-} == --table ]]; then
    table_only=1
    shift
fi
(($# == 1)) || misuse "usage: scripts/compare.sh [--table] fib|alloc|mutex|leak|slice|cache|escape|array|callback"
set_lab "$1"
check_arguments
require_bench
[[ $lab != leak ]] || exec scripts/compare_leak.sh
((table_only)) || [[ $lab != slice && $lab != cache ]] || exec scripts/compare_held.sh "$lab"
((table_only)) || choose_view before after
make_work
check_variants "$work/check.txt"
if ((table_only)); then
    measure_both
    print_table
    exit 0
fi
say "compare $lab: $before (before) and $after (after)"
measure_noise
measure_both
print_table
print_verdict
capture_both
show_functions | tee -a "$work/report.txt"
keep_all
choose_view before after
show
exit $status
