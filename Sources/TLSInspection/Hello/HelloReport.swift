// What a client said in its ClientHello, with a name for every number, in the client's order, and what
// came of it. The JSON of `tlsinspect serve`, and what its page is made of.

public import Sockets

/// A ClientHello and what was negotiated.
public struct HelloReport: Codable, Hashable, Sendable {
    /// The shape of this report.
    public var schema = InspectionReport.schema
    /// What it is about.
    public var command = "hello"
    /// The servername; nil when none was sent.
    @EncodesNull public var sni: String?
    /// What was agreed on; nil without a handshake.
    @EncodesNull public var negotiated: Negotiated?
    /// The fingerprint of old; nil where MD5 is forbidden.
    @EncodesNull public var ja3: String?
    /// What ``ja3`` is made of.
    public var ja3Text: String
    /// The fingerprint that does not depend on the order.
    public var ja4: String
    /// What ``ja4`` is made of.
    public var ja4Raw: String
    /// Whether values that nobody knows stand in it (RFC 8701).
    public var grease: Bool
    /// Its size without the record's header.
    public var bytes: Int
    /// The size of the session id, which TLS 1.3 does not use.
    public var sessionIDBytes: Int
    /// The version of before there was an extension for it.
    public var legacyVersion: Entry
    /// The versions.
    public var versions: [Entry]
    /// The suites.
    public var suites: [Entry]
    /// The groups.
    public var groups: [Entry]
    /// The groups for which a key was sent, with its bytes.
    public var keyShares: [Entry]
    /// The signature schemes.
    public var signatures: [Entry]
    /// The application protocols.
    public var alpn: [String]
    /// The extensions.
    public var extensions: [Entry]

    enum CodingKeys: String, CodingKey {
        case schema, command, sni, negotiated, ja3
        case ja3Text = "ja3_text"
        case ja4
        case ja4Raw = "ja4_raw"
        case grease, bytes
        case sessionIDBytes = "session_id_bytes"
        case legacyVersion = "legacy_version"
        case versions, suites, groups
        case keyShares = "key_shares"
        case signatures, alpn, extensions
    }

    /// A number and its name.
    public struct Entry: Codable, Hashable, Sendable {
        /// The registered name; what has none is `unknown` or GREASE.
        public var name: String
        /// The number on the wire, four hexadecimal digits.
        public var id: String
        /// Whether it is one of those that nobody knows.
        public var grease: Bool
        /// The bytes of what it stands for; nil where there is nothing.
        @EncodesNull public var bytes: Int?
    }

    /// What was agreed on.
    public struct Negotiated: Codable, Hashable, Sendable {
        /// The version, for example `TLS1.3`.
        public var version: String
        /// The cipher suite.
        public var suite: String
        /// The group of the key exchange.
        @EncodesNull public var group: String?
        /// The application protocol.
        @EncodesNull public var alpn: String?
        /// Whether a session was resumed.
        public var resumed: Bool
        /// Whether the client had to send a second hello, for another group.
        public var retried: Bool
    }

    /// Tells of a ClientHello.
    ///
    /// - Parameters:
    ///   - hello: What was said.
    ///   - handshake: What came of it.
    public init(_ hello: ClientHello, _ handshake: HandshakeReport?) {
        sni = hello.servername
        (ja3, ja3Text) = (hello.ja3, hello.ja3Text)
        (ja4, ja4Raw) = (hello.ja4, hello.ja4Raw)
        grease = hello.hasGREASE
        bytes = hello.message.count
        sessionIDBytes = hello.sessionID.count
        legacyVersion = Entry(version: hello.legacyVersion.rawValue)
        versions = hello.versions.map { Entry(version: $0) }
        suites = hello.cipherSuites.map { Entry($0) { Suite($0).name } }
        groups = hello.groups.map { Entry($0.rawValue, CodePoints.groupName) }
        keyShares = hello.keyShares.map {
            Entry($0.group.rawValue, bytes: $0.keyExchange.count, CodePoints.groupName)
        }
        signatures = hello.signatureAlgorithms.map { Entry($0.rawValue, CodePoints.schemeName) }
        alpn = hello.alpn
        extensions = hello.extensions.map {
            Entry($0.number, bytes: $0.contents.count) { ExtensionType(rawValue: $0).description }
        }
        if let handshake, let version = handshake.version, let suite = handshake.cipherSuite {
            negotiated = Negotiated(
                version: shortName(version),
                suite: suite.standardName,
                group: handshake.group?.description,
                alpn: handshake.alpn,
                resumed: handshake.isResumed,
                retried: handshake.isHelloRetried
            )
        }
    }
}

extension HelloReport.Entry {
    init(_ number: UInt16, bytes: Int? = nil, _ name: (UInt16) -> String) {
        let isGrease = number & 0x0f0f == 0x0a0a && number >> 8 == number & 255
        self.init(
            name: isGrease ? "GREASE" : name(number),
            id: wireForm(number),
            grease: isGrease,
            bytes: bytes
        )
    }

    init(version: UInt16) {
        self.init(version) { shortName(ProtocolVersion(rawValue: $0)) }
    }
}
