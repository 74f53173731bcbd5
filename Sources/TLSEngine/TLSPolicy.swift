// What one side is willing to speak: versions, suites, groups, signature algorithms, ALPN, and for
// servers client authentication and tickets. A policy is a plain value; `TLSContext` checks it once.

/// Which side of the handshake an engine plays (RFC 8446 §2).
public enum TLSRole: String, Hashable, Sendable {
    /// Sends the ClientHello.
    case client
    /// Answers it.
    case server
}

/// Whether a server asks its clients for a certificate (RFC 8446 §4.3.2).
public enum ClientAuthentication: String, CaseIterable, Hashable, Sendable {
    /// Not asked.
    case none
    /// Asked; a client without one is let in, one with an untrusted certificate is not.
    case request
    /// Asked; a client without a trusted certificate is refused.
    case require
}

/// What one side is willing to speak.
///
/// The defaults are safe: TLS 1.2 and 1.3, OpenSSL's groups and signature algorithms, no
/// renegotiation, no compression, and the system's security level.
public struct TLSPolicy: Hashable, Sendable {
    /// The oldest version accepted; TLS 1.2 by default.
    public var minimumVersion: ProtocolVersion = .tls12
    /// The newest version offered; TLS 1.3 by default.
    public var maximumVersion: ProtocolVersion = .tls13
    /// Cipher suites in order of preference, by IANA or OpenSSL name; nil is OpenSSL's choice.
    ///
    /// Suites of TLS 1.3 and 1.2 stand in one list. A list without any suite of a version takes
    /// that version off the table.
    public var cipherAlgorithms: [String]?
    /// Groups for key exchange in order of preference, by name; nil is OpenSSL's choice.
    public var groups: [String]?
    /// Signature algorithms in order of preference, by IANA or OpenSSL name; nil is OpenSSL's choice.
    public var signatureAlgorithms: [String]?
    /// Application protocols in order of preference, for example `["h2", "http/1.1"]` (RFC 7301).
    public var alpn: [String] = []
    /// Whether a handshake without an agreed application protocol fails; false by default.
    ///
    /// A server whose list has no overlap with the client's refuses in any case (alert 120).
    public var alpnRequired = false
    /// Whether a server asks for a client certificate; `.none` by default.
    public var clientAuthentication: ClientAuthentication = .none
    /// A name for the listener, virtual host or use; sessions are resumed only under the same one.
    public var sessionIDContext = ""
    /// How long after a full handshake a session may be resumed, 1 s to 7 days in whole seconds; nil is
    /// two hours for a server, and what the server says for a client.
    public var sessionTimeout: Duration?
    /// Session tickets a server sends after a full handshake, 0...16; one by default.
    public var ticketCount = 1
    /// Whether a client asks for a stapled OCSP response (RFC 6066 §8); false by default.
    ///
    /// A client that reads RFC 5280 strictly asks in any case: a certificate that demands a staple is
    /// refused without one, which only who asked can tell (RFC 7633). So does one that requires
    /// evidence, ``TrustPolicy/revocation``, by which the response is judged.
    public var requestsOCSPStaple = false
    /// Whether a client asks for signed certificate timestamps in the handshake (RFC 6962 §3.3.1); false
    /// by default.
    ///
    /// Nearly all servers have them in their certificates, where they are found without asking.
    public var requestsCertificateTimestamps = false
    /// Bits of the smallest finite field for key exchange, 0...10,000; 1,024 by default.
    ///
    /// The system's security level has a floor of its own, and the higher of both counts: 2,048 bits at
    /// level 2. A client refuses a server's smaller one, a server uses none; in TLS 1.3 the smaller
    /// groups of RFC 7919 are not offered.
    public var minDHSize = 1024
    /// What the peer may cost.
    public var limits = TLSLimits()
    /// Which decisions of the handshake the engine's owner makes; none by default.
    public var decisions: TLSDecisions = []
    /// Whether a client whose owner gives a preshared key insists on it; once one was given, by
    /// default.
    public var presharedKeyDemand = PresharedKeyDemand.onceGiven
    /// What a server of TLS 1.2 tells its clients to choose a preshared key by, up to 256 bytes; nil
    /// tells nothing (RFC 4279 §2).
    public var presharedKeyHint: String?

    /// Makes the default policy.
    public init() {}

    /// Makes a policy and lets a closure change the defaults.
    public init(_ configure: (inout TLSPolicy) throws -> Void) rethrows {
        try configure(&self)
    }
}

extension TLSPolicy {
    /// The longest lifetime of a ticket, in seconds (RFC 8446 §4.6.1).
    static let sessionTimeoutMax: Int64 = 604_800
}

/// What a peer may cost the engine.
///
/// A limit that is passed ends the connection with a typed error. Limits are not negative.
public struct TLSLimits: Hashable, Sendable {
    /// Bytes of one ClientHello with its record headers; 64 KiB by default.
    ///
    /// The hello behind a HelloRetryRequest counts anew. OpenSSL takes no hello over 128 KiB.
    public var clientHelloBytes = 65536
    /// Bytes of the peer's certificate message; 100 KiB by default (`SSL_CTX_set_max_cert_list`).
    public var certificateChainBytes = 102_400
    /// Certificates between leaf and anchor; 10 by default (`SSL_CTX_set_verify_depth`).
    public var certificateChainDepth = 10
    /// Bytes of an ALPN list in wire form; 1,024 by default.
    public var alpnListBytes = 1024
    /// Post-handshake messages that may come in a minute, all at once if need be; 64 by default.
    ///
    /// KeyUpdates, tickets and renegotiation requests count. OpenSSL ends a connection by itself at
    /// the 33rd empty record in a row. The minute is told by ``TLSEngine/noteTime(_:)``.
    public var postHandshakeMessages = 64
    /// Bytes of application data that pay for one more of these messages; 16 KiB by default.
    public var dataPerPostHandshakeMessage = 16384
    /// Names of preshared keys in one ClientHello of TLS 1.3 that a server asks its owner about; 4 by
    /// default.
    ///
    /// Further ones are taken for unknown.
    public var presharedKeyIdentities = 4
    /// Bytes of such a name; 256 by default.
    ///
    /// Longer ones are taken for unknown. TLS 1.2 knows none over 256.
    public var presharedKeyIdentityBytes = 256
    /// Bytes of a stapled OCSP response; 16 KiB by default.
    ///
    /// OpenSSL takes no more in TLS 1.2.
    public var ocspResponseBytes = 16384

    /// Makes the default limits.
    public init() {}
}
