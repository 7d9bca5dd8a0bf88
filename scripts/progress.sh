#!/bin/bash
# Which steps are recorded, done or open, and what the quizzes said: `make progress` calls this.
#
#   scripts/progress.sh
#
# recorded: make record wrote it into the guide. done: there are captures, they are not recorded. Exit 0.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/class/lib.sh
. scripts/class/lib.sh

(($# == 0)) || misuse "unexpected argument '$1'; it takes none"
load_words "${LANG_:-en}"
next=''
count=0
for step in $all_steps; do
    state=open colour=$dim title=$(t step "$step") quiz=''
    if is_recorded "$step"; then
        state=recorded colour=$green
        count=$((count + 1))
    elif is_done "$step"; then
        state="done" colour=$yellow
    fi
    if find_guide "$step"; then
        title=$(sed -n '/^# /{s/^# //p;q}' "$guide")
        [[ $state == recorded || $next ]] || next=$step
    fi
    [[ ! -s $PROFILES/quiz/step$step ]] || quiz=" · $(t quiz_score "$(tr ' ' / <"$PROFILES/quiz/step$step")")"
    # Columns, not bytes: a wide character takes two.
    word=$(t "$state")
    pad=$((10 - $(wc -L <<<"$word")))
    printf '  %s%s%s%*s%s%s\n' "$colour" "$word" "$reset" "$((pad > 0 ? pad : 1))" '' "$title" "$quiz"
done
printf '\n%s\n' "$(t progress_sum "$count" "$(wc -w <<<"$all_steps")")"
[[ -z $next ]] || { find_guide "$next" && t progress_next "$guide" "$next" && echo; }
