#!/bin/bash
# Is this machine fit for the steps? `make doctor` calls this.
#
# Looks at tools, packages and settings; then takes real captures (bin/doctor: a second of CPU, heap, locks, context
# switches), looks who has the ports of the steps, and measures how noisy the machine is. For everything that is not as it
# should be it says what to do. Works on a machine where nothing is installed yet. Takes some 10 seconds.
# Exit: 0 everything a class needs is there (warnings may remain), 1 something is not. The findings are kept in
# profiles/doctor/doctor.tsv for make record STEP=0.
#
#   scripts/doctor.sh
#
# Environment: PROFILES, NO_COLOR, DOCTOR_BUILD=0 (does not build what is missing).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/class/lib.sh
. scripts/class/lib.sh
# shellcheck source=scripts/class/fixes.sh
. scripts/class/fixes.sh
(($# == 0)) || misuse "unexpected argument '$1'; it takes none"
red=''
[[ -z $bold ]] || red=$'\e[31m'

# ---- findings ----------------------------------------------------------------------------------------
declare -A found=([ok]=0 [warn]=0 [fail]=0)
section() {
    clear_progress
    printf '\n%s%s%s\n' "$bold" "$1" "$reset"
}

# One line, and what to do about it, folded to the width of the terminal.
check() { # ok|warn|fail NAME DETAIL [FIX]
    local colour=$green
    clear_progress
    found[$1]=$((found[$1] + 1))
    [[ $1 != warn ]] || colour=$yellow
    [[ $1 != fail ]] || colour=$red
    printf '  %s%-4s%s  %-16s %s\n' "$colour" "$1" "$reset" "$2" "$3"
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$work/doctor.tsv"
    [[ -n ${4:-} ]] || return 0
    fold -s -w 92 <<<"${fixes[$4]:-$4}" | sed "1s/^/        ${dim}fix:${reset} /; 2,\$s/^/             /"
}

read_setting() { # FILE: its first word, or nothing
    local value=''
    read -r value _ 2>/dev/null <"$1" || true
    echo "$value"
}

# ---- tools ---------------------------------------------------------------------------------------------
tool_version() { # COMMAND: the first thing in its first line that looks like a version
    # shellcheck disable=SC2086 # a command with its flag
    $1 2>&1 | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)*' | head -n 1 || true
}

check_packages() { # GROUP STATUS FIX
    local missing status=0
    missing=$(scripts/deps.sh --check "$1" 2>&1) || status=$?
    if ((status == 0)); then
        check ok "packages: $1" "all there"
    elif [[ $missing == deps:* ]]; then
        check warn "packages: $1" "not Debian: what is installed is not known" packages
    else
        check "$2" "packages: $1" "missing: $(tr '\n' ' ' <<<"$missing")" "$3"
    fi
}

check_tool() { # NAME STATUS_WHEN_MISSING COMMAND FIX
    if command -v "${3%% *}" >/dev/null; then
        check ok "$1" "$(tool_version "$3")"
    else
        check "$2" "$1" "not on the PATH" "$4"
    fi
}

check_tools() {
    section "Tools"
    check_packages build fail packages
    check_packages test warn packages
    check_packages ui warn viewer
    check_tool "C compiler" fail "${CC:-gcc} --version" packages
    check_tool make fail "make --version" packages
    check_tool curl fail "curl --version" packages
    check_tool git warn "git --version" git
    if command -v pprof >/dev/null || command -v go >/dev/null; then
        check ok "pprof" "$(command -v pprof || echo "go tool pprof, go $(tool_version 'go version')")"
    else
        check warn "pprof" "neither pprof nor go is on the PATH" viewer
    fi
    check_tool graphviz warn "dot -V" viewer
}

# ---- the machine -----------------------------------------------------------------------------------------
check_where() {
    local where
    where=$(virtual)
    check ok system "$(system_name), $(uname -r), $(uname -m)"
    case $where in
    none) check ok "runs on" "the machine itself" ;;
    WSL2)
        if [[ $(uname -r) == *-Microsoft ]]; then check fail "runs on" "WSL1" wsl1; else check ok "runs on" "WSL2"; fi
        [[ $PWD != /mnt/[a-z]/* ]] || check warn folder "$PWD is on the Windows disk" wsl_disk
        ;;
    *) check ok "runs on" "$where: expect more noise than on the machine itself" ;;
    esac
}

check_processor() {
    local governor cores limit
    cores=$(nproc)
    if ((cores >= 2)); then check ok processor "$cores × $(cpu_name)"; else check warn processor "one core: $(cpu_name)" cores; fi
    limit=$(read_setting /sys/fs/cgroup/cpu.max)
    if [[ $limit =~ ^[0-9]+$ ]]; then
        check warn "processor limit" "the cgroup gives $(awk -v q="$limit" '{ printf "%.1f", q / $2 }' /sys/fs/cgroup/cpu.max) cores' time" cores
    fi
    governor=$(read_setting /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)
    case $governor in
    '') ;;
    performance | schedutil) check ok frequency "governor $governor" ;;
    *) check warn frequency "governor $governor: the clock changes with the load" governor ;;
    esac
}

check_load() {
    local load busy
    load=$(read_setting /proc/loadavg)
    busy=$(ps -eo pcpu=,comm= --sort=-pcpu 2>/dev/null | awk '$1 > 20 && $2 != "ps" { printf "%s%s (%d%%)", n++ ? ", " : "", $2, $1 } n == 3 { exit }') || true
    if awk -v l="$load" -v n="$(nproc)" 'BEGIN { exit !(l > n * 0.7) }'; then
        check warn load "$load on $(nproc) cores${busy:+: $busy}" load
    else
        check ok load "$load on $(nproc) cores"
    fi
}

check_room() {
    local disk memory
    disk=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
    if ((disk < 200)); then
        check fail disk "$disk MiB free" disk
    elif ((disk < 1024)); then
        check warn disk "$disk MiB free" disk
    else
        check ok disk "$((disk / 1024)) GiB free"
    fi
    [[ -w profiles ]] || check fail profiles "profiles/ is not writable" "chown -R \"\$(id -u)\" profiles"
    memory=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
    if ((memory < 700)); then check warn memory "$memory MiB available" memory; else check ok memory "$((memory / 1024)) GiB available"; fi
}

# What settings forbid. Those that forbid nothing here are not mentioned.
check_limits() {
    local value
    value=$(ulimit -i)
    [[ $value == unlimited || $value -ge 1024 ]] || check warn "pending signals" "limited to $value" ulimit_signals
    value=$(ulimit -n)
    [[ $value == unlimited || $value -ge 256 ]] || check warn "open files" "limited to $value" ulimit_files
    value=$(read_setting /proc/sys/kernel/yama/ptrace_scope)
    [[ -z $value || $value -lt 2 ]] || check warn ptrace "yama's ptrace_scope is $value" ptrace
    [[ -z ${LD_PRELOAD:-} ]] || check warn LD_PRELOAD "$LD_PRELOAD" preload
    [[ -z ${SAN:-} ]] || check warn build "with the $SAN sanitizer" sanitizer
}

# ---- captures ----------------------------------------------------------------------------------------------
# Builds what is missing, if all that takes is there.
build_programs() {
    [[ -x $BIN/doctor && -x $BIN/bench ]] && return 0
    [[ ${DOCTOR_BUILD:-1} == 1 ]] && scripts/deps.sh --check build >/dev/null 2>&1 || return 1
    say "  (the programs are not built yet; building them takes some seconds more)"
    ${MAKE:-make} --no-print-directory -s build -j"$(nproc)" >"$work/build" 2>&1
}

check_captures() {
    local status name detail fix
    section "Captures"
    if ! build_programs; then
        check fail programs "bin/ is not built$([[ ! -s $work/build ]] || echo ": $(grep -m 1 -E 'error|Error' "$work/build")")" build
        return
    fi
    progress "one second of work under the profiler"
    "$BIN/doctor" >"$work/captures" 2>"$work/err" ||
        check fail captures "$BIN/doctor ended with status $?: $(tail -n 1 "$work/err")" build
    while IFS=$'\t' read -r status name detail fix; do
        check "$status" "$name" "$detail" "$fix"
    done <"$work/captures"
}

# ---- ports ---------------------------------------------------------------------------------------------------
# Who listens on a port of this machine, as far as one may see.
owner_of() { # PORT
    local inode pid
    inode=$(awk -v port="$(printf '%04X' "$1")" '$4 == "0A" && $2 ~ ":" port "$" { print $10; exit }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    [[ $inode ]] || { echo "somebody"; return; }
    pid=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -printf '%p\n' 2>/dev/null | head -n 1 | cut -d/ -f3) || true
    if [[ $pid ]]; then echo "$(read_setting "/proc/$pid/comm") (process $pid)"; else echo "another user's process"; fi
}

check_ports() {
    local port taken=0 all
    section "Ports"
    all=$(grep -hoE '\b(6060|18[01][0-9]{2})\b' Makefile scripts/*.mk | sort -nu)
    for port in $all; do
        port_in_use "$port" || continue
        taken=1
        check warn "port $port" "taken by $(owner_of "$port")" \
            "end that process, or give another port: $([[ $port == 6060 ]] && echo 'make run-server ADDR=127.0.0.1:6061' || echo "make help names the variable, for example PORT_CPU=$((port + 100))")"
    done
    ((taken)) || check ok ports "$(wc -w <<<"$all") free: $(paste -sd' ' <<<"$all")"
}

# ---- noise ---------------------------------------------------------------------------------------------------
stolen() {
    awk '/^cpu / { print $9 + 0 }' /proc/stat
}

# The slow Fibonacci against itself, as compare-fib does it, but shorter.
check_noise() {
    local i noise before file
    [[ -x $BIN/bench ]] || return 0
    section "Noise"
    set_lab fib
    before=$(stolen)
    SECONDS=0
    for ((i = 1; i <= 10; i++)); do
        progress "noise: $i/10"
        for file in a b; do
            bench_variant recursive -benchtime=5x >>"$work/$file" 2>>"$work/err" && continue
            check fail noise "the benchmark failed: $(tail -n 1 "$work/err")" build
            return
        done
    done
    noise=$(awk -f scripts/noise.awk "$work/a" "$work/b")
    if awk -v n="$noise" 'BEGIN { exit !(n > 10) }'; then
        check warn noise "$noise%: what differs by less is not a difference on this machine now" noise
    else
        check ok noise "$noise%: what differs by less is not a difference"
    fi
    i=$((($(stolen) - before) / (SECONDS > 0 ? SECONDS : 1)))
    ((i <= 3 * $(nproc))) || check warn "stolen time" "$i% of a processor went to other machines" steal
}

# ---- the whole ---------------------------------------------------------------------------------------------------
make_work
check_tools
section "Machine"
check_where
check_processor
check_load
check_room
check_limits
check_captures
check_ports
check_noise
if [[ -w $PROFILES ]]; then
    mkdir -p "$PROFILES/doctor"
    keep "$work/doctor.tsv" "$PROFILES/doctor/doctor.tsv"
fi
printf '\n%d ok, %d warnings, %d failures' "${found[ok]}" "${found[warn]}" "${found[fail]}"
if ((found[fail])); then
    echo ": what failed has to be mended first"
    exit 1
fi
((found[warn])) && echo ": the steps work; what is warned of makes them less sharp or takes something away" || echo ": fit"
