#!/bin/bash
# bin/prof run: the program stays the program it was (output, signals, exit status), every way in which a process ends
# leaves its profiles, and what cannot be profiled is said in one line. Software from elsewhere: tests/preload.sh.
. "$(dirname "$0")/lib.sh"

prof=$BIN/prof
python=/usr/bin/python3 # not a shell script that finds one
burn='sum(i * i for i in range(1500000))'

# The functions, or here the one stripped program, that a CPU profile has samples of.
samples_in() { # FILE
    go tool pprof -top "$1" 2>/dev/null | sed -nE 's/.*Total samples = ([0-9.]+m?s).*/\1/p'
}

has_cpu() { # NAME FILE
    like "$1" "$(samples_in "$2")" '[1-9]'
}

whole() { # NAME DIR: nothing half-written is left
    is "$1" "$(find "$2" -name '.*.gz*')" ""
}

# ---- usage --------------------------------------------------------------------------------------------------

run_refuses() { # NAME STATUS REGEX ARGUMENTS...
    refuses "$1" "$2" "^prof run: .*$3" "$prof" run "${@:4}"
}

run_refuses "no program" 2 'no program'
run_refuses "no program behind --" 2 'no program' -hz 100 --
run_refuses "an unknown flag" 2 'unknown flag -frequency' -frequency 5 -- true
run_refuses "a flag without its value" 2 '-hz needs a value' -hz
run_refuses "a bad number" 2 "-hz '0': expected a whole number from 1 to 10000" -hz 0 -- true
run_refuses "a number with a tail" 2 "-hz '9x'" -hz=9x -- true
run_refuses "a bad address" 2 'has no port' -addr nowhere -- true
run_refuses "an address that others reach, without a password" 1 'PPROF_PASSWORD' -addr 0.0.0.0:6060 -- true
run_refuses "a program that is not there" 127 "no program 'no-such-program' on the PATH" -o "$tmp/none" -- no-such-program
run_refuses "a path that is not there" 127 "no program './none'" -o "$tmp/none" -- ./none
echo text >"$tmp/text"
run_refuses "a file that may not be executed" 126 'Permission denied' -o "$tmp/none" -- "$tmp/text"
run_refuses "a folder" 126 'directory' -o "$tmp/none" -- "$tmp"
run_refuses "a folder that cannot be made" 1 'Not a directory' -o "$tmp/text/out" -- true
run_refuses "a statically linked program" 1 'statically linked' -o "$tmp/none" -- /sbin/ldconfig -p
port=$(free_port)
start "$python" -c "
import socket, time
s = socket.socket(); s.bind(('127.0.0.1', $port)); s.listen(); print('up', flush=True); time.sleep(60)"
wait_for 10 grep -q up "$tmp/start.out"
run_refuses "a port in use" 1 'in use' -addr "127.0.0.1:$port" -- true
stop_children
holds "nothing was written where nothing ran" test ! -e "$tmp/none"
run "$prof" help run
exits "help" 0
like "help names the flags" "$out" '-addr HOST:PORT'
run "$prof" explain
exits "an unknown command" 2

if [[ $SAN ]]; then
    skip "programs under a preloaded libprof.so" "a sanitizer's library can be preloaded only into its own programs"
    done_testing
fi

# ---- the program stays what it was -------------------------------------------------------------------------------

run "$prof" run -o "$tmp/plain" -- "$python" -c "$burn; import sys; sys.stdout.write('out'); sys.stderr.write('err'); sys.exit(5)"
exits "the program's exit status" 5
is "the program's output" "$out" "out"
is "the program's errors" "$err" "err"
has_cpu "a CPU profile" "$tmp/plain/cpu.pb.gz"
whole "whole files only" "$tmp/plain"
like "an allocs profile" "$(go tool pprof -top "$tmp/plain/allocs.pb.gz" 2>&1)" '^Type: alloc_space'

