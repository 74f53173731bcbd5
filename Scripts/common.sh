# shellcheck shell=bash
# Sourced by the other scripts: goes to the package's root, and says what is wrong in one line.

script="$(cd "$(dirname "$0")" && pwd -P)/${0##*/}"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
cd "$root" || exit 1
# Debian keeps nginx and friends here, and leaves it out of an ordinary user's path.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Prints the comment at the head of the calling script.
usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$script"
}

need_swift() {
    command -v swift >/dev/null ||
        fail "no 'swift' on the path; install a Swift 6.3 toolchain: https://www.swift.org/install/linux/"
}

# Tests the integrations, which are there with their traits on, and runs the article's program.
integrations() {
    swift build --build-tests --package-path Integrations -Xswiftc -warnings-as-errors
    swift test --skip-build --package-path Integrations
    [[ $(Integrations/.build/debug/observed-echo --once 2>/dev/null) == 5 ]] ||
        fail "observed-echo did not echo"
}

# Runs all suites with `swift test` and the arguments given, one group after the other: tests with
# deadlines do not run beside tests that want every core, and the package that builds a package runs
# by itself. Every suite is in a group, or the last run takes it. The build is there already.
#
# FleetProcessTests start processes: Foundation's Process.run reads past the end of its listing of open
# descriptors (the address sanitizer shows it), and has crashed among the tests of sockets, which have many;
# by themselves they do not.
run_suites() {
    local group skips=()
    for group in '^PackageTests\.' '^(TLSEngineTests|TLSTestKitTests|FaultCatalogueTests|FuzzTests|TidyTests)\.' \
        '^(SocketCoreTests|SocketsTests)\.(?!FleetProcessTests)' '^InteropTests\.' '^TLSTestServersTests\.' \
        '^TLSInspectionTests\.' '^BrowserTests\.'; do
        # A test's time limit counts from when it begins: of hundreds that begin at once the last would be
        # over it on a busy machine. Scans and pages compute for seconds in a debug build: more of them
        # keep the probes of other tests from being continued until their deadlines pass.
        local width="${SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH:-24}"
        [[ $group != *TLSInspection* ]] || width="${SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH:-8}"
        SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH="$width" \
            swift test --skip-build "$@" --filter "$group"
        skips+=(--skip "$group")
    done
    swift test --skip-build "$@" "${skips[@]}"
}
