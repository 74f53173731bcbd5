// Reads what a server says to a raw ClientHello, without keys and without trust: every length is
// checked, every list is bounded, and whatever comes is an answer. Up to TLS 1.2 the whole flight is in
// clear; of TLS 1.3 only the ServerHello or HelloRetryRequest is.

package import Sockets

/// What a server said in clear.
package struct ServerFlight: Hashable, Sendable {
    /// The version that was chosen.
    package var version: ProtocolVersion
    /// The number of the suite that was chosen.
    package var suite: UInt16
    /// Whether it is a HelloRetryRequest (RFC 8446 §4.1.4).
    package var isRetry = false
    /// The group of the key exchange, when it was told.
    package var group: UInt16?
    /// The bits of a prime of finite field Diffie-Hellman, up to TLS 1.2.
    package var primeBits: Int?
    /// The signature scheme of TLS 1.2.
    package var scheme: UInt16?
    /// The application protocol, up to TLS 1.2.
    package var alpn: String?
    /// The numbers of the extensions.
    package var extensions: [UInt16] = []
    /// The compression method, which must be 0.
    package var compression: UInt8 = 0
    /// The certificates in DER, leaf first, up to TLS 1.2.
    package var certificates: [[UInt8]] = []
    /// Whether a certificate was asked for, up to TLS 1.2.
    package var requestsCertificate = false
    /// Whether the server said all that it had to say.
    package var isWhole = false
}

/// What a conversation came to.
package enum RawAnswer: Hashable, Sendable {
    /// The server chose.
    case flight(ServerFlight)
    /// The server refused.
    case alert(Alert)
    /// What came is no TLS.
    case notTLS
    /// What came is TLS that breaks its own rules.
    case malformed(String)
    /// The server ended the connection without a word.
    case closed
    /// Nothing came in time.
    case silence
    /// The protocol in the clear did not lead to TLS.
    case clear(DialogueFailure)
    /// There was no connection.
    case unconnected(SocketError)
}

