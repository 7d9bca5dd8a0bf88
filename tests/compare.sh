#!/bin/bash
# scripts/compare.sh and what it stands on: the noise floor, the functions side by side, the verdict's exit status, what is
# kept and what is not, the viewers and their ports. No speed is claimed here that a loaded machine could take back: only
# that the memoised Fibonacci beats the recursive one, which it does ten thousand times over.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -z $SAN ]] || skip_all "it measures, and a sanitizer distorts that"
unset MAKEFLAGS BEFORE AFTER BENCH_COUNT BENCH_TIME NO_COLOR
export PROFILES=$tmp/profiles UI=0

compare() { # ARGUMENT...: quick, for what is tested is not the figures
    run env BENCH_COUNT="${BENCH_COUNT:-5}" BENCH_TIME="${BENCH_TIME:-1x}" PROFILE_SECONDS="${PROFILE_SECONDS:-0.5}" scripts/compare.sh "$@"
}
kept() { find "$PROFILES" -mindepth 1 2>/dev/null | wc -l; }

# ---- the noise floor ---------------------------------------------------------------------------------------
results() { # FILE NS...
    local file=$1 ns
    shift
    echo "goos: linux" >"$file"
    for ns; do
        printf 'BenchmarkX/impl=a-2   \t 10\t %s ns/op\t 3 B/op\n' "$ns" >>"$file"
    done
}
noise() { awk -f scripts/noise.awk "$tmp/a" "$tmp/b"; }
results "$tmp/a" 100 100 100 100 100
cp "$tmp/a" "$tmp/b"
is "equal runs have no noise" "$(noise)" 0.0
results "$tmp/b" 110 110 110 110 110
is "a shift is noise, upwards" "$(noise)" 9.1
results "$tmp/b" 80 80 80 80 80
is "and downwards" "$(noise)" 20.0
results "$tmp/a" 100 100 100 100 100
results "$tmp/b" 300 300 300 300 300
is "noise of a factor of 3 takes two thirds away" "$(noise)" 66.7
results "$tmp/a" 100 101 99 100 102 100 98 100 101 5000
results "$tmp/b" 100 100 99 101 100 102 100 98 1 100
is "an outlier on either side does not matter" "$(noise)" 2.0

# ---- side by side --------------------------------------------------------------------------------------------
cat >"$tmp/before.top" <<'EOT'
File: bench
Type: cpu
Showing nodes accounting for 3000000000ns, 100% of 3000000000ns total
      flat  flat%   sum%        cum   cum%
2000000000ns 66.67% 66.67% 3000000000ns   100%  slow_one
 600000000ns 20.00% 86.67%  600000000ns 20.00%  helper (inline)
 400000000ns 13.33%   100%  400000000ns 13.33%  helper
         0     0%   100% 3000000000ns   100%  main
EOT
cat >"$tmp/after.top" <<'EOT'
      flat  flat%   sum%        cum   cum%
1000000000ns 50.00% 50.00% 2000000000ns   100%  helper
 999000000ns 49.95% 99.95%  999000000ns 49.95%  a_function_with_a_name_longer_than_its_column
   1000000ns  0.05%   100%    1000000ns  0.05%  slow_one
EOT
side_by_side() {
    run env LC_ALL=C awk -f scripts/top.awk -v unit="${unit:-ns}" -v what='CPU time' -v before=old -v after=new \
        -v before_ops=10 -v after_ops=1000 "$@" "$tmp/before.top" "$tmp/after.top"
}
side_by_side
like "values are per operation, on both sides" "$out" '^  1  slow_one +200 ms +66\.7%  helper +1\.00 ms +50\.0%$'
like "inlined and not is one function" "$out" '^  2  helper +100 ms +33\.3%  a_function_with_a_name_\.\.\. +999 µs +50\.0%$'
like "the totals are below" "$out" '\(all\) +300 ms +\(all\) +2\.00 ms$'
like "the function that fell most is named, and not by 100 %" "$out" \
    '^slow_one fell from 200 ms to 1\.00 µs an operation \(99\.999% less\)\.$'
