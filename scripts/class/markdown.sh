# shellcheck shell=bash disable=SC2154 # shares its variables with lib.sh and with those who source it
# Parts as Markdown, for the block in a guide. Sourced by record.sh, after the words are loaded.

# What would end a table's cell, or be read as markup.
cell() {
    local text=${1//|/\\|}
    printf '%s' "${text//</&lt;}"
}

markdown_top() { # FILE
    local flat_text flat_percent cum_text cum_percent name i=0
    [[ -s $1 ]] || { t nothing_sampled && echo; return; }
    printf '| | %s | %s | | %s | |\n|--:|---|--:|--:|--:|--:|\n' "$(t function)" "$(t flat)" "$(t cum)"
    while IFS=$'\t' read -r _ _ name flat_text flat_percent cum_text cum_percent; do
        printf '| %d | `%s` | %s | %s | %s | %s |\n' $((++i)) "$(cell "$name")" "$flat_text" "$flat_percent" "$cum_text" "$cum_percent"
    done <"$1"
}

markdown_checks() { # FILE
    local status name detail
    printf '| | %s | |\n|---|---|---|\n' "$(t check)"
    while IFS=$'\t' read -r status name detail; do
        printf '| %s | %s | %s |\n' "$status" "$(cell "$name")" "$(cell "$detail")"
    done <"$1"
}

# Rows that follow each other are one table.
render_markdown() { # FOLDER PICTURES: where the pictures are, as seen from the guide
    local kind a b c table=''
    while IFS=$'\t' read -r kind a b c; do
        [[ $kind != data ]] || continue
        if [[ $kind != row && $table ]]; then
            table=''
            echo
        fi
        case $kind in
        head) printf '### %s\n\n' "$(t "$a" "$b")" ;;
        row)
            [[ $table ]] || printf '| | |\n|---|---|\n'
            table=1
            printf '| %s | %s |\n' "$(t "$a")" "$(cell "$b")"
            ;;
        verdict) printf '**%s**\n\n' "$(cell "$b")" ;;
        top) markdown_top "$1/$a" && echo ;;
        checks) markdown_checks "$1/$a" && echo ;;
        pre) printf '```text\n' && sed 's/[ \t]*$//' "$1/$a" && printf '```\n\n' ;;
        figure) printf '![%s](%s/%s)\n\n' "$(t "$b" "$c")" "$2" "step$step-$a" ;;
        esac
    done <"$1/parts"
}
