// What the suites share: certificates, pairs of connected sockets, and waiting without sleeping.

import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// What a connection speaks in a test.
enum Wire: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case tcp, tls12, tls13

    static let secure: [Wire] = [.tls12, .tls13]

    var type: SocketType { self == .tcp ? .tcp : .tls }
    var version: ProtocolVersion? {
        switch self {
        case .tcp: nil
        case .tls12: .tls12
        case .tls13: .tls13
        }
    }
    var testDescription: String { rawValue }
}

/// One authority, a server's and a client's identity, made once a process.
struct Credentials: Sendable {
    private static let made = Result { try Credentials() }

    let server: TLSIdentity
    let client: TLSIdentity
    let stranger: TLSIdentity
    let anchors: [Certificate]
    let serverPEM: (cert: [UInt8], key: [UInt8])
    /// What ``server`` was made from.
    let leaf: IssuedCertificate
    /// What ``client`` was made from.
    let clientLeaf: IssuedCertificate
    /// A good OCSP response about it.
    let staple: [UInt8]

    static func shared() throws -> Credentials { try made.get() }

    private init() throws {
        let ca = try TestCA()
        leaf = try ca.issue("localhost", "127.0.0.1", "::1")
        staple = try ca.ocspAnswer(for: leaf).der
        serverPEM = (Array(leaf.chainPEM.utf8), Array(try leaf.privateKeyPEM.utf8))
        server = try TLSIdentity(certificate: serverPEM.cert, privateKey: serverPEM.key)
        clientLeaf = try ca.issueClient("alice")
        client = try Credentials.identity(clientLeaf)
        stranger = try Credentials.identity(try TestCA(name: "Elsewhere").issueClient("mallory"))
        anchors = try Certificate.read(Array(ca.certificatePEM.utf8))
    }

    private static func identity(_ issued: IssuedCertificate) throws -> TLSIdentity {
        try TLSIdentity(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: Array(try issued.privateKeyPEM.utf8)
        )
    }
}

/// Longer than any suite may take: what ends by it has hung.
let patience = Duration.seconds(90)

let loopback = SocketAddress("127.0.0.1", port: 0)

/// Options of a listener on loopback that speaks the wire.
func listenerOptions(
    _ wire: Wire,
    at address: SocketAddress = loopback
) throws -> SocketListenerInit {
    var options = SocketListenerInit(type: wire.type, local: address)
    options.limits.handshake = patience
    guard let version = wire.version else { return options }
    options.identity = try Credentials.shared().server
    options.minimumVersion = version
    options.maximumVersion = version
    return options
}

private let refusingHosts = Atomic<Int>(0)

/// An address where nobody listens: of a host of its own, so that no other test is given its port.
func makeRefusingAddress() async throws -> SocketAddress {
    let listener = try SocketListener(SocketListenerInit(local: addressOfItsOwn()))
    await listener.close()
    return listener.localAddress
}

/// An address on a host that no other test listens on: no port of it is given to anybody else when its
/// listener has gone.
func addressOfItsOwn() -> SocketAddress {
    let number = refusingHosts.wrappingAdd(1, ordering: .relaxed).newValue
    return SocketAddress("127.1.\(number / 250).\(number % 250 + 1)", port: 0)
}

func makeListener(
    _ wire: Wire,
    _ configure: (inout SocketListenerInit) throws -> Void = { _ in }
) throws -> SocketListener {
    var options = try listenerOptions(wire)
    try configure(&options)
    return try SocketListener(options)
}

/// Options of a client that trusts the test's authority.
func clientOptions(_ wire: Wire, to address: SocketAddress) throws -> SocketInit {
    var options = SocketInit(type: wire.type, remote: address)
    options.limits.handshake = patience
    guard let version = wire.version else { return options }
    options.trust = TrustPolicy(anchors: try Credentials.shared().anchors)
    options.minimumVersion = version
    options.maximumVersion = version
    return options
}

