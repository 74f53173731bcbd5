// A TLS server for tests that shows what it saw: the library's own listener behind a pipe that keeps
// the ClientHello, as it came, of every connection.

public import Sockets
public import TLSTestKit

/// A TLS server on 127.0.0.1 that exists while a closure runs.
///
/// ```swift
/// let leaf = try TestCA().issue("localhost")
/// try await TestServer.run(leaf, alpn: ["h2"]) { server in
///     try await withSocket(server.client()) { socket in … }
///     #expect(server.lastClientHello?.servername == "localhost")
/// }
/// ```
///
/// It sends back what it receives unless a handler says otherwise. When the closure ends, connections
/// that are open are aborted. To handlers the peer's address is that of the pipe.
public final class TestServer: Sendable {
    /// Where it listens.
    public let address: SocketAddress
    /// What it presents.
    public let certificate: IssuedCertificate
    private let hellos: Journal<ClientHello>
    private let outcomes: Journal<Outcome>
    private let handlerErrors: Journal<any Error>

    /// How a handshake went.
    public enum Outcome: Sendable {
        /// It was completed.
        case accepted(HandshakeReport)
        /// It failed.
        case failed(SocketError)
    }

    /// The port that the system chose.
    public var port: UInt16 { address.port }
    /// The ClientHello of the last connection that sent one.
    public var lastClientHello: ClientHello? { hellos.entries.last }
    /// All ClientHellos in order.
    public var clientHellos: [ClientHello] { hellos.entries }
    /// How each handshake went, in the order in which they ended.
    public var handshakes: [Outcome] { outcomes.entries }
    /// The reports of the handshakes that were completed.
    public var accepted: [HandshakeReport] {
        outcomes.entries.compactMap { if case .accepted(let report) = $0 { report } else { nil } }
    }
    /// The errors of the handshakes that failed; their reports are in `SocketError.report`.
    public var failed: [SocketError] {
        outcomes.entries.compactMap { if case .failed(let error) = $0 { error } else { nil } }
    }
    /// What handlers threw.
    public var errors: [any Error] { handlerErrors.entries }

    private init(
        _ address: SocketAddress,
        _ certificate: IssuedCertificate,
        _ hellos: Journal<ClientHello>,
        _ outcomes: Journal<Outcome>,
        _ handlerErrors: Journal<any Error>
    ) {
        self.address = address
        self.certificate = certificate
        self.hellos = hellos
        self.outcomes = outcomes
        self.handlerErrors = handlerErrors
    }

    /// Runs a server while a closure runs.
    ///
    /// - Parameters:
    ///   - certificate: What it presents; nil makes an authority and a certificate for localhost,
    ///     127.0.0.1 and ::1.
    ///   - alpn: The protocols it speaks, most preferred first.
    ///   - clientAuthentication: Whether clients are asked for a certificate.
    ///   - clientAuthorities: Whose client certificates it trusts; needed when it asks for one.
    ///   - configure: Changes the listener's other settings.
    ///   - handler: Gets every socket, ready; sends back what it receives by default.
    ///   - body: Gets the server.
    /// - Returns: What the closure returns.
    /// - Throws: `SocketError` of listening, `TestKitError`, or what the closure throws.
    public static func run<Result: Sendable>(
        _ certificate: IssuedCertificate? = nil,
        alpn: [String] = [],
        clientAuthentication: ClientAuthentication = .none,
        clientAuthorities: [TestCA] = [],
        configure: (inout SocketListenerInit) throws -> Void = { _ in },
        handler: @escaping @Sendable (Socket) async throws -> Void = TestServer.echo,
        _ body: (TestServer) async throws -> Result
    ) async throws -> Result {
        let certificate = try certificate ?? makeLoopbackCertificate()
        var options = SocketListenerInit(
            type: .tls,
            local: SocketAddress("127.0.0.1", port: 0),
            identity: try TLSIdentity(
                certificate: Array(certificate.chainPEM.utf8),
                privateKey: Array(certificate.privateKeyPEM.utf8)
            )
        )
        options.alpn = alpn
        options.clientAuthentication = clientAuthentication
        if !clientAuthorities.isEmpty {
            let anchors = try clientAuthorities.map { try Certificate(der: $0.certificateDER) }
            options.trust = TrustPolicy(anchors: anchors)
        }
        try configure(&options)
        let hellos = Journal<ClientHello>()
        let (outcomes, errors) = (Journal<Outcome>(), Journal<any Error>())
        return try await withServer(options) { error, _ in
            if let error = error as? SocketError { outcomes.append(.failed(error)) }
        } serving: { socket in
            if let report = socket.report { outcomes.append(.accepted(report)) }
            do {
                try await handler(socket)
            } catch {
                errors.append(error)
                throw NotedFailure()
            }
        } _: { inner in
            let outer = SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
            return try await withServer(outer) { socket in
                try await pipe(socket, to: inner) { hellos.append($0) }
            } _: { address in
                try await body(TestServer(address, certificate, hellos, outcomes, errors))
            }
        }
    }

    /// Sends back what a socket receives, until its peer ends.
    @Sendable
    public static func echo(_ socket: Socket) async throws {
        for try await chunk in try socket.stream() { try await socket.write(chunk) }
    }

    /// Waits until so many handshakes have ended, well or not, or the task is cancelled.
    ///
    /// A client of TLS 1.3 is ready before its server.
    ///
    /// - Parameter count: How many in all.
    public func waitForHandshakes(_ count: Int) async { await outcomes.wait(for: count) }

    /// Makes options of a client that trusts this server and asks for its name.
    ///
    /// - Parameter configure: Changes them.
    /// - Returns: The options.
    /// - Throws: `TLSError`, or what the closure throws.
    public func client(
        _ configure: (inout SocketInit) throws -> Void = { _ in }
    ) throws -> SocketInit {
        let anchor = try Certificate(der: certificate.rootDER)
        return try SocketInit(type: .tls, remote: address) {
            $0.servername = servername(of: certificate)
            $0.trust = TrustPolicy(anchors: [anchor])
            try configure(&$0)
        }
    }
}

/// Aborts a connection whose handler's error is noted already.
private struct NotedFailure: Error {}

/// Carries bytes between a client and a server, with everything they do to the connection.
///
/// - Parameters:
///   - client: The client's side.
///   - server: Where to connect to.
///   - note: Told of the ClientHello, if the client sends one, before the server sees the end of it.
/// - Throws: What either side throws.
private func pipe(
    _ client: Socket,
    to server: SocketAddress,
    _ note: @escaping @Sendable (ClientHello) -> Void
) async throws {
    let inner = try Socket(SocketInit(remote: server) { $0.noDelay = true })
    _ = try await inner.ready
    do {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var prefix: [UInt8]? = []
                while let bytes = try await client.read() {
                    if let seen = prefix {
                        prefix = seen + bytes
                        do throws(TLSError) {
                            if let hello = try ClientHello(reading: seen + bytes) {
                                note(hello)
                                prefix = nil
                            }
                        } catch {
                            prefix = nil
                        }
                    }
                    try await inner.write(bytes)
                }
                try await inner.shutdownWrite()
            }
            group.addTask {
                while let bytes = try await inner.read() { try await client.write(bytes) }
                try await client.shutdownWrite()
            }
            // One direction's failure ends the other, which waiting for all would not.
            while try await group.next() != nil {}
        }
        try await inner.close()
    } catch {
        // A reset on one side is one on the other; the client's follows from the error.
        inner.abort("the other side of the pipe failed")
        throw error
    }
}