unlike "a function that used nothing itself is not listed" "$out" ' main'
side_by_side -v quantum=1e9
like "what is luck is not called a fall" "$out" '^No function fell by more than the luck of sampling explains\.$'
side_by_side -v whole=Waiting
like "the total can be what fell" "$out" '^Waiting fell from 300 ms to 2\.00 ms an operation \(99\.333% less\)\.$'
side_by_side -v before_ns=3e8 -v after_ns=1e6
like "cores at work" "$out" '\(cores at work\) +1\.00 +\(cores at work\) +2\.00$'
sed -i 's/ns /B /g' "$tmp/before.top" "$tmp/after.top"
unit=B side_by_side
like "bytes have bytes' units" "$out" '^  1  slow_one +191 MiB'

# ---- misuse ----------------------------------------------------------------------------------------------------
misused() { # NAME STATUS REGEX: of the latest run
    exits "$1" "$2"
    one_line "$1: one line" "$err"
    like "$1: says why" "$err" "$3"
    is "$1: keeps nothing" "$(kept)" 0
}
compare fibonacci
misused "an unknown lab" 2 "no lab 'fibonacci'; there are: fib alloc mutex leak"
compare
misused "no lab" 2 '^compare: usage'
BENCH_COUNT=many compare fib
misused "a count that is none" 2 '^compare: BENCH_COUNT=many: expected'
BENCH_TIME=long compare fib
misused "a time that is none" 2 '^compare: BENCH_TIME=long: expected a duration'
AFTER=memory compare fib
exits "an unknown variant" 2
one_line "is refused in one line" "$err"
is "and named, with those that there are" "$err" \
    "compare: lab fib has no variant 'memory'; there are: iterative memo recursive"
AFTER=recursive compare fib
misused "a variant against itself" 2 "both 'recursive'"
mkdir -p "$tmp/elsewhere/scripts"
AFTER=recursive CDPATH=$tmp/elsewhere compare fib
misused "and with a CDPATH that has a folder scripts" 2 "both 'recursive'"
is "which is not gone to" "$out" ""
AFTER=memory compare leak
exits "an unknown variant of leak" 2
is "is refused in one line that names those that there are" "$err" \
    "compare_leak: leak_hot: -impl 'memory': expected leaky or joined"
AFTER=memory run scripts/profile.sh fib after
exits "an unknown variant to be profiled" 2
is "is refused with the same words" "$err" \
    "profile: lab fib has no variant 'memory'; there are: iterative memo recursive"
BENCH_TIME=long run scripts/profile.sh fib after
exits "a time that is none, profiling" 2
like "is refused in the benchmark's words" "$err" '^profile: .*invalid value "long" for -benchtime: expected a duration'
PROFILES=/dev/null/x compare fib
exits "a folder that cannot be" 1
like "is named" "$err" '^compare: cannot write to /dev/null/x'

mkdir "$tmp/bin"
printf '#!/bin/bash\necho "bench: out of order" >&2; exit 1\n' >"$tmp/bin/bench"
chmod +x "$tmp/bin/bench"
BIN=$tmp/bin compare fib
exits "a benchmark that fails" 1
like "is reported with its own words" "$err" '^compare: .*bench failed on recursive: bench: out of order$'
is "and nothing is kept" "$(find "$PROFILES" -mindepth 1)" ""

