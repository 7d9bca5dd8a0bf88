#!/bin/bash
# The build: help, what is rebuilt when, and the installed library in a program of its own. In a copy of the sources.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -z $SAN ]] || skip_all "builds by itself; the sanitizer build is the one this runs in"

copy=$tmp/copy
mkdir "$copy"
cp -r Makefile prof labs bench cmd scripts profiles "$copy"
# Flags of the make that runs this are not this make's.
unset MAKEFLAGS MFLAGS MAKELEVEL CFLAGS LDFLAGS OPT CC AR OBJCOPY WERROR V T BIN LIB
remake() { # ARGUMENT...
    run make -C "$copy" --no-print-directory -j2 DEPS=0 OPT=-O0 "$@"
}
compiled() { grep -cE '^  CC ' <<<"$out"; }
linked() { grep -cE '^  (LD|AR) ' <<<"$out"; }

remake help
exits "help" 0
for target in all build test bench bench-cpu bench-mem run-cpu run-mem pprof-cpu pprof-heap clean bench-compare \
    bench-{fib,alloc,mutex} benchstat-{fib,alloc,mutex} pprof-{fib,alloc}-{before,after} compare-{fib,alloc,mutex,leak} \
    compare-{slice,cache,escape,array,callback,malloc} leak-diff escape perf install uninstall help; do
    like "help lists $target" "$out" "^  make $target( |\$)"
done
is "help compiles nothing" "$(compiled)" 0

find "$copy" -type f ! -path '*/build/*' ! -path '*/bin/*' | sort >"$tmp/before"
remake build
exits "a clean parallel build" 0
unlike "without a warning" "$out$err" 'warning:'
find "$copy" -type f ! -path '*/build/*' ! -path '*/bin/*' | sort >"$tmp/after"
is "all that is made is under build/ and bin/" "$(diff "$tmp/before" "$tmp/after")" ""

remake build
is "a second build compiles nothing" "$(compiled) $(linked)" "0 0"
if localedef -i de_DE -f UTF-8 "$tmp/de_DE.UTF-8" >/dev/null 2>&1; then
    # It sorts the names of files in another way.
    run env LOCPATH="$tmp" LC_ALL=de_DE.UTF-8 make -C "$copy" --no-print-directory -j2 DEPS=0 OPT=-O0 build
    is "neither does one in another language, which links nothing either" "$(compiled) $(linked)" "0 0"
else
    skip "a build in another language" "this machine cannot make a locale"
fi
remake build WERROR=1
is "WERROR=1 alone compiles nothing" "$(compiled)" 0

touch "$copy/labs/fib/slow.c"
remake build
is "a touched source is compiled, and it alone" "$(grep -E '^  CC' <<<"$out")" "  CC    labs/fib/slow.c"
touch "$copy/labs/fib/fib.h"
remake build
like "a touched header compiles those who include it" "$out" '^  CC +labs/fib/fixed.c'
unlike "and not others" "$out" 'labs/alloc'
echo 'int lab_added(void); int lab_added(void) { return 1; }' >"$copy/labs/fib/added.c"
remake build
like "an added source is compiled" "$out" '^  CC +labs/fib/added.c'
holds "and in the library" grep -q added.o <(ar t "$copy/build/plain/lib/liblabs.a")
rm "$copy/labs/fib/added.c"
remake build
unlike "a removed source is gone from the library" "$(ar t "$copy/build/plain/lib/liblabs.a")" 'added.o'

echo 'this is not C' >"$copy/labs/fib/broken.c"
remake build
exits "an error in a source is an error" 2
rm "$copy/labs/fib/broken.c"
remake build
exits "and gone with it" 0

remake SAN=memory build
exits "an unknown sanitizer is refused" 2
like "and those there are are named" "$err" 'expected address, thread or undefined'
remake pprof-cpu
exits "pprof-cpu without a profile" 2
like "says what is missing" "$err" 'no profile profiles/cpu/cpu.pprof; make run-cpu or make bench-cpu takes one'

# ---- another machine's tools ----------------------------------------------------------------------------
tools() { # ARGUMENT...: the programs that would make the library
    rm -f "$copy/build/plain/lib/libprof.a"
    remake -n build/plain/lib/libprof.a "$@"
    grep -oE '[^ ]*(ar rcs|objcopy --rename)' <<<"$out" | cut -d' ' -f1 | paste -sd' '
}
is "the usual binutils" "$(tools)" "ar objcopy"
is "those of a cross compiler" "$(tools CC=aarch64-linux-gnu-gcc)" "aarch64-linux-gnu-ar aarch64-linux-gnu-objcopy"
is "of one with a version" "$(tools CC=arm-linux-gnueabihf-gcc-12)" "arm-linux-gnueabihf-ar arm-linux-gnueabihf-objcopy"
is "of another version" "$(tools CC=gcc-12)" "ar objcopy"
is "those that are named" "$(tools CC=clang AR=llvm-ar OBJCOPY=llvm-objcopy)" "llvm-ar llvm-objcopy"

# ---- install -------------------------------------------------------------------------------------------
root=$tmp/root
remake install DESTDIR="$root" PREFIX=/opt/prof
exits "install" 0
for file in lib/libprof.a lib/libprof.so lib/pkgconfig/prof.pc include/prof/pprof.h; do
    holds "installs $file" test -s "$root/opt/prof/$file"
done
holds "internal headers stay at home" test ! -e "$root/opt/prof/include/prof/internal.h"

cat >"$tmp/user.c" <<'EOT'
#include <prof/pprof.h>
int main(void)
{
    return prof_cpu_start(100) || prof_cpu_stop(1);
}
EOT
export PKG_CONFIG_PATH=$root/opt/prof/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
# shellcheck disable=SC2046
holds "a program compiles with pkg-config's flags" \
    gcc -o "$tmp/user" "$tmp/user.c" $(pkg-config --cflags --libs prof)
LD_LIBRARY_PATH=$root/opt/prof/lib "$tmp/user" >"$tmp/user.prof" 2>"$tmp/user.err"
is "and profiles itself" "$? $(cat "$tmp/user.err") $(gzip -t "$tmp/user.prof" 2>&1)" "0  "
libs=$(pkg-config --static --libs prof | tr ' ' '\n' | grep -E '^(-ldw|-lelf|-lz|-lm|-pthread)$')
# shellcheck disable=SC2086
holds "and with the static library" \
    gcc -o "$tmp/user-static" -I"$root/opt/prof/include" "$tmp/user.c" "$root/opt/prof/lib/libprof.a" $libs
holds "which needs no libprof.so" "$tmp/user-static"
remake -n install DESTDIR="$root"
unlike "a package leaves the loader's cache alone" "$out" ldconfig
remake -n install
like "an installed library is made known to the loader" "$out" ldconfig
remake uninstall DESTDIR="$root" PREFIX=/opt/prof
is "uninstall leaves no file" "$(find "$root" -type f)" ""

object=build/plain/labs/alloc/slow.o
remake $object CFLAGS=-DOTHER
is "with other flags a source is compiled again" "$(compiled)" 1
remake $object CFLAGS=-DOTHER
is "once" "$(compiled)" 0
remake $object CFLAGS=-DOTHER cflags_labs/fib=-DTHIRD
is "and when flags of some files change" "$(compiled)" 1
remake $object CFLAGS=-DOTHER cflags_labs/fib=-DTHIRD libs_mem_hot=-lgc
is "other libraries compile nothing" "$(compiled)" 0

remake clean
holds "clean leaves neither build/ nor bin/" test ! -e "$copy/build" -a ! -e "$copy/bin"

done_testing
