# The table of `make escape`, for one source file. Reads what the compiler and the object file say about its lines, then
# the source; `what` says which of them comes. Of a line that is compiled several times, each thing is said once.

function note(line, text) {
    if (index("; " notes[line] ";", "; " text ";"))
        return
    notes[line] = notes[line] (notes[line] == "" ? "" : "; ") text
}
function plain(name) {
    gsub(/['.,]/, "", name)
    sub(/\/[0-9]+$/, "", name)
    return name
}
# Of "file:line:column: ...": the line, or 0 when it is about another file.
function line_of(text) {
    if (substr(text, 1, length(file) + 1) != file ":")
        return 0
    return substr(text, length(file) + 2) + 0
}

what == "stack" {
    line = line_of($0)
    stack[line] = $2 ($3 ~ /^dynamic/ ? "+n" : "")
    if ($3 ~ /^dynamic/)
        note(line, "as much as the size asks for")
    else if ($2 >= 65536)
        note(line, "more than a small thread's stack may have")
}
what == "report" && (line = line_of($0)) {
    if (/optimized: +Inlin(ing|ed) /)
        note(line, "inlines " plain($4))
    else if (/remark: '[^']*' inlined into/)
        note(line, "inlines " plain($3))
    else if (/function not inlinable/)
        note(line, "calls " plain($(NF - 3)))
    else if (/remark: '[^']*' not inlined into/)
        note(line, "calls " plain($3))
}
what == "code" {
    if ($1 ~ /:[0-9]+$/ && $1 !~ /^[0-9a-f]+:$/) {
        at = $1
        n = split(at, part, ":")
        line = substr(at, length(at) - length(part[n]) - length(file), length(file)) == file ? part[n] + 0 : 0
    }
    if ($2 ~ /^R_/ && match($3, /^(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|free)/)) {
        name = substr($3, RSTART, RLENGTH)
        if (line && substr($3, RLENGTH + 1, 1) !~ /[A-Za-z_]/ && !((line, name) in heap_seen)) {
            heap_seen[line, name] = 1
            heap[line] = heap[line] (heap[line] == "" ? "" : ",") name
        }
    }
}
what == "source" {
    if ($0 ~ /[= (](malloc|calloc|realloc|reallocarray|aligned_alloc)\(/ && $0 !~ /^ *(\*|\/\*)/ && heap[FNR] == "")
        note(FNR, "left out: the program has no such call here")
    if (!(FNR in stack) && heap[FNR] == "" && notes[FNR] == "")
        next
    text = $0
    gsub(/static |inline |__attribute__\(\([a-z_]*\)\) /, "", text)
    if (length(text) > 52)
        text = substr(text, 1, 49) "..."
    if (!header++)
        printf "%6s %9s  %-8s %-52s  %s\n", "line", "stack", "heap", "source", "what became of it"
    line = sprintf("%6d %9s  %-8s %-52s  %s", FNR, stack[FNR], heap[FNR], text, notes[FNR])
    sub(/ +$/, "", line)
    print line
}
END {
    if (!header)
        print "  no line of it takes stack, calls the allocator or was inlined"
}