is "standard input" "$(echo text | "$prof" run -o "$tmp/cat" -- cat)" "text"
run env LD_PRELOAD=/lib/x/libnone.so "$prof" run -o "$tmp/ld" -- sh -c 'echo $LD_PRELOAD'
like "an LD_PRELOAD that was there stays" "$out" "$LIB/libprof.so:/lib/x/libnone.so"
run env PROF_HZ=50 PROF_MUTEX_FRACTION=2 PROF_OUT=elsewhere "$prof" run -hz 20 -trace "$tmp/rates.pftrace" -- sh -c 'echo "$PROF_HZ $PROF_MUTEX_FRACTION ${PROF_OUT-none}"'
is "rates that it is not told stay as they were set, where to does not" "$out" "20 2 none"
(cd "$tmp" && "$prof" run -o relative/a/b -- sh -c 'cd /; exit 0')
holds "a relative folder is where the command was given" test -s "$tmp/relative/a/b/cpu.pb.gz"
run "$prof" run -o "$tmp/id" -- sh -c 'echo $$ $PROF_PID'
is "the process keeps its id" "${out% *}" "${out#* }"
printf '#!/bin/sh\nexit 9\n' >"$tmp/script"
chmod +x "$tmp/script"
run "$prof" run -o "$tmp/s" -- "$tmp/script"
exits "a script" 9

# What a program learns about signals, and what they do to it.
run "$prof" run -o "$tmp/asked" -- "$python" -c "
import signal
print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.getsignal(signal.SIGINT) == signal.default_int_handler)
old = signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(old == signal.SIG_DFL, signal.signal(signal.SIGTERM, signal.SIG_DFL) == signal.SIG_IGN)"
is "default signals look as they did" "$out" $'True True\nTrue True'
run "$prof" run -o "$tmp/own" -- "$python" -c "
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *a: sys.exit(44))
os.kill(os.getpid(), signal.SIGTERM); $burn"
exits "the program's own handler" 44
run "$prof" run -hz 500 -o "$tmp/sigprof" -- "$python" -c "
import signal
ticks = []
print(signal.signal(signal.SIGPROF, lambda *a: ticks.append(1)) == signal.SIG_DFL)
signal.setitimer(signal.ITIMER_PROF, 0.02, 0.02)
while len(ticks) < 5: $burn
print(signal.getsignal(signal.SIGPROF) not in (None, signal.SIG_DFL, signal.SIG_IGN))"
is "a program with a profiler of its own gets its signals" "$out$err" $'True\nTrue'
has_cpu "and is profiled" "$tmp/sigprof/cpu.pb.gz"
run "$prof" run -hz 500 -o "$tmp/blocked" -- "$python" -c "
import signal, threading
def work():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    $burn
    print(signal.SIGPROF in signal.pthread_sigmask(signal.SIG_BLOCK, []))
    print(signal.SIGPROF in signal.pthread_sigmask(signal.SIG_SETMASK, []))
    print(signal.SIGPROF in signal.pthread_sigmask(signal.SIG_BLOCK, []))
t = threading.Thread(target=work)
t.start()
t.join()"
is "a thread that blocks every signal believes it" "$out" $'True\nTrue\nFalse'
like "and its stacks are known" "$(go tool pprof -top -cum "$tmp/blocked/cpu.pb.gz" 2>&1)" ' ([5-9][0-9](\.[0-9]+)?|100)%  (clone3|start_thread|\[libc\.so\.6\])' # the last where libc has no debug information
run sh -c "trap '' HUP; exec '$prof' run -o '$tmp/nohup' -- sh -c 'kill -HUP \$\$; exit 6'"
exits "an ignored signal stays ignored" 6
run "$prof" run -o "$tmp/pipe" -- sh -c 'yes | head -n 1'
is "SIGPIPE ends a program in silence" "$out$err" "y"

# ---- every end leaves its profiles -----------------------------------------------------------------------------

ends() { # NAME STATUS PYTHON
    run "$prof" run -hz 1000 -o "$tmp/end" -- "$python" -c "
import ctypes, os, signal, threading, time
$burn
$3"
    exits "$1" "$2"
    has_cpu "$1: profiles" "$tmp/end/cpu.pb.gz"
    whole "$1: whole files only" "$tmp/end"
    is "$1: in silence" "$out$err" ""
    rm -rf "$tmp/end"
}

ends "_exit" 7 "os._exit(7)"
ends "quick_exit" 8 "ctypes.CDLL(None).quick_exit(8)"
ends "exit on another thread" 9 "
threading.Thread(target=lambda: ctypes.CDLL(None).exit(9)).start()
time.sleep(60)"
for signal in HUP QUIT PIPE ALRM TERM; do
    ends "SIG$signal" $((128 + $(kill -l $signal))) "
