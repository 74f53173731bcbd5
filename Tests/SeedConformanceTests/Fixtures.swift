// What the suites share: certificates, two ends of a connection on the loopback interface, and the
// kernel's view of a socket, by which the effect of an option is seen from outside the library.

import Foundation
import SocketCore
import Sockets
import Synchronization
import TLSTestKit
import Testing

/// One authority for the process, and who it vouches for.
struct Authority: Sendable {
    private static let made = Result { try Authority() }

    let ca: TestCA
    let anchors: [Certificate]
    /// For `localhost`, `a.test` and the loopback addresses.
    let server: TLSIdentity
    /// A good OCSP response about the server's certificate.
    let staple: [UInt8]
    let client: IssuedCertificate

    static func shared() throws -> Authority { try made.get() }

    private init() throws {
        ca = try TestCA()
        anchors = try Certificate.read(Array(ca.certificatePEM.utf8))
        let issued = try ca.issue("localhost", "a.test", "127.0.0.1", "::1")
        server = try TLSIdentity(issued)
        staple = try ca.ocspAnswer(for: issued).der
        client = try ca.issueClient("alice")
    }
}

extension TLSIdentity {
    init(_ issued: IssuedCertificate) throws {
        try self.init(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: Array(try issued.privateKeyPEM.utf8)
        )
    }
}

let loopback = SocketAddress("127.0.0.1", port: 0)

func makeListener(
    _ type: SocketType = .tcp,
    _ configure: (inout SocketListenerInit) throws -> Void = { _ in }
) throws -> SocketListener {
    var options = SocketListenerInit(type: type, local: loopback)
    // As for clients: who decides may wait long for a thread while other suites compute.
    options.limits.handshake = .seconds(60)
    if type == .tls { options.identity = try Authority.shared().server }
    try configure(&options)
    return try SocketListener(options)
}

/// What connects to a listener; a TLS client trusts the authority.
func clientOptions(_ type: SocketType = .tcp, to listener: SocketListener) throws -> SocketInit {
    var options = SocketInit(type: type, remote: listener.localAddress)
    // The task that takes the connections may wait long for a thread while other suites compute.
    options.limits.handshake = .seconds(60)
    if type == .tls { options.trust = TrustPolicy(anchors: try Authority.shared().anchors) }
    return options
}

/// Two ends of one connection, both ready.
struct Pair: Sendable {
    let client: Socket
    let event: OnSocketEvent
    let listener: SocketListener
    var server: Socket { event.socket }

    init(
        _ type: SocketType = .tcp,
        client configureClient: (inout SocketInit) throws -> Void = { _ in },
        server configureServer: (inout SocketListenerInit) throws -> Void = { _ in }
    ) async throws {
        listener = try makeListener(type, configureServer)
        var options = try clientOptions(type, to: listener)
        try configureClient(&options)
        // A listener accepts from when somebody takes its connections.
        var iterator = listener.makeAsyncIterator()
        client = try Socket(options)
        // A client that fails throws here; the listener would wait for another.
        _ = try await client.ready
        event = try #require(try await iterator.next())
    }

    func clientTLS() throws -> TLSSocketInfo { try #require(client.info?.tls) }
    func serverTLS() throws -> TLSSocketInfo { try #require(server.info?.tls) }
}

/// A listener that answers each connection with a byte, and clients that read it: with it come the
/// sessions of TLS 1.3.
struct Resumption: Sendable {
    let listener: SocketListener
    private let version: ProtocolVersion

    init(
        _ version: ProtocolVersion,
        _ configure: (inout SocketListenerInit) throws -> Void = { _ in }
    ) throws {
        self.version = version
        listener = try makeListener(.tls, configure)
        try listener.onSocket { try? $0.respondWith(SocketResponse(body: "!")) }
    }

    /// Connects, reads to the end, and tells what the client knows.
    func connect(_ configure: (inout SocketInit) throws -> Void) async throws -> TLSSocketInfo {
        var options = try clientOptions(.tls, to: listener)
        options.minimumVersion = version
        options.maximumVersion = version
        try configure(&options)
        let socket = try Socket(options)
        #expect(try await socket.receiveAll() == Array("!".utf8))
        return try #require(socket.info?.tls)
    }
}

/// A server that accepts a connection and never says a word, so that a TLS client waits.
final class SilentServer: Sendable {
    let listener: SocketListener
    /// A connection that nobody keeps is closed.
    private let kept = Mutex<[OnSocketEvent]>([])

    init() throws {
        listener = try makeListener()
        try listener.onSocket { [weak self] event in self?.kept.withLock { $0.append(event) } }
    }
}

extension Socket {
    /// Everything until the peer ends its side.
    func receiveAll() async throws -> [UInt8] {
        var received: [UInt8] = []
        while let chunk = try await read() { received += chunk }
        return received
    }

    /// Exactly so many bytes, or fewer at the end of the stream.
    func receive(_ count: Int) async throws -> [UInt8] {
        var received: [UInt8] = []
        while received.count < count, let chunk = try await read(upTo: count - received.count) {
            received += chunk
        }
        return received
    }
}

/// The kernel's view of a socket of this process, found by its two addresses.
struct KernelSocket {
    private let descriptor: Int32

    init(_ socket: Socket) throws {
        let info = try #require(socket.info)
        let names = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        let found = names.compactMap { Int32($0) }.first { number in
            Self.is(StreamSocket.localAddress(number), info.local)
                && Self.is(StreamSocket.remoteAddress(number), info.remote)
        }
        descriptor = try #require(found)
    }

    private static func `is`(_ address: NetworkAddress?, _ expected: SocketAddress) -> Bool {
        guard case .ip(let ip, let port) = address else { return false }
        return ip.description == expected.address && port == expected.port
    }

    var noDelay: Bool { get throws { try SocketOptions.noDelay(of: descriptor) } }
    var ttl: Int { get throws { try SocketOptions.timeToLive(of: descriptor, family: .ipv4) } }
    /// Bytes as they were set: the kernel counts twice that.
    var sendBufferSize: Int {
        get throws { try SocketOptions.sendBufferSize(of: descriptor) / 2 }
    }
    /// Bytes as they were set: the kernel counts twice that.
    var receiveBufferSize: Int {
        get throws { try SocketOptions.receiveBufferSize(of: descriptor) / 2 }
    }
}

extension SocketError {
    /// The code of what an operation throws; nil when it succeeds.
    static func code(
        of operation: () async throws(SocketError) -> Void
    ) async -> SocketError.Code? {
        do throws(SocketError) {
            try await operation()
            return nil
        } catch {
            return error.code
        }
    }
}
