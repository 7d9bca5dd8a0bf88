#!/bin/bash
# Software that nobody here wrote, from Debian's packages, under prof run and under load: it does what it does without,
# says nothing that it does not say without, and every profile has something in it where the program does such work.
# What has no package installed here is skipped (scripts/deps.sh peers). How fast it is: scripts/perf/preload.sh.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/peers.sh
. tests/peers.sh

[[ $SAN ]] && skip_all "a sanitizer's library can be preloaded only into its own programs"
[[ ${DEPS:-1} == 0 ]] || scripts/deps.sh peers >/dev/null 2>&1
trap 'peers_kill; stop_children; rm -rf "$tmp"' EXIT
chmod 755 "$tmp" # servers change their user

# What PostgreSQL's user must be able to read, wherever the sources lie; an installation's layout at the same time.
mkdir -p "$tmp/kit/bin" "$tmp/kit/lib"
cp "$BIN/prof" "$tmp/kit/bin"
cp "$LIB"/libprof.so "$LIB"/libprof-http.so "$tmp/kit/lib"
prof=$tmp/kit/bin/prof

has() { # PROGRAM...: or the skip is reported
    local program
    for program; do
        command -v "$program" >/dev/null || { skip "$1" "$program is not installed"; return 1; }
    done
}

# The sum of a profile's samples of one type, over all the files.
total() { # TYPE FILE...
    go tool pprof -raw -sample_index="$1" "${@:2}" 2>/dev/null | awk '
        /^Samples:/ { body = 1; getline; for (i = 1; i <= NF; i++) { sub(/\[dflt\]/, "", $i); split($i, t, "/"); if (t[1] == type) column = i }; next }
        /^Locations/ { body = 0 }
        body && /^ *-?[0-9]/ { n += $column }
        END { printf "%d\n", n }' type="$1"
}

# full NAME KIND FILE...: the profile opens, and has samples
full() {
    local name=$1 kind=$2 type
    shift 2
    case $kind in
    cpu) type=cpu ;;
    heap) type=inuse_space ;;
    allocs) type=alloc_space ;;
    block | mutex) type=delay ;;
    *) type=$kind ;;
    esac
    if (($(total "$type" "$@") > 0)); then ok "$name: $kind"; else
        not_ok "$name: $kind" "expected samples in: $*" "got: $(go tool pprof -top "$@" 2>&1 | head -n 8)"
    fi
}

# each NAME FOLDER KIND...
each() {
    local name=$1 folder=$2 kind files
    shift 2
    for kind; do
        mapfile -t files < <(find "$folder" -name "$kind.pb.gz")
        full "$name" "$kind" "${files[@]}"
    done
}

# same NAME COMMAND...: standard output, standard error and exit status are those of the plain run
same() {
    local name=$1 plain
    shift
    run "$@"
    plain="$rc $(cksum <"$tmp/.out") $(cat "$tmp/.err")"
    run "$prof" run -o "$tmp/$name" -- "$@"
    is "$name: the same output and status" "$rc $(cksum <"$tmp/.out") $(cat "$tmp/.err")" "$plain"
}

silent() { # NAME FOLDER: the server has said nothing
    is "$1: nothing on its output and errors" "$(cat "$2/peer.out" "$2/peer.err")" ""
}

# Starts a server under prof run, -addr and -o; its folder in $dir, its profiles in $dir/profiles.
serve() { # NAME
    dir=$tmp/$1
    port=$(free_port)
    web=127.0.0.1:$(free_port)
    under=("$prof" run -addr "$web" -heap 65536 -o "$dir/profiles" --) # little is in use in some
    peer_start "$1" "$dir" "$port" && return
    not_ok "$1: starts" "$(cat "$dir"/peer.* "$dir"/*log 2>/dev/null)"
    peer_stop
    return 1
}

# While the load runs: every endpoint, as viewers fetch them.
visit() { # NAME KIND...
    local name=$1 kind path
    shift
    for kind; do
        path=$kind
        [[ $kind == cpu ]] && path='profile?seconds=1'
        curl -sf --max-time 20 -o "$tmp/$name.$kind" "http://$web/debug/pprof/$path" || echo "no $kind" >"$tmp/$name.$kind"
        full "$name over HTTP" "$kind" "$tmp/$name.$kind"
    done
}