signal.signal(signal.SIG$signal, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIG$signal); time.sleep(60)"
done 2>/dev/null
ends "_exit in a signal handler" 12 "
libc = ctypes.CDLL(None)
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda s: libc._exit(12))
libc.signal(signal.SIGUSR1, handler)
os.kill(os.getpid(), signal.SIGUSR1); $burn"
ends "all descriptors closed" 3 "
os.closerange(0, 1000); os._exit(3)"

# As python's threads may: the last one ends the process.
ends "pthread_exit, of the main thread first" 0 "
threading.Thread(target=lambda: time.sleep(0.05)).start()
ctypes.CDLL(None).pthread_exit(None)"

# A limit on file sizes keeps the profiles from being written, and the program ends as it would.
run sh -c "ulimit -f 0; exec '$prof' run -o '$tmp/limited' -- sh -c 'exit 5'"
exits "a limit on file sizes: the program's exit status" 5
is "and nothing half-written" "$(find "$tmp/limited" -type f)" ""

# The program has used up all the memory that it may have.
run "$prof" run -o "$tmp/memory" -- "$python" -c "
import mmap, os, resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
pieces = []
try:
    while True: pieces.append(mmap.mmap(-1, 1 << 22))
except OSError: pass
os._exit(3)"
is "without memory: the program's exit status, and why there are no profiles" "$rc $err" "3 prof: no memory to write what was recorded"

# A signal in the middle of malloc, with its locks held: the profiles come all the same.
busy="
import os, signal, threading, time
def churn():
    while True: x = [bytearray(n) for n in range(1000, 40000, 100)]
signal.signal(signal.SIGTERM, signal.SIG_DFL)
for i in range(3): threading.Thread(target=churn, daemon=True).start()
threading.Timer(0.4, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
churn()"
failures=0
for i in 1 2 3 4 5 6; do
    run "$prof" run -heap 4096 -o "$tmp/busy$i" -- "$python" -c "$busy"
    [[ $rc == 143 && -s $tmp/busy$i/heap.pb.gz ]] || failures=$((failures + 1))
done
is "killed while allocating, 6 times" "$failures" 0

# ---- child processes --------------------------------------------------------------------------------------------

run "$prof" run -hz 1000 -o "$tmp/fork" -- "$python" -c "
import os
for i in range(3):
    if os.fork() == 0:
        $burn
        os._exit(0)
for i in range(3): assert os.wait()[1] == 0
if os.fork() == 0: os._exit(0)
os.wait()"
exits "a program that forks" 0
is "a folder for each child that worked" "$(find "$tmp/fork" -mindepth 2 -name cpu.pb.gz | wc -l)" 3
for file in "$tmp"/fork/*/cpu.pb.gz; do
    has_cpu "a child's profile" "$file"
done
run "$prof" run -hz 1000 -o "$tmp/exec" -- sh -c "'$python' -c '$burn'; exit 4"
exits "a program that runs others" 4
has_cpu "the other program's profile" "$(echo "$tmp"/exec/python3*-*/cpu.pb.gz)"
run "$prof" run -o "$tmp/vfork" -- "$python" -c "
import subprocess, sys
print(subprocess.run(['/bin/echo', 'spawned'], stdout=subprocess.PIPE, close_fds=False).stdout)
sys.exit(subprocess.run(['/no/such/program']).returncode if False else 0)"
is "posix_spawn and vfork" "$out" "b'spawned\\n'"

# ---- endpoints ------------------------------------------------------------------------------------------------

base=127.0.0.1:$(free_port)
get() { # PATH
    curl -s --max-time 20 "http://$base/debug/pprof/$1"
}

# A program that closes what it finds, counts on the numbers it gets, and goes on with its work.
start "$prof" run -addr "$base" -hz 500 -- "$python" -c "
import os, socket, sys, time
os.closerange(3, 4096)
mine = [socket.socket() for i in range(20)]
print('numbers', [s.fileno() for s in mine] == list(range(3, 23)), flush=True)
if os.fork() == 0:
    print('child', sum(os.path.exists('/proc/self/fd/%d' % i) for i in range(3, 23)), flush=True)
    os._exit(0)
