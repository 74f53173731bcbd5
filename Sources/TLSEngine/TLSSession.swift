// A session that a client can resume: what OpenSSL needs for it, and what its own form of it (DER) loses:
// the chain and the verdict on it, when that was, the policy it was made under, and the peer.
//
// Theory of operation
//
//     engine.session ──▶ TLSSession ──sealed(with:)──▶ bytes ──TLSSession(_:key:)──▶ TLSEngine(resuming:)
//
// - An export is sealed (AES-256-GCM), so that its keeper can neither read nor change it.
// - Before a session is offered everything is looked at that would be looked at in a full handshake: the
//   peer and name, the policy, the dates, pins. Where anything differs it is not offered, and the full
//   handshake gives the verdict. So a resumed connection never vouches for what was not checked.
// - A session of TLS 1.3 is offered once in a process: who offers it twice can be followed by whoever
//   listens (RFC 8446 §C.4).
// - What cannot be read is an error. What was sealed under another key is not: keys change, and a full
//   handshake is all that costs.

/// How the peer of a session was authenticated.
public enum SessionAuthentication: UInt8, CaseIterable, Hashable, Sendable {
    /// By its certificate.
    case certificate = 1
    /// By a preshared key.
    case presharedKey = 2
}

/// Whom a session was made with.
public struct SessionPeer: Hashable, Sendable {
    /// The name or address that was connected to.
    public var address: String
    /// The port; 0 where there is none.
    public var port: UInt16

    /// Makes a peer.
    public init(_ address: String, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Whether both are the same; names are so in any case of their letters (RFC 4343).
    func isSame(as other: SessionPeer) -> Bool {
        port == other.port && address.lowercased() == other.address.lowercased()
    }
}

/// Why a session that was given is not offered to the server.
@nonexhaustive
public enum SessionObstacle: String, CaseIterable, Hashable, Sendable {
    /// It was sealed under another key, or by a later version of this package.
    case foreignKey
    /// It was made with another host or port, or under another servername.
    case otherPeer
    /// Its certificate is not for the name that is expected now.
    case otherName
    /// It was made under another ``TLSPolicy/sessionIDContext``.
    case otherContext
    /// It was made under another policy: versions, suites, groups, signature algorithms, trust, or
    /// another identity of this side.
    case otherPolicy
    /// Its peer was authenticated in another way than is wanted now.
    case otherAuthentication
    /// Its time is over: the server's, this side's, or that of a certificate or staple behind it.
    case expired
    /// Its peer was not trusted, or no pin matches.
    case untrusted
    /// It is of TLS 1.3 and was offered before.
    case used
    /// The application was asked about its server, and refused it.
    case refusedByApplication
}

/// A session that a client can resume.
///
/// It is a secret: it lives in memory that is wiped, and prints as `<redacted>`.
public struct TLSSession: Sendable {
    let storage: SessionStorage

    /// The key of the exports that ``sealed`` makes.
    package var key: SessionKey?

    /// Reads an export of this package, or a session in OpenSSL's own form.
    ///
    /// OpenSSL's form (`SSL_SESSION` in DER, as Node's `getSession` and `openssl s_client -sess_out`
    /// give it) says neither whom it was made with nor under which policy, and holds the peer's leaf
    /// without its chain: give it only to the peer it came from. What can be checked is: that its
    /// maker had trusted the peer, the name, the dates, pins of the leaf.
    ///
    /// - Parameters:
    ///   - bytes: The export, at most 256 KiB.
    ///   - ticket: The ticket it must have; nil does not say.
    ///   - key: The key it was sealed with; nil is the process's. An export of another key is no error: it
    ///     will not be offered (``SessionObstacle/foreignKey``).
    /// - Throws: ``TLSError`` `.invalidSession` for what is neither, was cut or changed, or has another
    ///   ticket.
    public init(
        _ bytes: [UInt8],
        ticket: [UInt8]? = nil,
        key: SessionKey? = nil
    ) throws(TLSError) {
        storage = try SessionStorage(reading: bytes, key: key ?? .process)
        self.key = key
        guard let ticket, storage.handle != nil, ticket != self.ticket else { return }
        throw TLSError(.invalidSession, detail: "the ticket is not the session's")
    }

    init(_ storage: SessionStorage) {
        self.storage = storage
    }

    /// The export, sealed with the key it was read with or the socket's; each time with another nonce.
    ///
    /// - Complexity: Encodes and encrypts some kilobytes.
    public var sealed: [UInt8] { sealed(with: key ?? .process) }

    /// Seals the session, to be kept outside this process.
    ///
    /// - Parameter key: Who has it can read the export.
    /// - Returns: Some kilobytes; the form has a version. A session that could not be opened comes back
    ///   as it was.
    public func sealed(with key: SessionKey) -> [UInt8] { storage.sealed(with: key) }

    /// The ticket that the server gave; nil when it keeps the session itself (TLS 1.2), or when the
    /// session cannot be opened.
    public var ticket: [UInt8]? { storage.handle?.ticket }

    /// The version it was made in; nil when it cannot be opened.
    public var version: ProtocolVersion? { storage.handle?.version }

    /// How the peer was authenticated; nil when it cannot be opened.
    public var authentication: SessionAuthentication? { storage.authentication }

    /// When it will be of no use any more, by the server's word and this side's; nil when it cannot be
    /// opened.
    public var expires: UnixTime? { storage.facts?.expires ?? storage.handle?.expires }

    /// Whether it is offered only once: in TLS 1.3 (RFC 8446 §C.4).
    public var isSingleUse: Bool { version == .tls13 }
}

extension TLSSession: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Nothing of the session.
    public var description: String { "TLS session <redacted>" }
    /// Nothing of the session.
    public var debugDescription: String { description }
    /// Nothing of the session.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
