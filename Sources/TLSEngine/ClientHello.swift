// What a client says first, taken apart without OpenSSL: who answers it is chosen by it, and test
// servers show it. It reads a prefix of a connection, within bounds, and never past the message.

/// A ClientHello as it came (RFC 8446 §4.1.2).
///
/// ```swift
/// var bytes: [UInt8] = []
/// while try ClientHello(reading: bytes) == nil { bytes += try await socket.read() ?? [] }
/// ```
public struct ClientHello: Sendable, Hashable {
    /// The most bytes of records that are looked at, 80 KiB.
    public static let recordBytesMax = 80 << 10

    /// The records that held it, byte for byte.
    public let records: [UInt8]
    /// The message alone, with its header of four bytes.
    public let message: [UInt8]
    /// The version field of the message, which TLS 1.3 leaves at TLS 1.2 (RFC 8446 §4.1.2).
    public let legacyVersion: ProtocolVersion
    /// The client's random, 32 bytes.
    public let random: [UInt8]
    /// The session id, 0...32 bytes.
    public let sessionID: [UInt8]
    /// The numbers of the cipher suites in order, GREASE included.
    public let cipherSuites: [UInt16]
    /// The compression methods in order.
    public let compressionMethods: [UInt8]
    /// The extensions in order.
    public let extensions: [Extension]
    /// The servername (RFC 6066 §3); nil when none was sent.
    public let servername: String?
    /// The application protocols in order (RFC 7301 §3.1); none when the extension was not sent.
    public let alpn: [String]
    /// The numbers of the versions: of the extension in order, or else the one of the message.
    public let versions: [UInt16]
    /// The groups for key exchange in order (RFC 8446 §4.2.7), GREASE included.
    public let groups: [NamedGroup]
    /// The signature algorithms in order (RFC 8446 §4.2.3), GREASE included.
    public let signatureAlgorithms: [SignatureScheme]

    /// Reads the ClientHello at the front of a connection; nil when more is needed.
    ///
    /// It is read to the letter: lengths that do not add up, an extension that comes twice, a known
    /// one that has not its form, and bytes behind the end are errors.
    ///
    /// - Parameters:
    ///   - bytes: What came so far, from the first byte on.
    ///   - limit: The most bytes of records that are looked at.
    /// - Throws: ``TLSError`` `.notTLS` when it does not begin like one, `.protocolViolation` when it
    ///   is malformed, `.clientHelloTooLarge` when it does not fit into the limit.
    public init?(reading bytes: [UInt8], limit: Int = recordBytesMax) throws(TLSError) {
        guard let (records, message) = try ClientHello.message(in: bytes, limit) else { return nil }
        try self.init(message: message, records: records)
    }

    /// Reads a message that did not come in records, as in QUIC (RFC 9001 §4).
    ///
    /// - Parameter message: The whole message, with its header of four bytes.
    /// - Throws: ``TLSError`` `.protocolViolation` when it is malformed, or no whole ClientHello.
    public init(message: [UInt8]) throws(TLSError) {
        guard message.count >= 4, message[0] == 1 else {
            throw ClientHello.malformed("the message is no ClientHello")
        }
        guard message[1...3].reduce(0, { $0 << 8 | Int($1) }) == message.count - 4 else {
            throw ClientHello.malformed("the length is not the message's")
        }
        try self.init(message: message, records: [])
    }

    private init(message: [UInt8], records: [UInt8]) throws(TLSError) {
        var reader = ByteReader(message, from: 4)
        legacyVersion = ProtocolVersion(rawValue: try reader.number16())
        self.records = records
        self.message = message
        random = try reader.take(32)
        sessionID = try reader.vector8()
        guard sessionID.count <= 32 else { throw ClientHello.malformed("a session id of 33 bytes") }
        var suites = try reader.reader16(2)
        cipherSuites = try suites.numbers16()
        compressionMethods = try reader.vector8(1)
        var found: [Extension] = []
        var facts = Facts()
        if !reader.isAtEnd {
            var list = try reader.reader16()
            try reader.finish()
            var numbers = SeenNumbers()
            // As many as most clients send.
            found.reserveCapacity(24)
            while !list.isAtEnd {
                let number = try list.number16()
                guard numbers.insert(number) else {
                    let type = ExtensionType(rawValue: number)
                    throw ClientHello.malformed("\(type) comes twice")
                }
                let read = try Extension(number: number, contents: try list.vector16())
                facts.note(read)
                // Its proof is over everything before it (RFC 8446 §4.2.11).
                guard read.type != .presharedKey || list.isAtEnd else {
                    throw ClientHello.malformed("\(read.type) is not the last extension")
                }
                found.append(read)
            }
        }
        extensions = found
        servername = facts.servername
        alpn = facts.alpn
        versions = facts.versions ?? [legacyVersion.rawValue]
        groups = facts.groups
        signatureAlgorithms = facts.signatureAlgorithms
    }

