#!/bin/bash
# What the library writes, read by Go's own pprof: every figure, name, line and label arrives, without the binary.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

command -v go >/dev/null || skip_all "there is no go"
export PPROF_TMPDIR=$tmp PPROF_BINARY_PATH=$tmp/none HOME=$tmp GOFLAGS=-mod=mod
pprof() { run go tool pprof -symbolize=none "$@"; }
CC=${CC:-cc}

read -ra sanitize <<<"${SAN:+-fsanitize=$SAN}"
holds "the program that writes profiles is built" "$CC" -std=gnu17 -D_GNU_SOURCE -O2 -g -fno-omit-frame-pointer \
    "${sanitize[@]}" -I. -o "$tmp/writer" tests/symbols/writer.c "$LIB/libprof.a" -ldw -lelf -lz -lm -pthread
PROF_HEAP_RATE=1 run "$tmp/writer" "$tmp"
exits "it writes them" 0
is "and says nothing" "$out$err" ""
line=$(grep -n 'the line that pprof -list' tests/symbols/writer.c | cut -d: -f1)
rm "$tmp/writer" # from here on nothing can be looked up in it

# ---- CPU
check_cpu() {
    pprof -raw "$tmp/cpu.pb.gz"
    exits "pprof reads the CPU profile" 0
    like "with its sample types" "$out" '^samples/count cpu/nanoseconds$'
    like "its period" "$out" '^Period: 4000000$'
    like "its duration" "$out" '^Duration: (0\.[3-9]|[1-9])'
    like "its time" "$out" '^Time: 20[2-9][0-9]-'
    like "the program as its first mapping, with what is known of it" "$out" '^1: 0x[0-9a-f]+/0x[0-9a-f]+/0x[0-9a-f]+ .*/writer [0-9a-f]{40} \[FN\]\[FL\]\[LN\]\[IN\]$'
    like "inline frames" "$out" "^ *[0-9]+: 0x[0-9a-f]+ M=1 mix .*/tests/symbols/writer.c:[0-9]+ s=[0-9]+$"
    like "and their callers" "$out" "^ +burn .*/tests/symbols/writer.c:[0-9]+ s=[0-9]+$"
    unlike "no PC without a mapping" "$out" '^ *[0-9]+: 0x[0-9a-f]+ *$'
    unlike "no value below zero" "$out" '^ *-[0-9]+ '

    pprof -top -cum "$tmp/cpu.pb.gz"
    like "-top -cum has busy at its top" "$(head -n 12 <<<"$out")" ' busy$'
    like "with its callers" "$out" ' main$'
    pprof -peek '^busy$' "$tmp/cpu.pb.gz"
    like "-peek shows who calls it" "$out" '\|   main$'
    like "and whom it calls" "$out" '\|   burn$'
    pprof -list '^burn$' "$tmp/cpu.pb.gz"
    like "-list finds the source" "$out" "ROUTINE =+ burn in .*/tests/symbols/writer.c"
    like "and shows its lines" "$out" "[0-9]m?s .*x = mix\\(x\\);"
    pprof -list '^mix$' "$tmp/cpu.pb.gz"
    like "also of an inlined function" "$out" "[0-9]m?s +$line: "
    pprof -tags "$tmp/cpu.pb.gz"
    like "-tags shows the label and its share: 0.3 s of 0.4" "$out" '^ +[23][0-9]{2}(\.[0-9]+)?ms .*: /burn$'
    pprof -top -tagfocus=endpoint=/burn "$tmp/cpu.pb.gz"
    exits "-tagfocus works" 0
    pprof -tree "$tmp/cpu.pb.gz"
    exits "-tree works" 0
    pprof -traces "$tmp/cpu.pb.gz"
    like "-traces works" "$out" 'endpoint: +/burn$'
}
if [[ $SAN == thread ]]; then
    skip "the CPU profile" "the thread sanitizer holds signals back until the next system call"
else
    check_cpu
fi

