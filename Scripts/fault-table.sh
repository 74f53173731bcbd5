#!/usr/bin/env bash
# Writes docs/CERTIFICATE-FAULTS.md and docs/REVOCATION-FAULTS.md: what this package's client,
# OpenSSL, curl and GnuTLS make of every certificate fault and every state of revocation of the test
# kit.
#
#   Scripts/fault-table.sh
#
# Needs openssl, curl and gnutls-cli (Scripts/install.sh --peers). Fails when a difference has no
# reason in Tests/FaultCatalogueTests/DifferenceNotes.swift.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
"") ;;
-h | --help) usage && exit 0 ;;
*) fail "unknown argument '$1' (--help lists them)" ;;
esac

need_swift
for program in openssl curl gnutls-cli; do
    command -v "$program" >/dev/null || fail "$program is not installed"
done
FAULT_TABLE=write swift test --filter 'FaultTableTests|RevocationTableTests'
