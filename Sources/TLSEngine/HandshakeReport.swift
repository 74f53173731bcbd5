// One value that tells what happened in a handshake, on success and on failure.

/// What was offered, chosen and proved in a handshake, on success and on failure.
public struct HandshakeReport: Sendable {
    /// Which side made the report.
    public var role: TLSRole
    /// How far the connection had come.
    public var phase: HandshakePhase
    /// Whether the handshake was completed.
    public var isComplete: Bool
    /// The error that ended it.
    public var error: TLSError?

    /// The servername: sent by a client, received by a server; nil when there was none.
    public var servername: String?
    /// The application protocols this side offered (client) or prefers (server).
    public var alpnOffered: [String]
    /// The versions this side allowed.
    public var versionsOffered: ClosedRange<ProtocolVersion>

    /// The negotiated version.
    public var version: ProtocolVersion?
    /// The negotiated suite.
    public var cipherSuite: CipherSuite?
    /// The group of the key exchange.
    public var group: NamedGroup?
    /// The ephemeral key the peer sent; nil without an exchange of keys, on a client for ML-KEM, whose
    /// server sends a ciphertext and no key, and on a server for finite fields in TLS 1.2, which OpenSSL
    /// does not keep.
    public var ephemeralKey: EphemeralKey?
    /// The algorithm by which the peer proved its certificate, for example `ecdsa_secp256r1_sha256`.
    public var peerSignatureAlgorithm: String?
    /// The signature algorithms that the peer accepts of this side, among those this side has, most
    /// preferred first.
    ///
    /// A server learns them from the ClientHello, a client from a CertificateRequest; a client that
    /// is not asked for a certificate learns none (`SSL_get_shared_sigalgs`).
    public var sharedSignatureAlgorithms: [String]
    /// The negotiated application protocol; nil when none was offered or the offer went unanswered.
    public var alpn: String?
    /// Whether a session was resumed instead of a full handshake.
    public var isResumed: Bool
    /// Whether the server asked for another ClientHello, because it shares no key of the first
    /// (RFC 8446 §4.1.4); costs a round trip.
    public var isHelloRetried: Bool
    /// Whether the server asked the client for a certificate.
    public var clientCertificateRequested: Bool
    /// Whether the server said that it used this client's servername (RFC 6066 §3).
    public var isServernameAcknowledged: Bool

    /// The leaf this side presented; nil when it had none to present, was not asked, or resumed.
    public var localCertificate: Certificate?
    /// The certificates the peer sent, leaf first, in this handshake or the one whose session was
    /// resumed; the leaf alone where the session came in OpenSSL's own form.
    public var peerChain: [Certificate]
    /// The chain that was built to an anchor and is trusted, leaf first, in this handshake or the one
    /// whose session was resumed; else empty.
    public var verifiedChain: [Certificate]
    /// Why the peer's certificate is not trusted; nil when it is, or when there was none to judge.
    public var verification: VerificationFailure?
    /// Whether the peer's certificate was verified and trusted, in this handshake or in the one whose
    /// session was resumed.
    public var isPeerTrusted: Bool
    /// What the trust policy gave up, in its own words; empty for a policy that gives up nothing.
    public var concessions: [String]
    /// The stapled OCSP response in DER as it came; nil without one.
    public var ocspResponse: [UInt8]?
    /// The same, once it was verified; nil without one, and for one that does not count.
    public var ocspStaple: OCSPStaple?
    /// What cleared the peer's leaf of revocation; nil when nothing spoke of it, and for a resumed
    /// session.
    public var revocationEvidence: RevocationEvidence?

    /// The signed certificate timestamps that a server showed; nobody has verified them.
    ///
    /// Those of its certificate and staple, and of the handshake where the policy asks for them. None of a
    /// resumed session.
    public var certificateTimestamps: CertificateTimestamps

    /// What the trust policy's pins said of the peer's chain; nil without pins, and where the chain had
    /// failed before they were asked.
    public var pins: PinVerdict?
    /// What the trust policy's TLSA records said of the server's chain; nil without any that can be used,
    /// and for a resumed session.
    public var tlsa: TLSAVerdict?
    /// Why the session that this client was given was not offered; nil when it was, or none was given.
    public var withheldSession: SessionObstacle?

    /// The last alert this side sent.
    public var alertSent: Alert?
    /// The last alert the peer sent.
    public var alertReceived: Alert?
    /// Ciphertext bytes received.
    public var bytesReceived: UInt64
    /// Ciphertext bytes sent.
    public var bytesSent: UInt64
    /// Flights of handshake messages received and sent; data behind the handshake does not count.
    public var flights: Int
    /// Session tickets the peer sent, the first four; in TLS 1.3 they come after the handshake.
    public var tickets: [TicketFacts]
    /// What the two sides proved themselves by; nil until the handshake is complete.
    public var authentication: HandshakeAuthentication?
    /// How often each side took a new key behind the handshake.
    public var keyUpdates = KeyUpdateFacts()
    /// What became of early data; nil when none was sent.
    public var earlyData: EarlyTransfer?
    /// The OpenSSL provider whose cipher the negotiated suite uses, for example `default` or `fips`;
    /// nil until there is a suite.
    public var provider: String?
    /// What would cure the failure, where that is known.
    public var hint: String? { error?.hint }
}

/// A cipher suite as the registries and OpenSSL name it.
public struct CipherSuite: Hashable, Sendable {
    /// The two bytes on the wire, for example `0x1301`.
    public var id: UInt16
    /// OpenSSL's name, for example `ECDHE-ECDSA-AES128-GCM-SHA256`.
    public var name: String
    /// The registered name, for example `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`.
    public var standardName: String
    /// The version the suite was defined in, by `SSL_CIPHER_get_version`, for example `TLSv1.2`.
    public var version: String
    /// The strength of the cipher in bits.
    public var bits: Int

    /// Makes a suite.
    public init(id: UInt16, name: String, standardName: String, version: String, bits: Int) {
        self.id = id
        self.name = name
        self.standardName = standardName
        self.version = version
        self.bits = bits
    }
}

/// The key a peer made for one key exchange.
public struct EphemeralKey: Hashable, Sendable {
    /// The kind of key: `DH`, `ECDH`, or `KEM` for ML-KEM and what is joined with it.
    public var type: String
    /// The curve's name for `ECDH`, for example `prime256v1` or `X25519`, or the KEM's; else empty.
    public var name: String
    /// The size in bits.
    public var size: Int

    /// Makes a key's description.
    public init(type: String, name: String, size: Int) {
        self.type = type
        self.name = name
        self.size = size
    }
}

/// What a session ticket says about itself (RFC 8446 §4.6.1, RFC 5077 §3.3).
public struct TicketFacts: Hashable, Sendable {
    /// Bytes of the ticket.
    public var size: Int
    /// Seconds for which the server will take it.
    public var lifetime: Int
    /// Bytes of early data the server would take with it; 0 when none.
    public var earlyData: Int

    /// Makes a ticket's description.
    public init(size: Int, lifetime: Int, earlyData: Int) {
        self.size = size
        self.lifetime = lifetime
        self.earlyData = earlyData
    }
}
