#!/bin/bash
# Heap or stack, as the compiler has it: every line of the sources that takes stack or calls the allocator, or where a
# function was inlined or was not, with what became of it. `make escape` calls this; Go's -gcflags=-m is the model.
#
#   scripts/escape.sh [FILE.c ...]       labs/escape/*.c when none is named
#
# Stack comes from -fstack-usage, inlining from the compiler's report (gcc -fopt-info-inline, clang -Rpass=inline), and
# calls of the allocator from the object file itself: what the compiler left out is not there.
#
# Environment: CC (gcc) and CFLAGS, the compiler and its flags (-O2 when none are given).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

: "${CC:=gcc}"
read -ra compiler <<<"$CC"
read -ra flags <<<"${CFLAGS:--O2}"
files=("$@")
if ((${#files[@]} == 0)); then
    files=(labs/escape/return.c labs/escape/array.c labs/escape/callback.c)
fi
for file in "${files[@]}"; do
    [[ $file == *.c ]] || misuse "'$file' is no C source; expected files whose names end in .c"
    [[ -r $file ]] || fail "no file $file"
done
command -v "${compiler[0]}" >/dev/null || fail "no compiler '${compiler[0]}'; give another: make escape CC=gcc"
command -v objdump >/dev/null || fail "objdump is not on the PATH; it comes with binutils, as the compiler's linker does"

if "${compiler[@]}" --version | grep -q clang; then
    kind=clang
    report=(-Rpass=inline -Rpass-missed=inline -fno-caret-diagnostics)
else
    kind=gcc
    report=(-fopt-info-inline-optimized-missed)
fi
version=$("${compiler[@]}" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1)
level=$(printf '%s\n' "${flags[@]}" | grep -E '^-O' | tail -n 1 || true)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for file in "${files[@]}"; do
    # -w: it is not compiled to be criticised.
    "${compiler[@]}" -std=gnu17 -D_GNU_SOURCE -I. "${flags[@]}" -w -g -fstack-usage "${report[@]}" -c -o "$work/x.o" "$file" \
        >"$work/report" 2>&1 || fail "$file does not compile: $(grep -m 1 'error' "$work/report" || tail -n 1 "$work/report")"
    objdump --disassemble --line-numbers --reloc --no-show-raw-insn "$work/x.o" >"$work/code"
    printf '%s%s, as %s %s compiles it with %s%s\n' "$bold" "$file" "$kind" "$version" "${level:--O0}" "$reset"
    LC_ALL=C awk -f scripts/escape.awk -v file="$file" what=stack "$work/x.su" what=report "$work/report" what=code "$work/code" \
        what=source "$file"
    echo
done
echo "stack: bytes of the function's own frame, +n where a size that is not known adds to it. heap: calls that are in the"
echo "program. A call that is inlined has no frame of its own; its stack is in the frame of the function that it is in now."
