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

# Says what fails, and nothing otherwise.
build() {
    local log="$folder/build.log"
    echo "bench: building ${*: -1}" >&2
    swift build -c release "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        fail "the build failed"
    }
}

Scripts/install.sh --peers
need_swift
mkdir -p "$folder"
for product in sockets-bench sockets-bench-load sockets-bench-reference sockets-bench-server; do
    # The counts have a build of the server of their own.
    [[ $command == counts && $product =~ -(server|reference)$ ]] ||
        build --package-path Benchmarks --product "$product"
done
bench="Benchmarks/.build/release/sockets-bench"
make_certificates
common=(--certificates "$folder/certificates")

case "$command" in
compare)
    if $wants_nio; then
        build --package-path Benchmarks/NIO --product nio-bench-server
        common+=(--nio "$root/Benchmarks/NIO/.build/release/nio-bench-server")
    fi
    if $wants_chart; then common+=(--chart "$chart"); fi
    common+=(--out "$folder/results-$(date +%Y%m%d-%H%M%S).jsonl")
    ;;
counts)
    # With the standard library linked in, and without debug information, which valgrind would read.
    build --package-path Benchmarks --scratch-path .build-counts --static-swift-stdlib \
        --product sockets-bench-server
    strip --strip-debug -o "$folder/sockets-bench-server" .build-counts/release/sockets-bench-server
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
