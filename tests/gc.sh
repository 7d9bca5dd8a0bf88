#!/bin/bash
# bin/mem_hot -gc and -alloc: the same work for every way to get memory, as many collections as the formula says, a limit
# that is kept, Go's trace lines, and what the settings refuse.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
mem_hot=$BIN/mem_hot
unset GOGC GOMEMLIMIT GODEBUG

# value NAME: of NAME=VALUE in $out.
value() {
    grep -Eo "(^| )$1=[^ ]*" <<<"$out" | head -n 1 | cut -d = -f 2
}

# within NAME GOT EXPECTED PERCENT
within() {
    if awk -v a="$2" -v b="$3" -v p="$4" 'BEGIN { d = a - b; exit !(a != "" && d * d <= (b * p / 100) ^ 2) }'; then ok "$1"; else
        not_ok "$1" "expected: $3, give or take $4 %" "got: $2" "ran: $ran" "stdout: $out"
    fi
}

# formula GOGC BYTES COUNT KEEP: collections, buffer by buffer. What is live: the newest KEEP buffers.
formula() {
    awk -v p="$1" -v size="$2" -v count="$3" -v keep="$4" 'BEGIN {
        trigger = 4 * 2 ^ 20 * p / 100
        for (i = 1; i <= count; i++) {
            heap += size
            if (heap < trigger) continue
            n++
            heap = (i < keep ? i : keep) * size
            trigger = heap * (1 + p / 100)
            if (trigger < 4 * 2 ^ 20 * p / 100) trigger = 4 * 2 ^ 20 * p / 100
        }
        print n + 0
    }'
}

# ---- the same work ---------------------------------------------------------------------------------------
run "$mem_hot" -bytes 100 -count 3000 -hold=false
same=$(head -n 1 <<<"$out")
for way in gc malloc tcmalloc pool arena; do
    if [[ $SAN && $way == tcmalloc ]]; then
        run "$mem_hot" -alloc tcmalloc -count 10
        exits "a sanitizer's build has no tcmalloc" 2
        one_line "and says so in a line" "$err"
        continue
    fi
    for flags in -hold=true -hold=false "-hold=false -keep 500" "-hold=false -keep 7 -threads 3"; do
        [[ $SAN == thread && $way == gc && $flags == *threads* ]] && continue # cannot stop them in time
        # shellcheck disable=SC2086 # flags
        run "$mem_hot" -alloc $way -bytes 100 -count 3000 $flags
        is "-alloc $way $flags: the same bytes" "$rc $(head -n 1 <<<"$out")" "0 $same"
    done
done
run "$mem_hot" -gc -count 0
is "nothing to do" "$rc $(head -n 1 <<<"$out")" "0 allocated items=0 checksum=0000000000000000"

# ---- how often -------------------------------------------------------------------------------------------
for gogc in 50 100 200; do
    for flags in "-hold=false" "-hold=true" "-hold=false -keep 20000" "-hold=false -threads 4" "-hold=true -threads 4"; do
        keep=0
        [[ $flags != *true* ]] || keep=200000
        [[ $flags != *keep* ]] || keep=20000
        [[ $SAN == thread && $flags == *threads* ]] && continue
        # shellcheck disable=SC2086
        GOGC=$gogc run "$mem_hot" -gc -bytes 1024 -count 200000 $flags
        within "GOGC=$gogc $flags: collections" "$(value collections)" "$(formula $gogc 1024 200000 $keep)" 10
        is "GOGC=$gogc $flags: the program predicts about that" "$(($(value predicted) - $(formula $gogc 1024 200000 $keep)))" 0
    done
done
run "$mem_hot" -gc -gogc off -count 50000 -hold=false
is "GOGC=off never collects" "$(value collections)" 0
GOGC=0 run "$mem_hot" -gc -count 100000 -hold=false
if (($(value collections) > $(formula 200 1024 100000 0))); then ok "GOGC=0 collects as often as it may"; else
    not_ok "GOGC=0 collects as often as it may" "stdout: $out"
fi
is "which no formula predicts" "$(value gogc) $(value predicted)" "0 -"
GOGC=off run "$mem_hot" -gc -gogc 100 -count 50000 -hold=false
is "the flag is stronger than the variable" "$(value gogc) $(value collections)" "100 $(formula 100 1024 50000 0)"
GOGC=nonsense run "$mem_hot" -count 10
exits "without -gc nobody reads GOGC" 0

# ---- the limit -------------------------------------------------------------------------------------------
# About 20 MiB are live. Pauses stretched by other programs are charged to the collector and may push it over the limit:
# one run in five has to be undisturbed.
for limit in 64 40; do
    for _ in 1 2 3 4 5; do
        GOGC=off GOMEMLIMIT=${limit}MiB run "$mem_hot" -gc -count 200000 -hold=false -keep 20000
        peak=$(value system_peak_mib)
        awk -v p="$peak" -v l=$limit 'BEGIN { exit !(p <= l) }' && break
    done
    holds "GOMEMLIMIT=${limit}MiB: all of the collector's memory stays below it" \
        awk -v p="$peak" -v l=$limit 'BEGIN { exit !(p > 0 && p <= l) }'
    holds "GOMEMLIMIT=${limit}MiB: because of collections for its sake" test "$(value for_the_limit)" -gt 0
