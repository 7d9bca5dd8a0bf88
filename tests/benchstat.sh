#!/bin/bash
# benchstat: what it prints for known inputs, its own flags, its verdicts and its exit status.
#
# The expected outputs in tests/benchstat/ (standard output, then standard error) are those of
# golang.org/x/perf/cmd/benchstat for the same inputs.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

data=tests/benchstat
program=$BIN/benchstat

# golden NAME STATUS ARGS...: in the folder of the inputs.
golden() {
    local name=$1 status=$2
    shift 2
    (cd "$data" && "$program" "$@" </dev/null >"$tmp/out" 2>"$tmp/err")
    rc=$? ran="benchstat $*" out='' err=''
    cat "$tmp/out" "$tmp/err" >"$tmp/all"
    if diff -a -u "$data/$name.out" "$tmp/all" >"$tmp/diff"; then ok "$name"; else
        not_ok "$name" "ran: $ran" "$(cat "$tmp/diff")"
    fi
    exits "$name: status" "$status"
}

golden compare 0 before.txt after.txt
golden csv 0 -format csv before.txt after.txt
golden labels 0 base=before.txt new=after.txt base=after.txt
golden same-file 0 before.txt before.txt
golden one-file-by-impl 0 -col /impl before.txt
golden sizes 0 -row .name -col /size@num --filter=.name:Copy before.txt after.txt
golden fixed-order 0 -row .name -col '/impl@(memo recursive)' -ignore .file before.txt after.txt
golden by-config 0 -table goos -col pkg,.file -row .name before.txt after.txt
golden vary 0 -row .name before.txt
golden filter-units 0 -filter '(.unit:/^B/ OR .unit:ns/op) -.name:Copy' before.txt after.txt
golden filter-regexp 0 -filter '.fullname:/(?i)^f.*\b(memo|20-2)$/' before.txt after.txt
golden alpha 0 -alpha 0.0001 -confidence=0.99 before.txt after.txt
golden loose 0 -alpha 0.5 -confidence 0.5 before.txt after.txt
golden units 0 -col note units.txt
golden units-csv 0 -col note -format csv units.txt
golden messy 0 messy.txt
golden messy-csv 0 -format csv -ignore .config -- messy.txt
golden nothing 0 -filter .name:Nothing before.txt
golden bad-filter 1 -filter '.name:/[a-/' before.txt
golden bad-filter-2 1 -filter '(a:b' before.txt
golden bad-projection 1 -row .name@up before.txt
golden bad-key 1 -col .unit before.txt
golden missing-file 1 before.txt nowhere.txt

# ---- standard input, and lines at the limit ---------------------------------------------------------
is "standard input" "$("$program" A=- <"$data/before.txt")" "$("$program" A="$data/before.txt")"
is "a file without a newline at its end" "$(printf 'BenchmarkX 1 2 x' | "$program" - | sed -n 3p)" "X   2.000 ± ∞ ¹"
{ printf 'BenchmarkX 1 2 x'; head -c 65519 /dev/zero | tr '\0' ' '; echo; } >"$tmp/limit"
run "$program" "$tmp/limit"
exits "a line of 65535 bytes" 0
{ echo; printf 'BenchmarkX 1 2 x'; head -c 65520 /dev/zero | tr '\0' ' '; echo; } >"$tmp/beyond"
run "$program" "$tmp/beyond"
is "a line that is too long" "$rc $err" "1 benchstat: $tmp/beyond:1: bufio.Scanner: token too long"
printf 'BenchmarkX 1 2 x\n%.0s' {1..20000} >"$tmp/chunks"
like "results across the chunks that are read" "$("$program" -format json "$tmp/chunks")" '"n": 20000'
run "$program" -filter "$(printf '(%.0s' {1..100000})" "$data/before.txt"
like "a filter that nests without end" "$rc $err" '^1 benchstat: parsing -filter: syntax error: expression nests too deeply$'
run "$program" .
is "a folder" "$rc $err" "1 benchstat: .:0: read .: is a directory"

