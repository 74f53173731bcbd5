#!/usr/bin/env bash
# Opens and closes many connections with every kind of fault and looks whether anything stays: memory
# in use, resident size and descriptors behind each wave of 2,000.
#
#   Scripts/soak.sh               100,000 connections
#   Scripts/soak.sh N             so many, at least 20,000 for waves of 2,000
#   Scripts/soak.sh N --leak B    and lose B bytes at each, to see that it shows: must fail
#   Scripts/soak.sh N --fault F   all with the ending F, a case of SoakFault
#   Scripts/soak.sh N --each      N with every ending, one after the other
#
# An optimised build would find no more; the tests' own is used. The last lines tell the growth.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

connections=100000
leak=0
faults=("")
while (($# > 0)); do
    case "$1" in
    -h | --help) usage && exit 0 ;;
    --leak) leak="${2:?}" && shift ;;
    --fault) faults=("${2:?}") && shift ;;
    --each)
        read -r -a faults < <(sed -n '/^enum SoakFault/,/^}/s/^ *case //p' \
            Tests/SocketsTests/Soak.swift | tr -s ',\n' ' ')
        ;;
    *) connections="$1" ;;
    esac
    shift
done
[[ $connections =~ ^[0-9]+$ && $leak =~ ^[0-9]+$ ]] || fail "numbers are wanted (--help)"

need_swift
swift build --build-tests
report="$(mktemp -u)"
trap 'rm -f "$report"' EXIT
result=0
for fault in "${faults[@]}"; do
    [[ -z $fault ]] || echo "soak: $fault"
    rm -f "$report"
    SOCKETS_SOAK_CONNECTIONS="$connections" SOCKETS_SOAK_LEAK="$leak" \
        SOCKETS_SOAK_REPORT="$report" SOCKETS_SOAK_FAULT="$fault" \
        swift test --skip-build --filter '^SocketsTests\.SoakTests/waves' || result=$?
    if [[ -e $report ]]; then cat "$report"; fi
done
exit "$result"
