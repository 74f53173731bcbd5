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

    /// One extension: its number in the registry, and its contents.
    public struct Extension: Sendable, Hashable {
        /// The number, for example 16 for ALPN.
        public let number: UInt16
        /// The contents octets.
        public let contents: [UInt8]
    }

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
    /// - Parameters:
    ///   - bytes: What came so far, from the first byte on.
    ///   - limit: The most bytes of records that are looked at.
    /// - Throws: ``TLSError`` `.notTLS` when it does not begin like one, `.protocolViolation` when it
    ///   is malformed, `.clientHelloTooLarge` when it does not fit into the limit.
    public init?(reading bytes: [UInt8], limit: Int = recordBytesMax) throws(TLSError) {
        guard let (records, message) = try ClientHello.message(in: bytes, limit) else { return nil }
        var reader = ByteReader(message.dropFirst(4))
        legacyVersion = ProtocolVersion(rawValue: try reader.number16())
        self.records = records
        self.message = message
        random = try reader.take(32)
        sessionID = try reader.vector8()
        var suites = ByteReader(try reader.vector16())
        var numbers: [UInt16] = []
        while !suites.isAtEnd { numbers.append(try suites.number16()) }
        cipherSuites = numbers
        compressionMethods = try reader.vector8()
        var found: [Extension] = []
        if !reader.isAtEnd {
            var list = ByteReader(try reader.vector16())
            while !list.isAtEnd {
                found.append(
                    Extension(number: try list.number16(), contents: try list.vector16())
                )
            }
        }
        extensions = found
        servername = try ClientHello.servername(found)
        alpn = try ClientHello.alpn(found)
        versions = try ClientHello.versions(found) ?? [legacyVersion.rawValue]
        groups = try ClientHello.numbers(found, 10).map(NamedGroup.init(rawValue:))
        signatureAlgorithms = try ClientHello.numbers(found, 13).map(SignatureScheme.init)
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
                return (Array(bytes[..<place]), Array(message[..<(4 + size)]))
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

    private static func servername(_ all: [Extension]) throws(TLSError) -> String? {
        guard let entry = all.first(where: { $0.number == 0 }) else { return nil }
        var reader = ByteReader(entry.contents)
        var list = ByteReader(try reader.vector16())
        while !list.isAtEnd {
            let kind = try list.take(1)
            let name = try list.vector16()
            if kind == [0] { return String(decoding: name, as: UTF8.self) }
        }
        return nil
    }

    private static func alpn(_ all: [Extension]) throws(TLSError) -> [String] {
        guard let entry = all.first(where: { $0.number == 16 }) else { return [] }
        var reader = ByteReader(entry.contents)
        var list = ByteReader(try reader.vector16())
        var names: [String] = []
        while !list.isAtEnd { names.append(String(decoding: try list.vector8(), as: UTF8.self)) }
        return names
    }

    private static func versions(_ all: [Extension]) throws(TLSError) -> [UInt16]? {
        guard let entry = all.first(where: { $0.number == 43 }) else { return nil }
        var reader = ByteReader(entry.contents)
        var list = ByteReader(try reader.vector8())
        var numbers: [UInt16] = []
        while !list.isAtEnd { numbers.append(try list.number16()) }
        return numbers
    }

    /// The numbers of an extension that is a list of them.
    private static func numbers(
        _ all: [Extension],
        _ number: UInt16
    ) throws(TLSError) -> [UInt16] {
        guard let entry = all.first(where: { $0.number == number }) else { return [] }
        var reader = ByteReader(entry.contents)
        var list = ByteReader(try reader.vector16())
        var numbers: [UInt16] = []
        while !list.isAtEnd { numbers.append(try list.number16()) }
        return numbers
    }

    fileprivate static func malformed(_ reason: String) -> TLSError {
        TLSError(.protocolViolation, phase: .clientHello, detail: "the ClientHello: \(reason)")
    }

    private static func notTLS(_ reason: String) -> TLSError {
        TLSError(.notTLS, phase: .clientHello, detail: reason)
    }
}

/// Takes numbers and vectors of TLS from the front of bytes (RFC 8446 §3).
private struct ByteReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: some Collection<UInt8>) { rest = Array(bytes)[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ count: Int) throws(TLSError) -> [UInt8] {
        guard rest.count >= count else { throw ClientHello.malformed("it ends too early") }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func number16() throws(TLSError) -> UInt16 {
        try take(2).reduce(0) { $0 << 8 | UInt16($1) }
    }

    mutating func vector8() throws(TLSError) -> [UInt8] { try take(Int(try take(1)[0])) }

    mutating func vector16() throws(TLSError) -> [UInt8] { try take(Int(try number16())) }
}
