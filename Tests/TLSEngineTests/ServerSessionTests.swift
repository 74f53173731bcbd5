// A server that asks for client certificates, and resumes: the certificate counts again, with its chain,
// as long as it would in a full handshake.

import TLSTestKit
import Testing

@testable import TLSEngine

@Suite(.timeLimit(.minutes(1))) struct ServerSessionTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func client(_ version: ProtocolVersion, _ identity: TLSIdentity? = nil) throws -> TLSContext {
        try fixtures.client(identities: identity.map { [$0] } ?? []) { $0.allowOnly(version) }
    }

    /// A connection, and the session it leaves.
    func first(_ client: TLSContext, _ server: TLSContext) throws -> (HandshakeReport, TLSSession) {
        let pair = try EnginePair(client: client, server: server)
        try pair.handshake()
        try pair.send([1], from: .server)
        return (pair.facts(.server).report, try #require(pair.session(of: .client)))
    }

    /// The server's report of a second connection.
    func second(
        _ session: TLSSession,
        _ client: TLSContext,
        _ server: TLSContext
    ) throws -> HandshakeReport {
        let pair = try EnginePair(client: client, server: server, resuming: session)
        try pair.handshake()
        try pair.expectDataFlows()
        #expect(pair.facts(.client).report.isResumed == pair.facts(.server).report.isResumed)
        return pair.facts(.server).report
    }

    /// A client with an intermediate.
    func alice() throws -> TLSIdentity {
        try TLSIdentity(fixtures.ca.intermediate().issueClient("alice"))
    }

    @Test("a resumed connection has the client's chain and the verdict on it", arguments: versions)
    func clientCertificate(_ version: ProtocolVersion) throws {
        let client = try client(version, alice())
        for authentication in [ClientAuthentication.request, .require] {
            let server = try fixtures.server { $0.clientAuthentication = authentication }
            var (full, session) = try first(client, server)
            #expect(full.peerChain.count == 2 && full.verifiedChain.count == 3)
            // Of a resumed one, and of one resumed from that.
            for _ in 0..<2 {
                let pair = try EnginePair(client: client, server: server, resuming: session)
                try pair.handshake()
                try pair.send([1], from: .server)
                let report = pair.facts(.server).report
                #expect(report.isResumed)
                #expect(report.peerChain == full.peerChain)
                #expect(report.verifiedChain == full.verifiedChain)
                #expect(report.isPeerTrusted && report.verification == nil)
                session = try #require(pair.session(of: .client))
            }
        }
    }

    @Test("a client that was asked and gave no certificate resumes too", arguments: versions)
    func withoutCertificate(_ version: ProtocolVersion) throws {
        let client = try client(version)
        let server = try fixtures.server { $0.clientAuthentication = .request }
        let (_, session) = try first(client, server)
        let report = try second(session, client, server)
        #expect(report.isResumed && report.peerChain == [] && !report.isPeerTrusted)
    }

    @Test(
        "where anything differs that a session stands for, the handshake is a full one",
        arguments: versions
    )
    func contexts(_ version: ProtocolVersion) throws {
        let client = try client(version, alice())
        let stranger = try Certificate(der: fixtures.strangers.rootDER)
        let server = try fixtures.server {
            $0.clientAuthentication = .require
            $0.sessionIDContext = "a"
        }
        let own = TrustPolicy(anchors: [fixtures.root])
        let wide = TrustPolicy(anchors: [fixtures.root, stranger])
        var lenient = own
        lenient.strictness = .lenient(because: "a test")
        var pinned = own
        pinned.pins = CertificatePins([.publicKey(fixtures.root.keyFingerprint())], mode: .add)
        let rows: [(String, ClientAuthentication, TrustPolicy, isResumed: Bool)] = [
            ("a", .require, own, true), ("b", .require, own, false), ("a", .request, own, false),
            ("a", .none, own, false), ("a", .require, wide, false),
            ("a", .require, lenient, false), ("a", .require, pinned, false),
        ]
        for (context, authentication, trust, isResumed) in rows {
            let other = try fixtures.server(trust: trust) {
                $0.sessionIDContext = context
                $0.clientAuthentication = authentication
            }
            // It could open the ticket.
            try other.shareTicketKeys(with: server)
            let (_, session) = try first(client, server)
            #expect(try second(session, client, other).isResumed == isResumed)
        }
    }

    @Test("a renewed certificate of the server keeps its sessions", arguments: versions)
    func renewed(_ version: ProtocolVersion) throws {
        let client = try client(version)
        let server = try fixtures.server()
        let renewed = try fixtures.server(
            identities: [TLSIdentity(fixtures.ca.issue("localhost"))]
        )
        try renewed.shareTicketKeys(with: server)
        let (_, session) = try first(client, server)
        #expect(try second(session, client, renewed).isResumed)
    }

    @Test(
        "a client's certificate that is over is refused, though its ticket is not",
        arguments: versions
    )
    func expired(_ version: ProtocolVersion) throws {
        let wide = Validity.absolute(unixSeconds: 1_000_000_000...3_000_000_000)
        let ca = try TestCA(validity: wide)
        var recipe = CertificateRecipe.client("alice", [])
        recipe.validity = .absolute(unixSeconds: 2_000_000_000...2_000_086_400)
        let client = try client(version, TLSIdentity(ca.issue(recipe)))
        func server(at time: Int64) throws -> TLSContext {
            var trust = TrustPolicy(anchors: [try Certificate(der: ca.rootDER)])
            trust.verificationTime = UnixTime(seconds: time)
            return try fixtures.server(trust: trust) { $0.clientAuthentication = .require }
        }
        let early = try server(at: 2_000_000_000)
        let last = try server(at: 2_000_086_400)
        let late = try server(at: 2_000_086_401)
        try last.shareTicketKeys(with: early)
        try late.shareTicketKeys(with: early)
        #expect(try second(first(client, early).1, client, last).isResumed)
        let pair = try EnginePair(
            client: client,
            server: late,
            resuming: first(client, early).1
        )
        pair.settle()
        #expect(pair.errors[.server]?.verification?.code == .expired)
        #expect(pair.errors[.client]?.alert == .certificateExpired)
    }

    @Test("pins of clients are looked at again, and told", arguments: versions)
    func pins(_ version: ProtocolVersion) throws {
        let identity = try alice()
        let pin = CertificatePin.certificate(identity.certificate.fingerprint())
        let trust = TrustPolicy { $0.pins = CertificatePins([pin], mode: .replace) }
        let server = try fixtures.server(trust: trust) { $0.clientAuthentication = .require }
        let client = try client(version, identity)
        let report = try second(first(client, server).1, client, server)
        #expect(report.isResumed)
        #expect(report.pins == PinVerdict(mode: .replace, match: pin, depth: 0))
        #expect(report.verifiedChain == [identity.certificate])
    }

    @Test("a server that accepts anything keeps the verdict", arguments: versions)
    func acceptAnything(_ version: ProtocolVersion) throws {
        let client = try client(version, fixtures.strangerIdentity)
        let server = try fixtures.server(trust: .acceptAnything(because: "a test")) {
            $0.clientAuthentication = .require
        }
        let (full, session) = try first(client, server)
        let report = try second(session, client, server)
        #expect(report.isResumed && !report.isPeerTrusted)
        #expect(report.verification?.code == full.verification?.code && report.verification != nil)
        #expect(report.peerChain == full.peerChain)
    }

    @Test(
        "a chain that is too large for a ticket goes without, and the leaf stays",
        arguments: versions
    )
    func largeChain(_ version: ProtocolVersion) throws {
        var recipe = CertificateRecipe.authority("Large")
        recipe.extraExtensions = [
            .init(oid: "1.3.6.1.4.1.55555.1", der: [0x04, 0x82, 0x50, 0] + pattern(0x5000))
        ]
        let large = try fixtures.ca.intermediate(recipe)
        let identity = try TLSIdentity(large.issueClient("alice"))
        let client = try client(version, identity)
        let server = try fixtures.server { $0.clientAuthentication = .require }
        let (full, session) = try first(client, server)
        #expect(full.peerChain.count == 2)
        let report = try second(session, client, server)
        #expect(report.isResumed && report.isPeerTrusted)
        #expect(report.peerChain == [identity.certificate] && report.verifiedChain == [])
    }

    @Test("the lifetime that a server tells is its timeout; out of range it is no policy")
    func timeout() throws {
        for version in versions {
            let server = try fixtures.server { $0.sessionTimeout = .seconds(77) }
            let pair = try EnginePair(client: client(version), server: server)
            try pair.handshake()
            try pair.send([1], from: .server)
            #expect(pair.facts(.client).report.tickets.first?.lifetime == 77)
        }
        let range: [Duration] = [
            .zero, .milliseconds(999), .seconds(-1), .seconds(604_801), .seconds(Int64.max),
        ]
        for timeout in range {
            #expect(throws: TLSError(.invalidPolicy)) {
                try fixtures.server { $0.sessionTimeout = timeout }
            }
            #expect(throws: TLSError(.invalidPolicy)) {
                try fixtures.client { $0.sessionTimeout = timeout }
            }
        }
        for timeout in [Duration.seconds(1), .seconds(604_800)] {
            _ = try fixtures.server { $0.sessionTimeout = timeout }
        }
    }
}
