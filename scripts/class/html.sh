# shellcheck shell=bash disable=SC2154 # shares its variables with lib.sh and with those who source it
# Parts as HTML, and the page around them: one file that needs nothing else, light and dark. Sourced by report.sh and
# class-report.sh, after the words are loaded.

# What a learner's file or a function's name may hold is text, never markup.
html() { # TEXT
    local text=${1//&/'&amp;'}
    text=${text//</'&lt;'}
    text=${text//>/'&gt;'}
    printf '%s' "${text//\"/'&quot;'}"
}

# `code` as the tables have it.
html_value() {
    local text
    text=$(html "$1")
    while [[ $text == *\`*\`* ]]; do
        text=${text/\`/<code>}
        text=${text/\`/<\/code>}
    done
    printf '%s' "$text"
}

page_head() { # TITLE
    printf '<!doctype html>\n<html lang="%s">\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width,initial-scale=1">\n' "$language"
    printf '<meta http-equiv="Content-Security-Policy" content="default-src '"'none'"'; style-src '"'unsafe-inline'"'; img-src data:">\n'
    printf '<title>%s</title>\n<style>\n' "$(html "$1")"
    cat scripts/class/page.css
    printf '</style>\n<body>\n<h1>%s</h1>\n' "$(html "$1")"
}

page_foot() {
    printf '</body>\n</html>\n'
}

html_top() { # FILE
    local flat_text flat_percent cum_text cum_percent name i=0
    [[ -s $1 ]] || { printf '<p class="dim">%s</p>\n' "$(t nothing_sampled)"; return; }
    printf '<div class="scroll"><table class="wide"><tr><th class="num"><th>%s<th class="num" colspan="2">%s<th><th class="num" colspan="2">%s</tr>\n' \
        "$(t function)" "$(t flat)" "$(t cum)"
    while IFS=$'\t' read -r _ _ name flat_text flat_percent cum_text cum_percent; do
        printf '<tr><td class="num">%d<td><code>%s</code><td class="num">%s<td class="num">%s<td><span class="bar" style="width:%.1fem"></span><td class="num">%s<td class="num">%s</tr>\n' \
            $((++i)) "$(html "$name")" "$flat_text" "$flat_percent" "$(awk -v p="$flat_percent" 'BEGIN { print p / 12 }')" "$cum_text" "$cum_percent"
    done <"$1"
    printf '</table></div>\n'
}

html_checks() { # FILE
    local status name detail
    printf '<table>\n'
    while IFS=$'\t' read -r status name detail; do
        printf '<tr><td><span class="tag %s">%s</span><td>%s<td>%s</tr>\n' "$(html "$status")" "$(html "$status")" "$(html "$name")" "$(html "$detail")"
    done <"$1"
    printf '</table>\n'
}

html_rows() { # FILE: key, tab, value
    local key value
    printf '<table>\n'
    while IFS=$'\t' read -r key value; do
        printf '<tr><td class="key">%s<td>%s</tr>\n' "$(t "$key")" "$(html_value "$value")"
    done <"$1"
    printf '</table>\n'
}

# Our own pictures keep their styles to themselves, and pointing at them tells more: they are part of the page. Others are
# packed.
html_picture() { # FILE TEXT
    if head -n 1 "$1" | grep -qE 'class="(flame|plot|timeline)"'; then
        cat "$1"
    else
        printf '<img alt="%s" src="data:image/svg+xml;base64,%s">\n' "$(html "$2")" "$(base64 -w0 "$1")"
    fi
}

# Rows that follow each other are one table.
render_html() { # FOLDER
    local kind a b c table=''
    while IFS=$'\t' read -r kind a b c; do
        [[ $kind != data ]] || continue
        if [[ $kind != row && $table ]]; then
            table=''
            printf '</table>\n'
        fi
        case $kind in
        head) printf '<h3>%s</h3>\n' "$(html "$(t "$a" "$b")")" ;;
        row)
            [[ $table ]] || printf '<table>\n'
            table=1
            printf '<tr><td class="key">%s<td>%s</tr>\n' "$(t "$a")" "$(html_value "$b")"
            ;;
        verdict) printf '<p class="verdict %s">%s</p>\n' "$(html "$a")" "$(html "$b")" ;;
        top) html_top "$1/$a" ;;
        checks) html_checks "$1/$a" ;;
        pre) printf '<pre>%s</pre>\n' "$(html "$(<"$1/$a")")" ;;
        figure)
            printf '<figure>\n'
            html_picture "$1/$a" "$(t "$b" "$c")"
            printf '<figcaption>%s</figcaption></figure>\n' "$(html "$(t "$b" "$c")")"
            ;;
        esac
    done <"$1/parts"
    [[ -z $table ]] || printf '</table>\n'
}
