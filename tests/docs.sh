#!/bin/bash
# The guides: English and Japanese have the same steps, links and names lead somewhere, and every command of the steps runs,
# prints what the guide says of it, in the form that the guide shows. tests/docs_topics.sh runs those of the topics.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

[[ -z $SAN ]] || skip_all "the commands of the guides run the plain build"
command -v python3 >/dev/null || skip_all "there is no python3; scripts/deps.sh test installs it"

guides=${GUIDES:-step}
# Each of the two prints TAP of its own; their lines are counted on.
add() { # COMMAND...
    local line
    while IFS= read -r line; do
        case $line in
        'ok '*) ok "${line#*- }" ;;
        'not ok '*) not_ok "${line#*- }" ;;
        '# '*) echo "$line" ;;
        1..*) finished=1 ;;
        esac
    done < <("$@" 2>&1)
    [[ $finished ]] || not_ok "$1 came to its end" "its last line: $line"
    finished=''
}
finished=''
[[ $guides != step ]] || add scripts/docs/lint.py
if command -v pprof >/dev/null || command -v go >/dev/null; then
    add scripts/docs/run.py --check "$guides"
else
    skip "the commands of the guides" "no viewer for profiles; scripts/deps.sh ui installs it"
fi
done_testing
