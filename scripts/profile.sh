#!/bin/bash
# Profiles one variant of a lab and opens the profile: CPU for fib and mutex, memory for alloc.
#
#   scripts/profile.sh fib|alloc|mutex before|after
#
# Environment as for compare.sh.
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/capture.sh
. scripts/capture.sh

[[ $# == 2 && $1 =~ ^(fib|alloc|mutex)$ && $2 =~ ^(before|after)$ ]] ||
    misuse "usage: scripts/profile.sh fib|alloc|mutex before|after"
set_lab "$1"
side=$2
impl=${!side}
require_bench
choose_view "$side"
make_work
progress "profiling $impl for $PROFILE_SECONDS s"
bench_variant "$impl" -benchtime="${BENCH_TIME:-0.1s}" >"$work/first.txt" 2>&1 ||
    bench_refused $? "$impl" "$work/first.txt"
ns=$(least_ns "$impl" "$work/first.txt") || fail "no result of $impl: $(tail -n 1 "$work/first.txt")"
capture "$side" "$impl" "$ns"
clear_progress
grep '^Benchmark' "$work/$side.txt"
keep_profiles "$(stamp)"
choose_view "$side"
show
