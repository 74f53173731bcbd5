#!/usr/bin/env bash
# Runs what was built against the system's OpenSSL headers on the shared libraries of OpenSSL 3.5.
#
#   Scripts/openssl-3.5.sh           fetch the libraries (4 MB, once), then run
#   Scripts/openssl-3.5.sh FOLDER    run on FOLDER/libssl.so.3 and FOLDER/libcrypto.so.3 instead
#
# Passes when the same binary starts there, its suites pass, TLS 1.3 agrees on X25519MLKEM768, and a
# library that claims another major version is refused. The libraries come out of the Python wheel
# psycopg2-binary, which carries an OpenSSL 3.5, and stay in .build-openssl35. Without a network, and
# without FOLDER, it says so and fails.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

work="$root/.build-openssl35"
wheel="psycopg2-binary==2.9.13"

case "${1:-}" in
-h | --help) usage && exit 0 ;;
esac

# Makes $work/lib with the two libraries under the names that programs ask for.
fetch() {
    local name file
    local -a found
    command -v python3 >/dev/null || fail "no 'python3' on the path, which fetches the libraries"
    rm -rf "$work/wheel" "$work/lib"
    mkdir -p "$work/wheel" "$work/lib"
    # Any Python's wheel will do: only its libraries are used.
    python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 \
        --platform "manylinux2014_$(uname -m)" --dest "$work/wheel" "$wheel" ||
        fail "cannot fetch $wheel: no pip or no network? Give a folder with libssl.so.3 and" \
            "libcrypto.so.3 of OpenSSL 3.5 instead (--help)"
    (cd "$work/wheel" && python3 -m zipfile -e ./*.whl .)
    for name in ssl crypto; do
        found=("$work"/wheel/*.libs/lib"$name"-*.so.3)
        [[ ${#found[@]} == 1 && -f ${found[0]} ]] || fail "$wheel carries no lib$name"
        file="${found[0]}"
        # Under its own name too: libssl asks for libcrypto by the name it has in the wheel.
        ln -s "../${file#"$work"/}" "$work/lib/${file##*/}"
        ln -s "${file##*/}" "$work/lib/lib$name.so.3"
    done
}

if (($# > 0)); then
    [[ -e $1/libssl.so.3 && -e $1/libcrypto.so.3 ]] ||
        fail "$1 has no libssl.so.3 and libcrypto.so.3"
    libraries="$(cd "$1" && pwd -P)"
else
    [[ -e $work/lib/libssl.so.3 && -e $work/lib/libcrypto.so.3 ]] || fetch
    libraries="$work/lib"
fi

Scripts/install.sh
need_swift
swift build --build-tests -Xswiftc -warnings-as-errors
binaries="$(swift build --build-tests -Xswiftc -warnings-as-errors --show-bin-path)"
tests="$binaries/swift-socketsPackageTests.xctest"
tool="$binaries/tlsinspect"

echo "== built against OpenSSL $(pkg-config --modversion openssl); libraries that are loaded:"
resolved="$(LD_LIBRARY_PATH="$libraries" ldd "$tests")"
grep -E 'lib(ssl|crypto)' <<<"$resolved"
if grep -E 'not found' <<<"$resolved"; then fail "a library was not found"; fi
# One libcrypto, whatever names it goes by: two would not know each other's objects.
copies="$(grep -oE '/[^ ]*libcrypto[^ ]*' <<<"$resolved" | xargs -r readlink -f | sort -u | wc -l)"
[[ $copies == 1 ]] || fail "$copies copies of libcrypto would be loaded"

# Only this package's programs run on the other library. The peers that tests start stay with the
# system's: Debian's openssl, for one, does not bear another libcrypto.
mkdir -p "$work/peers"
for peer in openssl curl nginx gnutls-cli gnutls-serv python3 softhsm2-util pkcs11-tool; do
    place="$(command -v "$peer")" || continue
    printf '#!/bin/sh\nunset LD_LIBRARY_PATH LD_PRELOAD OPENSSL_MODULES\nexec "%s" "$@"\n' "$place" \
        >"$work/peers/$peer"
    chmod +x "$work/peers/$peer"
done
# The wheel has no modules; the system's legacy provider runs under the other library too.
modules="$(openssl version -m | sed 's/.*"\(.*\)"/\1/')"
run() {
    env PATH="$work/peers:$PATH" LD_LIBRARY_PATH="$libraries" OPENSSL_MODULES="$modules" "$@"
}
suites() {
    local filter="$1"
    shift
    run "$@" "$tests" --testing-library swift-testing --filter "$filter" >"$work/log" 2>&1 || {
        grep -vE '^◇|^✔' "$work/log" >&2 || true
        fail "the suites $filter fail on this library; all they said is in $work/log"
    }
    # Nothing that matched would pass too.
    grep -qE '^✔ Test run with [1-9]' "$work/log" || fail "the suites $filter did not run"
    grep -E '^✔ Test run|^this runs' "$work/log"
}

echo "== the library and the group of TLS 1.3"
suites '^InteropTests.OpenSSLVersionTests' SOCKETS_EXPECT_OPENSSL="OpenSSL 3.5."
echo "== the suites that speak TLS"
# Not all at once: tests with deadlines do not run beside tests that want every core.
suites '^(TLSEngine|TLSTestKit)Tests\.'
suites '^(Sockets|SeedConformance)Tests\.'
suites '^TLSInspectionTests\.'
suites '^InteropTests\.'
if run "$tool" demo --help >"$work/log" 2>&1 && grep -q demo "$work/log"; then
    echo "== tlsinspect demo"
    run "$tool" demo
fi

echo "== a library that claims to be version 4 is refused"
printf 'unsigned OPENSSL_version_major(void) { return 4; }\n' |
    clang -x c -shared -fPIC -o "$work/major.so" -
suites '^InteropTests.OpenSSLVersionTests/major' SOCKETS_REFUSED_OPENSSL=1 LD_PRELOAD="$work/major.so"
echo "openssl-3.5: passed"
