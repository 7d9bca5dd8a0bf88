#!/bin/bash
# Bad requests: each has its status and says what was wrong, and the server serves on.
# shellcheck disable=SC2119 # what they share has optional arguments
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh

[[ -x $BIN/server ]] || skip_all "there is no server"
start_server
d=/debug/pprof

# An error of the endpoints: text, marked for pprof, no attachment, one line.
bad() { # STATUS BODY_REGEX PATH [CURL OPTION...]
    local expected=$1 regex=$2
    shift 2
    get "$@"
    if [[ $status != "$expected" ]]; then
        not_ok "$*: $expected" "expected status: $expected" "got: $status" "$body"
    elif ! grep -Eq -- "$regex" <<<"$body"; then
        not_ok "$*: $expected" "expected a body like: $regex" "got: $body"
    elif [[ $1 == $d/* ]] && ! grep -qi '^x-go-pprof: 1$' <<<"$head"; then
        not_ok "$*: $expected" "expected the header X-Go-Pprof: 1" "got: $head"
    elif grep -qi '^content-disposition' <<<"$head"; then
        not_ok "$*: $expected" "expected no Content-Disposition" "got: $head"
    elif ! grep -qi '^content-type: text/plain; charset=utf-8$' <<<"$head"; then
        not_ok "$*: $expected" "expected plain text" "got: $head"
    elif [[ $1 == $d/* && $(wc -l <"$tmp/body") != 1 ]]; then
        not_ok "$*: $expected" "expected one line" "got: $body"
    else
        ok "$*: $expected"
    fi
}

# ---- names
for path in nosuch heap/ heap/x Heap HEAP heaps profile/ profile.pb.gz cmdline/x symbol/ trace/x .. ../heap \
    %2e%2e/heap heap%20 heap%0d%0aX-Evil:1 '%3cscript%3e' 'heap;debug=1' "$(printf 'a%.0s' {1..300})"; do
    bad 404 '^Unknown profile$' "$d/$path"
done
bad 404 '404 page not found' /debug/pprofx
bad 404 '404 page not found' /debug
bad 404 '404 page not found' /work
bad 404 '404 page not found' /work/
bad 404 '404 page not found' /favicon.ico

# ---- seconds
for value in 0 -1 -0 abc '' 1.5 1e3 +1 %201 1%20 0x10 1s 901 99999999999999999999 -99999999999999999999 1,5 1%00 %D9%A3; do
    bad 400 '^invalid value for "seconds" - must be a positive integer, at most 3600$' \
        "$d/profile?seconds=${value/901/3601}"
done
bad 400 '^invalid value for "seconds"' "$d/profile?seconds"
bad 400 '^invalid value for "seconds"' "$d/profile?seconds=x&seconds=1"
for value in 0 -1 abc '' 0.5 99999999999; do
    bad 400 '^invalid value for "seconds" - must be a positive integer' "$d/heap?seconds=$value"
    bad 400 '^invalid value for "seconds" - must be a positive integer' "$d/allocs?seconds=$value"
done
bad 400 '^seconds and debug params are incompatible$' "$d/heap?seconds=1&debug=1"
bad 400 '^seconds and debug params are incompatible$' "$d/allocs?debug=2&seconds=1"

# ---- debug and gc
for value in -1 3 abc '' 1.0 1x 99999999999 %00; do
    bad 400 '^invalid value for "debug" - must be 0, 1 or 2$' "$d/heap?debug=$value"
done
for value in -1 abc '' 1.5 yes; do
    bad 400 '^invalid value for "gc" - must be a whole number, 0 or more$' "$d/heap?gc=$value"
done

# ---- methods
for method in POST PUT DELETE PATCH OPTIONS BREW get; do
    bad 405 '^Method not allowed - must be GET or HEAD$' "$d/heap" -X "$method"
done
for name in '' profile cmdline trace; do
    bad 405 '^Method not allowed - must be GET or HEAD$' "$d/$name" -X POST --data-binary x=1
done
header "405 says what is allowed" allow "GET, HEAD"
bad 405 '^Method not allowed - must be GET or HEAD or POST$' "$d/symbol" -X PUT --data-binary 0x1
header "405 of symbol, too" allow "GET, HEAD, POST"
bad 405 'method not allowed' /work/cpu -X POST --data-binary n=1
bad 405 'method not allowed' / -X DELETE

# ---- symbol
head -c 9000000 /dev/zero | tr '\0' 1 >"$tmp/big"
bad 413 '^The addresses are too long - must be at most 8388608 bytes$' "$d/symbol" -H Expect: --data-binary "@$tmp/big"
get "$d/symbol" --data-binary $'0xzz+-5+1e9++ +0x\xff\xfe+99999999999999999999999+\x01'
is "symbol passes over what is no address" "$status $body" "200 num_symbols: 1"
printf '0x%x+' {1..20000} >"$tmp/many"
get "$d/symbol" --data-binary "@$tmp/many"
is "symbol takes many addresses" "$status $body" "200 num_symbols: 1"

# ---- what is no HTTP, or too much of it. A connection may also be closed without a word.
raw() { # NAME STATUS_REGEX TEXT
    local answer
    answer=$(
        trap '' PIPE
        exec 7<>"/dev/tcp/${at/://}" || exit
        printf '%b' "$3" >&7 2>/dev/null
        timeout 20 head -c 12 <&7 2>/dev/null
    )
    like "$1" "${answer:-HTTP/1.1 closed}" "^HTTP/1\\.[01] ($2)\$"
}
long=$(printf 'a%.0s' {1..50000})
raw "no HTTP at all" '400|closed' 'GARBAGE\r\n\r\n'
raw "a NUL in the method" '400|closed' 'G\x00T / HTTP/1.1\r\n\r\n'
raw "no Host" 400 "GET $d/cmdline HTTP/1.1\\r\\n\\r\\n"
raw "an HTTP of the future" 505 "GET $d/cmdline HTTP/9.9\\r\\nHost: x\\r\\n\\r\\n"
raw "a path without end" '414|431' "GET /$long HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
raw "a query without end" '414|431' "GET $d/heap?x=$long HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
raw "a header without end" 431 "GET $d/heap HTTP/1.1\\r\\nHost: x\\r\\nX: $long\\r\\n\\r\\n"
raw "a negative length" 400 "POST $d/symbol HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: -5\\r\\n\\r\\n"
raw "a length beyond numbers" '400|413' "POST $d/symbol HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 99999999999999999999999\\r\\n\\r\\n"
raw "a broken chunk" 400 "POST $d/symbol HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\n"
for ((i = 0; i < 20; i++)); do # half a request, and gone
    (exec 7<>"/dev/tcp/${at/://}" && printf 'GET /debug/pprof/he' >&7)
done

holds "after all of it the server serves" serving
get "$d/heap"
answers "and gives profiles" 200
stop_server
exits "and stops as it should" 0
is "it said nothing of them" "$err" ""
done_testing
