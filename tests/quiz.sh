#!/bin/bash
# make quiz and make progress: the answers come from the learner's own profile, hints follow wrong ones, the result is kept.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -z $SAN ]] || skip_all "it runs scripts over the plain programs"
unset MAKEFLAGS CPU_PROFILE HEAP_PROFILE NO_COLOR
export PROFILES=$tmp/profiles LANG_=en
mkdir -p "$PROFILES"/{cpu,heap,block,mutex,bench}

quiz() { # STEP ANSWER...
    local step=$1
    shift
    printf '%s\n' "$@" >"$tmp/answers"
    scripts/quiz.sh "$step" <"$tmp/answers" >"$tmp/.out" 2>"$tmp/.err"
    rc=$?
    out=$(<"$tmp/.out") err=$(<"$tmp/.err") ran="quiz $step: $*"
}

run scripts/quiz.sh 1
exits "without a capture there is nothing to ask" 1
like "it says so" "$err" '^quiz: step 1 has no capture'

"$BIN/cpu_hot" -n 25 -workers 2 -cpuprofile "$PROFILES/cpu/cpu.pprof" >/dev/null
share=$("$BIN/top" -tsv "$PROFILES/cpu/cpu.pprof" | awk -F'\t' '$3 == "fib_recursive" { print $5 }')
cores=$("$BIN/top" -tsv "$PROFILES/cpu/cpu.pprof" | awk '$1 == "#total" { t = $2 } $1 == "#duration" { print t / $2 }')
quiz 1 fib_recursive burn "$share" "$cores"
exits "all right" 0
like "the sum" "$out" '^4 of 4 are right\.$'
is "is kept" "$(<"$PROFILES/quiz/step1")" "4 4"
quiz 1 ' fib_recursive() ' 'burn ' "${share%\%}" "$cores"
exits "spaces, brackets and a missing per cent sign do not matter" 0
quiz 1 burn fib_recursive fib_recursive burn 500 "$share" "$cores"
exits "right after hints" 0
like "a hint after a wrong answer" "$out" '^Not that\. Hint: flat'
like "and one for a wrong number" "$out" 'Hint: flat% is'
quiz 1 a b c burn "$share" "$cores"
exits "three wrong answers" 1
like "the second hint is a command" "$out" '^Not that either\. Look at: bin/top .*cpu\.pprof$'
like "then comes the answer" "$out" '^The answer is: fib_recursive\. See for yourself: bin/top'
like "and the next question" "$out" '^3 of 4 are right'
quiz 1 fib_recursive
exits "answers that end early" 1
like "are not waited for" "$out" '^No answer came\.$'
kept=$(<"$PROFILES/quiz/step1")
run scripts/quiz.sh 1 </dev/null
exits "no answer at all" 1
is "leaves the last result alone" "$(<"$PROFILES/quiz/step1")" "$kept"
for answer in '.*' 'fib_recursive|x' '' '-n'; do
    quiz 1 "$answer" "$answer" "$answer"
    unlike "no pattern is an answer: '$answer'" "$out" '^Right'
done
for answer in nan 1e9 "$share; 1" '$(id)'; do
    quiz 1 fib_recursive burn "$answer" "$answer" "$answer" 1
    like "no other thing is a number: '$answer'" "$out" 'The answer is: [0-9.]+%\.'
done
LANG_=ja quiz 1 fib_recursive
like "in Japanese" "$out" '正解です: fib_recursive'

# A tie within the luck of sampling: both are right.
"$BIN/mem_hot" -bytes 1024 -count 50000 -hold=true -memprofile "$PROFILES/heap/heap.pprof" >/dev/null
size=$("$BIN/top" -tsv -sample_index=alloc_space "$PROFILES/heap/heap.pprof" | awk '$1 == "#total" { t = $2 } $1 == "#count" { printf "%d", t / $2 }')
quiz 2 alloc_plain main 100 "$size"
exits "step 2, about the heap" 0
"$BIN/bench" -bench='^BenchmarkHotMutex$/^impl=single$' -benchtime=2x -blockprofile "$PROFILES/block/block_1.pb.gz" \
    -mutexprofile "$PROFILES/mutex/mutex_1.pb.gz" >/dev/null 2>&1
