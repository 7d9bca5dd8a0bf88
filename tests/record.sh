#!/bin/bash
# make record: the block of a guide is filled with the learner's own run, nothing beside it is touched, again and again; a
# damaged marker is refused with its line.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -z $SAN ]] || skip_all "it runs scripts over the plain programs"
unset MAKEFLAGS BEFORE AFTER FORCE NAME STEP CPU_PROFILE HEAP_PROFILE
export PROFILES=$tmp/profiles DOCS=$tmp/docs LANG_=en UI=0
mkdir -p "$PROFILES/cpu" "$PROFILES/heap" "$DOCS/en" "$DOCS/ja"

guide() { # LANGUAGE STEP: with text of the learner's on both sides of the block
    printf '%s\n' "# Step $2" "| guess | mine: fib \\1 & \$HOME |" "<!-- record:step$2 begin -->" "Nothing is recorded yet." \
        "<!-- record:step$2 end -->" "" "my notes: 日本語 <b>" >"$DOCS/$1/step$2-x.md"
}
record() { run scripts/record.sh "$@"; }
outside() { sed '/record:step.* begin/,/record:step.* end/d' "$1"; }
leaves_alone() { # NAME STATUS REGEX: of the latest run, with the guide as it was in $tmp/kept
    refused "$1" "$2" "$3"
    holds "$1: the guide is untouched" cmp "$tmp/kept" "$DOCS/en/step1-x.md"
}

"$BIN/cpu_hot" -n 25 -workers 2 -cpuprofile "$PROFILES/cpu/cpu.pprof" >/dev/null
"$BIN/mem_hot" -bytes 1024 -count 50000 -hold=true -memprofile "$PROFILES/heap/heap.pprof" >/dev/null
guide en 1
guide ja 1
guide en 2

# ---- filled ---------------------------------------------------------------------------------------------
outside "$DOCS/en/step1-x.md" >"$tmp/outside"
record 1
exits "a step is recorded" 0
is "it says where" "$out" "step 1 is recorded in $DOCS/en/step1-x.md"
text=$(<"$DOCS/en/step1-x.md")
like "the processor" "$text" '^\| Processor \| [^ |]'
like "the cores" "$text" "^\\| Cores \\| $(nproc) \\|"
like "the compiler" "$text" '^\| Compiler \| .*[0-9]+\.[0-9]'
like "the flags" "$text" '^\| Flags \| .*-O2'
like "the kernel" "$text" "^\\| Kernel \\| Linux $(uname -r | cut -d- -f1 | tr -d +)"
like "when it was captured" "$text" '^\| Captured \| 20[0-9]{2}-[0-9-]+ [0-9:]+ UTC'
like "the top" "$text" '^\| 1 \| `fib_recursive` \| [0-9.]+ m?s \| [0-9.]+% \|'
like "the profile's path" "$text" "profiles/cpu/cpu.pprof"
picture=$(sed -n 's/^!\[.*\](\(.*\.svg\))$/\1/p' "$DOCS/en/step1-x.md")
holds "the flame graph is where the guide says" grep -q fib_recursive "$DOCS/en/$picture"
holds "what the learner wrote stays" cmp "$tmp/outside" <(outside "$DOCS/en/step1-x.md")
unlike "the line that said it is empty is gone" "$text" 'Nothing is recorded'

# ---- again ------------------------------------------------------------------------------------------------
find "$tmp/docs" "$tmp/profiles" -type f -exec md5sum {} + | sort >"$tmp/first"
record 1
record 1
find "$tmp/docs" "$tmp/profiles" -type f -exec md5sum {} + | sort >"$tmp/third"
is "three times is once" "$(diff "$tmp/first" "$tmp/third")" ""
echo "more notes" >>"$DOCS/en/step1-x.md"
sed -i '2s/$/ and more/' "$DOCS/en/step1-x.md"
outside "$DOCS/en/step1-x.md" >"$tmp/outside"
cp "$DOCS/en/step1-x.md" "$tmp/before"
"$BIN/cpu_hot" -n 8 -workers 1 -cpuprofile "$PROFILES/cpu/cpu.pprof" >/dev/null
record 1
holds "after more text and a new capture: the text stays" cmp "$tmp/outside" <(outside "$DOCS/en/step1-x.md")
is "and only what was measured changes" \
    "$(diff "$tmp/before" "$DOCS/en/step1-x.md" | grep '^>' | grep -vE '^> \| (Captured|Total|Samples|Duration|Cores at work|[0-9]+) \|' | grep -v '^> <!-- sum')" ""
