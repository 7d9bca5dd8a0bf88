#!/bin/bash
# What bin/trace's server answers, and to whom: the page's files, the trace's data, files for other tools; nobody but this
# machine, under a name of this machine. The page itself is looked at in tests/trace_page.sh.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh

make=$LIB/../tests/trace_make
"$make" story >"$tmp/story.pftrace" || {
    not_ok "a trace can be made" "failed: $make"
    done_testing
}

# serve [VARIABLE=VALUE] ADDRESS: in the background, its id in $pid; sets $at.
serve() {
    local variables=()
    [[ $1 == *=* ]] && variables=("$1") && shift
    : >"$tmp/serve.out"
    env "${variables[@]}" "$BIN/trace" -http "$1" "$tmp/story.pftrace" </dev/null >"$tmp/serve.out" 2>"$tmp/serve.err" &
    pid=$!
    children+=("$pid")
    wait_for 20 grep -q '^Ctrl-C' "$tmp/serve.out" || {
        not_ok "the page is served" "$(cat "$tmp/serve.out" "$tmp/serve.err")"
        done_testing
    }
    at=$(sed -n 's,.*http://\([^/]*\)/.*,\1,p' "$tmp/serve.out")
}

# end SIGNAL: sets $rc.
end() {
    kill "-$1" "$pid"
    wait "$pid"
    rc=$? ran="trace, until SIG$1" out=$(cat "$tmp/serve.out") err=$(cat "$tmp/serve.err")
}

serve 127.0.0.1:0
like "it says where the page is" "$(cat "$tmp/serve.out")" '^.*story\.pftrace: 45 events at http://127\.0\.0\.1:[0-9]+/$'

# ---- the page's files: each that is in the folder is in the program, as it lies there
for path in cmd/trace/page/*; do
    get "/${path##*/}"
    if [[ $status == 200 ]] && cmp -s "$path" "$tmp/body"; then ok "${path##*/} is served"; else
        not_ok "${path##*/} is served" "status: $status, $(stat -c %s "$tmp/body") bytes of $(stat -c %s "$path")"
    fi
done
get /
answers "/ is the page" 200 '<!DOCTYPE html>'
header "as HTML" Content-Type 'text/html; charset=utf-8'
header "which is not guessed at" X-Content-Type-Options nosniff
like "with a policy that allows nothing from elsewhere and nothing inline" "$head" \
    "^Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
unlike "no inline scripts" "$head" unsafe
header "nothing for other sites" Cross-Origin-Resource-Policy same-origin
get /main.js
header "scripts are scripts" Content-Type 'text/javascript; charset=utf-8'
get /base.css
answers "the look of the profiles' page is there" 200 'prefers-color-scheme'
unlike "nothing on the page names another site to load from" "$(grep -hoE '(src|href)="[^"]*"' cmd/trace/page/*.html)" '//'

# ---- the data
get /data
answers "the data" 200 '^ctrace1$'
header "are not kept" Cache-Control no-store
offset=$(od -An -tu8 -j8 -N8 "$tmp/body") size=$(od -An -tu8 -j16 -N8 "$tmp/body")
json=$(tail -c +$((offset + 1)) "$tmp/body" | head -c "$size")
is "describe themselves" "$(jq -r '"\(.process) \(.pid) \(.events) \(.duration_ns)"' <<<"$json")" "kitchen 100 45 50000000"
is "with notices" "$(jq -r '.notices[0]' <<<"$json")" "12 events were dropped"
is "every column lies within them, at a multiple of 8" "$(jq --argjson limit "$offset" '[.columns[] | select(.[1] % 8 != 0 or
    .[1] + .[2] * ({u8: 1, u16: 2, u32: 4, f64: 8}[.[0]]) > $limit)] | length' <<<"$json")" 0

# ---- files for other tools
for name in sync.pprof syscall.pprof sched.pprof region.pprof cpu.pprof; do
    get "/files/$name"
    answers "$name" 200
    "$BIN/trace" "-pprof=${name%.pprof}" "$tmp/story.pftrace" >"$tmp/same" 2>&1
    holds "is what -pprof writes" cmp "$tmp/same" "$tmp/body"
done
get /files/trace.json
holds "trace.json is JSON" jq -e '.traceEvents | length > 10' "$tmp/body"
get /files/trace.pftrace
header "the trace itself is a file to keep" Content-Disposition attachment
holds "byte for byte" cmp "$tmp/story.pftrace" "$tmp/body"
for path in /files/none.pprof /files/ /nothing /../etc/passwd /files/../../etc/passwd '/%2e%2e/x' /page/main.js; do
    get "$path"
    answers "$path is not there" 404
done

# ---- who may ask
for host in evil.example evil.example:80 127.0.0.1.evil.example localhost.evil.example 10.0.0.1 '' ' ' '[::2]' '[' \
    '127.0.0.1:x' "$(printf '%0300d' 0)"; do
    get /data -H "Host: $host"
    if [[ $status == 403 || $status == 400 ]]; then ok "Host '${host:0:30}' is refused"; else
        not_ok "Host '${host:0:30}' is refused" "expected: 403 or 400" "got: $status"
    fi
done
for host in localhost localhost:9999 LOCALHOST 127.0.0.1 127.8.8.8:1 '[::1]:18085'; do
    get / -H "Host: $host"
    answers "Host $host is this machine" 200
done
get / -X POST -d x
answers "POST is not taken" 405
header "and says what is" Allow 'GET, HEAD'
get / --head
answers "HEAD is" 200

# ---- a port that is taken, an address that others reach, a password
run "$BIN/trace" -http "$at" "$tmp/story.pftrace"
exits "a taken port is an error" 1
one_line "in one line" "$err"
like "that says so" "$err" '^trace: the address .* is in use'
run "$BIN/trace" -http 0.0.0.0:0 "$tmp/story.pftrace"
exits "an address that others reach needs a password" 1
like "and says how" "$err" 'set PPROF_PASSWORD'
run "$BIN/trace" -http nonsense "$tmp/story.pftrace"
exits "an address that is none is misuse" 2
end INT
exits "Ctrl-C ends it" 0
is "quietly" "$err" ""
serve PPROF_PASSWORD=secret 0.0.0.0:0
at=127.0.0.1:${at##*:}
get /data
answers "behind a password nothing is told without it" 401
get / -u pprof:wrong
answers "nor with another one" 401
get / -u pprof:secret -H 'Host: this.machine.example'
answers "with it everything is, under any name" 200
end TERM
exits "SIGTERM ends it" 0
done_testing
