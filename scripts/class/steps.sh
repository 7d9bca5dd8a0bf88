# shellcheck shell=bash disable=SC2154 # shares its variables with lib.sh and with those who source it
# What is recorded of each step, from the newest captures. Sourced by record.sh.
#
# gather_N fills a folder: `parts` says in which order what comes (a line each, tabs between the fields; see the renderers
# markdown.sh and html.sh), beside it the pictures and tables that it names. Nothing in it depends on the language: what is
# text is a key of words.LANG. Returns 1 when the step has no capture yet; needs_N names the target that makes one.

# shellcheck disable=SC2034 # by name
{
needs_0=doctor needs_1=bench-cpu needs_2=run-mem needs_3=record-server needs_4=trace-mutex needs_5='compare-fib compare-alloc compare-mutex compare-leak'
needs_6=record-server needs_7='compare-gc compare-malloc' needs_8=record-collect
}

part() { # FIELD...
    local IFS=$'\t'
    printf '%s\n' "$*" >>"$out/parts"
}

# What bin/top says of a profile: sets total, count, counted, taken, duration_ns; the table goes to the file.
declare -A said=()
read_top() { # FILE INDEX TABLE [FLAG...]
    local file=$1 index=$2 table=$3 key value
    shift 3
    "$BIN/top" -tsv -n 5 -sample_index="$index" "$@" "$file" >"$work/top" 2>"$work/err" || fail "$(tail -n 1 "$work/err")"
    while IFS=$'\t' read -r key value; do said[$key]=$value; done < <(sed -n 's/^#//p' "$work/top")
    grep -v '^#' "$work/top" >"$table" || true
}

utc() { # SECONDS
    date -u -d "@$1" '+%Y-%m-%d %H:%M UTC'
}

# The harness' own frames say nothing of the labs: its profiles are drawn from where the lab begins.
from_flags() { # FILE
    if "$BIN/top" -tsv -n 0 "$1" | cut -f3 | grep -qx bench_run; then echo -from=call; fi
}

draw() { # NAME FLAG... PROFILE
    local name=$1
    shift
    "$BIN/flame" -fold -o "$out/$name.svg" "$@" 2>"$work/err" || fail "$(tail -n 1 "$work/err")"
}

# One profile: what it is of, its five largest functions, its flame graph.
add_profile() { # NAME FILE INDEX [FLAG...]: NAME is a key of words, too
    local name=$1 file=$2 index=$3 from
    shift 3
    read_top "$file" "$index" "$out/$name.top" "$@"
    part head "$name"
    part row captured "$(utc "${said[time]}")"
    part row total "${said[text]}"
    [[ ${said[counted]} == "${said[type]}" ]] || part row "${said[counted]}" "${said[count]}"
    if ((said[duration] > 0)); then
        part row duration "$(awk -v ns="${said[duration]}" 'BEGIN { printf "%.2f s", ns / 1e9 }')"
        [[ $index != cpu ]] || part row cores_at_work "$(awk -v a="${said[total]}" -v b="${said[duration]}" 'BEGIN { printf "%.2f", a / b }')"
    fi
    part row file "\`$file\`"
    part top "$name.top"
    mapfile -t from < <(from_flags "$file")
    draw "$name" "${from[@]}" "$@" -sample_index="$index" -title "$(basename "$file")" "$file"
    part figure "$name.svg" "flame_$index" "$file"
    part data "$name.total" "${said[text]}"
    part data "$name.first" "$(head -n 1 "$out/$name.top" | cut -f3)"
}

# ---- the steps ---------------------------------------------------------------------------------------------
gather_0() {
    local report=$PROFILES/doctor/doctor.tsv
    [[ -s $report ]] || return 1
    part head doctor
    part row captured "$(utc "$(stat -c %Y "$report")")"
    cp "$report" "$out/checks"
    part checks checks
}

gather_1() {
    [[ -s ${CPU_PROFILE:=$PROFILES/cpu/cpu.pprof} ]] || return 1
    add_profile cpu_profile "$CPU_PROFILE" cpu
}

gather_2() {
    [[ -s ${HEAP_PROFILE:=$PROFILES/heap/heap.pprof} ]] || return 1
    add_profile heap_allocated "$HEAP_PROFILE" alloc_space
    add_profile heap_in_use "$HEAP_PROFILE" inuse_space
}

