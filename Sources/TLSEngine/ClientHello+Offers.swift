// Shorter ways to what most askers want to know of a ClientHello's extensions.

extension ClientHello {
    /// The public keys for the key exchange, in order; none without the extension.
    public var keyShares: [Extension.KeyShare] {
        guard case .keyShares(let shares) = first(.keyShare)?.value else { return [] }
        return shares
    }

    /// The preshared keys and tickets of TLS 1.3, in order and without names; none without the
    /// extension.
    public var presharedKeys: [Extension.PresharedKeyOffer] {
        guard case .presharedKeys(let offers) = first(.presharedKey)?.value else { return [] }
        return offers
    }

    /// How preshared keys may be used: 0 is without (EC)DHE, 1 with it (RFC 8446 §4.2.9).
    public var keyExchangeModes: [UInt8] {
        guard case .keyExchangeModes(let modes) = first(.pskKeyExchangeModes)?.value else {
            return []
        }
        return modes
    }

    /// The signature algorithms in certificates, where they differ from ``signatureAlgorithms``
    /// (RFC 8446 §4.2.3).
    public var certificateSignatureAlgorithms: [SignatureScheme]? {
        guard case .signatureAlgorithms(let list) = first(.signatureAlgorithmsCert)?.value else {
            return nil
        }
        return list
    }

    /// The encrypted ClientHello, or what looks like one.
    public var encryptedClientHello: Extension.EncryptedClientHello? {
        guard case .encryptedClientHello(let value) = first(.encryptedClientHello)?.value else {
            return nil
        }
        return value
    }

    /// Whether a stapled OCSP response is wished for (RFC 6066 §8).
    public var requestsOCSPStaple: Bool {
        guard case .statusRequests = first(.statusRequest)?.value else { return false }
        return true
    }

    /// Whether GREASE stands anywhere: browsers of one family put it in (RFC 8701 §3.1).
    public var hasGREASE: Bool {
        (cipherSuites + versions + groups.map(\.rawValue) + signatureAlgorithms.map(\.rawValue)
            + extensions.map(\.number) + keyShares.map(\.group.rawValue))
            .contains { GREASE.contains($0) }
            || keyExchangeModes.contains { GREASE.contains(mode: $0) }
    }
}
