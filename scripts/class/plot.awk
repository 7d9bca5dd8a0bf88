# A picture of two sets of runs: a dot for each, a line at the median, as SVG that needs nothing else.
#
#   awk -f plot.awk -v title=TEXT -v before=recursive -v after=memo -v unit=sec/op results.txt
#
# Reads benchmark results with /impl=NAME in their names. The axis is logarithmic when the two are far apart: said below.
function scaled(v,    i, n, name) {
    n = split("ns µs ms s", name, " ")
    for (i = 1; i < n && v >= 999.5; i++)
        v /= 1000
    return sprintf(v < 9.995 ? "%.2f %s" : v < 99.95 ? "%.1f %s" : "%.0f %s", v, name[i])
}
function escape(s) {
    gsub(/&/, "\\&amp;", s)
    gsub(/</, "\\&lt;", s)
    gsub(/>/, "\\&gt;", s)
    return s
}
function sort(a, n,    i, j, x) {
    for (i = 2; i <= n; i++) {
        x = a[i]
        for (j = i - 1; j > 0 && a[j] > x; j--)
            a[j + 1] = a[j]
        a[j + 1] = x
    }
}
function median(side,    i, a, n) {
    n = count[side]
    for (i = 1; i <= n; i++)
        a[i] = value[side, i]
    sort(a, n)
    return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}
function x_of(v) {
    return LEFT + (WIDTH - LEFT - RIGHT) * (logarithmic ? (log(v) - log(low)) / (log(high) - log(low)) : (v - low) / (high - low))
}
# The round numbers that the axis is marked at: 1, 2 and 5 times a power of ten; only powers where there are many.
function marks(    step, v, k, few) {
    if (logarithmic) {
        few = log(high / low) / log(10) > 2.2
        for (v = exp(log(10) * int(log(low) / log(10) - 1)); v < high * 1.001; v *= 10)
            for (k = 1; k <= 5; k = k == 1 ? 2 : k == 2 ? 5 : 10)
                if (v * k >= low && v * k <= high && (!few || k == 1))
                    mark(v * k)
        return
    }
    step = exp(log(10) * int(log((high - low) / 4) / log(10) - 1))
    while ((high - low) / step > 6)
        step *= (step * 10 >= (high - low) / 6) ? 2 : 10
    for (v = int(low / step) * step; v <= high; v += step)
        if (v >= low)
            mark(v)
}
function mark(v) {
    printf "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x_of(v), x_of(v), TOP, BOTTOM
    printf "<text class=\"dim\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x_of(v), BOTTOM + 18, scaled(v)
}
function row(side, name, y,    i, m) {
    m = median(side)
    printf "<g class=\"%s\"><text x=\"%d\" y=\"%d\">%s</text><text class=\"dim\" x=\"%d\" y=\"%d\">%s</text>\n",
        side == 1 ? "before" : "after", 10, y, escape(name), 10, y + 16, scaled(m)
    printf "<line class=\"median\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x_of(m), x_of(m), y - 15, y + 21
    for (i = 1; i <= count[side]; i++)
        printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>%s</title></circle>", x_of(value[side, i]),
            y + 3 + (i % 5 - 2) * 6, scaled(value[side, i])
    print "</g>"
}
/^Benchmark/ {
    side = index($1, "/impl=" before "-") || $1 ~ ("/impl=" before "$") ? 1 : \
        index($1, "/impl=" after "-") || $1 ~ ("/impl=" after "$") ? 2 : 0
    for (i = 3; side && i <= NF; i++)
        if ($i == "ns/op" && $(i - 1) > 0) {
            v = $(i - 1) + 0
            value[side, ++count[side]] = v
            if (!low || v < low) low = v
            if (v > high) high = v
        }
}
END {
    if (!count[1] || !count[2])
        exit 1
    WIDTH = 960; LEFT = 140; RIGHT = 40; TOP = 40; BOTTOM = 150
    logarithmic = high / low > 8
    if (logarithmic) {
        low /= 1.4
        high *= 1.4
    } else {
        low -= (high - low) * 0.05 + high * 0.005
        high += (high - low) * 0.05
    }
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-size=\"12\">\n", WIDTH, BOTTOM + 34, WIDTH, BOTTOM + 34
    print "<title>" escape(title) "</title>"
    print "<style>.plot{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans CJK JP',sans-serif}.plot .paper{fill:#fff}" \
        ".plot text{fill:#1c2530;font-size:12px}.plot .head{font-size:15px;font-weight:650}.plot .dim{fill:#5b6875}" \
        ".plot .axis{stroke:#dfe4ea}.plot circle{fill-opacity:.65}.plot .before circle{fill:#c2410c}.plot .after circle{fill:#0a6ebd}" \
        ".plot .median{stroke-width:2}.plot .before .median{stroke:#c2410c}.plot .after .median{stroke:#0a6ebd}" \
        "@media(prefers-color-scheme:dark){.plot .paper{fill:#14181d}.plot text{fill:#e4e9ef}.plot .dim{fill:#9aa7b4}.plot .axis{stroke:#2c343d}" \
        ".plot .before circle{fill:#fb923c}.plot .after circle{fill:#60b0f4}.plot .before .median{stroke:#fb923c}.plot .after .median{stroke:#60b0f4}}</style>"
    print "<rect class=\"paper\" width=\"100%\" height=\"100%\" rx=\"6\"/>"
    printf "<text class=\"head\" x=\"10\" y=\"22\">%s</text>", escape(title)
    printf "<text class=\"dim\" x=\"%d\" y=\"22\" text-anchor=\"end\">%s</text>\n", WIDTH - 10, escape(logarithmic ? words_log : words_linear)
    marks()
    row(1, before, TOP + 26)
    row(2, after, TOP + 82)
    print "</svg>"
}