func makeClient(
    _ wire: Wire,
    to address: SocketAddress,
    _ configure: (inout SocketInit) throws -> Void = { _ in }
) throws -> Socket {
    var options = try clientOptions(wire, to: address)
    try configure(&options)
    return try Socket(options)
}

/// Two ends of one connection, both ready.
struct Pair: Sendable {
    let client: Socket
    let server: Socket
    let listener: SocketListener

    init(
        _ wire: Wire,
        client: (inout SocketInit) throws -> Void = { _ in },
        server: (inout SocketListenerInit) throws -> Void = { _ in }
    ) async throws {
        listener = try makeListener(wire, server)
        self.client = try makeClient(wire, to: listener.localAddress, client)
        var iterator = listener.makeAsyncIterator()
        self.server = try #require(try await iterator.next()).socket
        _ = try await self.client.ready
    }
}

extension Pair {
    /// A pair whose kernel buffers are small, so that a megabyte surely blocks.
    static func narrow(
        _ wire: Wire,
        client: (inout SocketInit) throws -> Void = { _ in }
    ) async throws -> Pair {
        try await Pair(wire) { options in
            options.sendBufferSize = 50_000
            options.receiveBufferSize = 50_000
            try client(&options)
        } server: { options in
            options.sendBufferSize = 50_000
            options.receiveBufferSize = 50_000
        }
    }
}

/// A TCP listener of the library's own whose first connection is a peer that a test plays by hand.
struct RawServer: Sendable {
    let listener: SocketListener
    var address: SocketAddress { listener.localAddress }

    init(_ configure: (inout SocketListenerInit) throws -> Void = { _ in }) throws {
        listener = try makeListener(.tcp, configure)
    }

    func accept() async throws -> Socket {
        var iterator = listener.makeAsyncIterator()
        return try #require(try await iterator.next()).socket
    }
}

/// A TLS peer over a TCP socket that does what a test says, also what no peer should.
struct EnginePeer: ~Copyable {
    var engine: TLSEngine
    let socket: Socket
    private var inbox: [UInt8] = []

    init(
        _ role: TLSRole,
        _ wire: Wire,
        over socket: Socket,
        identity: TLSIdentity? = nil,
        policy configure: (inout TLSPolicy) -> Void = { _ in }
    ) throws {
        let credentials = try Credentials.shared()
        let own = role == .server ? identity ?? credentials.server : identity
        let context = try TLSContext(
            role: role,
            policy: TLSPolicy { policy in
                policy.minimumVersion = wire.version ?? .tls12
                policy.maximumVersion = wire.version ?? .tls13
                configure(&policy)
            },
            identities: own.map { [$0] } ?? [],
            trust: TrustPolicy(anchors: credentials.anchors)
        )
        engine = try TLSEngine(context, remoteName: role == .client ? "localhost" : nil)
        self.socket = socket
    }

    /// Shakes hands, and sends data in one piece with its last flight.
    mutating func handshake(andSend bytes: [UInt8] = []) async throws {
        while true {
            let (output, progress) = try step { engine, input, output throws(TLSError) in
                try engine.handshake(consuming: input, producing: &output)
            }
            inbox.removeFirst(progress.consumed)
            let isDone = progress.wants != .read
            try await socket.write(isDone && !bytes.isEmpty ? output + records(bytes) : output)
            guard progress.wants == .read else { return }
            guard let more = try await socket.read() else { throw SocketError(.truncated) }
            inbox += more
        }
    }

    /// The records that carry bytes.
    mutating func records(_ bytes: [UInt8]) throws -> [UInt8] {
        try step { engine, _, output throws(TLSError) in
            try engine.send(bytes.span, producing: &output)
        }.0
    }

    /// Takes in what the other side says next, until that asks for an answer.
    mutating func receive() async throws -> [UInt8] {
        while true {
            let (answer, progress) = try step { engine, input, output throws(TLSError) in
                var progress = TLSEngine.Progress(consumed: 0, wants: .nothing)
                _ = try [UInt8](capacity: 64 << 10) { plaintext throws(TLSError) in
                    progress = try engine.receive(input, into: &plaintext, producing: &output)
                }
                return progress
            }
            inbox.removeFirst(progress.consumed)
            guard answer.isEmpty else { return answer }
            guard let more = try await socket.read() else { throw SocketError(.truncated) }
            inbox += more
        }
    }

