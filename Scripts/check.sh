#!/usr/bin/env bash
# Runs every gate a change must pass, one line each, and fails if one of them failed.
#
#   Scripts/check.sh               all gates, in this order:
#       format    swift format lint --strict
#       c         the C sources and headers under -Wall -Wextra -Werror
#       build     everything, warnings as errors, undeclared imports as errors
#       tidy      the rules of the house (TidyTests)
#       test      all tests; an absent peer is a failure
#       integrations    the integrations, with their traits on
#       continuations   the sockets' tests with checked continuations, in .build-continuations
#       counts    allocations, instructions, system calls and memory against their baselines
#       docs      every documentation catalogue, broken links as errors
#       fuzz      every fuzzer for 30 seconds, in .build-fuzz
#       future    all tests with the clock ten years ahead
#       thread    all tests under the thread sanitizer, in .build-tsan
#       address   all tests under the address sanitizer, in .build-asan
#   Scripts/check.sh --fast        the same without integrations, counts, docs, fuzzers, future and sanitizers
#   Scripts/check.sh GATE ...      only these
#
# A gate's output goes to .build/check/GATE.log, and to the terminal when it fails.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

all=(format c build tidy test integrations counts continuations docs fuzz future thread address)
fast=(format c build tidy test)
chosen=()
for argument in "$@"; do
    case "$argument" in
    -h | --help) usage && exit 0 ;;
    --fast) chosen+=("${fast[@]}") ;;
    *)
        [[ " ${all[*]} " == *" $argument "* ]] ||
            fail "no gate '$argument' (the gates: ${all[*]})"
        chosen+=("$argument")
        ;;
    esac
done
((${#chosen[@]} > 0)) || chosen=("${all[@]}")

gate_format() { Scripts/format.sh --lint; }

gate_c() {
    local file
    local -a flags
    read -r -a flags <<<"$(pkg-config --cflags openssl)"
    flags+=(-std=gnu11 -Wall -Wextra -Werror -fsyntax-only -x c -I Sources/COpenSSL)
    for file in Sources/*/*.c Benchmarks/Sources/*/*.c; do
        clang "${flags[@]}" -I "$(dirname "$file")/include" "$file"
    done
    # As an including file sees it: inline functions nobody calls are no finding.
    clang "${flags[@]}" - <<<'#include "COpenSSL.h"'
}

gate_build() {
    swift build --build-tests -Xswiftc -warnings-as-errors \
        --explicit-target-dependency-import-check error
}

# The flags are those of the build gate, so that nothing is compiled again.
gate_tidy() { gate_build && swift test --skip-build --filter TidyTests; }
gate_test() { gate_build && run_suites; }
gate_integrations() { integrations; }

# Every task that waits is resumed exactly once: checked continuations trap or complain otherwise.
gate_continuations() {
    local flags=(--scratch-path .build-continuations -Xswiftc -DSOCKETS_CHECKED_CONTINUATIONS)
    swift build --build-tests "${flags[@]}"
    swift test --skip-build --disable-xctest "${flags[@]}" \
        --filter '^(SocketCoreTests|SocketsTests)\.' 2>&1 | tee .build-continuations/output
    ! grep -F 'SWIFT TASK CONTINUATION MISUSE' .build-continuations/output
}

# What depends on no neighbour is held; optimised builds of their own.
gate_counts() {
    swift test -c release --package-path Benchmarks
    Scripts/bench.sh counts
}

gate_docs() { Scripts/docs.sh; }

gate_fuzz() { Scripts/fuzz.sh; }

# Nothing fails because of the date. The build keeps the present, or files would come from the past.
gate_future() {
    gate_build
    clang -std=gnu11 -O1 -Wall -Wextra -Werror -shared -fPIC Scripts/ahead.c -o .build/ahead.so
    # What SwiftPM compiles on the way has modules of its own: seen from there, those that all builds
    # share are years old, and would be thrown away under the hands of who uses them.
    export SWIFTPM_MODULECACHE_OVERRIDE="$root/.build/ahead-modules"
    export LD_PRELOAD="$root/.build/ahead.so" SOCKETS_PEERS_PRELOAD="$root/.build/ahead.so"
    run_suites
}

# Under a sanitizer a hundred tests at once starve each other, and those with deadlines fail for it:
# this is read by Swift Testing.
few_at_once() { export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=4; }

# No test here is an XCTest, and its runner leaks; the tests of Swift Testing are all there are.
gate_thread() {
    few_at_once
    mkdir -p .build-tsan
    local flags=(--sanitize=thread --scratch-path .build-tsan)
    local name
    for name in tsan-mutex tsan-continuation; do
        clang -std=gnu11 -O1 -Wall -Wextra -Werror -c "Scripts/$name.c" -o ".build-tsan/$name.o"
        flags+=(-Xlinker "$root/.build-tsan/$name.o")
    done
    swift build --build-tests "${flags[@]}"
    run_suites --disable-xctest "${flags[@]}"
}
gate_address() {
    few_at_once
    local flags=(--sanitize=address --scratch-path .build-asan)
    swift build --build-tests "${flags[@]}"
    export LSAN_OPTIONS="suppressions=$root/Scripts/leaks.supp:print_suppressions=0"
    run_suites --disable-xctest "${flags[@]}"
}

Scripts/install.sh --peers
need_swift
export SOCKETS_REQUIRE_PEERS=1
mkdir -p .build/check
failed=()
started=$EPOCHREALTIME

# Microseconds between two EPOCHREALTIMEs, printed as seconds.
seconds() {
    local elapsed=$((${2/[.,]/} - ${1/[.,]/}))
    printf '%d.%d s' $((elapsed / 1000000)) $((elapsed / 100000 % 10))
}

for gate in "${chosen[@]}"; do
    log=".build/check/$gate.log"
    from=$EPOCHREALTIME
    # In a shell of its own, and not under `if`, so that `set -e` holds inside the gate.
    set +e
    (
        set -e
        "gate_$gate"
    ) >"$log" 2>&1
    status=$?
    set -e
    if ((status == 0)); then verdict=ok; else verdict=FAILED; fi
    printf '%-13s %-6s %10s\n' "$gate" "$verdict" "$(seconds "$from" "$EPOCHREALTIME")"
    sed -n 's/^notice: /    /p' "$log"
    if ((status != 0)); then
        failed+=("$gate")
        # What went wrong may stand far above the end.
        grep -E '✘|↳|error:' "$log" | sed 's/^/    /' | head -n 40 || true
        # Without the lines that only say that a test began.
        sed '/^◇/d; s/^/    /' "$log" | tail -n 60
    fi
done

total="$(seconds "$started" "$EPOCHREALTIME")"
if ((${#failed[@]} > 0)); then
    echo "check: ${#failed[@]} of ${#chosen[@]} gates FAILED (${failed[*]}) in $total"
    exit 1
fi
echo "check: all ${#chosen[@]} gates passed in $total"
