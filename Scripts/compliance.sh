#!/usr/bin/env bash
# Writes docs/COMPLIANCE.md: which code and which tests cite which section of which RFC.
#
#   Scripts/compliance.sh            write docs/COMPLIANCE.md
#   Scripts/compliance.sh --stdout   print it instead
#   Scripts/compliance.sh --check    fail when the file differs from what would be written
#
# It collects citations of the form "RFC 8446 §4.2.8" (more sections may follow: "RFC 8446 §5.1,
# §5.2") from Sources and Tests. Line numbers are left out, so that the table changes only when a
# citation comes or goes.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# The table below is sorted and matched in bytes and in UTF-8, whatever the caller's language.
export LC_ALL=C.UTF-8
out=docs/COMPLIANCE.md

citations() {
    # file:citation, then rfc<TAB>section<TAB>file, each once.
    { grep -rnoE 'RFC [0-9]{3,5} §[0-9A-Z][0-9A-Za-z.]*((,| and|, and) §[0-9A-Z][0-9A-Za-z.]*)*' \
        --include='*.swift' --include='*.c' --include='*.h' --exclude-dir=TidyTests \
        Sources Tests || true; } |
        sed -E 's/^([^:]*):[0-9]+:/\1 /' |
        awk '{
            file = $1; rfc = $3
            for (i = 4; i <= NF; i++) {
                if (substr($i, 1, length("§")) != "§") continue
                section = substr($i, length("§") + 1)
                sub(/[.,]+$/, "", section)
                print rfc "\t" section "\t" file
            }
        }' | sort -u | sort -t "$(printf '\t')" -k1,1n -k2,2V -k3,3
}

render() {
    cat <<'HEAD'
# Compliance

Which section of which RFC is cited by which code, and by which tests. Written by
`Scripts/compliance.sh` from the citations in `Sources` and `Tests`; do not edit. A section
without a test is one that nobody has shown to hold.
HEAD
    citations | awk -F '\t' '
        function link(path,   parts, count) {
            count = split(path, parts, "/")
            return "[" parts[count] "](../" path ")"
        }
        function flush() {
            if (section == "") return
            print "| §" section " | " (code == "" ? "–" : code) " | " (tests == "" ? "–" : tests) " |"
        }
        $1 != rfc || $2 != section { flush(); code = ""; tests = "" }
        $1 != rfc {
            rfc = $1
            print "\n## RFC " rfc "\n\n| Section | Code | Tests |\n|---|---|---|"
        }
        {
            section = $2
            if ($3 ~ /^Tests\//) tests = tests (tests == "" ? "" : ", ") link($3)
            else code = code (code == "" ? "" : ", ") link($3)
        }
        END { flush() }'
}

case "${1:-}" in
"") render >"$out" && echo "Wrote $out." ;;
--stdout) render ;;
--check)
    render | diff -u "$out" - || fail "$out is out of date; run Scripts/compliance.sh"
    ;;
-h | --help) usage ;;
*) fail "unknown argument '$1' (--help lists them)" ;;
esac
