#!/bin/bash
# The steps about memory: leak-diff names the function whose memory grows and nobody else, compare-slice and compare-cache
# say which variant keeps how much, escape says what the compiler did. Figures of memory are exact or far from any bound.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -z $SAN ]] || skip_all "a sanitizer's allocator stands in for the one that is looked at"
unset LAB IMPL SERVER REQUESTS BEFORE AFTER BENCH_COUNT BENCH_TIME CFLAGS
export PROFILES=$tmp/profiles UI=0 PPROF_TMPDIR=$tmp HOME=$tmp GOFLAGS=-mod=mod

# ---- grow_hot ------------------------------------------------------------------------------------------------
run "$BIN/grow_hot" -lab slice -rounds 2
exits "grow_hot" 0
like "the index of views keeps whole messages" "$out" '^round=2 held-MiB=15\.62 inuse-MiB=15\.[67]'
views=${out##*checksum=}
run "$BIN/grow_hot" -lab slice -impl copy -rounds 2
like "that of copies does not" "$out" '^round=2 held-MiB=0\.02 inuse-MiB=0\.0'
is "and has the same in it" "${out##*checksum=}" "$views"
run "$BIN/grow_hot" -lab shop
refused "an unknown lab" 2 "^grow_hot: -lab 'shop': expected slice or cache"
run "$BIN/grow_hot" -lab cache -impl copy
refused "another lab's variant" 2 "^grow_hot: -impl 'copy': lab cache has unbounded, lru or ttl"
run "$BIN/grow_hot" -memprofiles "$tmp/none/x"
refused "a folder that is not there" 1 '^grow_hot: -memprofiles .*No such file'

# ---- mem_hot -memstats -----------------------------------------------------------------------------------------
run "$BIN/mem_hot" -bytes 1000 -count 5000 -memstats -memprofilerate 1
exits "mem_hot -memstats" 0
like "what was counted" "$out" '^  allocations +50[0-9][0-9] +counted$'
like "what was sampled, exactly at rate 1" "$out" '^  in use +4\.[78][0-9] MiB +estimated from samples, \+-0\.00 MiB$'
like "what the allocator says" "$out" '^  heap in all +[0-9.]+ MiB +tcmalloc$'
like "what the kernel says" "$out" '^  resident +[0-9.]+ MiB +kernel$'

jemalloc=$(ldconfig -p | awk '/libjemalloc\.so\.2/ { print $NF; exit }')
if [[ $jemalloc ]]; then
    run env LD_PRELOAD="$jemalloc" "$BIN/frag_hot" -ops 100
    like "another allocator is known by the malloc that is called" "$out" '^allocator=jemalloc '
else
    skip "another allocator" "there is no jemalloc"
fi

# ---- leak-diff ---------------------------------------------------------------------------------------------------
if scripts/pprof -h 2>&1 | grep -q 'scripts/deps.sh ui'; then
    skip "leak-diff and compare" "there is no viewer"
else
    run scripts/leak_diff.sh
    # 48.8 MiB, of which 64 KiB are a sample: a standard deviation is 1.7 MiB.
    exits "leak-diff of a server that holds" 0
    like "names the function" "$out" '^verdict: alloc_plain grows with the work: \+[45][0-9]\.[0-9]+ MiB, and with as much work again \+[45][0-9]\.'
    like "and who called it" "$out" '^  alloc_plain < run_mem < '
    like "and how to look at it" "$out" 'scripts/pprof .*-diff_base=.*/heap/leak_server_.*_1\.pb\.gz .*_3\.pb\.gz$'
    is "keeps the three snapshots" "$(find "$PROFILES" -name 'leak_server_*.pb.gz' | wc -l)" 3
    run env IMPL=free REQUESTS=2 scripts/leak_diff.sh
    exits "leak-diff of a server that does not" 0
    like "finds nothing" "$out" '^verdict: nothing grows with the work'
    LAB=slice run scripts/leak_diff.sh
    like "a slice's buffer is found by who received it" "$out" '^verdict: message_receive grows with the work: \+7\.8[0-9] MiB, and with as much work again \+7\.8'
    like "on behalf of whom" "$out" '^  message_receive < slice_view < '
    LAB=slice IMPL=copy run scripts/leak_diff.sh
    like "copies are no leak to speak of" "$out" '^verdict: nothing grows with the work, by 64 KiB'
    LAB=cache run scripts/leak_diff.sh
    like "the cache is found" "$out" '^verdict: cache_add grows with the work'
    LAB=cache IMPL=ttl run scripts/leak_diff.sh
    like "and is not where it has a bound" "$out" '^verdict: nothing grows with the work'
    is "nothing else is left" "$(find "$PROFILES" -mindepth 1 -type f ! -name 'leak_*.pb.gz')" ""
    start_at=$(free_port)
    run env SERVER="http://127.0.0.1:$start_at" scripts/leak_diff.sh
    refused "no server there" 1 "^leak_diff: no server answers at http://127.0.0.1:$start_at"
    LAB=mutex run scripts/leak_diff.sh
    refused "a lab that keeps nothing" 2 "^leak_diff: no lab 'mutex' that keeps memory; there are: server slice cache"
    LAB=cache IMPL=fifo run scripts/leak_diff.sh
    refused "a variant that is none" 2 'lab cache has unbounded, lru or ttl'
    REQUESTS=0 run scripts/leak_diff.sh
    refused "no requests" 2 'REQUESTS=0: expected'

    # ---- compare-slice, compare-cache
    export BENCH_COUNT=4 BENCH_TIME=1x
    run scripts/compare.sh slice
    exits "compare-slice" 0
    like "grows beside what does not" "$out" '^ +12 +93\.[89][0-9] MiB +0\.[0-9]+ MiB$'
    like "names who allocated" "$out" '^ +93\.[0-9]+ MiB  message_receive$'
    like "has the table of times" "$out" 'held-B/op'
    like "and a verdict" "$out" '^copy keeps 0\.[0-9]+ MiB after 12 rounds where view keeps 93\.'
    run env AFTER=ttl scripts/compare.sh cache
    exits "compare-cache with a time to live" 0
    like "has the hits that it costs" "$out" 'hit-%'
    run env BEFORE=lru AFTER=unbounded scripts/compare.sh cache
    exits "what does not grow needs no cure" 1
    like "which is said" "$out" '^inconclusive: lru does not grow here'
    run env AFTER=fifo scripts/compare.sh cache
    refused "a variant that there is not" 2 "lab cache has no variant 'fifo'; there are: unbounded, lru or ttl"
fi

# ---- escape --------------------------------------------------------------------------------------------------------
run env CC=gcc scripts/escape.sh
exits "escape" 0
for file in return array callback; do
    like "has $file.c" "$out" "^labs/escape/$file.c, as gcc [0-9.]+ compiles it with -O2$"
done
like "a function with its stack" "$out" '^ +[0-9]+ +[0-9]+ +int return_value\(int count, uint64_t \*sum\)$'
like "an array's stack" "$out" '^ +[0-9]+ +[0-9]{2,3} +uint64_t turn_fixed\('
like "a large one's, with a warning" "$out" "^ +[0-9]+ +262[0-9]{3} +uint64_t turn_large\(.* more than a small thread's stack may have$"
like "a variable-length one's" "$out" '^ +[0-9]+ +[0-9]+\+n +uint64_t turn_vla\(.* as much as the size asks for$'
like "a malloc that is in the program" "$out" '^ +[0-9]+ +malloc +struct summary \*s = malloc\('
like "a callback that was inlined" "$out" 'inlines add_capped'
like "a call that was not" "$out" 'calls summary_new$'
cat >"$tmp/mine.c" <<'EOT'
#include <stdlib.h>
int nobody_sees(void)
{
    free(malloc(10));
    return 7;
}
EOT
run env CC=gcc CFLAGS=-O2 scripts/escape.sh "$tmp/mine.c"
like "a malloc that was left out" "$out" 'free\(malloc\(10\)\); +left out: the program has no such call here$'
run env CC=gcc CFLAGS=-O0 scripts/escape.sh "$tmp/mine.c"
like "which without optimization it is not" "$out" '^ +4 +malloc,free +free\(malloc'
if command -v clang >/dev/null; then
    run env CC=clang CFLAGS=-O2 scripts/escape.sh labs/escape/callback.c
    exits "escape with clang" 0
    like "which says the same of the callback" "$out" 'inlines escape_number, add_capped|inlines add_capped|inlines .*add_capped'
    like "and of the stack" "$out" '^ +[0-9]+ +[0-9]+ +int callback_stack\('
else
    skip "escape with clang" "there is no clang"
fi
run scripts/escape.sh labs/escape/escape.h
refused "what is no source" 2 "^escape: 'labs/escape/escape.h' is no C source"
run scripts/escape.sh none.c
refused "a file that is not there" 1 '^escape: no file none.c'
echo 'this is not C' >"$tmp/broken.c"
run scripts/escape.sh "$tmp/broken.c"
refused "what does not compile" 1 '^escape: .*broken.c does not compile: .*error'
run env CC=none scripts/escape.sh
refused "no compiler" 1 "^escape: no compiler 'none'"
done_testing
