// Keys and certificates that come together in no order: the leaf is the one that belongs to the key,
// and the chain is what leads up from it.

import COpenSSL

/// Everything that one place held.
struct KeyChain {
    /// The private keys, in the order they came.
    var keys: [PrivateKeyHandle] = []
    /// The certificates, in the order they came.
    var certificates: [Certificate] = []

    /// The first key that has a certificate here, and its chain, leaf first.
    ///
    /// - Parameter place: Where they come from, for errors.
    /// - Returns: Both.
    /// - Throws: ``TLSError`` `.invalidKeyStore` without a key or a certificate, `.keyMismatch` when
    ///   none belongs to the other.
    func identity(of place: String) throws(TLSError) -> TLSIdentity {
        guard !keys.isEmpty else {
            throw TLSError(
                .invalidKeyStore,
                detail: "\(place) holds no private key",
                hint: certificates.isEmpty ? nil : "It holds certificates: read them as such"
            )
        }
        guard !certificates.isEmpty else {
            throw TLSError(
                .invalidKeyStore,
                detail: "\(place) holds no certificate",
                hint: "Give the certificates beside the key"
            )
        }
        ErrorQueue.clear()
        defer { ErrorQueue.clear() }
        for key in keys {
            let leaf = certificates.first {
                unsafe X509_check_private_key($0.handle.pointer, key.pointer) == 1
            }
            guard let leaf else { continue }
            return TLSIdentity(chain: chain(from: leaf), key: key)
        }
        throw TLSError(.keyMismatch, detail: place)
    }

    /// What leads up from a leaf: each certificate once, each the issuer of the one before it.
    ///
    /// What leads nowhere is left out. Of two certificates of one issuer that one counts whose key made
    /// the signature.
    private func chain(from leaf: Certificate) -> [Certificate] {
        var chain = [leaf]
        while let last = chain.last, !last.isIssued(by: last) {
            let issuers = certificates.filter { last.isIssued(by: $0) && !chain.contains($0) }
            guard let issuer = issuers.first(where: last.isSigned(by:)) ?? issuers.first else {
                break
            }
            chain.append(issuer)
        }
        return chain
    }
}

extension Certificate {
    /// Whether names, key identifiers and key usage make another certificate the issuer of this one.
    fileprivate func isIssued(by issuer: Certificate) -> Bool {
        unsafe X509_check_issued(issuer.handle.pointer, handle.pointer) == X509_V_OK
    }

    fileprivate func isSigned(by issuer: Certificate) -> Bool {
        guard let key = unsafe X509_get0_pubkey(issuer.handle.pointer) else { return false }
        return unsafe X509_verify(handle.pointer, key) == 1
    }
}

extension [OpenSSLReason] {
    /// Whether an algorithm was not found in any provider.
    var lackAlgorithm: Bool {
        contains { $0.library == ERR_LIB_EVP && $0.reason == cssl_error_unsupported() }
    }
}
