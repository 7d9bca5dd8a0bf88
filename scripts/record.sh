#!/bin/bash
# Writes what a learner measured into the guide of a step: `make record STEP=1` calls this.
#
#   scripts/record.sh STEP
#
# Takes the newest captures that the step's targets left in profiles/ (and runs the target when there are none), makes tables
# and flame graphs of them, and puts those between the markers <!-- record:stepN begin --> and end of docs/LANG/stepN-*.md.
# Nothing else in the guide is touched; a marker that is damaged is refused with its line, and so is a block that somebody
# wrote into (FORCE=1 replaces it). Pictures go to docs/record/. Twice from the same captures is once. What was recorded is
# kept in profiles/record/stepN/ for report, export and progress.
#
# Environment: LANG_ (en), FORCE, PROFILES (profiles), DOCS (docs).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/class/lib.sh
. scripts/class/lib.sh
# shellcheck source=scripts/class/steps.sh
. scripts/class/steps.sh
# shellcheck source=scripts/class/markdown.sh
. scripts/class/markdown.sh

pictures=${DOCS:-docs}/record

# The captures of a step, in $work/step; made first when there are none.
gather() {
    local target
    out=$work/step
    mkdir -p "$out"
    : >"$out/parts"
    "gather_$step" && return 0
    target=needs_$step
    [[ ${!target:-} ]] || fail "step $step has no capture in $PROFILES/ yet; do the step first, see $guide"
    say "step $step has no capture in $PROFILES/ yet; making one: make ${!target}"
    # A comparison that is inconclusive, or a doctor that found something, exits with 1 and leaves what it found.
    # shellcheck disable=SC2086 # may be several
    UI=0 ${MAKE:-make} --no-print-directory --keep-going ${!target} ||
        [[ $step =~ [057] ]] || fail "make ${!target} failed; see above"
    rm -rf "$out"
    mkdir -p "$out"
    : >"$out/parts"
    "gather_$step" || fail "make ${!target} left no capture in $PROFILES/"
}

# The environment comes first; it is what makes numbers comparable.
describe_machine() {
    local key value
    printf '### %s\n\n| | |\n|---|---|\n' "$(t recorded_on)"
    while IFS=$'\t' read -r key value; do
        printf '| %s | %s |\n' "$(t "$key")" "$(cell "$value")"
    done <"$out/environment"
    echo
}

# The guide with the block in it, in $work/guide. A file without a newline at its end stays so.
fill_guide() {
    local status=0
    LC_ALL=C awk -f scripts/class/insert.awk -v step="$step" -v name="$guide" -v force="${FORCE:-0}" "$work/block" "$guide" \
        >"$work/guide" 2>"$work/err" || status=$?
    ((status == 0)) || fail "$(cat "$work/err"); nothing was changed"
    [[ -z $(tail -c 1 "$guide") ]] || truncate -s -1 "$work/guide"
}

# A folder of the same content stays as it is, with its times.
keep_folder() { # FROM TO
    diff -rq "$1" "$2" >/dev/null 2>&1 && return
    rm -rf "$2.old"
    mkdir -p "$(dirname "$2")"
    [[ ! -e $2 ]] || mv "$2" "$2.old"
    mv "$1" "$2"
    rm -rf "$2.old"
}

# Written beside the guide, then renamed; a link stays one.
replace_guide() {
    local real
    real=$(realpath "$guide")
    cmp -s "$work/guide" "$real" && return
    cp -p "$real" "$real.new$$" 2>/dev/null && cat "$work/guide" >"$real.new$$" && mv -f "$real.new$$" "$real" && return
    rm -f "$real.new$$"
    fail "cannot write $guide"
}

keep_pictures() {
    local picture name
    mkdir -p "$pictures" || fail "cannot write to $pictures"
    for picture in "$pictures/step$step-"*.svg; do
        name=${picture##*/"step$step"-}
        [[ -e $out/$name ]] || rm -f "$picture"
    done
    for picture in "$out"/*.svg; do
        [[ -e $picture ]] || continue
        name=$pictures/step$step-${picture##*/}
        cmp -s "$picture" "$name" && continue
        cp "$picture" "$work/picture" && mv -f "$work/picture" "$name"
    done
}

(($# == 1)) || misuse "usage: make record STEP=1 [LANG_=ja]"
step=$1
require_step "$step"
load_words "${LANG_:-en}"
find_guide "$step" || fail "there is no guide ${DOCS:-docs}/$language/step$step-*.md to record in"
[[ -x $BIN/top && -x $BIN/flame ]] || fail "$BIN/top is not there; run: make"
make_work
echo >"$work/block"
fill_guide # a guide that cannot take the block is refused before anything is measured
gather
environment >"$out/environment"
{
    printf '<!-- %s -->\n\n' "$(t do_not_write_here)"
    describe_machine
    render_markdown "$out" ../record
} | cat -s >"$work/block"
fill_guide
keep_pictures
replace_guide
keep_folder "$out" "$records/step$step"
say "step $step is recorded in $guide"
