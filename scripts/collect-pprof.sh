#!/bin/bash
# Collects profiles from a running server, round after round, until Ctrl-C or SIGTERM: poor man's continuous profiling.
# Stands alone: it needs bash, curl and gzip, and no file beside it.
#
#   TARGET_BASE_URL=http://localhost:6060/debug/pprof   where the endpoints are
#   OUT_DIR=./profiles     where the files go: OUT_DIR/cpu/cpu_YYYYmmdd-HHMMSS.pb.gz, and so on for each profile
#   INTERVAL_SEC=60        from the start of one round to the start of the next
#   CPU_WINDOW_SEC=30      how long the CPU profile samples
#   PROFILES="cpu heap block mutex goroutine"           also allocs and threadcreate
#   KEEP=100               files kept of each profile; older ones are removed
#   ONCE=1                 one round; exit 1 when anything is missing of it
#   PPROF_USER=pprof PPROF_PASSWORD=   when the server asks for them
set -ufo pipefail

: "${TARGET_BASE_URL:=http://localhost:6060/debug/pprof}"
: "${OUT_DIR:=./profiles}"
: "${INTERVAL_SEC:=60}"
: "${CPU_WINDOW_SEC:=30}"
: "${PROFILES:=cpu heap block mutex goroutine}"
: "${KEEP:=100}"
: "${ONCE:=0}"
: "${PPROF_USER:=pprof}"
: "${PPROF_PASSWORD:=}"

misuse() {
    echo "collect: $*" >&2
    exit 2
}

say() {
    echo "[collect] $(date +%H:%M:%S) $*"
}

# ---- settings ---------------------------------------------------------------------------------------
if (($#)); then
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" || exit 1
    [[ $1 == -h || $1 == --help ]] && exit 0
    misuse "unexpected argument '$1'; settings are environment variables"
fi

require_number() { # NAME MIN MAX
    if ! [[ ${!1} =~ ^(0|[1-9][0-9]{0,8})$ ]] || ((${!1} < $2 || ${!1} > $3)); then
        misuse "$1 is '${!1}'; expected a whole number from $2 to $3"
    fi
}
require_number INTERVAL_SEC 1 86400
require_number CPU_WINDOW_SEC 1 3600
require_number KEEP 1 1000000
require_number ONCE 0 1
[[ $TARGET_BASE_URL =~ ^https?://[^/[:space:]]+ ]] ||
    misuse "TARGET_BASE_URL is '$TARGET_BASE_URL'; expected http://HOST:PORT/debug/pprof"
[[ $PROFILES =~ [a-z] ]] || misuse "PROFILES is empty; expected names, for example: cpu heap"
for kind in $PROFILES; do
    case $kind in
    cpu | heap | allocs | block | mutex | goroutine | threadcreate) ;;
    *) misuse "PROFILES has '$kind'; expected some of: cpu heap allocs block mutex goroutine threadcreate" ;;
    esac
    mkdir -p "$OUT_DIR/$kind" 2>/dev/null
    [[ -w $OUT_DIR/$kind ]] || misuse "OUT_DIR is '$OUT_DIR': cannot write to $OUT_DIR/$kind"
done
command -v curl >/dev/null || misuse "curl is not on the PATH; install it, for example: apt-get install curl"
base=$TARGET_BASE_URL
while [[ $base == */ ]]; do base=${base%/}; done
shown=$(sed -E 's,//[^/@]*@,//,' <<<"$base") # without a password in it

# ---- stopping ----------------------------------------------------------------------------------------
child=''   # what is being waited for
partial='' # the file that is being written
kept=0
stop() {
    trap '' INT TERM HUP PIPE
    [[ -z $child ]] || kill "$child" 2>/dev/null
    wait
    rm -f ${partial:+"$partial"} ${partial:+"$partial.body"}
    say "stopped; $kept profiles are in $OUT_DIR" 2>/dev/null
    exit 0
}
trap stop INT TERM HUP PIPE # the last two: nobody reads any more

# Waits in the background, so that a signal is taken at once.
run() { # COMMAND...
    "$@" &
    child=$!
    wait "$child"
    local status=$?
    child=''
    return $status
}

# ---- one profile ----------------------------------------------------------------------------------------
# The password goes to curl through a pipe: arguments can be read by everyone on the machine.
fetch() { # URL FILE SECONDS: becomes curl, so that stopping the child stops it
    local escaped=${PPROF_PASSWORD//\\/\\\\}
    exec curl --silent --show-error --connect-timeout 5 --max-time "$3" --output "$2" --write-out '%{http_code}' \
        --config <([[ -z $PPROF_PASSWORD ]] || printf 'user = "%s:%s"\n' "$PPROF_USER" "${escaped//\"/\\\"}") \
        "$1" >"$2.body" 2>&1
}

# Takes one profile. 1: it failed. 2: the server could not be reached.
collect() { # KIND
    local kind=$1 path=$1 seconds=30 file status answer
    if [[ $kind == cpu ]]; then
        path="profile?seconds=$CPU_WINDOW_SEC"
        seconds=$((CPU_WINDOW_SEC + 30))
    fi
    file=$OUT_DIR/$kind/${kind}_$(date +%Y%m%d-%H%M%S).pb.gz
    partial=$OUT_DIR/$kind/.${kind}_$$.part
    run fetch "$base/$path" "$partial" "$seconds"
    status=$?
    answer=$(tr -d '\0' <"$partial.body")
    rm -f "$partial.body"
    if ((status)); then
        rm -f "$partial"
        say "$kind: cannot reach $shown: $(sed 's/^curl: //; s/000$//' <<<"$answer" | head -n 1)"
        return 2
    elif [[ $answer != 200 ]]; then
        say "$kind: the server answered $answer: $(head -c 200 "$partial" | tr -cd '[:print:]')"
    elif ! gzip -t "$partial" 2>/dev/null; then
        say "$kind: what came is not a profile; is TARGET_BASE_URL right? $shown"
    elif mv -f "$partial" "$file"; then
        kept=$((kept + 1))
        say "$kind -> $file"
        partial=''
        return 0
    fi
    rm -f "$partial"
    partial=''
    return 1
}

# The stamp in the name sorts by time. Only files named by this script are touched.
rotate() { # KIND
    set +f
    local files=("$OUT_DIR/$1/$1"_[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9].pb.gz)
    set -f
    local excess=$((${#files[@]} - KEEP))
    ((excess <= 0)) || rm -f "${files[@]:0:excess}"
}

# ---- rounds ---------------------------------------------------------------------------------------------
say "$PROFILES from $shown every $INTERVAL_SEC s into $OUT_DIR"
while :; do
    begun=$SECONDS
    failed=0
    for kind in $PROFILES; do
        collect "$kind"
        status=$?
        rotate "$kind"
        ((status == 0)) || failed=1
        if ((status == 2)); then
            ((ONCE)) || say "will try again in $((INTERVAL_SEC - SECONDS + begun > 0 ? INTERVAL_SEC - SECONDS + begun : 0)) s"
            break
        fi
    done
    ((ONCE)) && exit $failed
    rest=$((INTERVAL_SEC - SECONDS + begun))
    ((rest <= 0)) || run sleep "$rest"
done
