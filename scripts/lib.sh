# shellcheck shell=bash disable=SC2034 # variables are for those who source this
# What the scripts share: how they talk (progress, colour, the last word), what the labs' variants are called, how a
# benchmark is run, and how a file appears whole or not at all. Sourced by each, which then stands in the repository.
set -euo pipefail
unset CDPATH # it would make cd go, or say, where it is not meant to
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Numbers have a point and words their own letters whatever the language: awk writes 3,7 in German, and the capital of i has
# a dot in Turkish.
export LC_ALL=C.UTF-8
: "${BIN:=bin}"
: "${PROFILES:=profiles}" # where results and captures are kept
me=$(basename "$0" .sh)

# ---- talking ---------------------------------------------------------------------------------------
terminal=0
[[ -t 1 ]] && terminal=1
bold='' green='' yellow='' dim='' reset=''
if ((terminal)) && [[ -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
    bold=$'\e[1m' green=$'\e[32m' yellow=$'\e[33m' dim=$'\e[2m' reset=$'\e[0m'
fi

fail() { # TEXT...: one line, and the end
    clear_progress
    echo "$me: $*" >&2
    exit 1
}

misuse() { # TEXT...
    clear_progress
    echo "$me: $*" >&2
    exit 2
}

# What a program said when it ended with STATUS: its wrong usage is ours.
refused() { # STATUS TEXT...
    local status=$1
    shift
    [[ $status != 2 ]] || misuse "$*"
    fail "$*"
}

# One line that is written over on a terminal; elsewhere only what begins a phase is said (say).
progress() {
    ((terminal)) || return 0
    printf '\r\e[K%s%s%s' "$dim" "$*" "$reset"
}

clear_progress() {
    ((terminal)) || return 0
    printf '\r\e[K'
}

say() {
    clear_progress
    printf '%s\n' "$*"
}

# ---- labs --------------------------------------------------------------------------------------------
# Sets benchmark, before, after: what a lab compares, and memory: whether allocations count. BEFORE and AFTER in the
# environment choose other variants.
set_lab() { # LAB
    memory=''
    case $1 in
    fib) benchmark=Fib before=recursive after=memo ;;
    alloc) benchmark=Allocate before=plain after=pool memory=1 ;;
    mutex) benchmark=HotMutex before=single after=sharded ;;
    leak) benchmark=Leak before=leaky after=joined ;;
    slice) benchmark=Slice before=view after=copy memory=1 ;;
    cache) benchmark=Cache before=unbounded after=lru memory=1 ;;
    escape) benchmark=Return before=heap after=value memory=1 ;;
    array) benchmark=Array before=heap after=fixed memory=1 ;;
    callback) benchmark=Callback before=heap after=inlined memory=1 ;;
    *) misuse "no lab '$1'; there are: fib alloc mutex leak slice cache escape array callback" ;;
    esac
    lab=$1
    before=${BEFORE:-$before}
    after=${AFTER:-$after}
    [[ $before != "$after" ]] || misuse "before and after are both '$before'"
}

require_bench() {
    [[ -x $BIN/bench ]] || fail "$BIN/bench is not there; run: make"
}

# Runs one variant once; results go to standard output, as the harness prints them. What follows goes to the harness.
bench_variant() { # IMPL [FLAG...]
    local impl=$1
    shift
    "$BIN/bench" -bench="^Benchmark$benchmark\$/^impl=$impl\$" "$@"
}

# Refuses a variant, naming those that there are: -list names benchmarks only, so each is run once.
no_variant() { # IMPL
    local names
    names=$("$BIN/bench" -bench="^Benchmark$benchmark\$" -benchtime=1x 2>/dev/null |
        sed -nE "s,^Benchmark$benchmark/impl=([[:alnum:]_]+).*,\1,p" | sort -u | paste -sd ' ')
    misuse "lab $lab has no variant '$1'; there are: $names"
}

# A run of a variant, its words in the file, has ended badly.
bench_refused() { # STATUS IMPL FILE
    ! grep -q 'no benchmark matches' "$3" || no_variant "$2"
    refused "$1" "$BIN/bench failed on $2: $(tail -n 1 "$3")"
}

# Runs each variant once for one iteration, to the file: a misspelt AFTER or a variant that fails is found out before
# anything is measured, and the machine is warm.
check_variants() { # FILE
    local impl
    for impl in "$before" "$after"; do
        bench_variant "$impl" -benchtime=1x >"$1" 2>&1 && grep -q "^Benchmark$benchmark/" "$1" && continue
        bench_refused $? "$impl" "$1"
    done
}

# ---- files -------------------------------------------------------------------------------------------
stamp() {
    date +%Y%m%d-%H%M%S
}

# A folder to work in, beside where results go (so that a rename moves them), gone when the script is.
# Sets work. clean_up is called on the way out; scripts with children of their own redefine it.
make_work() {
    { mkdir -p "$PROFILES" && work=$(mktemp -d "$PROFILES/.work.XXXXXX"); } 2>/dev/null ||
        fail "cannot write to $PROFILES; it has to be a folder that you may write to"
    trap 'finish' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

clean_up() { :; }

finish() {
    local status=$?
    trap '' INT TERM
    clean_up
    rm -rf "$work"
    exit $status
}

# keep FILE DESTINATION: the file is complete, so it may be seen.
keep() {
    mkdir -p "$(dirname "$2")"
    mv -f "$1" "$2"
}

# ---- servers -------------------------------------------------------------------------------------------
port_in_use() { # PORT
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Until the command succeeds. False: the process has ended before, or 20 s are over.
await() { # PID COMMAND...
    local pid=$1 end=$((SECONDS + 20))
    shift
    until "$@"; do
        kill -0 "$pid" 2>/dev/null && ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# Pages are for somebody who is there to look.
with_ui() {
    [[ ${UI:-1} != 0 && -t 0 ]] && ((terminal))
}

# Also where the port is only printed: what is printed is there to be run.
check_port() { # VARIABLE PORT
    [[ $2 =~ ^[1-9][0-9]{0,4}$ && $2 -lt 65536 ]] || misuse "$1=$2: expected a port, 1 to 65535"
}

require_port() { # VARIABLE PORT: it has to be free
    check_port "$1" "$2"
    ! port_in_use "$2" || fail "port $2 is in use; give another: make ... $1=$(($2 < 65436 ? $2 + 100 : $2 - 100))"
}
