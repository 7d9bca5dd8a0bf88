#!/bin/bash
# The files of VS Code and of the devcontainer: they are JSON, name only what exists (targets, tasks, inputs, programs, ports),
# agree with each other and with the Makefile, and their problem matchers recognise what the programs print.
# shellcheck disable=SC2119 # what server-lib.sh shares has optional arguments
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh
[[ -z $SAN ]] || skip_all "the editor runs the plain build"

tasks=.vscode/tasks.json launch=.vscode/launch.json settings=.vscode/settings.json container=.devcontainer/devcontainer.json
for file in .vscode/*.json .devcontainer/*.json; do
    holds "$file is JSON" jq empty "$file"
done

# none NAME LINES: lines that should not be there.
none() {
    is "$1" "$2" ""
}

# ---- tasks: labels, inputs, dependencies ---------------------------------------------------------------
none "each task has a label of its own" "$(jq -r '.tasks[].label' $tasks | sort | uniq -d)"
none "what tasks depend on are tasks" "$(jq -r '[.tasks[].label] as $all | .tasks[].dependsOn // [] | .[] | select(. as $d | $all | index($d) | not)' $tasks)"
none "what is launched has its tasks before it" \
    "$(jq -r --slurpfile t $tasks '.configurations[].preLaunchTask | select(. as $d | [$t[0].tasks[].label] | index($d) | not)' $launch)"
for file in $tasks $launch; do
    is "$file: inputs that are used are defined, and the other way round" \
        "$(grep -o '\${input:[A-Za-z]*}' "$file" | sed 's/.*:\(.*\)}/\1/' | sort -u)" "$(jq -r '.inputs[].id' "$file" | sort -u)"
done
like "each step with something to do is a task" "$(jq -r '.tasks[].label' $tasks)" '^Step 1: '
for guide in docs/en/step[1-8]-*.md; do
    n=${guide#docs/en/step} n=${n%%-*}
    like "step $n has a task" "$(jq -r '.tasks[].label' $tasks)" "^Step $n: "
done

# ---- tasks: commands -----------------------------------------------------------------------------------
# One command for every value that a pick offers; the first value of the others.
expand() { # COMMAND
    local id value
    if [[ $1 =~ \$\{input:([A-Za-z]+)\} ]]; then
        id=${BASH_REMATCH[1]}
        while IFS= read -r value; do
            expand "${1//"\${input:$id}"/$value}"
        done < <(jq -r --arg id "$id" '.inputs[] | select(.id == $id) | .options // [.default // ""] | .[]' $tasks)
    else
        echo "$1"
    fi
}
# Not asked of make -n: recipes that call make again would run.
make -qp DEPS=0 >"$tmp/rules" 2>/dev/null
targets=" $(sed -n 's/^\([a-z][a-z-]*\):.*/\1/p' "$tmp/rules" | tr '\n' ' ') "
while IFS= read -r command; do
    while IFS= read -r expanded; do
        wrong=''
        read -ra words <<<"$expanded"
        for word in "${words[@]}"; do
            [[ $word == make || $word == -k || $word =~ ^[A-Z_]+= || $targets == *" $word "* ]] || wrong+="$word "
        done
        is "every word of '$expanded' is a target or a setting" "$wrong" ""
    done < <(expand "$command")
done < <(jq -r '.tasks[].command | select(startswith("${input:stop}") | not)' $tasks)

# Those that are quick are run: they end well, and none needs a terminal.
for label in Build 'Build tests'; do
    run bash -c "$(jq -r --arg l "$label" '.tasks[] | select(.label == $l).command' $tasks)"
    exits "task '$label' runs" 0
done

# ---- problem matchers ----------------------------------------------------------------------------------
pattern() { # LABEL
    jq -r --arg l "$1" '.tasks[] | select(.label == $l).problemMatcher.background.endsPattern' $tasks
}
none "every task in the background says when it is ready" \
    "$(jq -r '.tasks[] | select(.isBackground and (.problemMatcher.background.endsPattern | not)).label' $tasks)"
# Without a line in the message a pattern has to be of the kind "file", else VS Code drops what it finds.
none "every pattern of ours tells a file, a message, and that there is no line" \
    "$(jq -r '.tasks[] | select(.problemMatcher | type == "object") |
        select(.problemMatcher.pattern | .kind != "file" or .file != 1 or .message != 2 or (.regexp | [scan("\\(")] | length < 2)).label' $tasks)"
