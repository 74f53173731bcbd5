#!/usr/bin/env bash
# Formats every Swift file in place, by the rules of .swift-format.
#
#   Scripts/format.sh          format
#   Scripts/format.sh --lint   change nothing; fail on every finding

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
"") mode=format ;;
--lint) mode=lint ;;
-h | --help) usage && exit 0 ;;
*) fail "unknown argument '$1' (--help lists them)" ;;
esac

need_swift
everything=(Sources Tests Fuzzing Package.swift Benchmarks/Package.swift Benchmarks/Sources Benchmarks/Tests
    Benchmarks/NIO/Package.swift Benchmarks/NIO/Sources Integrations/Package.swift Integrations/Sources
    Integrations/Tests)
if [[ $mode == lint ]]; then
    exec swift format lint --strict --parallel --recursive "${everything[@]}"
fi
exec swift format --in-place --parallel --recursive "${everything[@]}"