quiz 3 mutex_single_worker 0 0 0 mutex_single_worker
like "step 3, about who waits" "$(grep -A2 '^1\.' <<<"$out")" '^Right: mutex_single_worker'
like "and for whom" "$(tail -n 4 <<<"$out")" '^Right: mutex_single_worker'
cat >"$PROFILES/bench/fib_20260101-000000_report.txt" <<'EOT'
memo is 9,540x faster than recursive (95% CI 7,620x–13,000x; p=0.000; n=10+10; noise floor 2.6%)

fib_recursive fell from 22.0 ms an operation to nothing.
EOT
quiz 5 9540x 2.6% fib_recursive
exits "step 5, about a comparison" 0
quiz 5 9,000 2 fib_recursive
exits "about right is right" 0
if [[ -x $LIB/../tests/trace_make ]]; then
    mkdir "$PROFILES/trace"
    "$LIB/../tests/trace_make" 5000 4 >"$PROFILES/trace/a.trace"
    quiz 4 "$("$BIN/trace" -summary "$PROFILES/trace/a.trace" | awk '$1 == "threads" { print $2; exit }')" serve write x send_all x
    like "step 4, about a trace" "$out" '^[123] of 3 are right'
    like "who ran" "$(grep -A2 '^2\.' <<<"$out")" '^Right: serve'
fi
mkdir "$PROFILES/gc"
cat >"$PROFILES/gc/compare_20260101-000000.txt" <<'EOT'
  memory from               collections    formula    all pauses  the longest   wall time  peak memory
  GOGC=50                            11         11       17.6 ms      4.64 ms       83 ms    18.2 MiB
  GOGC=200                            2          2        6.8 ms      3.59 ms       51 ms    26.5 MiB
  GOGC=off                            0          0        0.0 ms      0.00 ms       65 ms    36.7 MiB

  malloc                              -          -             -            -       30 ms    14.8 MiB
EOT
quiz 7 11 2 GOGC=off
exits "step 7, about the collector" 0
echo rubbish >"$PROFILES/cpu/cpu.pprof"
quiz 1 x
exits "a damaged profile" 1
one_line "is one line" "$err"
quiz 0 x
exits "a step without a quiz" 2
like "those that have one are named" "$err" 'there is no quiz for step 0; there are: 1 2 3 4 5 7'
quiz x
exits "no step" 2

# ---- progress ------------------------------------------------------------------------------------------------
mkdir -p "$PROFILES/record/step1" "$tmp/docs/en"
echo "# Step 2 — Two" >"$tmp/docs/en/step2-two.md"
echo "head	cpu_profile" >"$PROFILES/record/step1/parts"
run env DOCS="$tmp/docs" scripts/progress.sh
exits "progress" 0
like "recorded" "$out" '^  recorded +Step 1 · quiz [0-9]/4$'
like "captures that are not recorded, by the guide's own title" "$out" '^  done +Step 2 — Two · quiz 4/4$'
like "open" "$out" '^  open +Step 6$'
cp "$PROFILES/cpu/cpu.pprof" "$PROFILES/cpu/cpu_20260101-000000.pb.gz"
run env DOCS="$tmp/docs" scripts/progress.sh
like "a server's profile of step 3 is not step 6" "$out" '^  open +Step 6$'
cp "$PROFILES/cpu/cpu.pprof" "$PROFILES/cpu/incident.pb.gz"
run env DOCS="$tmp/docs" scripts/progress.sh
like "the guide's own capture is" "$out" '^  done +Step 6$'
like "and not step 8" "$out" '^  open +Step 8$'
like "the sum" "$out" '^1 of 9 steps are recorded\.$'
like "what comes next" "$out" "^Next: $tmp/docs/en/step2-two\\.md, then make record STEP=2$"
done_testing
