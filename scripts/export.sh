#!/bin/bash
# One file with a learner's results, to hand in: `make export NAME=ada` calls this.
#
#   scripts/export.sh
#
# Lines of text with tabs: what was recorded of each step, on which machine, the quizzes. No host name, no path, no profile: look
# into it before handing it in. class-report.sh reads it. Goes to profiles/report/export-NAME.tsv.
#
# Environment: NAME (git's user.name, else $USER; a WSL sets it to the machine's name, which is none of a learner's), PROFILES.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/class/lib.sh
. scripts/class/lib.sh

(($# == 0)) || misuse "unexpected argument '$1'; it takes none"
# shellcheck disable=SC2031 # of the environment
name=${NAME:-}
host=$(uname -n)
[[ ${name,,} != "${host,,}" ]] || name=''
name=${name:-$(git config user.name 2>/dev/null || true)}
name=$(tr '\t\n\r' '   ' <<<"${name:-${USER:-anonymous}}" | sed 's/ *$//')
[[ $name ]] || misuse "NAME is empty; expected what you are called: make export NAME=ada"
make_work
recorded=0
{
    printf 'c-prof-labs export\t1\nname\t%s\nmade\t%s\n' "$name" "$(date -u '+%Y-%m-%d %H:%M UTC')"
    for step in $all_steps; do
        if is_recorded "$step"; then
            recorded=1
            printf 'step%s\trecorded\n' "$step"
            sed "s/^/step$step./" "$records/step$step/environment"
            sed -n "s/^data\t/step$step./p" "$records/step$step/parts"
            sed -n "s/^row\tcaptured\t/step$step.captured\t/p" "$records/step$step/parts" | head -n 1
        elif is_done "$step"; then
            printf 'step%s\tdone\n' "$step"
        fi
        [[ ! -s $PROFILES/quiz/step$step ]] || printf 'quiz%s\t%s\n' "$step" "$(tr ' ' / <"$PROFILES/quiz/step$step")"
    done
    if [[ -s $PROFILES/doctor/doctor.tsv ]]; then
        for status in warn fail; do
            printf 'doctor.%s\t%s\n' "$status" "$(awk -F'\t' -v s=$status '$1 == s { printf "%s%s", n++ ? ", " : "", $2 }' "$PROFILES/doctor/doctor.tsv")"
        done
        sed -nE 's/^[a-z]+\tnoise\t([0-9.]+)%.*/doctor.noise\t\1/p' "$PROFILES/doctor/doctor.tsv"
    fi
    echo end # without it, a part of the file is missing
} >"$work/export"
((recorded)) || fail "nothing is recorded yet; do a step, then run: make record STEP=1"
# Letters of every script stay: 山田 and 佐藤 are two files. iconv drops a letter that was cut in two.
part=$(LC_ALL=C tr -d '\000-\040!-,/:-@[-^`{-\177' <<<"${name// /-}" | LC_ALL=C cut -b1-60 | iconv -c -f UTF-8 -t UTF-8 || true)
file=$PROFILES/report/export-${part:-learner}.tsv
keep "$work/export" "$file"
say "to hand in: $file"