# ---- programs that run and end ---------------------------------------------------------------------------------

if has gzip; then
    seq 1 1500000 >"$tmp/numbers"
    same gzip gzip -c "$tmp/numbers"
    each gzip "$tmp/gzip" cpu goroutine
    is "gzip: reads back" "$(gzip -dc "$tmp/.out" | cksum)" "$(cksum <"$tmp/numbers")"
fi

if has sqlite3; then
    same sqlite3 sqlite3 "" "
        create table t(a integer primary key, b text);
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
            insert into t select i, hex(i * 7919) from n;
        create index u on t(b);
        select count(*), sum(length(b)), min(b), max(b) from t;
        select substr(b, 1, 2), count(*) from t group by 1 order by 2, 1 limit 20;"
    each sqlite3 "$tmp/sqlite3" cpu allocs goroutine
fi

python=/usr/bin/python3
if has $python; then
    same python3 $python -c '
import hashlib, multiprocessing, re, threading, zlib
def work(n):
    text = " ".join(str(i * i) for i in range(n))
    return len(set(re.findall("[0-9]+", text))), zlib.crc32(zlib.compress(text.encode()))
lock, totals = threading.Lock(), []
def thread(n):
    for i in range(50):
        with lock: totals.append(hashlib.sha256(bytes(200000)).hexdigest())
