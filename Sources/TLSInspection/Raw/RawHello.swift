// A ClientHello of any contents, written without OpenSSL: a library offers what it can speak, and the
// question here is what the server can. No key is behind it; a handshake that begins with it ends with
// the server's answer.

import Sockets

/// What a raw ClientHello offers.
struct RawHello: Hashable, Sendable {
    /// The versions that are offered; the newest alone up to TLS 1.2.
    var versions: [ProtocolVersion]
    /// The numbers of the cipher suites, most preferred first.
    var suites: [UInt16]
    /// The groups, most preferred first; without any the extension is not sent.
    var groups: [UInt16] = []
    /// The groups with a key share, whose bytes are random; a server must ask for one when there is none.
    var keyShares: [UInt16] = []
    /// The signature schemes, most preferred first; without any the extension is not sent.
    var schemes: [UInt16] = []
    /// The servername; nil sends none.
    var servername: String?
    /// The application protocols; without any the extension is not sent.
    var alpn: [String] = []
    /// Whether values that nobody knows stand among those that are offered (RFC 8701).
    var hasGrease = false
    /// Whether it says that it tries an older version again (RFC 7507).
    var isFallback = false
    /// The least size of the message, reached by padding (RFC 7685); nil does not pad.
    var size: Int?

    /// The newest version.
    var newest: ProtocolVersion { versions.max() ?? .tls12 }

    /// The message with its header of four bytes.
    func message() -> [UInt8] {
        var body = ByteWriter()
        body.number16(min(newest, .tls12).rawValue)
        body.bytes += randomBytes(32)
        // A session that nobody knows, as browsers send it for the sake of old middleboxes.
        body.vector8(newest >= .tls13 ? randomBytes(32) : [])
        body.vector16 { list in
            if hasGrease { list.number16(0x1a1a) }
            for suite in suites { list.number16(suite) }
            // Renegotiation is safe, said as a suite: servers of SSL 3.0 read nothing else.
            if newest < .tls13 { list.number16(0x00ff) }
            if isFallback { list.number16(0x5600) }
        }
        body.vector8([0])
        if newest > .ssl3 {
            var extensions = extensionBytes()
            // In front of them: the message's header, the body, their length; then the padding's header.
            extensions += padding(4 + body.bytes.count + 2 + extensions.count + 4)
            body.vector16(extensions)
        }
        // What does not fit into 24 bits is not offered by anybody here.
        let count = body.bytes.count
        return [1, UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255)]
            + body.bytes
    }

    /// Padding that makes a message as large as it should be.
    private func padding(_ present: Int) -> [UInt8] {
        guard let size, size > present else { return [] }
        var writer = ByteWriter()
        writer.part(21) { $0.bytes += [UInt8](repeating: 0, count: min(size - present, 60000)) }
        return writer.bytes
    }

    private func extensionBytes() -> [UInt8] {
        var writer = ByteWriter()
        if hasGrease { writer.part(0x2a2a) { _ in } }
        if let servername {
            writer.part(0) {
                $0.vector16 {
                    $0.bytes.append(0); $0.vector16(Array(servername.utf8))
                }
            }
        }
        if newest < .tls13 || versions.contains(where: { $0 < .tls13 }) {
            writer.part(23) { _ in }
            writer.part(11) { $0.vector8([0]) }
            writer.part(35) { _ in }
        }
        if !groups.isEmpty {
            writer.part(10) { $0.vector16(of: (hasGrease ? [0x3a3a] : []) + groups) }
        }
        if !alpn.isEmpty {
            writer.part(16) { $0.vector16 { for name in alpn { $0.vector8(Array(name.utf8)) } } }
        }
        if !schemes.isEmpty {
            writer.part(13) { $0.vector16(of: schemes) }
            // What a certificate may be signed with is another question, and all is welcome.
            writer.part(50) { $0.vector16(of: CodePoints.schemes) }
        }
        if newest >= .tls13 { writer.bytes += extensionsOfTLS13() }
        if hasGrease { writer.part(0x4a4a) { $0.bytes.append(0) } }
        return writer.bytes
    }

    private func extensionsOfTLS13() -> [UInt8] {
        var writer = ByteWriter()
        writer.part(43) {
            let offered = (hasGrease ? [0x5a5a] : []) + versions.sorted(by: >).map(\.rawValue)
            var list = ByteWriter()
            for version in offered { list.number16(version) }
            $0.vector8(list.bytes)
        }
        writer.part(45) { $0.vector8([1]) }
        writer.part(51) {
            $0.vector16 { list in
                if hasGrease {
                    list.number16(0x3a3a)
                    list.vector16([0])
                }
                for group in keyShares {
                    list.number16(group)
                    list.vector16(randomBytes(CodePoints.shareSize(group)))
                }
            }
        }
        return writer.bytes
    }
}

