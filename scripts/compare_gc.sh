#!/bin/bash
# What a garbage collector's knobs do, and what allocating less does. `make compare-gc` calls this.
#
# The same work with memory from the collector under several settings, from malloc, tcmalloc, a pool and an arena. One run
# of each makes a round; rounds follow each other, so that whatever else the machine does hits all alike. The table has
# medians. The sentences below it are made from the numbers: a difference in time is only called one when it had the same
# sign in all rounds but a few (a sign test at 5 %). Beside them a picture of the heap's size over time.
#
# Environment: GC_COUNT, GC_BYTES, GC_KEEP (the work: so many buffers, of so many bytes, the newest kept), GC_RUNS (rounds),
# GC_LIMIT (the limit of one row, as GOMEMLIMIT takes it), UI=0 (open nothing).
# Exit: 0 the collections are the formula's and the knobs trade memory for them, 1 otherwise.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
unset GOGC GOMEMLIMIT GODEBUG
export LC_ALL=C

: "${GC_COUNT:=800000}" "${GC_BYTES:=256}" "${GC_KEEP:=80000}" "${GC_RUNS:=9}" "${GC_LIMIT:=48MiB}"
for variable in GC_COUNT GC_BYTES GC_KEEP GC_RUNS; do
    [[ ${!variable} =~ ^[0-9]{1,9}$ ]] || misuse "$variable='${!variable}': expected a whole number"
done
((GC_RUNS >= 1)) || misuse "GC_RUNS=$GC_RUNS: expected at least 1"
[[ -x $BIN/mem_hot ]] || fail "$BIN/mem_hot is not there; run: make"

# Rows: a name, then mem_hot's flags.
rows=("GOGC=50|-gogc 50" "GOGC=100|-gogc 100" "GOGC=200|-gogc 200" "GOGC=off, limit $GC_LIMIT|-gogc off -gomemlimit $GC_LIMIT"
    "GOGC=off|-gogc off" "malloc|-alloc malloc" "tcmalloc|-alloc tcmalloc" "pool|-alloc pool" "arena|-alloc arena")
((GC_KEEP > 0)) && kept=", the newest $GC_KEEP kept" || kept=''
title="$GC_COUNT buffers of $GC_BYTES bytes$kept"

# One run: appends `row round checksum wall peak collections predicted pause longest` to $work/runs.
measure() { # ROW ROUND
    local flags=() out
    read -ra flags <<<"${rows[$1]#*|}"
    [[ ${flags[0]} == -alloc ]] || flags+=(-gc -gclog "$work/$1.$2.log")
    out=$("$BIN/mem_hot" -count "$GC_COUNT" -bytes "$GC_BYTES" -hold=false -keep "$GC_KEEP" "${flags[@]}" 2>"$work/err") || {
        clear_progress
        tail -n 1 "$work/err" >&2
        exit 1
    }
    awk -v row="$1" -v round="$2" '{ for (i = 1; i <= NF; i++) if (split($i, part, "=") == 2) v[part[1]] = part[2] }
        function get(name) { return name in v ? v[name] : "-" }
        END { print row, round, v["checksum"], v["wall_ms"], v["peak_mib"], get("collections"), get("predicted"),
            get("pause_total_ms"), get("pause_max_ms") }' <<<"$out" >>"$work/runs"
}

make_work
for ((round = 1; round <= GC_RUNS; round++)); do
    for row in "${!rows[@]}"; do
        progress "round $round of $GC_RUNS: ${rows[row]%%|*}"
        measure "$row" "$round"
    done
done
clear_progress

status=0
printf '%s\n' "${rows[@]%%|*}" >"$work/names"
awk -v title="$title" -v picks="$work/picks" -f scripts/gc_table.awk "$work/names" "$work/runs" >"$work/report.txt" || status=$?
((status <= 1)) || fail "$(cat "$work/report.txt")"
awk -v bold="$bold" -v green="$green" -v yellow="$yellow" -v reset="$reset" -v status=$status \
    '/^verdict: / { sub(/^verdict: /, ""); print bold (status ? yellow : green) $0 reset; next } { print }' "$work/report.txt"

# The picture shows, of each setting of the collector, the run that took the median time.
logs=()
while read -r row round; do
    [[ ! -e $work/$row.$round.log ]] || logs+=("$work/$row.$round.log")
done <"$work/picks"
awk -v heading="The heap's size over time: $title" -f scripts/gc_plot.awk "${logs[@]}" >"$work/heap.svg" || fail "no picture"

at=$(stamp)
sed 's/^verdict: //' "$work/report.txt" >"$work/kept.txt"
keep "$work/kept.txt" "$PROFILES/gc/compare_$at.txt"
keep "$work/heap.svg" "$PROFILES/gc/heap_$at.svg"
printf '\nkept: %s\n      %s\n' "$PROFILES/gc/compare_$at.txt" "$PROFILES/gc/heap_$at.svg"
if [[ ${UI:-1} != 0 && ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]] && ((terminal)) && command -v xdg-open >/dev/null; then
    xdg-open "$PROFILES/gc/heap_$at.svg" >/dev/null 2>&1 &
fi
exit $status
