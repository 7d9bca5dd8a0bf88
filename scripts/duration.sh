# shellcheck shell=bash disable=SC2034 # the result is for those who source this
# Durations as people write them: 30s, 2m, 1m30s or plain seconds. Sourced after lib.sh.

# Sets seconds. NAME is what the user calls it.
read_duration() { # NAME TEXT MAX_SECONDS
    [[ $2 =~ ^(([0-9]{1,5})m)?(([0-9]{1,6})s?)?$ && -n $2 ]] ||
        misuse "$1 is '$2'; expected a duration such as 30s or 2m"
    seconds=$((10#${BASH_REMATCH[2]:-0} * 60 + 10#${BASH_REMATCH[4]:-0}))
    ((seconds >= 1 && seconds <= $3)) || misuse "$1 is '$2'; expected 1s to ${3}s"
}
