# shellcheck shell=bash
# What tests/*.sh share: checks that print TAP, the way to run a command and look at it, a scratch folder.
#
#   . "$(dirname "$0")/lib.sh"
#   run "$BIN/benchstat" -alpha 2 results.txt      # sets $rc, $out and $err
#   exits "refuses an alpha above 1" 2
#   like "names the flag" "$err" '^benchstat: -alpha'
#   done_testing                                   # the last line of every test
#
# In force: the working directory is the repository, $BIN the folder of programs (of the sanitizer build when SAN is
# set), $LIB that of libraries, $tmp an empty folder that goes away. Not set -e: a failed check must not hide the next.
set -uo pipefail
unset CDPATH
export LC_ALL=C.UTF-8 # the numbers and messages that are expected have no language

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
: "${SAN:=}"
: "${LIB:=$PWD/build/${SAN:-plain}/lib}"
BIN=$(realpath -m "${BIN:-${SAN:+build/$SAN/}bin}")
export SAN BIN LIB
tmp=$(mktemp -d)
trap 'stop_children; rm -rf "$tmp"' EXIT

tests_run=0
tests_failed=0
children=()

ok() { # NAME
    printf 'ok %d - %s\n' $((++tests_run)) "$1"
}

not_ok() { # NAME [LINE...]: the lines say what was expected and what came
    printf 'not ok %d - %s\n' $((++tests_run)) "$1"
    tests_failed=$((tests_failed + 1))
    shift
    local text
    for text; do
        # A long text is cut: what matters is at its start.
        head -c 4000 <<<"$text" | head -n 40 | sed 's/^/# /'
    done
}

skip() { # NAME REASON
    printf 'ok %d # SKIP %s: %s\n' $((++tests_run)) "$1" "$2"
}

skip_all() { # REASON: nothing in this file can run here
    skip "$(basename "$0" .sh)" "$1"
    done_testing
}

# run COMMAND...: its status in $rc, its output in $out, its standard error in $err. Standard input is empty.
run() {
    "$@" </dev/null >"$tmp/.out" 2>"$tmp/.err"
    rc=$?
    out=$(tr -d '\0' <"$tmp/.out")
    err=$(tr -d '\0' <"$tmp/.err")
    ran="$*"
}

exits() { # NAME STATUS: of the latest run
    if ((rc == $2)); then ok "$1"; else
        not_ok "$1" "ran: $ran" "expected status: $2" "got: $rc" "stdout: $out" "stderr: $err"
    fi
}

is() { # NAME GOT EXPECTED
    if [[ $2 == "$3" ]]; then ok "$1"; else not_ok "$1" "expected: $3" "got:      $2"; fi
}

like() { # NAME TEXT REGEX: some line of TEXT matches the extended regular expression
    if grep -Eq -- "$3" <<<"$2"; then ok "$1"; else not_ok "$1" "expected a line like: $3" "got: $2"; fi
}

unlike() { # NAME TEXT REGEX
    if grep -Eq -- "$3" <<<"$2"; then not_ok "$1" "expected no line like: $3" "got: $2"; else ok "$1"; fi
}

one_line() { # NAME TEXT: exactly one line, as an error message should be
    if [[ -n $2 && $2 != *$'\n'* ]]; then ok "$1"; else not_ok "$1" "expected one line" "got: $2"; fi
}

refused() { # NAME STATUS REGEX: the latest run ended with that status and one line, which says why
    exits "$1" "$2"
    one_line "$1: one line" "$err"
    like "$1: says why" "$err" "$3"
}

refuses() { # NAME STATUS REGEX COMMAND...
    run "${@:4}"
    refused "$1" "$2" "$3"
}

holds() { # NAME COMMAND...: the command succeeds
    local name=$1
    shift
    if "$@" >"$tmp/.out" 2>&1; then ok "$name"; else not_ok "$name" "failed: $*" "$(cat "$tmp/.out")"; fi
}

# wait_for SECONDS COMMAND...: until the command succeeds; fails when it does not in time.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# start COMMAND...: in the background, its id in $pid, its output in $tmp/start.out and start.err; stopped at the end.
start() {
    "$@" </dev/null >"$tmp/start.out" 2>"$tmp/start.err" &
    pid=$!
    children+=("$pid")
}

stop_children() {
    ((${#children[@]})) || return 0
    kill "${children[@]}" 2>/dev/null
    wait "${children[@]}" 2>/dev/null
    children=()
}

# A TCP port of the loopback address on which nothing listens.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        # shellcheck disable=SC2188
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

done_testing() {
    echo "1..$tests_run"
    exit $((tests_failed > 0))
}
