// A server with one transport fault, without a transport: bytes of a client in, what to do out. The
// handshake is OpenSSL's and the records behind it are sealed by hand (`FaultPeer`), so that every
// byte is the fault's own.

public import TLSEngine

/// A server that misbehaves in one way, as a dialogue without a transport.
///
/// Whoever carries the bytes does what it says: over sockets `FaultServer`, in memory
/// ``FaultRehearsal``. What is received behind the handshake goes back, as far as the fault allows. A
/// server that speaks first, as those of mail do, says its greeting as soon as the handshake is done, and
/// a fault behind the handshake hits that instead of the first answer.
public final class FaultConversation {
    /// What the server does next.
    public enum Action: Sendable, Hashable {
        /// Sends bytes.
        case send([UInt8])
        /// Ends its side of the stream, and goes on reading.
        case end
        /// Resets the connection.
        case reset
    }

    /// What is wrong.
    public let fault: TransportFault
    /// The version it speaks.
    public let version: ProtocolVersion
    /// The client's first message, once it came.
    public private(set) var clientHello: ClientHello?
    /// Whether the handshake is done.
    public var isReady: Bool { peer.isReady }
    /// What the client sent behind the handshake.
    public var received: [UInt8] { peer.received }

    private enum Stage { case hello, shaking, open, over }

    private let peer: FaultPeer
    /// What it says before it is asked; empty once it was said.
    private var greeting: [UInt8]
    private var stage = Stage.hello
    private var unread: [UInt8] = []
    /// Bytes of ``received`` that were answered.
    private var answered = 0

    /// Makes a server that has accepted a connection.
    ///
    /// - Parameters:
    ///   - fault: What is wrong.
    ///   - version: The version to speak.
    ///   - certificate: What to present.
    ///   - greeting: What it says as soon as the handshake is done; nothing by default.
    /// - Throws: ``TestKitError`` `.openSSL`, or `.invalidRecipe` for a fault that the version has
    ///   not.
    public init(
        _ fault: TransportFault,
        _ version: ProtocolVersion,
        certificate: IssuedCertificate,
        greeting: [UInt8] = []
    ) throws(TestKitError) {
        guard fault.versions.contains(version) else {
            throw TestKitError(.invalidRecipe, "\(fault) does not exist in \(version)")
        }
        self.fault = fault
        self.version = version
        self.greeting = greeting
        peer = try FaultPeer(
            .server,
            version,
            certificate: certificate,
            choosing: fault == .unofferedALPN ? "not/offered" : nil,
            authorities: fault == .manyAuthorities ? 1000 : 0
        )
    }

    /// What to do before anything is read.
    ///
    /// - Returns: Nothing for most faults.
    public func begin() -> [Action] {
        switch fault {
        case .resetBeforeHello: finish([.reset])
        case .closedBeforeHello: finish([.end])
        default: []
        }
    }

    /// Takes what the client sent.
    ///
    /// - Parameter bytes: What came, cut anywhere.
    /// - Returns: What to do about it.
    /// - Throws: ``TestKitError`` when the client sends no ClientHello or ends the handshake; there
    ///   is nothing more to do then.
    public func receive(_ bytes: [UInt8]) throws(TestKitError) -> [Action] {
        switch stage {
        case .hello:
            unread += bytes
            guard let hello = try FaultConversation.hello(in: unread) else { return [] }
            clientHello = hello
            return try answer(hello)
        case .shaking:
            let wasReady = peer.isReady
            let flight = try peer.step(bytes)
            if peer.isReady, !wasReady { stage = .open }
            if fault == .stallBeforeFinished { return finish([]) }
            return send(flight) + (stage == .open ? try greet() + answerData() : [])
        case .open:
            _ = try peer.step(bytes)
            return try answerData()
        case .over: return []
        }
    }

    // MARK: Inside

    private static func hello(in bytes: [UInt8]) throws(TestKitError) -> ClientHello? {
        do throws(TLSError) {
            return try ClientHello(reading: bytes)
        } catch {
            throw TestKitError(.malformed, "read a ClientHello: \(error)")
        }
    }

    /// Nothing comes behind these.
    private func finish(_ actions: [Action]) -> [Action] {
        stage = .over
        return actions
    }

    private func send(_ bytes: [UInt8]) -> [Action] { bytes.isEmpty ? [] : [.send(bytes)] }

    private func answer(_ hello: ClientHello) throws(TestKitError) -> [Action] {
        stage = .shaking
        if let bytes = FaultConversation.bytes(insteadOfHello: fault) {
            return finish([.send(bytes)])
        }
        switch fault {
        case .resetAfterHello: return finish([.reset])
        case .closedAfterHello: return finish([.end])
        case .stallAfterHello: return finish([])
        default: break
        }
        let flight = try peer.step(unread)
        guard let first = FaultConversation.records(of: flight).first else { return [] }
        switch fault {
        case .halfServerHello: return finish([.send(Array(first.prefix(first.count / 2))), .end])
        case .stallInServerHello: return finish([.send(Array(first.prefix(first.count / 2)))])
        case .stallInFlight: return finish([.send(first)])
        case .stallBeforeFinished where version == .tls13:
            let records = FaultConversation.records(of: flight)
            return finish([.send(Array(records.dropLast().joined()))])
        default: return send(flight)
        }
    }

