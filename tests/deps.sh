#!/bin/bash
# scripts/deps.sh: what it looks for, installs and says, with stand-ins for dpkg-query and apt-get; nothing is installed.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
[[ -z $SAN ]] || skip_all "no program of ours runs in it"

mkdir "$tmp/bin"
stand_in() { # NAME: its body from standard input
    { echo '#!/bin/bash' && cat; } >"$tmp/bin/$1"
    chmod +x "$tmp/bin/$1"
}

# What is "installed" is the list in $tmp/installed; apt-get notes how it was called, and fails as often as
# $tmp/failures says.
stand_in dpkg-query <<'EOT'
for package; do
    grep -qx -- "$package" "$STATE/installed" && printf '%s=installed ' "$package"
done
EOT
stand_in apt-get <<'EOT'
printf '%s\n' "$*" >>"$STATE/apt"
failures=$(cat "$STATE/failures")
if ((failures > 0)); then
    echo $((failures - 1)) >"$STATE/failures"
    echo "E: Unable to fetch some archives" >&2
    exit 100
fi
[[ " $* " != *" install "* ]] || printf '%s\n' "$@" >>"$STATE/installed"
EOT
# shellcheck disable=SC2016
stand_in sudo <<<'[[ $1 == -n ]] && shift; exec "$@"'
for tool in bash env cat grep flock mktemp rm tail; do
    ln -s "$(command -v $tool)" "$tmp/bin/$tool"
done

all() { # GROUP...: every package that the groups want
    : >"$tmp/installed"
    STATE=$tmp PATH=$tmp/bin scripts/deps.sh --check "$@"
}
deps() {
    rm -f "$tmp/apt"
    run env STATE="$tmp" PATH="$tmp/bin" "${as[@]}" "$(command -v bash)" "$PWD/scripts/deps.sh" "$@"
    called=$(cat "$tmp/apt" 2>/dev/null)
}
as=()
echo 0 >"$tmp/failures"

all build test ui >"$tmp/all"
for package in gcc libdw-dev libcmocka-dev golang-go graphviz; do
    holds "$package is wanted" grep -qx "$package" "$tmp/all"
done

cp "$tmp/all" "$tmp/installed"
deps
exits "nothing is missing" 0
is "then apt-get is not called" "$called" ""
is "then nothing is said" "$out$err" ""
deps --check
exits "--check when nothing is missing" 0

grep -vx -e gcc -e libcmocka-dev "$tmp/all" >"$tmp/installed"
deps --check
exits "--check when something is missing" 1
is "--check lists just that" "$out" $'gcc\nlibcmocka-dev'
is "--check installs nothing" "$called" ""
deps --check build
is "a group is looked at alone" "$out" gcc

deps
exits "what is missing is installed" 0
like "just that, without recommendations, without questions" "$called" \
    '^-qq .*install -y --no-install-recommends gcc libcmocka-dev$'
deps
is "and not once more" "$called" ""

grep -vx gcc "$tmp/all" >"$tmp/installed"
echo 1 >"$tmp/failures"
deps
exits "a failure leads to an update and a second try" 0
is "in that order" "$(sed -E 's/.* (install|update)( .*|$)/\1/' <<<"$called" | tr '\n' ' ')" "install update install "

grep -vx gcc "$tmp/all" >"$tmp/installed"
echo 9 >"$tmp/failures"
deps
exits "without a network it fails" 1
like "with apt-get's own reason" "$err" '^E: Unable to fetch'
like "and the command to run later" "$err" 'run: (sudo )?apt-get update && (sudo )?apt-get install -y --no-install-recommends gcc$'
echo 0 >"$tmp/failures"

grep -vx golang-go "$tmp/all" >"$tmp/installed"
stand_in pprof </dev/null
deps --check
exits "a pprof on the PATH serves for golang-go" 0
rm "$tmp/bin/pprof"

if ((EUID == 0)); then
    # Another user has to get to the stand-ins.
    for folder in "$tmp" "$(dirname "$tmp")" "$(dirname "$(dirname "$tmp")")"; do
        [[ ! -O $folder || $folder == / ]] || chmod a+rx "$folder"
    done
    chmod -R a+rX "$tmp"
    chmod a+w "$tmp"
    as=("$(command -v setpriv)" --reuid=65534 --regid=65534 --clear-groups)
fi
rm "$tmp/bin/sudo"
grep -vx gcc "$tmp/all" >"$tmp/installed"
if "${as[@]}" test -r "$PWD/scripts/deps.sh"; then
    deps
    exits "without root it fails" 1
    one_line "in one line" "$err"
    like "with the command" "$err" 'as root run: apt-get install -y --no-install-recommends gcc$'
    is "and apt-get is not called" "$called" ""
else
    skip "without root" "another user cannot read this folder"
fi

as=()
deps --foo
exits "an unknown argument is misuse" 2
like "and named" "$err" "unknown argument '--foo'"

done_testing
