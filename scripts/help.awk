# Prints the targets of a Makefile by step, included files where they are included: `##@ step` starts a step,
# `target: ... ## text` is a line of it, and `## NAME=default  text` a variable.
function show_variable(text, part) {
    split(text, part, "  +")
    sub(/^.*  +/, "", text)
    printf "  %-24s %s\n", part[1], text
}
function show_targets(line, part, target, n, i) {
    split(line, part, ":.*## ")
    sub(/^# /, "", part[1])
    n = split(part[1], target, " ")
    sub(/^.*:.*## /, "", line)
    printf "  make %-19s %s\n", target[1], line
    for (i = 2; i <= n; i++)
        printf "  make %s\n", target[i]
}
function show(line) {
    if (line ~ /^##@ /)
        printf "\n%s\n", substr(line, 5)
    else if (line ~ /^## [A-Z_]+=/)
        show_variable(substr(line, 4))
    else if (line ~ /^(# )?[a-z][a-z0-9 -]*:.*## /)
        show_targets(line)
}
/^include / {
    while ((getline line < $2) > 0)
        show(line)
    next
}
{ show($0) }
