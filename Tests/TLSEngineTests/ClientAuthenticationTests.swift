// A server that asks its clients for a certificate.

import TLSEngine
import TLSTestKit
import Testing

/// What a client has to show.
enum Shown: String, Sendable, CaseIterable { case good, none, untrusted, serverOnly }

@Suite(.timeLimit(.minutes(1)))
struct ClientAuthenticationTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func pair(
        _ version: ProtocolVersion,
        _ authentication: ClientAuthentication,
        _ shown: Shown
    ) throws -> EnginePair {
        let identities: [TLSIdentity] =
            switch shown {
            case .good: [fixtures.clientIdentity]
            case .none: []
            case .untrusted: [fixtures.strangerIdentity]
            case .serverOnly: [try fixtures.serverIdentity()]
            }
        return try EnginePair(
            client: fixtures.client(identities: identities) { $0.allowOnly(version) },
            server: fixtures.server { $0.clientAuthentication = authentication }
        )
    }

    /// The server's verdict: nil lets the client in.
    func verdict(_ authentication: ClientAuthentication, _ shown: Shown) -> TLSError? {
        switch (authentication, shown) {
        case (.none, _), (_, .good), (.request, .none): nil
        case (.require, .none): TLSError(.peerCertificateMissing)
        case (_, .untrusted):
            TLSError(
                .certificateRejected,
                verification: VerificationFailure(
                    code: .unableToGetIssuerLocally,
                    depth: 0,
                    text: ""
                )
            )
        case (_, .serverOnly):
            TLSError(
                .certificateRejected,
                verification: VerificationFailure(code: .invalidPurpose, depth: 0, text: "")
            )
        }
    }

    @Test(
        "a client is let in or refused by what it shows and what is asked",
        arguments: ClientAuthentication.allCases.flatMap { a in Shown.allCases.map { (a, $0) } },
        versions
    )
    func authentication(
        _ row: (ClientAuthentication, Shown),
        _ version: ProtocolVersion
    ) throws {
        let (authentication, shown) = row
        let pair = try pair(version, authentication, shown)
        pair.settle()
        let (client, server) = (pair.facts(.client), pair.facts(.server))
        #expect(client.report.clientCertificateRequested == (authentication != .none))
        #expect(server.report.clientCertificateRequested == (authentication != .none))
        let presents = authentication != .none && shown != .none
        #expect((client.report.localCertificate != nil) == presents)
        #expect((server.report.peerChain.first != nil) == presents)
        #expect(server.report.isPeerTrusted == (presents && shown == .good))
        guard let verdict = verdict(authentication, shown) else {
            #expect(pair.isReady)
            return try pair.expectDataFlows()
        }
        #expect(server.error == verdict)
        #expect(server.error?.phase == .clientAuthentication)
        // A TLS 1.3 client is done before it is judged.
        #expect(client.isReady == (version == .tls13))
        #expect(client.error?.code == .alertReceived)
        #expect(client.error?.alert == server.report.alertSent)
        #expect(client.error?.category == .peer)
        if version == .tls13 { #expect(client.error?.phase == .clientAuthentication) }
    }

    @Test("the alerts of a TLS 1.3 server say what was wrong with the client's certificate")
    func alerts() throws {
        let rows: [(Shown, Alert)] = [
            (.none, .certificateRequired), (.untrusted, .unknownCA),
            (.serverOnly, Alert(43)),
        ]
        for (shown, alert) in rows {
            let pair = try pair(.tls13, .require, shown)
            pair.settle()
            #expect(pair.errors[.client]?.alert == alert)
        }
    }

    @Test("an alert behind data belongs to the data, not to client authentication")
    func laterAlert() throws {
        let pair = try pair(.tls13, .require, .good)
        try pair.handshake()
        try pair.expectDataFlows()
        // A record that nobody can read makes the server say bad_record_mac.
        pair.inject([23, 3, 3, 0, 20] + pattern(20), towards: .server)
        #expect(pair.errors[.client] == TLSError(.alertReceived, alert: .badRecordMAC))
        #expect(pair.errors[.client]?.phase == .open)
    }

    @Test("the server's trust policy judges at its own time")
    func time() throws {
        var trust = TrustPolicy(anchors: [fixtures.root])
        trust.verificationTime = UnixTime(seconds: 0)
        let pair = try EnginePair(
            client: fixtures.client(identities: [fixtures.clientIdentity]),
            server: fixtures.server(trust: trust) { $0.clientAuthentication = .require }
        )
        pair.settle()
        #expect(pair.errors[.server]?.verification?.code == .notYetValid)
    }
}
