// Servers that misbehave on purpose, on sockets. What they send is decided in memory, by
// `FaultConversation` and `UncheckedServer`; here it is carried, at the fault's pace.

public import Sockets
public import TLSTestKit

/// A server on the loopback interface with one fault, that exists while a closure runs.
///
/// ```swift
/// try await FaultServer.run(.missingCloseNotify) { server in
///     let error = await #expect(throws: SocketError.self) {
///         try await withSocket(server.client()) { … }
///     }
///     #expect(error?.code == .truncated)
/// }
/// ```
public final class FaultServer: Sendable {
    /// How long it waits where a fault has it wait.
    public struct Pace: Sendable, Hashable {
        /// The time between two bytes of `TransportFault.bytePerSecond`.
        public var byteInterval: Duration
        /// The time in front of each flight of `TransportFault.pausedFlights`.
        public var flightPause: Duration

        /// Makes a pace.
        ///
        /// - Parameters:
        ///   - byteInterval: The time between two bytes; a second by default.
        ///   - flightPause: The time in front of each flight; a second by default.
        public init(
            byteInterval: Duration = .seconds(1),
            flightPause: Duration = .seconds(1)
        ) {
            self.byteInterval = byteInterval
            self.flightPause = flightPause
        }
    }

    /// Where it listens.
    public let address: SocketAddress
    /// The name or address that a client has to ask for.
    public let host: String
    /// What a client has to trust.
    public let anchors: [Certificate]
    /// When a client has to verify; nil for now.
    public let verificationTime: UnixTime?
    private let hellos: Journal<ClientHello>

    /// The port that the system chose.
    public var port: UInt16 { address.port }
    /// The ClientHello of the last connection that sent one.
    public var lastClientHello: ClientHello? { hellos.entries.last }

    private init(
        _ address: SocketAddress,
        host: String,
        anchors: [Certificate],
        verificationTime: UnixTime? = nil,
        hellos: Journal<ClientHello>
    ) {
        self.address = address
        self.host = host
        self.anchors = anchors
        self.verificationTime = verificationTime
        self.hellos = hellos
    }

    /// Runs a server with a transport fault while a closure runs.
    ///
    /// - Parameters:
    ///   - fault: What it does wrong.
    ///   - version: The one version it speaks, one of the fault's.
    ///   - certificate: What it presents; nil makes an authority and a certificate for localhost.
    ///   - greeting: What it says as soon as the handshake is done, as servers of mail do; a fault
    ///     behind the handshake hits that. Without one it hits the answer to the client's first data.
    ///   - pace: How long it waits where the fault has it wait.
    ///   - body: Gets the server.
    /// - Returns: What the closure returns.
    /// - Throws: `SocketError` of listening, `TestKitError`, or what the closure throws.
    public static func run<Result: Sendable>(
        _ fault: TransportFault,
        version: ProtocolVersion = .tls13,
        certificate: IssuedCertificate? = nil,
        greeting: String = "",
        pace: Pace = Pace(),
        _ body: (FaultServer) async throws -> Result
    ) async throws -> Result {
        let certificate = try certificate ?? makeLoopbackCertificate()
        let anchor = try Certificate(der: certificate.rootDER)
        let greeting = Array(greeting.utf8)
        // Once, so that what is wrong with the request is told to the caller.
        _ = try FaultConversation(fault, version, certificate: certificate)
        let hellos = Journal<ClientHello>()
        let options = SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
        return try await withServer(options) { socket in
            let conversation = try FaultConversation(
                fault,
                version,
                certificate: certificate,
                greeting: greeting
            )
            try await socket.converse(conversation, pace) { hellos.append($0) }
        } _: { address in
            let host = servername(of: certificate)
            return try await body(
                FaultServer(address, host: host, anchors: [anchor], hellos: hellos)
            )
        }
    }

    /// Runs a server with a bad certificate while a closure runs.
    ///
    /// It sends back what it receives.
    ///
    /// - Parameters:
    ///   - fault: What is wrong with the certificate or its chain.
    ///   - authority: A correct root; nil makes one.
    ///   - body: Gets the server.
    /// - Returns: What the closure returns.
    /// - Throws: `SocketError` of listening, `TestKitError`, or what the closure throws.
    public static func run<Result: Sendable>(
        _ fault: CertificateFault,
        under authority: TestCA? = nil,
        _ body: (FaultServer) async throws -> Result
    ) async throws -> Result {
        try await run(fault.scenario(under: authority ?? TestCA()), body)
    }

