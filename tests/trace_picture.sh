#!/bin/bash
# trace -export=svg: the timeline as a picture, whole and alone, and with the shares that the tables have.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -x $LIB/../tests/trace_make ]] || skip_all "build/plain/tests/trace_make is not built; run make test"

"$LIB/../tests/trace_make" 20000 6 >"$tmp/trace"
run "$BIN/trace" -export=svg -o "$tmp/a.svg" "$tmp/trace"
exits "a picture" 0
is "says nothing" "$out$err" ""
holds "well-formed" python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$tmp/a.svg"
svg=$(<"$tmp/a.svg")
is "nothing from elsewhere" "$(grep -oE '(href|src)="|url\(|@import|<script' <<<"$svg")" ""
like "names are escaped" "$svg" '&lt;img src=x&gt;'
unlike "all of them" "$svg" '<img'
is "a lane for each thread, and one for collections" "$(grep -c '^<g><title>' <<<"$svg")" $((1 + $("$BIN/trace" -summary "$tmp/trace" | awk '/^  threads/ { print $2; exit }')))
"$BIN/trace" -export=svg "$tmp/trace" >"$tmp/b.svg"
holds "the same bytes every time" cmp "$tmp/a.svg" "$tmp/b.svg"

# The share of a state, as the summary has it: time by life.
share=$("$BIN/trace" -summary -thread 4001 "$tmp/trace" | awk '
    function ns(s) { return s + 0 ? (s ~ /us$/ ? s * 1e3 : s ~ /ms$/ ? s * 1e6 : s ~ /ns$/ ? s + 0 : s * 1e9) : 0 }
    /^Threads$/ { mine = 1 }
    mine && $1 == "worker" && $3 == 4001 { printf "%.0f", 100 * ns($7) / ns($6); exit }')
like "running as long as the table says" "$(grep -A9 '<title>worker 1 4001' "$tmp/a.svg" | grep '^running')" "^running ($share|$((share + 1))|$((share - 1)))\\."
run "$BIN/trace" -export=svg -thread 4001 "$tmp/trace"
is "-thread: one lane" "$(grep -c 'title>worker' <<<"$out")" 1
run "$BIN/trace" -export=svg -from 100ms -to 101ms "$tmp/trace"
like "-from and -to: the axis says so" "$out" '>100\.[0-9] ms<'
"$LIB/../tests/trace_make" 60000 100 >"$tmp/many"
run "$BIN/trace" -export=svg "$tmp/many"
like "many threads: the busiest" "$out" 'threads with less to see are left out'
is "24 of them" "$(grep -c '<title>worker\|<title>batch\|<title>thread\|<title>&lt;img' <<<"$out")" 24
run "$BIN/trace" -export=png "$tmp/trace"
exits "another format" 2
like "is refused" "$err" 'expected json or svg$'
run "$BIN/trace" -export=svg -o /nowhere/a.svg "$tmp/trace"
exits "a folder that is not there" 1
done_testing
