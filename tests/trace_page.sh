#!/bin/bash
# The page of bin/trace in a real browser: what is drawn, clicked, dragged, searched and listed. The checks are in
# tests/trace_page.py; what the server answers to whom is in tests/trace_serve.sh.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

command -v chromium >/dev/null || skip_all "there is no browser; install Debian's chromium"
[[ -z $SAN ]] || skip_all "the page is the same under a sanitizer"

make=$LIB/../tests/trace_make
if ! "$make" story >"$tmp/story.pftrace" || ! "$make" 20000 8 >"$tmp/shop.pftrace" ||
    ! "$make" none >"$tmp/none.pftrace"; then
    not_ok "traces can be made" "failed: $make"
    done_testing
fi
# A real one: threads that take turns with a lock, as recorded.
cat >"$tmp/turns.py" <<'PYTHON'
import threading, time
lock = threading.Lock()
def turn():
    for _ in range(10):
        with lock:
            time.sleep(0.002)
threads = [threading.Thread(target=turn) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
PYTHON
run "$BIN/prof" run -trace "$tmp/real.pftrace" -- /usr/bin/python3 "$tmp/turns.py"
((rc == 0)) || {
    not_ok "a trace can be recorded" "status: $rc" "$out$err"
    done_testing
}
urls=()
for name in story shop real none; do
    "$BIN/trace" -http=127.0.0.1:0 "$tmp/$name.pftrace" </dev/null >"$tmp/$name.out" 2>"$tmp/$name.err" &
    children+=("$!")
    wait_for 20 grep -q 'http://' "$tmp/$name.out" || {
        not_ok "the page is served" "$(cat "$tmp/$name.out" "$tmp/$name.err")"
        done_testing
    }
    urls+=("$(grep -o 'http://[^ ]*' "$tmp/$name.out")")
done
python3 -B tests/trace_page.py "${urls[@]}"
exit
