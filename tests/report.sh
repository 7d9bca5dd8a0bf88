#!/bin/bash
# make report, make export, make class-report: pages that hold all they show, load nothing and run nothing; whatever a name or a
# file holds is text.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -x $LIB/../tests/trace_make ]] || skip_all "build/plain/tests/trace_make is not built; run make test"
[[ -z $SAN ]] || skip_all "it runs scripts over the plain programs"
unset MAKEFLAGS NAME DOCS CPU_PROFILE HEAP_PROFILE NO_COLOR
export PROFILES=$tmp/profiles LANG_=en DOCS=$tmp/docs
mkdir -p "$PROFILES"/{cpu,bench,doctor,trace,gc} "$DOCS/en"

run scripts/report.sh
exits "nothing is recorded" 1
like "it says what to do" "$err" 'make record STEP=1$'
run scripts/export.sh
exits "so nothing to hand in" 1

# A comparison as compare.sh leaves it, with profiles of what the labs really do.
profile() { # IMPL N SIDE
    "$BIN/cpu_hot" -n "$2" -workers 1 -impl "$1" -cpuprofile "$PROFILES/cpu/fib_$3_20260101-000000.pb.gz" >/dev/null
}
profile recursive 25 before
profile memo 60000 after
for i in 1 2 3 4 5 6; do printf 'BenchmarkFib/impl=recursive-2 10 2%d000000 ns/op\nBenchmarkFib/impl=memo-2 10 200%d ns/op\n' $i $i; done \
    >"$PROFILES/bench/fib_20260101-000000.txt"
cat >"$PROFILES/bench/fib_20260101-000000_report.txt" <<'EOT'
memo is 11,700x faster than recursive (95% CI 11,000x–12,000x; p=0.002; n=6+6; noise floor 22.6%)

CPU time per operation, by function
     before: recursive                              after: memo
  1  fib_recursive                22.0 ms   100.0%  pthread_mutex_trylock         691 ns    33.7%
     (all)                        22.0 ms           (all)                        2.05 µs
fib_recursive fell from 22.0 ms an operation to nothing.
EOT
cp "$PROFILES/cpu/fib_before_20260101-000000.pb.gz" "$PROFILES/cpu/cpu.pprof"
printf 'ok\tC compiler\t12\nwarn\tload\t9 on <2> cores\nok\tnoise\t3.1%%: fine\n' >"$PROFILES/doctor/doctor.tsv"
# A trace, and what the steps about memory leave.
"$LIB/../tests/trace_make" 5000 4 >"$PROFILES/trace/a.trace"
echo "GOGC=50  11 collections" >"$PROFILES/gc/compare_20260101-000000.txt"
echo '<svg xmlns="http://www.w3.org/2000/svg"><style>text{fill:red}</style></svg>' >"$PROFILES/gc/heap_20260101-000000.svg"
echo "glibc  549 ns" >"$PROFILES/bench/malloc_20260101-000000_report.txt"
for step in 0 1 4 5 7; do
    printf '# Step %s — a & <b>\n<!-- record:step%s begin -->\n<!-- record:step%s end -->\n' $step $step $step >"$DOCS/en/step$step-x.md"
    run scripts/record.sh $step
    exits "step $step is recorded" 0
    run scripts/report.sh
    exits "and a report can be made" 0
done
is "four pictures of a comparison" "$(find "$DOCS/record" -name 'step5-fib*' | wc -l)" 4
for picture in "$DOCS"/record/*.svg; do
    python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$picture" || echo "$picture"
done >"$tmp/bad" 2>&1
is "every picture is well-formed" "$(<"$tmp/bad")" ""
like "what changed is per operation" "$(<"$DOCS/record/step5-fib-change.svg")" 'recursive 22\.0 ms an operation, memo 2\.0[0-9] µs an operation'
like "with slow and fixed as one" "$(<"$DOCS/record/step5-fib-change.svg")" 'fib_recursive → fib_memo'

# ---- the report -------------------------------------------------------------------------------------------------
run scripts/report.sh
exits "report" 0
page=$PROFILES/report/report.html
text=$(<"$page")
like "a guide's title is text" "$text" 'Step 5 — a &amp; &lt;b&gt;</h2>'
like "the verdict" "$text" '<p class="verdict proven">memo is 11,700x faster'
like "benchstat's table" "$text" 'Fib-2 +2[0-9]+\.[0-9]+µ'
like "the checks" "$text" '<span class="tag warn">warn</span><td>load<td>9 on &lt;2&gt; cores'
is "all the pictures are in it" "$(grep -c '<svg' "$page")" 7
like "a timeline" "$text" 'class="timeline"'
like "the trace's tables" "$text" 'Threads by start function$'
like "a picture with a style of its own is packed" "$text" '<img alt="The heap over time, collections marked" src="data:image/svg\+xml;base64,[A-Za-z0-9+/=]+">'
like "the collector's table" "$text" '<pre>GOGC=50  11 collections</pre>'
is "nothing is loaded from anywhere" "$(grep -oE '(src|href)="[^#d][^"]*"|url\([^)]*\)|@import|<script|<link' "$page")" ""
like "what is not there is open" "$text" '<span class="tag">open</span> Step 3'

browse() { # FILE: the page as a browser has it, in $out; what it complained of, in $complaints
    run timeout 60 chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update \
        --disable-sync --disable-dev-shm-usage --user-data-dir="$tmp/browser" --enable-logging=stderr \
        --host-resolver-rules='MAP * ~NOTFOUND' --dump-dom "file://$1"
    complaints=$(grep ':CONSOLE' <<<"$err")
}
if command -v chromium >/dev/null; then
    browse "$page"
    is "a browser has nothing to complain of" "$complaints" ""
    like "and shows the pictures" "$out" '<title>fib_recursive'
fi

# ---- export and class -------------------------------------------------------------------------------------------
mkdir "$tmp/class"
NAME='Ada <script>alert(1)</script>' run scripts/export.sh
exits "export" 0
file=${out#to hand in: }
is "its name is harmless" "${file##*/}" "export-Ada-scriptalert1script.tsv"
NAME='山田 太郎' run scripts/export.sh
is "a name in another script is a file's, too" "${out##*/}" "export-山田-太郎.tsv"
NAME='a/../!' run scripts/export.sh
is "what a folder or a shell would take amiss is not" "${out##*/}" "export-a...tsv"
NAME=$(uname -n) USER=grace GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=grace run scripts/export.sh
is "a WSL's NAME is the host's, and not handed in" "${out##*/}" "export-grace.tsv"
USER=grace GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=grace run scripts/export.sh
is "without NAME it is git's" "${rc}${out##*/}" "0export-grace.tsv"
like "the factor is in it" "$(<"$file")" $'^step5\\.fib\\.factor\t11700$'
like "the machine, too" "$(<"$file")" $'^step5\\.cores\t[0-9]+$'
unlike "no path" "$(<"$file")" "$tmp"
cp "$file" "$tmp/class/a.tsv"
sed 's/^name\t.*/name\tBob/; s/factor\t.*/factor\t1\/2.5/; s/status\t.*/status\tslower/; s/noise\t.*/noise\t1.5/' "$file" >"$tmp/class/b.tsv"
sed 's/^name\t.*/name\tEve/; s/factor\t.*/factor\t"><img src=x>/; s/cpu\t.*/cpu\t<img src=x onerror=alert(1)>/; s/status\t.*/status\t"x/; s/noise\t.*/noise\t1;id/' "$file" \
    >"$tmp/class/e.tsv"
