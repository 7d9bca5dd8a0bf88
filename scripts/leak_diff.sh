#!/bin/bash
# Is there a leak, and whose is it? Heap snapshots of a running program, the same work between each and the next, and what
# has grown. One difference shows growth; the second shows whether it goes on, which is what makes it a leak and not a
# warm-up. `make leak-diff` calls this.
#
#   scripts/leak_diff.sh                       the demo server, whose /work/mem keeps what it is told to hold
#   LAB=slice scripts/leak_diff.sh             the labs of bin/grow_hot; also LAB=cache
#   SERVER=http://host:6060 scripts/leak_diff.sh        a server that runs already, given the same requests
#
# Environment: LAB (server), IMPL (the leaking variant; hold or free for the server), REQUESTS (5, between two snapshots of
# the server), PROFILES (profiles), UI=0, PORT_DIFF (18086, the viewer).
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/capture.sh
. scripts/capture.sh

lab=${LAB:-server}
requests=${REQUESTS:-5}
port=${PORT_DIFF:-18086}
(($# == 0)) || misuse "unexpected argument '$1'; settings are environment variables: LAB=slice"
[[ $requests =~ ^[1-9][0-9]{0,3}$ ]] || misuse "REQUESTS=$requests: expected a number of requests, 1 to 9999"
case $lab in
server) impl=${IMPL:-hold} ;;
slice) impl=${IMPL:-view} ;;
cache) impl=${IMPL:-unbounded} ;;
*) misuse "no lab '$lab' that keeps memory; there are: server slice cache" ;;
esac
[[ $lab != server || $impl =~ ^(hold|free)$ ]] || misuse "IMPL=$impl: the server can hold or free"
check_port PORT_DIFF "$port"
! with_ui || require_port PORT_DIFF "$port"

# ---- snapshots -----------------------------------------------------------------------------------------
server_pid=''
clean_up() {
    [[ -z $server_pid ]] || kill "$server_pid" 2>/dev/null || true
}

get() { # PATH FILE
    local status
    status=$(curl --silent --max-time 60 --output "$2" --write-out '%{http_code}' "$server$1") ||
        [[ $status != 000 ]] || fail "no server answers at $server"
    [[ $status == 200 ]] || fail "$server$1 answered $status: $(head -n 1 "$2")"
}

# A server of our own samples finely, so that little is left to chance.
start_server() {
    [[ -x $BIN/server ]] || fail "$BIN/server is not there; run: make"
    : >"$work/log"
    PROF_HEAP_RATE=65536 "$BIN/server" -addr 127.0.0.1:0 >"$work/log" 2>&1 </dev/null &
    server_pid=$!
    await "$server_pid" grep -q '^listening on ' "$work/log" || fail "the server did not start: $(tail -n 1 "$work/log")"
    server=http://$(sed -n 's/^listening on \([^ ]*\) .*/\1/p' "$work/log")
}

snapshots_of_server() {
    local i n
    server=${SERVER:-}
    while [[ $server == */ ]]; do server=${server%/}; done
    [[ $server ]] || start_server
    work_done="$requests requests of 10 MiB to /work/mem (hold=$([[ $impl == hold ]] && echo true || echo false))"
    get '/work/mem?bytes=2048&count=5000&hold=false' "$work/answer"
    get /debug/pprof/heap?gc=1 "$work/1"
    for i in 2 3; do
        for ((n = 1; n <= requests; n++)); do
            progress "snapshot $i: request $n/$requests"
            get "/work/mem?bytes=2048&count=5000&hold=$([[ $impl == hold ]] && echo true || echo false)" "$work/answer"
        done
        get /debug/pprof/heap?gc=1 "$work/$i"
    done
    clear_progress
    [[ -z ${SERVER:-} || $impl == free ]] || say "$server holds that memory now; $server/work/release frees it"
}

snapshots_of_lab() {
    local i
    [[ -x $BIN/grow_hot ]] || fail "$BIN/grow_hot is not there; run: make"
    "$BIN/grow_hot" -lab "$lab" -impl "$impl" -rounds 3 -memprofiles "$work/round" >"$work/log" 2>"$work/err" || {
        [[ $? == 2 ]] && misuse "IMPL=$impl: $(sed 's/.*: lab/lab/' "$work/err")"
        fail "$(tail -n 1 "$work/err")"
    }
    work_done='a round of its work'
    for i in 1 2 3; do mv "$work/round.$i.pb.gz" "$work/$i"; done
}

# ---- what has grown --------------------------------------------------------------------------------------
# The path to the function that has grown most: who called it, from the inside out.
print_path() { # FUNCTION
    scripts/pprof -traces -sample_index=inuse_space -unit=B -diff_base "$work/1" "$work/3" 2>/dev/null |
        LC_ALL=C awk -v leaf="$1" '
            function finish() {
                if (names[1] == leaf && value > most) {
                    most = value
                    path = names[1]
                    for (i = 2; i <= n && names[i] !~ /^(_start|__libc_start|start_thread|clone)/; i++)
                        if (names[i] != names[i - 1])
                            path = path " < " names[i]
                }
                n = 0
            }
            /^-+\+-+$/ { finish(); next }
            !n && /^ *-?[0-9]+B? +[^ ]/ { value = $1 + 0; names[++n] = $2; next }
            n && NF { names[++n] = $1 }
            END { finish(); if (path != "") print "  " path }'
}

make_work
if [[ $lab == server ]]; then
    snapshots_of_server
else
    snapshots_of_lab
fi
{ flat_values inuse_space B "$work/2" -diff_base "$work/1" >"$work/first.top" &&
    flat_values inuse_space B "$work/3" -diff_base "$work/2" >"$work/second.top"; } ||
    fail "pprof cannot read the profiles, or there is none: scripts/deps.sh ui installs it"
period=$(scripts/pprof -raw "$work/3" 2>/dev/null | sed -n 's/^Period: //p')
LC_ALL=C awk -f scripts/leak.awk -v period="${period:-1}" -v work="$work_done" -v what="$lab${impl:+, $impl}" \
    "$work/first.top" "$work/second.top" >"$work/report.txt"
sed '$d' "$work/report.txt"
culprit=$(sed -n '$s/^culprit //p' "$work/report.txt")
if [[ $culprit ]]; then
    echo
    echo "allocated by (and called from)"
    print_path "$culprit"
fi

at=$(stamp)
echo
for i in 1 2 3; do
    file=$PROFILES/heap/leak_${lab}_${at}_$i.pb.gz
    keep "$work/$i" "$file"
    ((i > 1)) || base=$file
done
echo "kept: ${file%_3.pb.gz}_1.pb.gz, _2, _3"
if with_ui; then
    trap : INT # Ctrl-C is for the viewer
else
    export UI=0
fi
scripts/ui.sh -sample_index=inuse_space -diff_base="$base" "what has grown" PORT_DIFF "$port" "$file" || true
