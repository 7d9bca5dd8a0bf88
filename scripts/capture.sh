# shellcheck shell=bash disable=SC2034,SC2154 # shares its variables with lib.sh and with those who source it
# Capturing the profiles of one variant, keeping them, looking at them. Sourced after lib.sh and set_lab.

# Seconds of work that a profile covers: at 100 samples a second, 1.5 s shows what takes 2 % or more.
: "${PROFILE_SECONDS:=1.5}"

# The least ns/op of a variant in a file of results: nearest to what the work takes when nothing disturbs it.
least_ns() { # IMPL FILE
    awk -v name="^Benchmark$benchmark/impl=$1(-[0-9]+)?\$" '
        $1 ~ name { for (i = 3; i <= NF; i++) if ($i == "ns/op" && (!min || $(i - 1) < min)) min = $(i - 1) }
        END { if (!min) exit 1; print min }' "$2"
}

# Profiles a variant for a fixed number of iterations, so that what is in the profile can be divided by them. Writes
# $work/SIDE.cpu (and SIDE.heap for the labs about memory, SIDE.block and SIDE.mutex for that about locks); sets SIDE_ops.
capture() { # SIDE IMPL NS_PER_OP
    local side=$1 impl=$2 n
    local flags=(-cpuprofile="$work/$side.cpu")
    n=$(awk -v ns="$3" -v s="$PROFILE_SECONDS" 'BEGIN { n = int(s * 1e9 / ns); n = n < 1 ? 1 : n; printf "%d", (n < 1e9 ? n : 1e9) }')
    [[ -z $memory ]] || flags+=(-memprofile="$work/$side.heap")
    [[ $lab != mutex ]] || flags+=(-blockprofile="$work/$side.block" -mutexprofile="$work/$side.mutex")
    bench_variant "$impl" -benchtime="${n}x" "${flags[@]}" >"$work/$side.txt" 2>&1 ||
        fail "profiling $impl failed: $(tail -n 1 "$work/$side.txt")"
    # The harness runs one iteration first to see that the benchmark works.
    printf -v "${side}_ops" %d $((n + (n > 1)))
}

# Gives what was captured its place and name: the name says what it is of, and when. Sets kept=() and latest[SIDE KIND].
declare -A latest=()
keep_profiles() { # STAMP
    local side kind
    kept=()
    for kind in cpu heap block mutex; do
        for side in before after; do
            [[ -e $work/$side.$kind ]] || continue
            latest[$side $kind]=$PROFILES/$kind/${lab}_${side}_$1.pb.gz
            keep "$work/$side.$kind" "${latest[$side $kind]}"
            kept+=("${latest[$side $kind]}")
        done
    done
}

# Prints the flat values of all functions, in the unit, without the binary.
flat_values() { # SAMPLE_INDEX UNIT FILE [FLAG...]
    local index=$1 unit=$2 file=$3
    shift 3
    scripts/pprof -top -flat -nodecount=100000 -nodefraction=0 -sample_index="$index" -unit="$unit" "$@" "$file" 2>/dev/null
}

# Sets viewed=() to ui.sh's arguments for the sides; refuses a port that is taken, so call it before the work too.
choose_view() { # SIDE...
    local side name port kind=cpu
    local -A ports=([fib before]=18090 [fib after]=18091 [alloc before]=18092 [alloc after]=18093
        [mutex before]=18094 [mutex after]=18095 [escape before]=18096 [escape after]=18097
        [array before]=18096 [array after]=18097 [callback before]=18096 [callback after]=18097)
    viewed=()
    if [[ $lab == alloc ]]; then
        kind=heap
        viewed=(-sample_index=alloc_space)
    fi
    for side; do
        name=PORT_${lab^^}_${side^^}
        port=${!name:-${ports[$lab $side]}}
        check_port "$name" "$port"
        ! with_ui || require_port "$name" "$port"
        viewed+=("$side" "$name" "$port" "${latest[$side $kind]:-}")
    done
}

show() {
    if with_ui; then
        trap : INT # Ctrl-C is for the viewers
        echo "the profiles in pprof:"
        scripts/ui.sh "${viewed[@]}" || true
    else
        echo "to look at them:"
        UI=0 scripts/ui.sh "${viewed[@]}"
    fi
}
