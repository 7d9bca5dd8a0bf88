#!/bin/bash
# One page of a class: who is where, how much faster each one's fix was, on which machines, and which of those are noisy.
# `make class-report DIR=folder` calls this.
#
#   scripts/class-report.sh DIR      a folder of files from make export, or of folders with one each
#
# Goes to DIR/class.html. A file that is none of ours is named on the page and left out, as is one that is there twice. Of
# learners with the same name, the files are named.
#
# Environment: LANG_ (en).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/class/lib.sh
. scripts/class/lib.sh
# shellcheck source=scripts/class/html.sh
. scripts/class/html.sh

noisy_percent=10 # above it a machine proves only large differences

# Everything read: of[LEARNER KEY], learners numbered from 1; names and problems beside it.
declare -A of=() file_of=() named=()
learners=0
problems=()
read_export() { # FILE
    local key value head sum file=${1#"$folder/"}
    IFS= read -r head <"$1" || true
    if [[ $head != $'c-prof-labs export\t1' ]]; then
        problems+=("$file: $(t class_no_export)")
        return
    fi
    if [[ $(tail -n 1 "$1" | tr -d '\0\r') != end ]]; then
        problems+=("$file: $(t class_cut_off)")
        return
    fi
    sum=$(sha256sum <"$1")
    if [[ ${file_of[$sum]:-} ]]; then
        problems+=("$file: $(t class_same_as "${file_of[$sum]}")")
        return
    fi
    file_of[$sum]=$file
    learners=$((learners + 1))
    of[$learners name]=$file
    of[$learners file]=$file
    while IFS=$'\t' read -r key value; do
        [[ $key =~ ^[a-z0-9_.]{1,60}$ ]] || continue
        of[$learners $key]=${value:0:200}
    done < <(tail -n +2 "$1" | tr -d '\0\r')
}

count() { # NUMBER NOUN
    (($1 == 1)) && echo "1 $2" || echo "$1 $2s"
}

get() { # LEARNER KEY
    printf '%s' "${of[$1 $2]:-}"
}

# The newest step that has the key: environments are recorded with each.
get_any() { # LEARNER KEY
    local step
    for step in 8 7 6 5 4 3 2 1 0; do
        [[ -z ${of[$1 step$step.$2]:-} ]] || { printf '%s' "${of[$1 step$step.$2]}"; return; }
    done
}

# Names as a reader sorts them: learner 2 before learner 10. Sets order, and how many have a name.
order_learners() {
    local i
    for ((i = 1; i <= learners; i++)); do
        : "${of[$i name]:=${of[$i file]}}"
        named[${of[$i name]}]=$((${named[${of[$i name]}]:-0} + 1))
    done
    mapfile -t order < <(for ((i = 1; i <= learners; i++)); do printf '%s\t%s\n' "${of[$i name]}" "$i"; done | sort -fV | cut -f2)
}

# A name as a cell; where several have it, with the file that it is from. Not in (( )), where a name would be evaluated.
who() { # LEARNER
    html "${of[$1 name]}"
    [[ ${named[${of[$1 name]}]} == 1 ]] || printf '<br><span class="dim">%s</span>' "$(html "${of[$1 file]}")"
}

# ---- who is where ----------------------------------------------------------------------------------------
steps_table() {
    local i step state word
    printf '<div class="scroll"><table class="wide"><tr><th>%s' "$(t class_name)"
    for step in $all_steps; do printf '<th>%s' "$step"; done
    printf '<th>%s</tr>\n' "$(t class_made)"
    for i in "${order[@]}"; do
        printf '<tr><td>%s' "$(who "$i")"
        for step in $all_steps; do
            state=$(get "$i" "step$step")
            [[ $state == recorded || $state == "done" ]] || state=open
            word='&nbsp;'
            [[ $state == open ]] || word=$(t "$state")
            printf '<td><span class="tag %s">%s</span>' "$state" "$word"
            [[ -z $(get "$i" "quiz$step") ]] || printf '<br><span class="dim num">%s</span>' "$(html "$(get "$i" "quiz$step")")"
        done
        printf '<td class="dim">%s</tr>\n' "$(html "$(get "$i" made)")"
    done
    printf '</table></div>\n<p class="dim">%s</p>\n' "$(t class_steps_note)"
}

# ---- speedups -----------------------------------------------------------------------------------------------
factor_number() { # "9540" or "1/1.2"
    LC_ALL=C awk -v f="$1" 'BEGIN { n = split(f, p, "/"); v = n == 2 ? (p[2] > 0 ? 1 / p[2] : 0) : f + 0; printf "%.6f", v }'
}

# Three digits that mean something: 13,900x, 1.23x.
factor_text() { # NUMBER
    LC_ALL=C awk -v v="$1" 'BEGIN {
        if (v < 999.5) {
            printf v < 9.995 ? "%.2fx" : v < 99.95 ? "%.1fx" : "%.0fx", v
            exit
        }
        for (unit = 1; v / unit >= 1000; unit *= 10)
            ;
        digits = sprintf("%.0f", int(v / unit + 0.5) * unit)
        for (i = length(digits) - 2; i > 1; i -= 3)
            digits = substr(digits, 1, i - 1) "," substr(digits, i)
        print digits "x"
    }'
}

# The largest factor of a lab: the bars are as long as their share of it.
largest_factor() { # LAB
    local i factor
    for ((i = 1; i <= learners; i++)); do
        factor=$(get "$i" "step5.$1.factor")
        [[ ! $factor =~ ^(1/)?[0-9.]+$ ]] || factor_number "$factor"
        echo
    done | LC_ALL=C awk '$1 + 0 > m + 0 { m = $1 } END { print m + 0 }'
}

