#!/bin/bash
# bin/flame and bin/top: the numbers are those of pprof, the pictures are whole, the same every time and stand alone, what is
# no profile is refused in one line and leaves nothing behind.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

# A profile by hand: python writes profile.proto from lines `function;function value`, outermost first.
make_profile() { # FILE LINE...
    python3 - "$@" <<'PY'
import gzip, sys
def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])
def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value
strings, out, names = [b"", b"cpu", b"nanoseconds"], b"", {}
out += field(1, field(1, 1) + field(2, 2))
for line in sys.argv[2:]:
    stack, value = line.rsplit(" ", 1)
    ids = []
    for name in reversed(stack.encode("utf-8", "surrogateescape").split(b";")):
        if name not in names:
            names[name] = len(names) + 1
            strings.append(name)
            out += field(5, field(1, names[name]) + field(2, len(strings) - 1))
            out += field(4, field(1, names[name]) + field(3, 0x1000 + names[name]) +
                         (b"" if name == b"unknown" else field(4, field(1, names[name]))))
        ids.append(names[name])
    out += field(2, field(1, b"".join(map(varint, ids))) + field(2, varint(int(value))))
out += b"".join(field(6, s) for s in strings)
gzip.open(sys.argv[1], "wb").write(out)
PY
}
well_formed() { python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$1"; }

# ---- the table -------------------------------------------------------------------------------------------
make_profile "$tmp/a" 'main;work;inner 3000000000' 'main;work 1000000000' 'main;main;other 500000000' 'main;unknown 1000'
run "$BIN/top" "$tmp/a"
exits "top" 0
like "the total" "$out" '^cpu: 4\.50 s in all$'
like "flat and cum" "$out" '^ +1\.00 s +22\.2% +4\.00 s +88\.9%  work$'
like "who calls itself counts once" "$out" '^ +0 ns +0\.0% +4\.50 s +100\.0%  main$'
like "the unknown goes by its address" "$out" '  0x1004$|  0x1005$'
run "$BIN/top" -n 1 "$tmp/a"
is "-n 1" "$(tail -n +3 <<<"$out" | sed 's/.* //')" inner
run "$BIN/top" -callers inner "$tmp/a"
like "callers" "$out" '^ +3\.00 s +66\.7%  work$'
run "$BIN/top" -callees main "$tmp/a"
is "callees, largest first" "$(tail -n +3 <<<"$out" | awk '{ print $NF }' | head -n 3 | tr '\n' ' ')" "work main other "
run "$BIN/top" -tsv -n 1 "$tmp/a"
like "plain numbers" "$out" $'^3000000000\t3000000000\tinner\t3\\.00 s\t66\\.7%'
run "$BIN/top" -hide inner -n 1 "$tmp/a"
like "-hide: what is hidden is its caller's" "$out" '^ +4\.00 s +88\.9% +4\.00 s +88\.9%  work$'
run "$BIN/top" -callers nobody "$tmp/a"
refused "a function that is not there" 1 "has no function 'nobody'"
run "$BIN/top"
refused "no profile" 2 '^top: no profile; usage'

if command -v go >/dev/null && [[ -z $SAN ]]; then
    "$BIN/mem_hot" -bytes 4096 -count 20000 -hold=true -memprofile "$tmp/heap" >/dev/null
    "$BIN/top" -tsv -n 0 -sample_index=alloc_space "$tmp/heap" | awk -F'\t' '!/^#/ { printf "%.0f %.0f %s\n", $1, $2, $3 }' | sort >"$tmp/ours"
    scripts/pprof -top -nodecount=100000 -nodefraction=0 -symbolize=none -sample_index=alloc_space -unit=B "$tmp/heap" 2>/dev/null |
        awk 'rows { sub(/B$/, "", $1); sub(/B$/, "", $4); name = $6; print $1, $4, name } $1 == "flat" { rows = 1 }' | sort >"$tmp/theirs"
    is "the numbers are pprof's" "$(diff "$tmp/ours" "$tmp/theirs")" ""
    holds "and there are some" test -s "$tmp/ours"
fi

# ---- the picture -------------------------------------------------------------------------------------------
run "$BIN/flame" -title 'a < b & c' -o "$tmp/a.svg" "$tmp/a"
exits "flame" 0
is "says nothing" "$out$err" ""
svg=$(<"$tmp/a.svg")
holds "well-formed" well_formed "$tmp/a.svg"
like "the title" "$svg" '<title>a &lt; b &amp; c</title>'
like "a frame's tooltip" "$(tr '\n' ' ' <<<"$svg")" '<title>work 4\.00 s, 89%; itself 1\.00 s</title>'
is "nothing from elsewhere" "$(grep -oE '(href|src|url\(|@import|<script)[^>]*' <<<"$svg")" ""
is "widths are shares" "$(awk '/<title>(work|all)$/ { n = $0; getline; match($0, / width="[0-9.]+/); print substr($0, RSTART + 8, RLENGTH - 8) }' \
    "$tmp/a.svg" | awk 'NR == 1 { all = $1 + 0.5 } NR == 2 { printf "%.3f", ($1 + 0.5) / all }')" 0.889
