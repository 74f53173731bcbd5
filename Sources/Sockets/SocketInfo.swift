// The seed's facts about a live connection, in its names. The full story is the engine's
// `HandshakeReport`, reached through `report`.

/// What is known about an established connection (seed `SocketInfo`).
///
/// TLS members are reached directly, as in the seed, or as one value through ``tls``.
@dynamicMemberLookup
public struct SocketInfo: Sendable {
    /// The peer's address (seed `remote`).
    public var remote: SocketAddress
    /// This side's address (seed `local`).
    public var local: SocketAddress
    /// The TLS members; nil without TLS.
    public var tls: TLSSocketInfo?
    /// How long the steps to the connection took.
    public var timings: HandshakeTimings

    /// Reaches a TLS member directly (seed `SocketInfo includes TLSSocketInfo`); nil without TLS.
    public subscript<Value>(dynamicMember member: KeyPath<TLSSocketInfo, Value>) -> Value? {
        tls?[keyPath: member]
    }

    /// Reaches an optional TLS member directly; nil without TLS, or where it has no value.
    public subscript<Value>(dynamicMember member: KeyPath<TLSSocketInfo, Value?>) -> Value? {
        tls.flatMap { $0[keyPath: member] }
    }
}

/// What is known about a TLS connection (seed `TLSSocketInfo`).
public struct TLSSocketInfo: Sendable {
    /// Everything the handshake offered, chose and proved.
    public let report: HandshakeReport
    /// What a client could resume by when this was asked for; nil for a listener's connection, and while
    /// there is none: in TLS 1.3 sessions come behind the handshake, see ``Socket/sessions``.
    public let resumption: TLSSession?

    /// The application protocol; nil when none was offered, or the offer went unanswered (seed
    /// `alpn`).
    public var alpn: String? { report.alpn }
    /// The servername: as sent by a client, as received by a listener; nil without one (seed
    /// `servername`).
    public var servername: String? { report.servername }
    /// This side's certificate in DER; nil for an anonymous client (seed `certificate`).
    public var certificate: [UInt8]? { report.localCertificate?.der }
    /// The peer's certificate in DER; nil for an anonymous peer (seed `peerCertificate`).
    public var peerCertificate: [UInt8]? { report.peerChain.first?.der }
    /// `ok`, or why the peer's certificate is not trusted; nil when none was judged (seed
    /// `verificationStatus`).
    public var verificationStatus: String? {
        if let verification = report.verification { return verification.text }
        return report.isPeerTrusted ? "ok" : nil
    }
    /// The cipher suite (seed `cipher`).
    public var cipher: CipherInfo? { report.cipherSuite.map(CipherInfo.init) }
    /// The peer's key of this handshake; nil for a resumed one without key exchange (seed
    /// `ephemeralKey`).
    public var ephemeralKey: EphemeralKeyInfo? { report.ephemeralKey.map(EphemeralKeyInfo.init) }
    /// The signature algorithms both sides accept (seed `signatureAlgorithms`).
    public var signatureAlgorithms: [String] { report.sharedSignatureAlgorithms }
    /// The session to resume by, sealed for ``TLSSocketInit/session``; nil where there is none, see
    /// ``resumption`` (seed `session`).
    public var session: [UInt8]? { resumption?.sealed }
    /// The ticket of the session; nil where there is none, or the server keeps the session itself (seed
    /// `ticket`).
    public var ticket: [UInt8]? { resumption?.ticket }
    /// The negotiated version.
    public var version: ProtocolVersion? { report.version }
    /// What the two sides proved themselves by.
    public var authentication: HandshakeAuthentication? { report.authentication }
    /// Whether a session was resumed.
    public var resumed: Bool { report.isResumed }
}

/// A cipher suite (seed `CipherInfo`).
public struct CipherInfo: Hashable, Sendable {
    /// OpenSSL's name (seed `name`).
    public var name: String
    /// The registered name (seed `standardName`).
    public var standardName: String
    /// The version the suite was defined in, by `SSL_CIPHER_get_version` (seed `version`).
    public var version: String

    init(_ suite: CipherSuite) {
        name = suite.name
        standardName = suite.standardName
        version = suite.version
    }
}

/// A peer's key of one key exchange (seed `EphemeralKeyInfo`).
public struct EphemeralKeyInfo: Hashable, Sendable {
    /// `DH`, `ECDH`, or `KEM` for ML-KEM and what is joined with it (seed `type`).
    public var type: String
    /// The curve, for example `X25519` or `prime256v1`; empty for `DH` (seed `name`).
    public var name: String
    /// The size in bits (seed `size`).
    public var size: Int

    init(_ key: EphemeralKey) {
        type = key.type
        name = key.name
        size = key.size
    }
}

/// What went over a connection so far (seed `SocketStats`).
public struct SocketStats: Hashable, Sendable {
    /// Application bytes handed to the kernel (seed `bytesSent`).
    public var bytesSent: UInt64 = 0
    /// Application bytes delivered to readers (seed `bytesReceived`).
    public var bytesReceived: UInt64 = 0
    /// TCP segments sent, by TCP_INFO; 0 on unix sockets (seed `packetsSent`).
    public var packetsSent: UInt64 = 0
    /// TCP segments received, by TCP_INFO; 0 on unix sockets (seed `packetsReceived`).
    public var packetsReceived: UInt64 = 0

    /// Makes counters of nothing.
    public init() {}
}