/// Reads a server's first flight as its bytes come.
package struct ServerReader: Sendable {
    private var pending: [UInt8] = []
    private var messages: [UInt8] = []
    private var flight: ServerFlight?
    /// How many bytes it was given, which is the most that it holds.
    private(set) var bytesRead = 0
    private var messagesRead = 0
    private var patience = RawLimits.patience

    /// Makes a reader.
    package init() {}

    /// Takes bytes.
    ///
    /// - Parameter bytes: What came.
    /// - Returns: The answer as soon as it is clear; nil when more is needed.
    package mutating func read(_ bytes: [UInt8]) -> RawAnswer? {
        bytesRead += bytes.count
        pending += bytes
        guard bytesRead <= RawLimits.bytesRead else { return ending(or: .malformed("no end")) }
        do throws(Malformed) {
            while let (kind, contents) = try nextRecord() {
                if let answer = try take(kind, contents) { return answer }
            }
            return nil
        } catch {
            return ending(or: error.isTLS ? .malformed(error.reason) : .notTLS)
        }
    }

    /// The answer when no more bytes come.
    ///
    /// - Parameter answer: What it is when nothing was chosen.
    /// - Returns: What was chosen, or else that answer.
    package func ending(or answer: RawAnswer) -> RawAnswer { flight.map { .flight($0) } ?? answer }

    // MARK: Records

    private mutating func nextRecord() throws(Malformed) -> (kind: UInt8, contents: [UInt8])? {
        guard let kind = pending.first else { return nil }
        guard (20...24).contains(kind), pending.count < 2 || pending[1] == 3 else {
            throw Malformed(
                "the record has no form of TLS",
                isTLS: flight != nil || patience < RawLimits.patience
            )
        }
        guard pending.count >= 5 else { return nil }
        let count = Int(pending[3]) << 8 | Int(pending[4])
        guard count <= RawLimits.recordBytesRead else {
            throw Malformed("a record of \(count) bytes")
        }
        guard pending.count >= 5 + count else { return nil }
        defer { pending.removeFirst(5 + count) }
        return (kind, Array(pending[5..<(5 + count)]))
    }

    private mutating func take(_ kind: UInt8, _ contents: [UInt8]) throws(Malformed) -> RawAnswer? {
        if contents.isEmpty || kind == 21 {
            patience -= 1
            guard patience > 0 else { throw Malformed("warnings without end") }
        }
        switch kind {
        case 21:
            guard contents.count == 2, let level = Alert.Level(rawValue: contents[0]) else {
                throw Malformed("an alert of \(contents.count) bytes")
            }
            // A warning is not the end, but for the one that says so.
            guard level == .fatal || contents[1] == 0 else { return nil }
            let alert = Alert(contents[1], level: level)
            return ending(or: level == .fatal ? .alert(alert) : .closed)
        case 22:
            messages += contents
            return try readMessages()
        default:
            throw Malformed("a record of kind \(kind) before the handshake is done")
        }
    }

    // MARK: Messages

    private mutating func readMessages() throws(Malformed) -> RawAnswer? {
        while messages.count >= 4 {
            let size = Int(messages[1]) << 16 | Int(messages[2]) << 8 | Int(messages[3])
            guard size <= RawLimits.bytesRead else { throw Malformed("a message of \(size) bytes") }
            guard messages.count >= 4 + size else { return nil }
            messagesRead += 1
            guard messagesRead <= RawLimits.messages else {
                throw Malformed("messages without end")
            }
            let (kind, body) = (messages[0], Array(messages[4..<(4 + size)]))
            messages.removeFirst(4 + size)
            if let answer = try take(message: kind, body) { return answer }
        }
        return nil
    }

    private mutating func take(message kind: UInt8, _ body: [UInt8]) throws(Malformed) -> RawAnswer?
    {
        guard var flight else {
            guard kind == 2 else { throw Malformed("message \(kind) before the ServerHello") }
            let chosen = try serverHello(body)
            flight = chosen
            return chosen.isWhole ? .flight(chosen) : nil
        }
        switch kind {
        case 11: flight.certificates = try certificates(body)
        case 12: try keyExchange(body, into: &flight)
        case 13: flight.requestsCertificate = true
        case 14: flight.isWhole = true
        case 4, 22: break
        default: throw Malformed("message \(kind) behind the ServerHello")
        }
        self.flight = flight
        return flight.isWhole ? .flight(flight) : nil
    }

    private func serverHello(_ body: [UInt8]) throws(Malformed) -> ServerFlight {
        var reader = RawBytes(body)
        let version = ProtocolVersion(rawValue: try reader.number16())
        let random = try reader.take(32)
        guard try reader.vector8().count <= 32 else { throw Malformed("a session id too long") }
        var flight = ServerFlight(version: version, suite: try reader.number16())
        flight.compression = try reader.number8()
        flight.isRetry = random == ServerReader.retryRandom
        if !reader.isAtEnd {
            var list = RawBytes(try reader.vector16())
            while !list.isAtEnd {
                let number = try list.number16()
                guard !flight.extensions.contains(number) else {
                    throw Malformed("extension \(number) twice")
                }
                flight.extensions.append(number)
                try read(number, RawBytes(try list.vector16()), into: &flight)
            }
        }
        flight.isWhole = flight.version >= .tls13
        guard flight.isWhole || !flight.isRetry else { throw Malformed("a retry before TLS 1.3") }
        return flight
    }

    private func read(
        _ number: UInt16,
        _ contents: RawBytes,
        into flight: inout ServerFlight
    ) throws(Malformed) {
        var reader = contents
        switch number {
        case 43: flight.version = ProtocolVersion(rawValue: try reader.number16())
        case 51: flight.group = try reader.number16()
        case 16:
            var list = RawBytes(try reader.vector16())
            flight.alpn = String(decoding: try list.vector8(), as: UTF8.self)
        default: break
        }
    }

    private func certificates(_ body: [UInt8]) throws(Malformed) -> [[UInt8]] {
        var reader = RawBytes(body)
        var list = RawBytes(try reader.take(try reader.number24()))
        var found: [[UInt8]] = []
        while !list.isAtEnd {
            let certificate = try list.take(try list.number24())
            if found.count < RawLimits.certificates { found.append(certificate) }
        }
        return found
    }

    private func keyExchange(
        _ body: [UInt8],
        into flight: inout ServerFlight
    ) throws(Malformed) {
        var reader = RawBytes(body)
        let suite = Suite(flight.suite)
        if suite.hasHint { _ = try reader.vector16() }
        let isSigned: Bool
        switch suite.exchange {
        case .hidden: return
        case .curve(let signed):
            isSigned = signed
            // A curve without a name (RFC 4492 §5.4) is not looked into.
            guard try reader.number8() == 3 else { return }
            flight.group = try reader.number16()
            _ = try reader.vector8()
        case .field(let signed):
            isSigned = signed
            let prime = try reader.vector16().drop { $0 == 0 }
            flight.primeBits = prime.first.map { prime.count * 8 - $0.leadingZeroBitCount } ?? 0
            _ = try reader.vector16()
            _ = try reader.vector16()
        }
        if isSigned, flight.version == .tls12 { flight.scheme = try reader.number16() }
    }

    /// The random that says that a ServerHello is a HelloRetryRequest (RFC 8446 §4.1.3).
    static let retryRandom: [UInt8] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8,
        0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8,
        0x33, 0x9c,
    ]
}

/// Why bytes cannot be read.
struct Malformed: Error {
    var reason: String
    var isTLS: Bool

    init(_ reason: String, isTLS: Bool = true) {
        self.reason = reason
        self.isTLS = isTLS
    }
}

/// Takes numbers and vectors of TLS from the front of bytes (RFC 8446 §3).
private struct RawBytes {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ count: Int) throws(Malformed) -> [UInt8] {
        guard rest.count >= count else { throw Malformed("a message ends too early") }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func number8() throws(Malformed) -> UInt8 { try take(1)[0] }

    mutating func number16() throws(Malformed) -> UInt16 {
        try take(2).reduce(0) { $0 << 8 | UInt16($1) }
    }

    mutating func number24() throws(Malformed) -> Int {
        try take(3).reduce(0) { $0 << 8 | Int($1) }
    }

    mutating func vector8() throws(Malformed) -> [UInt8] { try take(Int(try number8())) }

    mutating func vector16() throws(Malformed) -> [UInt8] { try take(Int(try number16())) }
}