threads = [threading.Thread(target=thread, args=(i,)) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(len(totals), len(set(totals)), work(60000))
with multiprocessing.Pool(2) as pool: print(pool.map(work, [50000] * 4))'
    each python3 "$tmp/python3" cpu heap allocs goroutine threadcreate block
fi

if has stress-ng; then
    for stressor in pthread fork; do
        run "$prof" run -o "$tmp/stress-$stressor" -- stress-ng --temp-path "$tmp" --$stressor 2 --$stressor-ops 2000 --timeout 20 --verify
        exits "stress-ng --$stressor: ends well" 0
        like "stress-ng --$stressor: ran to its end" "$out$err" 'successful run completed'
        unlike "stress-ng --$stressor: nothing went wrong" "$out$err" 'fail|error|warn'
        each "stress-ng --$stressor" "$tmp/stress-$stressor" cpu goroutine
    done
    each "stress-ng --pthread" "$tmp/stress-pthread" threadcreate
fi

# ---- servers under load -------------------------------------------------------------------------------------------

# The same commands on both; what is in the database afterwards is one number.
redis_digest() { # PORT
    {
        for ((i = 1; i <= 3000; i++)); do
            printf 'SET key:%d value:%d\nRPUSH list %d\nHSET hash field:%d %d\nZADD set %d member:%d\nINCRBY counter %d\n' \
                $i $i $i $i $i $i $i $i
        done
        seq -f 'DEL key:%g' 1 7 3000
        echo 'UNLINK list'
        seq -f 'RPUSH list %g' 3000 -1 1
    } | redis-cli -p "$1" >/dev/null
    redis-cli -p "$1" DEBUG DIGEST
    redis-cli -p "$1" GET counter
}

if has redis-server redis-cli redis-benchmark; then
    under=()
    port=$(free_port)
    peer_start redis "$tmp/redis-plain" "$port"
    plain=$(redis_digest "$port")
    peer_stop
    if serve redis; then
        redis-benchmark -p "$port" -n 400000 -c 20 -P 16 -d 200 -r 20000 -t set,get,lpush,lpop,hset -q >"$tmp/redis.load" 2>&1 &
        load=$!
        visit redis cpu heap allocs goroutine threadcreate
        wait "$load"
        is "redis: the load ends well" "$?" 0
        unlike "redis: no errors" "$(cat "$tmp/redis.load")" '[Ee]rror'
        redis-cli -p "$port" FLUSHALL ASYNC >/dev/null
        is "redis: the same data" "$(redis_digest "$port")" "$plain"
        peer_stop
        is "redis: ends well" "$?" 0
        silent redis "$dir"
        each redis "$dir/profiles" cpu heap allocs goroutine threadcreate block
    fi
fi

if has memcached; then
    if serve memcached; then
        "$python" tests/memcached_load.py "$port" 8 4 >"$tmp/memcached.load" 2>&1 &
        load=$!
        visit memcached cpu allocs goroutine threadcreate
        wait "$load"
        read -r requests _ wrong <"$tmp/memcached.load"
        is "memcached: no wrong answer" "$wrong" 0
        like "memcached: it had work" "$requests" '^[0-9]{5,}$'
        peer_stop
        is "memcached: ends well" "$?" 0
        silent memcached "$dir"
        each memcached "$dir/profiles" cpu heap allocs goroutine threadcreate block mutex
    fi
fi

# A checksum for each of a few files, one fetched after another while the load runs.
nginx_answers() { # PORT
    local i
    for i in 1 2 3 4 5 6 7 8; do
        curl -s "http://127.0.0.1:$1/$((i % 4))" | cksum
    done
}

if has nginx wrk curl openssl; then
    if serve nginx; then
        wrk -t 1 -c 16 -d 4 "http://127.0.0.1:$port/2" >"$tmp/nginx.load" 2>&1 &
        load=$!
        visit nginx goroutine
        answers=$(nginx_answers "$port")
        wait "$load"
        is "nginx: the load ends well" "$?" 0
        unlike "nginx: no errors" "$(cat "$tmp/nginx.load")" 'Non-2xx|Socket errors'
        is "nginx: the same files" "$answers" "$(for i in 1 2 3 4 5 6 7 8; do cksum <"$dir/www/$((i % 4))"; done)"
        peer_stop
        is "nginx: ends well" "$?" 0
        silent nginx "$dir"
        is "nginx: an empty error log" "$(cat "$dir/error.log")" ""
        like "nginx: a folder for each worker that worked" "$(find "$dir/profiles" -mindepth 1 -type d -name 'nginx-*' | wc -l)" '^[12]$'
        for worker in "$dir"/profiles/nginx-*; do
            each "nginx worker" "$worker" cpu allocs goroutine threadcreate block
        done
    fi
fi

query() { # SQL
    psql -h 127.0.0.1 -p "$port" -U bench -d postgres -XAtqc "$1"
}

if has psql pgbench && [[ -x $postgres_bin/postgres ]]; then
    if serve postgres; then
        pgbench=("$postgres_bin/pgbench" -h 127.0.0.1 -p "$port" -U bench)
        "${pgbench[@]}" -i -s 1 -q postgres >"$tmp/pgbench.init" 2>&1
        "${pgbench[@]}" -n -c 4 -j 1 -t 500 postgres >"$tmp/pgbench.load" 2>&1 &
        load=$!
        visit postgres goroutine
        wait "$load"
        is "PostgreSQL: the load ends well" "$?" 0
        like "PostgreSQL: every transaction" "$(cat "$tmp/pgbench.load")" '^number of transactions actually processed: 2000/2000'
        is "PostgreSQL: the books balance" "$(query "select (select sum(delta) from pgbench_history) = (select sum(abalance) from pgbench_accounts),
            (select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches), (select count(*) from pgbench_history)")" "t|t|2000"
        peer_stop
        is "PostgreSQL: ends well" "$?" 0
        # What it says to who asks while it starts, and to who is still there when it stops, it says without prof run, too.
        unlike "PostgreSQL: nothing went wrong" "$(cat "$dir/peer.out" "$dir/peer.err" |
            grep -Ev 'FATAL: +(the database system is starting up|terminating connection)')" 'ERROR|FATAL|PANIC|WARNING|terminated by|prof'
        like "PostgreSQL: a folder for each process that worked" "$(find "$dir/profiles" -mindepth 1 -type d | wc -l)" '^([4-9]|[0-9]{2})$'
        each PostgreSQL "$dir/profiles" cpu heap allocs goroutine block
    fi
fi

done_testing
