#!/bin/bash
# make doctor: what it finds on this machine, on one where nothing is installed, and what it says to do. That a capture works is
# tested here too: it takes real ones.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -z $SAN ]] || skip_all "it judges the plain programs"
unset MAKEFLAGS CC NO_COLOR LD_PRELOAD
export PROFILES=$tmp/profiles

run scripts/doctor.sh
like "a last line that sums up" "$(tail -n 1 <<<"$out")" '^[0-9]+ ok, [0-9]+ warnings, [0-9]+ failures: '
is "the exit says whether something failed" "$rc" "$(grep -q '^  fail' <<<"$out" && echo 1 || echo 0)"
for name in 'C compiler' make 'packages: build' system processor disk memory; do
    like "it looked at: $name" "$out" "^  (ok|warn|fail) +$name +[^ ]"
done
like "CPU samples were taken" "$out" '^  (ok|warn) +CPU samples +[1-9][0-9]* '
like "fib was symbolized, with its file" "$out" '^  ok +symbols +fib_recursive, slow\.c$'
like "and its call depth is there" "$out" '^  ok +call depth +fib_recursive [12][0-9] deep$'
like "heap samples" "$out" '^  ok +heap samples +[0-9]+ MiB of 64 allocated$'
like "lock samples" "$out" '^  ok +lock samples +waited [0-9]+ ms, found with its holder$'
like "switch records, or why not" "$out" '^  (ok|warn) +switch records +[^ ].*(perf_event_paranoid|perf)'
like "the noise in per cent" "$out" '^  (ok|warn) +noise +[0-9.]+%'
unlike "no colour in a file" "$out" $'\e'
is "every warning says what to do" "$(grep -cE '^  (warn|fail)' <<<"$out")" "$(grep -c '^        fix: ' <<<"$out")"
is "the findings are kept for make record" "$(cut -f1 "$PROFILES/doctor/doctor.tsv" | sort | uniq -c | awk '{ n += $1 } END { print n }')" \
    "$(grep -cE '^  (ok|warn|fail) ' <<<"$out")"
unlike "no problem is without a fix" "$(grep '^        fix: ' <<<"$out")" '^        fix: [a-z_]+$'

# ---- a machine without anything -----------------------------------------------------------------------------
mkdir "$tmp/bin" "$tmp/none"
printf '#!/bin/sh\nexit 1\n' >"$tmp/bin/dpkg-query"
chmod +x "$tmp/bin/dpkg-query"
run env PATH="$tmp/bin:$PATH" BIN="$tmp/none" scripts/doctor.sh
exits "without packages and programs" 1
like "it names the packages" "$out" '^  fail  packages: build  missing: gcc .*libdw-dev'
like "and how to get them" "$(tr -s ' \n' ' ' <<<"$out")" 'fix: make installs them .*scripts/deps\.sh'
like "and what is not built" "$out" '^  fail +programs +bin/ is not built'
like "and goes on to the end" "$out" '^[0-9]+ ok, .* what failed has to be mended first$'
is "it built nothing" "$(find "$tmp/none" -type f)" ""

# ---- refusals ---------------------------------------------------------------------------------------------------
fake() { # LINE: what the capturing program found
    printf '#!/bin/sh\nprintf "%s\\n"\n' "$1" >"$tmp/none/doctor"
    printf '#!/bin/sh\necho "BenchmarkFib/impl=recursive-2 1 100 ns/op"\n' >"$tmp/none/bench"
    chmod +x "$tmp/none"/*
    run env BIN="$tmp/none" scripts/doctor.sh
    text=$(tr -s ' \n' ' ' <<<"$out")
}
fake 'warn\tswitch records\trefused: perf_event_paranoid is 4\tperf_paranoid'
like "strict settings: what to set" "$text" 'warn switch records refused: perf_event_paranoid is 4 fix: as root: sysctl kernel\.perf_event_paranoid=2'
unlike "are no failure" "$out" '^  fail +switch'
fake 'warn\tswitch records\trefused\tperf_seccomp'
like "seccomp: how to start the container" "$text" 'fix: .*docker run --cap-add PERFMON'
# A container's seccomp filter, for real: perf_event_open is refused.
cat >"$tmp/refuse.py" <<'PY'
import ctypes, os, platform, struct, sys
number = 241 if platform.machine() == "aarch64" else 298
rule = lambda code, yes, no, k: struct.pack("HBBI", code, yes, no, k)
code = ctypes.create_string_buffer(rule(0x20, 0, 0, 0) + rule(0x15, 0, 1, number) + rule(6, 0, 0, 0x50001) + rule(6, 0, 0, 0x7FFF0000))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
libc = ctypes.CDLL(None)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit(77)
os.execvp(sys.argv[1], sys.argv[1:])
PY
run python3 "$tmp/refuse.py" "$BIN/doctor"
if ((rc == 77)); then
    skip "perf_event_open refused by seccomp" "this kernel takes no filter"
else
    like "refused by seccomp, it says so" "$out" $'^warn\tswitch records\t.*(Operation not permitted).*\tperf_(seccomp|paranoid)$'
    like "the rest works" "$out" $'^ok\theap samples'
fi
fake 'fail\tcall depth\ttoo flat\tdepth'
exits "a capture that is no use is a failure" 1
like "with its fix" "$text" 'fix: stacks are cut off'
grep -hoE '"(samples|symbols|depth|heap|locks|perf_[a-z]+|clock)"' cmd/doctor/*.c | tr -d '"' | sort -u >"$tmp/named"
is "every fix that the program names is known" "$(comm -23 "$tmp/named" <(grep -oE '^    \[[a-z_]+\]' scripts/class/fixes.sh | tr -d ' []' | sort))" ""
holds "and it names some" grep -q perf_seccomp "$tmp/named"

# ---- ports ------------------------------------------------------------------------------------------------------------
if ! (: <"/dev/tcp/127.0.0.1/18095") 2>/dev/null; then
    start python3 -c 'import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 18095)); s.listen(); time.sleep(100)'
    if wait_for 10 bash -c ': </dev/tcp/127.0.0.1/18095'; then
        fake 'ok\tnothing\t\t'
        like "who has a port" "$out" "^  warn +port 18095 +taken by python3? ?.*\\(process $pid\\)"
    fi
fi
run scripts/doctor.sh now
exits "an argument" 2
one_line "is refused in one line" "$err"
run "$BIN/doctor" now
exits "of the program, too" 2
done_testing
