#!/bin/bash
# What an allocator's settings do: speed, peak memory and memory held of bin/frag_hot, a load of several threads that
# fragments the heap, on glibc's malloc and on tcmalloc, each with its defaults and with one setting changed.
# `make compare-malloc` calls this.
#
# All settings run in turns, so that what drifts on the machine drifts for all. The work is the same in all (a checksum
# says so). Speed is judged by CPU time, which a busy machine disturbs least; ops/s is by the clock. A difference is
# shown where a rank test finds one (Mann-Whitney, p < 0.01) and is ~ where it does not; the sentences below the table
# name only what is far beyond that. Exit: 0 measured, 1 something failed.
#
# Environment: BENCH_COUNT (5, runs of each setting), OPS (30000, replacements by each of 4 threads in each of 5 phases).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

count=${BENCH_COUNT:-5}
ops=${OPS:-30000}
(($# == 0)) || misuse "unexpected argument '$1'; settings are environment variables: BENCH_COUNT=5 OPS=30000"
[[ $count =~ ^[1-9][0-9]{0,2}$ ]] || misuse "BENCH_COUNT=$count: expected the number of runs of each setting, 1 to 999"
[[ $ops =~ ^[1-9][0-9]{0,7}$ ]] || misuse "OPS=$ops: expected replacements, 1 to 99999999"
[[ -x $BIN/frag_hot && -x $BIN/mem_hot ]] || fail "$BIN/frag_hot is not there; run: make"

# Allocator; what is put into its environment (or -release, the flag of frag_hot); its name in the table; what it is in Go.
settings=(
    'glibc||defaults|'
    'glibc|glibc.malloc.arena_max=1||none: its threads share one heap'
    'glibc|glibc.malloc.tcache_count=0||none: a cache for each P, fixed'
    'glibc|glibc.malloc.trim_threshold=65536||the goal of the scavenger'
    'glibc|glibc.malloc.mmap_threshold=65536||none: large objects in the heap'
    'glibc|-release|malloc_trim(0) at the end|debug.FreeOSMemory()'
    'tcmalloc||defaults|'
    'tcmalloc|TCMALLOC_RELEASE_RATE=1000||the pace of the scavenger'
    'tcmalloc|TCMALLOC_AGGRESSIVE_DECOMMIT=1||a scavenger in every free'
    'tcmalloc|TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES=1048576||none: a cache for each P, fixed'
    'tcmalloc|TCMALLOC_HEAP_LIMIT_MB=150||GOMEMLIMIT, but a hard one'
    'tcmalloc|-release|ReleaseFreeMemory() at the end|debug.FreeOSMemory()'
)

# The tcmalloc that our programs are linked with.
find_tcmalloc() {
    tcmalloc=$(ldd "$BIN/mem_hot" 2>/dev/null | awk '/libtcmalloc/ && $3 ~ /^\// { print $3; exit }')
    [[ $tcmalloc ]] || say "no libtcmalloc here ($BIN/mem_hot is not linked with it): glibc's malloc alone"
}

run_once() { # INDEX: one line for the table's program
    local allocator setting name word environment=() flags=(-ops "$ops")
    local -A value=()
    IFS='|' read -r allocator setting name _ <<<"${settings[$1]}"
    [[ $allocator == glibc ]] || environment+=(LD_PRELOAD="$tcmalloc")
    case $setting in
    '') ;;
    -*) flags+=("$setting") ;;
    glibc.*) environment+=(GLIBC_TUNABLES="$setting") ;;
    *) environment+=("$setting") ;;
    esac
    env -u GLIBC_TUNABLES "${environment[@]}" "$BIN/frag_hot" "${flags[@]}" >"$work/out" 2>"$work/err" ||
        fail "frag_hot failed with ${setting:-defaults} of $allocator: $(tail -n 1 "$work/err")"
    # Without command substitutions: Ctrl-C between two of them has bash 5.2 take its trap for an unfinished command.
    for word in $(<"$work/out"); do
        value[${word%%=*}]=${word#*=}
    done
    [[ ${value[allocator]} == "$allocator" ]] ||
        fail "frag_hot ran on '${value[allocator]}' where $allocator was asked for"
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$allocator" "${name:-$setting}" "${value[cpu-ns/op]}" \
        "${value[peak-MiB]}" "${value[held-MiB]}" "${value[failed]}" "${value[ops/s]}" "${value[checksum]}" \
        "${value[live-MiB]} ${value[kept-MiB]} ${value[ops]}" "${value[release-ms]}" >>"$work/runs.tsv"
}

make_work
find_tcmalloc
say "compare malloc: ${#settings[@]} settings, $count runs of each in turns"
for ((round = 1; round <= count; round++)); do
    for i in "${!settings[@]}"; do
        [[ ${settings[i]} != tcmalloc* || $tcmalloc ]] || continue
        progress "round $round/$count  $(cut -d'|' -f1,2 <<<"${settings[i]}" | tr '|' ' ')"
        run_once "$i"
    done
done
clear_progress
printf '%s\n' "${settings[@]}" | cut -d'|' -f4 >"$work/go.txt"
LC_ALL=C awk -F'\t' -f scripts/malloc.awk "$work/go.txt" "$work/runs.tsv" >"$work/report.txt" 2>&1 ||
    fail "$(tail -n 1 "$work/report.txt")"
cat "$work/report.txt"

at=$(stamp)
keep "$work/report.txt" "$PROFILES/bench/malloc_${at}_report.txt"
keep "$work/runs.tsv" "$PROFILES/bench/malloc_$at.tsv"
printf '\nkept: %s (and .tsv, every run)\n' "$PROFILES/bench/malloc_${at}_report.txt"
