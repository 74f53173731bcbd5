// The catalogue of revocation over real connections: what a client makes of lists and staples, and a
// listener of lists, is what the catalogue says.

import Sockets
import TLSEngine
import TLSTestKit
import TLSTestServers
import Testing

/// A fault, a version, and whether evidence is required.
struct RevocationRow: Sendable, CustomTestStringConvertible {
    let fault: RevocationFault
    let version: ProtocolVersion
    let demand: RevocationPolicy.Demand

    var testDescription: String { "\(fault), \(version), \(demand.rawValue)" }

    /// All rows of the faults given.
    static func all(_ source: RevocationFault.Source? = nil) -> [RevocationRow] {
        RevocationFault.allCases.filter { source == nil || $0.source == source }
            .flatMap { fault in
                [ProtocolVersion.tls12, .tls13].flatMap { version in
                    RevocationPolicy.Demand.allCases.map {
                        RevocationRow(fault: fault, version: version, demand: $0)
                    }
                }
            }
    }

    /// Why the certificate must be refused; nil to connect.
    var expected: VerificationCode? {
        switch demand {
        case .off: nil
        case .ifPresent: fault.clientCode == .revocationUnknown ? nil : fault.clientCode
        case .require: fault.clientCode
        }
    }

    /// What must have cleared the certificate of a connection that is made.
    var evidence: RevocationEvidence? {
        guard demand != .off, fault.clientCode == nil else { return nil }
        return fault.source == .list ? .list : .staple
    }

    /// The alert that tells the peer (RFC 6066 §8, RFC 8446 §6.2).
    var alert: UInt8? {
        switch expected {
        case nil: nil
        case .revoked? where fault.source == .list: 44
        case .listExpired?: 45
        case .listBadSignature?: 51
        case .listNotYetValid?: 42
        case let code? where fault.source == .ocsp && code.rawValue > 0: 113
        default: nil
        }
    }
}

@Suite("The catalogue of revocation", .timeLimit(.minutes(1)))
struct RevocationTests {
    /// The fault as a policy's lists.
    func policy(_ row: RevocationRow, _ scenario: RevocationScenario) throws -> RevocationPolicy {
        let lists = try scenario.lists.map { try CertificateRevocationList(der: $0.der) }
        return RevocationPolicy(row.demand, lists: lists)
    }

    @Test(
        "a client does what the catalogue says of lists and staples",
        arguments: RevocationRow.all()
    )
    func client(_ row: RevocationRow) async throws {
        let authority = try Authority.shared()
        let revocation = try row.fault.scenario(under: authority.root)
        var scenario = try CertificateFault.wrongHost.scenario(under: authority.root)
        scenario.certificate = revocation.certificate
        scenario.staple = revocation.answer
        scenario.versions = row.version...row.version
        let served = scenario
        let policy = try policy(row, revocation)
        let (error, report) = try await FaultServer.run(served) { server in
            try await reportOfClient(served, at: server.address) { options in
                options.trust.revocation = policy
                options.requestsOCSPStaple = true
            }
        }
        #expect(error?.tls?.verification?.code == row.expected, "\(String(describing: error))")
        #expect(report?.ocspResponse == (row.fault == .ocspEmpty ? nil : revocation.answer?.der))
        #expect(report?.revocationEvidence == row.evidence)
        #expect(report?.isPeerTrusted == (row.expected == nil))
        if row.demand == .off {
            #expect(report?.concessions == ["revocation is not looked at"])
            #expect(report?.ocspStaple == nil)
        }
        guard let error else { return }
        #expect(error.code == .certificateRejected)
        #expect(error.tls?.code == .certificateRejected && error.tls?.category == .policy)
        #expect(error.tls?.phase == .certificate)
        #expect(error.tls?.hint != nil)
        #expect(error.tls?.verification?.depth == 0)
        #expect(
            error.tls?.verification?.certificate?.der == revocation.certificate.certificateDER
        )
        #expect(report?.alertSent != nil)
        if let alert = row.alert { #expect(report?.alertSent?.code == alert) }
    }

