#!/usr/bin/env bash
# Makes what Certs/ holds anew: certificates for documents and examples, with the openssl command.
#
#   Scripts/make-certs.sh [DAYS]    DAYS they are valid; 3650 unless given
#
# The root may issue only for .test, localhost and the loopback addresses. Its key and the
# intermediate's are thrown away: nothing else can ever be issued under it. Tests never read Certs/.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
-h | --help) usage && exit 0 ;;
esac
days="${1:-3650}"
out="$root/Certs"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
umask 077

key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$1.key" 2>/dev/null
}

# sign NAME SUBJECT DAYS EXTENSIONS [ISSUER]: a certificate; signed by itself without an issuer.
sign() {
    printf '%s\n' "$4" >"$work/$1.ext"
    openssl req -new -key "$work/$1.key" -subj "$2" -out "$work/$1.csr"
    local by=(-signkey "$work/$1.key")
    [[ -z ${5:-} ]] || by=(-CA "$work/$5.crt" -CAkey "$work/$5.key")
    openssl x509 -req -in "$work/$1.csr" "${by[@]}" -set_serial "0x$(openssl rand -hex 16 |
        sed 's/^./1/')" -days "$3" -sha256 -extfile "$work/$1.ext" -out "$work/$1.crt" 2>/dev/null
}

# Text in front of the first block is explanatory (RFC 7468 §5.2).
publish_key() {
    { echo "TEST ONLY: everybody has this key"; cat "$work/$1.key"; } >"$out/$2"
    chmod 644 "$out/$2"
}

identifiers='subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid'
names='subjectAltName=DNS:localhost,DNS:example.test,DNS:*.example.test,IP:127.0.0.1,IP:::1'
authority="basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash"
loopback='nameConstraints=critical,permitted;DNS:test,permitted;DNS:localhost,permitted;IP:127.0.0.0/255.0.0.0,permitted;IP:::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'
server="basicConstraints=critical,CA:false
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
$identifiers"

for name in root intermediate leaf client broken; do key "$name"; done
sign root "/CN=swift-sockets TEST ONLY root" "$days" "$authority
$loopback"
sign intermediate "/CN=swift-sockets TEST ONLY intermediate" "$days" \
    "${authority/CA:true/CA:true,pathlen:0}
authorityKeyIdentifier=keyid" root
sign leaf "/CN=localhost" "$days" "$server
$names" intermediate
sign client "/CN=alice" "$days" "${server/serverAuth/clientAuth}" intermediate
# For a name that nobody asks for, and without its intermediate in the file.
sign broken "/CN=wrong.test" "$days" "$server
subjectAltName=DNS:wrong.test" intermediate

mkdir -p "$out"
rm -f "$out"/*.pem
openssl x509 -in "$work/root.crt" >"$out/root.pem"
openssl x509 -in "$work/intermediate.crt" >"$out/intermediate.pem"
for name in leaf client; do
    { openssl x509 -in "$work/$name.crt"; cat "$out/intermediate.pem"; } >"$out/$name-chain.pem"
    publish_key "$name" "$name-key.pem"
done
openssl x509 -in "$work/broken.crt" >"$out/broken-chain.pem"
publish_key broken broken-key.pem
chmod 644 "$out"/*.pem
openssl verify -x509_strict -CAfile "$out/root.pem" -untrusted "$out/intermediate.pem" \
    "$out/leaf-chain.pem" "$out/client-chain.pem" "$out/broken-chain.pem"
