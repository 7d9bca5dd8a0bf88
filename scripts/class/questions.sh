# shellcheck shell=bash disable=SC2034,SC2154 # shares its variables with lib.sh and quiz.sh
# The questions of each step. Sourced by quiz.sh. The answers are read from the learner's profiles when they are asked for, so
# nobody can know them by heart. Where two functions are nearer to each other than the luck of sampling tells apart, both are right.

# Rows of bin/top: flat, cum, name.
rows() { # FILE FLAG...
    local file=$1
    shift
    "$BIN/top" -tsv -n 0 "$@" "$file" 2>"$work/err" || fail "$(tail -n 1 "$work/err")"
}

total_of() { # KEY < rows
    sed -n "s/^#$1\t//p"
}

# The names whose value in that column is within 10 % of the largest.
largest() { # COLUMN < rows
    grep -v '^#' | sort -t$'\t' -k"$1,$1gr" | awk -F'\t' -v c="$1" 'NR == 1 { most = $c } $c > 0 && $c >= 0.9 * most { print $3 }'
}

percent() { # PART WHOLE
    LC_ALL=C awk -v p="$1" -v w="$2" 'BEGIN { printf "%.1f", (w > 0 ? 100 * p / w : 0) }'
}

value_of() { # COLUMN NAME < rows
    awk -F'\t' -v c="$1" -v n="$2" '$3 == n { print $c; exit }'
}

# "Which function ... itself?", "who calls it?", "what share?": asked of any profile.
ask_largest() { # QUESTION_KEY FILE FLAG...
    local key=$1 file=$2
    shift 2
    rows "$file" "$@" >"$work/rows"
    accepted=$(largest 1 <"$work/rows")
    [[ $accepted ]] || fail "$file has no samples; capture it again while the program is at work"
    first=$(head -n 1 <<<"$accepted")
    ask answers_name "$(t "$key" "$file")" "$(t hint_flat)" "$first" "bin/top ${*:+$* }$file"
}

ask_share() { # QUESTION_KEY FILE FLAG...: of $first
    local key=$1 file=$2
    shift 2
    expected=$(percent "$(value_of 1 "$first" <"$work/rows")" "$(total_of total <"$work/rows")")
    tolerance=3
    ask answers_number "$(t "$key" "$first")" "$(t hint_share)" "$expected%" "bin/top ${*:+$* }$file"
}

ask_caller() { # FILE FLAG...: of $first
    local file=$1
    shift
    accepted=$(rows "$file" "$@" -callers "$first" | grep -v '^#' | cut -f3 | grep -vxF -- "$first")
    [[ $accepted ]] || return 0
    ask answers_name "$(t q_caller "$first")" "$(t hint_caller)" "$(paste -sd' ' <<<"$accepted")" "bin/top ${*:+$* }-callers $first $file"
}

questions_1() {
    local file=${CPU_PROFILE:-$PROFILES/cpu/cpu.pprof} duration
    [[ -s $file ]] || return 0
    ask_largest q_cpu_flat "$file"
    ask_caller "$file"
    ask_share q_cpu_share "$file"
    duration=$(total_of duration <"$work/rows")
    ((duration > 0)) || return 0
    expected=$(LC_ALL=C awk -v a="$(total_of total <"$work/rows")" -v b="$duration" 'BEGIN { printf "%.2f", a / b }')
    tolerance=0.15
    ask answers_number "$(t q_cores)" "$(t hint_cores)" "$expected" "bin/top $file"
}

questions_2() {
    local file=${HEAP_PROFILE:-$PROFILES/heap/heap.pprof} allocated objects
    [[ -s $file ]] || return 0
    ask_largest q_heap_flat "$file" -sample_index=alloc_space
    ask_caller "$file" -sample_index=alloc_space
    allocated=$(total_of total <"$work/rows")
    objects=$(total_of count <"$work/rows")
    expected=$(percent "$(rows "$file" -sample_index=inuse_space | total_of total)" "$allocated")
    tolerance=5
    ask answers_number "$(t q_heap_kept)" "$(t hint_heap_kept)" "$expected%" "bin/top -sample_index=inuse_space $file"
    expected=$((objects > 0 ? allocated / objects : 0))
    tolerance=$((expected / 5))
    ask answers_number "$(t q_heap_size)" "$(t hint_heap_size)" "$expected" "bin/top -sample_index=alloc_space $file"
}

