#!/bin/bash
# tests/run itself: what it counts, and what it makes of tests that crash, hang or end early.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p "$tmp/repo/tests"
cp tests/run tests/lib.sh "$tmp/repo/tests"

write_test() { # NAME: its body from standard input
    { echo '#!/bin/bash' && cat; } >"$tmp/repo/tests/$1.sh"
    chmod +x "$tmp/repo/tests/$1.sh"
}

run_tests() { # NAME...
    run env -u SAN TEST_TIMEOUT="${limit:-60}" "$tmp/repo/tests/run" "$@"
}

# The sum is the last line, word for word.
sums_to() { # NAME PASSED FAILED
    is "$1" "$(tail -n 1 <<<"$out")" "$2 passed, $3 failed"
    exits "$1: exit status" $(($3 > 0))
}

write_test good <<'EOT'
. "$(dirname "$0")/lib.sh"
is "one" 1 1
like "two" "two lines" lines
skip "three" "cannot"
done_testing
EOT
write_test bad <<'EOT'
. "$(dirname "$0")/lib.sh"
is "fine" 1 1
is "wrong" "what came" "what was due"
done_testing
EOT
write_test crash <<'EOT'
echo "ok 1 - before"
echo "1..1"
kill -SEGV $$
EOT
write_test hang <<'EOT'
echo "ok 1 - before"
sleep 60
EOT
write_test early <<'EOT'
echo "ok 1 - before"
exit 0
EOT
write_test short <<'EOT'
echo "1..3"
echo "ok 1 - before"
EOT
write_test quiet <<'EOT'
echo "1..1"
echo "ok 1 - fine"
exit 3
EOT

run_tests good
sums_to "a good test" 2 0
like "a skipped check is shown with its reason" "$out" 'skipped: three: cannot'

run_tests bad
sums_to "a failed check" 1 1
like "the failure shows what was expected" "$out" 'expected: what was due'
like "the failure shows what came" "$out" 'got: *what came'

run_tests crash
sums_to "a crash is a failure" 1 1
like "a crash names the signal" "$out" 'killed by SIGSEGV'

limit=2 run_tests hang
sums_to "a test that hangs is a failure" 1 1
like "a test that hangs is stopped" "$out" 'stopped after 2 s'

run_tests early
sums_to "an early end is a failure, though its status is 0" 1 1
run_tests short
sums_to "missing results are a failure" 1 1
run_tests quiet
sums_to "a status that no check explains is a failure" 1 1

run_tests good bad
sums_to "tests add up" 3 1
run_tests 'ba*'
sums_to "a pattern selects" 1 1
run_tests nothing
exits "an unknown name is refused" 2
one_line "the refusal is one line" "$err"
like "the refusal lists what there is" "$err" 'good'

done_testing
