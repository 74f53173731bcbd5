#!/usr/bin/env bash
# Installs the programs of others that the tests talk to, and runs only those tests.
#
#   Scripts/interop.sh [arguments of "swift test"]
#   Scripts/interop.sh --table    writes docs/INTEROP.md with the programs' versions, runs no row
#
# An absent program is a failure. A line near the end says how many rows ran against each.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
-h | --help) usage && exit 0 ;;
--table)
    export SOCKETS_WRITE_INTEROP=1
    exec Scripts/test.sh --filter '^InteropTests.InteropTests/DocumentTests'
    ;;
esac

exec Scripts/test.sh --filter '^InteropTests' "$@"