/// How the bytes of a hello are cut.
enum RawFraming: Hashable, Sendable {
    /// One record, or as few as there can be, at once.
    case plain
    /// Records of so many bytes.
    case records(of: Int)
    /// One record, sent in two pieces with a pause between them.
    case halves

    /// The records.
    func records(of message: [UInt8], version: ProtocolVersion) -> [UInt8] {
        let size = if case .records(let size) = self { max(1, size) } else { RawLimits.recordBytes }
        var writer = ByteWriter()
        for start in stride(from: 0, to: message.count, by: size) {
            writer.bytes.append(22)
            // Old servers look at it, and newer ones must not (RFC 8446 §5.1).
            writer.number16(version == .ssl3 ? 0x0300 : 0x0301)
            writer.vector16(Array(message[start..<min(start + size, message.count)]))
        }
        return writer.bytes
    }
}

/// What a raw conversation may cost.
enum RawLimits {
    /// The most bytes of a record (RFC 8446 §5.1).
    static let recordBytes = 16384
    /// The most bytes of a record that is read, with what old versions add (RFC 5246 §6.2.3).
    static let recordBytesRead = 16384 + 2048
    /// The most bytes that are read of one server.
    static let bytesRead = 256 << 10
    /// The most messages that are read of one server.
    static let messages = 16
    /// The most warnings, and the most records without contents, that are passed over.
    static let patience = 8
    /// The most certificates that are kept.
    static let certificates = 16
    /// The pause between two pieces of a hello.
    static let pause = Duration.milliseconds(30)
}

extension ProtocolVersion {
    /// SSL 3.0 (RFC 6101), which is looked for and never spoken.
    static let ssl3 = ProtocolVersion(rawValue: 0x0300)
    /// TLS 1.0 (RFC 2246), which is looked for and never spoken.
    static let tls10 = ProtocolVersion(rawValue: 0x0301)
    /// TLS 1.1 (RFC 4346), which is looked for and never spoken.
    static let tls11 = ProtocolVersion(rawValue: 0x0302)
}

/// Bytes that mean nothing.
private func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

/// Puts numbers and vectors of TLS behind each other (RFC 8446 §3).
struct ByteWriter {
    var bytes: [UInt8] = []

    mutating func number16(_ number: UInt16) { bytes += [UInt8(number >> 8), UInt8(number & 255)] }

    mutating func vector8(_ contents: [UInt8]) {
        bytes.append(UInt8(truncatingIfNeeded: contents.count))
        bytes += contents
    }

    mutating func vector16(_ contents: [UInt8]) {
        number16(UInt16(truncatingIfNeeded: contents.count))
        bytes += contents
    }

    mutating func vector16(of numbers: [UInt16]) {
        number16(UInt16(truncatingIfNeeded: 2 * numbers.count))
        for number in numbers { number16(number) }
    }

    mutating func vector16(_ write: (inout ByteWriter) -> Void) {
        var inner = ByteWriter()
        write(&inner)
        vector16(inner.bytes)
    }

    /// An extension.
    mutating func part(_ number: UInt16, _ write: (inout ByteWriter) -> Void) {
        number16(number)
        vector16(write)
    }
}
