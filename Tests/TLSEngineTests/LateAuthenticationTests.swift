// A client's certificate behind the handshake: who may ask, who answers, and what comes of each answer.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct LateAuthenticationTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func opened(
        identity: TLSIdentity? = nil,
        offers: Bool = true,
        allows: Bool = true,
        client: (inout TLSPolicy) -> Void = { _ in },
        server: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> EnginePair {
        let pair = try EnginePair(
            client: fixtures.client(identities: identity.map { [$0] } ?? []) {
                $0.postHandshakeAuthentication = offers
                client(&$0)
            },
            server: fixtures.server {
                $0.postHandshakeAuthentication = allows
                server(&$0)
            }
        )
        try pair.handshake()
        return pair
    }

    @Test(
        "a client that offers it shows its certificate when it is asked",
        arguments: [1, 100_000]
    )
    func shown(_ chunk: Int) throws {
        let pair = try opened(identity: fixtures.clientIdentity)
        pair.chunk = chunk
        try pair.expectDataFlows()
        #expect(pair.facts(.server).report.peerChain.isEmpty)
        #expect(!pair.facts(.client).report.clientCertificateRequested)
        try pair.ask()
        #expect(pair.errors.isEmpty)
        let awaits = pair.server.engine.awaitsClientCertificate
        #expect(!awaits)
        let report = pair.facts(.server).report
        #expect(report.peerChain.first == fixtures.clientIdentity.certificate)
        #expect(report.isPeerTrusted && !report.verifiedChain.isEmpty)
        #expect(report.clientCertificateRequested)
        #expect(
            pair.facts(.client).report.localCertificate == fixtures.clientIdentity.certificate
        )
        try pair.expectDataFlows()
        // And again.
        try pair.ask()
        #expect(pair.errors.isEmpty)
        try pair.expectDataFlows()
    }

    @Test("data on its way in front of the answer is delivered, and the answer behind it is met")
    func dataBefore() throws {
        let pair = try opened(identity: fixtures.clientIdentity)
        let (early, _) = produced { (output) throws(TLSError) in
            try pair.client.engine.send(pattern(1000).span, producing: &output)
        }
        let (request, result) = produced { (output) throws(TLSError) in
            try pair.server.engine.requestClientCertificate(producing: &output)
        }
        _ = try result.get()
        pair.inject(early, towards: .server)
        let awaits = pair.server.engine.awaitsClientCertificate
        #expect(awaits)
        #expect(pair.facts(.server).received == pattern(1000))
        pair.inject(request, towards: .client)
        let stillAwaits = pair.server.engine.awaitsClientCertificate
        #expect(!stillAwaits)
        #expect(pair.facts(.server).report.isPeerTrusted)
    }

    @Test("a client without a certificate is refused where one is required, and else let be")
    func absent() throws {
        let optional = try opened()
        try optional.ask(required: false)
        #expect(optional.errors.isEmpty)
        #expect(optional.facts(.server).report.peerChain.isEmpty)
        try optional.expectDataFlows()

        let required = try opened()
        try required.expectDataFlows()
        try required.ask()
        #expect(required.errors[.server] == TLSError(.peerCertificateMissing))
        #expect(
            required.errors[.client] == TLSError(.alertReceived, alert: .certificateRequired)
        )
        #expect(required.errors[.client]?.phase == .clientAuthentication)
    }

    @Test("a stranger's certificate is refused with the alert of its fault")
    func stranger() throws {
        let pair = try opened(identity: fixtures.strangerIdentity)
        try pair.expectDataFlows()
        try pair.ask()
        let error = try #require(pair.errors[.server])
        #expect(error.code == .certificateRejected)
        #expect(error.phase == .clientAuthentication)
        #expect(error.verification?.code == .unableToGetIssuerLocally)
        #expect(pair.errors[.client] == TLSError(.alertReceived, alert: .unknownCA))
        #expect(pair.facts(.server).report.alertSent == .unknownCA)
        #expect(!pair.facts(.server).report.isPeerTrusted)
    }

    @Test("who cannot be asked is not, and the connection goes on")
    func refused() throws {
        let silent = try opened(offers: false)
        #expect(throws: TLSError(.featureUnavailable)) { try silent.ask() }
        let forbidden = try opened(allows: false)
        #expect(throws: TLSError(.featureUnavailable)) { try forbidden.ask() }
        let old = try opened(client: { $0.allowOnly(.tls12) })
        #expect(throws: TLSError(.featureUnavailable)) { try old.ask() }
        for pair in [silent, forbidden, old] { try pair.expectDataFlows() }
        let pair = try opened()
        #expect(throws: TLSError(.featureUnavailable)) {
            try pair.perform(.client) { engine, output throws(TLSError) in
                try engine.requestClientCertificate(producing: &output)
            }
        }
        // One at a time.
        let first = produced { (output) throws(TLSError) in
            try pair.server.engine.requestClientCertificate(producing: &output)
        }
        #expect(!first.bytes.isEmpty)
        #expect(throws: TLSError(.featureUnavailable)) { try pair.ask() }
    }

    @Test("with a decision about the client's certificate it is refused at construction")
    func decisions() throws {
        #expect(throws: TLSError(.invalidPolicy)) {
            _ = try fixtures.server {
                $0.postHandshakeAuthentication = true
                $0.clientAuthentication = .request
                $0.decisions = [.clientCertificate]
            }
        }
        #expect(throws: TLSError(.invalidPolicy)) {
            _ = try fixtures.client {
                $0.postHandshakeAuthentication = true
                $0.decisions = [.certificateChoice]
            }
        }
    }

    @Test("a session behind it vouches for the client, as long as its certificate is trusted")
    func resumption() throws {
        let client = try fixtures.client(identities: [fixtures.clientIdentity]) {
            $0.postHandshakeAuthentication = true
        }
        let server = try fixtures.server { $0.postHandshakeAuthentication = true }
        let first = try EnginePair(client: client, server: server)
        try first.handshake()
        try first.ask()
        try first.expectDataFlows()
        let offered = first.client.engine.session
        let session = try #require(offered)
        let again = try EnginePair(client: client, server: server, resuming: session)
        try again.handshake()
        #expect(again.facts(.server).report.isResumed)
        #expect(
            again.facts(.server).report.peerChain.first == fixtures.clientIdentity.certificate
        )
        #expect(again.facts(.server).report.isPeerTrusted)
        try again.expectDataFlows()
        // As in a handshake: who is out of date by now does not come in by a ticket.
        var trust = TrustPolicy(anchors: [fixtures.root])
        trust.verificationTime = UnixTime(seconds: 4_000_000_000)
        let later = try fixtures.server(trust: trust) { $0.postHandshakeAuthentication = true }
        try later.shareTicketKeys(with: server)
        let other = again.client.engine.session
        let third = try EnginePair(client: client, server: later, resuming: other)
        try third.handshake()
        #expect(!third.facts(.server).report.isResumed)
        #expect(third.facts(.server).report.peerChain.isEmpty)
    }
}

extension EnginePair {
    /// Has the server ask for the client's certificate.
    func ask(required: Bool = true) throws(TLSError) {
        try perform(.server) { engine, output throws(TLSError) in
            try engine.requestClientCertificate(required: required, producing: &output)
        }
    }
}
