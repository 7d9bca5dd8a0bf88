# shellcheck shell=bash
# Servers that nobody here wrote, started and stopped for tests/preload.sh and scripts/perf/preload.sh. All of them
# listen on 127.0.0.1 only and keep their files under the folder that they are given.
#
#   under=(bin/prof run -o DIR --)     what each server is started with; () for plain
#   peer_start NAME FOLDER PORT        returns when it answers; its id is in $peer; fails when it does not come up
#   peer_stop                          as its administrator would; its exit status
#
# peer.out and peer.err in the folder are its output and errors.

under=()
peer=

# Servers that give up root's rights do so as this user.
peer_user() { # NAME
    if ((EUID == 0)); then echo "${1:-nobody}"; else id -un; fi
}

# Sets as_user=(): what runs a command as that user.
set_as_user() { # USER
    as_user=()
    ((EUID != 0)) || as_user=(setpriv --reuid "$1" --regid "$(id -g "$1")" --clear-groups --)
}

peer_command() { # NAME FOLDER PORT: sets command=() and answers=(), a command that succeeds once the server is up
    local dir=$2 port=$3
    case $1 in
    redis)
        command=("${under[@]}" redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' --appendonly yes
            --appendfsync everysec --io-threads "${redis_io_threads:-2}" --enable-debug-command local --daemonize no --logfile "$dir/log" --loglevel warning)
        answers=(redis-cli -p "$port" ping)
        ;;
    memcached)
        command=("${under[@]}" memcached -l 127.0.0.1 -p "$port" -U 0 -t 2 -m 64)
        ((EUID == 0)) && command+=(-u "$(peer_user)")
        answers=(tcp_answers "$port")
        ;;
    nginx)
        nginx_prepare "$dir" "$port"
        command=("${under[@]}" nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log")
        answers=(curl -sf -o "$dir/first" "http://127.0.0.1:$port/0")
        ;;
    postgres)
        command=("${as_user[@]}" "${under[@]}" "$postgres_bin/postgres" -D "$dir/data" -p "$port"
            -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c shared_buffers=64MB -c fsync=off)
        answers=("$postgres_bin/pg_isready" -q -U bench -d postgres -h 127.0.0.1 -p "$port")
        ;;
    esac
}

tcp_answers() { # PORT
    # shellcheck disable=SC2188
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Two workers, each with threads that read files: aio threads and neither sendfile nor a cache of its own.
nginx_prepare() { # FOLDER PORT
    local dir=$1 i
    if [[ ! -d $dir/www ]]; then
        mkdir -p "$dir/www"
        for i in 0 1 2 3; do
            openssl enc -aes-128-ctr -nosalt -K "$(printf %032d "$i")" -iv 0 -in /dev/zero 2>/dev/null |
                head -c $((20000 + 150000 * i)) >"$dir/www/$i"
        done
    fi
    cat >"$dir/nginx.conf" <<END
daemon off;
$( ((EUID == 0)) && echo "user $(peer_user) $(id -gn "$(peer_user)");")
worker_processes 2;
pid $dir/nginx.pid;
thread_pool default threads=4;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
    aio threads; sendfile off; output_buffers 2 64k;
    keepalive_requests 1000000;
    server { listen 127.0.0.1:$2; root $dir/www; }
}
END
}

postgres_bin=$(for folder in /usr/lib/postgresql/*/bin; do echo "$folder"; done | sort -V | tail -n 1)

# A database to be served: made once.
postgres_prepare() { # FOLDER
    local user
    user=$(peer_user postgres)
    set_as_user "$user"
    ((EUID == 0)) && chown "$user" "$1"
    [[ -d $1/data ]] || "${as_user[@]}" env LC_ALL=C "$postgres_bin/initdb" -D "$1/data" -A trust -U bench --no-sync >"$1/initdb.log" 2>&1
}

peer_start() { # NAME FOLDER PORT
    local command answers end=$((SECONDS + 30))
    mkdir -p "$2"
    chmod 755 "$2"
    [[ $1 == postgres ]] && { postgres_prepare "$2" || return 1; }
    peer_command "$@"
    "${command[@]}" </dev/null >"$2/peer.out" 2>"$2/peer.err" &
    peer=$!
    peer_name=$1
    peers_running+=("$peer")
    until "${answers[@]}" >/dev/null 2>&1; do
        kill -0 "$peer" 2>/dev/null && ((SECONDS < end)) || return 1
        sleep 0.05
    done
}
peers_running=()

peer_stop() {
    local signal=TERM status=0
    [[ $peer_name == nginx ]] && signal=QUIT    # finish what is under way
    [[ $peer_name == postgres ]] && signal=INT  # fast shutdown
    kill -$signal "$peer" 2>/dev/null
    wait "$peer" || status=$?
    peers_running=()
    peer=
    return $status
}

# For a trap: whatever still runs.
peers_kill() {
    ((${#peers_running[@]})) || return 0
    kill -TERM "${peers_running[@]}" 2>/dev/null
    wait "${peers_running[@]}" 2>/dev/null
    peers_running=()
}
