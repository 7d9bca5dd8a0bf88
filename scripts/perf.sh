#!/bin/bash
# What profiling costs, against the bars that are set for it. `make perf` calls this.
#
#   scripts/perf.sh PROGRAMS [NAME]       PROGRAMS: the folder with what bench/perf/*.c was built to
#
# Every measurement is a program of that folder or an executable scripts/perf/*.sh, and prints lines of four columns,
# two or more spaces or tabs apart: name, what was measured, the bar, ok or MISSED; three where there is nothing to compare
# with. Each takes the medians of runs in turns itself. They run one after another, for they measure the same two cores.
# Exit: 1 when a bar was missed.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

(($# >= 1)) || misuse "usage: scripts/perf.sh PROGRAMS [NAME]"
measurements=()
names=''
for file in "$1"/* scripts/perf/*.sh; do
    [[ -f $file && -x $file ]] || continue
    names+=" $(basename "$file" .sh)"
    if [[ -z ${2:-} || $(basename "$file" .sh) == "$2" ]]; then
        measurements+=("$file")
    fi
done
((${#measurements[@]})) || misuse "no measurement '${2:-}'; there are:$names"

missed=0
total=0
told=0 # figures that there is no bar for here
read -r load _ </proc/loadavg
if awk -v load="$load" -v cores="$(nproc)" 'BEGIN { exit load < cores / 2 }'; then
    echo "this machine is busy (load $load on $(nproc) cores): expect figures to be worse than they are"
fi
printf '%s%-44s %-22s %-22s %s%s\n' "$bold" name measured bar result "$reset"
for file in "${measurements[@]}"; do
    progress "measuring $(basename "$file" .sh)"
    status=0
    output=$("$file") || status=$?
    clear_progress
    while IFS=$'\t' read -r name measured bar result; do
        [[ $name ]] || continue
        if [[ $result != ok && $result != MISSED ]]; then
            printf '%-44s %-22s %s\n' "$name" "$measured" "$bar"
            told=$((told + 1))
            continue
        fi
        total=$((total + 1))
        colour=$green
        [[ $result == ok ]] || { missed=$((missed + 1)); colour=$yellow; }
        printf '%-44s %-22s %-22s %s%s%s\n' "$name" "$measured" "$bar" "$colour" "$result" "$reset"
    done < <(sed -E 's/(\t|  +)/\t/g' <<<"$output")
    if ((status != 0)) && [[ $output != *MISSED* ]]; then
        echo "$(basename "$file"): failed, exit status $status"
        missed=$((missed + 1))
    fi
done
echo "$total measured, $missed missed$( ((told == 0)) || echo ", $told without a bar")"
((missed == 0 && total + told > 0))