# ---- for real ----------------------------------------------------------------------------------------------------
# A profile covers the operations that fit into its seconds at the pace of the runs, which is slow where others have the CPU;
# fewer than ten samples show nothing.
PROFILE_SECONDS=1.5 compare fib
exits "the fix is proven faster" 0
like "the noise floor comes first" "$(head -n 3 <<<"$out")" '^ +[0-9.]+%: '
like "the table has both variants" "$out" 'recursive.*memo'
like "the verdict is one sentence" "$out" '^memo is [0-9,.]+x faster than recursive \(.*p=0\.0[0-9]+.*n=5\+5.*noise floor'
like "the function that fell is named" "$out" '^fib_recursive fell from .* an operation to nothing\.$'
like "it says how to look at the profiles" "$out" 'before: scripts/pprof -http=127.0.0.1:18090 .*cpu/fib_before_'
unlike "no colour in a file" "$out" $'\e'
for file in bench/fib_*[0-9].txt bench/fib_*_noise.txt bench/fib_*_report.txt cpu/fib_before_*.pb.gz cpu/fib_after_*.pb.gz; do
    # shellcheck disable=SC2086
    holds "keeps $file" test -s "$PROFILES"/$file
done
is "and nothing else" "$(kept)" 7
is "results of both, five each" "$(grep -c ^Benchmark "$PROFILES"/bench/fib_*[0-9].txt)" 10
like "profiles are whole" "$(scripts/pprof -top "$PROFILES"/cpu/fib_before_* 2>&1)" 'fib_recursive'

BEFORE=memo AFTER=recursive compare fib
exits "what is slower is not proven faster" 1
unlike "and not called so" "$out" '^recursive is [0-9,.]+x faster'

compare --table mutex
exits "--table" 0
like "prints the table" "$out" 'single.*sharded'
unlike "and no verdict" "$out" 'noise floor|faster'

compare alloc
like "alloc has a verdict" "$out" '^(pool is [0-9,.]+x faster than plain|inconclusive|pool is .*slower)'
is "which decides the status" "$rc" "$(grep -qE '^pool is .* faster' <<<"$out"; echo $?)"
# 1,008 KiB; a sample of some thousands is off by some per cent.
like "and shows who allocated" "$out" '^alloc_plain fell from ((9[0-9][0-9]|10[0-2][0-9]) KiB|1\.0[0-9] MiB) an operation'

compare mutex
like "mutex has a verdict" "$out" '^(sharded is [0-9,.]+x faster than single|inconclusive|sharded is .*slower)'
like "and says how many cores were at work" "$out" '\(cores at work\) +[0-9.]+ +\(cores at work\) +[0-9.]+'
like "and who waited how long" "$out" '^  1  mutex_single_worker '
like "in all" "$out" '^Waiting (fell from|did not fall)'
holds "keeps the profile of waits" test -s "$PROFILES"/block/mutex_before_*.pb.gz
holds "and of those who made wait" test -s "$PROFILES"/mutex/mutex_after_*.pb.gz

run scripts/compare.sh leak
exits "the leak is cured" 0
like "threads grow with the operations" "$out" '^ +30 +120 +0$'
like "the verdict says so" "$out" '^joined leaves no thread behind; leaky leaves 120 after 30 operations'
like "where the threads stand is shown" "$out" '^ +120  .*leak_wait_for_job'
run env BEFORE=joined AFTER=leaky scripts/compare.sh leak
exits "the leak is not cured by a leak" 1

# Where a comma is the decimal point and the capital of i has a dot, nothing is different. (Not every machine can make the locales.)
mkdir "$tmp/locales"
for language in de_DE tr_TR; do
    localedef -i $language -f UTF-8 "$tmp/locales/$language.UTF-8" >/dev/null 2>&1
    if [[ $(LOCPATH=$tmp/locales LC_ALL=$language.UTF-8 bash -c 'printf %.1f 2>&1') != 0,0 ]]; then
        skip "in $language" "this machine cannot make that locale"
        continue
    fi
    run env LOCPATH="$tmp/locales" LC_ALL=$language.UTF-8 BENCH_COUNT=1 BENCH_TIME=1x PROFILE_SECONDS=0.5 scripts/compare.sh fib
    like "in $language there is a verdict" "$out" '^inconclusive: too few runs .*noise floor [0-9.]+%'
    unlike "in $language nothing goes wrong" "$err" '^(compare|scripts/|invalid)'
