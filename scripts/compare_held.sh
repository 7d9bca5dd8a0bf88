#!/bin/bash
# Memory that is kept: the variant that keeps too much and the one that does not, after more and more of the same work.
# `make compare-slice` and `make compare-cache` call this.
#
#   scripts/compare_held.sh slice|cache
#
# First what is in use after 4, 8 and 12 rounds, exactly: every block is recorded. Then who allocated it, and what the fix
# costs or saves in time. Exit: 0 the fixed variant keeps a tenth of what the other does, or has stopped growing while the
# other goes on; 1 otherwise.
#
# Environment: BEFORE and AFTER (variants); BENCH_TIME and BENCH_COUNT, as for compare.sh, of the table of times.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/capture.sh
. scripts/capture.sh

rounds=(4 8 12)

# Runs a variant; its lines go to $work/SIDE.txt, its last heap profile to $work/SIDE.heap.
measure() { # SIDE IMPL
    progress "$2: ${rounds[-1]} rounds"
    "$BIN/grow_hot" -lab "$lab" -impl "$2" -rounds "${rounds[-1]}" -memprofiles "$work/$1" >"$work/$1.txt" 2>"$work/err" || {
        [[ $? == 2 ]] && misuse "lab $lab has no variant '$2'; there are: $(sed -n 's/.* has //p' "$work/err")"
        fail "$(tail -n 1 "$work/err")"
    }
    mv "$work/$1.${rounds[-1]}.pb.gz" "$work/$1.heap"
    clear_progress
}

value() { # SIDE ROUND NAME
    grep "^round=$2 " "$work/$1.txt" | tr ' ' '\n' | sed -n "s,^$3=,,p"
}

print_growth() {
    local n
    echo "compare $lab: $before (before) and $after (after), memory in use"
    printf '\n  %12s  %16s  %16s\n' rounds "$before" "$after"
    for n in "${rounds[@]}"; do
        [[ $(value before "$n" checksum) == "$(value after "$n" checksum)" ]] ||
            fail "$before and $after do not do the same work: their checksums differ after round $n"
        printf '  %12d  %12s MiB  %12s MiB\n' "$n" "$(value before "$n" inuse-MiB)" "$(value after "$n" inuse-MiB)"
    done
    printf '  %12s  %12s MiB  %12s MiB\n' resident "$(value before "$n" rss-MiB)" "$(value after "$n" rss-MiB)"
}

# The verdict as the last line, the exit status in $status.
judge() {
    verdict=$(LC_ALL=C awk -v before="$before" -v after="$after" -v rounds="${rounds[-1]}" \
        -v b0="$(value before "${rounds[0]}" inuse-MiB)" -v b="$(value before "${rounds[-1]}" inuse-MiB)" \
        -v a0="$(value after "${rounds[0]}" inuse-MiB)" -v a="$(value after "${rounds[-1]}" inuse-MiB)" 'BEGIN {
            if (b < 1.5 * b0)
                print "inconclusive: " before " does not grow here, so there is nothing to cure"
            else if (a <= b / 10)
                printf "%s keeps %.2f MiB after %d rounds where %s keeps %.2f MiB, and more with each\n", after, a, rounds, before, b
            else if (a <= 1.1 * a0 && a < b / 2)
                printf "%s stops at %.2f MiB; %s keeps %.2f MiB after %d rounds, and more with each\n", after, a, before, b, rounds
            else
                printf "%s keeps growing, too: %.2f MiB after %d rounds\n", after, a, rounds }')
    status=1
    [[ $verdict != *"and more with each" ]] || status=0
}

print_who() { # SIDE IMPL
    printf '\nallocated what %s keeps\n' "$2"
    flat_values inuse_space B "$work/$1.heap" | awk '
        $1 == "flat" && $2 == "flat%" { rows = 1; next }
        rows && $1 + 0 >= 10486 && n < 3 { printf "  %12.2f MiB  %s\n", $1 / 1048576, $6; n++ }
        END { if (!n) print "  nothing to speak of" }'
}

[[ $# == 1 && ($1 == slice || $1 == cache) ]] || misuse "usage: scripts/compare_held.sh slice|cache"
set_lab "$1"
require_bench
[[ -x $BIN/grow_hot ]] || fail "$BIN/grow_hot is not there; run: make"
make_work
measure before "$before"
measure after "$after"
print_growth >"$work/report.txt"
cat "$work/report.txt"
for side in before after; do
    print_who $side "${!side}"
done | tee -a "$work/report.txt"
echo
echo "and in time:"
scripts/compare.sh --table "$lab" | tee -a "$work/report.txt" || fail "the table of times could not be made"
judge
colour=$yellow
((status)) || colour=$green
printf '\n%s%s%s%s\n' "$bold" "$colour" "$verdict" "$reset"
printf '\n%s\n' "$verdict" >>"$work/report.txt"

at=$(stamp)
keep "$work/report.txt" "$PROFILES/bench/${lab}_${at}_report.txt"
printf '\nkept: %s\n' "$PROFILES/bench/${lab}_${at}_report.txt"
for side in before after; do
    keep "$work/$side.heap" "$PROFILES/heap/${lab}_${side}_$at.pb.gz"
    echo "      $PROFILES/heap/${lab}_${side}_$at.pb.gz"
done
exit $status
