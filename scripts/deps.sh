#!/bin/bash
# Installs the Debian packages that c-prof-labs needs and this machine does not have; `make` calls it, so nobody
# has to. It asks dpkg once (some 20 ms), so it costs nothing when everything is there, and it touches nothing else.
#
#   scripts/deps.sh [--check] [GROUP...]     groups: build test ui editor peers ci; build test ui when none is named
set -euo pipefail

# Package, and after a colon the commands that serve as well: one of them on the PATH, and it is not asked for.
# shellcheck disable=SC2034 # the groups are used by name
{
build=(
    gcc                     # the compiler
    libc6-dev make
    libdw-dev libelf-dev    # symbolization
    zlib1g-dev              # profiles are gzip'd
    libmicrohttpd-dev       # the endpoints
    libgoogle-perftools-dev # tcmalloc, which the labs run on
    libssl-dev              # SHA-256 in the labs
    libpcre2-dev            # -bench and benchstat's -filter take regular expressions
    uthash-dev              # hash tables
    libgc-dev               # the garbage collector of step 7
)
test=(
    libcmocka-dev # tests in C
    curl jq       # tests of the endpoints and of JSON output
    python3       # programs that are run under prof run
    pkg-config    # tests/make.sh builds against the installed library
)
ui=(
    golang-go:pprof/go # the viewer: go tool pprof
    graphviz           # its Graph view
)
editor=(
    gdb # .vscode/launch.json
)
peers=( # software to profile that nobody here wrote: tests/preload.sh, scripts/perf/preload.sh
    redis-server redis-tools
    memcached
    nginx-light:nginx wrk
    postgresql
    sqlite3
    stress-ng
    openssl # makes files to serve
    lttng-tools liblttng-ust-dev # what an event costs elsewhere: scripts/perf/lttng.sh
)
ci=(
    clang shellcheck
    chromium # the pages, in a browser
)
}

usage() {
    echo "usage: scripts/deps.sh [--check] [build|test|ui|editor|peers|ci ...]"
    echo "  installs what is missing of the named groups (build, test and ui when none is named); --check only lists it"
}

# One line that says what to do, then the exit.
fail() {
    echo "deps: $*" >&2
    exit 1
}

has_alternative() { # PACKAGE:command/command
    local command commands
    [[ $1 == *:* ]] || return 1
    IFS=/ read -ra commands <<<"${1#*:}"
    for command in "${commands[@]}"; do
        command -v "$command" >/dev/null && return 0
    done
    return 1
}

# Sets missing=() to the packages of wanted=() that are not installed.
find_missing() {
    local entry have
    have=" $(dpkg-query -W -f='${Package}=${db:Status-Status} ' "${wanted[@]%%:*}" 2>/dev/null || true)"
    missing=()
    for entry in "${wanted[@]}"; do
        [[ $have == *" ${entry%%:*}=installed "* ]] && continue
        has_alternative "$entry" && continue
        missing+=("${entry%%:*}")
    done
}

check=0
wanted=()
for arg; do
    case $arg in
    --check) check=1 ;;
    build | test | ui | editor | peers | ci)
        declare -n group=$arg
        wanted+=("${group[@]}")
        ;;
    -h | --help) usage; exit 0 ;;
    *)
        echo "deps: unknown argument '$arg'" >&2
        usage >&2
        exit 2
        ;;
    esac
done
((${#wanted[@]})) || wanted=("${build[@]}" "${test[@]}" "${ui[@]}")

if ! command -v dpkg-query >/dev/null; then
    fail "this is not Debian; install what provides ${wanted[*]%%:*}, then run make with DEPS=0"
fi

# Two makes at once must not both run apt-get. The lock is on this file: nothing to clean up.
exec 9<"$0"
find_missing
((${#missing[@]} == 0)) && exit 0
if ((check)); then
    printf '%s\n' "${missing[@]}"
    exit 1
fi
flock 9
find_missing
((${#missing[@]} == 0)) && exit 0

as_root=()
if ((EUID != 0)); then
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
        as_root=(sudo)
    else
        fail "not root, and no sudo to ask; as root run: apt-get install -y --no-install-recommends ${missing[*]}"
    fi
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@"
}

# Servers are wanted as programs here; as services they would take ports on this machine. Debian asks policy-rc.d
# before it starts one, and enables it for the next start of the machine all the same.
policy=/usr/sbin/policy-rc.d
deny_services() {
    [[ -e $policy ]] && { policy=''; return; }
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
}
allow_services() {
    local service
    [[ $policy ]] && "${as_root[@]}" rm -f "$policy"
    command -v systemctl >/dev/null || return 0
    for service in redis-server memcached nginx postgresql; do
        [[ " ${missing[*]} " == *" $service"* ]] && "${as_root[@]}" systemctl disable "$service" >/dev/null 2>&1
    done
    return 0
}

# A fresh machine has no package lists, an old one has stale ones: in both cases update and try once more.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for package in "${missing[@]}"; do
    if [[ " ${peers[*]%%:*} " == *" $package "* ]]; then
        trap 'rm -f "$log"; allow_services' EXIT
        deny_services
        break
    fi
done
echo "deps: installing ${missing[*]}"
install=(install -y --no-install-recommends "${missing[@]}")
if ! apt "${install[@]}" >"$log" 2>&1; then
    if ! { apt update && apt "${install[@]}"; } >"$log" 2>&1; then
        grep -E '^(E|W|Err)' "$log" | tail -5 >&2 || tail -5 "$log" >&2
        fail "apt-get failed (no network?); when it works again run:" \
            "${as_root[*]:+sudo }apt-get update && ${as_root[*]:+sudo }apt-get install -y --no-install-recommends ${missing[*]}"
    fi
fi
echo "deps: done"
