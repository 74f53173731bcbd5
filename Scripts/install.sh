#!/usr/bin/env bash
# Installs what a bare Debian 12 with a Swift 6.3 toolchain lacks to build this package.
#
#   Scripts/install.sh           what building needs: OpenSSL's headers, pkg-config, a linker, git
#   Scripts/install.sh --peers   also what the tests talk to: openssl, curl, nginx, haproxy, gnutls,
#                                exim, postgresql, tshark, softhsm2, chromium, mandoc, python3, node,
#                                java
#   Scripts/install.sh --list    print what is missing, install nothing (with or without --peers)
#
# When nothing is missing it calls neither apt nor the network. Otherwise it runs apt-get as root,
# or through sudo. Services that come with a package are neither started nor enabled.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# One requirement a line. Alternatives (other names, other releases) are separated by "|": any of
# them installed is enough, and the first one that apt knows is installed.
building=(
    # This package.
    "libssl-dev"             # OpenSSL 3: headers, libssl, libcrypto
    "pkg-config|pkgconf"     # SwiftPM asks it where they are
    # What every Swift program here is compiled against and linked with.
    "binutils"               # ld.gold, the driver's linker
    "libc6-dev"              # the C library's headers and start files (and the kernel's headers)
    "libstdc++-12-dev|libstdc++-13-dev|libstdc++-14-dev|libstdc++-11-dev"  # also crtbegin, libgcc
    # What the toolchain's own programs load: swift-build, swift-test, swift-frontend, lld.
    "libstdc++6"
    "zlib1g"
    "libuuid1"
    "libsqlite3-0"
    "libncurses6"
    "libxml2|libxml2-16"
    "libcurl4|libcurl4t64"
    "libedit2"
    "tzdata"                 # Foundation's time zones
    # How SwiftPM fetches a dependency.
    "git"
    "ca-certificates"
)
peers=(
    "openssl"                # s_client, s_server, ocsp
    "curl"
    "nginx-light|nginx|nginx-core|nginx-full|nginx-extras"
    "haproxy"
    "gnutls-bin"             # gnutls-cli, gnutls-serv
    "softhsm2"               # a PKCS #11 token that holds a key
    "opensc"                 # pkcs11-tool, which signs by it
    # Servers and clients of protocols that start TLS in the middle.
    "exim4-daemon-light|exim4-daemon-heavy"
    "postgresql-15|postgresql-16|postgresql-17|postgresql-14"  # postgres, initdb, psql
    "sslscan"                # what it finds of a server
    "tshark"                 # what it makes of a ClientHello; decrypts captures by the key log
    "chromium"               # shows the pages of the tools (80 MB to load, some 290 MB on disk)
    "libmonitoring-plugin-perl"  # reads what tlsinspect expiry tells Nagios
    # What reads the manual pages, and complains of them.
    "mandoc"
    "groff-base"
    "procps"                 # ps and kill, for peers that have to go
    # What counts instructions and system calls (Scripts/bench.sh counts), and pins processes.
    "valgrind"
    "strace"
    "util-linux"             # taskset, setpriv
)
# Programs that need not come from a package: one on the path is enough, else the package is.
programs=(
    "python3=python3"        # its ssl module as a client and a server
    "node=nodejs"
    "promtool=prometheus"    # reads the samples of tlsinspect expiry
    "javac=default-jdk-headless|openjdk-17-jdk-headless|openjdk-21-jdk-headless"  # runs Peer.java as it is
)

wanted=("${building[@]}")
list_only=false
for argument in "$@"; do
    case "$argument" in
    --peers)
        wanted+=("${peers[@]}")
        for program in "${programs[@]}"; do
            command -v "${program%%=*}" >/dev/null || wanted+=("${program#*=}")
        done
        ;;
    --list) list_only=true ;;
    -h | --help) usage && exit 0 ;;
    *) fail "unknown argument '$argument' (--help lists them)" ;;
    esac
done

if ! command -v dpkg-query >/dev/null; then
    command -v pkg-config >/dev/null && pkg-config --exists 'openssl >= 3' && exit 0
    fail "this script knows Debian and Ubuntu; elsewhere install OpenSSL 3 with its headers," \
        "pkg-config, git, binutils and the C and C++ development files by hand"
fi

# The requirements nothing installed meets, one a line, alternatives and all.
missing() {
    local installed requirement name
    local -A present=()
    installed="$(dpkg-query -W -f '${db:Status-Status} ${Package}\n')"
    while read -r status name; do
        if [[ $status == installed ]]; then present[$name]=1; fi
    done <<<"$installed"
    for requirement in "${wanted[@]}"; do
        for name in ${requirement//|/ }; do
            [[ -n ${present[$name]:-} ]] && continue 2
        done
        printf '%s\n' "$requirement"
    done
}

mapfile -t absent < <(missing)
if ((${#absent[@]} == 0)); then exit 0; fi
if $list_only; then
    printf '%s\n' "${absent[@]}"
    exit 0
fi

if ((EUID == 0)); then
    as_root() { "$@"; }
elif command -v sudo >/dev/null; then
    as_root() { sudo "$@"; }
else
    fail "missing: ${absent[*]}; neither root nor sudo, so install them as root:" \
        "apt-get install ${absent[*]%%|*}"
fi
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"
}

# While this file answers 101, no maintainer script starts a service. What stood there is put back.
policy=/usr/sbin/policy-rc.d
policy_saved="$policy.before-$$"
policy_changed=false
restore_policy() {
    $policy_changed || return 0
    policy_changed=false
    as_root rm -f "$policy"
    if [[ -e $policy_saved ]]; then as_root mv "$policy_saved" "$policy"; fi
}
hold_services() {
    trap restore_policy EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    if [[ -e $policy ]]; then as_root mv "$policy" "$policy_saved"; fi
    policy_changed=true
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

echo "Installing: ${absent[*]}"
apt update || { sleep 5 && apt update; } ||
    echo "The package lists could not be refreshed; trying with those that are there." >&2

names=()
services=()
for requirement in "${absent[@]}"; do
    chosen="${requirement%%|*}"
    for name in ${requirement//|/ }; do
        if apt-cache show "$name" >/dev/null 2>&1; then
            chosen="$name"
            break
        fi
    done
    names+=("$chosen")
    case "$chosen" in
    nginx*) services+=(nginx.service) ;;
    haproxy) services+=(haproxy.service) ;;
    exim4*) services+=(exim4.service) ;;
    postgresql*) services+=(postgresql.service) ;;
    esac
done

if ((${#services[@]} > 0)); then hold_services; fi
# Nothing goes for it, such as another mail server for exim.
apt install --no-install-recommends --no-remove "${names[@]}"
restore_policy
if ((${#services[@]} > 0)) && command -v systemctl >/dev/null; then
    # The tests start servers of their own; these must not come up with the machine.
    as_root systemctl disable --quiet "${services[@]}" ||
        echo "${services[*]} could not be disabled; they may start with the machine." >&2
fi

mapfile -t absent < <(missing)
((${#absent[@]} == 0)) || fail "still missing after apt-get: ${absent[*]}"
