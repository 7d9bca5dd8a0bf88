# Prints the targets of a Makefile by step: `##@ step` starts a step, `target: ... ## text` is a line of it, and
# `## NAME=default  text` a variable.
BEGIN { FS = ":.*## " }
/^##@ / { printf "\n%s\n", substr($0, 5); next }
/^## [A-Z_]+=/ {
    split(substr($0, 4), part, "  +")
    text = substr($0, 4 + length(part[1]))
    sub(/^ +/, "", text)
    printf "  %-24s %s\n", part[1], text
    next
}
/^(# )?[a-z][a-z0-9 -]*:.*## / {
    sub(/^# /, "", $1)
    n = split($1, target, " ")
    printf "  make %-19s %s\n", target[1], $2
    for (i = 2; i <= n; i++)
        printf "  make %s\n", target[i]
}