gather_3() {
    local block mutex threads
    block=$(newest "$PROFILES"/block/block_[0-9]*.pb.gz)
    mutex=$(newest "$PROFILES"/mutex/mutex_[0-9]*.pb.gz)
    threads=$(newest "$PROFILES"/goroutine/goroutine_[0-9]*.pb.gz)
    [[ $block || $mutex ]] || return 1
    # The waiting is done in pthread_mutex_lock, always; the question is who called it.
    [[ -z $block ]] || add_profile block_profile "$block" delay -hide=pthread_
    [[ -z $mutex ]] || add_profile mutex_profile "$mutex" delay -hide=pthread_
    [[ -z $threads ]] || add_profile thread_profile "$threads" goroutine
}

# The traces worth keeping: the lock lab slow and fixed, the server; the newest when there is none of these.
traces() {
    local found=() file
    for file in "$PROFILES/trace/mutex_single.trace" "$(newest "$PROFILES"/trace/mutex_[!s]*.trace "$PROFILES"/trace/mutex_sh*.trace)" \
        "$(newest "$PROFILES"/trace/server_*.trace)"; do
        [[ ! -s $file ]] || found+=("$file")
    done
    ((${#found[@]})) || found=("$(newest "$PROFILES"/trace/*.trace)")
    printf '%s\n' "${found[@]}"
}

gather_4() {
    local file any=1
    while read -r file; do
        [[ $file ]] || continue
        any=0
        add_trace "$file" "$(basename "$file" .trace | tr -c 'A-Za-z0-9\n' -)"
    done < <(traces)
    return $any
}

# A trace: who did what, where threads waited for one another, and the timeline.
add_trace() { # FILE NAME
    local file=$1 name=$2
    "$BIN/trace" -summary "$file" >"$work/summary" 2>"$work/err" || fail "$(tail -n 1 "$work/err")"
    part head trace "$(basename "$file")"
    part row captured "$(utc "$(stat -c %Y "$file")")"
    part row file "\`$file\`"
    # The head, and the tables that fit a page.
    tail -n +2 "$work/summary" | awk -v RS= 'NR == 1 || /^(Threads by start function|Parallelism|Locks|Tasks|Regions)/ { print $0 "\n" }' |
        sed '$d' | cut -c1-150 >"$out/$name.txt"
    part pre "$name.txt"
    "$BIN/trace" -export=svg -o "$out/$name.svg" "$file" 2>"$work/err" || fail "$(tail -n 1 "$work/err")"
    part figure "$name.svg" timeline "$file"
    if "$BIN/trace" -pprof=sync -o "$work/sync" "$file" 2>/dev/null; then
        draw "$name-waits" -title "$(basename "$file")" -subtitle "bin/trace -pprof=sync" "$work/sync"
        part figure "$name-waits.svg" flame_waits "$file"
    fi
}

gather_5() {
    local lab any=1
    for lab in fib alloc mutex leak; do
        gather_lab "$lab" && any=0
    done
    return $any
}

# The newest capture of 4 s or more; the short windows of step 8 are not meant. Else the newest.
longest() { # PATTERN...
    local file best=''
    for file in "$@"; do
        [[ -s $file && (-z $best || $file -nt $best) ]] || continue
        "$BIN/top" -tsv -n 1 "$file" 2>/dev/null | awk '$1 == "#duration" { exit !($2 >= 4e9) }' && best=$file
    done
    echo "${best:-$(newest "$@")}"
}

# The guide's own capture; else, as the task of VS Code makes it, the longest of the server's.
gather_6() {
    local cpu=$PROFILES/cpu/incident.pb.gz heap
    [[ -s $cpu ]] || cpu=$(longest "$PROFILES"/cpu/cpu_[0-9]*.pb.gz)
    heap=$(newest "$PROFILES"/heap/heap_[0-9]*.pb.gz)
    [[ $cpu ]] || return 1
    add_profile server_cpu "$cpu" cpu
    [[ -z $heap ]] || add_profile server_heap "$heap" alloc_space
}

# The collector's knobs and the allocators', each compared with itself.
gather_7() {
    local gc malloc picture any=1
    gc=$(newest "$PROFILES"/gc/compare_*.txt)
    malloc=$(newest "$PROFILES"/bench/malloc_*_report.txt)
    if [[ $gc ]]; then
        any=0
        part head gc
        part row captured "$(utc "$(stat -c %Y "$gc")")"
        part row file "\`$gc\`"
        cp "$gc" "$out/gc.txt"
        part pre gc.txt
        picture=${gc%/*}/heap_${gc##*/compare_}
        picture=${picture%.txt}.svg
        if [[ -s $picture ]]; then
            cp "$picture" "$out/gc-heap.svg"
            part figure gc-heap.svg heap_over_time
        fi
    fi
    if [[ $malloc ]]; then
        any=0
        part head malloc
        part row captured "$(utc "$(stat -c %Y "$malloc")")"
        part row file "\`$malloc\`"
        cp "$malloc" "$out/malloc.txt"
        part pre malloc.txt
    fi
    return $any
}

# Rounds of collect: how many of each kind and over which time, and what changed: from yesterday to today if the learner kept
# these two, as the guide says, else from the first CPU profile to the last.
gather_8() {
    local kind files first last yesterday=$PROFILES/cpu/yesterday.pb.gz today=$PROFILES/cpu/today.pb.gz
    files=("$PROFILES"/cpu/cpu_[0-9]*.pb.gz)
    [[ -s $yesterday && -s $today ]] || ((${#files[@]} >= 2)) || return 1
    part head collected
    for kind in cpu heap allocs block mutex goroutine; do
        files=("$PROFILES/$kind/${kind}"_[0-9]*.pb.gz)
        [[ -s ${files[0]} ]] || continue
        first=$(basename "${files[0]}" .pb.gz)
        last=$(basename "${files[-1]}" .pb.gz)
        part row "kind_$kind" "${#files[@]}: ${first#*_} … ${last#*_}"
    done
    if [[ -s $yesterday && -s $today ]]; then
        draw change -base "$yesterday" -base_name yesterday -name today -title CPU "$today"
        part figure change.svg yesterday_today
    else
        files=("$PROFILES"/cpu/cpu_[0-9]*.pb.gz)
        draw change -base "${files[0]}" -base_name first -name last -title CPU "${files[-1]}"
        part figure change.svg first_last
    fi
}

# ---- step 5: a lab, before and after -------------------------------------------------------------------------
# The sentence of a report that decides.
verdict_of() { # REPORT
    grep -E 'n=[0-9]+\+[0-9]+\)|; n=[0-9]+\+[0-9]+|^inconclusive|leaves no thread|^[a-z]+ leaks too' "$1" | head -n 1
}

# Operations that a profile covers: its total by what the report says one operation took.
operations_of() { # PROFILE INDEX COLUMN REPORT
    local total heading='CPU time'
    [[ $2 == cpu ]] || heading='Memory allocated'
    total=$("$BIN/top" -tsv -n 1 -sample_index="$2" "$1" | sed -n 's/^#total\t//p')
    LC_ALL=C awk -v heading="$heading" -v column="$3" -v total="$total" '
        BEGIN {
            scale["ns"] = scale["B"] = 1; scale["µs"] = 1e3; scale["ms"] = 1e6; scale["s"] = 1e9
            scale["KiB"] = 1024; scale["MiB"] = 1024 * 1024; scale["GiB"] = 1024 * 1024 * 1024
        }
        / per operation, by function/ { mine = index($0, heading) == 1 }
        mine && $1 == "(all)" {
            value = (column == 1 ? $2 : $5) * scale[column == 1 ? $3 : $6]
            if (value > 0)
                printf "%.6g\n", total / value
            exit
        }' "$4"
}

# Numbers for a class: what a sentence says, in fields.
add_numbers() { # LAB VERDICT STATUS
    part data "$1.status" "$3"
    [[ ! $2 =~ ([0-9.,]+)x\ (faster|slower) ]] || part data "$1.factor" "$([[ ${BASH_REMATCH[2]} == faster ]] || echo 1/)${BASH_REMATCH[1]//,/}"
    [[ ! $2 =~ noise\ floor\ ([0-9.]+)% ]] || part data "$1.noise" "${BASH_REMATCH[1]}"
    [[ ! $2 =~ p=([0-9.]+) ]] || part data "$1.p" "${BASH_REMATCH[1]}"
}

# The three pictures of a comparison: before, after, and what changed, the last one per operation and with the two variants
# as one function.
add_comparison() { # LAB NAME INDEX BEFORE_PROFILE AFTER_PROFILE REPORT
    local name=$2 index=$3 from=() before_ops after_ops
    local -A function=([fib]=fib_%s [alloc]=alloc_%s [mutex]=mutex_%s_worker)
    before_ops=$(operations_of "$4" "$index" 1 "$6")
    after_ops=$(operations_of "$5" "$index" 2 "$6")
    mapfile -t from < <(from_flags "$4")
    from+=(-sample_index="$index")
    draw "$name-before" -title "$lab_before" -subtitle "make compare-$1" "${from[@]}" "$4"
    draw "$name-after" -title "$lab_after" -subtitle "make compare-$1" "${from[@]}" "$5"
    part figure "$name-before.svg" "flame_$index" "$4"
    part figure "$name-after.svg" "flame_$index" "$5"
    [[ $before_ops && $after_ops ]] || return 0
    draw "$name-change" "${from[@]}" -pair "${function[$1]/\%s/$lab_before}=${function[$1]/\%s/$lab_after}" -base "$4" \
        -base_ops "$before_ops" -ops "$after_ops" -base_name "$lab_before" -name "$lab_after" -title "$lab_before → $lab_after" "$5"
    part figure "$name-change.svg" flame_change
}

# Of the lab about memory, the memory as well.
add_comparisons() { # LAB STAMP REPORT
    local cpu=$PROFILES/cpu/${1}_%s_$2.pb.gz heap=$PROFILES/heap/${1}_%s_$2.pb.gz
    [[ ! -s ${cpu/\%s/before} || ! -s ${cpu/\%s/after} ]] ||
        add_comparison "$1" "$1" cpu "${cpu/\%s/before}" "${cpu/\%s/after}" "$3"
    [[ $1 != alloc || ! -s ${heap/\%s/before} || ! -s ${heap/\%s/after} ]] ||
        add_comparison "$1" "$1-memory" alloc_space "${heap/\%s/before}" "${heap/\%s/after}" "$3"
}

gather_lab() { # LAB
    local lab=$1 report at results status=open verdict kind
    report=$(newest "$PROFILES/bench/${lab}"_*_report.txt)
    [[ $report ]] || return 1
    at=${report##*/"${lab}"_}
    at=${at%_report.txt}
    results=$PROFILES/bench/${lab}_$at.txt
    verdict=$(verdict_of "$report")
    [[ ! $verdict =~ faster\ than|leaves\ no\ thread ]] || status=proven
    [[ ! $verdict =~ slower\ than ]] || status=slower
    part head "lab_$lab"
    part verdict "$status" "$verdict"
    part row captured "$(utc "$(stat -c %Y "$report")")"
    add_numbers "$lab" "$verdict" "$status"
    if [[ $lab == leak ]]; then
        part row file "\`$report\`"
        sed -n '/operations/,/^$/p' "$report" | grep -vFx -e "$verdict" -e '' >"$out/$lab.txt"
        part pre "$lab.txt"
        return 0
    fi
    [[ $verdict =~ than\ ([a-z_0-9]+) ]] && lab_before=${BASH_REMATCH[1]} || lab_before=$(variants_of "$results" 1)
    lab_after=$(variants_of "$results" 2)
    part row file "\`$results\`"
    for kind in cpu heap block mutex; do
        [[ ! -s $PROFILES/$kind/${lab}_after_$at.pb.gz ]] ||
            part row "${kind}_files" "\`$PROFILES/$kind/${lab}_before_$at.pb.gz\`, \`…after_$at.pb.gz\`"
    done
    "$BIN/benchstat" -col /impl "$results" 2>"$work/err" | grep -vE '^(goos|goarch|pkg|cpu): ' >"$out/$lab.table" || fail "$(tail -n 1 "$work/err")"
    part pre "$lab.table"
    if LC_ALL=C awk -f scripts/class/plot.awk -v title="$lab: $lab_before, $lab_after" -v before="$lab_before" -v after="$lab_after" \
        -v words_log=logarithmic "$results" >"$out/$lab-runs.svg"; then
        part figure "$lab-runs.svg" runs
    fi
    sed -n '/per operation, by function/,$p' "$report" >"$out/$lab.functions"
    [[ ! -s $out/$lab.functions ]] || part pre "$lab.functions"
    add_comparisons "$lab" "$at" "$report"
}

# The Nth variant that a file of results has.
variants_of() { # FILE N
    sed -nE 's/^Benchmark[^ \t]*\/impl=([a-z_0-9]+).*/\1/p' "$1" | awk -v n="$2" '!seen[$0]++ && ++k == n { print; exit }'
}
