#!/bin/bash
# The guides: English and Japanese have the same steps, links and names lead somewhere, and every command of every guide runs,
# prints what the guide says of it, in the form that the guide shows.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

[[ -z $SAN ]] || skip_all "the commands of the guides run the plain build"
command -v python3 >/dev/null || skip_all "there is no python3; scripts/deps.sh test installs it"

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
add scripts/docs/lint.py
if scripts/pprof -version >/dev/null 2>&1 || command -v go >/dev/null || command -v pprof >/dev/null; then
    add scripts/docs/run.py --check
else
    skip "the commands of the guides" "no viewer for profiles; scripts/deps.sh ui installs it"
fi
done_testing
