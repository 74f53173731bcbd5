#!/usr/bin/env bash
# Writes the manual pages of the tools, docs/man/*.1, from what the tools know of themselves.
#
#   Scripts/man.sh           builds the tools and writes the pages
#   Scripts/man.sh --check   says which pages are not as they would be written
#
# Needs python3. A test holds the pages against the tools.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

arguments=()
case "${1:-}" in
"") ;;
--check) arguments+=(--check) ;;
-h | --help) usage && exit 0 ;;
*) fail "unknown argument '$1' (--help lists them)" ;;
esac

need_swift
command -v python3 >/dev/null || fail "no python3 on the path"
for tool in tlsinspect tlscerts; do
    swift build --product "$tool" >&2
    python3 Scripts/man.py "${arguments[@]}" "$(swift build --show-bin-path)/$tool" docs/man
done
