// Pins: certificates and keys that are known beforehand, and what a match, or none, means.

/// One certificate or key that is known beforehand.
public enum CertificatePin: Hashable, Sendable {
    /// A certificate, by the digest of its DER.
    case certificate(CertificateFingerprint)
    /// A public key, by the digest of its SubjectPublicKeyInfo (RFC 7469 §2.4): outlives renewals.
    case publicKey(CertificateFingerprint)

    /// Whether a certificate is the one, or carries the key.
    func matches(_ certificate: Certificate) -> Bool {
        switch self {
        case .certificate(let known): certificate.fingerprint(known.algorithm) == known
        case .publicKey(let known): certificate.keyFingerprint(known.algorithm) == known
        }
    }
}

extension CertificatePin: CustomStringConvertible {
    /// What is pinned, and its fingerprint.
    public var description: String {
        switch self {
        case .certificate(let known): "certificate \(known)"
        case .publicKey(let known): "public key \(known)"
        }
    }
}

/// The pins of a trust policy, one of which has to match.
///
/// Give a second one of a key kept elsewhere: when the first is lost, it is the only way back.
public struct CertificatePins: Hashable, Sendable {
    /// What the pins stand for.
    public enum Mode: String, CaseIterable, Hashable, Sendable {
        /// The leaf's match stands for chain, purpose and name; without one the peer is refused.
        ///
        /// Dates and the strength of the key are still checked. Anchors play no part. A certificate
        /// that signs itself, or is a CA's, may be pinned.
        case replace
        /// A certificate of the verified chain has to match, in addition to everything else.
        ///
        /// The leaf, an intermediate or the anchor: who pins an intermediate trusts what it issues. A
        /// leaf that is a CA's is let in when it is itself pinned.
        case add
        /// Nothing is refused for want of a match; the report tells.
        case reportOnly
    }

    /// What may match; at least one.
    public var pins: [CertificatePin]
    /// What they stand for.
    public var mode: Mode

    /// Makes a set of pins.
    public init(_ pins: [CertificatePin], mode: Mode) {
        self.pins = pins
        self.mode = mode
    }

    /// Looks for a certificate that matches.
    ///
    /// - Parameter chain: Leaf first.
    /// - Returns: The first that matches, counted from the leaf.
    func verdict(on chain: [Certificate]) -> PinVerdict {
        for (depth, certificate) in chain.enumerated() {
            if let match = pins.first(where: { $0.matches(certificate) }) {
                return PinVerdict(mode: mode, match: match, depth: depth)
            }
        }
        return PinVerdict(mode: mode, match: nil, depth: nil)
    }
}

extension TrustPolicy {
    /// Whether a match of the leaf stands for chain and name.
    var isPinned: Bool { pins?.mode == .replace && activeTLSARecords.isEmpty }
}

/// What the pins of a trust policy said of a chain.
public struct PinVerdict: Hashable, Sendable {
    /// What the pins stood for.
    public var mode: CertificatePins.Mode
    /// The pin that matched; nil when none did.
    public var match: CertificatePin?
    /// The certificate that matched: 0 is the leaf, counted towards the anchor.
    public var depth: Int?

    /// Makes a verdict.
    public init(mode: CertificatePins.Mode, match: CertificatePin?, depth: Int?) {
        self.mode = mode
        self.match = match
        self.depth = depth
    }
}