os.wait()
while not os.path.exists('$tmp/stop'): $burn
print('sound', all(s.getsockname() for s in mine), flush=True)"
wait_for 20 grep -q child "$tmp/start.out"
like "descriptors: their numbers stay the program's" "$(cat "$tmp/start.out")" '^numbers True'
like "descriptors: a child has its parent's, no more, no less" "$(cat "$tmp/start.out")" '^child 20'
like "the endpoints answer" "$(get cmdline | tr '\0' ' ')" '^/usr/bin/python3 -c'
get 'profile?seconds=1' >"$tmp/cpu.pb.gz"
like "a CPU profile on request, at the rate asked for" "$(go tool pprof -raw "$tmp/cpu.pb.gz" 2>/dev/null)" '^Period: 2000000'
has_cpu "it has samples" "$tmp/cpu.pb.gz"
for name in heap allocs goroutine threadcreate block mutex; do
    get "$name" >"$tmp/$name.pb.gz"
    like "$name on request" "$(go tool pprof -raw "$tmp/$name.pb.gz" 2>&1)" '^PeriodType:'
done
like "the endpoints' own thread is named" "$(get 'goroutine?debug=2')" 'name "prof-http"'
touch "$tmp/stop"
wait "$pid"
is "the program ends as it would" "$? $(tail -n 1 "$tmp/start.out") $(cat "$tmp/start.err")" "0 sound True "
rm "$tmp/stop"

# A sandbox kills for a system call that is not among those it knows, here getpid.
run "$prof" run -addr "$base" -- "$python" -c "
import ctypes, os, struct
getpid = {'x86_64': 39, 'aarch64': 172}[os.uname().machine]
code = b''.join(struct.pack('HBBI', *i) for i in
                ((0x20, 0, 0, 0), (0x15, 0, 1, getpid), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7fff0000)))
kept = ctypes.create_string_buffer(code)
program = struct.pack('H6xP', 4, ctypes.addressof(kept))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0) # PR_SET_NO_NEW_PRIVS
libc.prctl(22, 2, program) # PR_SET_SECCOMP
os._exit(6)"
exits "a program in a sandbox ends as it would" 6

# Of a process whose main thread has left, /proc/PID tells next to nothing; and it ends with its last thread, though the
# endpoints' threads are still there.
start "$prof" run -addr "$base" -- "$python" -c "
import ctypes, os, threading, time
def work():
    while not os.path.exists('$tmp/stop'): time.sleep(0.01)
threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)"
left() { [[ $(sed 's/.*) //' "/proc/$pid/stat") == Z* ]]; }
wait_for 20 left
like "without its main thread: the command line" "$(get cmdline | tr '\0' ' ')" '^/usr/bin/python3 -c'
text=$(get 'heap?debug=1')
like "without its main thread: what is mapped" "$text" '^[0-9a-f]+-[0-9a-f]+: /.*/libc'
like "without its main thread: memory" "$text" '^# MaxRSS = [1-9]'
touch "$tmp/stop"
ended() { ! kill -0 "$pid"; }
wait_for 60 ended || kill -KILL "$pid"
wait "$pid"
is "it ends with its last thread" "$? $(cat "$tmp/start.err")" "0 "
rm "$tmp/stop"
holds "the address is free again" "$python" -c "
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', ${base#*:}))"

