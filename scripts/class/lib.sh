# shellcheck shell=bash disable=SC2034,SC2154 # shares its variables with lib.sh and with those who source it
# What record, report, quiz, progress and doctor share: the words of a language, the newest capture, what this machine is.
# Sourced after lib.sh.

records=$PROFILES/record # a folder for each recorded step

# ---- words -------------------------------------------------------------------------------------------
# scripts/class/words.LANG has a line for each: key, tab, text; %s stands for what is filled in.
declare -A words=()
load_words() { # LANGUAGE
    local key text
    language=$1
    [[ -f scripts/class/words.$language ]] ||
        misuse "LANG_=$language: there are guides in: $(find scripts/class -name 'words.*' | sed 's/.*words\.//' | sort | tr '\n' ' ')"
    while IFS=$'\t' read -r key text; do
        [[ -z $key || $key == '#'* ]] || words[$key]=$text
    done <"scripts/class/words.$language"
}

# The text of a key, or the key itself when it is no word but a name.
t() { # KEY [ARGUMENT...]
    local text=${words[$1]:-$1}
    shift
    # shellcheck disable=SC2059 # the text is ours
    printf "$text" "$@"
}

# ---- steps -------------------------------------------------------------------------------------------
all_steps='0 1 2 3 4 5 6 7 8'

require_step() { # STEP
    [[ $1 =~ ^[0-8]$ ]] || misuse "STEP is '$1'; expected a step from 0 to 8, for example: make $me STEP=1"
}

# Sets guide to the file of a step: docs/en/step1-cpu.md.
find_guide() { # STEP
    local found=("${DOCS:-docs}/$language/step$1"[-.]*md)
    guide=${found[0]}
    [[ -f $guide ]]
}

# The newest of the files that match, by the time they were written. Nothing: there is none.
newest() { # PATTERN...
    local file best=''
    for file in "$@"; do
        [[ -s $file && (-z $best || $file -nt $best) ]] && best=$file
    done
    echo "$best"
}

# Whether a step left captures, recorded or not.
is_done() { # STEP
    local -A captures=([0]="doctor/doctor.tsv" [1]="cpu/cpu.pprof" [2]="heap/heap.pprof" [3]="block/block_[0-9]* mutex/mutex_[0-9]*"
        [4]="trace/*.trace" [5]="bench/*_report.txt" [6]="cpu/incident.pb.gz goroutine/goroutine_[0-9]*" [7]="gc/compare_* bench/malloc_*_report.txt" [8]="cpu/yesterday.pb.gz")
    local pattern file
    for pattern in ${captures[$1]}; do
        # shellcheck disable=SC2231 # a pattern on purpose
        for file in "$PROFILES"/$pattern; do
            [[ -s $file ]] && return 0
        done
    done
    return 1
}

is_recorded() { # STEP
    [[ -s $records/step$1/parts ]]
}

# ---- this machine ----------------------------------------------------------------------------------------
cpu_name() {
    local name
    name=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
    [[ $name ]] || name=$(lscpu 2>/dev/null | sed -n 's/^Model name: *//p' | head -n 1)
    echo "${name:-$(uname -m)}"
}

# Under which roof the kernel runs: a virtual machine's processors come and go.
virtual() {
    if grep -qi microsoft /proc/sys/kernel/osrelease 2>/dev/null; then
        echo WSL2
    elif [[ -e /.dockerenv || -e /run/.containerenv ]] || grep -qaE 'container=' /proc/1/environ 2>/dev/null; then
        echo container
    elif grep -q '^flags.* hypervisor' /proc/cpuinfo 2>/dev/null; then
        echo 'virtual machine'
    else
        echo none
    fi
}

system_name() {
    # shellcheck disable=SC1091
    (. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-}") || true
}

# The compiler's first line and the flags that decide how fast the code is: those the programs were built with.
compiler_name() {
    local built
    read -r built _ 2>/dev/null <"build/${SAN:-plain}/flags" || built=${CC:-gcc}
    "$built" --version 2>/dev/null | head -n 1 || echo "$built"
}

compiler_flags() {
    tr ' ' '\n' 2>/dev/null <"build/${SAN:-plain}/flags" | grep -E '^-(std|O|g|f(no-)?omit|fsan|march|mtune|flto)' | paste -sd' ' || true
}

# The commit of the sources. What a record writes is no change of them.
commit_name() {
    local name dirty=''
    name=$(git rev-parse --short HEAD 2>/dev/null) || { echo '?'; return; }
    [[ -z $(git status --porcelain -- Makefile bench cmd labs prof 2>/dev/null) ]] || dirty=+
    echo "$name$dirty"
}

# Lines `key<TAB>value`.
environment() {
    printf 'cpu\t%s\n' "$(cpu_name)"
    printf 'cores\t%s\n' "$(nproc)"
    printf 'virtual\t%s\n' "$(virtual)"
    printf 'kernel\t%s\n' "$(uname -srm)"
    printf 'system\t%s\n' "$(system_name)"
    printf 'compiler\t%s\n' "$(compiler_name)"
    printf 'flags\t%s\n' "$(compiler_flags)"
    printf 'commit\t%s\n' "$(commit_name)"
}
