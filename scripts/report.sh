#!/bin/bash
# One page of all recorded steps: `make report` calls this.
#
#   scripts/report.sh
#
# The page holds everything it shows (tables, plots, flame graphs) and loads nothing: it can be mailed, and opened without a
# network. Goes to profiles/report/report.html; what is not recorded yet is listed as open.
#
# Environment: LANG_ (en), PROFILES (profiles), DOCS (docs).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/class/lib.sh
. scripts/class/lib.sh
# shellcheck source=scripts/class/html.sh
. scripts/class/html.sh

title_of() { # STEP: the guide's own headline
    if find_guide "$1"; then sed -n '/^# /{s/^# //p;q}' "$guide"; else t step "$1"; fi
}

# Links to what is there, names of what is not.
contents() {
    local step
    printf '<nav class="steps">\n'
    for step in $all_steps; do
        if is_recorded "$step"; then
            printf '<span><span class="tag recorded">%s</span> <a href="#step%s">%s</a></span>\n' "$(t recorded)" "$step" "$(html "$(title_of "$step")")"
        else
            printf '<span class="dim"><span class="tag">%s</span> %s</span>\n' "$(t open)" "$(html "$(title_of "$step")")"
        fi
    done
    printf '</nav>\n'
}

# The verdicts of all steps, first.
verdicts() {
    local kind status text
    { grep -hE '^verdict' "$records"/step*/parts 2>/dev/null || true; } | while IFS=$'\t' read -r kind status text; do
        printf '<p class="verdict %s">%s</p>\n' "$(html "$status")" "$(html "$text")"
    done
}

# Where steps were recorded on different machines, each says its own.
machine_of() { # STEP
    cmp -s "$records/step$1/environment" "$work/machine" && return
    printf '<h3>%s</h3>\n' "$(t recorded_on)"
    html_rows "$records/step$1/environment"
}

(($# == 0)) || misuse "unexpected argument '$1'; it takes none"
load_words "${LANG_:-en}"
make_work
newest=$(newest "$records"/step*/environment)
[[ $newest ]] || fail "nothing is recorded yet; do a step, then run: make record STEP=1"
cp "$newest" "$work/machine"
{
    page_head "$(t report_title)"
    printf '<p class="dim">%s</p>\n' "$(t report_made "$(date -u '+%Y-%m-%d %H:%M UTC')")"
    contents
    printf '<h2>%s</h2>\n' "$(t recorded_on)"
    html_rows "$work/machine"
    [[ -z $(verdicts) ]] || printf '<h2>%s</h2>\n' "$(t verdicts)"
    verdicts
    for step in $all_steps; do
        is_recorded "$step" || continue
        printf '<h2 id="step%s">%s</h2>\n' "$step" "$(html "$(title_of "$step")")"
        machine_of "$step"
        render_html "$records/step$step"
    done
    page_foot
} >"$work/report.html"
keep "$work/report.html" "$PROFILES/report/report.html"
say "the report is $PROFILES/report/report.html: open it in a browser"