    @Test("a listener does what the catalogue says of lists", arguments: RevocationRow.all(.list))
    func listener(_ row: RevocationRow) async throws {
        let authority = try Authority.shared()
        let revocation = try row.fault.scenario(under: authority.root, for: .client("alice"))
        let policy = try policy(row, revocation)
        let own = try revocation.certificate.tlsIdentity
        let (client, server) = try await meet(version: row.version, client: own) {
            $0.trust.revocation = policy
        }
        #expect(server.error?.tls?.verification?.code == row.expected, "\(server)")
        guard let error = server.error else {
            #expect(client == nil)
            #expect(server.report?.revocationEvidence == row.evidence)
            return
        }
        #expect(error.code == .certificateRejected)
        #expect(error.tls?.phase == .clientAuthentication)
        #expect(error.tls?.hint != nil)
        #expect(error.tls?.verification?.depth == 0)
        #expect(error.tls?.verification?.certificate?.der == own.certificate.der)
        #expect(client?.code == .localCertificateRejected || row.alert == nil)
        if let alert = row.alert { #expect(client?.tls?.alert?.code == alert) }
    }

    @Test("a listener that requires evidence refuses a client of whom nothing is known")
    func nothingKnown() async throws {
        let authority = try Authority.shared()
        let own = try authority.root.issueClient("bob").tlsIdentity
        for version in [ProtocolVersion.tls12, .tls13] {
            let (_, server) = try await meet(version: version, client: own) {
                $0.trust.revocation = .require
            }
            #expect(server.error?.tls?.verification?.code == .revocationUnknown)
        }
    }
}

/// What a listener saw of a client.
struct ListenerView: Sendable {
    var error: SocketError?
    var report: HandshakeReport?
}

/// Has a client with a certificate come to a listener that requires one.
///
/// - Returns: What either side made of it.
func meet(
    version: ProtocolVersion,
    client identity: TLSIdentity,
    _ configure: (inout SocketListenerInit) -> Void
) async throws -> (client: SocketError?, server: ListenerView) {
    let authority = try Authority.shared()
    var options = SocketListenerInit(type: .tls, local: SocketAddress("127.0.0.1", port: 0))
    options.identity = try authority.root.issue("a.test").tlsIdentity
    options.clientAuthentication = .require
    options.minimumVersion = version
    options.maximumVersion = version
    options.limits.handshake = patience
    options.trust = try authority.root.trust
    configure(&options)
    let listener = try SocketListener(options)
    let (views, seen) = AsyncStream<ListenerView>.makeStream()
    async let serving: Void = listener.serve(
        onError: { error, _ in seen.yield(ListenerView(error: error as? SocketError)) },
        { socket in
            seen.yield(ListenerView(report: try await socket.ready.report))
            guard let bytes = try await socket.read() else { return }
            try await socket.write(bytes)
        }
    )
    let scenario = try CertificateFault.wrongHost.scenario(under: authority.root)
    let (error, _) = try await reportOfClient(scenario, at: listener.localAddress) {
        $0.servername = "a.test"
        $0.identity = identity
    }
    var iterator = views.makeAsyncIterator()
    let view = try #require(await iterator.next())
    await listener.close()
    try await serving
    return (error, view)
}

/// Connects as the scenario says, to `a.test`, and echoes a byte to be sure of a connection.
///
/// - Returns: What the client made of the server, and its report.
func reportOfClient(
    _ scenario: FaultScenario,
    at address: SocketAddress,
    _ configure: (inout SocketInit) -> Void
) async throws -> (SocketError?, HandshakeReport?) {
    var options = SocketInit(type: .tls, remote: address)
    options.limits.handshake = patience
    options.trust = try scenario.trust
    options.servername = "a.test"
    configure(&options)
    let socket = try Socket(options)
    do throws(SocketError) {
        let report = try await socket.ready.report
        try await socket.write("?")
        let answer = try await socket.read(upTo: 1)
        try await socket.close()
        return (answer == [UInt8(ascii: "?")] ? nil : SocketError(.truncated), report)
    } catch {
        return (error, error.report)
    }
}
