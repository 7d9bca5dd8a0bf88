#!/bin/bash
# Threads left over: the leaky variant and the fixed one, by count and by stack. `make compare-leak` calls this.
#
# A leak costs no time, so no time is compared, but how many threads the kernel counts after 10, 20 and 30 operations: a
# leak grows with the work, and that is what makes it one. Then where those threads stand. Exit: 0 the fixed variant
# ends with as many threads as it started with and the leaky one does not, 1 otherwise.
#
# Environment: BEFORE and AFTER (variants).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# Sets left: threads more than there were. Where they stand goes to $work/SIDE.threads.
measure() { # SIDE IMPL OPERATIONS
    local line
    line=$("$BIN/leak_hot" -impl="$2" -ops="$3" ${stacks:+-threadprofile="$work/$1.threads"} 2>"$work/err") ||
        refused $? "$(tail -n 1 "$work/err")"
    [[ $line =~ before=([0-9]+)\ after=([0-9]+) ]] || fail "leak_hot said '$line'"
    left=$((BASH_REMATCH[2] - BASH_REMATCH[1]))
}

# Prints the stacks of one side, most threads first: from the call that waits outwards, without how the C library waits and
# starts threads, and without the main thread, which is busy writing the profile.
print_stacks() { # SIDE IMPL
    printf '\nwhere the threads of %s stand after %s operations\n' "$2" "${steps[-1]}"
    scripts/pprof -traces "$work/$1.threads" 2>/dev/null | awk '
        function flush(   i, line, shown) {
            for (i = 1; i <= n && shown < 6; i++) {
                if (stack[i] == "prof_write")
                    shown = 99
                if (shown == 0 && stack[i] ~ /^(_|prof_|futex)|\(inline\)$/ || stack[i] ~ /^(__|_start$|start_thread$)/)
                    continue
                line = line (shown++ ? " < " : "") stack[i]
            }
            if (shown > 0 && shown < 99) {
                printf "  %5d  %s\n", count, line
                any = 1
            }
            n = 0
        }
        /^-+\+-+$/ { flush(); next }
        /^ *[0-9]+ +[^ ]/ && !n { count = $1; sub(/^ *[0-9]+ +/, ""); stack[++n] = $0; next }
        n { sub(/^ +/, ""); if ($0 != "") stack[++n] = $0 }
        END { flush(); if (!any) print "   none left but the main thread" }' | sort -rn
}

# A leak: more threads with every step. Cured: none, however much was done.
grows() { # COUNT...
    local last=0 n
    for n; do
        ((n > last)) || return 1
        last=$n
    done
}

judge() {
    status=1
    if ((after_left[0] == 0 && after_left[1] == 0 && after_left[2] == 0)) && grows "${before_left[@]}"; then
        verdict="$after leaves no thread behind; $before leaves ${before_left[-1]} after ${steps[-1]} operations, and more with each"
        status=0
    elif ! grows "${before_left[@]}"; then
        verdict="inconclusive: $before does not leak here, so there is nothing to cure"
    else
        verdict="$after leaks too: ${after_left[-1]} threads after ${steps[-1]} operations"
    fi
}

set_lab leak
[[ -x $BIN/leak_hot ]] || fail "$BIN/leak_hot is not there; run: make"
make_work
steps=(10 20 30)
before_left=() after_left=()
stacks=1
"$BIN/leak_hot" -ops=0 -threadprofile="$work/none" >/dev/null 2>&1 || stacks=''
{
    echo "compare leak: $before (before) and $after (after), threads left over"
    printf '\n  %12s  %12s  %12s\n' operations "$before" "$after"
    for n in "${steps[@]}"; do
        measure before "$before" "$n"
        before_left+=("$left")
        measure after "$after" "$n"
        after_left+=("$left")
        printf '  %12d  %12d  %12d\n' "$n" "${before_left[-1]}" "${after_left[-1]}"
    done
} >"$work/report.txt"
cat "$work/report.txt"
judge
colour=$yellow
((status)) || colour=$green
printf '\n%s%s%s%s\n' "$bold" "$colour" "$verdict" "$reset"
printf '\n%s\n' "$verdict" >>"$work/report.txt"
if [[ $stacks ]]; then
    for side in before after; do
        print_stacks $side "${!side}"
    done | tee -a "$work/report.txt"
fi

at=$(stamp)
keep "$work/report.txt" "$PROFILES/bench/leak_${at}_report.txt"
printf '\nkept: %s\n' "$PROFILES/bench/leak_${at}_report.txt"
for side in before after; do
    [[ -e $work/$side.threads ]] || continue
    keep "$work/$side.threads" "$PROFILES/threads/leak_${side}_$at.pb.gz"
    echo "      $PROFILES/threads/leak_${side}_$at.pb.gz"
done
exit $status
