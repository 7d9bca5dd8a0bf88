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
/^[a-z][a-z0-9 -]*:.*## / { printf "  make %-19s %s\n", $1, $2 }
