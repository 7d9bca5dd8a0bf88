#!/bin/bash
# The two pages in a real browser: they show what they should, run their scripts, load nothing from elsewhere.
# shellcheck disable=SC2119 # what server-lib.sh shares has optional arguments
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/server-lib.sh
. tests/server-lib.sh

[[ -x $BIN/server ]] || skip_all "there is no server"
command -v chromium >/dev/null || skip_all "there is no browser; install Debian's chromium"
[[ -z $SAN ]] || skip_all "the pages are the same under a sanitizer"

# browse PATH [FLAG...]: the page after its scripts ran, in $out; what the browser complained of in $complaints.
browse() {
    local path=$1
    shift
    run timeout 60 chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --disable-dev-shm-usage --user-data-dir="$tmp/browser.$RANDOM" \
        --enable-logging=stderr --host-resolver-rules='MAP * ~NOTFOUND , EXCLUDE 127.0.0.1' "$@" --dump-dom "http://$at$path"
    complaints=$(grep ':CONSOLE' <<<"$err")
}

start_server BLOCK_PROFILE_RATE_NS=1000
curl --silent --output /dev/null "http://$at/work/mem?count=20000"
browse /debug/pprof/
exits "the index opens" 0
for name in profile heap allocs goroutine threadcreate block mutex trace 'flight recorder'; do
    like "it lists $name" "$out" "<td class=\"name\">$name</td>"
done
like "with counts" "$out" '<td class="num" data-count="heap">[1-9][0-9]*</td>'
like "with links to text" "$out" '<a href="heap\?debug=1">text</a>'
like "a profile that is off says how to turn it on" "$out" 'class="off">Off\. prof_set_mutex_fraction'
unlike "one that is on does not" "$out" 'class="off">Off\. prof_set_block_rate_ns'
is "a copy button for each command" "$(grep -o '<button>copy</button>' <<<"$out" | wc -l)" 9
is "its scripts run without complaint" "$complaints" ""

# Time in the browser runs ahead, so that the counts are fetched again: a server that is gone must not empty the page.
browse /debug/pprof/ --virtual-time-budget=12000
like "the counts stay live" "$out" '<td class="num" data-count="heap">[1-9][0-9]*</td>'
is "without complaint" "$complaints" ""

browse /
exits "the server's page opens" 0
for route in cpu mem contention leak release; do
    like "it lists /work/$route" "$out" "<h2><code>/work/$route</code>"
done
like "with curl lines" "$out" "<code>curl 'http://$at/work/cpu\\?n=50&amp;workers=4'</code><button>copy</button>"
like "and a link to the profiles" "$out" '<a href="/debug/pprof/">'
is "without complaint" "$complaints" ""

# Both are readable in the dark, and on a phone nothing sticks out.
for path in /debug/pprof/ /; do
    for flags in --force-dark-mode --window-size=400,900; do
        name=$tmp/shot.$RANDOM.png
        run timeout 60 chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
            --disable-component-update --disable-sync --user-data-dir="$tmp/browser.$RANDOM" $flags \
            --screenshot="$name" "http://$at$path"
        holds "$path $flags is drawn" test -s "$name"
    done
done
stop_server
exits "the server stops" 0
done_testing