error_of() { # LABEL
    jq -r --arg l "$1" '.tasks[] | select(.label == $l).problemMatcher.pattern.regexp' $tasks
}
run "$BIN/server" -addr 0.0.0.0:1
like "what the server says of a mistake is recognised" "$err" "$(error_of Server)"
run scripts/collect-pprof.sh --nonsense
like "and the collector" "$err" "$(error_of 'Step 8: collect')"
run scripts/ui.sh
like "and a viewer" "$err" "$(error_of 'Step 1: CPU profile')"
run scripts/trace.sh nonsense
like "and the recorder of traces" "$err" "$(error_of 'Step 4: trace')"
run scripts/compare.sh nonsense
like "and a comparison" "$err" "$(error_of 'Step 5: compare')"
start_server
like "the server's start line is recognised" "$(sed "s/127.0.0.1:[0-9]*/127.0.0.1:6060/" "$server_log")" "$(pattern Server)"
mkdir -p "$tmp/cpu"
"$BIN/cpu_hot" -n 5 -workers 1 -impl memo -cpuprofile "$tmp/cpu/x.pb.gz" >/dev/null
if command -v pprof >/dev/null || command -v go >/dev/null; then
    start scripts/ui.sh CPU PORT_CPU "$(free_port)" "$tmp/cpu/x.pb.gz"
    wait_for 20 grep -q Ctrl-C "$tmp/start.out"
    like "a viewer's last line is recognised" "$(cat "$tmp/start.out")" "$(pattern 'Step 1: CPU profile')"
else
    skip "a viewer's last line" "there is no viewer"
fi

# ---- launch --------------------------------------------------------------------------------------------
none "programs that are launched are built" "$(jq -r '.configurations[].program' $launch |
    sed "s,\${workspaceFolder}/,,; s,\${input:ctest},$(jq -r '.inputs[] | select(.id == "ctest").default' $launch)," |
    while read -r file; do grep -q "^$file:" "$tmp/rules" || echo "$file"; done)"
run "$BIN/bench" -list .
for name in $(jq -r '.inputs[] | select(.id == "benchmark").options[]' $launch); do
    like "there is the benchmark $name" "$out" "$name"
done

# ---- ports ---------------------------------------------------------------------------------------------
# The Makefile's, and those of the scripts that it calls.
made=$({ grep -ohE '\b180[89][0-9]\b' Makefile scripts/*.mk scripts/*.sh; echo 6060; } | sort -u)
is "the devcontainer forwards the Makefile's ports" "$(jq -r '.forwardPorts[]' $container | sort -u)" "$made"
is "help and the doctor have them from the makefiles" "$({ grep -ohE '\b180[89][0-9]\b' Makefile scripts/*.mk; echo 6060; } | sort -u)" "$made"
is "and labels each of them" "$(jq -r '.portsAttributes | keys[]' $container | sort -u)" "$made"
is "as the settings do for every remote window" "$(jq -S '."remote.portsAttributes"' $settings)" "$(jq -S .portsAttributes $container)"
none "each label is there once" "$(jq -r '.portsAttributes[].label' $container | sort | uniq -d)"
none "ports that tasks tell of are forwarded" "$(jq -r '.tasks[].detail' $tasks | grep -oE '\b(18[0-9]{3}|6060)\b' | sort -u |
    comm -23 - <(jq -r '.forwardPorts[]' $container | sort -u))"

# ---- the container -------------------------------------------------------------------------------------
docker=.devcontainer/$(jq -r .build.dockerfile $container)
like "it is Debian 12" "$(cat "$docker")" '^FROM debian:12'
none "what it copies is there" "$(sed -n 's/^COPY \([^ ]*\) .*/\1/p' "$docker" | while read -r file; do [[ -e $file ]] || echo "$file"; done)"
groups=$(sed -n 's/.*deps.sh \([a-z ]*\) &&.*/\1/p' "$docker")
like "the packages come from deps.sh" "$groups" '^build test ui editor$'
# shellcheck disable=SC2086 # several groups
run scripts/deps.sh --check $groups
holds "in groups that it knows" test "$rc" -lt 2
like "perf_event_open is allowed" "$(jq -r '.runArgs[]' $container)" '^--cap-add=PERFMON$'
is "the user is one that the image makes" "$(jq -r .remoteUser $container)" "$(sed -n 's/^USER //p' "$docker")"
is "the same extensions inside and outside" "$(jq -S .customizations.vscode.extensions $container)" \
    "$(jq -S .recommendations .vscode/extensions.json)"
none "folders of the C settings exist" "$(jq -r '.configurations[] | .includePath[], .browse.path[]' .vscode/c_cpp_properties.json |
    sed "s,\${workspaceFolder},$PWD," | while read -r dir; do [[ -d $dir ]] || echo "$dir"; done)"
done_testing
