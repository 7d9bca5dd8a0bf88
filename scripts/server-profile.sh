#!/bin/bash
# Profiles of the running demo server, and of those kept earlier, in pprof's web interface.
#
#   scripts/server-profile.sh cpu [DURATION]     captures the CPU (LOAD=1: with scripts/load.sh beside it)
#   scripts/server-profile.sh block|mutex|heap|goroutine     takes it as it is now
#   scripts/server-profile.sh latest KIND        the newest that is kept
#   scripts/server-profile.sh diff A B           B with A taken away
#
# SERVER=http://localhost:6060 is the server; PORT_SERVER, PORT_BLOCK, PORT_MUTEX, PORT_LATEST and PORT_DIFF are the
# ports of the viewer; UI=0 prints the commands to open it instead.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/duration.sh
. scripts/duration.sh

: "${SERVER:=http://localhost:6060}"
while [[ $SERVER == */ ]]; do SERVER=${SERVER%/}; done
kinds='cpu heap allocs block mutex goroutine threadcreate'
declare -A ports=([cpu]=PORT_SERVER:18082 [block]=PORT_BLOCK:18083 [mutex]=PORT_MUTEX:18084
    [latest]=PORT_LATEST:18086 [diff]=PORT_DIFF:18087)

# Sets variable and port for a title of `ports`; refuses a taken port before the work, not after it.
choose_port() { # NAME
    local entry=${ports[$1]:-${ports[latest]}}
    variable=${entry%:*}
    port=${!variable:-${entry#*:}}
    check_port "$variable" "$port"
    [[ ${UI:-1} == 0 ]] || require_port "$variable" "$port"
}

require_kind() { # KIND
    [[ " $kinds " == *" $1 "* && $1 != *' '* && -n $1 ]] || misuse "KIND is '$1'; expected one of: $kinds"
}

# The profile, whole or not at all, under profiles/KIND; its name in $file.
fetch() { # KIND PATH SECONDS
    local status
    file=$PROFILES/$1/$1_$(stamp).pb.gz
    mkdir -p "$PROFILES/$1"
    status=$(curl --silent --max-time $(($3 + 60)) --output "$work/profile" --write-out '%{http_code}' "$SERVER/debug/pprof/$2") ||
        [[ $status != 000 ]] || fail "no server answers at $SERVER; start one with: make run-server"
    [[ $status == 200 ]] || fail "$SERVER/debug/pprof/$2 answered $status: $(head -n 1 "$work/profile")"
    keep "$work/profile" "$file"
    echo "$file"
}

show_top() { # FILE
    local top
    top=$(scripts/pprof -top -nodecount=5 "$1" 2>/dev/null) || fail "pprof cannot read $1"
    grep -A5 '^ *flat ' <<<"$top" || true
    [[ $(wc -l < <(grep -A5 '^ *flat ' <<<"$top")) -gt 1 ]] ||
        echo "nothing was recorded: was the server at work? run beside it: make load"
}

capture_cpu() { # DURATION
    local load=''
    read_duration DURATION "$1" 3600
    if [[ ${LOAD:-0} == 1 ]]; then
        BASE_URL=$SERVER DURATION=$((seconds + 1))s scripts/load.sh >"$work/load" 2>&1 &
        load=$!
        until [[ -s $work/load ]] || ! kill -0 "$load" 2>/dev/null; do sleep 0.05; done # its first line, or why there is none
    fi
    echo "profiling the CPU of $SERVER for $seconds s"
    fetch cpu "profile?seconds=$seconds" "$seconds"
    if [[ -n $load ]]; then
        wait "$load" || true
        cat "$work/load"
    fi
}

case ${1:-} in
cpu | heap | allocs | block | mutex | goroutine | threadcreate)
    choose_port "$1"
    make_work
    if [[ $1 == cpu ]]; then capture_cpu "${2:-30s}"; else fetch "$1" "$1" 0; fi
    show_top "$file"
    title="$1 of the server"
    ;;
latest)
    require_kind "${2:-cpu}"
    choose_port latest
    file=$(find "$PROFILES/${2:-cpu}" -name '*.pb.gz' -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d' ' -f2-)
    [[ -n $file ]] || fail "no profile in $PROFILES/${2:-cpu}; collect some with: make collect"
    echo "$file"
    title="the latest ${2:-cpu} profile"
    ;;
diff)
    [[ $# == 3 && -n $2 && -n $3 ]] || misuse "two profiles are needed: make pprof-diff A=before.pb.gz B=after.pb.gz"
    for f in "$2" "$3"; do
        [[ -s $f ]] || fail "no profile $f"
    done
    choose_port diff
    scripts/ui.sh "-diff_base=$2" "what changed" "$variable" "$port" "$3"
    exit
    ;;
*) misuse "usage: scripts/server-profile.sh cpu [DURATION] | $(tr ' ' '|' <<<"${kinds#cpu }") | latest KIND | diff A B" ;;
esac
scripts/ui.sh "$title" "$variable" "$port" "$file"