    /// Whether the client offers a version.
    ///
    /// - Parameter version: The version.
    /// - Returns: True if it stands in ``versions``.
    public func offers(_ version: ProtocolVersion) -> Bool { versions.contains(version.rawValue) }

    // MARK: Inside

    /// Joins records until the message is whole.
    private static func message(
        in bytes: [UInt8],
        _ limit: Int
    ) throws(TLSError) -> (records: [UInt8], message: [UInt8])? {
        var message: [UInt8] = []
        var place = 0
        while true {
            if bytes.count > place {
                guard bytes[place] == 22 else { throw notTLS("the record is no handshake") }
            }
            guard bytes.count >= place + 5 else { break }
            let count = Int(bytes[place + 3]) << 8 | Int(bytes[place + 4])
            guard bytes[place + 1] == 3, (1...16384).contains(count) else {
                throw notTLS("the record has no form of TLS")
            }
            message += bytes[(place + 5)...].prefix(count)
            guard message.first.map({ $0 == 1 }) ?? true else {
                throw malformed("the message is no ClientHello")
            }
            place += 5 + count
            guard bytes.count >= place else { break }
            guard message.count >= 4 else { continue }
            let size = message[1...3].reduce(0) { $0 << 8 | Int($1) }
            guard size <= limit else { break }
            if message.count >= 4 + size {
                // The usual hello is one record of nothing else: neither is copied once more.
                if message.count > 4 + size { message.removeSubrange((4 + size)...) }
                return (bytes.count == place ? bytes : Array(bytes[..<place]), message)
            }
        }
        guard bytes.count < limit, place < limit else {
            throw TLSError(
                .clientHelloTooLarge,
                phase: .clientHello,
                detail: "the limit is \(limit) bytes"
            )
        }
        return nil
    }

    /// Numbers that have come: few in a row, as most clients send few; of many a set.
    private struct SeenNumbers {
        private static let fewMax = 64
        private var few: [UInt16] = []
        private var many: Set<UInt16> = []

        /// Notes a number; false when it has come before.
        mutating func insert(_ number: UInt16) -> Bool {
            guard !few.contains(number), !many.contains(number) else { return false }
            if few.count < Self.fewMax { few.append(number) } else { many.insert(number) }
            return true
        }
    }

    /// What most callers want to know of the extensions.
    private struct Facts {
        var servername: String?
        var alpn: [String] = []
        var versions: [UInt16]?
        var groups: [NamedGroup] = []
        var signatureAlgorithms: [SignatureScheme] = []

        mutating func note(_ entry: Extension) {
            switch (entry.type, entry.value) {
            case (.serverName, .servername(let name)): servername = name
            case (.alpn, .applicationProtocols(let names)):
                alpn = names.map { String(decoding: $0, as: UTF8.self) }
            case (.supportedVersions, .versions(let list)): versions = list.map(\.rawValue)
            case (.supportedGroups, .groups(let list)): groups = list
            case (.signatureAlgorithms, .signatureAlgorithms(let list)): signatureAlgorithms = list
            default: break
            }
        }
    }

    static func malformed(_ reason: String) -> TLSError {
        TLSError(.protocolViolation, phase: .clientHello, detail: "the ClientHello: \(reason)")
    }

    private static func notTLS(_ reason: String) -> TLSError {
        TLSError(.notTLS, phase: .clientHello, detail: reason)
    }
}
