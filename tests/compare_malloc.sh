#!/bin/bash
# bin/frag_hot and scripts/compare_malloc.sh: the same work whatever the allocator, memory that moves the way the settings
# say where that is certain, a table whose sentences say no more than the numbers carry.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -z $SAN ]] || skip_all "a sanitizer's allocator stands in for those that are compared"
unset GLIBC_TUNABLES BENCH_COUNT OPS
export PROFILES=$tmp/profiles

value() { # NAME: of frag_hot's line in $out
    tr ' ' '\n' <<<"$out" | sed -n "s,^$1=,,p"
}
whole() { printf '%.0f' "$1"; }

# ---- the load ----------------------------------------------------------------------------------------------
tcmalloc=$(ldd "$BIN/mem_hot" | awk '/libtcmalloc/ { print $3 }')
run "$BIN/frag_hot" -ops 5000
exits "frag_hot" 0
sum=$(value checksum)
held=$(whole "$(value held-MiB)")
is "runs on glibc's malloc" "$(value allocator) $(value failed)" "glibc 0"
is "and counts its allocations" "$(value ops)" 100000
run "$BIN/frag_hot" -ops 5000 -release
is "does the same work every time" "$(value checksum)" "$sum"
is "gives back more than half when it is told to" "$(($(whole "$(value held-MiB)") < held / 2))" 1
run env LD_PRELOAD="$tcmalloc" "$BIN/frag_hot" -ops 5000
is "the same on tcmalloc" "$(value allocator) $(value checksum)" "tcmalloc $sum"
run env GLIBC_TUNABLES=glibc.malloc.tcache_count=0 "$BIN/frag_hot" -ops 5000
is "and with other settings" "$(value checksum)" "$sum"
run "$BIN/frag_hot" -ops 5000 -seed 2
is "but not with another seed" "$([[ $(value checksum) != "$sum" ]] && echo differs)" differs
run env LD_PRELOAD="$tcmalloc" TCMALLOC_HEAP_LIMIT_MB=40 "$BIN/frag_hot" -ops 5000
exits "gets by with a limit" 0
is "that refuses it memory" "$(($(value failed) > 0)) $(($(whole "$(value peak-MiB)") < 60))" "1 1"
run "$BIN/frag_hot" -threads 0
exits "no threads" 2
one_line "is refused in one line" "$err"
like "which says what is expected" "$err" "^frag_hot: -threads '0': expected a whole number from 1 to 64"

# ---- the table ---------------------------------------------------------------------------------------------
# Runs of settings with known figures: rows CPU PEAK HELD FAILED, as many as are given, each a little larger than the last.
runs() { # INDEX ALLOCATOR NAME CPU PEAK HELD FAILED COUNT
    local i
    for ((i = 0; i < $8; i++)); do
        printf '%d\t%s\t%s\t%d\t%d\t%d\t%d\t1000000\tabc\t50.0 1.00 6000\t7\n' "$1" "$2" "$3" $(($4 + i)) $(($5 + i)) $(($6 + i)) "$7"
    done
}
table() { run env LC_ALL=C awk -F'\t' -f scripts/malloc.awk "$tmp/go" "$tmp/runs"; }
printf '\nfirst\nsecond\nthird\nfourth\n' >"$tmp/go"
all() { # COUNT
    runs 0 glibc defaults 100 200 150 0 "$1"
    runs 1 glibc x.mmap_threshold=1 300 199 149 0 "$1"
    runs 2 glibc 'trim at the end' 101 201 30 0 "$1"
    runs 3 glibc limit 100 120 90 17 "$1"
}
all 5 >"$tmp/runs"
table
exits "the table" 0
like "has the defaults' medians" "$out" '^  defaults +102 ns +202 MiB +152 MiB +0 +1\.0M$'
like "and how far a setting is from them, or ~" "$out" '^  x\.mmap_threshold=1 +302 ns +3\.0x +201 MiB +~ +151 MiB +~ +0 +1\.0M +first$'
like "a setting that needs less at its peak is named" "$out" '^peak: limit needs 40% less'
like "and one that fails" "$out" '^limit: limit refused 17 of 6,000 allocations, though no more than 50\.0 MiB'
like "and what is given back" "$out" '^held: trim at the end leaves 79% less, and takes 7 ms$'
like "and what that costs in every free" "$out" '^CPU:  x\.mmap_threshold=1 takes 3\.0 times the CPU time'
like "which makes a verdict" "$out" '^verdict: to give free memory back once'
all 4 >"$tmp/runs"
table
like "four runs carry none" "$out" '^verdict: none from 4 runs of each; BENCH_COUNT=5 or more'
unlike "and no other sentence" "$out" '^(peak|held|CPU|limit): '
all 5 | sed 's/\t30\t/\t160\t/' >"$tmp/runs"
table
like "one run that is not like the others takes the verdict away" "$out" '^verdict: none that these runs carry'
unlike "and the sentence" "$out" '^held: '
{ all 5; runs 4 glibc other 100 200 150 0 5 | sed 's/abc/abd/'; } >"$tmp/runs"
table
exits "different work is an error" 1
like "which is said" "$out" '^the work was not the same in all settings: checksums abc and abd \(other\)'

# ---- for real ----------------------------------------------------------------------------------------------
OPS=500 BENCH_COUNT=1 run scripts/compare_malloc.sh
exits "compare-malloc" 0
like "has glibc's rows" "$out" '^  glibc\.malloc\.arena_max=1 +[0-9]+ ns'
like "and tcmalloc's" "$out" '^  TCMALLOC_RELEASE_RATE=1000 +[0-9]+ ns'
like "and says what is Go's" "$out" 'debug\.FreeOSMemory\(\)$'
like "one run carries no verdict" "$out" '^verdict: none from 1 run of each'
holds "keeps the report" test -s "$PROFILES"/bench/malloc_*_report.txt
is "and every run" "$(wc -l < <(cat "$PROFILES"/bench/malloc_*.tsv))" 12
run env BENCH_COUNT=0 scripts/compare_malloc.sh
exits "no runs" 2
like "are refused" "$err" '^compare_malloc: BENCH_COUNT=0: expected'
run env OPS=many scripts/compare_malloc.sh
exits "a number that is none" 2
like "is refused" "$err" '^compare_malloc: OPS=many: expected'
run scripts/compare_malloc.sh glibc
exits "an argument" 2
done_testing