record 2
exits "another step" 0
like "two tables of the heap" "$(grep -c '^| 1 |' "$DOCS/en/step2-x.md")" '^2$'
"$BIN/cpu_hot" -n 20 -workers 1 -cpuprofile "$PROFILES/cpu/cpu_20260101-000000.pb.gz" >/dev/null
for name in incident yesterday today; do cp "$PROFILES/cpu/cpu.pprof" "$PROFILES/cpu/$name.pb.gz"; done
guide en 6
record 6
like "step 6 is the capture that the guide takes" "$(<"$DOCS/en/step6-x.md")" '^\| File \| `.*cpu/incident\.pb\.gz` \|$'
guide en 8
record 8
like "step 8 is what changed from yesterday to today" "$(<"$DOCS/en/step8-x.md")" '^!\[What changed from yesterday to today\]'
rm "$PROFILES"/cpu/*.pb.gz
LANG_=ja record 1
exits "in Japanese" 0
like "it is Japanese" "$(<"$DOCS/ja/step1-x.md")" '^\| プロセッサー? \|'
is "no word is missing in Japanese" "$(diff <(cut -f1 scripts/class/words.en | sort) <(cut -f1 scripts/class/words.ja | sort))" ""

# ---- refused ------------------------------------------------------------------------------------------------
damage() { # SED
    guide en 1
    sed -i "$1" "$DOCS/en/step1-x.md"
    cp "$DOCS/en/step1-x.md" "$tmp/kept"
    record 1
}
damage 's/step1 begin/step1 begn/'
leaves_alone "a damaged begin" 1 'step1-x\.md:3: a damaged marker'
damage '5d'
leaves_alone "no end" 1 'step1-x\.md:3: .* is not ended'
damage '3d'
leaves_alone "no begin" 1 'step1-x\.md:4: .* without'
damage '3,5d'
leaves_alone "no markers" 1 'step1-x\.md:4: no marker'
damage '3p'
leaves_alone "two begins" 1 'step1-x\.md:4: a second'
damage 's/step1 end/step2 end/'
leaves_alone "another step's end" 1 'step1-x\.md:5: a damaged marker'
damage 's/ -->/ -> /'
leaves_alone "half a comment" 1 'step1-x\.md:3: a damaged marker'
damage 's/^my notes/<!-- record:step1 end -->/'
leaves_alone "two ends" 1 'step1-x\.md:7: a'
damage '4s/.*/my own\nlines/'
leaves_alone "a block that somebody filled" 1 'step1-x\.md:4: somebody wrote between the markers'
FORCE=1 record 1
exits "FORCE=1 replaces it" 0
sed -i 's/^| 1 | `fib_recursive.*/& is hot!/' "$DOCS/en/step1-x.md"
cp "$DOCS/en/step1-x.md" "$tmp/kept"
record 1
leaves_alone "a block that somebody changed" 1 'step1-x\.md:4: somebody wrote between the markers'

guide en 1
sed -i 's/$/\r/' "$DOCS/en/step1-x.md"
truncate -s -2 "$DOCS/en/step1-x.md"
record 1
is "a file with CR LF stays one" "$(grep -cv $'\r$' "$DOCS/en/step1-x.md")" 1
is "and one without a last newline, too" "$(tail -c 3 "$DOCS/en/step1-x.md")" "<b>"
cp "$DOCS/en/step1-x.md" "$tmp/kept"
record 1
holds "again, too" cmp "$tmp/kept" "$DOCS/en/step1-x.md"

cp "$DOCS/en/step1-x.md" "$tmp/kept"
record 9
leaves_alone "a step that is none" 2 "STEP is '9'; expected a step from 0 to 8"
record
leaves_alone "no step" 2 'usage: make record STEP=1'
LANG_=fr record 1
leaves_alone "a language without guides" 2 'LANG_=fr: there are guides in: en ja'
record 7
leaves_alone "a step without a guide" 1 'there is no guide'
echo damaged >"$PROFILES/cpu/cpu.pprof"
record 1
leaves_alone "a damaged profile" 1 'cpu\.pprof: not a profile'
is "nothing is left behind" "$(find "$tmp/docs" "$PROFILES" -name '*.new*' -o -name '.work*' -o -name '*.old')" ""

# ---- made when there is nothing --------------------------------------------------------------------------------
rm "$PROFILES/cpu/cpu.pprof"
guide en 1
printf '#!/bin/bash\necho "made $*"; cp "%s" "%s/cpu/cpu.pprof"\n' "$PROFILES/heap/../cpu.kept" "$PROFILES" >"$tmp/make"
chmod +x "$tmp/make"
"$BIN/cpu_hot" -n 5 -workers 1 -cpuprofile "$PROFILES/cpu.kept" >/dev/null
MAKE=$tmp/make record 1
exits "without a capture the step's target is run" 0
like "it says so" "$out" '^step 1 has no capture in .*; making one: make bench-cpu$'
like "and does" "$out" '^made --no-print-directory --keep-going bench-cpu$'
rm "$PROFILES/cpu/cpu.pprof"
MAKE=false record 1
exits "a target that fails" 1
like "is named" "$err" '^record: make bench-cpu failed'

# ---- every guide can be recorded in ------------------------------------------------------------------------------
unset DOCS
for file in docs/en/step[0-9]*.md docs/ja/step[0-9]*.md; do
    [[ -e $file ]] || continue
    step=${file##*/step}
    step=${step%%[!0-9]*}
    LC_ALL=C awk -f scripts/class/insert.awk -v step="$step" -v name="$file" /dev/null "$file" >/dev/null 2>"$tmp/said" ||
        grep -q 'somebody wrote' "$tmp/said" || cat "$tmp/said"
done >"$tmp/bad"
is "every guide has its markers" "$(<"$tmp/bad")" ""
done_testing
