#!/usr/bin/env bash
# Fuzzes what reads bytes of strangers, with libFuzzer and the address sanitizer.
#
#   Scripts/fuzz.sh                        every target for 30 seconds
#   Scripts/fuzz.sh TARGET ...             only these: address answer capture certificate chain client dialogue
#                                          hello proxy revocation server
#   Scripts/fuzz.sh --seconds N [...]      so many seconds a target
#   Scripts/fuzz.sh --total N [...]        N seconds in all, the same for each
#   Scripts/fuzz.sh --minutes N [...]      so many minutes a target
#   Scripts/fuzz.sh --minimise [...]       then put the inputs that reach new code into the corpora
#   Scripts/fuzz.sh --replay FILE TARGET   run one input, as often as asked
#
# A run begins with Fuzzing/Corpus/TARGET and leaves it alone unless told to minimise. A finding ends
# the run with a non-zero code; its input is kept as .build-fuzz/findings/TARGET/crash-…, printed in base64
# for machines that are thrown away, and belongs into Fuzzing/Findings/TARGET once it is mended, where
# `swift test --filter FuzzTests` replays it.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

all=(address answer capture certificate chain client dialogue hello proxy revocation server)
targets=()
seconds=30
total=
minimise=false
replay=
while (($# > 0)); do
    case "$1" in
    -h | --help) usage && exit 0 ;;
    --seconds) seconds="${2:?}" && shift ;;
    --total) total="${2:?}" && shift ;;
    --minutes) seconds=$((${2:?} * 60)) && shift ;;
    --minimise) minimise=true ;;
    --replay) replay="$(realpath "${2:?}")" && shift ;;
    *)
        [[ " ${all[*]} " == *" $1 "* ]] || fail "no target '$1' (the targets: ${all[*]})"
        targets+=("$1")
        ;;
    esac
    shift
done
((${#targets[@]} > 0)) || targets=("${all[@]}")
[[ ${total:-0} =~ ^[0-9]+$ ]] || fail "'$total' is no number of seconds"
[[ -z $total ]] || seconds=$((total / ${#targets[@]}))
[[ $seconds =~ ^[0-9]+$ ]] || fail "'$seconds' is no number of seconds"

need_swift
scratch="$root/.build-fuzz"
fuzzer="$scratch/fuzzer"

# An optimised build with checks, instrumented for coverage and for memory errors.
build() {
    local flags=(-c release --scratch-path "$scratch" -Xcc -fsanitize=fuzzer-no-link,address
        -Xswiftc -sanitize=fuzzer,address)
    swift build --target FuzzTargets "${flags[@]}"
    local products modules
    products="$(swift build --show-bin-path "${flags[@]}")"
    modules="$products/Modules"
    # Only the modules the targets need, each a folder of objects; in those of Swift the objects of files
    # that are gone stay, so it is their list of sources that counts.
    local objects=()
    local module object source
    for module in CLinux CTLSTransport CExternalKey CFuzzSupport SocketCore TLSEngine Sockets \
        TLSInspection TLSTestKit FuzzTargets; do
        if [[ -e $products/$module.build/sources ]]; then
            while IFS= read -r source; do
                objects+=("$products/$module.build/${source##*/}.o")
            done <"$products/$module.build/sources"
            continue
        fi
        while IFS= read -r object; do objects+=("$object"); done \
            < <(find "$products/$module.build" -name '*.o')
    done
    # The module maps that SwiftPM makes for C targets.
    local maps=()
    for module in CLinux CTLSTransport CExternalKey CFuzzSupport; do
        maps+=(-Xcc "-fmodule-map-file=$products/$module.build/module.modulemap")
    done
    local -a system
    read -r -a system <<<"$(pkg-config --libs openssl)"
    swiftc -O -swift-version 6 -parse-as-library \
        -sanitize=fuzzer,address -use-ld=lld -I "$modules" -I Sources/COpenSSL \
        -I Fuzzing/Support/include "${maps[@]}" \
        Fuzzing/Entry/Entry.swift "${objects[@]}" "${system[@]}" -o "$fuzzer"
}

run() {
    local target="$1"
    shift
    mkdir -p "$scratch/findings/$target"
    # An input of 4 KiB holds every script; one that takes 30 s by the clock on the wall hangs, on a busy
    # machine, too; one that takes 1 GiB leaks.
    FUZZ_TARGET="$target" ASAN_OPTIONS=detect_stack_use_after_return=0 \
        LSAN_OPTIONS="suppressions=$root/Scripts/leaks.supp:print_suppressions=0" \
        "$fuzzer" -max_len=4096 -timeout=30 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$scratch/findings/$target/" "$@"
}

build
if [[ -n $replay ]]; then
    run "${targets[0]}" "$replay"
    exit
fi

failed=()
stamp="$scratch/started"
touch "$stamp"
for target in "${targets[@]}"; do
    corpus="$root/Fuzzing/Corpus/$target"
    grown="$scratch/corpus/$target"
    mkdir -p "$corpus" "$grown"
    FUZZ_SEEDS="$grown" run "$target" >/dev/null 2>&1
    log="$scratch/$target.log"
    if run "$target" -max_total_time="$seconds" "$grown" "$corpus" >"$log" 2>&1; then
        verdict=ok
    else
        verdict=FAILED
        failed+=("$target")
    fi
    last="$(grep -E '^#[0-9]+.*cov:' "$log" | tail -n 1 | tr '\t' ' ')"
    executed="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    rate="$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")"
    printf '%-12s %-6s %9s runs %7s/s  %s\n' "$target" "$verdict" "${executed:-?}" "${rate:-?}" \
        "$(grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [^ ]+' <<<"$last" || true)"
    if [[ $verdict == FAILED ]]; then
        tail -n 60 "$log" | sed 's/^/    /'
        find "$scratch/findings/$target" -type f -newer "$stamp" -print -exec base64 {} \;
    elif $minimise; then
        smaller="$scratch/smaller/$target"
        rm -rf "$smaller" && mkdir -p "$smaller"
        # By code reached, not by how often: a hundred inputs a target, not a thousand.
        run "$target" -merge=1 -use_counters=0 "$smaller" "$corpus" "$grown" >>"$log" 2>&1
        rm -rf "$corpus" && cp -r "$smaller" "$corpus"
        echo "             $(find "$corpus" -type f | wc -l) inputs, $(du -sb "$corpus" | cut -f1) bytes"
    fi
done
if ((${#failed[@]} > 0)); then
    echo "fuzz: FAILED (${failed[*]}); the inputs are in $scratch/findings"
    exit 1
fi
echo "fuzz: ${#targets[@]} targets, $seconds s each, no finding"