# ---- heap
sum() { # FIELD FUNCTION: of -raw's sample lines in $out whose stack passes through FUNCTION (all when it is empty)
    awk -v field="$1" -v name="$2" '
        /^Locations/ { in_locations = 1; in_samples = 0; next }
        /^Mappings/ { in_locations = 0 }
        in_locations && $1 ~ /^[0-9]+:$/ { id = $1 + 0; if ($4 == name) has[id] = 1 }
        in_locations && $1 !~ /:$/ && $1 == name { has[id] = 1 }
        in_samples && $1 ~ /^[0-9]+$/ { n++; value[n] = $field; sub(/:/, "", value[n]); line[n] = $0 }
        /^alloc_objects/ { in_samples = 1 }
        END {
            for (i = 1; i <= n; i++) {
                stack = line[i]; sub(/^[^:]*:/, "", stack); k = split(stack, ids, " "); hit = name == ""
                for (j = 1; j <= k; j++) hit = hit || has[ids[j]]
                if (hit) total += value[i]
            }
            print total + 0
        }' <<<"$out"
}
pprof -raw "$tmp/heap.pb.gz"
like "the heap profile has four sample types" "$out" '^alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes'
like "its period is the rate" "$out" '^Period: 1$'
is "what keep allocated is in use" "$(sum 3 keep) $(sum 4 keep)" "300 1228800"
is "what waste freed is not" "$(sum 3 waste) $(sum 4 waste)" "0 0"
is "but was allocated" "$(sum 1 waste) $(sum 2 waste)" "300 2457600"
like "samples carry their size" "$out" '^ +bytes:\[4096\]'
like "and labels" "$out" '^ +kind:\[kept "blocks"\]'
all=$(sum 1 '')
pprof -top "$tmp/heap.pb.gz"
like "without a choice it shows what is in use" "$out" '^Type: inuse_space$'
pprof -top "$tmp/allocs.pb.gz"
like "and allocs what was allocated" "$out" '^Type: alloc_space$'

run cat "$tmp/heap.txt"
like "the text starts as Go's" "$(head -n 1 <<<"$out")" '^heap profile: [0-9]+: [0-9]+ \[[0-9]+: [0-9]+\] @ heap/2$'
like "with a record for keep" "$out" '^300: 1228800 \[300: 1228800\] @( 0x[0-9a-f]+)+$'
like "its function, file and line" "$out" "^#$(printf '\t')0x[0-9a-f]+$(printf '\t')+keep\+0x[0-9a-f]+$(printf '\t')+/.*/tests/symbols/writer.c:[0-9]+$"
like "its labels" "$out" '^# labels: \{"kind":"kept \\"blocks\\""\}$'
like "and statistics" "$out" '^# Mallocs = [0-9]+$'
pprof -raw "$tmp/heap.txt"
exits "pprof reads the text too" 0
like "with the same figures" "$out" '^ +300 +1228800 +300 +1228800:'
is "all of them" "$(($(sum 1 '') >= all))" 1
like "and mappings" "$out" '^1: 0x[0-9a-f]+/0x[0-9a-f]+/0x[0-9a-f]+ .*/writer [0-9a-f]{40}'

# ---- the other texts: their forms, and that pprof reads the same figures out of them
run cat "$tmp/goroutine.txt"
like "goroutine's text starts as Go's" "$(head -n 1 <<<"$out")" '^goroutine profile: total 120$'
like "with records" "$out" '^60 @( 0x[0-9a-f]+)+$'
pprof -raw "$tmp/goroutine.txt"
like "which pprof reads" "$out" '^goroutine/count$'
like "with their values" "$out" '^ +60: [0-9 ]+$'
run cat "$tmp/block.txt"
is "block's text starts as Go's" "$(head -n 2 <<<"$out")" $'--- contention:\ncycles/second=1000000000'
like "with records" "$out" '^12000 60 @( 0x[0-9a-f]+)+$'
pprof -raw "$tmp/block.txt"
like "which pprof reads" "$out" '^contentions/count delay/nanoseconds$'
like "with their values" "$out" '^ +60 +12000: [0-9 ]+$'
run cat "$tmp/mutex.txt"
is "mutex' text starts as Go's" "$(head -n 3 <<<"$out")" $'--- mutex:\ncycles/second=1000000000\nsampling period=5'
like "with records of what was sampled" "$out" '^2400 12 @( 0x[0-9a-f]+)+$'
pprof -raw "$tmp/mutex.txt"
like "which pprof scales up" "$out" '^ +60 +12000: [0-9 ]+$'

pprof -raw "$tmp/delta.pb.gz"
is "a delta has what came in between" "$(sum 1 keep) $(sum 4 keep)" "50 204800"
is "and nothing else of before" "$(sum 1 waste)" 0
like "and its duration" "$out" '^Duration: [0-9]'
pprof -top -sample_index=inuse_space -diff_base "$tmp/delta.pb.gz" "$tmp/heap.pb.gz"
exits "-diff_base works" 0
done_testing