    /// Runs a server with a scenario while a closure runs: a fault's, or one changed to a test's wishes.
    ///
    /// It sends back what it receives.
    ///
    /// - Parameters:
    ///   - scenario: What it presents, in which versions, and for which host.
    ///   - body: Gets the server.
    /// - Returns: What the closure returns.
    /// - Throws: `SocketError` of listening, `TestKitError`, or what the closure throws.
    public static func run<Result: Sendable>(
        _ scenario: FaultScenario,
        _ body: (FaultServer) async throws -> Result
    ) async throws -> Result {
        let anchors = try scenario.anchorsDER.map { try Certificate(der: $0) }
        let hellos = Journal<ClientHello>()
        let isAddress = (try? ServerName(scenario.host))?.kind == .ipAddress
        let local = SocketAddress(isAddress ? scenario.host : "127.0.0.1", port: 0)
        return try await withServer(SocketListenerInit(local: local)) { socket in
            var server = try scenario.server()
            var prefix: [UInt8]? = []
            while server.failure == nil, let bytes = try await socket.read() {
                if let seen = prefix {
                    prefix = seen + bytes
                    if let hello = try ClientHello(reading: seen + bytes) {
                        hellos.append(hello)
                        prefix = nil
                    }
                }
                let answer = server.receive(bytes)
                if !answer.isEmpty { try await socket.write(answer) }
            }
        } _: { address in
            try await body(
                FaultServer(
                    address,
                    host: scenario.host,
                    anchors: anchors,
                    verificationTime: UnixTime(seconds: scenario.unixSeconds),
                    hellos: hellos
                )
            )
        }
    }

    /// Makes options of a client that is right in everything: what it trusts, whom it asks for, and
    /// when it verifies.
    ///
    /// - Parameter configure: Changes them.
    /// - Returns: The options.
    /// - Throws: What the closure throws.
    public func client(
        _ configure: (inout SocketInit) throws -> Void = { _ in }
    ) rethrows -> SocketInit {
        var options = SocketInit(type: .tls, remote: address)
        let isAddress = (try? ServerName(host))?.kind == .ipAddress
        options.servername = isAddress ? nil : host
        options.alpn = ["h2", "http/1.1"]
        options.trust = TrustPolicy(anchors: anchors)
        options.trust.verificationTime = verificationTime
        try configure(&options)
        return options
    }
}

extension Socket {
    /// Plays a server's side over a plain socket until the client has gone.
    ///
    /// - Parameters:
    ///   - conversation: Says what to do.
    ///   - pace: How long to wait where the fault has it wait.
    ///   - first: What the client has said already.
    ///   - note: Told of the ClientHello.
    /// - Throws: What writing throws when the client goes first, or `TestKitError` when it ends the
    ///   handshake.
    func converse(
        _ conversation: FaultConversation,
        _ pace: FaultServer.Pace,
        first: [UInt8] = [],
        _ note: (ClientHello) -> Void = { _ in }
    ) async throws {
        guard try await perform(conversation.begin(), conversation.fault, pace) else { return }
        var isNoted = false
        var next: [UInt8]? = first.isEmpty ? try await read() : first
        while let bytes = next {
            let actions = try conversation.receive(bytes)
            if !isNoted, let hello = conversation.clientHello {
                isNoted = true
                note(hello)
            }
            guard try await perform(actions, conversation.fault, pace) else { return }
            next = try await read()
        }
    }

    /// Does what a conversation says; false when the connection is reset.
    private func perform(
        _ actions: [FaultConversation.Action],
        _ fault: TransportFault,
        _ pace: FaultServer.Pace
    ) async throws -> Bool {
        for action in actions {
            switch action {
            case .send(let bytes): try await send(bytes, fault.pacing, pace)
            case .end: try await shutdownWrite()
            case .reset:
                abort("the fault is a reset")
                return false
            }
        }
        return true
    }

    private func send(
        _ bytes: [UInt8],
        _ pacing: TransportFault.Pacing,
        _ pace: FaultServer.Pace
    ) async throws {
        switch pacing {
        case .prompt: try await write(bytes)
        case .split: for byte in bytes { try await write([byte]) }
        case .paused:
            try await Task.sleep(for: pace.flightPause)
            try await write(bytes)
        case .trickling:
            for byte in bytes {
                try await Task.sleep(for: pace.byteInterval)
                try await write([byte])
            }
        }
    }
}