"$BIN/flame" -title 'a < b & c' "$tmp/a" >"$tmp/b.svg"
holds "the same bytes every time, to standard output too" cmp "$tmp/a.svg" "$tmp/b.svg"
run "$BIN/flame" -fold -from main "$tmp/a"
is "-fold: who calls itself is one frame" "$(grep -c '<title>main' <<<"$out")" 1
run "$BIN/flame" -from work "$tmp/a"
unlike "-from: nothing but what it calls" "$out" '<title>(main|other)'
like "and its share is the whole" "$out" '^4\.00 s, 100%; itself 1\.00 s'
run "$BIN/flame" -from nobody "$tmp/a"
refused "-from a function that is not there" 1 "has no function 'nobody'"

make_profile "$tmp/b" 'main;work;inner 1000000000' 'main;fresh 500000000'
run "$BIN/flame" -base "$tmp/a" -base_name slow -name fast -base_ops 10 -ops 100 "$tmp/b"
exits "a difference" 0
printf '%s\n' "$out" >"$tmp/d.svg"
holds "well-formed, too" well_formed "$tmp/d.svg"
like "per operation" "$out" 'cpu: slow 450 ms an operation, fast 15\.0 ms an operation<'
like "what is gone is there" "$out" '<title>other$'
like "with both sides" "$out" '^slow: 300 ms an operation, 67%; itself 300 ms an operation$'
like "and the new side" "$out" '^fast: 10\.0 ms an operation, 67%; itself 10\.0 ms an operation'
colours=$(awk '/<title>(other|fresh)$/ { n = $0; getline; getline; match($0, /fill="#[0-9a-f]+/); print n, substr($0, RSTART + 7, RLENGTH - 7) }' "$tmp/d.svg")
like "gone is blue" "$colours" 'other .{2}.{2}f[0-9a-f]'
like "new is red" "$colours" 'fresh f[0-9a-f].{2}.{2}'

# Names that are not XML, and very many of them.
make_profile "$tmp/evil" $'<script>alert(1)</script>;a&b;\x01\xff\xc3;日本語の関数 1000' 'x"y 10'
"$BIN/flame" "$tmp/evil" >"$tmp/evil.svg"
holds "names are escaped" well_formed "$tmp/evil.svg"
unlike "all of them" "$(<"$tmp/evil.svg")" '<script'
make_profile "$tmp/deep" "$(printf 'f;%.0s' {1..3000})g 5"
"$BIN/flame" "$tmp/deep" >"$tmp/deep.svg"
exits "a very deep stack" 0
holds "is drawn" well_formed "$tmp/deep.svg"
make_profile "$tmp/none"
run "$BIN/flame" -o "$tmp/none.svg" "$tmp/none"
exits "a profile without samples" 0
holds "is a picture, too" well_formed "$tmp/none.svg"

# ---- misuse --------------------------------------------------------------------------------------------------
run "$BIN/flame" -o "$tmp/x.svg" /etc/passwd
refused "no profile" 1 '/etc/passwd: not a profile'
head -c 60 "$tmp/a" >"$tmp/half"
run "$BIN/flame" -o "$tmp/x.svg" "$tmp/half"
refused "half a profile" 1 'damaged, or not complete'
run "$BIN/flame" -o "$tmp/x.svg" "$tmp/gone"
refused "no file" 1 'No such file'
run "$BIN/flame" -sample_index=heap -o "$tmp/x.svg" "$tmp/a"
refused "values that it has not" 1 "has no values 'heap'; it has: cpu"
run "$BIN/flame" -ops 0 "$tmp/a"
refused "no operations" 2 "expected a number above 0"
run "$BIN/flame" -o /nowhere/x.svg "$tmp/a"
refused "a folder that is not there" 1 'cannot write /nowhere/x.svg: No such'
run "$BIN/flame" "$tmp/a" "$tmp/b"
refused "two profiles" 2 'one profile is drawn'
is "nothing was left behind" "$(ls "$tmp"/*x.svg* 2>/dev/null)" ""

# Whatever the bytes are, the answer is a picture or a line.
python3 - "$tmp" <<'PY'
import gzip, random, sys
random.seed(7)
good = gzip.open(sys.argv[1] + "/a").read()
for i in range(60):
    b = bytearray(good)
    for _ in range(random.randint(1, 6)):
        b[random.randrange(len(b))] = random.randrange(256)
    open(f"{sys.argv[1]}/fuzz.{i}", "wb").write(b[: random.randrange(len(b))] if i % 3 == 0 else b)
PY
bad=0
for file in "$tmp"/fuzz.*; do
    "$BIN/flame" -o "$tmp/fuzz.svg" "$file" 2>/dev/null
    (($? <= 1)) || bad=$((bad + 1))
done
is "bytes that were changed are no crash" "$bad" 0
done_testing
