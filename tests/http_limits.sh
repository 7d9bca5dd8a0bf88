#!/bin/bash
# Who may see profiles, and how much of them at once: passwords, addresses, limits, and the environment that sets them.
# shellcheck disable=SC2119 # what they share has optional arguments
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh

[[ -x $BIN/server ]] || skip_all "there is no server"
d=/debug/pprof

# ---- password
start_server PPROF_PASSWORD='s3cret "&:' PPROF_USER=ops
get "$d/heap"
answers "without a password: 401" 401 'a password'
header "the answer asks for one" www-authenticate 'Basic realm="pprof", charset="UTF-8"'
header "and is an error" x-go-pprof 1
for user in ops: ops:wrong ops:s3cret 'ops:s3cret "&:x' 'root:s3cret "&:' ':s3cret "&:' "ops:$(printf 'x%.0s' {1..2000})"; do
    get "$d/" --user "$user"
    answers "as ${user:0:20}: 401" 401
done
for value in Basic 'Basic !!!' 'Bearer abc' 'Basic b3Bz' ''; do
    get "$d/cmdline" --header "Authorization: $value"
    answers "Authorization: $value: 401" 401
done
get "$d/nosuch"
answers "unknown profiles ask for it too" 401
get "$d/symbol" --data-binary 0x1
answers "and POSTs" 401
get "$d"
answers "and redirects" 401
get "$d/heap" --user 'ops:s3cret "&:'
answers "with the password: the profile" 200
get /healthz
answers "the server's own routes ask for nothing" 200
if command -v go >/dev/null; then
    run go tool pprof -raw "http://ops:s3cret%20%22&:@$at$d/heap"
    exits "pprof takes it in the address" 0
fi
stop_server
exits "it stops" 0

# ---- address
server_refuses() { # NAME STATUS REGEX [VARIABLE=VALUE...] [FLAG...]
    local name=$1 status=$2 regex=$3 variables=()
    shift 3
    while [[ ${1:-} == *=* && $1 != -* ]]; do variables+=("$1"); shift; done
    refuses "$name" "$status" "$regex" timeout 20 env "${variables[@]}" "$BIN/server" "$@"
    is "$name: starts nothing" "$out" ""
}
for address in 0.0.0.0:0 '[::]:0'; do
    server_refuses "$address without a password" 1 'reached from other machines; set PPROF_PASSWORD' -addr "$address"
done
for address in nonsense 127.0.0.1 127.0.0.1: 127.0.0.1:x 127.0.0.1:65536 127.0.0.1:-1 ::1:6060 '[::1]' '[::1]6060' \
    no.such.host.invalid:6060 "$(printf 'a%.0s' {1..300}):1"; do
    server_refuses "the address ${address:0:30}" 1 'expected' -addr "$address"
done
start_server PPROF_PASSWORD=x
port=${at##*:}
server_refuses "an address in use" 1 "^server: the address 127.0.0.1:$port is in use" -addr "127.0.0.1:$port"
stop_server
# "localhost" and no host at all are the loopback.
for address in localhost:0 :0; do
    start_server -addr "$address" # the last -addr counts
    like "$address is the loopback" "$at" '^127\.0\.0\.1:[1-9]'
    stop_server
done
if [[ -e /proc/net/if_inet6 ]] && grep -q '^0*1 ' /proc/net/if_inet6; then
    start_server -addr '[::1]:0'
    like "[::1] is taken" "$at" '^\[::1\]:[1-9]'
    get "$d/heap" --globoff
    answers "and serves" 200
    stop_server
else
    skip "[::1]" "this machine has no IPv6"
fi
start_server PPROF_PASSWORD=x -addr 0.0.0.0:0
like "all interfaces with a password" "$at" '^0\.0\.0\.0:[1-9]'
get "$d/heap" --user pprof:x
answers "are served" 200
stop_server

# ---- environment and flags
server_refuses "ENABLE_PPROF is checked" 1 'ENABLE_PPROF is "fasle"; expected' ENABLE_PPROF=fasle
server_refuses "PPROF_MAX_SECONDS is checked" 1 'PPROF_MAX_SECONDS is "0"; expected a whole number from 1 to 86400' PPROF_MAX_SECONDS=0
server_refuses "PPROF_MAX_REQUESTS is checked" 1 'PPROF_MAX_REQUESTS is "many"; expected' PPROF_MAX_REQUESTS=many
server_refuses "PPROF_CPU_HZ is checked" 1 'PPROF_CPU_HZ is "10001"; expected a whole number from 1 to 10000' PPROF_CPU_HZ=10001
server_refuses "a user with a colon" 1 'PPROF_USER contains a colon' PPROF_USER=a:b PPROF_PASSWORD=x
server_refuses "a password without end" 1 'PPROF_PASSWORD is 300 bytes long' "PPROF_PASSWORD=$(printf 'a%.0s' {1..300})"
server_refuses "BLOCK_PROFILE_RATE_NS is checked" 2 'BLOCK_PROFILE_RATE_NS is "x"; expected' BLOCK_PROFILE_RATE_NS=x
server_refuses "MUTEX_PROFILE_FRACTION is checked" 2 'MUTEX_PROFILE_FRACTION is "-1"; expected' MUTEX_PROFILE_FRACTION=-1
server_refuses "an unknown flag" 2 'unknown flag "-port"; see server -help' -port 80
server_refuses "a flag without its value" 2 '-addr needs a value' -addr
server_refuses "a bad limit" 2 '-hold-limit is "0"; expected a whole number from 1 to 65536' -hold-limit 0
server_refuses "an argument" 2 'unexpected argument "x"' x
run "$BIN/server" -help
exits "-help" 0
like "-help lists the flags" "$out" '-addr HOST:PORT'

start_server ENABLE_PPROF=0
get "$d/heap"
answers "ENABLE_PPROF=0: no endpoints" 404
holds "but a server" serving
stop_server
start_server ENABLE_PPROF=off -addr 0.0.0.0:0
like "and no password needed anywhere" "$at" '^0\.0\.0\.0:'
stop_server

# ---- limits
start_server PPROF_MAX_REQUESTS=2 PPROF_MAX_SECONDS=5 PPROF_CPU_HZ=250
get "$d/profile?seconds=6"
answers "PPROF_MAX_SECONDS" 400 'must be a positive integer, at most 5$'
captures=()
for _ in 1 2; do
    # Looking whether there is room takes a place for a moment: a capture that found none tries again.
    until curl --silent --fail --output /dev/null "http://$at$d/heap?seconds=5"; do sleep 0.1; done &
    captures+=($!)
done
full() {
    get "$d/heap"
    [[ $status == 503 ]]
}
holds "PPROF_MAX_REQUESTS: one more is refused" wait_for 5 full
answers "with what it means" 503 '^Too many profile requests at once - at most 2; try again later$'
header "and when to come again" retry-after 1
holds "the server's own requests are not counted" serving
wait "${captures[@]}"
get "$d/heap"
answers "when they are done there is room" 200
if command -v go >/dev/null; then
    run go tool pprof -raw "http://$at$d/profile?seconds=1"
    like "PPROF_CPU_HZ sets the rate" "$out" '^Period: 4000000$'
fi
stop_server
exits "it stops" 0
done_testing
