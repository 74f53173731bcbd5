// Every form of client authentication against the library's listener: the server's verdict is the
// catalogue's, and the client is told.

import Sockets
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

/// A form in a version, at a server that requests or requires.
struct ClientRow: Sendable, CustomTestStringConvertible {
    let fault: ClientCertificateFault
    let version: ProtocolVersion
    let demand: ClientAuthentication

    var testDescription: String { "\(fault), \(version), \(demand.rawValue)" }

    static let all = ClientCertificateFault.allCases.flatMap { fault in
        [ProtocolVersion.tls12, .tls13].flatMap { version in
            ClientAuthentication.allCases.map {
                ClientRow(fault: fault, version: version, demand: $0)
            }
        }
    }

    /// What the server must do.
    var verdict: CertificateFault.Verdict {
        // Who is not asked shows nothing, and who is only requested may show nothing.
        demand == .none || (demand == .request && fault == .none) ? .accepted : fault.verdict
    }
}

/// What a server made of a client.
struct ServerView: Sendable {
    var error: SocketError?
    var chain: [Certificate] = []
}

@Suite("A listener and the catalogue of client certificates", .timeLimit(.minutes(1)))
struct ClientCertificateTests {
    /// Has a client come to a listener.
    ///
    /// - Returns: What either side made of it.
    func meet(_ row: ClientRow) async throws -> (client: SocketError?, server: ServerView) {
        let authority = try Authority.shared()
        var options = SocketListenerInit(type: .tls, local: SocketAddress("127.0.0.1", port: 0))
        options.identity = try identity(authority.root.issue("a.test"))
        options.clientAuthentication = row.demand
        options.minimumVersion = row.version
        options.maximumVersion = row.version
        options.limits.handshake = patience
        options.trust = try authority.trust()
        let listener = try SocketListener(options)
        let (views, seen) = AsyncStream<ServerView>.makeStream()
        async let serving: Void = listener.serve(
            onError: { error, _ in seen.yield(ServerView(error: error as? SocketError)) },
            { socket in
                seen.yield(ServerView(chain: try await socket.ready.report?.peerChain ?? []))
                guard let bytes = try await socket.read() else { return }
                try await socket.write(bytes)
            }
        )
        let certificate = try row.fault.certificate(under: authority.root)
        let scenario = try CertificateFault.wrongHost.scenario(under: authority.root)
        let own = try certificate.map(identity)
        let error = try await verdictOfClient(scenario, at: listener.localAddress) {
            $0.servername = "a.test"
            $0.identity = own
        }
        var iterator = views.makeAsyncIterator()
        let view = try #require(await iterator.next())
        await listener.close()
        try await serving
        return (error, view)
    }

    private func identity(_ issued: IssuedCertificate) throws -> TLSIdentity {
        try TLSIdentity(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: Array(issued.privateKeyPEM.utf8)
        )
    }

    @Test(
        "the server does what the catalogue says, and the client is told",
        arguments: ClientRow.all
    )
    func verdict(_ row: ClientRow) async throws {
        let (client, server) = try await meet(row)
        #expect(CertificateFault.Verdict(server.error) == row.verdict, "\(server)")
        switch row.verdict {
        case .accepted:
            #expect(client == nil)
            #expect(server.chain.isEmpty == (row.demand == .none || row.fault == .none))
        case .refused:
            #expect(server.error?.code == .certificateRejected)
            #expect(client?.tls?.code == .alertReceived)
            #expect(client?.code == .localCertificateRejected)
        case .handshakeFailed:
            #expect(client?.tls?.code == .alertReceived)
        }
    }
}
