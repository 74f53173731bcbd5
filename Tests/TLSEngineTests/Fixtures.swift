// What most tests of the engine begin with: one authority a process, an identity of each kind of
// key under it, and contexts that differ from the defaults only where a test says so.

import TLSEngine
import TLSTestKit
import Testing

/// The kinds of key that handshakes are tested with.
let handshakeKeys: [TestKey] = [.p256, .p384, .ed25519, .rsa2048, .rsaPSS2048]

/// Both protocol versions.
let versions: [ProtocolVersion] = [.tls12, .tls13]

/// The authority and the identities that tests share; nothing of it is ever changed.
struct Fixtures: Sendable {
    let ca: TestCA
    /// An authority that nobody trusts.
    let strangers: TestCA
    let root: Certificate
    private let servers: [TestKey: TLSIdentity]
    let clientIdentity: TLSIdentity
    let strangerIdentity: TLSIdentity
    /// A good staple for the identity of P-256.
    let staples = OCSPStapleShelf()

    private init() throws {
        ca = try TestCA()
        strangers = try TestCA(name: "Strangers")
        root = try Certificate(der: ca.rootDER)
        var servers: [TestKey: TLSIdentity] = [:]
        for key in handshakeKeys {
            let issued = try ca.issue("localhost", "127.0.0.1", key: key)
            let identity = try TLSIdentity(issued)
            servers[key] = identity
            guard key == .p256 else { continue }
            let staple = try OCSPStaple(reading: ca.ocspAnswer(for: issued).der, for: identity)
            staples.put(staple, for: identity.certificate)
        }
        self.servers = servers
        clientIdentity = try TLSIdentity(ca.issueClient("alice"))
        strangerIdentity = try TLSIdentity(strangers.issueClient("mallory"))
    }

    private static let made = Result { try Fixtures() }

    static func shared() throws -> Fixtures { try made.get() }

    func serverIdentity(_ key: TestKey = .p256) throws -> TLSIdentity {
        try #require(servers[key])
    }

    /// Makes a client that trusts the authority.
    func client(
        identities: [TLSIdentity] = [],
        trust: TrustPolicy? = nil,
        _ configure: (inout TLSPolicy) throws -> Void = { _ in }
    ) throws -> TLSContext {
        try TLSContext(
            role: .client,
            policy: TLSPolicy(configure),
            identities: identities,
            trust: trust ?? TrustPolicy(anchors: [root])
        )
    }

    /// Makes a server for `localhost` and 127.0.0.1 that trusts clients of the authority.
    func server(
        _ key: TestKey = .p256,
        identities: [TLSIdentity]? = nil,
        trust: TrustPolicy? = nil,
        staples: OCSPStapleShelf? = nil,
        _ configure: (inout TLSPolicy) throws -> Void = { _ in }
    ) throws -> TLSContext {
        try TLSContext(
            role: .server,
            policy: TLSPolicy(configure),
            identities: identities ?? [serverIdentity(key)],
            trust: trust ?? TrustPolicy(anchors: [root]),
            staples: staples
        )
    }

    /// Makes a client and a server of one version, with the defaults else.
    func pair(
        _ version: ProtocolVersion = .tls13,
        key: TestKey = .p256,
        tamper: EnginePair.Tamper? = nil
    ) throws -> EnginePair {
        try EnginePair(
            client: client { $0.allowOnly(version) },
            server: server(key) { $0.allowOnly(version) },
            tamper: tamper
        )
    }
}

extension TLSPolicy {
    mutating func allowOnly(_ version: ProtocolVersion) {
        minimumVersion = version
        maximumVersion = version
    }
}

extension TLSIdentity {
    /// Reads what the kit issued, in PEM as a server finds it on disk.
    init(_ issued: IssuedCertificate) throws {
        try self.init(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: Array(issued.privateKeyPEM.utf8)
        )
    }
}

/// What an expectation may look at of a side, which itself cannot be copied.
struct SideFacts {
    var received: [UInt8]
    var error: TLSError?
    var isReady: Bool
    var isAtEnd: Bool
    var phase: HandshakePhase
    var report: HandshakeReport
    var peerHasClosed: Bool
    var isOpen: Bool
}

extension EnginePair {
    /// What is to be seen of one side.
    func facts(_ role: TLSRole) -> SideFacts {
        func facts(_ side: borrowing Side) -> SideFacts {
            SideFacts(
                received: side.received,
                error: side.error,
                isReady: side.isReady,
                isAtEnd: side.isAtEnd,
                phase: side.engine.phase,
                report: side.engine.report,
                peerHasClosed: side.engine.peerHasClosed,
                isOpen: side.engine.isOpen
            )
        }
        return role == .client ? facts(client) : facts(server)
    }

    /// The errors of both sides.
    var errors: [TLSRole: TLSError] {
        var errors: [TLSRole: TLSError] = [:]
        errors[.client] = client.error
        errors[.server] = server.error
        return errors
    }

    /// Whether both handshakes are done and nobody has failed.
    var isReady: Bool {
        client.isReady && server.isReady && errors.isEmpty
    }

    /// Sends a piece of data each way and expects it to arrive.
    func expectDataFlows(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let (request, response) = (client.received.count, server.received.count)
        let there: [UInt8] = Array("there".utf8)
        let back: [UInt8] = Array("and back".utf8)
        try send(there, from: .client)
        try send(back, from: .server)
        #expect(Array(server.received.dropFirst(response)) == there, sourceLocation: sourceLocation)
        #expect(Array(client.received.dropFirst(request)) == back, sourceLocation: sourceLocation)
        #expect(errors.isEmpty, sourceLocation: sourceLocation)
    }
}

/// Bytes that differ from their neighbours, so that a piece in the wrong place shows.
func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
}

/// Runs a step of an engine with memory of its own for what it produces.
///
/// - Returns: What was produced, and how the step ended.
func produced(
    capacity: Int = 65536,
    _ step: (inout OutputSpan<UInt8>) throws(TLSError) -> TLSEngine.Progress
) -> (bytes: [UInt8], result: Result<TLSEngine.Progress, TLSError>) {
    var result: Result<TLSEngine.Progress, TLSError> = .failure(TLSError(.internalError))
    let bytes = [UInt8](capacity: capacity) { output in
        do throws(TLSError) {
            result = .success(try step(&output))
        } catch {
            result = .failure(error)
        }
    }
    return (bytes, result)
}