head -c 3000 /dev/urandom >"$tmp/class/junk.tsv"
head -c 300 "$file" | sed 's/^name\t.*/name\tMallory/' >"$tmp/class/m.tsv"
run scripts/class-report.sh "$tmp/class"
exits "class-report" 0
like "it counts" "$out" '3 exports, 2 files left out$'
text=$(<"$tmp/class/class.html")
like "a name is text" "$text" '<td>Ada &lt;script&gt;'
unlike "and never markup" "$text" '<script|<img'
like "who is where" "$text" '<td>Bob.*recorded'
like "how much faster" "$text" '<td>Ada .*>faster</span><td class="num">11,700x'
like "and slower" "$text" '<td>Bob<td><span class="tag slower">slower</span><td class="num">0\.40x'
like "a noisy machine is marked" "$text" '<td>Ada.*noisy 22\.6%'
unlike "a quiet one is not" "$(grep '<td>Bob' <<<"$text")" 'noisy'
like "what is no export is named" "$text" 'junk\.tsv: not a file from make export'
like "and so is half an export" "$text" 'm\.tsv: the end of the file is missing'
unlike "which is no learner" "$text" 'Mallory'
if command -v chromium >/dev/null; then
    browse "$tmp/class/class.html"
    is "a browser has nothing to complain of here, either" "$complaints" ""
    like "and shows the table" "$out" '<td>Bob'
fi
LANG_=ja run scripts/class-report.sh "$tmp/class"
exits "again, in Japanese" 0
like "it is Japanese, and its own page is no export" "$(<"$tmp/class/class.html")" '提出 3 件'

# Two of one name, one of them in a folder of its own; the same file twice; names sorted as numbers are; a name that bash
# would evaluate in an arithmetic expression.
mkdir -p "$tmp/names/one"
sed 's/^name\t.*/name\tkim/' "$file" >"$tmp/names/export-kim.tsv"
sed 's/^name\t.*/name\tkim/; s/^made\t.*/made\tlater/' "$file" >"$tmp/names/one/export-kim.tsv"
cp "$tmp/names/export-kim.tsv" "$tmp/names/export-kim (1).tsv"
for n in 10 9; do sed "s/^name\t.*/name\tdesk $n/" "$file" >"$tmp/names/export-desk-$n.tsv"; done
sed "s,^name\t.*,name\tx[\$(touch $tmp/evaluated)]," "$file" >"$tmp/names/export-x.tsv"
run scripts/class-report.sh "$tmp/names"
like "five exports, and one that is there twice" "$out" '5 exports, 1 file left out$'
text=$(<"$tmp/names/class.html")
like "those of one name are told apart" "$text" '<td>kim<br><span class="dim">export-kim( \(1\))?\.tsv</span>'
like "wherever they lie" "$text" '<td>kim<br><span class="dim">one/export-kim\.tsv</span>'
like "others are not in need of it" "$text" '<td>desk 9<td>'
like "what is there twice is told" "$text" 'the same as export-kim'
is "names are in their order" "$(grep -oE '<td>(desk [0-9]+|kim|x)' "$tmp/names/class.html" | head -n 5 | tr -d '\n')" "<td>desk 9<td>desk 10<td>kim<td>kim<td>x"
holds "a name is never run" test ! -e "$tmp/evaluated"
mkdir "$tmp/begun"
sed '/^step5/d' "$file" >"$tmp/begun/a.tsv"
run scripts/class-report.sh "$tmp/begun"
like "a class that has no speedups yet is told so" "$(<"$tmp/begun/class.html")" 'Nobody has recorded step 5 yet\.'
run scripts/class-report.sh
exits "no folder" 2
run scripts/class-report.sh "$tmp/none"
exits "a folder that is not there" 1
run scripts/class-report.sh "$DOCS/en"
exits "a folder without exports" 1
one_line "is one line" "$err"
done_testing