bar_of() { # FACTOR LARGEST
    LC_ALL=C awk -v f="$1" -v m="$2" 'BEGIN { printf "%.1f", (m > 0 ? 12 * f / m : 0) }'
}

speedups_table() { # LAB
    local i status factor noise largest
    largest=$(largest_factor "$1")
    printf '<h3>%s</h3>\n<div class="scroll"><table class="wide"><tr><th>%s<th>%s<th class="num">%s<th><th class="num">p<th class="num">%s</tr>\n' \
        "$(t "lab_$1")" "$(t class_name)" "$(t verdict)" "$(t class_factor)" "$(t class_noise)"
    for i in "${order[@]}"; do
        status=$(get "$i" "step5.$1.status")
        [[ $status ]] || continue
        [[ $status == proven || $status == slower ]] || status=open
        factor=$(get "$i" "step5.$1.factor")
        if [[ $factor =~ ^(1/)?[0-9.]+$ ]]; then factor=$(factor_number "$factor"); else factor=''; fi
        noise=$(get "$i" "step5.$1.noise")
        printf '<tr><td>%s<td><span class="tag %s">%s</span><td class="num">%s<td><span class="bar" style="width:%sem"></span><td class="num">%s<td class="num">%s</tr>\n' \
            "$(who "$i")" "$status" "$(t "$([[ $1 == leak ]] && echo leak || echo verdict)_$status")" "${factor:+$(factor_text "$factor")}" "$(bar_of "${factor:-0}" "$largest")" \
            "$(html "$(get "$i" "step5.$1.p")")" "$(html "${noise:+$noise%}")"
    done
    printf '</table></div>\n'
}

# ---- machines --------------------------------------------------------------------------------------------------
# The largest noise that was seen on a machine, in per cent.
noise_of() { # LEARNER
    local lab
    for lab in fib alloc mutex; do get "$1" "step5.$lab.noise"; echo; done | cat - <(get "$1" doctor.noise; echo) |
        LC_ALL=C awk '/^[0-9.]+$/ && $1 + 0 >= m + 0 { m = $1 } END { print m }'
}

is_noisy() { # PERCENT
    [[ $1 ]] && LC_ALL=C awk -v n="$1" -v limit="$noisy_percent" 'BEGIN { exit !(n > limit) }'
}

machines_table() {
    local i noise key
    printf '<div class="scroll"><table class="wide"><tr><th>%s' "$(t class_name)"
    for key in cpu cores virtual kernel compiler commit; do printf '<th>%s' "$(t "$key")"; done
    printf '<th class="num">%s<th>%s</tr>\n' "$(t class_noise)" "$(t doctor)"
    for i in "${order[@]}"; do
        noise=$(noise_of "$i")
        printf '<tr><td>%s' "$(who "$i")"
        for key in cpu cores virtual kernel compiler commit; do printf '<td>%s' "$(html "$(get_any "$i" "$key")")"; done
        if is_noisy "$noise"; then
            printf '<td class="num"><span class="tag warn">%s %s%%</span>' "$(t class_noisy)" "$(html "$noise")"
        else
            printf '<td class="num">%s' "$(html "${noise:+$noise%}")"
        fi
        printf '<td>%s%s</tr>\n' "$([[ -z $(get "$i" doctor.fail) ]] || printf '<span class="tag fail">%s</span> ' "$(html "$(get "$i" doctor.fail)")")" \
            "$(html "$(get "$i" doctor.warn)")"
    done
    printf '</table></div>\n<p class="dim">%s</p>\n' "$(t class_noise_note "$noisy_percent")"
}

has_lab() { # LAB
    local i
    for ((i = 1; i <= learners; i++)); do [[ -z $(get "$i" "step5.$1.status") ]] || return 0; done
    return 1
}

[[ $# == 1 && $1 ]] || misuse "usage: make class-report DIR=folder, of files from make export"
[[ -d $1 ]] || fail "no folder $1; expected one with files from make export"
load_words "${LANG_:-en}"
folder=${1%/}
for file in "$folder"/* "$folder"/*/export-*.tsv; do
    [[ -f $file && $file != "$folder/class.html" ]] && read_export "$file"
done
((learners)) || fail "no export in $1; the learners run: make export NAME=..."
order_learners
work=$(mktemp -d "$1/.work.XXXXXX" 2>/dev/null) || fail "cannot write to $1"
trap finish EXIT
{
    page_head "$(t class_title)"
    printf '<p class="dim">%s</p>\n' "$(t class_of "$learners" "$(date -u '+%Y-%m-%d %H:%M UTC')")"
    for problem in "${problems[@]}"; do printf '<p class="verdict">%s</p>\n' "$(html "$problem")"; done
    printf '<h2>%s</h2>\n' "$(t class_where)"
    steps_table
    printf '<h2>%s</h2>\n' "$(t class_speedups)"
    measured=0
    for lab in fib alloc mutex leak; do
        ! has_lab $lab || { measured=1 && speedups_table $lab; }
    done
    ((measured)) || printf '<p class="dim">%s</p>\n' "$(t class_no_speedups)"
    printf '<h2>%s</h2>\n' "$(t class_machines)"
    machines_table
    page_foot
} >"$work/class.html"
keep "$work/class.html" "$folder/class.html"
say "the class's page is $folder/class.html: $(count "$learners" export)${problems[*]:+, $(count ${#problems[@]} file) left out}"
