#!/bin/bash
# How long bin/trace takes to open a million events in the browser, and to draw while one zooms and moves: chromium without
# a screen and without a GPU, 1920 by 1080. The best of ROUNDS=5 openings, for a busy machine only ever adds to it. For
# comparison: the catapult viewer imports a million events in 3.5 s with 457 MB of heap.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${BIN:=bin}" "${ROUNDS:=5}" "${EVENTS:=1000000}"
scripts/deps.sh test ci

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build/plain/tests/trace_make "$EVENTS" 24 >"$work/large.pftrace"
PYTHONPATH=tests python3 -B scripts/perf/trace_page.py "$BIN/trace" "$work/large.pftrace" "$ROUNDS"
