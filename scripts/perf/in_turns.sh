# shellcheck shell=bash disable=SC2154 # work and ROUNDS are its user's
# Three servers that take the same load in turns, two plain and one that records: what the machine does besides meets all
# three. Sourced by the scripts beside it, whose function burst puts load on server N and adds a line of figures to $work/NAME.N.

# The CPU time of whole processes, ended threads too, in seconds: their CPU clocks, as clock_getcpuclockid(3) makes an id.
cpu_s() { # PID...
    /usr/bin/python3 -c 'import sys, time; print(sum(time.clock_gettime(~int(pid) << 3 | 2) for pid in sys.argv[1:]))' "$@"
}

# Calls burst NAME N [ARGUMENT...] for N = 0, 1 and 2, $ROUNDS times; another one begins each round.
in_turns() { # NAME [ARGUMENT...]
    local round i
    for ((round = 0; round < ROUNDS; round++)); do
        for ((i = 0; i < 3; i++)); do
            burst "$1" $(((i + round) % 3)) "${@:2}"
        done
    done
}

# The median over the rounds of the one that records against the mean of the two plain ones, all three of one round; and, as
# what such a median is worth, of one plain one against the other.
ratio() { # NAME WHAT COLUMN PERCENT: MISSED when it is that much less
    paste -d' ' "$work/$1".[012] | awk -v what="$2" -v column="$3" -v bar="$4" '
        function median(v, n,    i, j, t) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
            return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
        }
        { a = $column; b = $(2 + column); c = $(4 + column) }
        a > 0 && b > 0 { n++; ratio[n] = 2 * c / (a + b); noise[n] = b / a }
        END {
            change = 100 * (median(ratio, n) - 1)
            printf "%s  %+.1f%% (plain: %+.1f%%)  %d%% less  %s\n", what, change, 100 * (median(noise, n) - 1), bar, (change >= -bar ? "ok" : "MISSED")
        }'
}
