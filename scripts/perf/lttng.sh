#!/bin/bash
# An event of ours beside one of LTTng-UST's on this machine, in turns: the same loop, the same arguments, both recording.
# Needs lttng-tools and liblttng-ust-dev (scripts/deps.sh peers); without them it says so and measures nothing.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../lib.sh"

own=build/plain/perf/trace
work=$(mktemp -d)
started=''

end() {
    lttng destroy kit-perf >/dev/null 2>&1
    [[ $started ]] && kill "$(<"$work/sessiond.pid")" 2>/dev/null
    rm -rf "$work"
}
trap end EXIT

# Exit 0, as nothing was missed.
skip() {
    echo "LTTng-UST was not compared: $*"
    exit 0
}

command -v lttng lttng-sessiond >/dev/null || skip "lttng-tools is missing; scripts/deps.sh peers installs it"
echo "#include <lttng/tracepoint.h>" | ${CC:-cc} -E -o /dev/null - 2>/dev/null || skip "liblttng-ust-dev is missing; scripts/deps.sh peers installs it"
[[ -x $own ]] || skip "$own is missing; make perf builds it"
${CC:-cc} -O2 -D_GNU_SOURCE -I. -Ibench/perf/lttng -o "$work/event" bench/perf/lttng/event.c -llttng-ust -ldl -lm \
    2>"$work/log" || skip "its program does not compile: $(tail -n 1 "$work/log")"

# A session daemon that is there already is somebody else's, and stays.
export LTTNG_HOME=$work
if ! lttng list >/dev/null 2>&1; then
    lttng-sessiond --background --no-kernel --pidfile="$work/sessiond.pid" >"$work/log" 2>&1 ||
        skip "its session daemon does not start: $(tail -n 1 "$work/log")"
    started=yes
fi
{
    lttng create kit-perf --output="$work/out" &&
        lttng enable-channel --userspace --session=kit-perf --subbuf-size=4M --num-subbuf=4 all &&
        lttng enable-event --userspace --session=kit-perf --channel=all 'kit:counter' &&
        lttng start kit-perf
} >"$work/log" 2>&1 || skip "its session does not start: $(tail -n 1 "$work/log")"

median() { sort -n | sed -n 3p; }
ours=() theirs=()
for _ in 1 2 3 4 5; do
    ours+=("$("$own" -event)")
    theirs+=("$(cd "$work" && ./event)")
done
a=$(printf '%s\n' "${ours[@]}" | median)
b=$(printf '%s\n' "${theirs[@]}" | median)
lttng stop kit-perf >/dev/null 2>&1
events=$(find "$work/out" -type f -size +64k | wc -l)
((events)) || skip "its session recorded nothing"
awk -v a="$a" -v b="$b" 'BEGIN {
    ok = (b >= 3 * a)
    printf "trace: a counter beside LTTng-UST  %.1f ns (LTTng %.1f ns, %.1fx)  >= 3x  %s\n", a, b, b / a, ok ? "ok" : "MISSED"
    exit !ok
}'