done

BENCH_COUNT=1 compare fib
like "one run each proves nothing" "$out" '^inconclusive: too few runs'
like "and enough are asked for" "$out" '^again, with more: make compare-fib BENCH_COUNT=10 '

rm -rf "$PROFILES"
start env BENCH_COUNT=500 BENCH_TIME=1x scripts/compare.sh fib
wait_for 20 test -s "$PROFILES"/.work.*/noise_a.txt
kill -TERM "$pid"
wait "$pid" 2>/dev/null
is "one that is stopped leaves nothing" "$(kept)" 0

# ---- the viewers -------------------------------------------------------------------------------------------------
"$BIN/cpu_hot" -n 3 -workers 1 -hz 1000 -cpuprofile "$tmp/one.pprof" >/dev/null
one=$(free_port)
two=$(free_port)
answers() { curl -fsS -o "$tmp/page" "http://127.0.0.1:$1/ui/top"; }
silent() { ! answers "$1"; }
UI=1 start env --default-signal=INT scripts/ui.sh before PORT_X "$one" "$tmp/one.pprof" after PORT_Y "$two" "$tmp/one.pprof"
viewers=$pid
holds "the first viewer answers" wait_for 30 answers "$one"
holds "so does the second" wait_for 30 answers "$two"
like "with the profile" "$(cat "$tmp/page")" 'fib_recursive'
run env UI=1 scripts/ui.sh before PORT_X "$one" "$tmp/one.pprof"
exits "a port in use" 1
one_line "is one line" "$err"
like "with the port and the variable" "$err" "^ui: port $one is in use; .*PORT_X="
kill -INT "$viewers"
wait "$viewers"
is "Ctrl-C ends both, which is no failure" "$?" 0
holds "the first is gone" wait_for 10 silent "$one"
holds "so is the second" wait_for 10 silent "$two"
run env UI=1 scripts/ui.sh before PORT_X 99999 "$tmp/one.pprof"
exits "a port that is none" 2
run scripts/ui.sh before PORT_X "$one" "$tmp/nothing.pprof"
exits "a profile that is not there" 1
like "is named" "$err" 'no profile .*nothing.pprof'

# On a terminal: progress, colour, and the pages until Ctrl-C, which is typed.
if ! script -qec true "$tmp/typescript" >/dev/null 2>&1 </dev/null; then
    skip "on a terminal" "this machine gives out no pseudo-terminals"
    done_testing
fi
mkfifo "$tmp/keys"
UI=1 PORT_FIB_BEFORE=$one PORT_FIB_AFTER=$two BENCH_COUNT=5 BENCH_TIME=1x PROFILE_SECONDS=0.5 TERM=xterm \
    env --default-signal=INT script -qefc "exec scripts/compare.sh fib" "$tmp/typescript" <"$tmp/keys" >"$tmp/screen" 2>&1 &
terminal=$!
children+=("$terminal")
exec 8>"$tmp/keys"
holds "on a terminal the pages open, before" wait_for 60 answers "$one"
holds "and after" wait_for 30 answers "$two"
holds "and that is said" wait_for 30 grep -q 'Ctrl-C stops both' "$tmp/screen"
printf '\003' >&8
wait "$terminal"
is "Ctrl-C leaves the verdict as the status" "$?" 0
exec 8>&-
holds "and no page" wait_for 10 silent "$one"
holds "nor the other" wait_for 10 silent "$two"
screen=$(cat "$tmp/screen")
like "progress is shown" "$screen" $'comparing: 5/5  memo'
like "the verdict is in colour" "$screen" $'\e\\[32mmemo is'
like "the addresses are shown" "$screen" "before: http://127.0.0.1:$one/ui/"

done_testing