# ---- usage --------------------------------------------------------------------------------------------
run "$program"
exits "no input" 2
like "no input shows the usage" "$err" '^Usage: benchstat'
run "$program" -help
exits "-help" 0
like "-help names -verdict" "$err" '^  -verdict$'
run "$program" -nope x
is "an unknown flag" "$rc ${err%%$'\n'*}" "2 flag provided but not defined: -nope"
run "$program" -alpha ten x
is "a bad number" "$rc ${err%%$'\n'*}" '2 invalid value "ten" for flag -alpha: parse error'
run "$program" -alpha
is "a flag without its value" "$rc ${err%%$'\n'*}" '2 flag needs an argument: -alpha'
run "$program" -alpha 2 "$data/before.txt"
is "an alpha out of range" "$rc $err" "1 benchstat: -alpha must be in range [0, 1]"
run "$program" -format xml "$data/before.txt"
is "an unknown format" "$rc $err" "1 benchstat: -format must be text, csv or json"
run "$program" -sort size "$data/before.txt"
is "an unknown order" "$rc $err" "1 benchstat: -sort must be name, -name, delta or -delta"
if [[ -w /dev/full ]]; then
    "$program" "$data/before.txt" >/dev/full 2>"$tmp/err"
    is "a full disk" "$? $(cat "$tmp/err")" "1 benchstat: writing the output: No space left on device"
else
    skip "a full disk" "there is no /dev/full"
fi

# ---- -sort, -format json --------------------------------------------------------------------------------
labels() { # ORDER: the rows' first words in the first table
    (cd "$data" && "$program" -sort "$1" before.txt after.txt) |
        awk '/vs base/ { on = 1; next } /^geomean/ { exit } on { printf "%s ", $1 }'
}
is "-sort name" "$(labels name)" "Copy/size=4k-2 Copy/size=64k-2 Few-2 Fib/impl=memo/n=20-2 Fib/impl=recursive/n=20-2 "
is "-sort -name" "$(labels -name)" "Fib/impl=recursive/n=20-2 Fib/impl=memo/n=20-2 Few-2 Copy/size=64k-2 Copy/size=4k-2 "
is "-sort delta: equal ones keep their order" "$(labels delta)" \
    "Copy/size=4k-2 Fib/impl=recursive/n=20-2 Fib/impl=memo/n=20-2 Copy/size=64k-2 Few-2 "
is "-sort -delta" "$(labels -delta)" \
    "Fib/impl=memo/n=20-2 Copy/size=64k-2 Few-2 Fib/impl=recursive/n=20-2 Copy/size=4k-2 "
json() { (cd "$data" && "$program" -format json "$@"); }
is "json: all tables" "$(json before.txt after.txt | jq -r '[.tables[].unit] | join(" ")')" "sec/op B/op B/s sec/op rows/s"
is "json: a comparison" "$(json before.txt after.txt | jq -c '.tables[0].rows[0].cells[1] | [.n, .significant]')" "[10,true]"
is "json: no interval is null" "$(json before.txt | jq -c '.tables[0].rows[4].cells[0] | [.lo, .hi]')" "[null,null]"
holds "json: any bytes" bash -c "'$program' -format json '$data/messy.txt' | jq ."

