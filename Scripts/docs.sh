#!/usr/bin/env bash
# Builds the documentation of every module that has a catalogue; a broken link is an error.
#
#   Scripts/docs.sh    writes .build-docs/<Module>.doccarchive
#
# The toolchain's docc does it; no plug-in. The modules are built in .build-docs, as the flags
# differ from those of an ordinary build.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
"") ;;
-h | --help) usage && exit 0 ;;
*) fail "unknown argument '$1' (--help lists them)" ;;
esac

need_swift
shopt -s nullglob
catalogues=(Sources/*/*.docc)
if ((${#catalogues[@]} == 0)); then
    echo "No documentation catalogue yet."
    exit 0
fi

out="$root/.build-docs"
for catalogue in "${catalogues[@]}"; do
    module="$(basename "$(dirname "$catalogue")")"
    graphs="$out/graphs"
    own="$out/graphs-$module"
    mkdir -p "$graphs"
    swift build --scratch-path "$out" --target "$module" \
        -Xswiftc -emit-symbol-graph -Xswiftc -emit-symbol-graph-dir -Xswiftc "$graphs"
    # docc must see this module alone: its own symbols and what it adds to others' types.
    rm -rf "$own"
    mkdir -p "$own"
    cp "$graphs/$module.symbols.json" "$graphs/$module"@*.symbols.json "$own/"
    docc convert "$catalogue" \
        --additional-symbol-graph-dir "$own" \
        --fallback-display-name "$module" \
        --fallback-bundle-identifier "$module" \
        --output-path "$out/$module.doccarchive" \
        --warnings-as-errors
    echo "$module: .build-docs/$module.doccarchive"
done
