// What the owner of an engine is shown when it decides about a certificate: the server's, the
// client's, or the one this side is to show.

/// A server that is to be recognised, behind the verification of its chain.
public struct ServerIdentity: Sendable {
    /// The name or IP address the connection is for; empty when there is none.
    public let servername: String
    /// What the server sent, leaf first; never empty.
    public let chain: [Certificate]
    /// The chain to the anchor, leaf first; empty when the trust policy accepts without one.
    public let verifiedChain: [Certificate]
    /// Whether it comes from a session that is to be resumed, and not from this handshake.
    public let isResumed: Bool

    /// The server's certificate.
    public var leaf: Certificate { chain[0] }
    /// The server's certificate in DER.
    public var certificate: [UInt8] { leaf.der }

    /// Checks the name as it is done without a decision of one's own: RFC 9525.
    ///
    /// - Throws: ``TLSError`` `.certificateRejected` when the certificate is not for the name.
    public func check() throws(TLSError) {
        guard let name = try? ServerName(servername) else {
            throw TLSError(
                .invalidServername,
                detail: "there is no name to verify the certificate against"
            )
        }
        guard !leaf.matches(name) else { return }
        let isName = name.kind == .dns
        let failure = VerificationFailure(
            code: isName ? .hostnameMismatch : .ipAddressMismatch,
            depth: 0,
            text: isName ? "hostname mismatch" : "IP address mismatch",
            certificate: leaf,
            expectedName: name.text
        )
        throw TLSError(
            .certificateRejected,
            phase: .certificate,
            verification: failure,
            hint: failure.hint
        )
    }
}

/// A client that asks to come in, behind the verification of its chain.
public struct ClientIdentity: Sendable {
    /// The servername it asked for; nil without one.
    public let servername: String?
    /// What it sent, leaf first, or for a resumed session its leaf at least; never empty.
    public let chain: [Certificate]
    /// The chain to the anchor, leaf first; empty for a resumed session, and when the trust policy
    /// accepts without one.
    public let verifiedChain: [Certificate]
    /// Whether it resumes a session, and showed the certificate then.
    ///
    /// In TLS 1.2 it is asked for before the client has proved that it has the session's key: who only
    /// copied a ticket gets no further than this question.
    public let isResumed: Bool

    /// The client's certificate.
    public var leaf: Certificate { chain[0] }
    /// The client's certificate in DER.
    public var certificate: [UInt8] { leaf.der }
}

/// A server's request for a certificate (RFC 8446 §4.3.2, RFC 5246 §7.4.4).
public struct CertificateRequest: Sendable {
    /// The name of an authority, as certificates carry it.
    public struct Authority: Hashable, Sendable, CustomStringConvertible {
        /// The name in DER.
        public let der: [UInt8]
        /// The name as RFC 2253 writes it.
        public let description: String
    }

    /// Whose certificates are welcome; empty for any.
    public let authorities: [Authority]
    /// The signature algorithms the server verifies, most preferred first.
    public let signatureAlgorithms: [SignatureScheme]
    /// The servername that was sent; nil without one.
    public let servername: String?

    /// Whether one of the welcome authorities stands in an identity's chain; true when the server names
    /// none.
    public func welcomes(_ identity: TLSIdentity) -> Bool {
        guard !authorities.isEmpty else { return true }
        let names = Set(authorities.map(\.der))
        return identity.certificateChain.contains { names.contains($0.issuerDER) }
    }
}