# ---- -verdict: every sentence that it knows ---------------------------------------------------------------
# results NAME RUNS SLOW FAST [BYTES BYTES]: two implementations, 1 % apart from run to run.
results() {
    awk -v runs="$2" -v slow="$3" -v fast="$4" -v b1="${5:-0}" -v b2="${6:-0}" 'BEGIN {
        for (i = 0; i < runs; i++) {
            noise = 1 + (i * 7 % 10 - 4.5) / 1000 + i / 1e6
            printf "BenchmarkFib/impl=slow-2 100 %.6f ns/op %d B/op\n", slow * noise, b1
            printf "BenchmarkFib/impl=fast-2 100 %.6f ns/op %d B/op\n", fast * noise, b2
        }
    }' >"$tmp/$1"
}
# verdict NAME STATUS LAST-LINE RESULTS FLAGS...
verdict() {
    local name=$1 status=$2 expected=$3 file=$4
    shift 4
    run "$program" -verdict -col /impl "$@" "$tmp/$file"
    is "verdict: $name" "$rc ${out##*$'\n'}" "$status $expected"
}
results much 10 47000000 3400
verdict "thousands" 0 "fast is 13,800x faster than slow (95% CI 13,800x–13,900x; p=0.000; n=10+10)" much
verdict "with the noise floor" 0 \
    "fast is 13,800x faster than slow (95% CI 13,800x–13,900x; p=0.000; n=10+10; noise floor 0.9%)" much -noise 0.9
results some 10 1500 1000 64 0
verdict "some" 0 "fast is 1.50x faster than slow (95% CI 1.50x–1.50x; p=0.000; n=10+10)" some
like "verdict: none of a unit" "$out" '^fast has no B/op, slow has 64.00 \(p=0.000; n=10\+10\)$'
results worse 10 1000 1500 512 1024
verdict "slower" 1 "fast is 1.50x slower than slow (95% CI 1.50x–1.50x; p=0.000; n=10+10)" worse
like "verdict: more of a unit" "$out" '^fast has 2.00x more B/op than slow '
results little 10 1020 1000 64 64
verdict "in percent" 0 "fast is 2.0% faster than slow (95% CI 1.7%–2.3%; p=0.000; n=10+10)" little
like "verdict: the same" "$out" '^fast and slow have the same B/op in every run \(n=10\+10\)$'
verdict "below the noise" 1 "inconclusive: fast and slow differ by 2.0%, less than two runs of the same program do \
(p=0.000; n=10+10; noise floor 2.5%): make the machine quieter, or the work longer (-benchtime)" little -noise 2.5
results same 10 1000.1 1000
verdict "no difference" 1 "inconclusive: no difference in sec/op between fast and slow could be proven \
(p=0.739; n=10+10): more runs (-count 20) on a quieter machine would show a smaller one" same
results few 3 1500 1000
verdict "too few" 1 "inconclusive: too few runs to tell fast from slow (p=0.100; n=3+3): run each at least 4 times, \
better 10 (-count 10)" few
run "$program" -verdict "$tmp/much"
like "verdict: nothing to compare" "$rc ${out##*$'\n'}" '^1 inconclusive: no times to compare: '
{ cat "$tmp/much"; sed 's/Fib/Other/' "$tmp/worse"; } >"$tmp/two"
run "$program" -verdict -col /impl "$tmp/two"
exits "verdict: one row of two is slower" 1
like "verdict: rows are named" "$out" '^Fib-2: fast is 13,800x faster'
run "$program" -verdict -noise -1 "$tmp/much"
is "a negative noise floor" "$rc $err" "1 benchstat: -noise must be a percentage, 0 or more"
run "$program" -verdict -noise nan "$tmp/much"
is "a noise floor that is no number" "$rc $err" "1 benchstat: -noise must be a percentage, 0 or more"
# The interval of few pairs of values is taken from a list, of more than 4096 it is searched for.
results many 64 1500 1000
verdict "as many pairs as are listed" 0 "fast is 1.50x faster than slow (95% CI 1.50x–1.50x; p=0.000; n=64+64)" many
results many 65 1020 1000
verdict "more pairs than are listed" 0 "fast is 2.0% faster than slow (95% CI 1.9%–2.1%; p=0.000; n=65+65)" many
results many 100000 1020 1000
verdict "more pairs than memory holds" 0 \
    "fast is 2.0% faster than slow (95% CI 2.0%–2.0%; p=0.000; n=100000+100000)" many

done_testing
