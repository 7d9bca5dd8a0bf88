#!/bin/bash
# The ports of the viewers: what is no port is refused in one sentence before any work, whether a browser is opened or not.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
export PROFILES=$tmp/profiles
# Flags of the make that runs this are not those of the makes below.
unset MAKEFLAGS MFLAGS MAKELEVEL

# The script's command that uses each variable.
declare -A user=(
    [PORT_SERVER]="server-profile.sh cpu 1s" [PORT_BLOCK]="server-profile.sh block"
    [PORT_MUTEX]="server-profile.sh mutex" [PORT_LATEST]="server-profile.sh latest cpu"
    [PORT_DIFF]="server-profile.sh diff Makefile Makefile"
    [PORT_TRACE]="trace.sh fib" [PORT_TRACE_AFTER]="trace.sh mutex"
)
for lab in FIB ALLOC MUTEX ESCAPE ARRAY CALLBACK; do
    user[PORT_${lab}_BEFORE]="compare.sh ${lab,,}"
    user[PORT_${lab}_AFTER]="compare.sh ${lab,,}"
done

for name in "${!user[@]}"; do
    for ui in 0 1; do
        read -ra command <<<"scripts/${user[$name]}"
        refuses "$name=abc, UI=$ui" 2 "^[a-z-]+: $name=abc: expected a port, 1 to 65535\$" env UI=$ui "$name=abc" "${command[@]}"
    done
done
refuses "of another command too" 2 'PORT_DIFF=1e3: expected' env UI=0 PORT_DIFF=1e3 scripts/leak_diff.sh
refuses "of one side alone" 2 'PORT_FIB_AFTER=-1: expected' env UI=0 PORT_FIB_AFTER=-1 scripts/profile.sh fib after
for port in 0 65536 080 99999999999999999999 ' ' '1 2'; do
    refuses "'$port' is no port" 2 "^trace: PORT_TRACE=$port: expected" env UI=0 "PORT_TRACE=$port" scripts/trace.sh fib
done
holds "nothing was done for them" test ! -e "$PROFILES"/bench -a ! -e "$PROFILES"/cpu -a ! -e "$PROFILES"/trace

# The Makefile hands these two to ui.sh.
for name in PORT_CPU PORT_HEAP; do
    target=${name,,}
    for port in abc '1 2' ''; do
        run make --no-print-directory DEPS=0 UI=0 "$name=$port" "pprof-${target#port_}"
        exits "$name='$port'" 2
        is "$name='$port' says why" "${err%%$'\n'*}" "ui: $name=$port: expected a port, 1 to 65535"
    done
done

# Those that the Makefile knows and those tried here are the same. (Of the memory comparisons' its help names one.)
is "every variable was tried" \
    "$(grep -ohE '\bPORT_[A-Z_]+' Makefile scripts/*.mk | grep -vE '_$|ESCAPE' | sort -u)" \
    "$(printf '%s\n' "${!user[@]}" PORT_CPU PORT_HEAP | grep -vE 'ESCAPE|ARRAY|CALLBACK' | sort -u)"

done_testing
