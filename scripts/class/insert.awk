# Puts a block between the markers of a guide, and touches nothing else of it.
#
#   awk -f insert.awk -v step=1 -v name=docs/en/step1-cpu.md -v sum=COMMAND -v force=0 BLOCK GUIDE >NEW
#
# The markers are lines of their own: <!-- record:step1 begin --> and <!-- record:step1 end -->. Exit 3, with one line on
# standard error that has the number of the line, when they are not as they should be, or when somebody wrote between
# them: the block's last line has a checksum of what the tool wrote there.
function refuse(line, text) {
    printf "%s:%d: %s\n", name, line, text > "/dev/stderr"
    refused = 1
    exit 3
}
function bare(s) {
    sub(/\r$/, "", s)
    sub(/^[ \t]+/, "", s)
    sub(/[ \t]+$/, "", s)
    return s
}
# A checksum that any awk can compute: a polynomial modulo a prime, over the bytes as LC_ALL=C has them.
function digest(text,    i, h) {
    h = 7
    for (i = 1; i <= length(text); i++)
        h = (h * 131 + code[substr(text, i, 1)]) % 16777213
    return sprintf("%06x", h)
}
BEGIN {
    for (i = 1; i < 256; i++)
        code[sprintf("%c", i)] = i
    begin = "<!-- record:step" step " begin -->"
    end = "<!-- record:step" step " end -->"
}
FILENAME == ARGV[1] { block = block $0 "\n"; next }
{
    line[++n] = $0
    text = bare($0)
    if (text == begin) {
        if (at_begin)
            refuse(FNR, "a second '" begin "'; the first is in line " at_begin "; remove one")
        if (at_end)
            refuse(at_end, "'" end "' stands before '" begin "'")
        at_begin = FNR
    } else if (text == end) {
        if (at_end)
            refuse(FNR, "a second '" end "'; the first is in line " at_end "; remove one")
        if (!at_begin)
            refuse(FNR, "'" end "' without '" begin "' before it")
        at_end = FNR
    } else if (tolower(text) ~ /<!--+ *record *:? *step/ && text !~ /^<!-- sum/)
        refuse(FNR, "a damaged marker: '" substr(text, 1, 60) "'; expected '" (at_begin && !at_end ? end : begin) "', alone in its line")
    else if (at_begin && !at_end) {
        if (text ~ /^<!-- sum [0-9a-f]+ -->$/)
            sum_line = text
        else
            inside = inside text "\n"
        if (text != "")
            lines++
    }
}
END {
    if (refused)
        exit 3
    if (!at_begin)
        refuse(n, "no marker '" begin "' up to the last line; the block belongs between that line and '" end "'")
    if (!at_end)
        refuse(at_begin, "'" begin "' is not ended; expected '" end "' after it")
    if (!force && (sum_line == "" ? lines > 1 : sum_line != "<!-- sum " digest(inside) " -->"))
        refuse(at_begin + 1, "somebody wrote between the markers; move it below '" end "', or replace it with FORCE=1")
    cr = line[at_begin] ~ /\r$/ ? "\r" : ""
    for (i = 1; i <= at_begin; i++)
        print line[i]
    written = block
    sub(/\n$/, "", written)
    rows = split(written, row, "\n")
    for (i = 1; i <= rows; i++) {
        print row[i] cr
        sum_of = sum_of bare(row[i]) "\n"
    }
    print "<!-- sum " digest(sum_of) " -->" cr
    for (i = at_end; i <= n; i++)
        print line[i]
}