start "$prof" run -addr "$base" -children -o "$tmp/serving" -- "$python" -c "
import os, time
children = [os.fork() for i in range(2)]
while not os.path.exists('$tmp/stop'): time.sleep(0.02)"
wait_for 20 eval '[[ $(find "$tmp/serving" -mindepth 2 -name address | wc -l) == 2 ]]'
is "-o: the address in a file" "$(cat "$tmp/serving/address")" "$base"
for file in "$tmp"/serving/*/address; do
    base=$(cat "$file")
    child=${file%/address}
    like "-children: each answers where its file says" "$(get 'goroutine?debug=2')" "^goroutine ${child##*-} "
done
touch "$tmp/stop"
wait "$pid"
is "children with endpoints end in silence" "$(cat "$tmp/start.out" "$tmp/start.err")" ""

# ---- a trace ------------------------------------------------------------------------------------------------
is_trace() { # NAME FILE: nothing but packets, field 1
    is "$1" "$(head -c 1 "$2" 2>/dev/null | od -An -tx1 | tr -d ' ')" 0a
}
run_refuses "a trace without a file" 2 '-trace: expected the path of a file' -trace '' -- true
run_refuses "a trace with its file forgotten" 2 '-trace needs a value; prof help run' -trace -- true
run_refuses "a trace into a folder" 1 "-trace $tmp: Is a directory; expected a file" -trace "$tmp" -- true
run_refuses "a trace behind a file" 1 'Not a directory' -trace "$tmp/text/x" -- true
run "$prof" run -trace "$tmp/t/new/run.trace" -- "$python" -c "
import threading, time
t = [threading.Thread(target=time.sleep, args=(0.05,)) for _ in range(3)]
for x in t: x.start()
for x in t: x.join()
print('done')"
exits "-trace" 0
is "it leaves the output alone" "$out$err" "done"
is_trace "the trace is there, its folder made" "$tmp/t/new/run.trace"
run "$prof" run -trace "$tmp/t/term.trace" -- "$python" -c "import os; os.kill(os.getpid(), 15)"
exits "ended by a signal" 143
is_trace "the trace is there" "$tmp/t/term.trace"
run "$prof" run -trace "$tmp/t/fork.trace" -o "$tmp/t/out" -- "$python" -c "
import os
pid = os.fork()
if pid: os.waitpid(pid, 0)"
exits "-trace and -o, and a forked child" 0
is_trace "the trace is there" "$tmp/t/fork.trace"
holds "and the profiles" test -s "$tmp/t/out/cpu.pb.gz"
run "$prof" run -trace "$tmp/t/exec.trace" -- sh -c 'exec true'
exits "a program that becomes another" 0
is_trace "the other's trace is there" "$tmp/t/exec.trace"
mkfifo "$tmp/t/fifo"
cat "$tmp/t/fifo" >"$tmp/t/read" &
run "$prof" run -trace "$tmp/t/fifo" -- true
exits "-trace into a pipe" 0
wait "$!"
is_trace "which carries it" "$tmp/t/read"
holds "and stays a pipe" test -p "$tmp/t/fifo"
ln -s exec.trace "$tmp/t/link"
run "$prof" run -trace "$tmp/t/link" -- true
holds "a link to a file stays one" test -L "$tmp/t/link"
is_trace "and leads to the trace" "$tmp/t/link"
run "$prof" run -trace /dev/full -- true
like "a full device is told" "$err" "cannot write the trace to /dev/full: No space left"
holds "and stays a device" test -c /dev/full
is "nothing half-written is left" "$(find "$tmp/t" -name '.*')" ""
run env PROF_TRACE=relative "$prof" run -o "$tmp/t/out" -- true
is "prof run's flag alone counts" "$err" ""
ulimit -c 0
run env PROF_FLIGHT=1 PROF_FLIGHT_CRASH="$tmp/t/crash.trace" "$prof" run -o "$tmp/t/out" -- "$python" -c "import os; os.kill(os.getpid(), 11)"
exits "a crash stays a crash" 139
is_trace "the flight recorder's trace of it is there" "$tmp/t/crash.trace"
port=$(free_port)
start env PROF_FLIGHT=1 "$prof" run -addr "127.0.0.1:$port" -- "$python" -c 'import time; time.sleep(60)'
wait_for 20 curl -sf -o /dev/null "http://127.0.0.1:$port/debug/pprof/"
# The recorder's thread has the program's descriptors, the server's threads have their own.
curl -s -o "$tmp/t/beside" "http://127.0.0.1:$port/debug/pprof/trace?seconds=2.5"
is_trace "a trace beside the recorder" "$tmp/t/beside"
like "has all of its time" "$("$BIN/trace" -summary "$tmp/t/beside" 2>&1)" '^  length +(2\.[4-9]|[3-9]\.|[1-9][0-9])[0-9.]*s' # or more, where the machine is busy
curl -s -o "$tmp/t/snapshot" "http://127.0.0.1:$port/debug/trace/snapshot"
is_trace "its snapshot" "$tmp/t/snapshot"
stop_children

# ---- a program that has libprof.a in it ----------------------------------------------------------------------
run "$prof" run -heap 1 -block 1 -mutex 1 -o "$tmp/twin" -trace "$tmp/twin/trace" -- \
    "$BIN/bench" -bench '^BenchmarkHotMutex$/impl=single' -benchtime 2x
exits "a program with libprof in it" 0
names=$(for profile in allocs block mutex goroutine threadcreate; do
    go tool pprof -traces "$tmp/twin/$profile.pb.gz" 2>/dev/null
done)
like "its waits are its own" "$names" ' mutex_single_worker$'
unlike "not those of its hooks" "$names" ' (malloc_slowly|lock_slowly|wait_for|prof_join_at|thread_main)$'
like "its threads have begun where it says" "$("$BIN/trace" -summary "$tmp/twin/trace")" '^  worker_main '

done_testing