questions_3() {
    local block mutex
    block=$(newest "$PROFILES"/block/block_[0-9]*.pb.gz)
    mutex=$(newest "$PROFILES"/mutex/mutex_[0-9]*.pb.gz)
    if [[ $block ]]; then
        ask_largest q_block "$block" -hide=pthread_
        ask_share q_block_share "$block" -hide=pthread_
    fi
    [[ -z $mutex ]] || ask_largest q_mutex "$mutex" -hide=pthread_
}

questions_4() {
    local file
    file=$PROFILES/trace/mutex_single.trace
    [[ -s $file ]] || file=$(newest "$PROFILES"/trace/*.trace)
    [[ $file ]] || return 0
    "$BIN/trace" -summary "$file" >"$work/summary" 2>"$work/err" || fail "$(tail -n 1 "$work/err")"
    expected=$(awk '$1 == "threads" { print $2; exit }' "$work/summary")
    tolerance=0
    ask answers_number "$(t q_threads "$file")" "$(t hint_summary)" "$expected" "bin/trace -summary $file"
    # The table is sorted by the time that the threads ran.
    accepted=$(awk '/^Threads by start function/ { mine = NR + 2 } NR == mine { print $1; exit }' "$work/summary")
    [[ -z $accepted || $accepted == '(not' ]] || ask answers_name "$(t q_ran)" "$(t hint_ran)" "$accepted" "bin/trace -summary $file"
    "$BIN/trace" -pprof=sync -o "$work/sync" "$file" 2>/dev/null || return 0
    accepted=$(rows "$work/sync" -hide=pthread_ | largest 1)
    [[ -z $accepted ]] || ask answers_name "$(t q_waited)" "$(t hint_waited)" "$(head -n 1 <<<"$accepted")" \
        "bin/trace -pprof=sync -o sync.pprof $file && bin/top -hide=pthread_ sync.pprof"
}

# The collector's comparison: a table whose rows are settings.
questions_7() {
    local file
    file=$(newest "$PROFILES"/gc/compare_*.txt)
    [[ $file ]] || return 0
    tolerance=0
    expected=$(awk '$1 == "GOGC=50" { print $2; exit }' "$file")
    ask answers_number "$(t q_collections 50)" "$(t hint_collections)" "$expected" "cat $file"
    expected=$(awk '$1 == "GOGC=200" { print $2; exit }' "$file")
    ask answers_number "$(t q_collections 200)" "$(t hint_gogc)" "$expected" "cat $file"
    # All rows: the memory in MiB is the last but one word.
    accepted=$(awk '$NF == "MiB" { name = $1; if ($2 == "limit") name = $1 " " $2 " " $3; print $(NF - 1) "\t" name }' "$file" |
        sort -gr | awk -F'\t' 'NR == 1 { most = $1 } $1 >= 0.97 * most { sub(/,/, "", $2); print $2 }')
    [[ -z $accepted ]] || ask answers_name "$(t q_most_memory)" "$(t hint_most_memory)" "$(head -n 1 <<<"$accepted")" "cat $file"
}

# The newest comparison of a lab: what its report says.
questions_5() {
    local report lab verdict
    report=$(newest "$PROFILES"/bench/{fib,alloc,mutex}_*_report.txt)
    [[ $report ]] || return 0
    lab=${report##*/}
    lab=${lab%%_*}
    verdict=$(grep -E 'n=[0-9]+\+[0-9]+' "$report" | head -n 1)
    if [[ $verdict =~ ([0-9.,]+)x\ faster ]]; then
        expected=${BASH_REMATCH[1]//,/}
        tolerance=$(LC_ALL=C awk -v e="$expected" 'BEGIN { print e / 10 }')
        ask answers_number "$(t q_factor "$lab")" "$(t hint_factor)" "$expected" "cat $report"
    fi
    if [[ $verdict =~ noise\ floor\ ([0-9.]+)% ]]; then
        expected=${BASH_REMATCH[1]}
        tolerance=1
        ask answers_number "$(t q_noise)" "$(t hint_noise)" "$expected%" "cat $report"
    fi
    accepted=$(sed -nE 's/^([A-Za-z_0-9]+) fell from .*/\1/p' "$report" | grep -v '^Waiting$' | sort -u)
    [[ -z $accepted ]] || ask answers_name "$(t q_fell)" "$(t hint_fell)" "$(paste -sd' ' <<<"$accepted")" "cat $report"
}
