# shellcheck shell=bash disable=SC2034,SC2154 # shares its variables with those who source it
# A demo server to test against, and requests to it. Sourced after lib.sh.

export PPROF_TMPDIR=$tmp PPROF_BINARY_PATH=$tmp/none HOME=$tmp

# start_server [VARIABLE=VALUE...] [FLAG...]: a server on a free port, in $pid; sets $at to its address.
start_server() {
    local log=$tmp/server.$RANDOM.log variables=()
    while [[ ${1:-} == *=* && $1 != -* ]]; do
        variables+=("$1")
        shift
    done
    env "${variables[@]}" "$BIN/server" -addr 127.0.0.1:0 "$@" </dev/null >"$log" 2>"$log.err" &
    pid=$!
    children+=("$pid")
    server_log=$log
    wait_for 20 grep -q '^listening on ' "$log" || {
        not_ok "the server starts" "$(cat "$log" "$log.err")"
        done_testing
    }
    at=$(sed -n 's/^listening on \([^ ]*\) .*/\1/p' "$log")
}

# stop_server [SIGNAL]: sets $rc to its exit status.
stop_server() {
    kill "-${1:-INT}" "$pid"
    wait "$pid"
    rc=$?
    ran="the server, until SIG${1:-INT}"
    out=$(cat "$server_log")
    err=$(cat "$server_log.err")
    local kept=() child
    for child in "${children[@]}"; do [[ $child == "$pid" ]] || kept+=("$child"); done
    children=("${kept[@]}")
}

# get PATH [CURL OPTION...]: sets $status (000: no answer), $head (the headers), and $body when it is text; the body is
# in $tmp/body.
get() {
    local path=$1
    shift
    : >"$tmp/body"
    status=$(curl --silent --path-as-is --max-time 60 --dump-header "$tmp/head" --output "$tmp/body" \
        --write-out '%{http_code}' "$@" "http://$at$path")
    head=$(tr -d '\r' <"$tmp/head")
    body=$(head -c 20000 "$tmp/body" | tr -d '\0')
}

# answers NAME STATUS [BODY_REGEX]: of the latest get.
answers() {
    if [[ $status != "$2" ]]; then
        not_ok "$1" "expected status: $2" "got: $status" "$body"
    elif [[ ${3:-} ]] && ! grep -Eq -- "$3" <<<"$body"; then
        not_ok "$1" "expected a body like: $3" "got: $body"
    else
        ok "$1"
    fi
}

header() { # NAME HEADER VALUE: the latest answer has it, with exactly that value
    is "$1" "$(sed -n "s/^$2: //Ip" <<<"$head")" "$3"
}

serving() {
    [[ $(curl --silent --max-time 20 "http://$at/healthz") == ok ]]
}

# Whether the library has the profile: those of waits, locks and threads are sources of their own.
has_profile() { # NAME
    [[ $(curl --silent --max-time 30 --output /dev/null --write-out '%{http_code}' "http://$at/debug/pprof/$1?debug=1") == 200 ]]
}

threads() { # PID
    find "/proc/$1/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l
}

descriptors() { # PID
    find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}
