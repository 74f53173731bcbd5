#!/usr/bin/env bash
# Installs the peers, builds everything with warnings as errors, and runs all tests. Without arguments
# the allocation tests of an optimised build run first, what else is counted is held against its
# baselines, and the integrations are tested in a package of their own, with their traits on.
#
#   Scripts/test.sh [arguments of "swift test", such as --filter EngineStateTests]
#
# An absent peer is a failure here, never a skip. The last line printed is the test runner's own
# summary, and the runner's exit code is this script's.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
-h | --help) usage && exit 0 ;;
esac

Scripts/install.sh --peers
need_swift
export SOCKETS_REQUIRE_PEERS=1
# The allocations of the hot path are counted in an optimised build of their own. They come first, so
# that the last line printed is the summary of all other tests; a filter is for those alone.
if [[ $# -eq 0 ]]; then
    swift test -c release --package-path Benchmarks
    Scripts/bench.sh counts
    integrations
fi
# SwiftPM gives this flag to the package's own targets and leaves dependencies alone.
swift build --build-tests -Xswiftc -warnings-as-errors
if [[ $# -gt 0 ]]; then
    exec swift test --skip-build "$@"
fi
run_suites