    /// What some faults say to a ClientHello.
    private static func bytes(insteadOfHello fault: TransportFault) -> [UInt8]? {
        func alert(_ code: UInt8, level: UInt8 = 2) -> [UInt8] { [21, 3, 3, 0, 2, level, code] }
        return switch fault {
        case .plainHTTP: plainAnswer
        // Fixed, and with no beginning that TLS could have.
        case .randomBytes: (0..<400).map { UInt8(truncatingIfNeeded: $0 &* 167 ^ 0xa5) }
        case .oversizedRecordInHandshake: oversizedRecord(22)
        case .emptyRecords: (0..<64).flatMap { _ in [22, 3, 3, 0, 0] as [UInt8] }
        case .closeNotifyInHandshake: alert(0, level: 1)
        case .alertHandshakeFailure: alert(40)
        case .alertInternalError: alert(80)
        case .alertUnrecognizedName: alert(112)
        case .alertNoApplicationProtocol: alert(120)
        case .alertUnknown: alert(200)
        default: nil
        }
    }

    private static let plainAnswer = Array(
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8
    )

    private static func oversizedRecord(_ type: UInt8) -> [UInt8] {
        [type, 3, 3, 0x7f, 0xff] + [UInt8](repeating: 0, count: 32767)
    }

    /// Says the greeting if there is one, with the fault.
    private func greet() throws(TestKitError) -> [Action] {
        let greeting = greeting
        self.greeting = []
        return greeting.isEmpty ? [] : try say(greeting)
    }

    /// Answers data that was not answered yet: with the fault the first time.
    private func answerData() throws(TestKitError) -> [Action] {
        guard stage == .open else { return [] }
        let data = Array(peer.received[answered...])
        guard !data.isEmpty else { return [] }
        answered = peer.received.count
        return try say(data)
    }

    private func say(_ data: [UInt8]) throws(TestKitError) -> [Action] {
        guard fault.isBehindHandshake else {
            return [.send(try peer.record(.applicationData, data))]
        }
        return try misbehave(data)
    }

    /// Only what is sent is sealed: each record takes a number.
    private func misbehave(_ data: [UInt8]) throws(TestKitError) -> [Action] {
        func seal() throws(TestKitError) -> [UInt8] { try peer.record(.applicationData, data) }
        switch fault {
        case .missingCloseNotify: return finish([.send(try seal()), .end])
        case .cutRecord:
            let record = try seal()
            return finish([.send(Array(record.prefix(record.count / 2))), .end])
        case .resetAfterHandshake: return finish([.reset])
        case .cleartextAfterHandshake: return finish([.send(FaultConversation.plainAnswer)])
        case .oversizedRecord: return finish([.send(FaultConversation.oversizedRecord(23))])
        case .flippedByte:
            var record = try seal()
            record[record.count - 1] ^= 1
            return finish([.send(record)])
        case .replayedRecord:
            let record = try seal()
            return finish([.send(record + record)])
        case .plainCloseNotify: return finish([.send([21, 3, 3, 0, 2, 1, 0])])
        case .earlyCloseNotify: return finish([.send(try peer.record(.alert, [1, 0])), .end])
        case .halfCloseKeptOpen: return finish([.send(try peer.record(.alert, [1, 0]))])
        case .hugeSessionTicket: return [.send(try hugeTicket() + seal())]
        case .keyUpdateFlood:
            var flood: [UInt8] = []
            for _ in 0..<200 { flood += try peer.keyUpdate() }
            return finish([.send(flood)])
        case .renegotiationRequest:
            return [.send(try peer.record(.handshake, [0, 0, 0, 0]) + seal())]
        default: return finish([])
        }
    }

    /// A NewSessionTicket of 60,000 bytes in as many records as it needs (RFC 8446 §4.6.1).
    private func hugeTicket() throws(TestKitError) -> [UInt8] {
        func length(_ count: Int) -> [UInt8] {
            [UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)]
        }
        let ticket = [UInt8](repeating: 7, count: 60_000)
        let body = [0, 0, 1, 0, 0, 0, 0, 0, 1, 0] + length(ticket.count) + ticket + [0, 0]
        let message = [4, 0] + length(body.count) + body
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: message.count, by: 16384) {
            let end = min(start + 16384, message.count)
            bytes += try peer.record(.handshake, Array(message[start..<end]))
        }
        return bytes
    }

    /// The records that bytes consist of.
    private static func records(of bytes: [UInt8]) -> [[UInt8]] {
        var records: [[UInt8]] = []
        var rest = bytes[...]
        while rest.count >= 5 {
            let header = rest.prefix(5).suffix(2).reduce(0) { $0 << 8 | Int($1) }
            records.append(Array(rest.prefix(5 + header)))
            rest = rest.dropFirst(5 + header)
        }
        return records
    }
}
