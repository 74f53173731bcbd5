#!/usr/bin/env bash
# Fails when something in Certs/ expires within 60 days, does not verify, or has a key that is not its
# own. Needs the openssl command alone.
#
#   Scripts/check-certs.sh [DAYS]    DAYS that must be left; 60 unless given

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
-h | --help) usage && exit 0 ;;
esac
days="${1:-60}"
again="make them anew with Scripts/make-certs.sh"

for file in Certs/{root,intermediate,leaf-chain,client-chain,broken-chain}.pem; do
    [[ -e $file ]] || fail "$file is missing; $again"
    openssl x509 -in "$file" -noout -checkend $((days * 86400)) >/dev/null ||
        fail "$file expires within $days days; $again"
done
for name in leaf client broken; do
    head -n 1 "Certs/$name-key.pem" | grep -q '^TEST ONLY' ||
        fail "Certs/$name-key.pem does not say TEST ONLY"
    [[ $(openssl pkey -in "Certs/$name-key.pem" -pubout) == \
    $(openssl x509 -in "Certs/$name-chain.pem" -noout -pubkey) ]] ||
        fail "Certs/$name-key.pem is not the key of Certs/$name-chain.pem"
done
openssl verify -x509_strict -CAfile Certs/root.pem -untrusted Certs/intermediate.pem \
    Certs/{leaf,client,broken}-chain.pem >/dev/null || fail "Certs/ does not verify; $again"
openssl x509 -in Certs/root.pem -noout -ext nameConstraints | grep -q 'DNS:test' ||
    fail "Certs/root.pem may issue for any name"
