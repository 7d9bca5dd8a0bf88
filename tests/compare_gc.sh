#!/bin/bash
# scripts/compare_gc.sh: a table whose sentences say no more than the numbers carry, and a picture that is well-formed.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -z $SAN ]] || skip_all "a sanitizer's build has no tcmalloc to compare with"
unset GOGC GOMEMLIMIT GODEBUG GC_COUNT GC_BYTES GC_KEEP GC_RUNS GC_LIMIT BENCH_COUNT
export PROFILES=$tmp/profiles UI=0

# ---- the table, from known runs ----------------------------------------------------------------------------
printf '%s\n' GOGC=50 GOGC=100 GOGC=200 'GOGC=off, limit 48MiB' GOGC=off malloc tcmalloc pool arena >"$tmp/names"
# runs ROUNDS GOGC200: the wall time of GOGC=200, an awk expression of the round i. GOGC=50 takes 200 ms, give or take the
# round, all else 300 ms, the pool 50 ms.
runs() {
    awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) {
        print 0, i, "abc", 200 + i, 40, 24, 24, 20 + i, 1
        print 1, i, "abc", 300 + i, 50, 12, 12, 10, 1
        print 2, i, "abc", '"$2"', 70, 6, 6, 5, 1
        print 3, i, "abc", 300 + i, 55, 7, "-", 6, 1
        print 4, i, "abc", 300 + i, 220, 0, 0, 0, 0
        for (r = 5; r <= 8; r++) print r, i, "abc", r == 7 ? 50 + i : 300 + i, 30, "-", "-", "-", "-"
    } }' >"$tmp/runs"
}
table() { run awk -v title=work -v picks="$tmp/picks" -f scripts/gc_table.awk "$tmp/names" "$tmp/runs"; }

runs 9 '150 + i'
table
exits "the table" 0
like "has medians" "$out" '^  GOGC=50 +24 +24 +25\.0 ms +1\.00 ms +205 ms +40\.0 MiB$'
like "and - where there is no collector" "$out" '^  pool +- +- +- +- +55 ms +30\.0 MiB$'
like "the knobs: fewer collections, more memory, less time" "$out" \
    '^verdict: GOGC=200 instead of 50: 4\.0x fewer collections \(6 instead of 24\) for 1\.8x the memory; 24 % less time \(9 of 9 rounds\)$'
like "the pool against every setting" "$out" \
    '^verdict: pool: 65 to 82 % less time than the collector with any setting \(at least 9 of 9 rounds\), 0\.1x to 0\.8x the memory$'
like "the arena is not quicker, and that is said" "$out" \
    "^verdict: arena: less time than 0 of the collector's 5 settings, as far as the rounds carry\$"
is "the picture is of the median run" "$(grep -c ' 5$' "$tmp/picks")" 9

runs 9 '(i == 3 ? 900 : 150 + i)'
table
like "one disturbed round of nine is no objection" "$out" '24 % less time \(8 of 9 rounds\)$'
runs 9 '(i <= 2 ? 900 : 150 + i)'
table
like "two are: no difference is claimed" "$out" '^verdict: GOGC=200 .*; no difference in time that the rounds carry$'
runs 9 '200 + (i % 2 ? -20 : 40)'
table
like "nor where the sign changes" "$out" '^verdict: GOGC=200 .*; no difference in time that the rounds carry$'
runs 5 '150 + i'
table
like "five rounds can carry nothing" "$out" '^verdict: GOGC=200 .*; 5 rounds are too few to tell their times apart$'
like "about the pool neither" "$out" "^verdict: pool: 0\.1x to 0\.8x the collector's memory; 5 rounds are too few to tell times apart\$"
runs 9 '150 + i'
sed -i -E 's/^(0 [0-9]+ abc [0-9]+ 40) 24 24/\1 30 24/' "$tmp/runs"
table
exits "collections that are not the formula's" 1
like "are no ground for a verdict" "$out" '^verdict: inconclusive: the collections are not those of the formula'
unlike "and for none about time" "$out" 'less time'
runs 9 '150 + i'
sed -i -E 's/^([02] [0-9]+ abc [0-9]+ [0-9]+) .*/\1 0 0 0 0/' "$tmp/runs"
table
is "too little work" "$rc $(grep -c '^verdict: inconclusive: too little is allocated' <<<"$out")" "1 1"
runs 9 '150 + i'
sed -i '$s/abc/abd/' "$tmp/runs"
table
is "other checksums" "$rc $out" "2 the runs did not do the same work: their checksums differ"

# ---- all of it ---------------------------------------------------------------------------------------------
export GC_COUNT=60000 GC_BYTES=256 GC_KEEP=4000 GC_RUNS=2 GC_LIMIT=8MiB
run scripts/compare_gc.sh
exits "compare-gc" 0
is "nine rows" "$(grep -cE '^  (GOGC=|malloc|tcmalloc|pool|arena).*MiB$' <<<"$out")" 9
like "a verdict" "$out" '^GOGC=200 instead of 50: .* fewer collections .*; 2 rounds are too few to tell their times apart$'
svg=$(sed -n 's/^ *\(kept: \)\?\(.*\.svg\)$/\2/p' <<<"$out" | tr -d ' ')
table=$(sed -n 's/^kept: //p' <<<"$out")
holds "the table is kept" grep -q '^compare gc: 60000 buffers of 256 bytes, the newest 4000 kept; medians of 2 rounds$' "$table"
collections() { # of the picture, by panel
    python3 -c '
import sys, xml.etree.ElementTree as tree
ns = "{http://www.w3.org/2000/svg}"
root = tree.parse(sys.argv[1]).getroot()
box = [float(v) for v in root.get("viewBox").split()]
for g in root.findall(ns + "g"):
    dots = g.findall(ns + "circle")
    assert all(0 <= float(d.get("cx")) <= box[2] and 0 <= float(d.get("cy")) <= box[3] for d in dots)
    print(len(dots), end=" ")
' "$1"
}
read -ra dots <<<"$(collections "$svg")"
is "the picture has a panel for each setting of the collector" "${#dots[@]}" 5
is "with a dot for each collection" "${dots[0]} ${dots[1]} ${dots[2]} ${dots[4]}" \
    "$(awk '/^  GOGC=(50|100|200|off) / { printf "%s%d", sep, $2; sep = " " }' <<<"$out")"
is "nothing else is left" "$(find "$PROFILES" -type f | wc -l) $(find "$PROFILES" -name '.work*' | wc -l)" "2 0"

# ---- misuse ------------------------------------------------------------------------------------------------
for bad in GC_COUNT=many GC_RUNS=0 GC_KEEP=-1 GC_BYTES=1k; do
    run env "$bad" scripts/compare_gc.sh
    exits "$bad" 2
    one_line "$bad: one line" "$err"
    like "$bad: names it" "$err" "^compare_gc: ${bad%=*}"
done
run env GC_LIMIT=8MB scripts/compare_gc.sh
exits "GC_LIMIT=8MB" 1
like "GC_LIMIT=8MB: says what is expected" "$err" "'8MB': expected off, or a whole number of bytes"
run awk -f scripts/gc_plot.awk /dev/null
is "no log, no picture" "$rc $out" "1 "

done_testing