    /// The record that says close_notify.
    mutating func goodbye() throws -> [UInt8] {
        try step { engine, _, output throws(TLSError) in
            try engine.close(producing: &output)
        }.0
    }

    private mutating func step(
        _ body: (inout TLSEngine, Span<UInt8>, inout OutputSpan<UInt8>) throws(TLSError) ->
            TLSEngine.Progress
    ) throws -> ([UInt8], TLSEngine.Progress) {
        var progress = TLSEngine.Progress(consumed: 0, wants: .nothing)
        let input = inbox
        let output = try [UInt8](capacity: 256 << 10) { output throws(TLSError) in
            progress = try body(&engine, input.span, &output)
        }
        return (output, progress)
    }
}

/// Waits until something holds; looked at with each tick of an event loop's timer, and bounded by the
/// suite's time limit.
func until(_ condition: @Sendable () -> Bool) async {
    while !condition(), !Task.isCancelled { await pass(.milliseconds(1)) }
}

/// Waits for an event that comes after so long.
func pass(_ duration: Duration) async {
    let gate = Gate()
    let signal = AbortSignal.timeout(duration)
    signal.onAbort { _ in gate.open() }
    await gate.wait()
    // A signal that is dropped is never given.
    withExtendedLifetime(signal) {}
}

/// Reads until so many bytes came or the stream ended.
func readExactly(_ count: Int, from socket: Socket) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count, let chunk = try await socket.read(upTo: count - bytes.count) {
        bytes += chunk
    }
    return bytes
}

/// Reads to the end of the stream.
func readAll(from socket: Socket) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while let chunk = try await socket.read() { bytes += chunk }
    return bytes
}

/// What an operation threw; nil when it did not.
func thrown(_ body: () async throws -> Void) async -> SocketError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? SocketError
    }
}

/// Bytes whose pattern repeats after a prime number of them, so that a hole or an exchange shows.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + period.count)
    bytes += period[(seed % period.count)...]
    while bytes.count < count { bytes += period }
    bytes.removeLast(bytes.count - count)
    return bytes
}

private let period: [UInt8] = (0..<8191).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }

/// A place to leave values from any task.
final class Log<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])

    var all: [Value] { values.withLock { $0 } }
    var count: Int { values.withLock { $0.count } }

    func append(_ value: Value) {
        values.withLock { $0.append(value) }
    }
}

/// Something that happens once, and whoever waits for it, from any number of tasks.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiters: [UInt64: Waiter] = [:]
        var nextNumber: UInt64 = 0
    }

    private let state = Mutex(State())

    var isOpen: Bool { state.withLock { $0.isOpen } }

    func open() {
        let waiters = state.withLock { s in
            s.isOpen = true
            defer { s.waiters = [:] }
            return s.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    /// Waits for it; also ends when the task is cancelled.
    func wait() async {
        let number = state.withLock { s in
            s.nextNumber += 1
            return s.nextNumber
        }
        await withTaskCancellationHandler {
            await Waiter.suspend { waiter in
                state.withLock { s in
                    guard !s.isOpen, !Task.isCancelled else { return false }
                    s.waiters[number] = waiter
                    return true
                }
            }
        } onCancel: {
            state.withLock { s in s.waiters.removeValue(forKey: number) }?.resume()
        }
    }
}

extension Socket {
    /// The descriptor's number while it is open, -1 after that.
    var descriptor: Int32 { connection.state.withLock { $0.descriptor } }

    /// Whether a task waits in one of the socket's turns.
    var hasReader: Bool { connection.state.withLock { $0.readTurn.isHeld } }
    var hasWriter: Bool { connection.state.withLock { $0.writeTurn.isHeld } }
    var writersInLine: Int { connection.state.withLock { $0.writeTurn.lineCount } }
    var readersInLine: Int { connection.state.withLock { $0.readTurn.lineCount } }
}
