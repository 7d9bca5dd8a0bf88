# The hottest functions before and after, side by side, per operation, and which of them fell.
#
#   LC_ALL=C awk -f scripts/top.awk -v unit=ns -v what='CPU time' -v before=recursive -v after=memo \
#       -v before_ops=21 -v after_ops=300000 BEFORE AFTER
#
# With quantum (the value of one sample) a fall is named only when it is beyond what the luck of sampling explains.
# With before_ns and after_ns (the time of an operation) it is said how many cores were at work.
#
# With whole (a name for the total) the last line is about the total, not about one function: for functions that are
# called differently on the two sides.
#
# BEFORE and AFTER are what `pprof -top -unit=ns` (or B) prints. Two profiles of a second each say how each second was
# spent, not what an operation costs; so every value is divided by the operations that its profile covers.
function scaled(v,    i, n, names, size) {
    if (v < 0.0005)
        return "0"
    n = unit == "B" ? split("B KiB MiB GiB TiB", names, " ") : split("ns µs ms s", names, " ")
    size = unit == "B" ? 1024 : 1000
    for (i = 1; i < n && v >= size * 0.9995; i++)
        v /= size
    return sprintf(v < 9.995 ? "%.2f %s" : v < 99.95 ? "%.1f %s" : "%.0f %s", v, names[i])
}
# Columns, not bytes: what follows a first byte in UTF-8 takes no room.
function columns(s) {
    gsub(/[\200-\277]/, "", s)
    return length(s)
}
function left(s, width) {
    while (columns(s) < width)
        s = s " "
    return s
}
function right(s, width) {
    while (columns(s) < width)
        s = " " s
    return s
}
# Never "100 %" of what is still there, never more digits than mean something.
function percent_less(from, to,    p) {
    p = 100 * (from - to) / from
    return (p >= 99 && to > 0) ? sprintf("%.3f", int(p * 1000) / 1000) : sprintf("%.0f", p)
}
# Samples are counts: their variance is their number. Three standard deviations, for the largest of many is picked.
function beyond_luck(b, a) {
    return b - a > 3 * sqrt(quantum * (b / before_ops + a / after_ops))
}
function cell(side, i,    name) {
    if (i > shown[side])
        return left("", width + 19)
    name = top[side, i]
    if (columns(name) > width)
        name = substr(name, 1, width - 3) "..."
    return left(name, width) right(scaled(flat[side, name_of[side, i]]), 10) \
        right(sprintf("%.1f%%", 100 * flat[side, name_of[side, i]] / total[side]), 9)
}
function rank(side,    i, f, key, best) {
    for (i = 1; i <= 5; i++) {
        best = ""
        for (key in flat) {
            split(key, part, SUBSEP)
            if (part[1] != side || (key in ranked) || flat[key] <= 0)
                continue
            if (best == "" || flat[key] > flat[best] || (flat[key] == flat[best] && key < best))
                best = key
        }
        if (best == "")
            return
        ranked[best] = 1
        split(best, part, SUBSEP)
        name_of[side, i] = top[side, i] = part[2]
        shown[side] = i
    }
}
function value(s) {
    sub(/[A-Za-z]+$/, "", s)
    return s + 0
}
FNR == 1 { side++; rows = 0; ops = side == 1 ? before_ops : after_ops }
$1 == "flat" && $2 == "flat%" { rows = 1; next }
rows && NF >= 6 {
    name = $6
    for (i = 7; i <= NF; i++)
        name = name " " $i
    sub(/ \((partial-)?inline\)$/, "", name)
    flat[side, name] += value($1) / ops
    total[side] += value($1) / ops
}
END {
    if (total[1] <= 0) {
        printf "%s per operation: no samples of %s, so nothing could fall\n", what, before
        exit
    }
    rank(1)
    rank(2)
    width = 26
    printf "%s per operation, by function\n", what
    printf "     %s  %s\n", left("before: " before, width + 19), "after: " after
    for (i = 1; i <= 5 && (i <= shown[1] || i <= shown[2]); i++) {
        line = sprintf("  %d  %s  %s", i, cell(1, i), cell(2, i))
        sub(/ +$/, "", line)
        print line
    }
    printf "     %s  %s\n", left(left("(all)", width) right(scaled(total[1]), 10), width + 19),
        left("(all)", width) right(scaled(total[2]), 10)
    if (before_ns > 0 && after_ns > 0)
        printf "     %s  %s\n", left(left("(cores at work)", width) right(sprintf("%.2f", total[1] / before_ns), 10), width + 19),
            left("(cores at work)", width) right(sprintf("%.2f", total[2] / after_ns), 10)
    if (whole != "") {
        if (total[2] < total[1])
            printf "%s fell from %s to %s an operation (%s%% less).\n", whole, scaled(total[1]), scaled(total[2] + 0),
                percent_less(total[1], total[2])
        else
            printf "%s did not fall.\n", whole
        exit
    }
    for (key in flat) {
        split(key, part, SUBSEP)
        if (part[1] == 1 && flat[key] - flat[2, part[2]] > fall && beyond_luck(flat[key], flat[2, part[2]])) {
            fall = flat[key] - flat[2, part[2]]
            fallen = part[2]
        }
    }
    if (fallen == "")
        printf "No function fell by more than the luck of sampling explains.\n"
    else if (flat[2, fallen] < 0.0005)
        printf "%s fell from %s an operation to nothing.\n", fallen, scaled(flat[1, fallen])
    else
        printf "%s fell from %s to %s an operation (%s%% less).\n", fallen, scaled(flat[1, fallen]),
            scaled(flat[2, fallen]), percent_less(flat[1, fallen], flat[2, fallen])
}
