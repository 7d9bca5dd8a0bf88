# The heap's size over time as an SVG: a panel for each log that mem_hot -gclog wrote, all on the same scales, collections
# marked. What grows out of the picture (GOGC=off) is cut off and says so.
#
#   awk -f scripts/gc_plot.awk [-v heading=TEXT] LOG... > heap.svg
#
# Colours follow the reader's choice of light or dark; the picture brings its own background and needs nothing else.

function escape(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

# A step of 1, 2 or 5 times a power of ten that divides the range into at most n parts.
function step_of(range, n,   step) {
    step = 10 ^ int(log(range / n) / log(10) - 1)
    while (range / step > n)
        step *= (substr(sprintf("%e", step), 1, 1) == 2) ? 2.5 : 2
    return step
}

function x_of(ms) { return LEFT + ms / x_max * WIDTH }
function y_of(p, mib) { return TOP + (p - 1) * PITCH + HEIGHT - mib / y_max * HEIGHT }

function text(x, y, class, anchor, s) {
    printf "<text x='%.1f' y='%.1f' class='%s' text-anchor='%s'>%s</text>\n", x, y, class, anchor, escape(s)
}

function line(x1, y1, x2, y2, class) {
    printf "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' class='%s'/>\n", x1, y1, x2, y2, class
}

BEGIN {
    LEFT = 64; TOP = 88; WIDTH = 720; HEIGHT = 96; PITCH = 146
}

FNR == 1 {
    panels++
    title[panels] = $0
    sub(/^# */, "", title[panels])
    bounded[panels] = title[panels] !~ /gogc=off limit=off/
}
/^#/ { next }
{
    n = ++points[panels]
    ms[panels, n] = $1
    mib[panels, n] = $2 / 2 ^ 20
    full[panels, n] = $3 == "full"
    collections[panels] += $3 == "full"
    if ($1 > x_max) x_max = $1
    if (mib[panels, n] > peak[panels]) peak[panels] = mib[panels, n]
    if (peak[panels] > y_all) y_all = peak[panels]
    if (bounded[panels] && peak[panels] > y_max) y_max = peak[panels]
}

function name_of(p,   words, gogc, limit) {
    split(title[p], words, " ")
    gogc = words[1]; limit = words[2]
    sub(/gogc=/, "GOGC=", gogc)
    sub(/limit=/, "GOMEMLIMIT=", limit)
    return limit == "GOMEMLIMIT=off" ? gogc : gogc " " limit
}

function axes(p,   v, bottom) {
    bottom = y_of(p, 0)
    for (v = 0; v <= y_max * 1.0001; v += y_step) {
        line(LEFT, y_of(p, v), LEFT + WIDTH, y_of(p, v), v ? "grid" : "axis")
        text(LEFT - 8, y_of(p, v) + 4, "tick", "end", v)
    }
    for (v = 0; v <= x_max * 1.0001; v += x_step) {
        line(x_of(v), bottom, x_of(v), bottom + 4, "axis")
        text(x_of(v), bottom + 17, "tick", "middle", v)
    }
}

function heap(p,   i, path) {
    for (i = 1; i <= points[p]; i++)
        path = path sprintf("%s%.1f %.1f", i > 1 ? "L" : "M", x_of(ms[p, i]), y_of(p, mib[p, i]))
    printf "<g clip-path='url(#p%d)'>\n<path class='area' d='%sL%.1f %.1fZ'/>\n<path class='heap' d='%s'/>\n", p, path,
        x_of(ms[p, points[p]]), y_of(p, 0), path
    for (i = 1; i <= points[p]; i++)
        if (full[p, i])
            printf "<circle class='collection' cx='%.1f' cy='%.1f' r='2.6'/>\n", x_of(ms[p, i]), y_of(p, mib[p, i])
    print "</g>"
}

function panel(p,   note) {
    axes(p)
    heap(p)
    text(LEFT, y_of(p, y_max) - 12, "name", "start", name_of(p))
    note = sprintf("%s, %.0f MiB at most", collections[p] == 1 ? "1 collection" : collections[p] + 0 " collections", peak[p])
    text(LEFT + WIDTH, y_of(p, y_max) - 12, "note", "end", note (peak[p] > y_max * 1.001 ? ", out of the picture" : ""))
}

END {
    if (!panels || x_max <= 0) {
        print "gc_plot: no log with a heap in it" > "/dev/stderr"
        exit 1
    }
    if (y_max <= 0) y_max = y_all
    y_step = step_of(y_max * 1.05, 4)
    y_max = y_step * int(y_max * 1.05 / y_step + 0.999)
    x_step = step_of(x_max, 10)
    height = TOP + panels * PITCH - (PITCH - HEIGHT) + 44
    printf "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' role='img'>\n", LEFT + WIDTH + 28,
        height, LEFT + WIDTH + 28, height
    print "<title>Heap size over time, collections marked</title>"
    print "<style>"
    print ":root { --paper: #ffffff; --ink: #1c2733; --faint: #5d6b7a; --rule: #e3e8ee; --line: #1f6feb; --mark: #c2410c }"
    print "@media (prefers-color-scheme: dark) { :root { --paper: #10151c; --ink: #e4eaf1; --faint: #9aa7b5; --rule: #263140; --line: #6cb0ff; --mark: #ff9a62 } }"
    print "text { font: 12px system-ui, 'DejaVu Sans', sans-serif; fill: var(--ink) }"
    print ".heading { font-size: 16px; font-weight: 600 } .name { font-weight: 600 } .tick, .note, .axis-name { fill: var(--faint) }"
    print ".paper { fill: var(--paper) } .grid { stroke: var(--rule) } .axis { stroke: var(--faint) }"
    print ".heap { fill: none; stroke: var(--line); stroke-width: 1.4; stroke-linejoin: round } .area { fill: var(--line); opacity: .13 }"
    print ".collection { fill: var(--mark) }"
    print "</style>"
    print "<defs>"
    for (p = 1; p <= panels; p++)
        printf "<clipPath id='p%d'><rect x='%d' y='%.1f' width='%d' height='%d'/></clipPath>\n", p, LEFT, y_of(p, y_max) - 4, WIDTH + 4, HEIGHT + 5
    print "</defs>"
    printf "<rect class='paper' width='100%%' height='100%%'/>\n"
    text(LEFT, 28, "heading", "start", heading == "" ? "The heap's size over time" : heading)
    printf "<circle class='collection' cx='%d' cy='44' r='3'/>\n", LEFT + WIDTH - 78
    text(LEFT + WIDTH, 48, "note", "end", "a collection")
    text(LEFT - 8, 48, "axis-name", "end", "MiB")
    for (p = 1; p <= panels; p++)
        panel(p)
    text(LEFT + WIDTH, y_of(panels, 0) + 36, "axis-name", "end", "milliseconds")
    print "</svg>"
}