done
GOMEMLIMIT=10MiB run "$mem_hot" -gc -count 200000 -hold=false -keep 20000
is "a heap that does not fit is no failure" "$rc $(head -n 1 <<<"$out" | cut -d ' ' -f 2)" "0 items=200000"
holds "it is collected for the limit's sake" test "$(value for_the_limit)" -gt 0
GOGC=100 GOMEMLIMIT=1GiB run "$mem_hot" -gc -count 100000 -hold=false
is "a limit far away changes nothing" "$(value collections) $(value for_the_limit)" "$(formula 100 1024 100000 0) 0"

# ---- trace lines -------------------------------------------------------------------------------------------
GODEBUG=gctrace=1 run "$mem_hot" -gc -count 50000 -hold=true
ms='[0-9]+(\.[0-9]+)?'
shape="^gc [0-9]+ @[0-9]+\.[0-9]{3}s [0-9]+%: $ms\+$ms\+$ms ms clock, $ms\+$ms/0/0\+$ms ms cpu, [0-9]+->[0-9]+->[0-9]+ MB, [0-9]+ MB goal, [1-9][0-9]* P\$"
is "gctrace=1: a line for each collection, in Go's shape" "$(grep -Ec "$shape" <<<"$err")" "$(value collections)"
is "and nothing else" "$(grep -Evc "$shape" <<<"$err")" 0
is "their heaps double when all is held" "$(grep -Eo '[0-9]+->[0-9]+->[0-9]+ MB, [0-9]+ MB goal' <<<"$err" | head -n 4 | tr '\n' ';')" \
    "4->4->4 MB, 4 MB goal;8->8->8 MB, 8 MB goal;16->16->16 MB, 16 MB goal;32->32->32 MB, 32 MB goal;"
GODEBUG=gctrace=0 run "$mem_hot" -gc -count 50000
is "gctrace=0 is silent" "$err" ""

# ---- the heap's history ------------------------------------------------------------------------------------
run "$mem_hot" -gc -count 50000 -hold=false -gclog "$tmp/log"
exits "-gclog" 0
is "a full and a collected heap for each collection" "$(grep -c ' full$' "$tmp/log") $(grep -c ' collected$' "$tmp/log")" \
    "$(value collections) $(value collections)"
holds "in order of time, full ones at the goal" awk '!/^#/ { if ($1 < last) exit 1; last = $1 }
    / full$/ { if ($2 < 4 * 2 ^ 20 || $2 > 4.1 * 2 ^ 20) exit 1 }' "$tmp/log"

# ---- traces --------------------------------------------------------------------------------------------------
run "$mem_hot" -gc -count 50000 -hold=false -trace "$tmp/trace"
collections=$(value collections)
run "$BIN/trace" -summary "$tmp/trace"
for row in collection 'world stopped'; do
    like "-trace shows each $row" "$out" "^ *$row +$collections "
done

# ---- misuse --------------------------------------------------------------------------------------------------
for bad in -50 50% many 1.5 9999999999; do
    refuses "GOGC=$bad" 2 "^mem_hot: GOGC '$bad': expected off, or a percentage" env "GOGC=$bad" "$mem_hot" -gc
done
for bad in 64MB 1.5GiB -1 MiB '64 MiB' 99999999TiB; do
    refuses "GOMEMLIMIT=$bad" 2 "^mem_hot: GOMEMLIMIT '$bad': expected off, or a whole number" \
        env "GOMEMLIMIT=$bad" "$mem_hot" -gc
done
refuses "-gogc many" 2 "^mem_hot: -gogc 'many': expected off, or a percentage" "$mem_hot" -gc -gogc many
refuses "-gomemlimit 1MB" 2 "^mem_hot: -gomemlimit '1MB': expected off" "$mem_hot" -gc -gomemlimit 1MB
refuses "-gogc without -gc" 2 '^mem_hot: .*add -gc$' "$mem_hot" -gogc 50
refuses "-keep without -gc or -alloc" 2 '^mem_hot: -keep and -threads need -gc or -alloc' "$mem_hot" -keep 5
refuses "-gc with another way" 2 '^mem_hot: -gc and -alloc malloc exclude each other' "$mem_hot" -gc -alloc malloc
refuses "-gogc with another way" 2 '^mem_hot: -gogc.* not for -alloc pool' "$mem_hot" -alloc pool -gogc 50
refuses "-gc with a variant of the lab" 2 '^mem_hot: -impl pool is for' "$mem_hot" -gc -impl pool
refuses "an unknown way" 2 "^mem_hot: -alloc 'jemalloc': expected gc, malloc" "$mem_hot" -alloc jemalloc
refuses "no threads" 2 "^mem_hot: -threads '0': expected" "$mem_hot" -gc -threads 0
refuses "a folder that is not there" 1 '^mem_hot: -gclog .*none/log: .*No such file' "$mem_hot" -gc -gclog "$tmp/none/log"
refuses "a full disk" 1 '^mem_hot: -gclog /dev/full: .*No space left' "$mem_hot" -gc -count 10 -gclog /dev/full

done_testing
