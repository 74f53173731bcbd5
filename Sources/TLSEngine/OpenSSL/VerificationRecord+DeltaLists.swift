// Delta lists (RFC 5280 §5.2.4): what was revoked since a complete list was made. OpenSSL is not given them:
// with `X509_V_FLAG_USE_DELTAS` 3.0.19 takes the newest list for the whole, a delta too, so that what
// only the complete list revokes is good, and a delta by itself is evidence. So complete lists are judged
// with the chain, and a chain that is in order is held against the deltas.

import COpenSSL

extension VerificationRecord {
    /// Whether a delta list revokes a certificate of a chain that is in order, which is noted in the store
    /// as OpenSSL would.
    ///
    /// - Parameters:
    ///   - store: What OpenSSL has verified.
    ///   - deltas: Those that are not in date, or not signed by the certificate's issuer, say nothing.
    /// - Returns: Whether the chain is to be refused.
    func isRevoked(_ store: OpaquePointer, by deltas: [CertificateRevocationList]) -> Bool {
        let chain = unsafe SSLConnection.certificates(X509_STORE_CTX_get0_chain(store))
        for (depth, (certificate, issuer)) in zip(chain, chain.dropFirst()).enumerated() {
            let isNamed = deltas.contains {
                $0.isInDate(at: trust.time) && $0.isSigned(by: issuer) && $0.revokes(certificate)
            }
            guard isNamed else { continue }
            unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REVOKED)
            unsafe X509_STORE_CTX_set_error_depth(store, CInt(depth))
            unsafe X509_STORE_CTX_set_current_cert(store, certificate.handle.pointer)
            return true
        }
        return false
    }
}

extension CertificateRevocationList {
    /// Whether it has the changes since another list alone (RFC 5280 §5.2.4).
    var isDelta: Bool { unsafe X509_CRL_get_ext_by_NID(handle.pointer, NID_delta_crl, -1) >= 0 }

    fileprivate func isInDate(at time: UnixTime) -> Bool {
        guard thisUpdate <= time else { return false }
        guard let nextUpdate else { return true }
        return time <= nextUpdate
    }

    fileprivate func isSigned(by issuer: Certificate) -> Bool {
        let names = unsafe (
            X509_CRL_get_issuer(handle.pointer), X509_get_subject_name(issuer.handle.pointer)
        )
        guard unsafe X509_NAME_cmp(names.0, names.1) == 0,
            let key = unsafe X509_get0_pubkey(issuer.handle.pointer)
        else { return false }
        return unsafe X509_CRL_verify(handle.pointer, key) == 1
    }

    /// Whether it names a certificate; not when it takes it off the list again.
    fileprivate func revokes(_ certificate: Certificate) -> Bool {
        var entry: OpaquePointer?
        return unsafe X509_CRL_get0_by_cert(handle.pointer, &entry, certificate.handle.pointer) == 1
    }
}
