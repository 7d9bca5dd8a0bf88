#!/bin/bash
# Questions about a step, whose answers lie in the learner's own profile: `make quiz STEP=1` calls this.
#
#   scripts/quiz.sh STEP
#
# Three tries each, a hint after each wrong answer, then the answer and the command that shows it. Answers are lines on standard
# input, so they can come from a file. Exit: 0 all are right, 1 not all. The result is kept for make progress.
#
# Environment: LANG_ (en), PROFILES, CPU_PROFILE, HEAP_PROFILE.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/class/lib.sh
. scripts/class/lib.sh
# shellcheck source=scripts/class/questions.sh
. scripts/class/questions.sh

tries=3
right=0
asked=0
answered=0

# Reads an answer: without the spaces around it and what people put behind functions and numbers.
read_answer() {
    local line
    printf '> '
    IFS= read -r line || { [[ ${line:-} ]] || return 1; }
    ((terminal)) || printf '%s\n' "$line"
    line=${line#"${line%%[![:space:]]*}"}
    line=${line%"${line##*[![:space:]]}"}
    answer=${line%()}
}

# A name that is one of the lines of $accepted.
answers_name() {
    [[ $answer ]] && grep -qxF -- "$answer" <<<"$accepted"
}

# A number near $expected.
answers_number() {
    local number=${answer//,/}
    number=${number%[%x]}
    number=${number% }
    [[ $number =~ ^[0-9]+(\.[0-9]+)?$ ]] &&
        LC_ALL=C awk -v a="$number" -v e="$expected" -v t="$tolerance" 'BEGIN { d = a - e; exit !((d < 0 ? -d : d) <= t + 1e-9) }'
}

# One question. The command that shows the answer is the last hint.
ask() { # CHECK QUESTION HINT SHOWN COMMAND
    local check=$1 question=$2 hint=$3 shown=$4 command=$5 try
    asked=$((asked + 1))
    printf '\n%s%d. %s%s\n' "$bold" "$asked" "$question" "$reset"
    for ((try = 1; try <= tries; try++)); do
        if ! read_answer; then
            printf '\n%s\n' "$(t quiz_no_answer)"
            return
        fi
        answered=$((answered + 1))
        if "$check"; then
            printf '%s%s%s\n' "$green" "$(t quiz_right "$shown")" "$reset"
            right=$((right + 1))
            return
        fi
        case $try in
        1) printf '%s%s%s\n' "$yellow" "$(t quiz_wrong "$hint")" "$reset" ;;
        2) printf '%s%s%s\n' "$yellow" "$(t quiz_look "$command")" "$reset" ;;
        esac
    done
    printf '%s%s%s\n' "$yellow" "$(t quiz_answer "$shown" "$command")" "$reset"
}

(($# == 1)) || misuse "usage: make quiz STEP=1 [LANG_=ja]"
step=$1
require_step "$step"
load_words "${LANG_:-en}"
declare -F "questions_$step" >/dev/null ||
    misuse "there is no quiz for step $step; there are: $(declare -F | sed -n 's/.* questions_//p' | tr '\n' ' ')"
[[ -x $BIN/top ]] || fail "$BIN/top is not there; run: make"
make_work
"questions_$step"
((asked)) || fail "step $step has no capture in $PROFILES/ yet; do the step first"
# Who left before the first answer keeps the result of the last time.
if ((answered)); then
    mkdir -p "$PROFILES/quiz"
    echo "$right $asked" >"$work/quiz"
    keep "$work/quiz" "$PROFILES/quiz/step$step"
fi
printf '\n%s\n' "$(t quiz_sum "$right" "$asked")"
((right == asked))
