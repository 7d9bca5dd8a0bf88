#!/bin/bash
# Opens profiles in pprof's web interface, each on its port, until Ctrl-C, which stops all of them.
#
#   scripts/ui.sh [-sample_index=NAME] TITLE VARIABLE PORT FILE [TITLE VARIABLE PORT FILE]...
#
# VARIABLE is the Makefile's name for the port, said when the port is taken. UI=0 prints the commands instead.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

options=()
while [[ ${1:-} == -* ]]; do
    options+=("$1")
    shift
done
(($# > 0 && $# % 4 == 0)) || misuse "usage: scripts/ui.sh [-sample_index=NAME] TITLE VARIABLE PORT FILE ..."

viewers=()
stop_viewers() {
    trap - INT TERM EXIT
    ((${#viewers[@]} == 0)) || kill "${viewers[@]}" 2>/dev/null || true
    wait
}

declare -A takes=([PORT_CPU]="make run-cpu or make bench-cpu" [PORT_HEAP]="make run-mem or make bench-mem")
titles=() ports=() files=()
while (($#)); do
    check_port "$2" "$3"
    [[ -s $4 ]] || fail "no profile $4${takes[$2]:+; ${takes[$2]} takes one}"
    [[ ${UI:-1} == 0 ]] || require_port "$2" "$3"
    titles+=("$1") ports+=("$3") files+=("$4")
    shift 4
done

if [[ ${UI:-1} == 0 ]]; then
    for i in "${!titles[@]}"; do
        echo "  ${titles[i]}: scripts/pprof ${options[*]:+${options[*]} }-http=127.0.0.1:${ports[i]} ${files[i]}"
    done
    exit 0
fi

# A browser is opened where there is a desktop to open it on.
[[ ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]] || options+=(-no_browser)
log=$(mktemp)
trap 'rm -f "$log"; stop_viewers' EXIT
trap 'exit 0' INT # the way to end it
trap 'exit 143' TERM HUP
for i in "${!titles[@]}"; do
    scripts/pprof "${options[@]}" -http="127.0.0.1:${ports[i]}" "${files[i]}" </dev/null >>"$log" 2>&1 &
    viewers+=($!)
done
for i in "${!titles[@]}"; do
    await "${viewers[i]}" port_in_use "${ports[i]}" || fail "pprof did not start on port ${ports[i]}: $(tail -1 "$log")"
    echo "  ${titles[i]}: http://127.0.0.1:${ports[i]}/ui/"
done
echo "  Ctrl-C stops $( ((${#titles[@]} > 1)) && echo both || echo it)"
wait
