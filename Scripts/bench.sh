#!/usr/bin/env bash
# Builds the benchmarks and runs them; docs/BENCHMARKING.md tells how to read what they print.
#
#   Scripts/bench.sh                  compare with a C server on the same OpenSSL: some four minutes
#   Scripts/bench.sh --quick          the same in about a minute
#   Scripts/bench.sh --nio            with a server of SwiftNIO (builds it: minutes, the first time)
#   Scripts/bench.sh --chart          draw docs/images/benchmarks.svg from the results, too
#   Scripts/bench.sh --cases echo-64,bulk-in --rounds 9 --seconds 2 --cpu 1
#   Scripts/bench.sh counts           instructions, system calls and memory against the baselines
#   Scripts/bench.sh counts --update  make what is counted the new baselines
#   Scripts/bench.sh loops            two event loops against one (--reference: of the C server too)
#   Scripts/bench.sh hold             15,000 TLS connections at once (--connections N, --plain)
#   Scripts/bench.sh chart FILE       the table, and the chart, of results that were kept
#
# Results go to .build/bench/results-TIME.jsonl, one line a run.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

command=compare
case "${1:-}" in
counts | loops | hold | chart)
    command=$1
    shift
    ;;
esac
wants_nio=false
wants_chart=false
arguments=()
for argument in "$@"; do
    case "$argument" in
    -h | --help) usage && exit 0 ;;
    --nio) wants_nio=true ;;
    --chart) wants_chart=true ;;
    *) arguments+=("$argument") ;;
    esac
done

folder="$root/.build/bench"
chart="$root/docs/images/benchmarks.svg"

# A certificate of its own for each kind of key; made once.
make_certificates() {
    local kind
    mkdir -p "$folder/certificates"
    for kind in ecdsa rsa; do
        local key=(-newkey rsa:2048)
        if [[ $kind == ecdsa ]]; then key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256); fi
        [[ -s $folder/certificates/$kind.pem ]] && continue
        openssl req -x509 "${key[@]}" -nodes -days 3650 -subj /CN=localhost \
            -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
            -addext extendedKeyUsage=serverAuth \
            -keyout "$folder/certificates/$kind.key" -out "$folder/certificates/$kind.pem" 2>/dev/null
    done
}

# Optimised, with the standard library linked in; says what fails, and nothing otherwise. The folder is
# not the one of the allocation tests, which are compiled with other flags.
build() { # package, arguments of "swift build"
    local package=$1 log="$folder/build.log"
    shift
    echo "bench: building $package" >&2
    swift build -c release --static-swift-stdlib --package-path "$package" "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        fail "the build of $package failed"
    }
}

Scripts/install.sh --peers
need_swift
mkdir -p "$folder"
build Benchmarks --scratch-path .build-benchmarks
bench=.build-benchmarks/release/sockets-bench
make_certificates
common=(--certificates "$folder/certificates")

case "$command" in
compare)
    if $wants_nio; then
        build Benchmarks/NIO --scratch-path .build-benchmarks-nio
        common+=(--nio "$root/.build-benchmarks-nio/release/nio-bench-server")
    fi
    if $wants_chart; then common+=(--chart "$chart"); fi
    common+=(--out "$folder/results-$(date +%Y%m%d-%H%M%S).jsonl")
    ;;
counts)
    # Without debug information, which valgrind would read.
    strip --strip-debug -o "$folder/sockets-bench-server" \
        .build-benchmarks/release/sockets-bench-server
    version="$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([^ ]*\).*/\1/p')"
    common+=(--server "$folder/sockets-bench-server" --baselines Benchmarks/Baselines
        --swift "$version")
    ;;
chart)
    common=()
    if $wants_chart || ((${#arguments[@]} == 1)); then common=(--chart "$chart"); fi
    ;;
esac
exec "$bench" "$command" "${common[@]}" "${arguments[@]}"
